// SPDX-License-Identifier: Apache-2.0
//
// web: routes, queries and documents are read strictly, secrets are lifted out of the document, and
// each call is answered once, also when its engine dies.
#include <event2/event.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/ipc.h"
#include "web/api.h"
#include "web/doc.h"
#include "web/openapi.h"
#include "web/query.h"
#include "web/route.h"
#include "web/wipe.h"

#include "tests/unit/check.h"

static void routes_are_found_by_method_and_path(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
        enum verb verb;
        const char *field, *value;
    } cases[] = {
        {"GET", "/api/v1/status", VERB_STATUS, "", ""},
        {"POST", "/api/v1/hsm:initialize", VERB_HSM_INITIALIZE, "", ""},
        {"GET", "/api/v1/endpoints", VERB_ENDPOINT_LIST, "", ""},
        {"GET", "/api/v1/endpoints/db1", VERB_ENDPOINT_SHOW, "name", "db1"},
        {"POST", "/api/v1/endpoints/db1:enroll", VERB_ENDPOINT_ENROLL, "name", "db1"},
        {"GET", "/api/v1/endpoints/a%3Ab%20c", VERB_ENDPOINT_SHOW, "name", "a:b c"},
        {"GET", "/api/v1/endpoints/%2541", VERB_ENDPOINT_SHOW, "name", "%41"}, // decoded once
        {"GET", "/api/v1/keys/x", VERB_KEY_SHOW, "id", "x"},
        {"POST", "/api/v1/audit:verify", VERB_AUDIT_VERIFY, "", ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct route_match match;
        char allow[ROUTE_ALLOW_MAX];
        OK(route_find(cases[i].method, span_str(cases[i].path), &match, allow));
        assert_int_equal(match.route->verb, cases[i].verb);
        assert_string_equal(match.field, cases[i].field);
        assert_string_equal(match.value, cases[i].value);
    }
}

static void wrong_paths_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
        enum err err;
    } cases[] = {
        {"GET", "/", ERR_NOT_FOUND},
        {"GET", "/api/v1/", ERR_NOT_FOUND},
        {"GET", "/api/v1/status/", ERR_NOT_FOUND},
        {"GET", "/api/v1//status", ERR_NOT_FOUND},
        {"GET", "/api/v1/%73tatus", ERR_NOT_FOUND},
        {"GET", "/api/v1/endpoints/", ERR_NOT_FOUND},
        {"POST", "/api/v1/endpoints/a:b:enroll", ERR_NOT_FOUND},
        {"GET", "/api/v1/endpoints/%zz", ERR_INVALID},
        {"GET", "/api/v1/endpoints/a%4", ERR_INVALID},
        {"GET", "/api/v1/endpoints/a%00", ERR_INVALID},
        {"GET", "/api/v1/endpoints/a%0d%0ab", ERR_INVALID},
        {"GET", "/api/v1/endpoints/a%2Fb", ERR_INVALID},
        {"GET", "/api/v1/endpoints/..", ERR_INVALID},
        {"GET", "/api/v1/endpoints/%2e%2e", ERR_INVALID},
        {"GET", "/api/v1/endpoints/%ff", ERR_INVALID},
        {"DELETE", "/api/v1/status", ERR_OPERATION},
        {"get", "/api/v1/status", ERR_OPERATION},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct route_match match;
        char allow[ROUTE_ALLOW_MAX];
        FAILS(cases[i].err, route_find(cases[i].method, span_str(cases[i].path), &match, allow));
    }
    struct route_match match;
    char allow[ROUTE_ALLOW_MAX];
    FAILS(ERR_OPERATION, route_find("PUT", span_str("/api/v1/endpoints"), &match, allow));
    assert_string_equal(allow, "GET, POST");
    char path[600] = "/api/v1/keys/";
    memset(path + 13, 'a', 300);
    FAILS(ERR_INVALID, route_find("GET", span_str(path), &match, allow));
}

static void every_route_has_an_engine_that_may_do_it(void **state)
{
    (void)state;
    const struct route *route;
    for (size_t i = 0; (route = route_at(i)) != NULL; i++) {
        if (route->verb == VERB_NONE)
            continue;
        assert_true(route->engine == ROLE_READER || route->engine == ROLE_WRITER ||
                    route->engine == ROLE_ADMIN || route->engine == ROLE_PEOPLE);
        assert_false(route->engine == ROLE_READER && verb_writes(route->verb));
        assert_false(strcmp(route->method, "GET") == 0 && verb_writes(route->verb));
    }
}

