// SPDX-License-Identifier: Apache-2.0
//
// Authority and certificates of a whole server: two authorities while one follows the other, each
// step refused where it does not fit, files that follow the store, lists of what expires and of
// what is revoked.
#include <jansson.h>

#include "base/clock.h"
#include "ops/ca.h"
#include "ops/expiry.h"
#include "ops/tlsfile.h"
#include "store/issued.h"
#include "tests/unit/ops_rig.h"

#define KEY  "var/lib/keyward/tls/server.key"
#define CERT "var/lib/keyward/tls/server.crt"
#define CA   "var/lib/keyward/tls/ca.crt"

static bool answers(const char *text)
{
    return rig.reply.doc.len > 0 &&
           memmem(rig.reply.doc.data, rig.reply.doc.len, text, strlen(text)) != NULL;
}

static bool says(const char *text)
{
    return rig.reply.message.len > 0 &&
           memmem(rig.reply.message.data, rig.reply.message.len, text, strlen(text)) != NULL;
}

static enum err ask(enum verb verb, const char *doc)
{
    return admin(verb, doc, NULL, NULL);
}

static enum err locate_as(const uint8_t fingerprint[32])
{
    struct request locate = {.verb = VERB_LOCATE};
    return run_as(endpoint(fingerprint), &locate);
}

static struct span contents(const char *path, struct buf *out)
{
    buf_clear(out);
    OK(file_read(rig.root, path, out->limit, out));
    return span_buf(out);
}

static int count_of(struct span text, const char *what)
{
    int count = 0;
    for (size_t i = 0; i + strlen(what) <= text.len; i++)
        count += memcmp(text.data + i, what, strlen(what)) == 0;
    return count;
}

static int authorities_trusted(void)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 65536, false);
    return count_of(contents(CA, &text), "BEGIN CERTIFICATE");
}

static void files_fit(void)
{
    struct buf key CLEANUP(buf_done);
    struct buf cert CLEANUP(buf_done);
    buf_init(&key, 65536, true);
    buf_init(&cert, 65536, false);
    OK(pki_check_pair(contents(KEY, &key), contents(CERT, &cert)));
    assert_false(file_exists(rig.root, KEY ".next"));
}

static void the_authority_changes_while_both_are_trusted(void **state)
{
    (void)state;
    uint8_t fresh[32];
    assert_int_equal(authorities_trusted(), 1);
    OK(ask(VERB_CA_ROTATE, "{}"));
    assert_true(answers("\"endpoints_on_old\":2"));
    assert_int_equal(authorities_trusted(), 2);
    OK(locate_as(rig.client));
    FAILS(ERR_WRONG_STATE, ask(VERB_CA_ROTATE, "{}"));
    FAILS(ERR_WRONG_STATE, ask(VERB_CA_FINISH, "{}"));
    assert_true(says("2 endpoints have no certificate"));
    make_endpoint("third", fresh);
    OK(ask(VERB_CA_STATUS, "{}"));
    assert_true(answers("\"endpoints_on_old\":2"));
    assert_true(answers("\"endpoints_on_new\":1"));
    assert_true(answers("\"name\":\"client\""));
    assert_false(answers("\"name\":\"third\""));
    FAILS(ERR_WRONG_STATE, ask(VERB_CA_CANCEL, "{}"));
    OK(ask(VERB_CA_FINISH, "{\"force\":true,\"dry_run\":true}"));
    OK(locate_as(rig.client));
    OK(ask(VERB_CA_FINISH, "{\"force\":true}"));
    assert_true(answers("\"endpoints_cut_off\":2"));
    assert_int_equal(authorities_trusted(), 1);
    files_fit();
    FAILS(ERR_AUTHENTICATION, locate_as(rig.client));
    FAILS(ERR_AUTHENTICATION, locate_as(rig.other));
    OK(locate_as(fresh));
    OK(ask(VERB_ENDPOINT_SHOW, "{\"name\":\"client\"}"));
    assert_true(answers("\"state\":\"registered\""));
    FAILS(ERR_WRONG_STATE, ask(VERB_CA_FINISH, "{}"));
    OK(ask(VERB_CA_STATUS, "{}"));
    assert_true(answers("\"rotating\":false"));
}

