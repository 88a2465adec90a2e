// SPDX-License-Identifier: Apache-2.0
//
// Putting and reading lines. Invariant: what audit_line_get takes from a block or a seal is all
// that such a line says, so that one that is put again from it has the same bytes or was changed.
#include "audit/audit_line.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/hex.h"
#include "crypto/crypto.h"

#define JSON_CHECK ",\"check\":\""

const char audit_line_columns[] =
    "row,sequence,time,chain,verb,outcome,who_kind,who_id,who_uid,who_name,who_address,object,"
    "object_type,detail,telling,export,block,after,end,record,record_hash,check\n";

enum column {
    COLUMN_ROW,
    COLUMN_SEQUENCE,
    COLUMN_TIME,
    COLUMN_CHAIN,
    COLUMN_VERB,
    COLUMN_OUTCOME,
    COLUMN_WHO_KIND,
    COLUMN_WHO_ID,
    COLUMN_WHO_UID,
    COLUMN_WHO_NAME,
    COLUMN_WHO_ADDRESS,
    COLUMN_OBJECT,
    COLUMN_OBJECT_TYPE,
    COLUMN_DETAIL,
    COLUMN_TELLING,
    COLUMN_EXPORT,
    COLUMN_BLOCK,
    COLUMN_AFTER,
    COLUMN_END,
    COLUMN_BYTES,
    COLUMN_HASH,
    COLUMN_CHECK,
    COLUMNS
};

static const char *const rows[] = {"block", "record", "seal"};

static bool get_number(struct span text, uint64_t *ret)
{
    uint64_t value = 0;
    if (text.len == 0 || text.len > 18)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    *ret = value;
    return true;
}

// ---- the check ----

static void advance(uint8_t digest[AUDIT_HASH_LEN], struct span text)
{
    uint8_t bytes[AUDIT_HASH_LEN + CRYPTO_HASH_LEN];
    memcpy(bytes, digest, AUDIT_HASH_LEN);
    crypto_sha256(text, bytes + AUDIT_HASH_LEN);
    crypto_sha256(span_of(bytes, sizeof bytes), digest);
}

static enum err put_check(enum audit_format format, size_t begin, uint8_t digest[AUDIT_HASH_LEN],
                          struct buf *out)
{
    advance(digest, span_of(out->data + begin, out->len - begin));
    TRY(hex_put(out, span_of(digest, AUDIT_CHECK_LEN)));
    return buf_put_str(out, format == AUDIT_JSON_LINES ? "\"}\n" : "\n");
}

bool audit_line_check(enum audit_format format, struct span text, uint8_t digest[AUDIT_HASH_LEN])
{
    uint8_t check[AUDIT_CHECK_LEN];
    size_t len = 0;
    size_t tail = format == AUDIT_JSON_LINES ? 2 : 0;
    size_t need = 2 * AUDIT_CHECK_LEN + tail;
    if (text.len <= need || (tail > 0 && memcmp(text.data + text.len - 2, "\"}", 2) != 0))
        return false;
    size_t from = text.len - need;
    advance(digest, span_of(text.data, from));
    return hex_bytes(span_of(text.data + from, 2 * AUDIT_CHECK_LEN), check, sizeof check, &len) &&
           memcmp(check, digest, sizeof check) == 0;
}

// ---- JSON ----

static enum err put_json_own(const struct audit_line *line, struct buf *out)
{
    char id[UUID_TEXT_LEN + 1];
    char time[CLOCK_TEXT_LEN + 1];
    bool seal = line->kind == AUDIT_LINE_SEAL;
    uuid_text(&line->id, id);
    clock_text(line->time_ms, time);
    TRY(buf_printf(out,
                   "{\"row\":\"%s\",\"export\":\"%s\",\"block\":%llu,\"chain\":%u,\"after\":%llu,",
                   rows[line->kind], id, (unsigned long long)line->block, (unsigned)line->chain,
                   (unsigned long long)line->sequence));
    if (seal)
        TRY(buf_printf(out, "\"last\":%llu,\"end\":%s,", (unsigned long long)line->last,
                       line->end ? "true" : "false"));
    else
        TRY(buf_printf(out, "\"time\":\"%s\",", time));
    TRY(buf_printf(out, "\"%s\":\"", seal ? "signature" : "public_key"));
    TRY(hex_put(out, span_of(line->bytes, line->len)));
    TRY(buf_printf(out, "\",\"%s\":\"", seal ? "digest" : "before"));
    TRY(hex_put(out, span_of(line->hash, AUDIT_HASH_LEN)));
    return buf_put_str(out, "\"" JSON_CHECK);
}