// Every route is described in /api/openapi.json, and nothing is described that is not served.
static void the_description_and_the_routes_are_the_same(void **state)
{
    (void)state;
    const struct route *route;
    size_t described = 0;
    size_t served = 0;
    const char *path;
    json_t *methods;
    json_t *root = json_loadb((const char *)openapi_document, openapi_document_len,
                              JSON_REJECT_DUPLICATES, NULL);
    json_t *paths = json_object_get(root, "paths");
    assert_true(json_is_object(paths));
    for (; (route = route_at(served)) != NULL; served++) {
        char method[16] = "";
        for (size_t i = 0; route->method[i] != '\0'; i++)
            method[i] = (char)(route->method[i] | 0x20);
        const json_t *row = json_object_get(json_object_get(paths, route->path), method);
        char status[8];
        (void)snprintf(status, sizeof status, "%d", route->status);
        if (json_object_get(json_object_get(row, "responses"), status) == NULL)
            fail_msg("%s %s is not described with status %s", route->method, route->path, status);
    }
    json_object_foreach(paths, path, methods)
    {
        described += json_object_size(methods);
    }
    assert_int_equal(described, served);
    json_decref(root);
}

static void queries_take_what_the_route_takes(void **state)
{
    (void)state;
    struct query query;
    OK(query_parse(span_str("limit=20&cursor=a%20b"), ROUTE_PAGE, "", &query));
    assert_int_equal(query.limit, 20);
    assert_string_equal(query.cursor, "a b");
    OK(query_parse(span_str("dry_run=true"), ROUTE_DRY_RUN, "", &query));
    assert_true(query.dry_run);
    OK(query_parse(span_str(""), 0, "", &query));
    static const char *const bad[] = {
        "limit=-1",        "limit=0",     "limit=1001", "limit=1000000000000", "limit=1x", "limit=",
        "limit=1&limit=2", "dry_run=yes", "cursor=",    "fields=material",     "LIMIT=1",  "limit",
        "cursor=%00",      "cursor=a&x",  "limit=+5",   "limit=0x5",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        FAILS(ERR_INVALID, query_parse(span_str(bad[i]), ROUTE_PAGE | ROUTE_DRY_RUN, "", &query));
    FAILS(ERR_INVALID, query_parse(span_str("dry_run=true"), ROUTE_PAGE, "", &query));
    OK(query_parse(span_str("state=active&owner=a%26b"), 0, "owner,state", &query));
    assert_int_equal(query.own_count, 2);
    assert_string_equal(query.own[0].name, "state");
    assert_string_equal(query.own[1].value, "a&b");
    FAILS(ERR_INVALID, query_parse(span_str("state=a&state=b"), 0, "owner,state", &query));
    FAILS(ERR_INVALID, query_parse(span_str("stat=a"), 0, "owner,state", &query));
    FAILS(ERR_INVALID, query_parse(span_str("owner,state=a"), 0, "owner,state", &query));
    FAILS(ERR_INVALID, query_parse(span_str("=a"), 0, "owner,state", &query));
}

static void documents_are_read_strictly(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "[]",
        "1",
        "\"x\"",
        "{",
        "{}{}",
        "{} x",
        "{\"a\":1,\"a\":2}",
        "{\"a\":{\"b\":1,\"b\":1}}",
        "{\"a\":1,}",
        "{\"a\":NaN}",
        "{\"a\":1e400}",
        "{\"a\":9223372036854775808}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\u0000\"}",
        "{\"a\":\"\xff\"}",
        "\xef\xbb\xbf{}",
        "{'a':1}",
        "{\"a\":01}",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct doc *doc = NULL;
        FAILS(ERR_MESSAGE, doc_parse(span_str(bad[i]), &doc));
    }
    char deep[64];
    struct doc *doc = NULL;
    memset(deep, '[', sizeof deep);
    memcpy(deep, "{\"a\":", 5);
    FAILS(ERR_MESSAGE, doc_parse(span_of(deep, sizeof deep), &doc));
    assert_non_null(strstr(err_detail(), "deeper"));
    OK(doc_parse(span_str("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[\\\"[[[[\"}"), &doc));
    doc_free(doc);
}