static void a_change_is_cancelled_as_long_as_nobody_has_followed(void **state)
{
    (void)state;
    char before[128];
    FAILS(ERR_WRONG_STATE, ask(VERB_CA_CANCEL, "{}"));
    OK(ask(VERB_CA_SHOW, "{}"));
    (void)snprintf(before, sizeof before, "%s", answer_text("fingerprint"));
    OK(ask(VERB_CA_ROTATE, "{\"common_name\":\"Next\",\"days\":30}"));
    assert_true(answers("CN=Next"));
    OK(ask(VERB_CA_SHOW, "{}"));
    assert_true(strcmp(before, answer_text("fingerprint")) != 0);
    OK(ask(VERB_CA_CANCEL, "{}"));
    OK(ask(VERB_CA_SHOW, "{}"));
    assert_string_equal(before, answer_text("fingerprint"));
    assert_int_equal(authorities_trusted(), 1);
    OK(locate_as(rig.client));
}

static void a_dry_run_changes_nothing(void **state)
{
    (void)state;
    struct buf before CLEANUP(buf_done);
    struct buf after CLEANUP(buf_done);
    buf_init(&before, 65536, false);
    buf_init(&after, 65536, false);
    (void)contents(CERT, &before);
    OK(ask(VERB_CA_ROTATE, "{\"dry_run\":true}"));
    OK(ask(VERB_CERTIFICATE_ROTATE, "{\"kind\":\"server\",\"dry_run\":true}"));
    assert_true(span_eq(contents(CERT, &after), span_buf(&before)));
    FAILS(ERR_WRONG_STATE, ask(VERB_CA_FINISH, "{}"));
}

static void the_servers_certificate_rotates_with_its_key(void **state)
{
    (void)state;
    struct buf before CLEANUP(buf_done);
    struct buf after CLEANUP(buf_done);
    buf_init(&before, 65536, true);
    buf_init(&after, 65536, true);
    (void)contents(KEY, &before);
    OK(ask(VERB_CERTIFICATE_ROTATE, "{\"kind\":\"server\"}"));
    assert_true(answers("\"names\":[\"localhost\"]"));
    files_fit();
    assert_false(span_eq(contents(KEY, &after), span_buf(&before)));
    OK(ask(VERB_CERTIFICATE_ROTATE,
           "{\"kind\":\"server\",\"names\":[\"kv1\",\"192.0.2.1\"],\"days\":7}"));
    assert_true(answers("\"names\":[\"kv1\",\"192.0.2.1\"]"));
    assert_true(answers("\"days_left\":7"));
    FAILS(ERR_INVALID, ask(VERB_CERTIFICATE_ROTATE, "{\"kind\":\"server\",\"names\":[\"a b\"]}"));
    FAILS(ERR_INVALID, ask(VERB_CERTIFICATE_ROTATE, "{\"kind\":\"server\",\"days\":0}"));
    FAILS(ERR_INVALID, ask(VERB_CERTIFICATE_ROTATE, "{\"kind\":\"other\"}"));
    files_fit();
}

