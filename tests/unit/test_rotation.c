// SPDX-License-Identifier: Apache-2.0
//
// Rotation of passphrase, wallet password and master key on a keeper's state, and the monitor: what
// each problem is called, that it goes by itself, and that a refused credential is asked once.
#include <sys/stat.h>

#include "keyring/datakey.h"
#include "keyring/latch.h"
#include "tests/unit/core_rig.h"

#define OLD "the old recovery passphrase"
#define NEW "the new recovery passphrase"

static enum err run(enum keyring_operation operation, const char *params, const char *old,
                    const char *new)
{
    struct keyring_secret secrets[3] = {{"credential", span_str(fake.pin)}};
    size_t count = 1;
    if (old != NULL)
        secrets[count++] = (struct keyring_secret){"recovery_passphrase", span_str(old)};
    if (new != NULL)
        secrets[count++] = (struct keyring_secret){"new_recovery_passphrase", span_str(new)};
    buf_clear(&doc);
    return operate_run(&core, operation, span_str(params), secrets, count, &doc, &unsure);
}

static void make(bool hsm)
{
    OK(run(KEYRING_SETUP, "", OLD, NULL));
    if (hsm)
        OK(run(KEYRING_HSM_INITIALIZE, "{\"token_label\":\"tok\"}", OLD, NULL));
}

static void drop_ram(void)
{
    OK(file_remove(fake_dir, PATH_RAM_AUTOLOGIN));
    OK(file_remove(fake_dir, PATH_RAM_WALLET));
}

static void restart(void)
{
    core_done(&core);
    core_init(&core, fake_dir);
    core_try(&core);
}

static enum err opens_by(const char *passphrase)
{
    const struct opener o = {fake_dir, -1};
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    return opener_passphrase(&o, &core.record, span_str(passphrase), &wallet);
}

static struct buf copy_of(const char *path)
{
    struct buf bytes;
    buf_init(&bytes, 1 << 20, false);
    OK(file_read(fake_dir, path, 1 << 20, &bytes));
    return bytes;
}

static bool is_still(const char *path, const struct buf *before)
{
    struct buf now CLEANUP(buf_done) = copy_of(path);
    return span_eq(span_buf(&now), span_buf(before));
}

// ---- recovery passphrase ----
static void change_passphrase(bool hsm)
{
    make(hsm);
    const char *path = hsm ? PATH_RESTORE_WALLET : PATH_TDE_WALLET;
    struct buf old CLEANUP(buf_done) = copy_of(path);
    struct wallet *none = NULL;
    uint32_t generation = core.record.generation;
    int logins = token_logins();
    fake.open = ERR_HSM_SLOT; // not needed for this
    OK(run(KEYRING_CHANGE_PASSPHRASE, "", OLD, NEW));
    assert_int_equal(core.record.generation, generation + 1);
    assert_int_equal(token_logins(), logins);
    OK(opens_by(NEW));
    FAILS(ERR_PASSPHRASE, opens_by(OLD));
    // The file of before opens with its passphrase, and is not taken for the one in force.
    OK(wallet_decode(span_buf(&old), span_str(OLD), &none));
    wallet_free(none);
    OK(file_write(fake_dir, path, span_buf(&old)));
    FAILS(ERR_DAMAGED, opens_by(OLD));
    fake.open = ERR_OK;
    drop_ram();
    if (hsm)
        restart();
    assert_int_equal(core_state(&core), KEYRING_OPEN);
}

static void a_changed_passphrase_is_the_only_one(void **state)
{
    (void)state;
    change_passphrase(false);
}

static void with_an_hsm_the_passphrase_of_the_restore_copy_changes(void **state)
{
    (void)state;
    change_passphrase(true);
}

static void a_passphrase_is_not_changed_without_the_old_or_to_a_weak_one(void **state)
{
    (void)state;
    FAILS(ERR_WRONG_STATE, run(KEYRING_CHANGE_PASSPHRASE, "", OLD, NEW));
    make(false);
    FAILS(ERR_PASSPHRASE, run(KEYRING_CHANGE_PASSPHRASE, "", "not the old passphrase", NEW));
    FAILS(ERR_INVALID, run(KEYRING_CHANGE_PASSPHRASE, "", OLD, "short"));
    FAILS(ERR_INVALID, run(KEYRING_CHANGE_PASSPHRASE, "", OLD, "                     "));
    FAILS(ERR_INVALID, run(KEYRING_CHANGE_PASSPHRASE, "", OLD, OLD));
    FAILS(ERR_MISSING_DATA, run(KEYRING_CHANGE_PASSPHRASE, "", OLD, NULL));
    FAILS(ERR_MISSING_DATA, run(KEYRING_CHANGE_PASSPHRASE, "", NULL, NEW));
    fake.no_prover = true;
    FAILS(ERR_UNAVAILABLE, run(KEYRING_CHANGE_PASSPHRASE, "", OLD, NEW));
    fake.no_prover = false;
    OK(run(KEYRING_CHANGE_PASSPHRASE, "{\"dry_run\":true}", OLD, NEW));
    assert_int_equal(core.record.generation, 1);
    OK(opens_by(OLD));
}