static void an_error_in_a_document_quotes_no_secret(void **state)
{
    (void)state;
    struct doc *doc = NULL;
    FAILS(ERR_MESSAGE, doc_parse(span_str("{\"credential\":\"geheim\",geheim}"), &doc));
    assert_null(strstr(err_detail(), "geheim"));
    FAILS(ERR_MESSAGE, doc_parse(span_str("{\"geheim\":1,\"geheim\":2}"), &doc));
    assert_null(strstr(err_detail(), "geheim"));
}

static void secrets_are_lifted_out_of_the_document(void **state)
{
    (void)state;
    CLEANUP(doc_freep) struct doc *doc = NULL;
    struct request request = {.verb = VERB_HSM_INITIALIZE};
    OK(doc_parse(span_str("{\"vendor\":\"Thales\",\"credential\":\"p\\u00efn \\\"1\\\"\","
                          "\"recovery_passphrase\":\"phrase\"}"),
                 &doc));
    OK(doc_put_true(doc, "dry_run"));
    OK(doc_fill(doc, &request));
    assert_true(span_eq_str(request.doc, "{\"vendor\":\"Thales\",\"dry_run\":true}"));
    assert_int_equal(request.secret_count, 2);
    assert_true(span_eq_str(request.secrets[0].name, "credential"));
    assert_true(span_eq_str(request.secrets[0].value, "p\xc3\xafn \"1\""));
    assert_true(span_eq_str(request.secrets[1].name, "recovery_passphrase"));
    assert_true(span_eq_str(request.secrets[1].value, "phrase"));
}

static void secrets_must_be_texts_of_a_sensible_length(void **state)
{
    (void)state;
    static const char *const bad[] = {"{\"credential\":1}", "{\"token\":null}",
                                      "{\"recovery_passphrase\":[\"a\"]}",
                                      "{\"new_recovery_passphrase\":{}}"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct doc *doc = NULL;
        FAILS(ERR_INVALID, doc_parse(span_str(bad[i]), &doc));
    }
    char text[DOC_SECRET_MAX + 64];
    struct doc *doc = NULL;
    int len = snprintf(text, sizeof text, "{\"credential\":\"%0*d\"}", DOC_SECRET_MAX + 1, 0);
    FAILS(ERR_INVALID, doc_parse(span_of(text, (size_t)len), &doc));
}

static void what_stands_in_the_address_must_not_stand_in_the_body(void **state)
{
    (void)state;
    CLEANUP(doc_freep) struct doc *doc = NULL;
    OK(doc_parse(span_str("{\"name\":\"other\"}"), &doc));
    FAILS(ERR_INVALID, doc_put_text(doc, "name", "db1"));
}

// ---- calls ----

struct heard {
    int count;
    int status;
    char body[1024];
};

static void hear(void *context, const struct answer *answer)
{
    struct heard *heard = context;
    heard->count++;
    heard->status = answer->status;
    (void)snprintf(heard->body, sizeof heard->body, "%.*s", (int)answer->body.len,
                   (const char *)answer->body.data);
}

struct bench {
    struct event_base *base;
    struct engines *engines;
    struct ipc *engine; // the other end of the channel to the writer
    struct heard heard;
};

static int bench_open(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    int pair[2];
    assert_non_null(bench);
    bench->base = event_base_new();
    OK(engines_new(bench->base, &bench->engines));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    OK(engines_attach(bench->engines, ROLE_WRITER, 0, pair[0]));
    OK(ipc_new(pair[1], &bench->engine));
    *state = bench;
    return 0;
}

static int bench_close(void **state)
{
    struct bench *bench = *state;
    engines_free(bench->engines);
    event_base_free(bench->base);
    ipc_free(bench->engine);
    free(bench);
    return 0;
}

static void call(struct bench *bench, const char *method, const char *path, const char *query,
                 const char *body)
{
    struct api_call call = {.method = method,
                            .path = span_str(path),
                            .query = span_str(query),
                            .body = span_str(body),
                            .who = {.kind = PRINCIPAL_LOCAL, .uid = 4711}};
    bench->heard = (struct heard){0};
    api_handle(bench->engines, &call, hear, &bench->heard);
}

