// SPDX-License-Identifier: Apache-2.0
//
// audit/audit.h: signed heads, and what a purge leaves.
#include <sqlite3.h>

#include "audit/audit_feed.h"
#include "crypto/ed25519.h"
#include "tests/unit/audit_rig.h"

struct key {
    uint8_t bytes[ED25519_KEY_LEN];
    struct audit_signer signer;
};

static void make_key(struct key *key)
{
    struct buf private_key CLEANUP(buf_done);
    buf_init(&private_key, 64, true);
    OK(ed25519_make(&private_key, key->signer.public_key));
    memcpy(key->bytes, private_key.data, sizeof key->bytes);
    key->signer.private_key = span_of(key->bytes, sizeof key->bytes);
}

static bool sign(const struct key *key)
{
    bool done = false;
    OK(store_begin(fix.store, STORE_WRITE));
    OK(audit_sign(fix.store, &key->signer, &done));
    OK(store_commit(fix.store));
    return done;
}

static void sign_with(const struct key *old, const struct key *added)
{
    OK(store_begin(fix.store, STORE_WRITE));
    OK(audit_sign_with(fix.store, &old->signer, added->signer.public_key));
    OK(store_commit(fix.store));
}

static struct audit_verdict verify(const struct key *trusted)
{
    struct audit_verdict verdict;
    OK(audit_verify(fix.root, fix.store, trusted == NULL ? NULL : trusted->signer.public_key,
                    &verdict));
    return verdict;
}

static void meddle(const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;
    char *message = NULL;
    (void)snprintf(path, sizeof path, "%s/%s", fix.dir, PATH_STORE);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s", message);
    (void)sqlite3_close(db);
}

// ---- heads ----

static void a_head_is_signed_once_and_vouches_for_all_before(void **state)
{
    (void)state;
    struct key key;
    struct key other;
    struct audit_signing signing;
    make_key(&key);
    make_key(&other);
    change(1);
    FAILS(ERR_INVALID, audit_sign(fix.store, &key.signer, &(bool){false}));
    sign_with(&key, &key);
    change(3);
    assert_true(sign(&key));
    assert_false(sign(&key)); // nothing new
    change(1);
    struct audit_verdict verdict = verify(&key);
    assert_true(verdict.sound);
    assert_int_equal(verdict.records, 7);
    assert_int_equal(verdict.signed_sequence, 6);
    assert_memory_equal(verdict.public_key, key.signer.public_key, AUDIT_PUBLIC_LEN);
    OK(audit_signing_get(fix.store, &signing));
    assert_int_equal(signing.sequence, 6);
    verdict = verify(&other);
    assert_false(verdict.sound);
    assert_non_null(strstr(verdict.what, "nothing here is signed by the given public key"));
}

static void keys_follow_each_other(void **state)
{
    (void)state;
    struct key keys[3];
    for (int i = 0; i < 3; i++)
        make_key(&keys[i]);
    sign_with(&keys[0], &keys[0]);
    for (int i = 0; i < 2; i++) {
        change(2);
        assert_true(sign(&keys[i]));
        FAILS(ERR_INVALID, audit_sign_with(fix.store, &keys[2].signer, keys[2].bytes));
        sign_with(&keys[i], &keys[i + 1]);
        FAILS(ERR_INVALID, audit_sign(fix.store, &keys[i].signer, &(bool){false}));
    }
    for (int i = 0; i < 3; i++)
        assert_true(verify(&keys[i]).sound);
}

// A whole chain that somebody else has written verifies only as long as nobody knows the key.
static void a_forged_chain_is_found_by_the_noted_key(void **state)
{
    (void)state;
    struct key key;
    struct key forger;
    make_key(&key);
    make_key(&forger);
    sign_with(&forger, &forger);
    change(3);
    assert_true(sign(&forger));
    assert_true(verify(NULL).sound);
    assert_false(verify(&key).sound);
}

static void a_changed_signature_is_found(void **state)
{
    (void)state;
    struct key key;
    make_key(&key);
    sign_with(&key, &key);
    change(3);
    assert_true(sign(&key));
    // Its last byte, and the hash of the row made to fit by nobody: the hash is found first.
    meddle("DROP TRIGGER node_audit_stays; UPDATE node_audit SET record = "
           "CAST(substr(record, 1, length(record) - 1) || "
           "CASE substr(record, -1) WHEN x'00' THEN x'01' ELSE x'00' END AS BLOB) "
           "WHERE sequence = 5");
    struct audit_verdict verdict = verify(NULL);
    assert_false(verdict.sound);
    assert_int_equal(verdict.bad_sequence, 5);
}

