// SPDX-License-Identifier: Apache-2.0
//
// How far the root-of-trust operation is that the keeper has in hand. Which operation that is, and
// whose, the web process knows: it asks for nobody but who has begun it.
#include "keyring/keyring.h"
#include "ops/doc.h"
#include "ops/verbs.h"

enum { STEPS_MAX = 1 << 20 };

// {"id"} → {"steps": […]}, those done so far, where something is under way; "user": who asks, so
// that web can tell several credentials of one user from several users
enum err operation_show_run(struct op *op)
{
    struct buf steps CLEANUP(buf_done);
    CLEANUP(doc_freep) json_t *doc = NULL;
    buf_init(&steps, STEPS_MAX, false);
    TRY(doc_params(op, &doc));
    if (op->ops->keeper != NULL)
        TRY(keyring_steps(op->ops->keeper, &steps));
    CLEANUP(doc_freep)
    json_t *answer =
        steps.len == 0 ? json_object() : json_loadb((const char *)steps.data, steps.len, 0, NULL);
    TRY(doc_set(answer, "user", doc_uuid(&op->who.id)));
    return doc_answer(op, json_incref(answer));
}
