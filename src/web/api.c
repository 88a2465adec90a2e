// SPDX-License-Identifier: Apache-2.0
//
// One call: find the route, read query and document, ask the engine, answer. What goes wrong before
// an engine was asked has changed nothing, and the answer says so; what goes wrong afterwards says
// so only when the engine itself has refused and knows what came of it.
#include "web/api.h"

#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "web/doc.h"
#include "web/openapi.h"
#include "web/operations.h"
#include "web/query.h"
#include "web/route.h"
#include "web/signin.h"

enum { ONCE_MAX = 128, IF_MATCH_MAX = 1024 };

struct waiting {
    const struct route *route;
    struct uuid id;
    struct signin signin;
    char page[ANSWER_LINK_MAX + 1]; // address of a list, to which the next page's cursor is added
    bool csv;                       // the list is wanted as comma-separated values
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

// True when the route tells of a long operation, which this process knows.
static bool is_about_operation(const struct route *route)
{
    return route->verb == VERB_OPERATION_SHOW || route->verb == VERB_OPERATION_EVENTS;
}

static enum err succeed(const struct waiting *waiting, const struct reply *reply,
                        struct answer *answer)
{
    if (is_about_operation(waiting->route)) // known to the engine only as somebody's question
        return answer_problem(answer, ERR_NOT_FOUND,
                              span_str("there is no such operation, or not yours"), true,
                              span_of(NULL, 0));
    if (strcmp(waiting->route->path, ROUTE_READY) == 0)
        return answer_readiness(answer, reply->doc);
    if (strcmp(waiting->route->path, ROUTE_METRICS) == 0)
        return answer_text(answer, reply->doc);
    if (waiting->route->media[0] != '\0')
        return answer_bytes(answer, waiting->route->status, waiting->route->media, reply->doc);
    if (reply->etag.len <= ANSWER_ETAG_MAX && reply->etag.len > 0)
        memcpy(answer->etag, reply->etag.data, reply->etag.len);
    if (waiting->page[0] != '\0')
        TRY(answer_link(answer, waiting->page, reply->doc));
    if (waiting->csv)
        return answer_csv(answer, reply->doc);
    return signin_answer(&waiting->signin, answer, waiting->route->status, reply->doc);
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
        err = answer_problem(&answer, reply->status, detail, !reply->unsure, reply->doc);
        signin_refused(&waiting->signin, &answer);
    } else {
        err = succeed(waiting, &replies->items[0], &answer);
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

// A key that makes the request be done once, and a condition for an edit. A dry run does nothing
// anyhow.
static enum err take_conditions(const struct api_call *call, struct request *request)
{
    static const char dry[] = "dry_run=true";
    if (call->headers == NULL || !verb_writes(request->verb))
        return ERR_OK;
    const struct span *once = http_header(call->headers, "idempotency-key");
    const struct span *match = http_header(call->headers, "if-match");
    if (once != NULL && (once->len == 0 || once->len > ONCE_MAX))
        FAIL(ERR_INVALID, "the \"Idempotency-Key\" must have 1 to %d characters", ONCE_MAX);
    if (match != NULL && (match->len == 0 || match->len > IF_MATCH_MAX ||
                          memmem(match->data, match->len, "W/", 2) != NULL))
        FAIL(ERR_INVALID, "the \"If-Match\" must hold strong tags, at most %d characters",
             IF_MATCH_MAX);
    bool dry_run = memmem(call->query.data, call->query.len, dry, sizeof dry - 1) != NULL;
    if (once != NULL && !dry_run)
        request->once = *once;
    if (match != NULL)
        request->if_match = *match;
    return ERR_OK;
}

// The next part of a list, taken off its front.
static struct span next_part(struct span *rest, char between)
{
    const uint8_t *end = memchr(rest->data, between, rest->len);
    size_t len = end == NULL ? rest->len : (size_t)(end - rest->data);
    struct span part = span_of(rest->data, len);
    size_t used = len < rest->len ? len + 1 : len;
    *rest = span_of(rest->data + used, rest->len - used);
    return part;
}

static bool is_plain(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (strchr("<>\"\\", text.data[i]) != NULL)
            return false;
    }
    return true;
}

static enum err put_page(const struct api_call *call, struct buf *out)
{
    struct span rest = call->query;
    uint8_t sign = '?';
    TRY(buf_put(out, call->path));
    while (rest.len > 0) {
        struct span pair = next_part(&rest, '&');
        if (pair.len == 0 || (pair.len >= 7 && memcmp(pair.data, "cursor=", 7) == 0))
            continue;
        TRY(buf_put_u8(out, sign));
        TRY(buf_put(out, pair));
        sign = '&';
    }
    TRY(buf_put_u8(out, sign));
    return buf_put(out, span_of("cursor=", sizeof "cursor="));
}

// The address of a list without its cursor, so that the next page's can be added; none where it is
// too long to be told.
static void take_page(const struct api_call *call, const struct route_match *match,
                      struct waiting *waiting)
{
    struct buf page CLEANUP(buf_done);
    buf_init(&page, sizeof waiting->page / 2, false);
    if ((match->route->query & ROUTE_PAGE) != 0 && is_plain(call->path) && is_plain(call->query) &&
        put_page(call, &page) == ERR_OK)
        memcpy(waiting->page, page.data, page.len);
}

static bool begins_with(struct span text, const char *word)
{
    size_t len = strlen(word);
    return text.len >= len && strncasecmp((const char *)text.data, word, len) == 0;
}

// Whether "Accept" names text/csv before whatever JSON would do for. Weights are not looked at.
static bool wants_csv(const struct api_call *call, const struct route *route)
{
    const struct span *accept = call->headers == NULL ? NULL : http_header(call->headers, "accept");
    if (accept == NULL || (route->query & ROUTE_PAGE) == 0)
        return false;
    for (struct span rest = *accept; rest.len > 0;) {
        struct span range = next_part(&rest, ',');
        while (range.len > 0 && *range.data == ' ')
            range = span_of(range.data + 1, range.len - 1);
        if (begins_with(range, "text/csv") || begins_with(range, "text/*"))
            return true;
        if (begins_with(range, "application/") || begins_with(range, "*"))
            return false;
    }
    return false;
}

// *ret_done false: it is not there, and the engine has to say whether that may be told.
static enum err show_operation(const struct api_call *call, const struct route_match *match,
                               struct waiting *waiting, bool *ret_done)
{
    bool stream = match->route->verb == VERB_OPERATION_EVENTS;
    *ret_done = false;
    if (call->operations == NULL || !is_about_operation(match->route))
        return ERR_OK;
    enum err err = operations_show(call->operations, call, match->value, stream, waiting->done,
                                   waiting->context);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(err);
    *ret_done = true;
    free(waiting);
    return ERR_OK;
}

static enum err ask(struct engines *engines, const struct api_call *call,
                    const struct route_match *match, struct waiting *waiting)
{
    CLEANUP(doc_freep) struct doc *doc = NULL;
    bool shown;
    TRY(build_document(call, match, &doc));
    TRY(show_operation(call, match, waiting, &shown));
    if (shown)
        return ERR_OK;
    TRY(signin_of(call, match, doc, &waiting->signin));
    take_page(call, match, waiting);
    waiting->csv = wants_csv(call, match->route);
    struct request request = {
        .verb = match->route->verb, .maximum_items = -1, .has_current = false};
    TRY(take_conditions(call, &request));
    TRY(doc_fill(doc, &request));
    if (call->operations != NULL && operations_wants(call, match->route)) {
        struct doc *given = doc;
        doc = NULL;
        TRY(operations_begin(call->operations, call, &request, given, waiting->done,
                             waiting->context));
        free(waiting);
        return ERR_OK;
    }
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
        *waiting =
            (struct waiting){.route = match.route, .id = id, .done = done, .context = context};
        err = ask(engines, call, &match, waiting);
    }
    if (err != ERR_OK) {
        free(waiting);
        refuse(&id, err, NULL, 0, done, context);
    }
}
