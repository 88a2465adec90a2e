// SPDX-License-Identifier: Apache-2.0
//
// Metrics as OpenMetrics 1.0 text. No name and no identifier stands in it: whoever scrapes need not
// be trusted with those.
#include "keyring/keyring.h"
#include "ops/count.h"
#include "ops/doc.h"
#include "ops/verbs.h"

enum { METRICS_BYTES_MAX = 256 * 1024, PAGE = 500 };

static enum err put_family(struct buf *out, const char *name, const char *type, const char *help)
{
    return buf_printf(out, "# TYPE %s %s\n# HELP %s %s\n", name, type, name, help);
}

static enum err put_requests(const struct count_sums *sums, struct buf *out)
{
    const struct count_row *row;
    const char *name;
    TRY(put_family(out, "keyward_requests", "counter", "Requests by operation and result."));
    for (size_t i = 0; count_at(sums, i, &name, &row); i++) {
        TRY(buf_printf(out, "keyward_requests_total{op=\"%s\",result=\"done\"} %llu\n", name,
                       (unsigned long long)row->done));
        TRY(buf_printf(out, "keyward_requests_total{op=\"%s\",result=\"refused\"} %llu\n", name,
                       (unsigned long long)row->refused));
        TRY(buf_printf(out, "keyward_requests_total{op=\"%s\",result=\"failed\"} %llu\n", name,
                       (unsigned long long)row->failed));
    }
    return ERR_OK;
}

static enum err put_histogram(const char *name, const struct count_row *row, struct buf *out)
{
    uint64_t sum = 0;
    for (size_t k = 0; k < COUNT_BUCKETS; k++) {
        char end[32] = "+Inf";
        if (k < COUNT_BUCKETS - 1)
            (void)snprintf(end, sizeof end, "%g", count_ends_us[k] / 1e6);
        sum += row->buckets[k];
        TRY(buf_printf(out, "keyward_request_seconds_bucket{op=\"%s\",le=\"%s\"} %llu\n", name, end,
                       (unsigned long long)sum));
    }
    TRY(buf_printf(out, "keyward_request_seconds_count{op=\"%s\"} %llu\n", name,
                   (unsigned long long)sum));
    return buf_printf(out, "keyward_request_seconds_sum{op=\"%s\"} %.6f\n", name,
                      (double)row->microseconds / 1e6);
}

static enum err put_durations(const struct count_sums *sums, struct buf *out)
{
    const struct count_row *row;
    const char *name;
    TRY(put_family(out, "keyward_request_seconds", "histogram",
                   "Time in the engine, without the wait for a commit."));
    for (size_t i = 0; count_at(sums, i, &name, &row); i++)
        TRY(put_histogram(name, row, out));
    return ERR_OK;
}

static enum err put_gauge(struct buf *out, const char *name, const char *help, long long value)
{
    TRY(put_family(out, name, "gauge", help));
    return buf_printf(out, "%s %lld\n", name, value);
}

static enum err put_hsm(const struct op *op, struct buf *out)
{
    struct keyring_health health;
    bool answers = op->ops->keeper != NULL && keyring_health(op->ops->keeper, 0, &health) == ERR_OK;
    TRY(put_gauge(out, "keyward_serving", "1 when keys are served.", op->ops->open));
    TRY(put_gauge(out, "keyward_keeper_up", "1 when the key process answers.", answers));
    if (!answers)
        return ERR_OK;
    TRY(put_gauge(out, "keyward_hsm_enabled", "1 when the root of trust is an HSM.",
                  health.hsm_enabled));
    if (!health.hsm_enabled || !health.known)
        return ERR_OK;
    TRY(put_gauge(out, "keyward_hsm_up", "1 when the last check of the HSM was good.", health.up));
    TRY(put_gauge(out, "keyward_hsm_last_check_timestamp_seconds", "When the HSM was checked last.",
                  health.checked_ms / 1000));
    TRY(put_family(out, "keyward_hsm_check_seconds", "gauge", "How long the last check took."));
    return buf_printf(out, "keyward_hsm_check_seconds %.3f\n", (double)health.latency_ms / 1e3);
}

static enum err put_objects(const struct op *op, struct buf *out)
{
    struct store_query query = {.any_owner = true, .limit = 1};
    uint64_t objects = 0;
    TRY(store_object_count(op->ops->set.store, &query, &objects));
    return put_gauge(out, "keyward_objects", "Managed objects, destroyed ones too.",
                     (long long)objects);
}

static enum err put_endpoints(const struct op *op, struct buf *out)
{
    static const char *const names[] = {
        [ENDPOINT_REGISTERED] = "registered",
        [ENDPOINT_ENROLLED] = "enrolled",
        [ENDPOINT_SUSPENDED] = "suspended",
    };
    uint64_t counts[ENDPOINT_SUSPENDED + 1] = {0};
    struct uuid after = {{0}};
    for (size_t count = PAGE; count == PAGE;) {
        struct store_endpoint *rows = NULL;
        TRY(store_endpoint_list(op->ops->set.store, &after, PAGE, op->arena, &rows, &count));
        for (size_t i = 0; i < count; i++) {
            if (rows[i].state <= ENDPOINT_SUSPENDED)
                counts[rows[i].state]++;
        }
        if (count > 0)
            after = rows[count - 1].id;
    }
    TRY(put_family(out, "keyward_endpoints", "gauge", "Endpoints by state."));
    for (int state = ENDPOINT_REGISTERED; state <= ENDPOINT_SUSPENDED; state++)
        TRY(buf_printf(out, "keyward_endpoints{state=\"%s\"} %llu\n", names[state],
                       (unsigned long long)counts[state]));
    return ERR_OK;
}

// {} → {"text": OpenMetrics}
enum err metrics_show_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct count_sums *sums = NULL;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, METRICS_BYTES_MAX, false);
    TRY(doc_params(op, &doc));
    TRY(count_sum(op->ops->set.root, op->arena, &sums));
    TRY(put_family(&out, "keyward_build", "info", "The release that runs."));
    TRY(buf_printf(&out, "keyward_build_info{version=\"%s\"} 1\n", KEYWARD_VERSION));
    TRY(put_hsm(op, &out));
    TRY(put_objects(op, &out));
    TRY(put_endpoints(op, &out));
    TRY(put_requests(sums, &out));
    TRY(put_durations(sums, &out));
    TRY(buf_put_str(&out, "# EOF\n"));
    return doc_answer(op, json_pack("{s:o}", "text", doc_string(span_buf(&out))));
}
