// SPDX-License-Identifier: Apache-2.0
//
// One call: find the route, read query and document, ask the engine, answer. What goes wrong before
// an engine was asked has changed nothing, and the answer says so; what goes wrong afterwards says
// so only when the engine itself has refused.
#include "web/api.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "web/doc.h"
#include "web/openapi.h"
#include "web/query.h"
#include "web/route.h"

struct waiting {
    const struct route *route;
    struct uuid id;
    api_done done;
    void *context;
};

static void finish(struct answer *answer, enum err err, api_done done, void *context)
{
    if (err != ERR_OK) {
        // The document could not be made: a body that cannot fail.
        log_error("answer_failed", err);
        answer->status = 500;
        answer->content_type = "application/problem+json";
        buf_clear(&answer->body);
        if (buf_put_str(&answer->body, "{\"type\":\"/problems/internal\",\"status\":500}\n") !=
            ERR_OK)
            buf_clear(&answer->body);
    }
    done(context, answer);
    answer_done(answer);
}

static void refuse(const struct uuid *id, enum err code, const char *allow, unsigned retry_after_s,
                   api_done done, void *context)
{
    struct answer answer;
    answer_init(&answer, id);
    answer.retry_after_s = retry_after_s;
    if (code == ERR_OPERATION && allow != NULL)
        memcpy(answer.allow, allow, sizeof answer.allow);
    enum err err =
        answer_problem(&answer, code, span_str(err_message(code)), true, span_of(NULL, 0));
    finish(&answer, err, done, context);
}

void api_refuse(enum err code, unsigned retry_after_s, api_done done, void *context)
{
    struct uuid id = uuid_ordered(clock_wall_ms());
    refuse(&id, code, NULL, retry_after_s, done, context);
}

// The engine did not answer. A write may have happened all the same.
static enum err lost(const struct waiting *waiting, enum err status, struct answer *answer)
{
    bool unsure = status == ERR_UNAVAILABLE || status == ERR_TIMEOUT;
    bool writes = verb_writes(waiting->route->verb);
    char detail[512];
    if (!unsure)
        return answer_problem(answer, status, span_str(err_message(status)), true,
                              span_of(NULL, 0));
    (void)snprintf(detail, sizeof detail, "%s%s",
                   status == ERR_TIMEOUT ? "the server did not answer in time"
                                         : "a process of the server ended before it had answered",
                   writes ? ": whether the change was made is not known, look before you try again"
                          : ": try again");
    return answer_problem(answer, status, span_str(detail), !writes, span_of(NULL, 0));
}

static void engine_answered(void *context, enum err status, const struct replies *replies)
{
    struct waiting *waiting = context;
    struct answer answer;
    answer_init(&answer, &waiting->id);
    enum err err;
    if (status != ERR_OK) {
        err = lost(waiting, status, &answer);
    } else if (replies->items[0].status != ERR_OK) {
        const struct reply *reply = &replies->items[0];
        struct span detail =
            reply->message.len > 0 ? reply->message : span_str(err_info(reply->status)->text);
        err = answer_problem(&answer, reply->status, detail, true, reply->doc);
    } else if (strcmp(waiting->route->path, ROUTE_READY) == 0) {
        err = answer_readiness(&answer, replies->items[0].doc);
    } else {
        err = answer_document(&answer, waiting->route->status, replies->items[0].doc);
    }
    finish(&answer, err, waiting->done, waiting->context);
    free(waiting);
}

#define FIELD(verb, name, type, ...) {VERB_##verb, name, type},
static const struct {
    enum verb verb;
    const char *name;
    enum api_type type;
} fields[] = {API_FIELDS(FIELD)};
#undef FIELD

static enum api_type type_of(enum verb verb, const char *name)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (fields[i].verb == verb && strcmp(fields[i].name, name) == 0)
            return fields[i].type;
    }
    return API_TEXT;
}

