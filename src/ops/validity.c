// SPDX-License-Identifier: Apache-2.0
//
// How many days new certificates are valid. One that would outlive the authority ends with it.
#include "ops/ca.h"
#include "ops/certdoc.h"
#include "ops/verbs.h"

static enum err answer(struct op *op, const struct ca_days *days)
{
    return doc_answer(
        op, json_pack("{s:I, s:I, s:I, s:I}", "authority_days", (json_int_t)days->authority,
                      "server_days", (json_int_t)days->server, "console_days",
                      (json_int_t)days->console, "endpoint_days", (json_int_t)days->endpoint));
}

// {} → days of each kind
enum err validity_show_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct ca_days days;
    TRY(doc_params(op, &doc));
    TRY(ca_days_load(op->ops, op->arena, &days));
    return answer(op, &days);
}

// {"authority_days", "server_days", "console_days", "endpoint_days"} → days of each kind
enum err validity_set_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct ca_days days;
    TRY(doc_params(op, &doc));
    TRY(ca_days_load(op->ops, op->arena, &days));
    TRY(certdoc_days(doc, "authority_days", &days.authority));
    TRY(certdoc_days(doc, "server_days", &days.server));
    TRY(certdoc_days(doc, "console_days", &days.console));
    TRY(certdoc_days(doc, "endpoint_days", &days.endpoint));
    TRY(ca_days_store(op, &days));
    return answer(op, &days);
}
