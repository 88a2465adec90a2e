// SPDX-License-Identifier: Apache-2.0
//
// The ways out when the HSM, or a file of the root of trust, is lost for good: each refusal names
// the next step, and each next step that it names works.
#include "keyring/orphan.h"
#include "tests/unit/operation_rig.h"

static size_t orphans(struct orphan list[ORPHANS_MAX])
{
    size_t count = 0;
    OK(orphan_load(fake_dir, list, &count));
    return count;
}

#define LOST "{\"hsm_lost\":true}"

static void reverse_migration_of_a_lost_hsm_wants_the_passphrase_alone(void **state)
{
    (void)state;
    static struct orphan list[ORPHANS_MAX];
    OK(set_up_store());
    REFUSED(ERR_WRONG_STATE, run(KEYRING_REVERSE_MIGRATE, LOST, NULL, OLD, NULL));
    OK(initialize());
    fake.open = ERR_HSM_SLOT;
    int logins = token_logins();
    REFUSED(ERR_HSM_SLOT, run(KEYRING_REVERSE_MIGRATE, "", "1234", OLD, NEW));
    assert_true(told("--hsm-lost"));
    REFUSED(ERR_WRONG_STATE, initialize());
    assert_true(told("--hsm-lost"));
    REFUSED(ERR_PASSPHRASE, run(KEYRING_REVERSE_MIGRATE, LOST, NULL, NEW, NULL));
    REFUSED(ERR_MISSING_DATA, run(KEYRING_REVERSE_MIGRATE, LOST, NULL, NULL, NULL));
    REFUSED(ERR_INVALID, run(KEYRING_REVERSE_MIGRATE, LOST, "1234", OLD, NULL));
    REFUSED(ERR_INVALID, run(KEYRING_REVERSE_MIGRATE, LOST, NULL, OLD, "too short"));
    REFUSED(ERR_INVALID, run(KEYRING_REVERSE_MIGRATE, "{\"hsm_lost\":1}", NULL, OLD, NULL));
    OK(run(KEYRING_REVERSE_MIGRATE, "{\"hsm_lost\":true,\"dry_run\":true}", NULL, OLD, NULL));
    assert_true(core.record.hsm);
    char label[HSM_LABEL_MAX + 1];
    memcpy(label, core.record.token_label, sizeof label);
    OK(run(KEYRING_REVERSE_MIGRATE, LOST, NULL, OLD, NULL));
    assert_int_equal(token_logins(), logins);
    assert_int_equal(orphans(list), 1);
    assert_int_equal(list[0].number, 1);
    assert_string_equal(list[0].token_label, label);
    restart();
    assert_int_equal(core_state(&core), KEYRING_OPEN);
    assert_int_equal(wallet_count(core.wallet), 2);
    OK(run(KEYRING_OPEN_WALLET, "", NULL, OLD, NULL));
    OK(run(KEYRING_HSM_VERIFY, "", NULL, NULL, NULL));
    assert_true(told("\"healthy\":true") && told("gave up as lost") && told(label));
    fake_reset();
    OK(initialize());
}

static void reverse_migration_of_a_lost_hsm_takes_a_new_passphrase_too(void **state)
{
    (void)state;
    OK(set_up_store());
    OK(initialize());
    OK(run(KEYRING_REVERSE_MIGRATE, LOST, NULL, OLD, NEW));
    FAILS(ERR_PASSPHRASE, run(KEYRING_OPEN_WALLET, "", NULL, OLD, NULL));
    OK(run(KEYRING_OPEN_WALLET, "", NULL, NEW, NULL));
}

static void what_the_hsm_alone_opens_may_be_lost(void **state)
{
    (void)state;
    OK(set_up_store());
    OK(initialize());
    OK(file_remove(fake_dir, PATH_HSM_PASSWORD));
    REFUSED(ERR_NOT_FOUND, run(KEYRING_REVERSE_MIGRATE, "", "1234", OLD, NEW));
    assert_true(told("--hsm-lost"));
    drop_ram();
    restart();
    assert_int_equal(core_state(&core), KEYRING_LOCKED);
    assert_non_null(strstr(core.reason, "--hsm-lost"));
    OK(run(KEYRING_REVERSE_MIGRATE, LOST, NULL, OLD, NULL));
    assert_int_equal(core_state(&core), KEYRING_OPEN);
    OK(initialize());
}

static void the_wallet_under_the_passphrase_may_be_lost(void **state)
{
    (void)state;
    OK(set_up_store());
    OK(initialize());
    OK(file_write(fake_dir, PATH_RESTORE_WALLET, span_str("damaged")));
    REFUSED(ERR_DAMAGED, run(KEYRING_CHANGE_PASSPHRASE, "", NULL, OLD, NEW));
    assert_true(told("keyward hsm reverse-migrate, which the HSM is then enough for"));
    OK(file_remove(fake_dir, PATH_RESTORE_WALLET));
    REFUSED(ERR_NOT_FOUND, run(KEYRING_REVERSE_MIGRATE, LOST, NULL, OLD, NULL));
    REFUSED(ERR_HSM_PIN, run(KEYRING_REVERSE_MIGRATE, "", "0000", OLD, NEW));
    OK(run(KEYRING_REVERSE_MIGRATE, "", "1234", OLD, NEW));
    OK(run(KEYRING_HSM_INITIALIZE, "{\"token_label\":\"tok\"}", "1234", NEW, NULL));
    OK(run(KEYRING_OPEN_WALLET, "", NULL, NEW, NULL));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(reverse_migration_of_a_lost_hsm_wants_the_passphrase_alone),
        CASE(reverse_migration_of_a_lost_hsm_takes_a_new_passphrase_too),
        CASE(what_the_hsm_alone_opens_may_be_lost),
        CASE(the_wallet_under_the_passphrase_may_be_lost),
    };
    return secret_setup() != ERR_OK || cmocka_run_group_tests(tests, NULL, NULL);
}