static void the_console_has_its_own_until_it_is_removed(void **state)
{
    (void)state;
    OK(ask(VERB_CERTIFICATE_SHOW, "{\"kind\":\"console\"}"));
    assert_true(answers("\"shared\":true"));
    FAILS(ERR_WRONG_STATE, ask(VERB_CERTIFICATE_REMOVE, "{\"kind\":\"console\"}"));
    FAILS(ERR_INVALID, ask(VERB_CERTIFICATE_REMOVE, "{\"kind\":\"server\"}"));
    OK(ask(VERB_CERTIFICATE_ROTATE, "{\"kind\":\"console\",\"names\":[\"admin.example\"]}"));
    assert_true(file_exists(rig.root, "var/lib/keyward/tls/console.key"));
    OK(ask(VERB_CERTIFICATE_SHOW, "{\"kind\":\"console\"}"));
    assert_true(answers("\"shared\":false"));
    assert_true(answers("admin.example"));
    OK(ask(VERB_CERTIFICATE_REMOVE, "{\"kind\":\"console\"}"));
    assert_false(file_exists(rig.root, "var/lib/keyward/tls/console.key"));
    assert_false(file_exists(rig.root, "var/lib/keyward/tls/console.crt"));
}

// A certificate for a key of our own, as an authority outside would sign it.
static void make_outside(const char *host, struct buf *key, struct buf *chain)
{
    struct buf ca_key CLEANUP(buf_done);
    struct buf ca CLEANUP(buf_done);
    const char *const hosts[] = {host};
    buf_init(&ca_key, 8192, true);
    buf_init(&ca, 8192, false);
    OK(pki_make_key(&ca_key));
    OK(pki_make_ca(span_buf(&ca_key), "Outside", 100, &ca));
    OK(pki_make_key(key));
    OK(pki_sign_server(span_buf(&ca_key), span_buf(&ca), span_buf(key), hosts, 1, 30, NULL, chain));
    OK(buf_put(chain, span_buf(&ca)));
}

static enum err install(const char *kind, const char *more, struct span chain, const char *key)
{
    json_t *doc =
        json_pack("{s:s, s:s%}", "kind", kind, "certificate", (const char *)chain.data, chain.len);
    if (more != NULL)
        (void)json_object_set_new(doc, more, json_true());
    char *text = json_dumps(doc, 0);
    enum err err = admin(VERB_CERTIFICATE_INSTALL, text, key != NULL ? "private_key" : NULL, key);
    free(text);
    json_decref(doc);
    return err;
}

static void what_was_signed_outside_is_checked_and_shown(void **state)
{
    (void)state;
    struct buf key CLEANUP(buf_done);
    struct buf chain CLEANUP(buf_done);
    struct buf sent CLEANUP(buf_done);
    buf_init(&key, 8192, true);
    buf_init(&chain, 16384, false);
    buf_init(&sent, 65536, false);
    make_outside("kv.example", &key, &chain);
    OK(buf_put_u8(&key, 0));
    const char *key_text = (const char *)key.data;
    FAILS(ERR_WRONG_STATE, install("server", NULL, span_buf(&chain), NULL));
    assert_true(says("no request is waiting"));
    FAILS(ERR_WRONG_STATE, install("server", NULL, span_buf(&chain), key_text));
    assert_true(says("2 enrolled endpoints"));
    OK(install("server", "clients_ready", span_buf(&chain), key_text));
    assert_true(answers("\"own\":false"));
    files_fit();
    assert_int_equal(count_of(contents(CERT, &sent), "BEGIN CERTIFICATE"), 1);
    OK(ask(VERB_CA_SHOW, "{}"));
    assert_int_equal(count_of(span_str(answer_text("trust")), "BEGIN CERTIFICATE"), 2);
    OK(install("console", NULL, span_buf(&chain), key_text));
    OK(ask(VERB_CERTIFICATE_REQUEST, "{\"kind\":\"console\"}"));
    FAILS(ERR_INVALID, install("console", NULL, span_buf(&chain), NULL));
    assert_true(says("another key"));
    FAILS(ERR_INVALID, install("console", NULL, span_str("garbage"), NULL));
    FAILS(ERR_MISSING_DATA, install("console", NULL, span_str(""), NULL));
    OK(ask(VERB_CERTIFICATE_ROTATE, "{\"kind\":\"server\"}"));
    assert_true(answers("\"own\":true"));
}