// ---- retention ----

static struct audit_purge purge(bool dry_run)
{
    struct audit_purge plan = {0};
    memset(&plan.wish, 0xff, sizeof plan.wish);
    OK(store_begin(fix.store, STORE_WRITE));
    OK(audit_purge(fix.root, fix.store, dry_run, &plan));
    OK(store_commit(fix.store));
    return plan;
}

static void exported(uint64_t chain, uint64_t reads)
{
    struct audit_extent extent = {.chain = chain};
    extent.reads[0] = reads;
    OK(store_begin(fix.store, STORE_WRITE));
    OK(audit_exported_put(fix.store, &extent));
    OK(store_commit(fix.store));
}

static void settle(void)
{
    for (bool more = true; more;)
        OK(audit_purge_settle(fix.root, fix.store, &more));
}

static uint64_t first_row(void)
{
    struct store_audit *rows = NULL;
    size_t count = 0;
    OK(store_audit_list(fix.store, 1, 1, fix.arena, &rows, &count));
    return count == 0 ? 0 : rows->sequence;
}

static void only_what_is_exported_and_signed_is_purged(void **state)
{
    (void)state;
    struct key key;
    make_key(&key);
    sign_with(&key, &key);
    change(9); // 2 to 10
    assert_int_equal(purge(false).records, 0);
    exported(8, 0);
    // The key's own record, the first, is a head, too; nothing but it is covered.
    assert_int_equal(purge(false).records, 0);
    assert_true(sign(&key)); // 11
    change(2);
    assert_int_equal(purge(true).records, 8);
    assert_int_equal(first_row(), 1);
    struct audit_purge plan = purge(false);
    assert_int_equal(plan.records, 8);
    assert_int_equal(plan.through, 8);
    assert_int_equal(first_row(), 9);
    struct audit_verdict verdict = verify(&key);
    if (!verdict.sound)
        fail_msg("%s", verdict.what);
    assert_int_equal(verdict.first, 9);
    assert_int_equal(verdict.records, 6); // 9 to 14, the last about the purge
    settle();
    assert_true(verify(&key).sound);
    change(3);
    exported(16, 0);
    assert_int_equal(purge(false).records, 2); // up to what the head at 11 covers
    assert_true(sign(&key));
    assert_int_equal(purge(false).records, 6); // 11 to 16, the first purge's record among them
    settle();
    verdict = verify(&key);
    if (!verdict.sound)
        fail_msg("%s", verdict.what);
    assert_int_equal(verdict.first, 17);
}

static void the_last_sealed_record_stays(void **state)
{
    (void)state;
    struct key key;
    make_key(&key);
    sign_with(&key, &key);
    change(3);               // 2 to 4
    assert_true(sign(&key)); // 5, which is not sealed
    exported(5, 0);
    assert_int_equal(purge(false).through, 3);
    settle();
    struct audit_verdict verdict = verify(&key);
    assert_true(verdict.sound);
    OK(audit_verify_head(fix.store, &fix.key, 1, &verdict));
    if (!verdict.sound)
        fail_msg("%s", verdict.what);
}

static void what_was_purged_cannot_be_faked(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        const char *what;
    } cases[] = {
        {"UPDATE node_audit_floor SET sequence = 9, hash = (SELECT hash FROM node_audit WHERE "
         "sequence = 9)",
         "the trail begins at record 10, but no purge says so"},
        {"UPDATE node_audit_floor SET hash = zeroblob(32)", "no purge says so"},
        {"DELETE FROM node_setting WHERE name = 'audit_purged'", "no purge says so"},
        {"UPDATE node_setting SET value = x'000000000000000d' WHERE name = 'audit_purged'",
         "no purge says so"},
        {"DELETE FROM node_audit WHERE sequence <= 8; DROP TRIGGER node_audit_remains; DELETE FROM "
         "node_audit WHERE sequence = 9",
         "record 9 is missing"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct key key;
        if (i > 0)
            assert_int_equal(set_up(NULL), 0);
        make_key(&key);
        sign_with(&key, &key);
        change(9);
        exported(8, 0);
        assert_true(sign(&key));
        change(2);
        assert_int_equal(purge(false).through, 8);
        meddle(cases[i].sql);
        struct audit_verdict verdict = verify(&key);
        assert_false(verdict.sound);
        if (strstr(verdict.what, cases[i].what) == NULL)
            fail_msg("case %zu: \"%s\"", i, verdict.what);
        if (i + 1 < COUNT_OF(cases))
            assert_int_equal(tear_down(NULL), 0);
    }
}