// ---- wallet password ----
static void a_new_wallet_password_is_under_the_same_root_key(void **state)
{
    (void)state;
    make(true);
    struct buf wallet CLEANUP(buf_done) = copy_of(PATH_TDE_WALLET);
    struct buf password CLEANUP(buf_done) = copy_of(PATH_HSM_PASSWORD);
    struct buf ram CLEANUP(buf_done) = copy_of(PATH_RAM_WALLET);
    struct buf restore CLEANUP(buf_done) = copy_of(PATH_RESTORE_WALLET);
    uint32_t number = core.record.key.number;
    OK(run(KEYRING_ROTATE_PASSWORD, "", NULL, NULL));
    assert_int_equal(core.record.key.number, number);
    assert_int_equal(token_count(), 1);
    assert_false(is_still(PATH_TDE_WALLET, &wallet));
    assert_false(is_still(PATH_HSM_PASSWORD, &password));
    assert_false(is_still(PATH_RAM_WALLET, &ram));
    assert_true(is_still(PATH_RESTORE_WALLET, &restore));
    OK(opens_by(OLD));
    drop_ram();
    restart();
    assert_int_equal(core_state(&core), KEYRING_OPEN);
    // What opened before is refused, each file alone and both together.
    OK(file_write(fake_dir, PATH_TDE_WALLET, span_buf(&wallet)));
    OK(file_write(fake_dir, PATH_HSM_PASSWORD, span_buf(&password)));
    drop_ram();
    restart();
    assert_int_equal(core_state(&core), KEYRING_LOCKED);
}

static void a_wallet_password_is_not_rotated_unless_the_hsm_opens_the_store(void **state)
{
    (void)state;
    make(false);
    FAILS(ERR_WRONG_STATE, run(KEYRING_ROTATE_PASSWORD, "", NULL, NULL));
    assert_non_null(strstr(err_detail(), "passphrase change"));
    OK(run(KEYRING_HSM_INITIALIZE, "{\"token_label\":\"tok\"}", OLD, NULL));
    uint32_t generation = core.record.generation;
    fake.open = ERR_HSM_LIBRARY;
    FAILS(ERR_HSM_LIBRARY, run(KEYRING_ROTATE_PASSWORD, "", NULL, NULL));
    fake_reset();
    fake.seal = ERR_HSM_FAILED;
    FAILS(ERR_HSM_FAILED, run(KEYRING_ROTATE_PASSWORD, "", NULL, NULL));
    fake_reset();
    fake.prover_garbage = true;
    FAILS(ERR_HSM_KEY, run(KEYRING_ROTATE_PASSWORD, "", NULL, NULL));
    fake_reset();
    OK(run(KEYRING_ROTATE_PASSWORD, "{\"dry_run\":true}", NULL, NULL));
    token_add(core.record.key.number); // two of one number
    FAILS(ERR_HSM_KEY, run(KEYRING_ROTATE_PASSWORD, "", NULL, NULL));
    assert_int_equal(core.record.generation, generation);
    assert_false(file_exists(fake_dir, PATH_ROOT_JOURNAL));
}

static void a_latched_credential_rotates_nothing(void **state)
{
    (void)state;
    make(true);
    (void)snprintf(fake.pin, sizeof fake.pin, "9999");
    FAILS(ERR_HSM_PIN, run(KEYRING_ROTATE_PASSWORD, "", NULL, NULL));
    int logins = token_logins();
    FAILS(ERR_HSM_PIN_LATCHED, run(KEYRING_ROTATE_PASSWORD, "", NULL, NULL));
    FAILS(ERR_HSM_PIN_LATCHED, run(KEYRING_ROTATE_MASTER, "", OLD, NULL));
    assert_int_equal(token_logins(), logins);
}

