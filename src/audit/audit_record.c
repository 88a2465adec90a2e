// SPDX-License-Identifier: Apache-2.0
//
// Encoding and reading of records. Invariant: a record is at most AUDIT_RECORD_MAX bytes long,
// since whatever a peer can make long is cut before it goes in.
#include "audit/audit_record.h"

#include "crypto/crypto.h"

static enum err put_head(struct buf *out, enum audit_kind kind, struct audit_where where,
                         int64_t time_ms)
{
    TRY(buf_put_u8(out, AUDIT_FORMAT));
    TRY(buf_put_u8(out, (uint8_t)kind));
    TRY(buf_put_u32(out, where.chain));
    TRY(buf_put_u64(out, where.sequence));
    return buf_put_u64(out, (uint64_t)time_ms);
}

// A name of ours: one byte of length.
static enum err put_word(struct buf *out, const char *word)
{
    size_t len = strlen(word);
    if (len > UINT8_MAX)
        len = UINT8_MAX;
    TRY(buf_put_u8(out, (uint8_t)len));
    return buf_put(out, span_of(word, len));
}

// At most `max` bytes, not cut within a UTF-8 character.
static struct span cut(struct span text, size_t max)
{
    if (text.len <= max)
        return text;
    while (max > 0 && (text.data[max] & 0xc0) == 0x80)
        max--;
    return span_of(text.data, max);
}

static enum err put_telling(struct buf *out, struct audit_telling telling)
{
    TRY(buf_put_var(out, cut(telling.name, AUDIT_NAME_MAX)));
    TRY(buf_put_var(out, cut(telling.address, AUDIT_ADDRESS_MAX)));
    return buf_put_var(out, cut(telling.detail, AUDIT_DETAIL_MAX));
}

// Seals `telling` behind the record that starts at `begin`. Room is made first, so that the bytes
// it is bound to do not move.
static enum err put_sealed(struct buf *out, size_t begin, struct span seal_key,
                           struct audit_telling telling)
{
    uint8_t bytes[AUDIT_NAME_MAX + AUDIT_ADDRESS_MAX + AUDIT_DETAIL_MAX + 12];
    struct buf plain = {.data = bytes, .cap = sizeof bytes, .limit = sizeof bytes};
    TRY(put_telling(&plain, telling));
    size_t len = plain.len + CRYPTO_SEAL_OVERHEAD;
    size_t clear = out->len - begin;
    TRY(buf_reserve(out, 4 + len));
    TRY(buf_put_u32(out, (uint32_t)len));
    enum err err = crypto_seal(seal_key, span_of(out->data + begin, clear), span_buf(&plain), out);
    explicit_bzero(bytes, plain.len);
    return err;
}

enum err audit_record_request(struct buf *out, struct audit_where where, struct span seal_key,
                              uint64_t context, const struct audit_record *record)
{
    static const struct principal nobody = {.kind = PRINCIPAL_NOBODY};
    const struct principal *who = record->who == NULL ? &nobody : record->who;
    struct audit_telling telling = {.detail = record->detail};
    if (context == 0) {
        telling.name = who->name;
        telling.address = who->address;
    }
    bool tells = telling.name.len + telling.address.len + telling.detail.len > 0;
    bool locked = seal_key.len == 0;
    unsigned flags = tells ? (locked ? AUDIT_LOCKED : AUDIT_SEALED) : 0;
    flags |= record->attempted ? AUDIT_ATTEMPTED : 0;
    size_t begin = out->len;
    TRY(put_head(out, AUDIT_REQUEST, where, record->time_ms));
    TRY(buf_put_u8(out, (uint8_t)flags));
    TRY(buf_put_u8(out, (uint8_t)who->kind));
    TRY(buf_put_u32(out, who->uid));
    TRY(buf_put(out, span_of(who->id.bytes, UUID_LEN)));
    TRY(buf_put(out, span_of(record->object.bytes, UUID_LEN)));
    TRY(buf_put_u32(out, record->object_type));
    TRY(buf_put_u64(out, context));
    TRY(put_word(out, verb_name(record->verb)));
    TRY(put_word(out, err_info(record->outcome)->name));
    return (flags & AUDIT_SEALED) != 0 ? put_sealed(out, begin, seal_key, telling) : ERR_OK;
}

