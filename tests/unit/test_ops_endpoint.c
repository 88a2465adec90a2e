// SPDX-License-Identifier: Apache-2.0
//
// The life of an endpoint: each change holds from the next request on; tokens are refused after
// five wrong ones; certificates overlap as long as they may; an endpoint that owns objects stays.
#include <poll.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/paths.h"
#include "tests/unit/ops_rig.h"

enum { DEADLINE_MS = 60 * 1000 };

static bool answers(const char *text)
{
    return memmem(rig.reply.doc.data, rig.reply.doc.len, text, strlen(text)) != NULL;
}

static bool says(const char *text)
{
    return memmem(rig.reply.message.data, rig.reply.message.len, text, strlen(text)) != NULL;
}

static enum err on(enum verb verb, const char *name)
{
    char doc[256];
    (void)snprintf(doc, sizeof doc, "{\"name\":\"%s\"}", name);
    return admin(verb, doc, NULL, NULL);
}

// A document with a new certificate request, and the fingerprint of the certificate in the answer.
static enum err certify(enum verb verb, const char *name, const char *more, const char *token,
                        uint8_t ret_fingerprint[32])
{
    char doc[4096];
    struct buf key CLEANUP(buf_done);
    struct buf csr CLEANUP(buf_done);
    buf_init(&key, 8192, true);
    buf_init(&csr, 8192, false);
    OK(pki_make_key(&key));
    OK(pki_make_csr(span_buf(&key), name, &csr));
    size_t used = (size_t)snprintf(doc, sizeof doc, "{\"name\":\"%s\"%s,\"csr\":\"", name, more);
    for (size_t i = 0; i < csr.len; i++)
        used += (size_t)snprintf(doc + used, sizeof doc - used, csr.data[i] == '\n' ? "\\n" : "%c",
                                 csr.data[i]);
    (void)snprintf(doc + used, sizeof doc - used, "\"}");
    enum err err = admin(verb, doc, token == NULL ? NULL : "token", token);
    if (err != ERR_OK)
        return err;
    char *pem = strdup(answer_text("certificate"));
    assert_non_null(pem);
    char *out = pem;
    for (const char *in = pem; *in != '\0'; in++) {
        bool is_newline = in[0] == '\\' && in[1] == 'n';
        *out++ = is_newline ? '\n' : *in;
        in += is_newline;
    }
    *out = '\0';
    OK(pki_fingerprint(span_str(pem), ret_fingerprint));
    free(pem);
    return ERR_OK;
}

static enum err locate_as(const uint8_t fingerprint[32])
{
    struct request request = {.verb = VERB_LOCATE};
    return run_as(endpoint(fingerprint), &request);
}

static void a_suspended_endpoint_is_refused_from_the_next_request_on(void **state)
{
    (void)state;
    OK(locate_as(rig.client));
    OK(on(VERB_ENDPOINT_SUSPEND, "client"));
    assert_true(answers("\"state\":\"suspended\""));
    FAILS(ERR_AUTHENTICATION, locate_as(rig.client));
    struct request create = create_request("while suspended");
    FAILS(ERR_AUTHENTICATION, run(&create));
    OK(locate_as(rig.other));
    FAILS(ERR_WRONG_STATE, on(VERB_ENDPOINT_SUSPEND, "client"));
    FAILS(ERR_WRONG_STATE, on(VERB_ENDPOINT_RE_ENROLL, "client"));
    OK(on(VERB_ENDPOINT_RESUME, "client"));
    assert_true(answers("\"state\":\"enrolled\""));
    OK(locate_as(rig.client));
    FAILS(ERR_WRONG_STATE, on(VERB_ENDPOINT_RESUME, "client"));
    FAILS(ERR_NOT_FOUND, on(VERB_ENDPOINT_SUSPEND, "nobody"));
}