static void rows_that_remain_cannot_be_deleted_and_a_floor_does_not_fall(void **state)
{
    (void)state;
    char path[128];
    sqlite3 *db = NULL;
    struct key key;
    make_key(&key);
    sign_with(&key, &key);
    change(5);
    exported(4, 0);
    assert_true(sign(&key));
    assert_int_equal(purge(false).records, 4);
    (void)snprintf(path, sizeof path, "%s/%s", fix.dir, PATH_STORE);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    static const char *const refused[] = {"DELETE FROM node_audit",
                                          "DELETE FROM node_audit WHERE sequence = 5",
                                          "UPDATE node_audit_floor SET sequence = 3"};
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        assert_int_equal(sqlite3_exec(db, refused[i], NULL, NULL, NULL), SQLITE_CONSTRAINT);
    (void)sqlite3_close(db);
}

// Segments that are torn make the next one begin: three of them.
static void three_segments(void)
{
    for (int i = 0; i < 3; i++) {
        char path[AUDIT_PATH_MAX];
        read_some(0, 4);
        OK(audit_anchor(fix.root, fix.store));
        if (i == 2)
            break;
        read_some(0, 1);
        audit_walk_path(0, (uint32_t)i + 1, path);
        cut(path, size_of(path) - 1);
    }
}

static uint64_t reads_left(void)
{
    uint64_t count = 0;
    CLEANUP(audit_feed_freep) struct audit_feed *feed = NULL;
    const struct audit_feed_options options = {
        .root = fix.root, .store = fix.store, .one_chain = true, .chain = 1};
    const struct audit_item *item = NULL;
    OK(audit_feed_new(&options, &feed));
    for (;;) {
        OK(audit_feed_next(feed, &item));
        if (item == NULL)
            return count;
        count++;
    }
}

static void journals_are_purged_by_whole_segments(void **state)
{
    (void)state;
    struct key key;
    make_key(&key);
    sign_with(&key, &key);
    three_segments();
    assert_true(sign(&key));
    assert_int_equal(reads_left(), 12);
    exported(0, 11); // segments: 6 records, 6, 6
    assert_int_equal(purge(true).segments, 1);
    assert_int_equal(purge(false).segments, 1);
    assert_true(verify(&key).sound); // not yet removed
    settle();
    assert_false(file_exists(fix.root, JOURNAL));
    struct audit_verdict verdict = verify(&key);
    if (!verdict.sound)
        fail_msg("%s", verdict.what);
    assert_int_equal(verdict.read_records, 8);
    assert_int_equal(reads_left(), 8);
    exported(0, 100);
    assert_int_equal(purge(false).segments, 1); // the last one is in use
    settle();
    assert_true(verify(&key).sound);
    read_some(0, 2);
    OK(audit_anchor(fix.root, fix.store));
    assert_true(verify(&key).sound);
    assert_int_equal(reads_left(), 6);
    // The next one beyond what the purge says is missed.
    OK(file_remove(fix.root, PATH_AUDIT_DIR "/reads-0-3.log"));
    verdict = verify(&key);
    assert_false(verdict.sound);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_head_is_signed_once_and_vouches_for_all_before),
        TEST(keys_follow_each_other),
        TEST(a_forged_chain_is_found_by_the_noted_key),
        TEST(a_changed_signature_is_found),
        TEST(only_what_is_exported_and_signed_is_purged),
        TEST(the_last_sealed_record_stays),
        TEST(what_was_purged_cannot_be_faked),
        TEST(rows_that_remain_cannot_be_deleted_and_a_floor_does_not_fall),
        TEST(journals_are_purged_by_whole_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