// What the engine has been asked; the frame's id for the answer.
static uint64_t take(struct bench *bench, struct arena *arena, struct batch *ret)
{
    struct ipc_frame frame;
    OK(ipc_fill(bench->engine));
    assert_true(ipc_next(bench->engine, &frame));
    OK(model_get_batch(frame.body, arena, ret));
    return frame.id;
}

static void reply(struct bench *bench, uint64_t id, struct reply *item)
{
    struct replies replies = {item, 1};
    struct buf *body;
    OK(ipc_begin(bench->engine, MODEL_FRAME_BATCH, 0, id, &body));
    OK(model_put_replies(body, &replies));
    OK(ipc_end(bench->engine));
    OK(ipc_flush_wait(bench->engine, 1000));
    assert_int_equal(event_base_loop(bench->base, EVLOOP_ONCE), 0);
}

static void a_call_becomes_a_request_and_its_reply_an_answer(void **state)
{
    struct bench *bench = *state;
    CLEANUP(arena_freep) struct arena *arena = NULL;
    OK(arena_new(1 << 20, &arena));
    call(bench, "POST", "/api/v1/endpoints", "dry_run=true", "{\"name\":\"db1\",\"token\":\"t\"}");
    assert_int_equal(bench->heard.count, 0);
    struct batch batch;
    uint64_t id = take(bench, arena, &batch);
    assert_int_equal(batch.who.kind, PRINCIPAL_LOCAL);
    assert_int_equal(batch.who.uid, 4711);
    assert_int_equal(batch.count, 1);
    assert_int_equal(batch.items[0].verb, VERB_ENDPOINT_ADD);
    assert_true(span_eq_str(batch.items[0].doc, "{\"name\":\"db1\",\"dry_run\":true}"));
    assert_int_equal(batch.items[0].secret_count, 1);
    assert_true(span_eq_str(batch.items[0].secrets[0].value, "t"));
    reply(bench, id, &(struct reply){.doc = span_str("{\"id\":\"x\"}")});
    assert_int_equal(bench->heard.count, 1);
    assert_int_equal(bench->heard.status, 201);
    assert_string_equal(bench->heard.body, "{\"id\":\"x\"}\n");
}

static void an_engines_refusal_is_a_problem_that_changed_nothing(void **state)
{
    struct bench *bench = *state;
    CLEANUP(arena_freep) struct arena *arena = NULL;
    OK(arena_new(1 << 20, &arena));
    struct batch batch;
    call(bench, "POST", "/api/v1/keys", "", "");
    uint64_t id = take(bench, arena, &batch);
    reply(bench, id,
          &(struct reply){.status = ERR_HSM_PIN,
                          .message = span_str("the HSM says \"no\""),
                          .doc = span_str("{\"steps\":[]}")});
    assert_int_equal(bench->heard.status, 422);
    assert_non_null(strstr(bench->heard.body, "\"type\":\"/problems/hsm/pin\""));
    assert_non_null(strstr(bench->heard.body, "\"detail\":\"the HSM says \\\"no\\\"\""));
    assert_non_null(strstr(bench->heard.body, "\"changed\":false"));
    assert_non_null(strstr(bench->heard.body, "\"report\":{\"steps\":[]}"));
    assert_non_null(strstr(bench->heard.body, "\"request_id\":\""));
    call(bench, "POST", "/api/v1/keys", "", "");
    id = take(bench, arena, &batch);
    reply(bench, id, &(struct reply){.status = ERR_TIMEOUT, .unsure = true});
    assert_int_equal(bench->heard.status, 504);
    assert_null(strstr(bench->heard.body, "\"changed\""));
}

