// SPDX-License-Identifier: Apache-2.0
//
// What only the walls between keeper and hsmd can promise: a library that hangs, crashes, prints or
// ends its process harms one operation and no more.
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/paths.h"
#include "hsm/hsm_rpc.h"
#include "tests/contract/hsm/rig.h"

static void use_library(struct rig *rig, const char *name)
{
    char path[RIG_PATH_MAX];
    rig_built(name, path);
    memcpy(rig->settings.library, path, strlen(path) + 1);
}

// Appends all trace files' bytes; returns their number and checks their mode.
static size_t traces(struct rig *rig, struct buf *out)
{
    char path[RIG_PATH_MAX];
    rig_path(rig, PATH_HSM_LOG_DIR, path);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    size_t count = 0;
    for (struct dirent *at = readdir(dir); at != NULL; at = readdir(dir)) {
        struct stat st;
        if (at->d_name[0] == '.')
            continue;
        count++;
        assert_int_equal(fstatat(dirfd(dir), at->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        if (out != NULL)
            OK(file_read(dirfd(dir), at->d_name, 64 * 1024 * 1024, out));
    }
    closedir(dir);
    return count;
}

static bool holds(const struct buf *text, const char *word)
{
    return memmem(text->data, text->len, word, strlen(word)) != NULL;
}

static enum err try_open(struct rig *rig, void *ret_hsm)
{
    return rig_open(rig, (struct hsm **)ret_hsm);
}

static void a_library_that_hangs_is_killed_at_the_deadline(void **state)
{
    static const char *const functions[] = {"C_Initialize", "C_GetSlotList", "C_OpenSession",
                                            "C_Login"};
    struct rig *rig = (struct rig *)*state;
    rig->settings.timeout_s = 1;
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        struct hsm *hsm = NULL;
        int64_t start = clock_mono_ms();
        rig_hang(rig, functions[i], try_open, &hsm);
        assert_true(clock_mono_ms() - start >= 900);
        assert_true(rig_says("the HSM did not answer in 1 s"));
        assert_int_equal(rig_calls(rig, functions[i]), 1);
    }
    use_library(rig, "keyward-test-bad-hangs.so");
    struct hsm *hsm = NULL;
    FAILS(ERR_HSM_TIMEOUT, rig_open(rig, &hsm));
    assert_true(rig_says("dlopen"));
    assert_true(rig_says("keyward-test-bad-hangs.so"));
}

static void a_hang_in_one_verb_leaves_a_dead_handle_and_a_new_open_works(void **state)
{
    struct rig *rig = (struct rig *)*state;
    rig->settings.timeout_s = 4;
    struct hsm_key key;
    struct hsm_key_state keys = {0};
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    OK(rig_open(rig, &hsm));
    OK(hsm_key_create(hsm, RIG_RELEASE, &key));
    rig_shim(rig, "hang=C_FindObjects:1");
    FAILS(ERR_HSM_TIMEOUT, hsm_key_look(hsm, &key, &keys));
    FAILS(ERR_HSM_FAILED, hsm_key_look(hsm, &key, &keys));
    rig_shim(rig, "");
    CLEANUP(hsm_closep) struct hsm *again = NULL;
    OK(rig_open(rig, &again));
    OK(hsm_key_look(again, &key, &keys));
    assert_int_equal(keys.count, 1);
}

// Slow calls that each keep their deadline do not add up to a failure.
static void the_deadline_is_for_one_call(void **state)
{
    struct rig *rig = (struct rig *)*state;
    rig->settings.timeout_s = 1;
    rig_shim(rig, "slow=C_Initialize:400 slow=C_GetSlotList:400 slow=C_OpenSession:400 "
                  "slow=C_Login:400");
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    // A machine that stands still is a slow call, too.
    for (int i = 0; i < RIG_TRIES && rig_open(rig, &hsm) == ERR_HSM_TIMEOUT; i++)
        continue;
    assert_non_null(hsm);
}

struct other_work {
    int pipe[2];
    int served;
};

static int other_fds(void *arg, struct pollfd *out, int max)
{
    struct other_work *work = (struct other_work *)arg;
    assert_true(max >= 1);
    out[0] = (struct pollfd){.fd = work->pipe[0], .events = POLLIN};
    return 1;
}

static void other_serve(void *arg)
{
    struct other_work *work = (struct other_work *)arg;
    char byte;
    work->served += read(work->pipe[0], &byte, 1) == 1;
}

static void of_a_process_that_ended_a_key_may_be_left(void **state)
{
    static const struct {
        const char *words;
        enum err err;
    } rows[] = {{"kill=C_GenerateKey:1", ERR_HSM_CRASHED},
                {"hang=C_GenerateKey:1", ERR_HSM_TIMEOUT}};
    struct rig *rig = (struct rig *)*state;
    rig->settings.timeout_s = 1;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct hsm_key key;
        CLEANUP(hsm_closep) struct hsm *hsm = NULL;
        rig_shim(rig, "");
        OK(rig_open(rig, &hsm));
        OK(hsm_key_create(hsm, RIG_RELEASE, &key));
        assert_false(hsm_key_left(hsm));
        rig_shim(rig, rows[i].words);
        FAILS(rows[i].err, hsm_key_create(hsm, RIG_RELEASE, &key));
        assert_true(hsm_key_left(hsm));
    }
}