static enum err put_json_record(const struct audit_line *line, const json_t *told, struct buf *out)
{
    char *text = json_dumps(told, JSON_COMPACT);
    if (text == NULL)
        FAIL(ERR_MEMORY, "no memory for a record's text");
    enum err err = buf_printf(out, "{\"row\":\"record\",%.*s", (int)strlen(text) - 2, text + 1);
    free(text);
    TRY(err);
    TRY(buf_put_str(out, ",\"record\":\""));
    TRY(hex_put(out, span_of(line->bytes, line->len)));
    TRY(buf_put_str(out, "\",\"record_hash\":\""));
    TRY(hex_put(out, span_of(line->hash, AUDIT_HASH_LEN)));
    return buf_put_str(out, "\"" JSON_CHECK);
}

static struct span text_at(const json_t *object, const char *name)
{
    return span_str(json_string_value(json_object_get(object, name)));
}

static uint64_t number_at(const json_t *object, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(object, name));
    return value < 0 ? 0 : (uint64_t)value;
}

// The time of a block is only told; it is put again as it was read.
static bool get_time(struct span text, int64_t *ret)
{
    char copy[CLOCK_TEXT_LEN + 1] = "";
    if (text.len != CLOCK_TEXT_LEN)
        return false;
    memcpy(copy, text.data, CLOCK_TEXT_LEN);
    return clock_parse(copy, ret);
}

static bool get_json_own(const json_t *object, struct audit_line *ret)
{
    size_t len = 0;
    bool seal = ret->kind == AUDIT_LINE_SEAL;
    struct span id = text_at(object, "export");
    ret->block = number_at(object, "block");
    ret->last = number_at(object, "last");
    ret->sequence = number_at(object, "after");
    ret->end = json_is_true(json_object_get(object, "end"));
    return uuid_parse(id, &ret->id) == ERR_OK &&
           hex_bytes(text_at(object, seal ? "signature" : "public_key"), ret->bytes,
                     sizeof ret->bytes, &ret->len) &&
           hex_bytes(text_at(object, seal ? "digest" : "before"), ret->hash, AUDIT_HASH_LEN,
                     &len) &&
           len == AUDIT_HASH_LEN && (seal || get_time(text_at(object, "time"), &ret->time_ms));
}

static bool get_json(const json_t *object, struct audit_line *ret)
{
    size_t len = 0;
    struct span row = text_at(object, "row");
    if (!span_eq_str(row, rows[AUDIT_LINE_RECORD])) {
        ret->kind = span_eq_str(row, rows[AUDIT_LINE_SEAL]) ? AUDIT_LINE_SEAL : AUDIT_LINE_BLOCK;
        ret->chain = (uint32_t)number_at(object, "chain");
        return (ret->kind == AUDIT_LINE_SEAL || span_eq_str(row, rows[AUDIT_LINE_BLOCK])) &&
               get_json_own(object, ret);
    }
    ret->kind = AUDIT_LINE_RECORD;
    ret->sequence = number_at(object, "sequence");
    return hex_bytes(text_at(object, "record"), ret->bytes, sizeof ret->bytes, &ret->len) &&
           hex_bytes(text_at(object, "record_hash"), ret->hash, AUDIT_HASH_LEN, &len) &&
           len == AUDIT_HASH_LEN;
}

// ---- CSV ----

// A cell that a spreadsheet would take for a formula gets an apostrophe in front.
static enum err put_cell(struct buf *out, struct span text)
{
    bool formula = text.len > 0 && strchr("=+-@\t\r", (char)text.data[0]) != NULL;
    bool quote = false;
    for (size_t i = 0; i < text.len; i++)
        quote = quote || strchr(",\"\r\n", (char)text.data[i]) != NULL;
    if (quote)
        TRY(buf_put_u8(out, '"'));
    if (formula)
        TRY(buf_put_u8(out, '\''));
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"')
            TRY(buf_put_u8(out, '"'));
        // A line of the file is a line of the trail.
        TRY(buf_put_u8(out, text.data[i] == '\n' || text.data[i] == '\r' ? ' ' : text.data[i]));
    }
    if (quote)
        TRY(buf_put_u8(out, '"'));
    return buf_put_u8(out, ',');
}

static enum err put_member(struct buf *out, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (json_is_integer(value))
        return buf_printf(out, "%lld,", (long long)json_integer_value(value));
    return put_cell(out, span_str(json_string_value(value)));
}

static enum err put_csv_told(const json_t *told, struct buf *out)
{
    static const char *const of_who[] = {"kind", "id", "uid", "name", "address"};
    const json_t *who = json_object_get(told, "principal");
    TRY(put_member(out, told, "verb"));
    TRY(put_member(out, told, "outcome"));
    for (size_t i = 0; i < sizeof of_who / sizeof *of_who; i++)
        TRY(put_member(out, who, of_who[i]));
    TRY(put_member(out, told, "object"));
    TRY(put_member(out, told, "object_type"));
    TRY(put_member(out, told, "detail"));
    return put_member(out, told, "telling");
}