static void a_suspended_endpoint_that_was_never_enrolled_keeps_its_token(void **state)
{
    (void)state;
    char token[128];
    uint8_t fingerprint[32];
    OK(on(VERB_ENDPOINT_ADD, "waiting"));
    (void)snprintf(token, sizeof token, "%s", answer_text("token"));
    OK(on(VERB_ENDPOINT_SUSPEND, "waiting"));
    FAILS(ERR_AUTHENTICATION, certify(VERB_ENDPOINT_ENROLL, "waiting", "", token, fingerprint));
    FAILS(ERR_WRONG_STATE, certify(VERB_ENDPOINT_ROTATE, "waiting", "", NULL, fingerprint));
    OK(on(VERB_ENDPOINT_RESUME, "waiting"));
    assert_true(answers("\"state\":\"registered\""));
    OK(certify(VERB_ENDPOINT_ENROLL, "waiting", "", token, fingerprint));
    OK(locate_as(fingerprint));
}

static void the_old_certificate_dies_at_the_new_enrolment(void **state)
{
    (void)state;
    char token[128];
    uint8_t fresh[32];
    OK(on(VERB_ENDPOINT_RE_ENROLL, "client"));
    (void)snprintf(token, sizeof token, "%s", answer_text("token"));
    OK(locate_as(rig.client));
    OK(on(VERB_ENDPOINT_SHOW, "client"));
    assert_true(answers("token_expires"));
    assert_false(answers(token));
    OK(certify(VERB_ENDPOINT_ENROLL, "client", "", token, fresh));
    FAILS(ERR_AUTHENTICATION, locate_as(rig.client));
    OK(locate_as(fresh));
    uint8_t again[32];
    FAILS(ERR_AUTHENTICATION, certify(VERB_ENDPOINT_ENROLL, "client", "", token, again));
    memcpy(rig.client, fresh, sizeof fresh);
}

static void two_certificates_count_until_the_deadline(void **state)
{
    (void)state;
    uint8_t second[32];
    uint8_t third[32];
    OK(certify(VERB_ENDPOINT_ROTATE, "client", ",\"keep_old_s\":3600", NULL, second));
    assert_true(answers("old_certificate_until"));
    OK(locate_as(rig.client));
    OK(locate_as(second));
    // Of three the oldest is dead.
    OK(certify(VERB_ENDPOINT_ROTATE, "client", ",\"keep_old_s\":3600", NULL, third));
    FAILS(ERR_AUTHENTICATION, locate_as(rig.client));
    OK(locate_as(second));
    OK(locate_as(third));
    OK(certify(VERB_ENDPOINT_ROTATE, "client", ",\"keep_old_s\":0", NULL, rig.client));
    FAILS(ERR_AUTHENTICATION, locate_as(third));
    assert_true(says("time is over"));
    OK(locate_as(rig.client));
    FAILS(ERR_INVALID,
          certify(VERB_ENDPOINT_ROTATE, "client", ",\"keep_old_s\":99999999", NULL, second));
    FAILS(ERR_MISSING_DATA, on(VERB_ENDPOINT_ROTATE, "client"));
}

static void five_wrong_tokens_close_the_door(void **state)
{
    (void)state;
    char token[128];
    uint8_t fingerprint[32];
    OK(on(VERB_ENDPOINT_ADD, "guessed"));
    (void)snprintf(token, sizeof token, "%s", answer_text("token"));
    for (int i = 0; i < 5; i++)
        FAILS(ERR_AUTHENTICATION,
              certify(VERB_ENDPOINT_ENROLL, "guessed", "", "wrong", fingerprint));
    FAILS(ERR_TOO_MANY, certify(VERB_ENDPOINT_ENROLL, "guessed", "", token, fingerprint));
    assert_true(says("wait"));
    // A name that nobody has is answered alike, and another endpoint is not in the way.
    for (int i = 0; i < 5; i++)
        FAILS(ERR_AUTHENTICATION,
              certify(VERB_ENDPOINT_ENROLL, "no such one", "", "wrong", fingerprint));
    FAILS(ERR_TOO_MANY, certify(VERB_ENDPOINT_ENROLL, "no such one", "", "wrong", fingerprint));
    OK(on(VERB_ENDPOINT_ADD, "beside"));
    (void)snprintf(token, sizeof token, "%s", answer_text("token"));
    OK(certify(VERB_ENDPOINT_ENROLL, "beside", "", token, fingerprint));
}

