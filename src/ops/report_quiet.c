// SPDX-License-Identifier: Apache-2.0
//
// Endpoints that have been quiet: of those that stand, whom nobody needs any more. Order is that of
// registration.
#include "ops/authority.h"
#include "ops/endpoint.h"
#include "ops/report.h"
#include "ops/verbs.h"

enum { DAYS_USUAL = 30, BATCH = 250, BATCH_BYTES = 64 * 1024 * 1024 };

struct quiet {
    struct report report;
    int64_t before; // seconds: not seen since then
    bool never;     // only those that were never seen
    bool any;       // the asker sees every endpoint
};

static enum err take(struct op *op, struct quiet *quiet)
{
    int64_t days = 0;
    TRY(report_days(&quiet->report, DAYS_USUAL, &days));
    quiet->before = op->now - days * REPORT_DAY_S;
    quiet->never = json_is_true(json_object_get(quiet->report.doc, "never"));
    quiet->any = authority_is_general(op);
    return ERR_OK;
}

static enum err add(struct op *op, struct quiet *quiet, const struct store_endpoint *row,
                    int64_t seen)
{
    struct peer_record record;
    int64_t since = seen != 0 ? seen : row->created;
    TRY(peer_open(op->ops, op->arena, row, &record));
    return report_add(&quiet->report,
                      json_pack("{s:o, s:o, s:s, s:o, s:I, s:o, s:o, s:o}", "name",
                                doc_string(record.name), "type", doc_string(record.type), "state",
                                endpoint_state_name(row->state), "last_seen", doc_time(seen),
                                "quiet_days", report_days_since(since, op->now), "created",
                                doc_time(row->created), "enrolled", doc_time(row->enrolled), "id",
                                doc_uuid(&row->id)));
}

static enum err look(struct op *op, struct quiet *quiet, const struct store_endpoint *row)
{
    int64_t seen = 0;
    bool visible = quiet->any;
    TRY(store_seen_get(op->ops->set.store, &row->id, &seen));
    bool is_quiet = seen == 0 || (!quiet->never && seen <= quiet->before);
    if (is_quiet && !visible)
        TRY(report_manages(op, &row->id, &visible));
    return is_quiet && visible ? add(op, quiet, row, seen) : ERR_OK;
}

// *ret_full: the page is.
static enum err look_at_batch(struct op *op, struct quiet *quiet, struct arena *arena,
                              bool *ret_full)
{
    struct store_endpoint *rows = NULL;
    size_t count = 0;
    struct report *report = &quiet->report;
    arena_reset(arena);
    TRY(store_endpoint_list(op->ops->set.store, &report->place.at[0], BATCH, arena, &rows, &count));
    for (size_t i = 0; i < count; i++) {
        *ret_full = !report_goes_on(report);
        if (*ret_full)
            return ERR_OK;
        TRY(look(op, quiet, &rows[i]));
        report->place.at[0] = rows[i].id;
    }
    report->ended = count < BATCH;
    return ERR_OK;
}

static enum err look_at_all(struct op *op, struct quiet *quiet)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    bool full = false;
    TRY(arena_new(BATCH_BYTES, &arena));
    while (!full && !quiet->report.ended)
        TRY(look_at_batch(op, quiet, arena, &full));
    return ERR_OK;
}

static enum err look_at_one(struct op *op, struct quiet *quiet, struct span name)
{
    struct store_endpoint row;
    bool visible = quiet->any;
    TRY(endpoint_find(op, name, &row));
    if (!visible)
        TRY(report_manages(op, &row.id, &visible));
    if (!visible)
        FAIL(ERR_NOT_FOUND, "there is no endpoint \"%.*s\"", (int)name.len,
             (const char *)name.data);
    quiet->report.ended = true;
    return look(op, quiet, &row);
}

static enum err run(struct op *op, struct quiet *quiet)
{
    struct span name;
    TRY(report_begin(op, "quiet", &quiet->report));
    TRY(take(op, quiet));
    TRY(doc_text(quiet->report.doc, "endpoint", ENDPOINT_NAME_MAX, false, &name));
    TRY(name.len > 0 ? look_at_one(op, quiet, name) : look_at_all(op, quiet));
    return report_answer(op, &quiet->report);
}

// {"days", "never", "endpoint", "cursor", "limit"}
enum err report_quiet_run(struct op *op)
{
    struct quiet quiet = {.any = false};
    enum err err = run(op, &quiet);
    report_done(&quiet.report);
    return err;
}
