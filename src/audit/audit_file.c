// SPDX-License-Identifier: Apache-2.0
//
// Verifying an exported file. Invariant: every byte of a sound file was looked at: of each line the
// check, of blocks and seals the whole text (they are put again and compared), of each block the
// signature; after the last block nothing may come, and the last block says that it is the last.
#include <stdarg.h>
#include <stdlib.h>

#include "audit/audit_check.h"
#include "audit/audit_line.h"
#include "base/secret.h"
#include "crypto/crypto.h"

struct file {
    struct audit_file_verdict verdict;
    enum audit_format format;
    struct audit_line block; // the one that is open, or the last
    struct audit_line line;  // the one that is looked at
    bool in_block, ended;
    uint64_t blocks;
    uint8_t digest[AUDIT_HASH_LEN];
    struct audit_check check; // of the chain
    uint64_t last;            // record of this chain or journal, and its hash
    uint8_t hash[AUDIT_HASH_LEN];
    bool begun; // this chain or journal
};

static bool bad(struct file *f, uint64_t sequence, const char *fmt, ...) PRINTF_LIKE(3, 4);

static bool bad(struct file *f, uint64_t sequence, const char *fmt, ...)
{
    f->verdict.sound = false;
    f->verdict.bad_line = f->verdict.lines;
    f->verdict.bad_sequence = sequence;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(f->verdict.what, sizeof f->verdict.what, fmt, args);
    va_end(args);
    return false;
}

static unsigned long long next_of(const struct file *f)
{
    return (unsigned long long)f->last + 1;
}

// "record 17", "read 17 of reader 3"
static const char *name_of(const struct file *f, char out[64])
{
    if (f->block.chain == AUDIT_CHAIN_NODE)
        (void)snprintf(out, 64, "record %llu", next_of(f));
    else
        (void)snprintf(out, 64, "record %llu of the journal of reader %u", next_of(f),
                       (unsigned)f->block.chain - 1);
    return out;
}

static bool same(const void *a, const void *b, size_t len)
{
    return memcmp(a, b, len) == 0;
}

// Is the text exactly what the line says?
static bool is_canonical(const struct file *f, struct span text)
{
    uint8_t digest[AUDIT_HASH_LEN];
    struct buf again CLEANUP(buf_done);
    buf_init(&again, AUDIT_LINE_MAX, false);
    memcpy(digest, f->digest, sizeof digest);
    return audit_line_put(f->format, &f->line, NULL, digest, &again) == ERR_OK &&
           span_eq(span_of(again.data, again.len - 1), text);
}

// ---- a block begins ----

static bool begin_chain(struct file *f)
{
    if (f->begun && f->line.chain <= f->block.chain)
        return bad(f, 0, "block %llu is not in its place", (unsigned long long)f->line.block);
    f->begun = true;
    f->last = f->line.sequence;
    memcpy(f->hash, f->line.hash, AUDIT_HASH_LEN);
    if (f->line.chain == AUDIT_CHAIN_NODE) {
        f->check.last = f->last;
        memcpy(f->check.hash, f->hash, AUDIT_HASH_LEN);
    }
    return true;
}

static bool follows(const struct file *f)
{
    return f->line.sequence == f->last && same(f->line.hash, f->hash, AUDIT_HASH_LEN);
}

// A block without records says nothing of what is before it.
static bool is_empty_end(const struct file *f)
{
    static const uint8_t zero[AUDIT_HASH_LEN];
    return f->line.sequence == f->last && same(f->line.hash, zero, AUDIT_HASH_LEN);
}

static bool check_key(struct file *f)
{
    const uint8_t *key = f->line.bytes;
    if (f->line.len != AUDIT_PUBLIC_LEN ||
        (f->verdict.has_key && !same(f->verdict.public_key, key, AUDIT_PUBLIC_LEN)))
        return bad(f, 0, "block %llu is signed by another key", (unsigned long long)f->line.block);
    if (f->check.trusted != NULL && !same(f->check.trusted, key, AUDIT_PUBLIC_LEN))
        return bad(f, 0, "the file is not signed by the given public key");
    f->verdict.has_key = true;
    memcpy(f->verdict.public_key, key, AUDIT_PUBLIC_LEN);
    return true;
}

// Is it the next block of this export?
static bool check_place(struct file *f, struct span text)
{
    const struct audit_line *line = &f->line;
    if (f->in_block || f->ended)
        return bad(f, next_of(f), "a block begins where none can: lines are missing or were moved");
    memset(f->digest, 0, sizeof f->digest);
    if (!is_canonical(f, text) || !audit_line_check(f->format, text, f->digest))
        return bad(f, 0, "the beginning of block %llu was changed",
                   (unsigned long long)f->blocks + 1);
    bool same_export = f->blocks == 0 || same(&line->id, &f->block.id, sizeof line->id);
    if (line->block != f->blocks + 1 || !same_export)
        return bad(f, 0, "block %llu is missing or not in its place",
                   (unsigned long long)f->blocks + 1);
    if (line->chain > AUDIT_READERS_MAX)
        return bad(f, 0, "there is no such journal");
    return check_key(f);
}