static void a_write_whose_engine_dies_is_not_said_to_have_changed_nothing(void **state)
{
    struct bench *bench = *state;
    call(bench, "POST", "/api/v1/keys", "", "{}");
    assert_int_equal(bench->heard.count, 0);
    ipc_freep(&bench->engine);
    assert_int_equal(event_base_loop(bench->base, EVLOOP_ONCE), 0);
    assert_int_equal(bench->heard.count, 1);
    assert_int_equal(bench->heard.status, 503);
    assert_null(strstr(bench->heard.body, "changed"));
    assert_non_null(strstr(bench->heard.body, "not known"));
    assert_int_equal(engines_waiting(bench->engines), 0);
    // Nobody is there any more: nothing is sent, and that is said.
    call(bench, "POST", "/api/v1/keys", "", "{}");
    assert_int_equal(bench->heard.status, 503);
    assert_non_null(strstr(bench->heard.body, "\"changed\":false"));
}

static void an_engine_that_is_started_again_is_asked_again(void **state)
{
    struct bench *bench = *state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    call(bench, "POST", "/api/v1/keys", "", "{}");
    OK(engines_attach(bench->engines, ROLE_WRITER, 0, pair[0]));
    assert_int_equal(bench->heard.status, 503);
    ipc_freep(&bench->engine);
    OK(ipc_new(pair[1], &bench->engine));
    CLEANUP(arena_freep) struct arena *arena = NULL;
    OK(arena_new(1 << 20, &arena));
    struct batch batch;
    call(bench, "POST", "/api/v1/keys", "", "{}");
    reply(bench, take(bench, arena, &batch), &(struct reply){.doc = span_str("{}")});
    assert_int_equal(bench->heard.status, 201);
}

static void replies_that_are_no_json_are_a_fault_of_the_server(void **state)
{
    struct bench *bench = *state;
    CLEANUP(arena_freep) struct arena *arena = NULL;
    OK(arena_new(1 << 20, &arena));
    struct batch batch;
    call(bench, "POST", "/api/v1/keys", "", "{}");
    reply(bench, take(bench, arena, &batch), &(struct reply){.doc = span_str("[1]")});
    assert_int_equal(bench->heard.count, 1);
    assert_int_equal(bench->heard.status, 500);
}

static void calls_that_cannot_be_asked_are_answered_at_once(void **state)
{
    struct bench *bench = *state;
    static const struct {
        const char *method, *path, *query, *body;
        int status;
    } cases[] = {
        {"GET", "/healthz", "", "", 200},
        {"GET", "/nowhere", "", "", 404},
        {"PUT", "/api/v1/keys", "", "", 405},
        {"POST", "/api/v1/keys", "x=1", "", 400},
        {"POST", "/api/v1/keys", "", "{\"a\":1,\"a\":1}", 400},
        {"GET", "/api/v1/keys", "", "{}", 400},      // a body on GET
        {"GET", "/api/v1/keys", "", "", 503},        // no reader
        {"POST", "/api/v1/hsm:verify", "", "", 503}, // no admin engine
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        call(bench, cases[i].method, cases[i].path, cases[i].query, cases[i].body);
        assert_int_equal(bench->heard.count, 1);
        assert_int_equal(bench->heard.status, cases[i].status);
        if (cases[i].status >= 400)
            assert_non_null(strstr(bench->heard.body, "\"changed\":false"));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_are_found_by_method_and_path),
        cmocka_unit_test(wrong_paths_are_refused),
        cmocka_unit_test(every_route_has_an_engine_that_may_do_it),
        cmocka_unit_test(the_description_and_the_routes_are_the_same),
        cmocka_unit_test(queries_take_what_the_route_takes),
        cmocka_unit_test(documents_are_read_strictly),
        cmocka_unit_test(an_error_in_a_document_quotes_no_secret),
        cmocka_unit_test(secrets_are_lifted_out_of_the_document),
        cmocka_unit_test(secrets_must_be_texts_of_a_sensible_length),
        cmocka_unit_test(what_stands_in_the_address_must_not_stand_in_the_body),
#define CALL_TEST(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)
        CALL_TEST(a_call_becomes_a_request_and_its_reply_an_answer),
        CALL_TEST(an_engines_refusal_is_a_problem_that_changed_nothing),
        CALL_TEST(a_write_whose_engine_dies_is_not_said_to_have_changed_nothing),
        CALL_TEST(an_engine_that_is_started_again_is_asked_again),
        CALL_TEST(replies_that_are_no_json_are_a_fault_of_the_server),
        CALL_TEST(calls_that_cannot_be_asked_are_answered_at_once),
    };
    wipe_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