static void a_package_names_the_server_as_clients_can_reach_it(void **state)
{
    (void)state;
    char token[128];
    struct buf key CLEANUP(buf_done);
    struct buf chain CLEANUP(buf_done);
    buf_init(&key, 8192, true);
    buf_init(&chain, 16384, false);
    OK(ask(VERB_CERTIFICATE_ROTATE,
           "{\"kind\":\"server\",\"names\":[\"localhost\",\"127.0.0.1\",\"kv.example\"]}"));
    OK(ask(VERB_ENDPOINT_ADD, "{\"name\":\"packed\"}"));
    (void)snprintf(token, sizeof token, "%s", answer_text("token"));
    OK(admin(VERB_ENDPOINT_PACKAGE, "{\"name\":\"packed\"}", "token", token));
    assert_true(answers("SERVER=kv.example:5696\n"));
    // A name with a wildcard is none: the token stays good until a name is given.
    make_outside("*.kv.example", &key, &chain);
    OK(buf_put_u8(&key, 0));
    OK(install("server", "clients_ready", span_buf(&chain), (const char *)key.data));
    OK(ask(VERB_ENDPOINT_ADD, "{\"name\":\"nameless\"}"));
    (void)snprintf(token, sizeof token, "%s", answer_text("token"));
    FAILS(ERR_INVALID, admin(VERB_ENDPOINT_PACKAGE, "{\"name\":\"nameless\"}", "token", token));
    assert_true(says("give \"server\""));
    OK(admin(VERB_ENDPOINT_PACKAGE, "{\"name\":\"nameless\",\"server\":\"a.kv.example\"}", "token",
             token));
    assert_true(answers("SERVER=a.kv.example:5696\n"));
}

// What was signed before the authority changed is not entered after it.
static void a_certificate_of_the_authority_before_is_not_entered(void **state)
{
    (void)state;
    struct ca_signed cert;
    struct op op = {.ops = rig.engines[OPS_WRITER], .arena = rig.arena, .now = clock_wall_s()};
    const struct uuid holder = {{1}};
    struct buf key CLEANUP(buf_done);
    struct buf csr CLEANUP(buf_done);
    buf_init(&key, 8192, true);
    buf_init(&csr, 8192, false);
    OK(pki_make_key(&key));
    OK(pki_make_csr(span_buf(&key), "late", &csr));
    OK(ca_sign_client(&op, span_buf(&csr), "late", &cert));
    OK(ask(VERB_CA_ROTATE, "{}"));
    OK(store_begin(rig.stores[OPS_WRITER], STORE_WRITE));
    FAILS(ERR_BUSY, ca_enter_client(&op, &cert, &holder));
    store_rollback(rig.stores[OPS_WRITER]);
    OK(ask(VERB_CA_CANCEL, "{}"));
    OK(store_begin(rig.stores[OPS_WRITER], STORE_WRITE));
    OK(ca_enter_client(&op, &cert, &holder));
    store_rollback(rig.stores[OPS_WRITER]);
}

static void a_request_stays_until_it_is_answered_or_renewed(void **state)
{
    (void)state;
    char first[2048];
    OK(ask(VERB_CERTIFICATE_REQUEST, "{\"kind\":\"server\",\"names\":[\"kv1\"]}"));
    (void)snprintf(first, sizeof first, "%s", answer_text("csr"));
    OK(ask(VERB_CERTIFICATE_REQUEST, "{\"kind\":\"server\"}"));
    assert_string_equal(first, answer_text("csr"));
    OK(ask(VERB_CERTIFICATE_REQUEST, "{\"kind\":\"server\",\"renew\":true}"));
    assert_true(strcmp(first, answer_text("csr")) != 0);
    OK(ask(VERB_CA_REQUEST, "{}"));
    (void)snprintf(first, sizeof first, "%s", answer_text("csr"));
    OK(ask(VERB_CA_REQUEST, "{\"common_name\":\"Another\"}"));
    assert_string_equal(first, answer_text("csr"));
    FAILS(ERR_INVALID, ask(VERB_CA_INSTALL, "{\"certificate\":\"garbage\"}"));
    OK(ask(VERB_CA_REQUEST, "{\"renew\":true}"));
    assert_true(strcmp(first, answer_text("csr")) != 0);
}