enum err audit_record_context(struct buf *out, struct audit_where where, int64_t time_ms,
                              struct span seal_key, const struct principal *who)
{
    size_t begin = out->len;
    TRY(put_head(out, AUDIT_CONTEXT, where, time_ms));
    return put_sealed(out, begin, seal_key,
                      (struct audit_telling){.name = who->name, .address = who->address});
}

enum err audit_record_anchor(struct buf *out, struct audit_where where, int64_t time_ms,
                             const struct audit_anchored *anchor)
{
    TRY(put_head(out, AUDIT_ANCHOR, where, time_ms));
    TRY(buf_put_u32(out, anchor->index));
    TRY(buf_put_u32(out, anchor->segment));
    TRY(buf_put_u64(out, anchor->length));
    TRY(buf_put_u64(out, anchor->count));
    return buf_put(out, span_of(anchor->hash, AUDIT_HASH_LEN));
}

enum err audit_record_segment(struct buf *out, struct audit_where where, int64_t time_ms,
                              uint32_t segment, uint64_t kept, const uint8_t start[AUDIT_HASH_LEN])
{
    TRY(put_head(out, AUDIT_SEGMENT, where, time_ms));
    TRY(buf_put_u32(out, segment));
    TRY(buf_put_u64(out, kept));
    return buf_put(out, span_of(start, AUDIT_HASH_LEN));
}

// What is signed: a label, so that the key signs nothing else by it, and the record's place.
static enum err put_statement(struct buf *out, struct audit_where where, int64_t time_ms,
                              const uint8_t previous[AUDIT_HASH_LEN], const uint8_t *added)
{
    TRY(buf_put_str(out, added == NULL ? "keyward audit head" : "keyward audit key"));
    TRY(buf_put_u8(out, 0));
    TRY(buf_put_u32(out, where.chain));
    TRY(buf_put_u64(out, where.sequence));
    TRY(buf_put_u64(out, (uint64_t)time_ms));
    TRY(buf_put(out, span_of(previous, AUDIT_HASH_LEN)));
    return added == NULL ? ERR_OK : buf_put(out, span_of(added, AUDIT_PUBLIC_LEN));
}

enum { STATEMENT_MAX = 128 };

enum err audit_record_signed(struct buf *out, struct audit_where where, int64_t time_ms,
                             const uint8_t previous[AUDIT_HASH_LEN],
                             const struct audit_signer *signer, const uint8_t *added)
{
    uint8_t bytes[STATEMENT_MAX];
    uint8_t signature[ED25519_SIGNATURE_LEN];
    struct buf statement = {.data = bytes, .cap = sizeof bytes, .limit = sizeof bytes};
    TRY(put_statement(&statement, where, time_ms, previous, added));
    TRY(ed25519_sign(signer->private_key, span_buf(&statement), signature));
    TRY(put_head(out, added == NULL ? AUDIT_HEAD : AUDIT_SIGNER, where, time_ms));
    TRY(buf_put(out, span_of(signer->public_key, AUDIT_PUBLIC_LEN)));
    if (added != NULL)
        TRY(buf_put(out, span_of(added, AUDIT_PUBLIC_LEN)));
    return buf_put(out, span_of(signature, sizeof signature));
}

bool audit_record_signature_is_good(const struct audit_entry *entry,
                                    const uint8_t previous[AUDIT_HASH_LEN])
{
    uint8_t bytes[STATEMENT_MAX];
    struct buf statement = {.data = bytes, .cap = sizeof bytes, .limit = sizeof bytes};
    const uint8_t *added = entry->kind == AUDIT_SIGNER ? entry->sign.public_key : NULL;
    struct audit_where where = {entry->chain, entry->sequence};
    return put_statement(&statement, where, entry->time_ms, previous, added) == ERR_OK &&
           ed25519_check(entry->sign.signer, span_buf(&statement), entry->sign.signature);
}