static void other_channels_are_served_meanwhile(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct other_work work = {.served = 0};
    assert_int_equal(pipe2(work.pipe, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(write(work.pipe[1], "abc", 3), 3);
    struct hsm_rpc_pump pump = {.serve = other_serve, .fds = other_fds, .arg = &work};
    hsm_rpc_set_pump(&pump);
    rig->settings.timeout_s = 1;
    rig_shim(rig, "hang=C_Login:1");
    struct hsm *hsm = NULL;
    FAILS(ERR_HSM_TIMEOUT, rig_open(rig, &hsm));
    hsm_rpc_set_pump(NULL);
    assert_int_equal(work.served, 3);
    (void)close(work.pipe[0]);
    (void)close(work.pipe[1]);
}

static void a_crash_is_told_with_its_signal(void **state)
{
    static const struct {
        const char *words;
        const char *says;
    } rows[] = {
        {"abort=C_Login:1", ".so\" crashed in C_Login (signal 6"},
        // With a handler of the library's own in the way the place is all that is known.
        {"crash=C_Login:1", "ended in C_Login"},
        {"kill=C_Login:1", "ended in C_Login"},
    };
    struct rig *rig = (struct rig *)*state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct hsm *hsm = NULL;
        rig_shim(rig, rows[i].words);
        FAILS(ERR_HSM_CRASHED, rig_open(rig, &hsm));
        assert_true(rig_says(rows[i].says));
        assert_int_equal(rig_calls(rig, "C_Login"), 1);
    }
    use_library(rig, "keyward-test-bad-aborts.so");
    struct hsm *hsm = NULL;
    FAILS(ERR_HSM_CRASHED, rig_open(rig, &hsm));
    assert_true(rig_says("crashed in dlopen (signal 6"));
}

static void a_start_that_fails_is_tried_three_times(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct hsm *hsm = NULL;
    rig_shim(rig, "rv=C_GetSlotList:30:1");
    FAILS(ERR_HSM_SLOT, rig_open(rig, &hsm));
    assert_int_equal(rig_calls(rig, "C_Initialize"), 3);
    rig_shim(rig, "crash=C_Initialize:1");
    FAILS(ERR_HSM_CRASHED, rig_open(rig, &hsm));
    assert_int_equal(rig_calls(rig, "C_Initialize"), 3);
    rig_shim(rig, "rv=C_GetTokenInfo:e0:1-");
    OK(rig_open(rig, &hsm));
    hsm_closep(&hsm);
    use_library(rig, "keyward-test-bad-refuses.so");
    FAILS(ERR_HSM_LIBRARY, rig_open(rig, &hsm));
    assert_true(rig_says("CKR_GENERAL_ERROR (0x5)"));
    assert_int_equal(traces(rig, NULL), 3 + 3 + 2 + 3);
}

static void what_changes_nothing_is_tried_again_in_a_new_process(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct hsm_key key;
    struct hsm_key_state keys = {0};
    char mechanism[32] = "auto";
    struct buf sealed CLEANUP(buf_done);
    buf_init(&sealed, HSM_SEALED_MAX, false);
    CLEANUP(hsm_closep) struct hsm *maker = NULL;
    OK(rig_open(rig, &maker));
    OK(hsm_key_create(maker, RIG_RELEASE, &key));
    OK(hsm_seal(maker, &key, mechanism, span_str("abcdefghijklmnopqrstuvwxyz012345"), &sealed));
    // The process that made a key is the only one that may remove it, so nothing replaces it.
    rig_shim(rig, "rv=C_FindObjects:30:1-");
    FAILS(ERR_HSM_FAILED, hsm_key_look(maker, &key, &keys));
    OK(hsm_key_look(maker, &key, &keys));
    assert_int_equal(rig_calls(rig, "C_Initialize"), 0);
    hsm_closep(&maker);

    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    CLEANUP(secret_freep) struct secret *back = NULL;
    OK(rig_open(rig, &hsm));
    rig_shim(rig, "rv=C_Decrypt:30:1-");
    OK(hsm_unseal(hsm, &key, 0, mechanism, span_buf(&sealed), &back));
    assert_int_equal(rig_calls(rig, "C_Initialize"), 1);
    rig_shim(rig, "crash=C_FindObjects:1-");
    OK(hsm_key_look(hsm, &key, &keys));
    assert_int_equal(keys.count, 1);
    rig_shim(rig, "rv=C_Decrypt:81000071:1");
    CLEANUP(secret_freep) struct secret *none = NULL;
    FAILS(ERR_HSM_FAILED, hsm_unseal(hsm, &key, 0, mechanism, span_buf(&sealed), &none));
    assert_int_equal(rig_calls(rig, "C_Initialize"), 2);
    assert_true(rig_says("0x81000071"));
}

static void closing_an_older_handle_leaves_the_newer_process_alone(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct hsm_token token;
    CLEANUP(hsm_closep) struct hsm *older = NULL;
    CLEANUP(hsm_closep) struct hsm *newer = NULL;
    OK(rig_open(rig, &older));
    OK(rig_open(rig, &newer));
    hsm_closep(&older);
    rig_shim(rig, "");
    OK(hsm_token_info(newer, &token));
    assert_int_equal(rig_calls(rig, "C_Initialize"), 0);
}

static enum err ask_verb(struct hsm *hsm, int verb)
{
    struct hsm_token token;
    struct hsm_key key = {.number = 1, .id = {0, 0, 0, 1}, .id_len = 4, .label = "k"};
    struct hsm_key_state keys = {0};
    char mechanism[32] = "auto";
    CLEANUP(secret_freep) struct secret *dek = NULL;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 4 * 1024 * 1024, false);
    switch (verb) {
    case 0:
        return hsm_token_info(hsm, &token);
    case 1:
        return hsm_key_create(hsm, "1.0", &key);
    case 2:
        return hsm_key_look(hsm, &key, &keys);
    case 3:
        return hsm_key_destroy(hsm, &key);
    case 4:
        return hsm_seal(hsm, &key, mechanism, span_str("abcdefghijklmnopqrstuvwxyz012345"), &out);
    case 5:
        return hsm_unseal(hsm, &key, 0, mechanism, span_str("abc"), &dek);
    default:
        return hsm_list(hsm, &out);
    }
}

