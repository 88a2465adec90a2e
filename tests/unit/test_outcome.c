// SPDX-License-Identifier: Apache-2.0
//
// What is told of an operation that went wrong late: after the commit it is done, and without an
// answer nobody knows. That what is refused has changed nothing stands in test_recovery.c.
#include "keyring/keyring.h"
#include "tests/unit/core_rig.h"

#define OLD "the old recovery passphrase"

static enum err run(enum keyring_operation operation)
{
    const struct keyring_secret secrets[] = {{"credential", span_str("1234")},
                                             {"recovery_passphrase", span_str(OLD)}};
    buf_clear(&doc);
    return operate_run(&core, operation, span_str("{\"token_label\":\"tok\"}"), secrets, 2, &doc,
                       &unsure);
}

// Directories stand where files are to be removed: a credential for a restore, the latch.
static void what_fails_after_the_commit_is_a_warning(void **state)
{
    (void)state;
    OK(run(KEYRING_SETUP));
    OK(file_mkdirs(fake_dir, PATH_RESTORE_AUTOLOGIN "/in the way"));
    OK(file_mkdirs(fake_dir, PATH_PIN_LATCH "/in the way"));
    OK(run(KEYRING_HSM_INITIALIZE));
    assert_true(told("\"committed\":true") && told("\"warnings\":[\"the change was made"));
    assert_true(told("could not put the new files in place"));
    assert_true(told("could not forget that a credential was refused"));
    assert_true(core.record.hsm);
    OK(file_remove_tree(fake_dir, PATH_RESTORE_AUTOLOGIN));
    OK(file_remove_tree(fake_dir, PATH_PIN_LATCH));
    // The next operation settles it first.
    OK(run(KEYRING_HSM_CREDENTIAL));
    assert_false(told("warnings"));
    core_done(&core);
    core_init(&core, fake_dir);
    core_try(&core);
    assert_int_equal(core_state(&core), KEYRING_OPEN);
}

// In a child: takes a request and ends.
static void die_when_asked(int fd)
{
    struct ipc *ipc = NULL;
    struct ipc_frame ask;
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (ipc_new(fd, &ipc) == ERR_OK && poll(&ready, 1, 20000) == 1 && ipc_fill(ipc) == ERR_OK)
        (void)ipc_next(ipc, &ask);
    _exit(0);
}

static void an_operation_whose_keeper_ends_is_not_called_undone(void **state)
{
    (void)state;
    int pair[2];
    struct ipc *keeper = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(pair[0]);
        die_when_asked(pair[1]);
    }
    (void)close(pair[1]);
    OK(ipc_new(pair[0], &keeper));
    const struct keyring_secret secret = {"recovery_passphrase", span_str(OLD)};
    FAILS(ERR_UNAVAILABLE,
          keyring_operate(keeper, KEYRING_SETUP, span_str(""), &secret, 1, &doc, &unsure));
    assert_true(unsure);
    ipc_free(keeper);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_fails_after_the_commit_is_a_warning),
        CASE(an_operation_whose_keeper_ends_is_not_called_undone),
    };
    return secret_setup() != ERR_OK || cmocka_run_group_tests(tests, NULL, NULL);
}
