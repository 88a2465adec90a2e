// SPDX-License-Identifier: Apache-2.0
//
// The list of orphaned root keys: a text file, one line each, with a checksum, replaced whole.
#include "keyring/orphan.h"

#include "base/file.h"
#include "base/paths.h"

enum { TEXT_MAX = 65536 };

enum err orphan_put(const struct orphan *orphan, struct buf *out)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_text(&orphan->operation, id);
    TRY(buf_printf(out, "operation=%s\nkey_number=%u\n", id, orphan->number));
    if (orphan->token_label[0] == '\0' && orphan->token_serial[0] == '\0')
        return ERR_OK;
    TRY(rootfile_put_hex(out, "token_label", span_str(orphan->token_label)));
    return rootfile_put_hex(out, "token_serial", span_str(orphan->token_serial));
}

enum err orphan_take(struct span *text, struct orphan *ret)
{
    struct span value;
    *ret = (struct orphan){0};
    TRY(rootfile_take(text, "operation", &value));
    TRY(uuid_parse(value, &ret->operation));
    TRY(rootfile_take_u32(text, "key_number", &ret->number));
    if (!rootfile_next_is(*text, "token_label"))
        return ERR_OK;
    TRY(rootfile_take_label(text, "token_label", ret->token_label, sizeof ret->token_label));
    return rootfile_take_label(text, "token_serial", ret->token_serial, sizeof ret->token_serial);
}

enum err orphan_load(int root, struct orphan ret[ORPHANS_MAX], size_t *ret_count)
{
    struct buf text CLEANUP(buf_done);
    struct span rest;
    size_t count = 0;
    buf_init(&text, TEXT_MAX, false);
    *ret_count = 0;
    if (!file_exists(root, PATH_ROOT_ORPHANS))
        return ERR_OK;
    TRY(file_read_private(root, PATH_ROOT_ORPHANS, TEXT_MAX, &text));
    TRY(rootfile_open_text(span_buf(&text), PATH_ROOT_ORPHANS, &rest));
    while (rest.len > 0 && count < ORPHANS_MAX)
        TRY(orphan_take(&rest, &ret[count++]));
    *ret_count = count;
    return ERR_OK;
}

static bool same(const struct orphan *a, const struct orphan *b)
{
    return a->number == b->number &&
           memcmp(a->operation.bytes, b->operation.bytes, sizeof a->operation.bytes) == 0;
}

enum err orphan_add(int root, const struct orphan *orphan)
{
    static struct orphan list[ORPHANS_MAX + 1];
    size_t count = 0;
    struct buf text CLEANUP(buf_done);
    buf_init(&text, TEXT_MAX, false);
    // A damaged list must not keep an operation from being undone: it is begun anew.
    if (orphan_load(root, list, &count) != ERR_OK)
        count = 0;
    for (size_t i = 0; i < count; i++) {
        if (same(&list[i], orphan))
            return ERR_OK;
    }
    list[count++] = *orphan;
    for (size_t i = count > ORPHANS_MAX ? 1 : 0; i < count; i++)
        TRY(orphan_put(&list[i], &text));
    TRY(rootfile_seal_text(&text));
    return file_write(root, PATH_ROOT_ORPHANS, span_buf(&text));
}