// Runs the first verbs against an hsmd that lies; returns how many said ERR_OK. What a peer says is
// shown without control characters.
static int ask_everything(struct rig *rig, int verbs)
{
    int right = 0;
    for (int verb = 0; verb < verbs; verb++) {
        CLEANUP(hsm_closep) struct hsm *hsm = NULL;
        enum err err = rig_open(rig, &hsm);
        if (err == ERR_OK)
            err = ask_verb(hsm, verb);
        right += err == ERR_OK;
        for (const char *c = err_detail(); err != ERR_OK && *c != '\0'; c++)
            assert_true((unsigned char)*c >= 0x20);
    }
    return right;
}

static void an_hsmd_that_lies_harms_one_operation(void **state)
{
    // How many verbs may be believed: those whose answer is any bytes at all, or none.
    static const struct {
        const char *how;
        int at_most;
    } rows[] = {
        {"random", 4},     {"long", 3},      {"sealed", 3},      {"empty", 2},
        {"status", 0},     {"giant", 0},     {"exit", 0},        {"open-random", 1},
        {"open-giant", 0}, {"open-exit", 0}, {"open-status", 0},
    };
    struct rig *rig = (struct rig *)*state;
    rig->settings.timeout_s = 1;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[64];
        assert_true(snprintf(text, sizeof text, "HOSTILE=%s\n", rows[i].how) > 0);
        rig_file(rig, PATH_HSM_ENV, text, 0600);
        int verbs = strncmp(rows[i].how, "open-", 5) == 0 ? 1 : 7;
        assert_in_range(ask_everything(rig, verbs), 0, rows[i].at_most);
    }
}

