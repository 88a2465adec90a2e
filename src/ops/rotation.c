// SPDX-License-Identifier: Apache-2.0
//
// Rotation of the data keys as it is asked for, and what is known of all rotations. The blind-index
// key is not rotated: equal names must give equal values for as long as the store lives.
#include "keyring/keyring.h"
#include "ops/doc.h"
#include "ops/reseal.h"
#include "ops/verbs.h"

// {"dry_run"} → {"data_key_rotation": …}
enum err rotation_start_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct reseal reseal = {0};
    bool dry_run = false;
    TRY(doc_params(op, &doc));
    TRY(doc_dry_run(doc, &dry_run));
    if (op->ops->set.role != OPS_WRITER)
        FAIL(ERR_INVALID, "this must be asked of the writing process");
    if (dry_run) {
        TRY(reseal_load(op->ops, op->arena, &reseal));
        if (reseal.state == RESEAL_RUNNING)
            FAIL(ERR_BUSY, "the data keys are being rotated already");
        return doc_answer(op, json_pack("{s:b}", "dry_run", 1));
    }
    TRY(reseal_start(op, &reseal));
    return doc_answer(op, json_pack("{s:o}", "data_key_rotation", reseal_json(&reseal)));
}

// The number of the master key that a data key is wrapped under stands before the sealed bytes.
static json_t *master_of(struct span wrapped)
{
    struct cursor in = cursor_of(wrapped);
    uint32_t number = 0;
    if (cursor_u32(&in, &number) != ERR_OK)
        return json_null();
    return json_integer((json_int_t)number);
}

static enum err list_keys(struct op *op, json_t *list)
{
    struct store_data_key *rows = NULL;
    size_t count = 0;
    TRY(store_data_key_list(op->ops->set.store, op->arena, &rows, &count));
    for (size_t i = 0; i < count; i++) {
        json_t *item = json_pack("{s:o, s:s, s:o}", "id", doc_uuid(&rows[i].id), "purpose",
                                 rows[i].purpose, "master_key", master_of(rows[i].wrapped));
        if (item == NULL || json_array_append_new(list, item) != 0)
            FAIL(ERR_MEMORY, "no memory for an answer");
    }
    return ERR_OK;
}

// {} → {"generation", "master_key", "data_keys": […], "data_key_rotation": …}
enum err rotation_show_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    CLEANUP(doc_freep) json_t *answer = json_object();
    struct keyring_status status = {0};
    struct reseal reseal;
    TRY(doc_params(op, &doc));
    bool known = op->ops->keeper != NULL && keyring_status(op->ops->keeper, &status) == ERR_OK;
    json_t *list = json_array();
    TRY(doc_set(answer, "generation",
                known ? json_integer((json_int_t)status.generation) : json_null()));
    TRY(doc_set(answer, "master_key",
                known ? json_integer((json_int_t)status.master) : json_null()));
    TRY(doc_set(answer, "data_keys", list));
    TRY(list_keys(op, list));
    TRY(reseal_load(op->ops, op->arena, &reseal));
    TRY(doc_set(answer, "data_key_rotation", reseal_json(&reseal)));
    return doc_answer(op, json_incref(answer));
}
