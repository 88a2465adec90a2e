// SPDX-License-Identifier: Apache-2.0
//
// What a courier may say to an engine, and nothing else: JSON documents in frames of their own
// kind. To a reader {"ask": "syslog", "place": …} or {"ask": "mail"}, whose answer may have a
// secret behind a NUL; to the writer {"tell": "syslog", …} or {"tell": "mail", …}. These are no
// requests of anybody and are not recorded.
#include <stdlib.h>

#include "ops/doc.h"
#include "ops/mail.h"
#include "ops/setting.h"
#include "ops/sink.h"

static enum err answer_ask(struct ops *ops, struct arena *arena, const char *what,
                           const json_t *doc, json_t **ret, struct span *ret_secret)
{
    if (strcmp(what, "syslog") == 0)
        return sink_pull(ops, arena, doc, ret);
    if (strcmp(what, "mail") == 0)
        return mail_pull(ops, arena, ret, ret_secret);
    FAIL(ERR_OPERATION, "a courier asked for what there is not");
}

static enum err take_tell(struct ops *ops, struct arena *arena, const char *what, const json_t *doc,
                          json_t **ret)
{
    if (strcmp(what, "syslog") == 0)
        TRY(sink_tell(ops, arena, doc));
    else if (strcmp(what, "mail") == 0)
        TRY(mail_tell(ops, arena, doc));
    else
        FAIL(ERR_OPERATION, "a courier told what nobody wants");
    *ret = json_object();
    return ERR_OK;
}

static enum err run(struct ops *ops, struct arena *arena, const json_t *doc, json_t **ret,
                    struct span *ret_secret)
{
    const char *ask = setting_text(doc, "ask");
    const char *tell = setting_text(doc, "tell");
    if (ops->set.role == OPS_READER)
        return answer_ask(ops, arena, ask, doc, ret, ret_secret);
    TRY(store_save(ops->set.store));
    enum err err = take_tell(ops, arena, tell, doc, ret);
    if (err == ERR_OK)
        return store_keep(ops->set.store);
    store_undo(ops->set.store);
    return err;
}

// The document, and behind its NUL the secret where there is one.
static enum err put_answer(struct arena *arena, const json_t *answer, struct span secret,
                           struct span *ret)
{
    char *text = json_dumps(answer, JSON_COMPACT);
    if (text == NULL)
        FAIL(ERR_MEMORY, "no memory for an answer");
    size_t len = strlen(text);
    uint8_t *bytes = NULL;
    enum err err = arena_alloc(arena, len + 1 + secret.len, 1, &bytes);
    if (err == ERR_OK) {
        memcpy(bytes, text, len + 1);
        if (secret.len > 0)
            memcpy(bytes + len + 1, secret.data, secret.len);
        *ret = span_of(bytes, secret.len > 0 ? len + 1 + secret.len : len);
    }
    free(text);
    return err;
}

enum err ops_run_courier(struct ops *ops, struct span ask, struct arena *arena, struct span *ret)
{
    CLEANUP(doc_freep) json_t *doc = json_loadb((const char *)ask.data, ask.len, 0, NULL);
    CLEANUP(doc_freep) json_t *answer = NULL;
    struct span secret = {NULL, 0};
    if (doc == NULL)
        FAIL(ERR_MESSAGE, "a courier sent what is no document");
    TRY(run(ops, arena, doc, &answer, &secret));
    return put_answer(arena, answer, secret, ret);
}