static void an_hsmd_that_floods_or_is_silent_is_ended(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct hsm *hsm = NULL;
    struct other_work work = {.served = 0};
    assert_int_equal(pipe2(work.pipe, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(write(work.pipe[1], "abc", 3), 3);
    struct hsm_rpc_pump pump = {.serve = other_serve, .fds = other_fds, .arg = &work};
    hsm_rpc_set_pump(&pump);
    rig->settings.timeout_s = 1;
    rig_file(rig, PATH_HSM_ENV, "HOSTILE=open-silent\n", 0600);
    FAILS(ERR_HSM_TIMEOUT, rig_open(rig, &hsm));
    assert_true(rig_says("in its start"));
    assert_int_equal(work.served, 3);
    assert_int_equal(write(work.pipe[1], "abc", 3), 3);
    rig_file(rig, PATH_HSM_ENV, "HOSTILE=open-flood\n", 0600);
    FAILS(ERR_HSM_FAILED, rig_open(rig, &hsm));
    assert_true(rig_says("never came to an end"));
    assert_int_equal(work.served, 6);
    hsm_rpc_set_pump(NULL);
    (void)close(work.pipe[0]);
    (void)close(work.pipe[1]);
}

// Frames that are neither note nor answer: small ones are counted, and large ones, of which too few
// come to be counted, do not put the deadline off.
static void an_hsmd_that_floods_with_other_frames_is_ended(void **state)
{
    static const struct {
        const char *how;
        uint32_t timeout_s;
        enum err err;
        const char *says;
    } rows[] = {
        {"open-flood-crash", 600, ERR_HSM_FAILED, "never came to an end"},
        {"open-flood-unknown", 600, ERR_HSM_FAILED, "never came to an end"},
        {"open-flood-large", 1, ERR_HSM_TIMEOUT, "did not answer in 1 s"},
    };
    struct rig *rig = (struct rig *)*state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[64];
        struct hsm *hsm = NULL;
        assert_true(snprintf(text, sizeof text, "HOSTILE=%s\n", rows[i].how) > 0);
        rig_file(rig, PATH_HSM_ENV, text, 0600);
        rig->settings.timeout_s = rows[i].timeout_s;
        FAILS(rows[i].err, rig_open(rig, &hsm));
        assert_true(rig_says(rows[i].says));
    }
}

static void an_hsmd_that_floods_the_goodbye_does_not_hold_the_keeper(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct hsm *hsm = NULL;
    rig_file(rig, PATH_HSM_ENV, "HOSTILE=goodbye\n", 0600);
    OK(rig_open(rig, &hsm));
    hsm_close(hsm);
}

static void a_bad_environment_file_is_told_to_whoever_asked(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct hsm *hsm = NULL;
    rig_file(rig, PATH_HSM_ENV, "LD_PRELOAD=/x.so\n", 0600);
    FAILS(ERR_CONFIG, rig_open(rig, &hsm));
    assert_true(rig_says("LD_PRELOAD"));
    assert_int_equal(rig_calls(rig, "C_Initialize"), 0);
}

static void each_operation_leaves_a_trace_without_secrets(void **state)
{
    struct rig *rig = (struct rig *)*state;
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 64 * 1024 * 1024, false);
    struct hsm *hsm = NULL;
    rig_shim(rig, "print=C_Initialize");
    OK(hsm_open(rig->root, &rig->settings, span_str(RIG_PIN), "initialize", &hsm));
    hsm_closep(&hsm);
    FAILS(ERR_HSM_PIN,
          hsm_open(rig->root, &rig->settings, span_str("another-secret"), "../../x", &hsm));
    assert_int_equal(traces(rig, &text), 2);
    assert_true(holds(&text, "pkcs11_call function=C_Login rv=\"CKR_OK (0x0)\""));
    assert_true(holds(&text, "CKR_PIN_INCORRECT (0xa0)"));
    assert_false(holds(&text, RIG_PIN));
    assert_false(holds(&text, "another-secret"));
}

