// SPDX-License-Identifier: Apache-2.0
//
// keyring/places.h: directories that are open to others, before every kind of opening and change.
#include <sys/stat.h>

#include "tests/unit/core_rig.h"

#define OLD "the recovery passphrase"

static enum err run(enum keyring_operation operation)
{
    const struct keyring_secret secrets[] = {{"credential", span_str("1234")},
                                             {"recovery_passphrase", span_str(OLD)}};
    buf_clear(&doc);
    return operate_run(&core, operation, span_str("{}"), secrets, 2, &doc, &unsure);
}

// A keeper started anew, in this process.
static void restart(void)
{
    core_done(&core);
    core_init(&core, fake_dir);
    core_try(&core);
}

static void a_directory_that_is_open_to_others_is_refused(void **state)
{
    static const struct {
        const char *path;
        mode_t mode;
    } rows[] = {
        {PATH_TDE_DIR, 0755},     {PATH_HSM_WALLET_DIR, 0710}, {PATH_HSM_RESTORE_DIR, 0701},
        {PATH_STATE_DIR, 0750},   {PATH_RAM_DIR, 0755},        {"./", 0777},
        {PATH_GENERIC_DIR, 0775}, {PATH_SECURITY_DIR, 0757},   {"usr/local/okv", 0770},
    };
    (void)state;
    OK(run(KEYRING_SETUP));
    OK(run(KEYRING_HSM_INITIALIZE));
    OK(run(KEYRING_HSM_VERIFY));
    assert_true(told("\"healthy\":true"));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(fchmodat(fake_dir, rows[i].path, rows[i].mode, 0), 0);
        FAILS(ERR_FILE_MODE, core_check_hsm(&core, "monitor"));
        assert_non_null(strstr(err_detail(), rows[i].path));
        FAILS(ERR_FILE_MODE, run(KEYRING_ROTATE_PASSWORD));
        FAILS(ERR_FILE_MODE, run(KEYRING_OPEN_WALLET));
        OK(run(KEYRING_HSM_VERIFY));
        assert_true(told("\"healthy\":false") && told(rows[i].path));
        restart();
        assert_int_equal(core_state(&core), KEYRING_LOCKED);
        assert_non_null(strstr(core.reason, rows[i].path));
        assert_int_equal(fchmodat(fake_dir, rows[i].path, 0700, 0), 0);
        core_try(&core);
        assert_int_equal(core_state(&core), KEYRING_OPEN);
    }
}

static void a_directory_of_a_package_may_be_looked_into(void **state)
{
    static const char *const paths[] = {"./",
                                        "usr",
                                        "usr/local",
                                        "usr/local/okv",
                                        PATH_HSM_DIR,
                                        PATH_GENERIC_DIR,
                                        PATH_SECURITY_DIR};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(paths); i++)
        assert_int_equal(mkdirat(fake_dir, paths[i], 0755) == 0 || errno == EEXIST, 1);
    for (size_t i = 0; i < COUNT_OF(paths); i++)
        assert_int_equal(fchmodat(fake_dir, paths[i], 0755, 0), 0);
    OK(run(KEYRING_SETUP));
    restart();
    assert_int_equal(core_state(&core), KEYRING_OPEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_directory_that_is_open_to_others_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_directory_of_a_package_may_be_looked_into, set_up,
                                        tear_down),
    };
    return secret_setup() != ERR_OK || cmocka_run_group_tests(tests, NULL, NULL);
}
