// SPDX-License-Identifier: Apache-2.0
//
// A setting of the store, "published": the address below which /crl/ID and /ca/ID (ops/crl.c) are
// reached. Each authority has an address of its own there, so that certificates go on naming the
// right list when the authority changes.
#include "ops/published.h"

#include <stdio.h>

#include "ops/verbs.h"

enum { ADDRESS_MAX = 200, PLACE_MAX = ADDRESS_MAX + 64 };

static enum err load(struct op *op, struct span *ret)
{
    enum err err = store_setting_get(op->ops->set.store, false, "published", op->arena, ret);
    if (err != ERR_NOT_FOUND)
        return err;
    *ret = span_str("");
    return ERR_OK;
}

static enum err place(struct op *op, struct span address, const char *kind,
                      const struct uuid *authority, const char **ret)
{
    char *text = NULL;
    char id[UUID_TEXT_LEN + 1];
    uuid_text(authority, id);
    TRY(arena_alloc(op->arena, PLACE_MAX, 1, &text));
    (void)snprintf(text, PLACE_MAX, "%.*s/%s/%s", (int)address.len, (const char *)address.data,
                   kind, id);
    *ret = text;
    return ERR_OK;
}

enum err published_places(struct op *op, const struct uuid *authority, struct pki_places *ret)
{
    struct span address;
    *ret = (struct pki_places){NULL, NULL};
    TRY(load(op, &address));
    if (address.len == 0)
        return ERR_OK;
    TRY(place(op, address, "crl", authority, &ret->crl));
    return place(op, address, "ca", authority, &ret->authority);
}

static enum err answer(struct op *op, struct span address)
{
    return doc_answer(op, json_pack("{s:o}", "published_at",
                                    address.len > 0 ? doc_string(address) : json_null()));
}

// {} → {"published_at": text or null}
enum err published_show_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct span address;
    TRY(doc_params(op, &doc));
    TRY(load(op, &address));
    return answer(op, address);
}

// http://HOST[:PORT][/PATH] or https://…, of characters that mean nothing to anybody who reads it.
static enum err check(struct span address)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-._~/:[]";
    char text[ADDRESS_MAX + 1];
    memcpy(text, address.data, address.len);
    text[address.len] = '\0';
    const char *host = strncmp(text, "https://", 8) == 0  ? text + 8
                       : strncmp(text, "http://", 7) == 0 ? text + 7
                                                          : NULL;
    if (host == NULL || host[strspn(host, allowed)] != '\0' || strlen(text) != address.len ||
        strcspn(host, "/:") == 0)
        FAIL(ERR_INVALID,
             "\"published_at\" is given as https://HOST[:PORT][/PATH] or http://…, without "
             "user, query and special characters");
    return ERR_OK;
}

// {"published_at"} → {"published_at"}
enum err published_set_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct span address;
    TRY(doc_params(op, &doc));
    TRY(doc_text(doc, "published_at", ADDRESS_MAX, false, &address));
    while (address.len > 0 && address.data[address.len - 1] == '/')
        address.len--;
    if (address.len > 0)
        TRY(check(address));
    TRY(arena_copy(op->arena, address, &op->detail));
    TRY(store_setting_put(op->ops->set.store, false, "published", address));
    return answer(op, op->detail);
}