static void an_endpoint_is_renamed_and_described(void **state)
{
    (void)state;
    OK(admin(VERB_ENDPOINT_UPDATE,
             "{\"name\":\"other\",\"new_name\":\"another\",\"description\":\"the second\","
             "\"type\":\"mysql\"}",
             NULL, NULL));
    assert_true(answers("\"name\":\"another\""));
    OK(on(VERB_ENDPOINT_SHOW, "another"));
    assert_true(answers("\"description\":\"the second\""));
    assert_true(answers("\"type\":\"mysql\""));
    FAILS(ERR_NOT_FOUND, on(VERB_ENDPOINT_SHOW, "other"));
    OK(locate_as(rig.other));
    FAILS(ERR_CONFLICT, admin(VERB_ENDPOINT_UPDATE,
                              "{\"name\":\"another\",\"new_name\":\"client\"}", NULL, NULL));
    FAILS(ERR_INVALID,
          admin(VERB_ENDPOINT_UPDATE, "{\"name\":\"another\",\"new_name\":\"a/b\"}", NULL, NULL));
    OK(admin(VERB_ENDPOINT_UPDATE, "{\"name\":\"another\",\"new_name\":\"other\"}", NULL, NULL));
}

static void an_endpoint_that_owns_objects_stays_unless_another_takes_them(void **state)
{
    (void)state;
    uint8_t fingerprint[32];
    make_endpoint("leaving", fingerprint);
    struct request create = create_request("inherited");
    OK(run_as(endpoint(fingerprint), &create));
    struct span uid = rig.reply.uid;
    FAILS(ERR_WRONG_STATE, on(VERB_ENDPOINT_DELETE, "leaving"));
    assert_true(says("owns 1 objects"));
    assert_true(says("--reassign-to"));
    FAILS(ERR_INVALID, admin(VERB_ENDPOINT_DELETE,
                             "{\"name\":\"leaving\",\"reassign_to\":\"leaving\"}", NULL, NULL));
    FAILS(ERR_NOT_FOUND, admin(VERB_ENDPOINT_DELETE,
                               "{\"name\":\"leaving\",\"reassign_to\":\"nobody\"}", NULL, NULL));
    struct request twin = create_request("inherited");
    OK(run_other(&twin));
    struct span other_uid = rig.reply.uid;
    FAILS(ERR_CONFLICT, admin(VERB_ENDPOINT_DELETE,
                              "{\"name\":\"leaving\",\"reassign_to\":\"other\"}", NULL, NULL));
    OK(admin(VERB_ENDPOINT_DELETE, "{\"name\":\"leaving\",\"reassign_to\":\"client\"}", NULL,
             NULL));
    assert_true(answers("\"objects_reassigned\":1"));
    FAILS(ERR_AUTHENTICATION, locate_as(fingerprint));
    FAILS(ERR_NOT_FOUND, on(VERB_ENDPOINT_SHOW, "leaving"));
    OK(simple(VERB_GET, uid));
    assert_int_equal(rig.reply.object.material.len, 32);
    OK(simple(VERB_ACTIVATE, uid));
    FAILS(ERR_NOT_FOUND, simple(VERB_GET, other_uid));
}

static void an_endpoint_whose_objects_are_destroyed_may_go(void **state)
{
    (void)state;
    uint8_t fingerprint[32];
    make_endpoint("done", fingerprint);
    struct request create = create_request(NULL);
    OK(run_as(endpoint(fingerprint), &create));
    struct request destroy = {.verb = VERB_DESTROY, .uid = rig.reply.uid};
    FAILS(ERR_WRONG_STATE, on(VERB_ENDPOINT_DELETE, "done"));
    OK(run_as(endpoint(fingerprint), &destroy));
    OK(on(VERB_ENDPOINT_DELETE, "done"));
    FAILS(ERR_AUTHENTICATION, locate_as(fingerprint));
}

// Lets reader and writer do what is due, and waits until one of them has more.
static void idle(void)
{
    int reader_ms = -1;
    int writer_ms = -1;
    OK(ops_idle(rig.engines[OPS_READER], &reader_ms));
    OK(ops_idle(rig.engines[OPS_WRITER], &writer_ms));
    bool reader_first = reader_ms >= 0 && (writer_ms < 0 || reader_ms < writer_ms);
    int wait_ms = reader_first ? reader_ms : writer_ms;
    assert_true(wait_ms >= 0);
    (void)poll(NULL, 0, wait_ms);
}