// ---- master key ----
static void rotate_master(bool hsm)
{
    make(hsm);
    struct buf wrapped CLEANUP(buf_done);
    buf_init(&wrapped, 256, false);
    uint8_t key[DATAKEY_LEN] = {1};
    uint32_t master = core.record.master;
    OK(datakey_wrap(core.wallet, span_str("id"), span_of(key, sizeof key), &wrapped));
    OK(run(KEYRING_ROTATE_MASTER, "", OLD, NULL));
    assert_int_equal(core.record.master, master + 1);
    assert_int_equal(wallet_newest(core.wallet)->number, master + 1);
    for (int i = 0; i < 2; i++) { // now, and started from the files alone
        CLEANUP(secret_freep) struct secret *again = NULL;
        OK(datakey_unwrap(core.wallet, span_str("id"), span_buf(&wrapped), &again));
        assert_memory_equal(again->data, key, sizeof key);
        drop_ram();
        restart();
        assert_int_equal(core_state(&core), KEYRING_OPEN);
    }
    OK(opens_by(OLD));
    FAILS(ERR_PASSPHRASE, run(KEYRING_ROTATE_MASTER, "", "not the passphrase", NULL));
    FAILS(ERR_MISSING_DATA, run(KEYRING_ROTATE_MASTER, "", NULL, NULL));
    OK(run(KEYRING_ROTATE_MASTER, "{\"dry_run\":true}", OLD, NULL));
    assert_int_equal(core.record.master, master + 1);
}

static void a_new_master_key_keeps_the_older_ones(void **state)
{
    (void)state;
    rotate_master(false);
}

static void with_an_hsm_a_new_master_key_is_under_both_protectors(void **state)
{
    (void)state;
    rotate_master(true);
    fake.open = ERR_HSM_SLOT;
    FAILS(ERR_HSM_SLOT, run(KEYRING_ROTATE_MASTER, "", OLD, NULL));
}

static void a_wrong_passphrase_costs_no_login(void **state)
{
    (void)state;
    make(true);
    int logins = token_logins();
    FAILS(ERR_PASSPHRASE, run(KEYRING_ROTATE_MASTER, "", "not the passphrase", NULL));
    assert_int_equal(token_logins(), logins);
}

// ---- monitor ----
static void check(const char *problem)
{
    enum err err = core_check_hsm(&core, "monitor");
    assert_int_equal(err == ERR_OK, problem[0] == '\0');
    assert_true(core.monitor.known);
    assert_int_equal(core.monitor.up, problem[0] == '\0');
    assert_string_equal(core.monitor.problem, problem);
    if (problem[0] != '\0')
        assert_int_equal(strncmp(core.monitor.message, "HSM configuration error. ", 25), 0);
    else
        assert_string_equal(core.monitor.message, "");
}

static void each_problem_has_a_name_and_goes_by_itself(void **state)
{
    (void)state;
    static const struct {
        enum err open;
        const char *problem;
    } rows[] = {
        {ERR_HSM_LIBRARY, "library_not_loaded"},
        {ERR_HSM_SLOT, "no_token"},
        {ERR_HSM_TIMEOUT, "timeout"},
        {ERR_HSM_CRASHED, "crash"},
        {ERR_HSM_FAILED, "failed"},
    };
    make(true);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        fake.open = rows[i].open;
        check(rows[i].problem);
        fake_reset();
        check("");
    }
    fake.garbage = true;
    check("blob_does_not_open");
    fake_reset();
    token_add(core.record.key.number);
    check("key_ambiguous");
    struct token_key none;
    token_store(&none, 0);
    check("key_missing");
}

static void texts_of_the_hsm_room_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        enum err err;
        const char *text;
        const char *problem;
    } rows[] = {
        {ERR_HSM_SLOT, "Could Not Get Slot for HSM: 2 tokens have the label \"x\"; give each",
         "label_not_unique"},
        {ERR_HSM_SLOT,
         "Could Not Get Slot for HSM: there are 2 tokens: a, b; set the token label "
         "of one",
         "label_not_unique"},
        {ERR_HSM_SLOT, "no usable token has the label \"x\"; tokens seen: none", "no_token"},
        {ERR_HSM_PIN, "C_Login gave CKR_PIN_LOCKED (0xa4)", "pin_locked"},
        {ERR_HSM_PIN_LATCHED, "refused before", "pin_locked"}, // as known since
        {ERR_HSM_PIN, "C_Login gave CKR_PIN_INCORRECT (0xa0)", "pin_refused"},
        {ERR_HSM_PIN_LATCHED, "refused before", "pin_refused"},
        {ERR_HSM_KEY, "the root key \"x\" number 1 is not on the HSM", "key_missing"},
        {ERR_FILE_MODE, "mode 0644", "files"},
        {ERR_MEMORY, "", "failed"},
    };
    struct monitor monitor;
    monitor_init(&monitor);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        err_adopt(rows[i].text, strlen(rows[i].text));
        monitor_down(&monitor, monitor_begin(), NULL, rows[i].err);
        assert_string_equal(monitor.problem, rows[i].problem);
    }
    assert_true(monitor.known && !monitor.up && monitor.checked_ms > 0);
}