// An engine that is started again looks after the files before it does anything else.
static void start_again(enum ops_role role)
{
    int wait_ms = 0;
    ops_freep(&rig.engines[role]);
    struct ops_settings settings = {
        .role = role, .root = rig.root, .store = rig.stores[role], .service_uid = 700};
    OK(ops_new(&settings, &rig.engines[role]));
    ops_set_keeper(rig.engines[role], (struct ipc *)&fake_keeper);
    OK(ops_idle(rig.engines[role], &wait_ms));
}

static void a_kill_between_the_files_is_made_good(void **state)
{
    (void)state;
    struct buf key CLEANUP(buf_done);
    buf_init(&key, 65536, true);
    // As after a kill that left the new certificate beside the old key.
    OK(file_rename(rig.root, KEY, KEY ".next"));
    OK(pki_make_key(&key));
    OK(file_write(rig.root, KEY, span_buf(&key)));
    OK(file_remove(rig.root, CA));
    start_again(OPS_WRITER);
    files_fit();
    assert_int_equal(authorities_trusted(), 1);
    // As after a kill of the admin engine alone, between the commit of a setup and its files.
    OK(file_rename(rig.root, KEY, KEY ".next"));
    OK(file_remove(rig.root, CERT));
    OK(file_remove(rig.root, CA));
    start_again(OPS_ADMIN);
    files_fit();
    assert_int_equal(authorities_trusted(), 1);
    // As after one that left a key staged for a change that was not committed.
    OK(file_write(rig.root, KEY ".next", span_buf(&key)));
    OK(ask(VERB_CA_ROTATE, "{}"));
    files_fit();
}

static void while_another_engine_changes_them_the_files_wait(void **state)
{
    (void)state;
    OK(file_remove(rig.root, CA));
    OK(store_begin(rig.stores[OPS_ADMIN], STORE_WRITE));
    // Staged for what is not committed yet.
    OK(file_write(rig.root, KEY ".next", span_str("the next key")));
    tlsfile_settle(rig.engines[OPS_WRITER]);
    assert_true(file_exists(rig.root, KEY ".next"));
    store_rollback(rig.stores[OPS_ADMIN]);
    tlsfile_settle(rig.engines[OPS_WRITER]);
    assert_false(file_exists(rig.root, KEY ".next"));
    files_fit();
    assert_int_equal(authorities_trusted(), 1);
}

static void revoked_certificates_are_listed(void **state)
{
    (void)state;
    OK(ask(VERB_CRL, "{}"));
    assert_true(answers("\"entries\":0"));
    OK(ask(VERB_ENDPOINT_DELETE, "{\"name\":\"other\"}"));
    OK(ask(VERB_CRL, "{}"));
    assert_true(answers("\"entries\":1"));
    OK(ask(VERB_CA_ROTATE, "{}"));
    OK(ask(VERB_CRL, "{}"));
    assert_true(answers("\"entries\":0"));
    assert_true(answers("\"entries\":1"));
}