static bool begin_block(struct file *f, struct span text)
{
    const struct audit_line *line = &f->line;
    if (!check_place(f, text))
        return false;
    bool goes_on = f->begun && line->chain == f->block.chain;
    if (goes_on && !follows(f) && !is_empty_end(f))
        return bad(f, next_of(f), "block %llu does not follow the one before",
                   (unsigned long long)line->block);
    if (!goes_on && !begin_chain(f))
        return false;
    f->block = *line;
    f->blocks++;
    f->in_block = true;
    return true;
}

// ---- a record ----

static bool check_chain_record(struct file *f)
{
    struct audit_entry entry;
    struct store_audit row = {.sequence = f->line.sequence,
                              .record = span_of(f->line.bytes, f->line.len)};
    memcpy(row.hash, f->line.hash, AUDIT_HASH_LEN);
    if (audit_record_read(row.record, &entry) == ERR_OK)
        row.time_ms = entry.time_ms;
    if (!audit_check_next(&f->check, &row, &entry))
        return bad(f, next_of(f), "%s", f->check.why);
    f->verdict.records++;
    return true;
}

static bool check_journal_record(struct file *f)
{
    char name[64];
    uint8_t bytes[AUDIT_HASH_LEN + 4 + AUDIT_RECORD_MAX];
    uint8_t hash[AUDIT_HASH_LEN];
    struct audit_entry entry;
    struct buf in = {.data = bytes, .cap = sizeof bytes, .limit = sizeof bytes};
    struct span record = span_of(f->line.bytes, f->line.len);
    bool good = buf_put(&in, span_of(f->hash, AUDIT_HASH_LEN)) == ERR_OK &&
                buf_put_var(&in, record) == ERR_OK;
    crypto_sha256(span_buf(&in), hash);
    if (!good || !same(hash, f->line.hash, AUDIT_HASH_LEN) ||
        audit_record_read(record, &entry) != ERR_OK || entry.sequence != f->line.sequence ||
        entry.chain != f->block.chain)
        return bad(f, next_of(f), "%s was changed", name_of(f, name));
    f->verdict.read_records += entry.kind == AUDIT_REQUEST;
    return true;
}

static void note_extent(struct file *f)
{
    uint32_t chain = f->block.chain;
    uint64_t *first =
        chain == AUDIT_CHAIN_NODE ? &f->verdict.first.chain : &f->verdict.first.reads[chain - 1];
    uint64_t *last =
        chain == AUDIT_CHAIN_NODE ? &f->verdict.last.chain : &f->verdict.last.reads[chain - 1];
    *first = *first == 0 ? f->line.sequence : *first;
    *last = f->line.sequence;
}

static bool take_record(struct file *f, struct span text)
{
    char name[64];
    if (!f->in_block)
        return bad(f, next_of(f), "%s is not in a block", name_of(f, name));
    if (f->line.sequence != f->last + 1)
        return bad(f, next_of(f), "%s is missing or not in its place", name_of(f, name));
    if (!audit_line_check(f->format, text, f->digest))
        return bad(f, next_of(f), "%s was changed", name_of(f, name));
    bool chain = f->block.chain == AUDIT_CHAIN_NODE;
    if (!(chain ? check_chain_record(f) : check_journal_record(f)))
        return false;
    f->last = f->line.sequence;
    memcpy(f->hash, f->line.hash, AUDIT_HASH_LEN);
    note_extent(f);
    return true;
}

// ---- a block ends ----

static bool is_signed(const struct audit_line *seal, const uint8_t key[AUDIT_PUBLIC_LEN])
{
    uint8_t bytes[256];
    struct buf statement = {.data = bytes, .cap = sizeof bytes, .limit = sizeof bytes};
    return seal->len == ED25519_SIGNATURE_LEN && audit_line_statement(seal, &statement) == ERR_OK &&
           ed25519_check(key, span_buf(&statement), seal->bytes);
}