static enum err put_csv(const struct audit_line *line, const json_t *told, struct buf *out)
{
    char id[UUID_TEXT_LEN + 1];
    char time[CLOCK_TEXT_LEN + 1] = "";
    bool seal = line->kind == AUDIT_LINE_SEAL;
    uuid_text(&line->id, id);
    if (!seal)
        clock_text(line->time_ms, time);
    uint64_t sequence = seal ? line->last : line->sequence;
    TRY(buf_printf(out, "%s,%llu,%s,%u,", rows[line->kind],
                   line->kind == AUDIT_LINE_BLOCK ? 0ull : (unsigned long long)sequence, time,
                   (unsigned)line->chain));
    if (line->kind == AUDIT_LINE_RECORD) {
        TRY(put_csv_told(told, out));
        TRY(buf_put_str(out, ",,,,"));
    } else {
        TRY(buf_printf(out, ",,,,,,,,,,,%s,%llu,%llu,%s,", id, (unsigned long long)line->block,
                       (unsigned long long)line->sequence, line->end ? "end" : ""));
    }
    TRY(hex_put(out, span_of(line->bytes, line->len)));
    TRY(buf_put_u8(out, ','));
    TRY(hex_put(out, span_of(line->hash, AUDIT_HASH_LEN)));
    return buf_put_u8(out, ',');
}

// Splits a line into its cells, which keep their quotes. Only cells without any are read.
static bool split(struct span text, struct span cells[COLUMNS])
{
    size_t count = 0;
    size_t from = 0;
    bool quoted = false;
    for (size_t i = 0; i <= text.len; i++) {
        if (i < text.len && text.data[i] == '"')
            quoted = !quoted;
        if (i < text.len && (quoted || text.data[i] != ','))
            continue;
        if (count == COLUMNS)
            return false;
        cells[count++] = span_of(text.data + from, i - from);
        from = i + 1;
    }
    return count == COLUMNS && !quoted;
}

static bool get_csv_own(const struct span cells[COLUMNS], struct audit_line *ret)
{
    bool seal = ret->kind == AUDIT_LINE_SEAL;
    ret->end = span_eq_str(cells[COLUMN_END], "end");
    return uuid_parse(cells[COLUMN_EXPORT], &ret->id) == ERR_OK &&
           get_number(cells[COLUMN_BLOCK], &ret->block) &&
           get_number(cells[COLUMN_SEQUENCE], &ret->last) &&
           get_number(cells[COLUMN_AFTER], &ret->sequence) &&
           (seal || get_time(cells[COLUMN_TIME], &ret->time_ms));
}

static bool get_csv(const struct span cells[COLUMNS], struct audit_line *ret)
{
    size_t len = 0;
    size_t kind = 0;
    uint64_t chain = 0;
    while (kind <= AUDIT_LINE_SEAL && !span_eq_str(cells[COLUMN_ROW], rows[kind]))
        kind++;
    ret->kind = (enum audit_line_kind)kind;
    if (kind > AUDIT_LINE_SEAL || !get_number(cells[COLUMN_CHAIN], &chain) ||
        !hex_bytes(cells[COLUMN_BYTES], ret->bytes, sizeof ret->bytes, &ret->len) ||
        !hex_bytes(cells[COLUMN_HASH], ret->hash, AUDIT_HASH_LEN, &len) || len != AUDIT_HASH_LEN)
        return false;
    ret->chain = (uint32_t)chain;
    if (ret->kind == AUDIT_LINE_RECORD)
        return get_number(cells[COLUMN_SEQUENCE], &ret->sequence);
    return get_csv_own(cells, ret);
}

// ---- both ----

enum err audit_line_put(enum audit_format format, const struct audit_line *line, const json_t *told,
                        uint8_t digest[AUDIT_HASH_LEN], struct buf *out)
{
    size_t begin = out->len;
    if (format == AUDIT_CSV)
        TRY(put_csv(line, told, out));
    else if (line->kind == AUDIT_LINE_RECORD)
        TRY(put_json_record(line, told, out));
    else
        TRY(put_json_own(line, out));
    return put_check(format, begin, digest, out);
}

bool audit_line_get(enum audit_format format, struct span text, struct audit_line *ret)
{
    *ret = (struct audit_line){0};
    if (format == AUDIT_CSV) {
        struct span cells[COLUMNS];
        return split(text, cells) && get_csv(cells, ret);
    }
    json_t *object = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    bool good = json_is_object(object) && get_json(object, ret);
    json_decref(object);
    return good;
}

enum err audit_line_statement(const struct audit_line *seal, struct buf *out)
{
    TRY(buf_put_str(out, "keyward audit export"));
    TRY(buf_put_u8(out, 0));
    TRY(buf_put(out, span_of(seal->id.bytes, UUID_LEN)));
    TRY(buf_put_u64(out, seal->block));
    TRY(buf_put_u32(out, seal->chain));
    TRY(buf_put_u64(out, seal->sequence));
    TRY(buf_put_u64(out, seal->last));
    TRY(buf_put_u8(out, seal->end));
    return buf_put(out, span_of(seal->hash, AUDIT_HASH_LEN));
}
