// SPDX-License-Identifier: Apache-2.0
//
// Which verb shows what another one edits is told by their routes: scripts/gen-api makes the table.
#include "ops/etag.h"

#include "base/hex.h"
#include "crypto/crypto.h"
#include "ops/dispatch.h"
#include "ops/doc.h"

enum { TAG_BYTES = 16, TAG_TEXT = 2 * TAG_BYTES + 3 };

#define SHOW_ROW(edit, show, field) {VERB_##edit, VERB_##show, field},
static const struct show {
    enum verb edit;
    enum verb show;
    const char *field; // of the path: which thing is meant
} shows[] = {API_SHOWS(SHOW_ROW)};

enum { SHOWS = sizeof shows / sizeof *shows };

// What is different each time somebody looks.
static const char *const volatile_fields[] = {"last_seen", "last_used", "last_tls_failure",
                                              "timeline", "trail_since"};

static enum err make_tag(struct span doc, char out[TAG_TEXT])
{
    uint8_t hash[CRYPTO_HASH_LEN];
    CLEANUP(doc_freep) json_t *root = json_loadb((const char *)doc.data, doc.len, 0, NULL);
    for (size_t i = 0; i < sizeof volatile_fields / sizeof *volatile_fields; i++)
        (void)json_object_del(root, volatile_fields[i]);
    char *text = root == NULL ? NULL : json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    if (text == NULL)
        FAIL(ERR_INTERNAL, "an answer is no JSON object");
    crypto_sha256(span_str(text), hash);
    free(text);
    out[0] = '"';
    hex_text(span_of(hash, TAG_BYTES), out + 1);
    out[TAG_TEXT - 2] = '"';
    out[TAG_TEXT - 1] = '\0';
    return ERR_OK;
}

static bool shows_a_thing(enum verb verb)
{
    for (size_t i = 0; i < SHOWS; i++) {
        if (shows[i].show == verb)
            return true;
    }
    return false;
}

enum err etag_tell(struct op *op)
{
    char tag[TAG_TEXT];
    if (!shows_a_thing(op->request->verb) || op->reply->doc.len == 0)
        return ERR_OK;
    TRY(make_tag(op->reply->doc, tag));
    return arena_copy(op->arena, span_str(tag), &op->reply->etag);
}

static const struct show *find_edit(enum verb verb)
{
    for (size_t i = 0; i < SHOWS; i++) {
        if (shows[i].edit == verb)
            return &shows[i];
    }
    return NULL;
}

// Shows the thing as the one who asks may see it; what the trail tells stays that of the edit.
static enum err show_thing(struct op *op, const struct show *row, char tag[TAG_TEXT])
{
    CLEANUP(doc_freep) json_t *params = NULL;
    CLEANUP(doc_freep) json_t *wanted = json_object();
    TRY(doc_params(op, &params));
    json_t *value = json_object_get(params, row->field);
    if (json_object_set(wanted, row->field, value) != 0)
        FAIL(ERR_MISSING_DATA, "\"%s\" is missing", row->field);
    char *text = json_dumps(wanted, JSON_COMPACT);
    if (text == NULL)
        FAIL(ERR_MEMORY, "no memory for a document");
    struct request request = {.verb = row->show, .doc = span_str(text), .maximum_items = -1};
    struct reply reply = {.verb = row->show, .located_items = -1};
    struct op sub = *op;
    sub.request = &request;
    sub.reply = &reply;
    enum err err = dispatch_find(row->show)->run(&sub);
    free(text);
    TRY(err);
    return make_tag(reply.doc, tag);
}

enum err etag_check(struct op *op)
{
    char tag[TAG_TEXT];
    struct span wanted = op->request->if_match;
    if (wanted.len == 0)
        return ERR_OK;
    const struct show *row = find_edit(op->request->verb);
    if (row == NULL)
        FAIL(ERR_INVALID, "there is nothing here that an \"If-Match\" could be compared with");
    TRY(show_thing(op, row, tag));
    if (span_eq_str(wanted, "*") || memmem(wanted.data, wanted.len, tag, strlen(tag)) != NULL)
        return ERR_OK;
    FAIL(ERR_CHANGED, "it was changed since you looked: look again, then try again");
}