enum err audit_record_purged(struct buf *out, struct audit_where where, int64_t time_ms,
                             const struct store_audit *last, const struct audit_floor *floors,
                             size_t count)
{
    TRY(put_head(out, AUDIT_PURGED, where, time_ms));
    TRY(buf_put_u64(out, last->sequence));
    TRY(buf_put(out, span_of(last->hash, AUDIT_HASH_LEN)));
    TRY(buf_put_u32(out, (uint32_t)(count * AUDIT_FLOOR_LEN)));
    for (size_t i = 0; i < count; i++) {
        TRY(buf_put_u32(out, floors[i].index));
        TRY(buf_put_u32(out, floors[i].segment));
        TRY(buf_put_u64(out, floors[i].count));
        TRY(buf_put(out, span_of(floors[i].hash, AUDIT_HASH_LEN)));
    }
    return ERR_OK;
}

static enum err take_fixed(struct cursor *in, void *out, size_t len)
{
    struct span bytes;
    TRY(cursor_bytes(in, len, &bytes));
    memcpy(out, bytes.data, len);
    return ERR_OK;
}

static enum err take_word(struct cursor *in, struct span *ret)
{
    uint8_t len = 0;
    TRY(cursor_u8(in, &len));
    return cursor_bytes(in, len, ret);
}

static enum err take_request(struct cursor *in, struct span record, struct audit_entry *ret)
{
    TRY(cursor_u8(in, &ret->flags));
    TRY(cursor_u8(in, &ret->who_kind));
    TRY(cursor_u32(in, &ret->uid));
    TRY(take_fixed(in, ret->who.bytes, UUID_LEN));
    TRY(take_fixed(in, ret->object.bytes, UUID_LEN));
    TRY(cursor_u32(in, &ret->object_type));
    TRY(cursor_u64(in, &ret->context));
    TRY(take_word(in, &ret->verb));
    TRY(take_word(in, &ret->outcome));
    ret->clear = span_of(record.data, record.len - in->rest.len);
    return (ret->flags & AUDIT_SEALED) != 0 ? cursor_var(in, &ret->sealed) : ERR_OK;
}

static enum err take_anchor(struct cursor *in, struct audit_anchored *ret)
{
    TRY(cursor_u32(in, &ret->index));
    TRY(cursor_u32(in, &ret->segment));
    TRY(cursor_u64(in, &ret->length));
    TRY(cursor_u64(in, &ret->count));
    return take_fixed(in, ret->hash, AUDIT_HASH_LEN);
}

static enum err take_segment(struct cursor *in, struct audit_entry *ret)
{
    TRY(cursor_u32(in, &ret->segment));
    TRY(cursor_u64(in, &ret->kept));
    return take_fixed(in, ret->start, AUDIT_HASH_LEN);
}

static enum err take_signed(struct cursor *in, struct audit_entry *ret)
{
    struct audit_signed *sign = &ret->sign;
    TRY(take_fixed(in, sign->signer, AUDIT_PUBLIC_LEN));
    if (ret->kind == AUDIT_SIGNER)
        TRY(take_fixed(in, sign->public_key, AUDIT_PUBLIC_LEN));
    else
        memcpy(sign->public_key, sign->signer, AUDIT_PUBLIC_LEN);
    return take_fixed(in, sign->signature, ED25519_SIGNATURE_LEN);
}

static enum err take_purged(struct cursor *in, struct audit_entry *ret)
{
    TRY(cursor_u64(in, &ret->purged));
    TRY(take_fixed(in, ret->start, AUDIT_HASH_LEN));
    TRY(cursor_var(in, &ret->floors));
    if (ret->floors.len % AUDIT_FLOOR_LEN != 0)
        FAIL(ERR_MESSAGE, "floors");
    return ERR_OK;
}

