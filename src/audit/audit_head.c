// SPDX-License-Identifier: Apache-2.0
//
// The end of the chain, kept in a file beside the store: number and hash of a record, and a MAC
// under a key derived from the audit data key. Invariant: the file is never ahead of the store,
// since it names what was durable before it was written; so a store that lacks the record, or has
// another one in its place, is not the one that was served. Whoever puts the file back with the
// store, or removes it, is not found out.
#include <stdio.h>

#include "audit/audit.h"
#include "audit/audit_chain.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/secret.h"

enum { HEAD_LEN = 8 + AUDIT_HASH_LEN + AUDIT_HASH_LEN, ARENA_LIMIT = 1 << 20 };

struct kept {
    uint64_t sequence;
    struct span hash, mac;
};

enum err audit_head_keep(int root, struct span seal_key, const struct store_audit *last)
{
    uint8_t mac[AUDIT_HASH_LEN];
    uint8_t bytes[HEAD_LEN];
    struct buf out = {.data = bytes, .cap = sizeof bytes, .limit = sizeof bytes};
    TRY(audit_chain_mac(seal_key, AUDIT_MAC_FILE, last->sequence, last->hash, mac));
    TRY(buf_put_u64(&out, last->sequence));
    TRY(buf_put(&out, span_of(last->hash, AUDIT_HASH_LEN)));
    TRY(buf_put(&out, span_of(mac, sizeof mac)));
    return file_write(root, PATH_AUDIT_HEAD, span_buf(&out));
}

static enum err is_ours(const struct kept *kept, const struct span *keys, size_t count, bool *ret)
{
    uint8_t mac[AUDIT_HASH_LEN];
    *ret = false;
    for (size_t i = 0; i < count && !*ret; i++) {
        TRY(audit_chain_mac(keys[i], AUDIT_MAC_FILE, kept->sequence, kept->hash.data, mac));
        *ret = secret_equal(span_of(mac, sizeof mac), kept->mac);
    }
    return ERR_OK;
}

static enum err take(struct span bytes, struct kept *ret)
{
    struct cursor in = cursor_of(bytes);
    TRY(cursor_u64(&in, &ret->sequence));
    TRY(cursor_bytes(&in, AUDIT_HASH_LEN, &ret->hash));
    TRY(cursor_bytes(&in, AUDIT_HASH_LEN, &ret->mac));
    return cursor_end(&in);
}

static enum err compare(struct store *store, const struct kept *kept, bool *ret_fits,
                        char what[AUDIT_HEAD_TEXT])
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    struct store_audit *row = NULL;
    struct store_audit last;
    size_t count = 0;
    unsigned long long sequence = kept->sequence;
    TRY(arena_new(ARENA_LIMIT, &arena));
    TRY(store_audit_head(store, &last));
    TRY(store_audit_list(store, kept->sequence, 1, arena, &row, &count));
    bool is_short = last.sequence < kept->sequence;
    bool is_other = count > 0 && row->sequence == kept->sequence &&
                    !span_eq(span_of(row->hash, AUDIT_HASH_LEN), kept->hash);
    if (is_short)
        (void)snprintf(what, AUDIT_HEAD_TEXT,
                       "its audit trail ends at record %llu, and had come to record %llu",
                       (unsigned long long)last.sequence, sequence);
    if (is_other)
        (void)snprintf(what, AUDIT_HEAD_TEXT,
                       "record %llu of its audit trail is not the one that was there", sequence);
    *ret_fits = !is_short && !is_other;
    return ERR_OK;
}

enum err audit_head_check(int root, struct store *store, const struct span *keys, size_t key_count,
                          bool *ret_fits, char what[AUDIT_HEAD_TEXT])
{
    struct kept kept;
    bool ours = false;
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, HEAD_LEN, false);
    *ret_fits = true;
    enum err err = file_read(root, PATH_AUDIT_HEAD, HEAD_LEN, &bytes);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    if (err == ERR_MEMORY)
        return err;
    if (err == ERR_OK && take(span_buf(&bytes), &kept) == ERR_OK)
        TRY(is_ours(&kept, keys, key_count, &ours));
    if (ours) {
        TRY(store_begin(store, STORE_READ));
        err = compare(store, &kept, ret_fits, what);
        store_rollback(store);
        return err;
    }
    *ret_fits = false;
    (void)snprintf(
        what, AUDIT_HEAD_TEXT,
        "no key of it wrote the file \"%s\", which says how far the audit trail had come",
        PATH_AUDIT_HEAD);
    return ERR_OK;
}
