// SPDX-License-Identifier: Apache-2.0
//
// Root-of-trust operations, against an HSM of our own: what each does, and that each refusal leaves
// everything as it was. Killing and repeating stands in test_recovery.c.
#include <sys/stat.h>

#include "base/clock.h"
#include "keyring/keeper.h"
#include "keyring/latch.h"
#include "keyring/orphan.h"
#include "keyring/verbs.h"
#include "tests/unit/operation_rig.h"

static void setup_makes_a_wallet_that_opens_unattended(void **state)
{
    (void)state;
    core_try(&core);
    assert_int_equal(core_state(&core), KEYRING_EMPTY);
    OK(set_up_store());
    assert_int_equal(core_state(&core), KEYRING_OPEN);
    assert_int_equal(core.record.generation, 1);
    restart();
    assert_int_equal(core_state(&core), KEYRING_OPEN);
    assert_int_equal(wallet_count(core.wallet), 1);
    struct stat st;
    assert_int_equal(fstatat(fake_dir, PATH_TDE_WALLET, &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(fstatat(fake_dir, PATH_TDE_DIR, &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_false(file_exists(fake_dir, PATH_ROOT_JOURNAL));
}

static void setup_is_refused_with_a_weak_passphrase_or_twice(void **state)
{
    (void)state;
    REFUSED(ERR_INVALID, run(KEYRING_SETUP, "", NULL, "fourteen chars", NULL));
    REFUSED(ERR_INVALID, run(KEYRING_SETUP, "", NULL, "aaaaaaaaaaaaaaaaaaaa", NULL));
    REFUSED(ERR_INVALID,
            run(KEYRING_SETUP, "", NULL, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9 seven", NULL));
    REFUSED(ERR_INVALID, run(KEYRING_SETUP, "", NULL, "not utf-8 \xff\xff\xff\xff\xff", NULL));
    REFUSED(ERR_MISSING_DATA, run(KEYRING_SETUP, "", NULL, NULL, NULL));
    FAILS(ERR_INVALID, run(KEYRING_SETUP, "[1]", NULL, OLD, NULL));
    FAILS(ERR_OPERATION, run((enum keyring_operation)99, "", NULL, OLD, NULL));
    OK(run(KEYRING_SETUP, "{\"dry_run\":true}", NULL, OLD, NULL));
    assert_false(file_exists(fake_dir, PATH_ROOT_RECORD));
    OK(set_up_store());
    REFUSED(ERR_WRONG_STATE, set_up_store());
}

static void nothing_is_possible_before_setup(void **state)
{
    (void)state;
    FAILS(ERR_WRONG_STATE, initialize());
    FAILS(ERR_WRONG_STATE, run(KEYRING_HSM_CREDENTIAL, "", "1234", NULL, NULL));
    FAILS(ERR_WRONG_STATE, run(KEYRING_REVERSE_MIGRATE, "", "1234", OLD, NEW));
    FAILS(ERR_WRONG_STATE, run(KEYRING_OPEN_WALLET, "", NULL, OLD, NULL));
    FAILS(ERR_WRONG_STATE, run(KEYRING_PRE_RESTORE, "", "1234", NULL, NULL));
    OK(run(KEYRING_HSM_STATUS, "", NULL, NULL, NULL));
    assert_true(told("\"status\":\"down\"") && told("\"type\":\"None\""));
    OK(run(KEYRING_HSM_VERIFY, "", NULL, NULL, NULL));
    assert_true(told("\"healthy\":false"));
    assert_int_equal(token_logins(), 0);
}

static void initialize_moves_the_wallet_under_the_hsm(void **state)
{
    (void)state;
    OK(set_up_store());
    OK(initialize());
    assert_true(core.record.hsm && core.record.generation == 2 && core.record.key.number == 1);
    assert_int_equal(wallet_count(core.wallet), 2);
    assert_false(file_exists(fake_dir, PATH_TDE_AUTOLOGIN));
    assert_true(file_exists(fake_dir, PATH_HSM_PASSWORD));
    struct buf conf CLEANUP(buf_done);
    buf_init(&conf, 4096, false);
    OK(file_read(fake_dir, PATH_SECURITY_CONF, 4096, &conf));
    assert_non_null(memmem(conf.data, conf.len, "HSM_ENABLED=\"1\"", 15));
    assert_non_null(memmem(conf.data, conf.len, "SITE_KEY=\"kept\"", 15));
    assert_non_null(memmem(conf.data, conf.len, "# by hand", 9));
    assert_true(told("\"key_number\":1") && told("\"committed\":true"));
    OK(run(KEYRING_HSM_STATUS, "", NULL, NULL, NULL));
    assert_true(told("\"status\":\"up\"") && told("\"type\":\"tok\"") && told("Fake Inc."));
}

static void after_initialize_it_opens_by_ram_by_the_hsm_and_by_passphrase(void **state)
{
    (void)state;
    OK(set_up_store());
    OK(initialize());
    int logins = token_logins();
    restart();
    assert_int_equal(core_state(&core), KEYRING_OPEN);
    assert_int_equal(token_logins(), logins); // from RAM, without the HSM
    drop_ram();
    restart();
    assert_int_equal(core_state(&core), KEYRING_OPEN);
    assert_int_equal(token_logins(), logins + 1);
    assert_true(file_exists(fake_dir, PATH_RAM_AUTOLOGIN));
    drop_ram();
    fake.open = ERR_HSM_SLOT;
    restart();
    assert_int_equal(core_state(&core), KEYRING_LOCKED);
    REFUSED(ERR_PASSPHRASE, run(KEYRING_OPEN_WALLET, "", NULL, NEW, NULL));
    OK(run(KEYRING_OPEN_WALLET, "", NULL, OLD, NULL));
    assert_int_equal(core_state(&core), KEYRING_OPEN);
    assert_int_equal(wallet_count(core.wallet), 2);
}

static void initialize_is_refused_without_touching_the_hsm(void **state)
{
    (void)state;
    OK(set_up_store());
    REFUSED(ERR_PASSPHRASE, run(KEYRING_HSM_INITIALIZE, "", "1234", "a wrong passphrase", NULL));
    REFUSED(ERR_MISSING_DATA, run(KEYRING_HSM_INITIALIZE, "", NULL, OLD, NULL));
    REFUSED(ERR_MISSING_DATA, run(KEYRING_HSM_INITIALIZE, "", "1234", NULL, NULL));
    char long_pin[HSM_CREDENTIAL_MAX + 2];
    memset(long_pin, '1', sizeof long_pin - 1);
    long_pin[sizeof long_pin - 1] = '\0';
    REFUSED(ERR_INVALID, run(KEYRING_HSM_INITIALIZE, "", long_pin, OLD, NULL));
    REFUSED(ERR_CONFIG, run(KEYRING_HSM_INITIALIZE, "{\"vendor\":\"Nobody\"}", "1234", OLD, NULL));
    REFUSED(ERR_HSM_SLOT,
            run(KEYRING_HSM_INITIALIZE, "{\"token_label\":\" x\"}", "1234", OLD, NULL));
    REFUSED(ERR_INVALID, run(KEYRING_HSM_INITIALIZE, "{\"vendor\":7}", "1234", OLD, NULL));
    assert_int_equal(token_logins(), 0);
    OK(run(KEYRING_HSM_INITIALIZE, "{\"dry_run\":true}", "1234", OLD, NULL));
    assert_int_equal(token_logins(), 1);
    assert_int_equal(token_count(), 0);
    OK(initialize());
    REFUSED(ERR_WRONG_STATE, initialize());
    assert_int_equal(token_count(), 1);
}

static size_t orphans(struct orphan list[ORPHANS_MAX])
{
    size_t count = 0;
    OK(orphan_load(fake_dir, list, &count));
    return count;
}

static void initialize_that_fails_leaves_the_old_state_and_names_its_keys(void **state)
{
    (void)state;
    static struct orphan list[ORPHANS_MAX];
    OK(set_up_store());
    fake.open = ERR_HSM_LIBRARY;
    REFUSED(ERR_HSM_LIBRARY, initialize());
    fake_reset();
    REFUSED(ERR_HSM_PIN, run(KEYRING_HSM_INITIALIZE, "", "0000", OLD, NULL));
    assert_false(latch_is_set(fake_dir)); // nothing stored was refused
    fake.create = ERR_HSM_FAILED;
    REFUSED(ERR_HSM_FAILED, initialize());
    assert_int_equal(orphans(list), 0);
    fake_reset();
    fake.seal = ERR_HSM_FAILED;
    REFUSED(ERR_HSM_FAILED, initialize()); // removes the key again
    assert_int_equal(orphans(list) + token_count(), 0);
    fake_reset();
    fake.garbage = true;
    REFUSED(ERR_HSM_FAILED, initialize());
    assert_int_equal(orphans(list), 1);
    assert_int_equal(list[0].number, 1);
    fake_reset();
    fake.prover_garbage = true;
    REFUSED(ERR_HSM_KEY, initialize());
    assert_int_equal(orphans(list), 2);
    fake_reset();
    fake.no_prover = true;
    REFUSED(ERR_UNAVAILABLE, initialize());
    assert_int_equal(orphans(list), 3);
    fake_reset();
    OK(initialize()); // a number once used stays used
    assert_int_equal(core.record.key.number, 4);
    OK(run(KEYRING_HSM_VERIFY, "", NULL, NULL, NULL));
    assert_true(told("\"healthy\":true") && told("\"key_number\":3"));
}

static void a_key_that_may_have_been_made_is_listed(void **state)
{
    (void)state;
    static struct orphan list[ORPHANS_MAX];
    OK(set_up_store());
    fake.create = ERR_HSM_TIMEOUT;
    fake.made_all_the_same = true;
    REFUSED(ERR_HSM_TIMEOUT, initialize());
    assert_int_equal(orphans(list), 1);
    assert_int_equal(list[0].number, 0);
    fake.create = ERR_HSM_FAILED; // an answer is no better where it does not say that none was made
    REFUSED(ERR_HSM_FAILED, initialize());
    assert_int_equal(orphans(list), 2);
    assert_int_equal(list[1].number, 0);
}

static void a_key_left_beside_the_one_in_use_is_listed(void **state)
{
    (void)state;
    static struct orphan list[ORPHANS_MAX];
    OK(set_up_store());
    fake.left_besides = true;
    OK(initialize());
    assert_int_equal(orphans(list), 1);
    assert_int_equal(list[0].number, 0);
    drop_ram();
    restart();
    assert_int_equal(core_state(&core), KEYRING_OPEN);
}

static void a_number_taken_by_two_servers_is_passed_over(void **state)
{
    (void)state;
    static struct orphan list[ORPHANS_MAX];
    OK(set_up_store());
    fake.race = 2;
    OK(initialize());
    assert_int_equal(core.record.key.number, 3);
    assert_int_equal(orphans(list), 2);
    fake.race = 0;
    drop_ram();
    restart();
    assert_int_equal(core_state(&core), KEYRING_OPEN);
}

static void numbers_taken_again_and_again_end_in_a_refusal(void **state)
{
    (void)state;
    OK(set_up_store());
    fake.race = 100;
    REFUSED(ERR_HSM_KEY, initialize());
    restart();
    assert_int_equal(core_state(&core), KEYRING_OPEN);
}

static void a_second_key_with_the_number_in_use_turns_the_status_red_but_still_opens(void **state)
{
    (void)state;
    OK(set_up_store());
    OK(initialize());
    token_add(1);
    OK(run(KEYRING_HSM_STATUS, "", NULL, NULL, NULL));
    assert_true(told("\"status\":\"down\"") && told("2 root keys with number 1"));
    drop_ram();
    restart();
    assert_int_equal(core_state(&core), KEYRING_OPEN);
}

static void status_is_green_only_when_proved(void **state)
{
    (void)state;
    OK(set_up_store());
    OK(run(KEYRING_HSM_STATUS, "", NULL, NULL, NULL));
    assert_true(told("\"status\":\"down\"") && told("\"type\":\"None\""));
    OK(initialize());
    int logins = token_logins();
    OK(run(KEYRING_HSM_STATUS, "{\"max_age_ms\":60000}", NULL, NULL, NULL));
    assert_true(told("\"status\":\"up\"") && token_logins() == logins);
    fake.garbage = true;
    OK(run(KEYRING_HSM_STATUS, "", NULL, NULL, NULL));
    assert_true(told("\"status\":\"down\""));
    OK(run(KEYRING_HSM_STATUS, "{\"max_age_ms\":60000}", NULL, NULL, NULL));
    assert_true(told("\"status\":\"down\"")); // what failed since is not remembered as green
}

static void a_refused_credential_is_tried_once_and_never_again_by_itself(void **state)
{
    (void)state;
    OK(set_up_store());
    OK(initialize());
    (void)snprintf(fake.pin, sizeof fake.pin, "9999");
    drop_ram();
    int logins = token_logins();
    for (int i = 0; i < 20; i++)
        restart();
    assert_int_equal(core_state(&core), KEYRING_LOCKED);
    assert_int_equal(token_logins(), logins + 1);
    assert_non_null(strstr(core.reason, "not tried again"));
    OK(run(KEYRING_HSM_STATUS, "", NULL, NULL, NULL));
    assert_true(told("\"status\":\"down\"") && token_logins() == logins + 1);
    FAILS(ERR_HSM_PIN, run(KEYRING_OPEN_WALLET, "", NULL, NULL, NULL)); // a person: one try
    assert_int_equal(token_logins(), logins + 2);
    restart();
    assert_int_equal(token_logins(), logins + 2);
    OK(run(KEYRING_HSM_CREDENTIAL, "", "9999", NULL, NULL));
    assert_int_equal(core_state(&core), KEYRING_OPEN);
    assert_false(latch_is_set(fake_dir));
    // Nothing was said of the label, so it is the one of Initialize still.
    struct hsm_settings settings;
    OK(hsm_settings_load(fake_dir, &settings));
    assert_string_equal(settings.label, "tok");
    drop_ram();
    restart();
    assert_int_equal(core_state(&core), KEYRING_OPEN);
}

static void a_refused_credential_is_not_tried_again_where_the_latch_cannot_be_written(void **state)
{
    (void)state;
    OK(set_up_store());
    OK(initialize());
    (void)snprintf(fake.pin, sizeof fake.pin, "9999");
    drop_ram();
    OK(file_mkdirs(fake_dir, PATH_PIN_LATCH ".new"));
    int logins = token_logins();
    restart();
    for (int i = 0; i < 20; i++)
        core_try(&core);
    assert_false(latch_is_set(fake_dir));
    assert_int_equal(token_logins(), logins + 1);
    assert_non_null(strstr(core.reason, "not tried again"));
    OK(run(KEYRING_HSM_STATUS, "", NULL, NULL, NULL));
    assert_true(told("\"status\":\"down\""));
    FAILS(ERR_HSM_PIN_LATCHED, core_check_hsm(&core, "monitor"));
    OK(run(KEYRING_HSM_VERIFY, "", NULL, NULL, NULL));
    assert_true(told("the HSM refused the stored credential"));
    assert_int_equal(token_logins(), logins + 1);
    (void)snprintf(fake.pin, sizeof fake.pin, "1234");
    OK(run(KEYRING_OPEN_WALLET, "", NULL, NULL, NULL));
    OK(core_check_hsm(&core, "monitor"));
    assert_int_equal(token_logins(), logins + 3);
}

static void open_wallet_by_the_passphrase_lets_the_credential_be_tried_once_more(void **state)
{
    (void)state;
    OK(set_up_store());
    OK(initialize());
    (void)snprintf(fake.pin, sizeof fake.pin, "9999");
    drop_ram();
    OK(file_mkdirs(fake_dir, PATH_PIN_LATCH ".new"));
    restart();
    OK(run(KEYRING_OPEN_WALLET, "", NULL, OLD, NULL));
    int logins = token_logins();
    FAILS(ERR_HSM_PIN, core_check_hsm(&core, "monitor"));
    FAILS(ERR_HSM_PIN_LATCHED, core_check_hsm(&core, "monitor"));
    assert_int_equal(token_logins(), logins + 1);
}

static void open_wallet_clears_the_latch_with_a_credential_that_works(void **state)
{
    (void)state;
    OK(set_up_store());
    OK(initialize());
    (void)snprintf(fake.pin, sizeof fake.pin, "9999");
    drop_ram();
    restart();
    assert_true(latch_is_set(fake_dir));
    FAILS(ERR_HSM_PIN, run(KEYRING_OPEN_WALLET, "", "0000", NULL, NULL));
    OK(run(KEYRING_OPEN_WALLET, "", "9999", NULL, NULL));
    assert_false(latch_is_set(fake_dir));
    assert_int_equal(core_state(&core), KEYRING_OPEN);
}

static void a_wrong_credential_costs_one_login_and_changes_nothing(void **state)
{
    (void)state;
    OK(set_up_store());
    OK(initialize());
    int logins = token_logins();
    REFUSED(ERR_HSM_PIN,
            run(KEYRING_HSM_CREDENTIAL, "{\"token_label\":\"other\"}", "0000", NULL, NULL));
    assert_int_equal(token_logins(), logins + 1);
    fake.garbage = true; // the right PIN of a token with another key
    REFUSED(ERR_HSM_KEY, run(KEYRING_HSM_CREDENTIAL, "", "1234", NULL, NULL));
    fake_reset();
    fake.prover_garbage = true;
    REFUSED(ERR_HSM_KEY, run(KEYRING_HSM_CREDENTIAL, "", "1234", NULL, NULL));
    fake_reset();
    REFUSED(ERR_CONFIG, run(KEYRING_HSM_CREDENTIAL, "{\"vendor\":\"X\"}", "1234", NULL, NULL));
    OK(run(KEYRING_HSM_CREDENTIAL, "{\"dry_run\":true}", "1234", NULL, NULL));
    assert_int_equal(core.record.generation, 2);
    restart();
    assert_int_equal(core_state(&core), KEYRING_OPEN);
}

static void a_credential_is_prepared_for_a_restore(void **state)
{
    (void)state;
    OK(set_up_store());
    REFUSED(ERR_HSM_PIN, run(KEYRING_PRE_RESTORE, "", "0000", NULL, NULL));
    OK(run(KEYRING_HSM_CREDENTIAL, "{\"token_label\":\"tok\"}", "1234", NULL, NULL));
    assert_true(file_exists(fake_dir, PATH_RESTORE_AUTOLOGIN));
    assert_false(core.record.hsm);
    restart();
    assert_int_equal(core_state(&core), KEYRING_OPEN);
    OK(initialize());
    assert_false(file_exists(fake_dir, PATH_RESTORE_AUTOLOGIN));
    REFUSED(ERR_WRONG_STATE, run(KEYRING_PRE_RESTORE, "", "1234", NULL, NULL));
}

static void reverse_migration_goes_back_to_a_new_passphrase_alone(void **state)
{
    (void)state;
    OK(set_up_store());
    OK(initialize());
    OK(run(KEYRING_REVERSE_MIGRATE, "", "1234", OLD, NEW));
    static const char *const gone[] = {PATH_HSM_PASSWORD, PATH_HSM_CREDENTIAL, PATH_RESTORE_WALLET,
                                       PATH_RAM_AUTOLOGIN, PATH_RAM_WALLET};
    for (size_t i = 0; i < COUNT_OF(gone); i++)
        assert_false(file_exists(fake_dir, gone[i]));
    fake.open = ERR_HSM_SLOT; // the HSM is gone
    restart();
    assert_int_equal(core_state(&core), KEYRING_OPEN);
    assert_int_equal(wallet_count(core.wallet), 2);
    FAILS(ERR_PASSPHRASE, run(KEYRING_OPEN_WALLET, "", NULL, OLD, NULL));
    OK(run(KEYRING_OPEN_WALLET, "", NULL, NEW, NULL));
    fake_reset();
    for (uint32_t round = 2; round <= 3; round++) {
        OK(run(KEYRING_HSM_INITIALIZE, "", "1234", NEW, NULL));
        assert_int_equal(core.record.key.number, round);
        OK(run(KEYRING_REVERSE_MIGRATE, "", "1234", NEW, NEW));
    }
}

static void reverse_migration_is_refused_unless_both_open(void **state)
{
    (void)state;
    OK(set_up_store());
    REFUSED(ERR_WRONG_STATE, run(KEYRING_REVERSE_MIGRATE, "", "1234", OLD, NEW));
    OK(initialize());
    int logins = token_logins();
    REFUSED(ERR_PASSPHRASE, run(KEYRING_REVERSE_MIGRATE, "", "1234", NEW, NEW));
    REFUSED(ERR_INVALID, run(KEYRING_REVERSE_MIGRATE, "", "1234", OLD, "too short"));
    REFUSED(ERR_MISSING_DATA, run(KEYRING_REVERSE_MIGRATE, "", "1234", OLD, NULL));
    assert_int_equal(token_logins(), logins);
    REFUSED(ERR_HSM_PIN, run(KEYRING_REVERSE_MIGRATE, "", "0000", OLD, NEW));
    fake.open = ERR_HSM_SLOT;
    REFUSED(ERR_HSM_SLOT, run(KEYRING_REVERSE_MIGRATE, "", "1234", OLD, NEW));
    fake_reset();
    OK(run(KEYRING_REVERSE_MIGRATE, "{\"dry_run\":true}", "1234", OLD, NEW));
    struct hsm_settings settings;
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 4096, false);
    OK(hsm_settings_load(fake_dir, &settings));
    settings.reverse_migrate_enabled = false;
    OK(hsm_settings_text(fake_dir, &settings, &text));
    OK(file_write(fake_dir, PATH_SECURITY_CONF, span_buf(&text)));
    REFUSED(ERR_NOT_PERMITTED, run(KEYRING_REVERSE_MIGRATE, "", "1234", OLD, NEW));
}

static enum err copy(const char *from, const char *to)
{
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, 1 << 16, true);
    TRY(file_read(fake_dir, from, bytes.limit, &bytes));
    return file_write(fake_dir, to, span_buf(&bytes));
}

static void a_file_of_another_time_or_mode_is_named_and_not_used(void **state)
{
    (void)state;
    OK(set_up_store());
    OK(initialize());
    drop_ram();
    assert_int_equal(fchmodat(fake_dir, PATH_HSM_PASSWORD, 0644, 0), 0);
    restart();
    assert_non_null(strstr(core.reason, PATH_HSM_PASSWORD));
    assert_non_null(strstr(core.reason, "0600"));
    assert_int_equal(fchmodat(fake_dir, PATH_HSM_PASSWORD, 0600, 0), 0);
    OK(copy(PATH_HSM_CREDENTIAL, "kept"));
    OK(file_remove(fake_dir, PATH_HSM_CREDENTIAL));
    restart();
    assert_non_null(strstr(core.reason, PATH_HSM_CREDENTIAL "\" is missing"));
    OK(copy(PATH_HSM_PASSWORD, PATH_HSM_CREDENTIAL));
    restart();
    assert_non_null(strstr(core.reason, "is not the file of generation 2"));
    OK(run(KEYRING_HSM_VERIFY, "", NULL, NULL, NULL));
    assert_true(told("\"healthy\":false"));
    OK(copy("kept", PATH_HSM_CREDENTIAL));
    restart();
    assert_int_equal(core_state(&core), KEYRING_OPEN);
}

static void a_damaged_record_locks_and_is_named(void **state)
{
    (void)state;
    struct buf text CLEANUP(buf_done);
    buf_init(&text, ROOTREC_TEXT_MAX, false);
    OK(set_up_store());
    OK(file_read(fake_dir, PATH_ROOT_RECORD, ROOTREC_TEXT_MAX, &text));
    struct root_record record;
    for (size_t bit = 0; bit < text.len * 8; bit++) {
        text.data[bit / 8] = (uint8_t)(text.data[bit / 8] ^ (1U << (bit % 8)));
        FAILS(ERR_DAMAGED, rootrec_parse(span_buf(&text), &record));
        text.data[bit / 8] = (uint8_t)(text.data[bit / 8] ^ (1U << (bit % 8)));
    }
    text.data[100] ^= 1;
    OK(file_write(fake_dir, PATH_ROOT_RECORD, span_buf(&text)));
    restart();
    assert_int_equal(core_state(&core), KEYRING_LOCKED);
    assert_non_null(strstr(core.reason, "root.record"));
    FAILS(ERR_DAMAGED, run(KEYRING_SETUP, "", NULL, OLD, NULL)); // never a second wallet
}

static void retries_slow_down_and_end_when_the_hsm_is_back(void **state)
{
    (void)state;
    OK(set_up_store());
    OK(initialize());
    drop_ram();
    fake.open = ERR_HSM_SLOT;
    restart();
    assert_in_range(core_due_ms(&core), 1, 200);
    for (int i = 0; i < 12; i++)
        core_try(&core);
    assert_in_range(core_due_ms(&core), 20000, 30000);
    fake.open = ERR_OK;
    core_try(&core);
    assert_int_equal(core_state(&core), KEYRING_OPEN);
    assert_int_equal(core_due_ms(&core), -1);
}

// Through the channel, as an engine sees it.

// A keeper in a process of its own, since the client's calls block.
static struct ipc *start_keeper(enum proc_role role, pid_t *ret_pid)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    *ret_pid = fork();
    if (*ret_pid == 0) {
        struct keeper *keeper = NULL;
        (void)close(pair[0]);
        if (keeper_new(fake_dir, -1, &keeper) != ERR_OK ||
            keeper_attach(keeper, role, 0, pair[1]) != ERR_OK)
            _exit(1);
        int64_t end = clock_mono_ms() + 60000;
        while (clock_mono_ms() < end && keeper_turn(keeper, 100) == ERR_OK) {
            struct pollfd fd;
            if (keeper_fds(keeper, &fd, 1) == 0)
                break; // the client has closed
        }
        keeper_free(keeper);
        _exit(0);
    }
    (void)close(pair[1]);
    struct ipc *ipc = NULL;
    OK(ipc_new(pair[0], &ipc));
    return ipc;
}

static void an_engine_gets_data_keys_and_may_rewrap_them(void **state)
{
    (void)state;
    pid_t pid = 0;
    struct ipc *keeper = start_keeper(ROLE_ADMIN, &pid);
    struct keyring_status status;
    CLEANUP(secret_freep) struct secret *key = NULL;
    CLEANUP(secret_freep) struct secret *again = NULL;
    struct buf wrapped CLEANUP(buf_done), newer CLEANUP(buf_done);
    buf_init(&wrapped, KEYRING_WRAPPED_MAX, false);
    buf_init(&newer, KEYRING_WRAPPED_MAX, false);
    struct secret *none = NULL;
    bool changed = true;
    FAILS(ERR_LOCKED, keyring_new_key(keeper, span_str("id"), &none, &wrapped));
    OK(keyring_status(keeper, &status));
    assert_int_equal(status.state, KEYRING_EMPTY);
    const struct keyring_secret secrets[] = {{"recovery_passphrase", span_str(OLD)},
                                             {"credential", span_str("1234")}};
    OK(keyring_operate(keeper, KEYRING_SETUP, span_str(""), secrets, 1, &doc, &unsure));
    OK(keyring_new_key(keeper, span_str("id"), &key, &wrapped));
    OK(keyring_rewrap(keeper, span_str("id"), span_buf(&wrapped), &newer, &changed));
    assert_false(changed);
    buf_clear(&newer);
    buf_clear(&doc);
    OK(keyring_operate(keeper, KEYRING_HSM_INITIALIZE, span_str("{}"), secrets, 2, &doc, &unsure));
    OK(keyring_rewrap(keeper, span_str("id"), span_buf(&wrapped), &newer, &changed));
    assert_true(changed);
    OK(keyring_unwrap(keeper, span_str("id"), span_buf(&newer), &again));
    assert_true(secret_equal(secret_span(key), secret_span(again)));
    FAILS(ERR_DAMAGED, keyring_unwrap(keeper, span_str("other"), span_buf(&newer), &none));
    OK(keyring_status(keeper, &status));
    assert_true(status.state == KEYRING_OPEN && status.hsm_enabled && status.master == 2);
    assert_string_equal(status.reason, "");
    buf_clear(&doc);
    FAILS(ERR_WRONG_STATE, keyring_operate(keeper, KEYRING_HSM_INITIALIZE, span_str("{}"), secrets,
                                           2, &doc, &unsure));
    assert_true(told("\"steps\""));
    ipc_free(keeper);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

// The answer with this id; earlier ones with others are not expected.
static enum err wait_answer(struct ipc *ipc, uint64_t id)
{
    struct ipc_frame answer;
    while (!ipc_next(ipc, &answer)) {
        struct pollfd fd = {.fd = ipc_fd(ipc), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, 20000), 1);
        OK(ipc_fill(ipc));
    }
    assert_int_equal(answer.id, id);
    return ipc_check(&answer);
}

static void other_verbs_are_answered_while_an_operation_waits(void **state)
{
    (void)state;
    int gate[2];
    pid_t pid = 0;
    assert_int_equal(pipe(gate), 0);
    fake.gate = gate[0];
    struct ipc *keeper = start_keeper(ROLE_ADMIN, &pid);
    struct buf body CLEANUP(buf_done);
    buf_init(&body, 4096, true);
    OK(buf_put_u32(&body, KEYRING_SETUP));
    OK(buf_put_var(&body, span_str("")));
    OK(buf_put_u32(&body, 1));
    OK(buf_put_var(&body, span_str("recovery_passphrase")));
    OK(buf_put_var(&body, span_str(OLD)));
    const struct ipc_frame first = {.kind = VERB_OPERATE, .id = 1001, .body = span_buf(&body)};
    const struct ipc_frame second = {.kind = VERB_OPERATE, .id = 1002, .body = span_buf(&body)};
    OK(ipc_put(keeper, &first));
    OK(ipc_flush_wait(keeper, 5000));
    struct keyring_status status;
    do // until the journal stands, so that the operation is known to be under way
        OK(keyring_status(keeper, &status));
    while (!file_exists(fake_dir, PATH_ROOT_JOURNAL));
    OK(keyring_status(keeper, &status)); // the last one may be older than the journal
    assert_int_equal(status.state, KEYRING_EMPTY);
    OK(ipc_put(keeper, &second));
    OK(ipc_flush_wait(keeper, 5000));
    FAILS(ERR_BUSY, wait_answer(keeper, 1002));
    assert_int_equal(write(gate[1], "x", 1), 1);
    OK(wait_answer(keeper, 1001));
    OK(keyring_status(keeper, &status));
    assert_int_equal(status.state, KEYRING_OPEN);
    ipc_free(keeper);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    (void)close(gate[0]);
    (void)close(gate[1]);
}

static void a_prover_has_one_verb(void **state)
{
    (void)state;
    int fd = -1;
    struct ipc *prover = NULL;
    const struct ipc_frame odd = {.kind = VERB_STATUS, .id = 1000};
    struct ipc_frame answer;
    OK(proc_spawn(ROLE_PROVER, 0, &fd));
    OK(ipc_new(fd, &prover));
    OK(ipc_call(prover, &odd, 5000, &answer));
    FAILS(ERR_INVALID, ipc_check(&answer));
    assert_string_equal(err_detail(), "the prover has no verb 1");
    ipc_free(prover);
}

static void only_the_admin_engine_may_operate(void **state)
{
    (void)state;
    pid_t pid = 0;
    struct ipc *keeper = start_keeper(ROLE_READER, &pid);
    const struct keyring_secret secret = {"recovery_passphrase", span_str(OLD)};
    FAILS(ERR_NOT_PERMITTED,
          keyring_operate(keeper, KEYRING_SETUP, span_str(""), &secret, 1, &doc, &unsure));
    assert_false(unsure);
    const struct ipc_frame odd = {.kind = 77, .id = 1000};
    struct ipc_frame answer;
    OK(ipc_call(keeper, &odd, 5000, &answer));
    FAILS(ERR_OPERATION, ipc_check(&answer));
    assert_string_equal(err_detail(), "there is no verb 77");
    ipc_free(keeper);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_false(file_exists(fake_dir, PATH_ROOT_RECORD));
    struct keeper *direct = NULL;
    OK(keeper_new(fake_dir, -1, &direct));
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    FAILS(ERR_NOT_PERMITTED, keeper_attach(direct, ROLE_FRONT, 0, pair[0]));
    (void)close(pair[1]);
    keeper_free(direct);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(setup_makes_a_wallet_that_opens_unattended),
        CASE(setup_is_refused_with_a_weak_passphrase_or_twice),
        CASE(nothing_is_possible_before_setup),
        CASE(initialize_moves_the_wallet_under_the_hsm),
        CASE(after_initialize_it_opens_by_ram_by_the_hsm_and_by_passphrase),
        CASE(initialize_is_refused_without_touching_the_hsm),
        CASE(initialize_that_fails_leaves_the_old_state_and_names_its_keys),
        CASE(a_key_that_may_have_been_made_is_listed),
        CASE(a_key_left_beside_the_one_in_use_is_listed),
        CASE(a_number_taken_by_two_servers_is_passed_over),
        CASE(numbers_taken_again_and_again_end_in_a_refusal),
        CASE(a_second_key_with_the_number_in_use_turns_the_status_red_but_still_opens),
        CASE(status_is_green_only_when_proved),
        CASE(a_refused_credential_is_tried_once_and_never_again_by_itself),
        CASE(a_refused_credential_is_not_tried_again_where_the_latch_cannot_be_written),
        CASE(open_wallet_by_the_passphrase_lets_the_credential_be_tried_once_more),
        CASE(open_wallet_clears_the_latch_with_a_credential_that_works),
        CASE(a_wrong_credential_costs_one_login_and_changes_nothing),
        CASE(a_credential_is_prepared_for_a_restore),
        CASE(reverse_migration_goes_back_to_a_new_passphrase_alone),
        CASE(reverse_migration_is_refused_unless_both_open),
        CASE(a_file_of_another_time_or_mode_is_named_and_not_used),
        CASE(a_damaged_record_locks_and_is_named),
        CASE(retries_slow_down_and_end_when_the_hsm_is_back),
        CASE(an_engine_gets_data_keys_and_may_rewrap_them),
        CASE(a_prover_has_one_verb),
        CASE(other_verbs_are_answered_while_an_operation_waits),
        CASE(only_the_admin_engine_may_operate),
    };
    return secret_setup() != ERR_OK || cmocka_run_group_tests(tests, NULL, NULL);
}