static void the_last_sight_is_told(void **state)
{
    (void)state;
    uint8_t fingerprint[32];
    make_endpoint("seen", fingerprint);
    OK(on(VERB_ENDPOINT_SHOW, "seen"));
    assert_true(answers("\"last_seen\":null"));
    OK(locate_as(fingerprint)); // by the reader
    int64_t deadline = clock_mono_ms() + DEADLINE_MS;
    while (!answers("\"last_seen\":\"20")) {
        assert_true(clock_mono_ms() < deadline);
        idle();
        OK(on(VERB_ENDPOINT_SHOW, "seen"));
    }
}

static enum err wrong_token(const char *name, const char *address)
{
    char doc[128];
    (void)snprintf(doc, sizeof doc, "{\"name\":\"%s\",\"csr\":\"x\"}", name);
    struct principal who = {.kind = PRINCIPAL_NOBODY, .address = span_str(address)};
    struct request request = {.verb = VERB_ENDPOINT_ENROLL, .doc = span_str(doc)};
    request.secrets[0] = (struct named_secret){span_str("token"), span_str("wrong")};
    request.secret_count = 1;
    return run_as(who, &request);
}

static void wrong_tokens_are_counted_by_address_and_in_all(void **state)
{
    (void)state;
    char name[32];
    char address[32];
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof name, "guess%d", i);
        FAILS(ERR_AUTHENTICATION, wrong_token(name, "192.0.2.1:1000"));
    }
    FAILS(ERR_TOO_MANY, wrong_token("another", "192.0.2.1:2000"));
    assert_true(says("from this address"));
    // The tests before have spent some of the 300.
    for (int i = 20; i < 300; i++) {
        (void)snprintf(name, sizeof name, "guess%d", i);
        (void)snprintf(address, sizeof address, "198.51.100.%d:1", i / 4);
        enum err err = wrong_token(name, address);
        assert_true(err == ERR_AUTHENTICATION || (i > 250 && err == ERR_TOO_MANY));
    }
    FAILS(ERR_TOO_MANY, wrong_token("last", "203.0.113.9:1"));
}

static void a_token_counts_as_long_as_is_said(void **state)
{
    (void)state;
    OK(admin(VERB_ENDPOINT_ADD, "{\"name\":\"brief\",\"token_life_s\":60}", NULL, NULL));
    FAILS(ERR_INVALID,
          admin(VERB_ENDPOINT_ADD, "{\"name\":\"b2\",\"token_life_s\":59}", NULL, NULL));
    FAILS(ERR_INVALID,
          admin(VERB_ENDPOINT_ADD, "{\"name\":\"b2\",\"token_life_s\":2592001}", NULL, NULL));
    FAILS(ERR_INVALID,
          admin(VERB_ENDPOINT_RE_ENROLL, "{\"name\":\"client\",\"token_life_s\":1}", NULL, NULL));
}

// The token of the last answer is good until `expires`.
static void change_token_expiry(int64_t expires)
{
    struct uuid id;
    struct store_endpoint row;
    struct store *store = rig.stores[OPS_WRITER];
    OK(uuid_parse(span_of(answer_text("id"), UUID_TEXT_LEN), &id));
    OK(store_begin(store, STORE_WRITE));
    OK(store_endpoint_get(store, &id, rig.arena, &row));
    row.token_expires = expires;
    OK(store_endpoint_update(store, &row));
    OK(store_commit(store));
}

static void an_expired_token_opens_neither_door(void **state)
{
    (void)state;
    char token[128];
    uint8_t fingerprint[32];
    OK(on(VERB_ENDPOINT_ADD, "late"));
    (void)snprintf(token, sizeof token, "%s", answer_text("token"));
    change_token_expiry(clock_wall_s());
    FAILS(ERR_AUTHENTICATION, certify(VERB_ENDPOINT_ENROLL, "late", "", token, fingerprint));
    assert_true(says("expired"));
    FAILS(ERR_AUTHENTICATION, admin(VERB_ENDPOINT_PACKAGE, "{\"name\":\"late\"}", "token", token));
    assert_true(says("expired"));
    OK(on(VERB_ENDPOINT_SHOW, "late"));
    change_token_expiry(clock_wall_s() + 60);
    OK(admin(VERB_ENDPOINT_PACKAGE, "{\"name\":\"late\"}", "token", token));
    assert_true(answers("-----BEGIN PRIVATE KEY-----"));
    assert_true(answers("host=127.0.0.1\nport=5696\n") || answers("host=localhost\nport=5696\n"));
    FAILS(ERR_AUTHENTICATION, admin(VERB_ENDPOINT_PACKAGE, "{\"name\":\"late\"}", "token", token));
    assert_int_equal(rig.reply.doc.len, 0);
}