static void validity_is_set_and_bounded(void **state)
{
    (void)state;
    OK(ask(VERB_CERTIFICATE_VALIDITY, "{}"));
    assert_true(answers("\"endpoint_days\":825"));
    OK(ask(VERB_CERTIFICATE_SET_VALIDITY, "{\"endpoint_days\":5,\"server_days\":6}"));
    FAILS(ERR_INVALID, ask(VERB_CERTIFICATE_SET_VALIDITY, "{\"endpoint_days\":0}"));
    FAILS(ERR_INVALID, ask(VERB_CERTIFICATE_SET_VALIDITY, "{\"endpoint_days\":36501}"));
    uint8_t fresh[32];
    struct store_issued issued;
    make_endpoint("third", fresh);
    OK(store_issued_get(rig.stores[OPS_READER], fresh, &issued));
    // The clock may have gone on between the request and the signature.
    assert_in_range(issued.expires - issued.issued, 4 * 86400, 5 * 86400 + 60);
    OK(ask(VERB_CERTIFICATE_LIST, "{\"within_days\":30}"));
    assert_true(answers("\"name\":\"third\""));
    assert_false(answers("\"name\":\"client\""));
    assert_false(answers("authority"));
}

static void what_expires_is_listed_in_pages(void **state)
{
    (void)state;
    struct expiry *rows = NULL;
    size_t count = 0;
    static const uint8_t start[32];
    char doc[160];
    OK(expiry_own(rig.engines[OPS_ADMIN], rig.arena, &rows, &count));
    assert_int_equal(count, 2);
    OK(expiry_endpoints(rig.engines[OPS_ADMIN], rig.arena, 0, start, 10, &rows, &count));
    assert_int_equal(count, 2);
    OK(expiry_endpoints(rig.engines[OPS_ADMIN], rig.arena, 0, start, 1, &rows, &count));
    assert_int_equal(count, 1);
    OK(ask(VERB_CERTIFICATE_LIST, "{\"limit\":1}"));
    assert_true(answers("\"kind\":\"authority\""));
    (void)snprintf(doc, sizeof doc, "{\"limit\":1,\"cursor\":\"%s\"}", answer_text("next_cursor"));
    OK(ask(VERB_CERTIFICATE_LIST, doc));
    assert_false(answers("\"kind\":\"authority\""));
    assert_true(answers("\"kind\":\"endpoint\""));
    FAILS(ERR_INVALID, ask(VERB_CERTIFICATE_LIST, "{\"cursor\":\"zz\"}"));
}

static void sealed_keys_follow_a_rotation_of_data_keys(void **state)
{
    (void)state;
    struct ops *writer = rig.engines[OPS_WRITER];
    int wait_ms = 0;
    uint8_t fresh[32];
    OK(ask(VERB_CERTIFICATE_REQUEST, "{\"kind\":\"server\"}"));
    OK(ask(VERB_CA_ROTATE, "{}"));
    OK(ask(VERB_ROTATE_DATA_KEYS, "{}"));
    for (int i = 0; i < 200; i++)
        OK(ops_idle(writer, &wait_ms));
    for (bool done = false; !done; done = answers("\"state\":\"done\"")) {
        OK(ops_idle(writer, &wait_ms));
        OK(ask(VERB_ROTATE_STATUS, "{}"));
    }
    make_endpoint("third", fresh);
    OK(ask(VERB_CA_FINISH, "{\"force\":true}"));
    files_fit();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_serving, rig_down)
        TEST(the_authority_changes_while_both_are_trusted),
        TEST(a_change_is_cancelled_as_long_as_nobody_has_followed),
        TEST(a_dry_run_changes_nothing),
        TEST(the_servers_certificate_rotates_with_its_key),
        TEST(the_console_has_its_own_until_it_is_removed),
        TEST(what_was_signed_outside_is_checked_and_shown),
        TEST(a_package_names_the_server_as_clients_can_reach_it),
        TEST(a_certificate_of_the_authority_before_is_not_entered),
        TEST(a_request_stays_until_it_is_answered_or_renewed),
        TEST(a_kill_between_the_files_is_made_good),
        TEST(while_another_engine_changes_them_the_files_wait),
        TEST(revoked_certificates_are_listed),
        TEST(validity_is_set_and_bounded),
        TEST(what_expires_is_listed_in_pages),
        TEST(sealed_keys_follow_a_rotation_of_data_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
