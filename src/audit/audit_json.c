// SPDX-License-Identifier: Apache-2.0
//
// Records as JSON, one object each.
#include "audit/audit_json.h"

#include "base/clock.h"
#include "base/hex.h"

static void json_freep(json_t **json)
{
    json_decref(*json);
    *json = NULL;
}

// Bytes that are not UTF-8 are shown in hexadecimal.
static json_t *text_of(struct span text)
{
    if (span_is_utf8(text))
        return json_stringn(text.len == 0 ? "" : (const char *)text.data, text.len);
    char hex[2 * AUDIT_DETAIL_MAX + 3] = "0x";
    size_t len = text.len > AUDIT_DETAIL_MAX ? AUDIT_DETAIL_MAX : text.len;
    hex_text(span_of(text.data, len), hex + 2);
    return json_string(hex);
}

static json_t *uuid_of(const struct uuid *uuid)
{
    char text[UUID_TEXT_LEN + 1];
    if (uuid_is_zero(uuid))
        return json_null();
    uuid_text(uuid, text);
    return json_string(text);
}

// Keeps `failed` when one of many could not be set.
static void set(json_t *object, const char *key, json_t *value, bool *failed)
{
    if (json_object_set_new(object, key, value) != 0)
        *failed = true;
}

const char *audit_json_kind(uint8_t who_kind)
{
    switch (who_kind) {
    case PRINCIPAL_ENDPOINT:
        return "endpoint";
    case PRINCIPAL_LOCAL:
        return "local";
    case PRINCIPAL_USER:
        return "user";
    default:
        return "nobody";
    }
}

static json_t *principal_of(const struct audit_entry *entry, const struct audit_told *told,
                            bool *failed)
{
    json_t *who = json_object();
    set(who, "kind", json_string(audit_json_kind(entry->who_kind)), failed);
    set(who, "id", uuid_of(&entry->who), failed);
    if (entry->who_kind == PRINCIPAL_LOCAL)
        set(who, "uid", json_integer(entry->uid), failed);
    if (told->telling.name.len > 0)
        set(who, "name", text_of(told->telling.name), failed);
    if (told->telling.address.len > 0)
        set(who, "address", text_of(told->telling.address), failed);
    return who;
}

static void set_request(json_t *object, const struct audit_entry *entry,
                        const struct audit_told *told, bool *failed)
{
    set(object, "verb", text_of(entry->verb), failed);
    bool attempted = (entry->flags & AUDIT_ATTEMPTED) != 0;
    // What is about to be done has no outcome yet; the next record of it has.
    bool open = attempted && span_eq_str(entry->outcome, err_info(ERR_OK)->name);
    set(object, "outcome", open ? json_string("attempted") : text_of(entry->outcome), failed);
    set(object, "attempted", json_boolean(attempted), failed);
    set(object, "principal", principal_of(entry, told, failed), failed);
    set(object, "object", uuid_of(&entry->object), failed);
    set(object, "object_type", json_integer(entry->object_type), failed);
    if (told->telling.detail.len > 0)
        set(object, "detail", text_of(told->telling.detail), failed);
    set(object, "telling", json_string(told->how), failed);
}

static json_t *hex_of(const uint8_t *bytes, size_t len)
{
    char hex[2 * ED25519_SIGNATURE_LEN + 1];
    hex_text(span_of(bytes, len), hex);
    return json_string(hex);
}

static void set_anchor(json_t *object, const struct audit_anchored *anchor, bool *failed)
{
    set(object, "verb", json_string("anchor"), failed);
    set(object, "reader", json_integer(anchor->index), failed);
    set(object, "segment", json_integer(anchor->segment), failed);
    set(object, "length", json_integer((json_int_t)anchor->length), failed);
    set(object, "records", json_integer((json_int_t)anchor->count), failed);
    set(object, "hash", hex_of(anchor->hash, AUDIT_HASH_LEN), failed);
}

static void set_signed(json_t *object, const struct audit_entry *entry, bool *failed)
{
    bool head = entry->kind == AUDIT_HEAD;
    set(object, "verb", json_string(head ? "signed head" : "audit key"), failed);
    set(object, "signed_by", hex_of(entry->sign.signer, AUDIT_PUBLIC_LEN), failed);
    if (!head)
        set(object, "public_key", hex_of(entry->sign.public_key, AUDIT_PUBLIC_LEN), failed);
    set(object, "signature", hex_of(entry->sign.signature, ED25519_SIGNATURE_LEN), failed);
}

static void set_body(json_t *object, const struct audit_entry *entry, const struct audit_told *told,
                     bool *failed)
{
    if (entry->kind == AUDIT_REQUEST) {
        set_request(object, entry, told, failed);
    } else if (entry->kind == AUDIT_ANCHOR) {
        set_anchor(object, &entry->anchor, failed);
    } else if (entry->kind == AUDIT_HEAD || entry->kind == AUDIT_SIGNER) {
        set_signed(object, entry, failed);
    } else if (entry->kind == AUDIT_PURGED) {
        set(object, "verb", json_string("audit purged"), failed);
        set(object, "through", json_integer((json_int_t)entry->purged), failed);
        set(object, "hash", hex_of(entry->start, AUDIT_HASH_LEN), failed);
    } else {
        set(object, "verb", json_string(entry->kind == AUDIT_CONTEXT ? "context" : "segment"),
            failed);
    }
}

enum err audit_json_put(const struct audit_entry *entry, const struct audit_told *told,
                        json_t **ret)
{
    bool failed = false;
    char time[CLOCK_TEXT_LEN + 1];
    CLEANUP(json_freep) json_t *object = json_object();
    clock_text(entry->time_ms, time);
    set(object, "sequence", json_integer((json_int_t)entry->sequence), &failed);
    if (entry->chain != AUDIT_CHAIN_NODE)
        set(object, "journal", json_integer((json_int_t)entry->chain - 1), &failed);
    set(object, "time", json_string(time), &failed);
    set_body(object, entry, told, &failed);
    if (failed)
        FAIL(ERR_MEMORY, "no memory for a record's text");
    *ret = object;
    object = NULL;
    return ERR_OK;
}