bool audit_record_floor(const struct audit_entry *entry, uint32_t index, struct audit_floor *ret)
{
    struct cursor in = cursor_of(entry->floors);
    while (in.rest.len > 0) {
        struct audit_floor floor;
        if (cursor_u32(&in, &floor.index) != ERR_OK || cursor_u32(&in, &floor.segment) != ERR_OK ||
            cursor_u64(&in, &floor.count) != ERR_OK ||
            take_fixed(&in, floor.hash, AUDIT_HASH_LEN) != ERR_OK)
            return false;
        if (floor.index != index)
            continue;
        *ret = floor;
        return true;
    }
    return false;
}

static enum err take_body(struct cursor *in, struct span record, struct audit_entry *ret)
{
    switch (ret->kind) {
    case AUDIT_REQUEST:
        return take_request(in, record, ret);
    case AUDIT_CONTEXT:
        ret->clear = span_of(record.data, record.len - in->rest.len);
        return cursor_var(in, &ret->sealed);
    case AUDIT_ANCHOR:
        return take_anchor(in, &ret->anchor);
    case AUDIT_SEGMENT:
        return take_segment(in, ret);
    case AUDIT_HEAD:
    case AUDIT_SIGNER:
        return take_signed(in, ret);
    case AUDIT_PURGED:
        return take_purged(in, ret);
    default:
        FAIL(ERR_MESSAGE, "unknown kind");
    }
}

static enum err take_all(struct span record, struct audit_entry *ret)
{
    struct cursor in = cursor_of(record);
    uint8_t format = 0;
    uint8_t kind = 0;
    uint64_t time = 0;
    TRY(cursor_u8(&in, &format));
    TRY(cursor_u8(&in, &kind));
    TRY(cursor_u32(&in, &ret->chain));
    TRY(cursor_u64(&in, &ret->sequence));
    TRY(cursor_u64(&in, &time));
    if (format != AUDIT_FORMAT)
        FAIL(ERR_MESSAGE, "unknown format");
    ret->kind = (enum audit_kind)kind;
    ret->time_ms = (int64_t)time;
    TRY(take_body(&in, record, ret));
    return cursor_end(&in);
}

enum err audit_record_read(struct span record, struct audit_entry *ret)
{
    struct audit_entry entry = {.record = record};
    if (take_all(record, &entry) != ERR_OK)
        FAIL(ERR_DAMAGED, "an audit record is not well formed");
    *ret = entry;
    return ERR_OK;
}

enum err audit_record_open(struct span seal_key, const struct audit_entry *entry, struct buf *plain,
                           struct audit_telling *ret)
{
    TRY(crypto_open(seal_key, entry->clear, entry->sealed, plain));
    struct cursor in = cursor_of(span_buf(plain));
    struct audit_telling telling;
    if (cursor_var(&in, &telling.name) != ERR_OK || cursor_var(&in, &telling.address) != ERR_OK ||
        cursor_var(&in, &telling.detail) != ERR_OK || cursor_end(&in) != ERR_OK)
        FAIL(ERR_DAMAGED, "the sealed part of an audit record is not well formed");
    *ret = telling;
    return ERR_OK;
}

enum err audit_record_hash(const uint8_t previous[AUDIT_HASH_LEN], struct span record,
                           uint8_t out[AUDIT_HASH_LEN])
{
    if (record.len == 0 || record.len > AUDIT_RECORD_MAX)
        FAIL(ERR_DAMAGED, "an audit record has %zu bytes", record.len);
    crypto_sha256_pair(span_of(previous, AUDIT_HASH_LEN), record, out);
    return ERR_OK;
}

enum err audit_outcome(struct span record, struct span *ret)
{
    struct audit_entry entry;
    TRY(audit_record_read(record, &entry));
    *ret = entry.kind == AUDIT_REQUEST ? entry.outcome : span_of(NULL, 0);
    return ERR_OK;
}