static void a_certificate_ends_at_once_when_that_is_asked(void **state)
{
    (void)state;
    char token[128];
    uint8_t fresh[32];
    OK(admin(VERB_ENDPOINT_RE_ENROLL, "{\"name\":\"client\",\"at_once\":true}", NULL, NULL));
    (void)snprintf(token, sizeof token, "%s", answer_text("token"));
    FAILS(ERR_AUTHENTICATION, locate_as(rig.client));
    OK(certify(VERB_ENDPOINT_ENROLL, "client", "", token, fresh));
    OK(locate_as(fresh));
}

static enum err report(const char *address, const char *reason, const uint8_t *fingerprint)
{
    struct buf body CLEANUP(buf_done);
    struct model_refusal refusal = {.address = span_str(address),
                                    .reason = span_str(reason),
                                    .subject = span_str("CN=somebody"),
                                    .certified = fingerprint != NULL};
    if (fingerprint != NULL)
        memcpy(refusal.fingerprint, fingerprint, sizeof refusal.fingerprint);
    buf_init(&body, 4096, false);
    TRY(model_put_refusal(&body, &refusal));
    return ops_note_refusal(rig.engines[OPS_READER], span_buf(&body));
}

static void refused_clients_are_told_and_strangers_make_room(void **state)
{
    (void)state;
    char address[32];
    OK(admin(VERB_ENDPOINT_TLS_FAILURES, "{}", NULL, NULL));
    assert_true(answers("\"failures\":[]"));
    OK(report("192.0.2.1", "has expired", rig.client));
    OK(report("192.0.2.1", "has expired", rig.client));
    for (int i = 0; i < 600; i++) {
        (void)snprintf(address, sizeof address, "198.51.%d.%d", i / 250, i % 250);
        OK(report(address, "no certificate", NULL));
    }
    OK(admin(VERB_ENDPOINT_SHOW, "{\"name\":\"client\"}", NULL, NULL));
    assert_true(answers("has expired"));
    assert_true(answers("\"count\":2"));
    OK(admin(VERB_ENDPOINT_SHOW, "{\"name\":\"other\"}", NULL, NULL));
    assert_true(answers("\"last_tls_failure\":null"));
    OK(admin(VERB_ENDPOINT_TLS_FAILURES, "{\"limit\":256}", NULL, NULL));
    assert_true(answers("\"endpoint\":\"client\""));
    assert_true(answers("198.51.2.99"));
    assert_false(answers("\"198.51.0.0\""));
    OK(admin(VERB_ENDPOINT_TLS_FAILURES, "{\"limit\":1}", NULL, NULL));
    FAILS(ERR_INVALID, admin(VERB_ENDPOINT_TLS_FAILURES, "{\"limit\":257}", NULL, NULL));
    FAILS(ERR_MESSAGE, ops_note_refusal(rig.engines[OPS_READER], span_str("garbage")));
    OK(ops_note_refusal(rig.engines[OPS_WRITER], span_str("garbage")));
}

// The reader ends and another takes its place.
static void restart_reader(void)
{
    struct ops_settings settings = {
        .role = OPS_READER, .root = rig.root, .store = rig.stores[OPS_READER], .service_uid = 700};
    int wait_ms;
    ops_freep(&rig.engines[OPS_READER]);
    OK(ops_new(&settings, &rig.engines[OPS_READER]));
    ops_set_keeper(rig.engines[OPS_READER], (struct ipc *)&fake_keeper);
    OK(ops_idle(rig.engines[OPS_READER], &wait_ms));
}

