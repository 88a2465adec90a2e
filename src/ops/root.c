// SPDX-License-Identifier: Apache-2.0
//
// The request's secrets are only passed on; the keeper wipes its own, the arena ours.
#include "ops/root.h"

enum err root_operate(struct op *op, enum keyring_operation operation, struct span doc,
                      bool changes)
{
    bool unsure = false;
    struct keyring_secret secrets[SECRETS_MAX];
    char names[SECRETS_MAX][32];
    struct buf answer CLEANUP(buf_done);
    const struct request *request = op->request;
    buf_init(&answer, ROOT_DOC_MAX, false);
    for (size_t i = 0; i < request->secret_count; i++) {
        struct span name = request->secrets[i].name;
        size_t len = name.len < sizeof names[i] - 1 ? name.len : sizeof names[i] - 1;
        memcpy(names[i], name.data, len);
        names[i][len] = '\0';
        secrets[i] = (struct keyring_secret){names[i], request->secrets[i].value};
    }
    if (op->ops->keeper == NULL)
        FAIL(ERR_UNAVAILABLE, "the key process is not running; try again in a moment");
    enum err err = keyring_operate(op->ops->keeper, operation, doc, secrets, request->secret_count,
                                   &answer, &unsure);
    // A failure to copy must not hide the operation's own outcome.
    if (answer.len > 0 && arena_copy(op->arena, span_buf(&answer), &op->reply->doc) != ERR_OK)
        op->reply->doc = (struct span){NULL, 0};
    op->stands = changes && err == ERR_OK;
    op->reply->unsure = changes && err != ERR_OK && unsure;
    if (op->reply->unsure)
        FAIL(err, "%s: whether the change was made is not known, look before you try again",
             err_detail()[0] != '\0' ? err_detail() : err_info(err)->text);
    return err;
}
