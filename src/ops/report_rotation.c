// SPDX-License-Identifier: Apache-2.0
//
// Keys that are old and were never re-keyed, in order of their making: symmetric and private keys
// (a public key goes with its private key) that are or may become active. A key that has replaced
// another one is as old as itself.
#include "ops/attributes.h"
#include "ops/authority.h"
#include "ops/key.h"
#include "ops/report.h"
#include "ops/verbs.h"

enum { DAYS_USUAL = 365, SCRATCH_BYTES = 16 * 1024 * 1024 };

struct rotation {
    struct report report;
    struct report_objects objects;
    int64_t before; // seconds: made then or earlier
    struct arena *scratch;
};

static bool is_wanted(const struct op *op, const struct rotation *rotation,
                      const struct store_object *row)
{
    enum kmip_state state = lifecycle_state_at(&row->dates, op->now);
    bool key =
        row->type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY || row->type == KMIP_OBJECT_TYPE_PRIVATE_KEY;
    bool used = state == KMIP_STATE_PRE_ACTIVE || state == KMIP_STATE_ACTIVE;
    return key && used && row->dates.initial <= rotation->before;
}

static enum err add(struct op *op, struct rotation *rotation, struct object *object)
{
    struct span older;
    json_t *row = NULL;
    json_t *wallets = json_array();
    bool replaces =
        attributes_find_link(&object->attrs, KMIP_LINK_TYPE_REPLACED_OBJECT_LINK, &older);
    json_t *replaced = replaces ? doc_string(older) : json_null();
    TRY(key_summary(op, object, &row));
    TRY(report_add(&rotation->report, row));
    TRY(doc_set(row, "age_days",
                json_integer(report_days_since(object->row.dates.initial, op->now))));
    TRY(doc_set(row, "replaces", replaced));
    TRY(doc_set(row, "wallets", wallets));
    return key_wallets(op, &object->row.id, rotation->objects.any, wallets);
}

static enum err look(struct op *op, void *context, const struct store_object *row)
{
    struct rotation *rotation = context;
    struct object object = {.row = *row};
    struct span newer;
    if (!is_wanted(op, rotation, row))
        return ERR_OK;
    arena_reset(rotation->scratch);
    TRY(object_open_attrs(op->ops, rotation->scratch, &object));
    if (attributes_find_link(&object.attrs, KMIP_LINK_TYPE_REPLACEMENT_OBJECT_LINK, &newer))
        return ERR_OK;
    return add(op, rotation, &object);
}

static enum err run(struct op *op, struct rotation *rotation)
{
    int64_t days = 0;
    bool full = false;
    bool any = authority_is_general(op);
    TRY(report_begin(op, "never-rotated", &rotation->report));
    TRY(report_days(&rotation->report, DAYS_USUAL, &days));
    TRY(report_take_objects(op, &rotation->report, any, any, &rotation->objects));
    TRY(arena_new(SCRATCH_BYTES, &rotation->scratch));
    rotation->before = op->now - days * REPORT_DAY_S;
    TRY(report_each_object(op, &rotation->report, &rotation->objects, look, rotation, &full));
    rotation->report.ended = !full;
    return report_answer(op, &rotation->report);
}

// {"days", "wallet", "endpoint", "user", "cursor", "limit"}
enum err report_rotation_run(struct op *op)
{
    struct rotation rotation = {.before = 0};
    enum err err = run(op, &rotation);
    report_done(&rotation.report);
    arena_freep(&rotation.scratch);
    return err;
}