static struct stat file_of_refused(void)
{
    struct stat st;
    assert_int_equal(fstatat(rig.root, PATH_REFUSED, &st, 0), 0);
    return st;
}

static void refused_clients_survive_a_restart_in_a_bounded_file(void **state)
{
    (void)state;
    int wait_ms;
    char address[32];
    struct ops *reader = rig.engines[OPS_READER];
    struct buf file CLEANUP(buf_done);
    buf_init(&file, 1024 * 1024, false);
    OK(ops_idle(reader, &wait_ms));
    OK(report("192.0.2.9", "the last before a kill", rig.other));
    OK(ops_idle(reader, &wait_ms));
    struct stat first = file_of_refused();
    assert_int_equal(first.st_mode & 0777, 0600);
    // However many come, nothing is written for a while, and the file has no more than the table.
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(address, sizeof address, "203.0.%d.%d", i / 250, i % 250);
        OK(report(address, "no certificate", NULL));
        OK(ops_idle(reader, &wait_ms));
        assert_in_range(wait_ms, 0, 10000);
    }
    assert_int_equal(file_of_refused().st_ino, first.st_ino);
    assert_int_equal(file_of_refused().st_mtim.tv_nsec, first.st_mtim.tv_nsec);
    // A kill loses what was not written, the end of the process nothing.
    OK(ops_stop(reader));
    assert_in_range(file_of_refused().st_size, 1, 256 * 1024);
    OK(file_read(rig.root, PATH_REFUSED, file.limit, &file));
    assert_null(memmem(file.data, file.len, "192.0.2.9", 9));
    restart_reader();
    OK(admin(VERB_ENDPOINT_SHOW, "{\"name\":\"other\"}", NULL, NULL));
    assert_true(answers("the last before a kill"));
    assert_true(answers("\"port\":\"kmip\""));
    OK(report("192.0.2.9", "the last before a kill", rig.other));
    OK(admin(VERB_ENDPOINT_TLS_FAILURES, "{\"limit\":256}", NULL, NULL));
    assert_true(answers("\"endpoint\":\"other\""));
    assert_true(answers("\"count\":2"));
    assert_true(answers("203.0.11.249"));
}

static void a_file_of_refused_clients_that_is_damaged_is_begun_anew(void **state)
{
    (void)state;
    OK(file_write(rig.root, PATH_REFUSED, span_str("not what was written here, and long enough")));
    restart_reader();
    OK(admin(VERB_ENDPOINT_TLS_FAILURES, "{}", NULL, NULL));
    assert_true(answers("\"failures\":[]"));
    OK(report("192.0.2.1", "after the damage", NULL));
    OK(ops_stop(rig.engines[OPS_READER]));
    restart_reader();
    OK(admin(VERB_ENDPOINT_TLS_FAILURES, "{}", NULL, NULL));
    assert_true(answers("after the damage"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_suspended_endpoint_is_refused_from_the_next_request_on),
        cmocka_unit_test(a_suspended_endpoint_that_was_never_enrolled_keeps_its_token),
        cmocka_unit_test(the_old_certificate_dies_at_the_new_enrolment),
        cmocka_unit_test(two_certificates_count_until_the_deadline),
        cmocka_unit_test(five_wrong_tokens_close_the_door),
        cmocka_unit_test(an_endpoint_is_renamed_and_described),
        cmocka_unit_test(an_endpoint_that_owns_objects_stays_unless_another_takes_them),
        cmocka_unit_test(an_endpoint_whose_objects_are_destroyed_may_go),
        cmocka_unit_test(the_last_sight_is_told),
        cmocka_unit_test(refused_clients_are_told_and_strangers_make_room),
        cmocka_unit_test(refused_clients_survive_a_restart_in_a_bounded_file),
        cmocka_unit_test(a_file_of_refused_clients_that_is_damaged_is_begun_anew),
        cmocka_unit_test(a_token_counts_as_long_as_is_said),
        cmocka_unit_test(an_expired_token_opens_neither_door),
        cmocka_unit_test(a_certificate_ends_at_once_when_that_is_asked),
        cmocka_unit_test(wrong_tokens_are_counted_by_address_and_in_all),
    };
    return cmocka_run_group_tests(tests, rig_serving, rig_down);
}
