// SPDX-License-Identifier: Apache-2.0
//
// The rules. A chain that begins behind a purge begins with whatever key signs its first head; from
// there on a key follows only a record that the key before has signed. A trusted key that is one of
// these vouches for all: the last head is signed by it or by one that it leads to.
#include "audit/audit_check.h"

#include <stdarg.h>
#include <stdio.h>

static bool refuse(struct audit_check *check, const char *fmt, ...) PRINTF_LIKE(2, 3);

static bool refuse(struct audit_check *check, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(check->why, sizeof check->why, fmt, args);
    va_end(args);
    return false;
}

static bool same_key(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, AUDIT_PUBLIC_LEN) == 0;
}

static bool check_signature(struct audit_check *check, const struct audit_entry *entry)
{
    const struct audit_signed *sign = &entry->sign;
    unsigned long long place = entry->sequence;
    if (check->has_key && !same_key(check->key, sign->signer))
        return refuse(check, "record %llu is signed by a key that is not the trail's", place);
    if (!check->has_key && entry->kind == AUDIT_SIGNER && entry->sequence == 1 &&
        !same_key(sign->signer, sign->public_key))
        return refuse(check, "record %llu names a key that no key before it has signed", place);
    if (!audit_record_signature_is_good(entry, check->hash))
        return refuse(check, "the signature of record %llu is not good", place);
    check->saw_trusted = check->saw_trusted ||
                         (check->trusted != NULL && (same_key(check->trusted, sign->signer) ||
                                                     same_key(check->trusted, sign->public_key)));
    check->has_key = true;
    memcpy(check->key, sign->public_key, AUDIT_PUBLIC_LEN);
    check->signed_sequence = entry->sequence;
    check->signed_ms = entry->time_ms;
    return true;
}

bool audit_check_next(struct audit_check *check, const struct store_audit *row,
                      struct audit_entry *ret_entry)
{
    uint8_t expected[AUDIT_HASH_LEN];
    uint64_t next = check->last + 1;
    if (row->sequence != next)
        return refuse(check, "record %llu is missing", (unsigned long long)next);
    if (audit_record_hash(check->hash, row->record, expected) != ERR_OK ||
        memcmp(expected, row->hash, AUDIT_HASH_LEN) != 0 ||
        audit_record_read(row->record, ret_entry) != ERR_OK || ret_entry->sequence != next ||
        ret_entry->time_ms != row->time_ms || ret_entry->chain != AUDIT_CHAIN_NODE)
        return refuse(check, "record %llu was changed", (unsigned long long)next);
    bool is_signed = ret_entry->kind == AUDIT_HEAD || ret_entry->kind == AUDIT_SIGNER;
    if (is_signed && !check_signature(check, ret_entry))
        return false;
    memcpy(check->hash, row->hash, AUDIT_HASH_LEN);
    check->last = next;
    return true;
}

bool audit_check_end(struct audit_check *check)
{
    if (check->trusted != NULL && !check->saw_trusted)
        return refuse(check, "nothing here is signed by the given public key");
    return true;
}