static void old_traces_are_removed(void **state)
{
    struct rig *rig = (struct rig *)*state;
    for (int i = 0; i < 250; i++) {
        char path[256];
        assert_true(snprintf(path, sizeof path, "%s/2020-01-01T00-00-00.%03dZ-monitor-0000.log",
                             PATH_HSM_LOG_DIR, i) > 0);
        if (i == 0)
            OK(file_mkdirs(rig->root, PATH_HSM_LOG_DIR));
        int fd = openat(rig->root, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        (void)close(fd);
    }
    struct hsm *hsm = NULL;
    OK(rig_open(rig, &hsm));
    hsm_closep(&hsm);
    assert_in_range(traces(rig, NULL), 195, 201);
    assert_false(
        file_exists(rig->root, PATH_HSM_LOG_DIR "/2020-01-01T00-00-00.000Z-monitor-0000.log"));
    assert_true(
        file_exists(rig->root, PATH_HSM_LOG_DIR "/2020-01-01T00-00-00.249Z-monitor-0000.log"));
}

#define ON_TOKEN(test) cmocka_unit_test_setup_teardown(test, rig_up, rig_down)

int rig_driver_tests(void)
{
    const struct CMUnitTest tests[] = {
        ON_TOKEN(a_library_that_hangs_is_killed_at_the_deadline),
        ON_TOKEN(a_hang_in_one_verb_leaves_a_dead_handle_and_a_new_open_works),
        ON_TOKEN(the_deadline_is_for_one_call),
        ON_TOKEN(of_a_process_that_ended_a_key_may_be_left),
        ON_TOKEN(other_channels_are_served_meanwhile),
        ON_TOKEN(a_crash_is_told_with_its_signal),
        ON_TOKEN(a_start_that_fails_is_tried_three_times),
        ON_TOKEN(what_changes_nothing_is_tried_again_in_a_new_process),
        ON_TOKEN(closing_an_older_handle_leaves_the_newer_process_alone),
        ON_TOKEN(an_hsmd_that_lies_harms_one_operation),
        ON_TOKEN(an_hsmd_that_floods_or_is_silent_is_ended),
        ON_TOKEN(an_hsmd_that_floods_with_other_frames_is_ended),
        ON_TOKEN(an_hsmd_that_floods_the_goodbye_does_not_hold_the_keeper),
        ON_TOKEN(a_bad_environment_file_is_told_to_whoever_asked),
        ON_TOKEN(each_operation_leaves_a_trace_without_secrets),
        ON_TOKEN(old_traces_are_removed),
    };
    return cmocka_run_group_tests(tests, rig_driver_up, rig_driver_down);
}