// A field that stands in the query, with the type that it has in the document.
static enum err put_own(struct doc *doc, enum verb verb, const struct query_own *own)
{
    enum api_type type = type_of(verb, own->name);
    if (type == API_BOOLEAN) {
        if (strcmp(own->value, "true") == 0)
            return doc_put_true(doc, own->name);
        if (strcmp(own->value, "false") == 0)
            return ERR_OK;
        FAIL(ERR_INVALID, "the query parameter \"%s\" must be true or false", own->name);
    }
    if (type != API_INTEGER)
        return doc_put_text(doc, own->name, own->value);
    size_t digits = strspn(own->value, "0123456789");
    if (digits == 0 || digits > 9 || own->value[digits] != '\0')
        FAIL(ERR_INVALID, "the query parameter \"%s\" must be a number", own->name);
    return doc_put_number(doc, own->name, atol(own->value));
}

static enum err build_document(const struct api_call *call, const struct route_match *match,
                               struct doc **ret)
{
    struct query query;
    CLEANUP(doc_freep) struct doc *doc = NULL;
    TRY(query_parse(call->query, match->route->query, match->route->own, &query));
    bool get = strcmp(match->route->method, "GET") == 0;
    if (get && call->body.len > 0)
        FAIL(ERR_INVALID, "a GET request must not have a body");
    TRY(doc_parse(call->body, &doc));
    if (match->field[0] != '\0')
        TRY(doc_put_text(doc, match->field, match->value));
    if (query.dry_run)
        TRY(doc_put_true(doc, "dry_run"));
    if (query.limit > 0)
        TRY(doc_put_number(doc, "limit", query.limit));
    if (query.cursor[0] != '\0')
        TRY(doc_put_text(doc, "cursor", query.cursor));
    for (size_t i = 0; i < query.own_count; i++)
        TRY(put_own(doc, match->route->verb, &query.own[i]));
    *ret = doc;
    doc = NULL;
    return ERR_OK;
}

static bool is_slow(enum proc_role engine)
{
    return engine == ROLE_ADMIN || engine == ROLE_PEOPLE;
}

static enum err ask(struct engines *engines, const struct api_call *call,
                    const struct route_match *match, struct waiting *waiting)
{
    CLEANUP(doc_freep) struct doc *doc = NULL;
    TRY(build_document(call, match, &doc));
    struct request request = {
        .verb = match->route->verb, .maximum_items = -1, .has_current = false};
    TRY(doc_fill(doc, &request));
    struct batch batch = {.who = call->who,
                          .on_error = ON_ERROR_STOP,
                          .ordered = true,
                          .id = waiting->id,
                          .items = &request,
                          .count = 1};
    enum proc_role engine = match->route->engine;
    return engines_ask(engines, engine, &batch, is_slow(engine) ? API_ADMIN_MS : API_ENGINE_MS,
                       engine_answered, waiting);
}

// What the web process knows by itself: that it lives, and what it serves.
static void answer_itself(const struct route *route, const struct uuid *id, api_done done,
                          void *context)
{
    struct answer answer;
    struct span doc = span_str("{\"status\":\"alive\"}");
    if (strcmp(route->path, ROUTE_OPENAPI) == 0)
        doc = span_of(openapi_document, openapi_document_len);
    answer_init(&answer, id);
    enum err err = answer_document(&answer, 200, doc);
    finish(&answer, err, done, context);
}

void api_handle(struct engines *engines, const struct api_call *call, api_done done, void *context)
{
    struct uuid id = uuid_ordered(clock_wall_ms());
    struct route_match match;
    char allow[ROUTE_ALLOW_MAX];
    enum err err = route_find(call->method, call->path, &match, allow);
    if (err != ERR_OK) {
        refuse(&id, err, allow, 0, done, context);
        return;
    }
    if (match.route->verb == VERB_NONE) {
        answer_itself(match.route, &id, done, context);
        return;
    }
    struct waiting *waiting = malloc(sizeof *waiting);
    err = waiting == NULL ? ERR_MEMORY : ERR_OK;
    if (err == ERR_OK) {
        *waiting = (struct waiting){match.route, id, done, context};
        err = ask(engines, call, &match, waiting);
    }
    if (err != ERR_OK) {
        free(waiting);
        refuse(&id, err, NULL, 0, done, context);
    }
}