static bool end_block(struct file *f, struct span text)
{
    const struct audit_line *seal = &f->line;
    unsigned long long number = f->block.block;
    if (!f->in_block)
        return bad(f, next_of(f), "a seal stands where no block is");
    if (seal->block != f->block.block || !same(&seal->id, &f->block.id, sizeof seal->id) ||
        seal->chain != f->block.chain || seal->sequence != f->block.sequence ||
        seal->last != f->last)
        return bad(f, next_of(f), "the seal of block %llu does not fit its records", number);
    if (!same(seal->hash, f->digest, AUDIT_HASH_LEN) || !is_canonical(f, text) ||
        !audit_line_check(f->format, text, f->digest) || !is_signed(seal, f->block.bytes))
        return bad(f, next_of(f), "the seal of block %llu is not good", number);
    f->in_block = false;
    f->ended = seal->end;
    return true;
}

static bool take_line(struct file *f, struct span text)
{
    char name[64];
    if (f->ended)
        return bad(f, 0, "something was added behind the end");
    if (!audit_line_get(f->format, text, &f->line))
        return bad(f, next_of(f), "line %llu (%s) was changed: it cannot be read",
                   (unsigned long long)f->verdict.lines, name_of(f, name));
    if (f->line.kind == AUDIT_LINE_BLOCK)
        return begin_block(f, text);
    return f->line.kind == AUDIT_LINE_RECORD ? take_record(f, text) : end_block(f, text);
}

// ---- the file ----

struct lines {
    FILE *in;
    uint8_t text[AUDIT_LINE_MAX + 1];
    struct span line; // without its newline
    bool whole;       // it had one
};

// Of a line that is too long only its beginning is read.
static enum err next_line(struct lines *lines, bool *ret_more)
{
    size_t len = 0;
    int c = getc_unlocked(lines->in);
    *ret_more = c != EOF;
    for (; c != EOF && c != '\n' && len < sizeof lines->text; c = getc_unlocked(lines->in))
        lines->text[len++] = (uint8_t)c;
    if (ferror(lines->in))
        FAIL(ERR_IO, "the file could not be read");
    lines->whole = c == '\n';
    lines->line = span_of(lines->text, len);
    return ERR_OK;
}

static bool take_first(struct file *f, const struct lines *lines)
{
    size_t len = strlen(audit_line_columns) - 1;
    f->format = lines->line.len > 0 && lines->line.data[0] == '{' ? AUDIT_JSON_LINES : AUDIT_CSV;
    if (f->format == AUDIT_JSON_LINES)
        return take_line(f, lines->line);
    if (!span_eq(lines->line, span_of(audit_line_columns, len)))
        return bad(f, 0, "the file does not begin like an exported audit trail");
    return true;
}

static bool take_any(struct file *f, const struct lines *lines)
{
    f->verdict.lines++;
    if (!lines->whole || lines->line.len > AUDIT_LINE_MAX)
        return bad(f, next_of(f), "line %llu is cut off or too long",
                   (unsigned long long)f->verdict.lines);
    return f->verdict.lines == 1 ? take_first(f, lines) : take_line(f, lines->line);
}

enum err audit_file_verify(FILE *in, const uint8_t *trusted, struct audit_file_verdict *ret)
{
    struct lines *lines = calloc(1, sizeof *lines);
    struct file *f = calloc(1, sizeof *f);
    bool more = true;
    enum err err = ERR_OK;
    if (f == NULL || lines == NULL) {
        free(f);
        free(lines);
        FAIL(ERR_MEMORY, "no memory to verify a file");
    }
    lines->in = in;
    f->verdict.sound = true;
    f->check.trusted = trusted;
    while (f->verdict.sound) {
        err = next_line(lines, &more);
        if (err != ERR_OK || !more || !take_any(f, lines))
            break;
    }
    if (err == ERR_OK && f->verdict.sound && !f->ended)
        (void)bad(f, next_of(f), "the file is cut off: it ends after line %llu",
                  (unsigned long long)f->verdict.lines);
    f->verdict.signed_sequence = f->check.signed_sequence;
    *ret = f->verdict;
    free(f);
    free(lines);
    return err;
}

enum err audit_seal_read(struct span text, const uint8_t public_key[AUDIT_PUBLIC_LEN],
                         struct audit_sealed_range *ret)
{
    struct audit_line *seal = malloc(sizeof *seal);
    if (seal == NULL)
        FAIL(ERR_MEMORY, "no memory to read a seal");
    bool json = text.len > 0 && text.data[0] == '{';
    bool good = audit_line_get(json ? AUDIT_JSON_LINES : AUDIT_CSV, text, seal) &&
                seal->kind == AUDIT_LINE_SEAL && seal->chain <= AUDIT_READERS_MAX &&
                is_signed(seal, public_key);
    *ret = (struct audit_sealed_range){seal->chain, seal->sequence, seal->last};
    free(seal);
    if (!good)
        FAIL(ERR_INVALID, "a seal is not one of this server's: export again, and send the lines as "
                          "they stand in the file");
    return ERR_OK;
}