static void files_are_looked_at_too(void **state)
{
    (void)state;
    make(true);
    check("");
    struct buf restore CLEANUP(buf_done) = copy_of(PATH_RESTORE_WALLET);
    OK(file_write(fake_dir, PATH_RESTORE_WALLET, span_str("changed")));
    check("files");
    assert_non_null(strstr(core.monitor.message, PATH_RESTORE_WALLET));
    OK(file_remove(fake_dir, PATH_RESTORE_WALLET));
    check("files");
    OK(file_write(fake_dir, PATH_RESTORE_WALLET, span_buf(&restore)));
    check("");
    OK(file_write(fake_dir, PATH_TDE_AUTOLOGIN, span_str("opens by itself")));
    check("files");
    OK(file_remove(fake_dir, PATH_TDE_AUTOLOGIN));
    assert_int_equal(fchmodat(fake_dir, PATH_HSM_CREDENTIAL, 0644, 0), 0);
    check("files");
    assert_int_equal(fchmodat(fake_dir, PATH_HSM_CREDENTIAL, 0600, 0), 0);
    check("");
    assert_int_equal(core_state(&core), KEYRING_OPEN); // none of this stops the service
}

static void a_refused_credential_is_asked_once_across_restarts(void **state)
{
    (void)state;
    make(true);
    (void)snprintf(fake.pin, sizeof fake.pin, "9999");
    int logins = token_logins();
    for (int i = 0; i < 10; i++)
        check("pin_refused");
    assert_int_equal(token_logins(), logins + 1);
    for (int i = 0; i < 5; i++) {
        restart(); // from RAM
        assert_int_equal(core_state(&core), KEYRING_OPEN);
        assert_int_equal(core_check_due_ms(&core), -1);
        check("pin_refused");
    }
    assert_int_equal(token_logins(), logins + 1);
    OK(run(KEYRING_HSM_CREDENTIAL, "", NULL, NULL)); // a person has acted
    check("");
}

static void a_check_is_due_at_once_and_then_after_the_interval(void **state)
{
    (void)state;
    core.monitor.interval_ms = 10000;
    assert_int_equal(core_check_due_ms(&core), -1);
    OK(run(KEYRING_SETUP, "", OLD, NULL));
    assert_int_equal(core_check_due_ms(&core), -1);
    OK(run(KEYRING_HSM_INITIALIZE, "{\"token_label\":\"tok\"}", OLD, NULL));
    int due = core_check_due_ms(&core);
    assert_true(due > 9000 && due <= 10000); // Initialize was a proof
    core.monitor.due_ms = 0;
    assert_int_equal(core_check_due_ms(&core), 0);
    fake.open = ERR_HSM_TIMEOUT;
    check("timeout");
    assert_true(core_check_due_ms(&core) > 9000);
    core_done(&core); // opened from RAM nothing is known of the HSM yet
    core_init(&core, fake_dir);
    core.monitor.interval_ms = 10000;
    core_try(&core);
    assert_int_equal(core_check_due_ms(&core), 0);
    fake.open = ERR_OK;
    check("");
    OK(run(KEYRING_REVERSE_MIGRATE, "", OLD, NEW));
    assert_false(core.monitor.known);
    assert_int_equal(core_check_due_ms(&core), -1);
}

static void the_status_tells_what_the_check_found(void **state)
{
    (void)state;
    make(true);
    OK(run(KEYRING_HSM_STATUS, "", NULL, NULL));
    assert_true(told("\"status\":\"up\"") && told("\"checked_at\":") && told("\"latency_ms\":"));
    assert_false(told("\"problem\""));
    fake.open = ERR_HSM_CRASHED;
    OK(run(KEYRING_HSM_STATUS, "", NULL, NULL));
    assert_true(told("\"status\":\"down\"") && told("\"problem\":\"crash\""));
    assert_true(told("\"message\":\"HSM configuration error. "));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_changed_passphrase_is_the_only_one),
        CASE(with_an_hsm_the_passphrase_of_the_restore_copy_changes),
        CASE(a_passphrase_is_not_changed_without_the_old_or_to_a_weak_one),
        CASE(a_new_wallet_password_is_under_the_same_root_key),
        CASE(a_wallet_password_is_not_rotated_unless_the_hsm_opens_the_store),
        CASE(a_latched_credential_rotates_nothing),
        CASE(a_new_master_key_keeps_the_older_ones),
        CASE(with_an_hsm_a_new_master_key_is_under_both_protectors),
        CASE(a_wrong_passphrase_costs_no_login),
        CASE(each_problem_has_a_name_and_goes_by_itself),
        CASE(texts_of_the_hsm_room_are_told_apart),
        CASE(files_are_looked_at_too),
        CASE(a_refused_credential_is_asked_once_across_restarts),
        CASE(a_check_is_due_at_once_and_then_after_the_interval),
        CASE(the_status_tells_what_the_check_found),
    };
    return secret_setup() != ERR_OK || cmocka_run_group_tests(tests, NULL, NULL);
}
