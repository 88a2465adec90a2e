// SPDX-License-Identifier: Apache-2.0
//
// Every root-of-trust operation, killed before each of its changes to the disk, and with each of
// them failing: afterwards the server is wholly in the old state or wholly in the new one, opens,
// and the same operation run again ends well. Recovery itself is killed, too.
#include "keyring/operate.h"

#include <sys/stat.h>

#include "keyring/journal.h"
#include "keyring/orphan.h"
#include "tests/unit/fake_root.h"

#define OLD "the old recovery passphrase"
#define NEW "the new recovery passphrase"

enum { KILLED = 42, POINTS_MAX = 400 };

// The points: system calls that change the disk. `left` counts down to the one that is hit.
static struct {
    int left;    // 0: not armed
    int error;   // 0: the process ends; else errno
    bool sticky; // every later one fails, too
    bool fired;
} point;

static bool hit(void)
{
    if (point.left == 0)
        return false;
    if (point.left > 1) {
        point.left--;
        return false;
    }
    point.fired = true;
    if (point.error == 0)
        _exit(KILLED);
    if (!point.sticky)
        point.left = 0;
    errno = point.error;
    return true;
}

#define REAL(name, type)                                                                           \
    static __typeof__(type) real;                                                                  \
    if (real == NULL)                                                                              \
    *(void **)&real = dlsym(RTLD_NEXT, name)

// What a run makes durable before it goes on, while `on`.
static struct {
    bool on;
    bool record; // the directory of the root record
    bool places[4];
    bool too_early; // a protector was changed, or the journal removed, before that
} durable;

static const char *const places[] = {PATH_TDE_DIR, PATH_HSM_WALLET_DIR, PATH_HSM_RESTORE_DIR,
                                     PATH_SECURITY_DIR};

static bool leads_to(int fd, const char *place)
{
    char link[64];
    char wanted[256];
    char found[256] = "";
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    (void)snprintf(wanted, sizeof wanted, "%s/%s", fake_path, place);
    return readlink(link, found, sizeof found - 1) > 0 && strcmp(found, wanted) == 0;
}

static void see_fsync(int fd)
{
    durable.record = durable.record || leads_to(fd, PATH_STATE_DIR);
    for (size_t i = 0; i < COUNT_OF(places); i++)
        durable.places[i] = durable.places[i] || leads_to(fd, places[i]);
}

static void see_change(const char *path)
{
    bool all = durable.record;
    if (durable.on && strncmp(path, "usr/", 4) == 0 && !durable.record)
        durable.too_early = true;
    for (size_t i = 0; i < COUNT_OF(places); i++)
        all = all && durable.places[i];
    if (durable.on && strcmp(path, PATH_ROOT_JOURNAL) == 0 && !all)
        durable.too_early = true;
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    REAL("renameat", int (*)(int, const char *, int, const char *));
    see_change(to);
    return hit() ? -1 : real(from_dir, from, to_dir, to);
}

int unlinkat(int dir, const char *path, int flags)
{
    REAL("unlinkat", int (*)(int, const char *, int));
    see_change(path);
    return hit() ? -1 : real(dir, path, flags);
}

int fsync(int fd)
{
    REAL("fsync", int (*)(int));
    if (durable.on)
        see_fsync(fd);
    return hit() ? -1 : real(fd);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
    REAL("mkdirat", int (*)(int, const char *, mode_t));
    return hit() ? -1 : real(dir, path, mode);
}

// Freed memory that a sanitizer keeps is copied with each of the many forks.
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=1";
}

static bool unsure; // whether what failed last may have changed something

static enum err run(struct core *core, enum keyring_operation operation, const char *old,
                    const char *new)
{
    const struct keyring_secret secrets[] = {{"credential", span_str("1234")},
                                             {"recovery_passphrase", span_str(old)},
                                             {"new_recovery_passphrase", span_str(new)}};
    struct buf doc CLEANUP(buf_done);
    buf_init(&doc, 1 << 20, false);
    return operate_run(core, operation, span_str("{\"token_label\":\"tok\"}"), secrets, 3, &doc,
                       &unsure);
}

static enum err run_lost(struct core *core)
{
    const struct keyring_secret secrets[] = {{"recovery_passphrase", span_str(OLD)},
                                             {"new_recovery_passphrase", span_str(NEW)}};
    struct buf doc CLEANUP(buf_done);
    buf_init(&doc, 1 << 20, false);
    return operate_run(core, KEYRING_REVERSE_MIGRATE, span_str("{\"hsm_lost\":true}"), secrets, 2,
                       &doc, &unsure);
}

struct scene {
    const char *name;
    enum keyring_operation before[3]; // run first, without faults
    enum keyring_operation operation;
    const char *new_passphrase; // that opens afterwards
    bool lost;                  // the HSM
};

static const struct scene scenes[] = {
    {"setup", {0}, KEYRING_SETUP, OLD, false},
    {"initialize", {KEYRING_SETUP}, KEYRING_HSM_INITIALIZE, OLD, false},
    {"set credential", {KEYRING_SETUP, KEYRING_HSM_INITIALIZE}, KEYRING_HSM_CREDENTIAL, OLD, false},
    {"pre-restore", {KEYRING_SETUP}, KEYRING_PRE_RESTORE, OLD, false},
    {"reverse migrate",
     {KEYRING_SETUP, KEYRING_HSM_INITIALIZE},
     KEYRING_REVERSE_MIGRATE,
     NEW,
     false},
    {"reverse migrate with the HSM lost",
     {KEYRING_SETUP, KEYRING_HSM_INITIALIZE},
     KEYRING_REVERSE_MIGRATE,
     NEW,
     true},
    {"change passphrase", {KEYRING_SETUP}, KEYRING_CHANGE_PASSPHRASE, NEW, false},
    {"change passphrase with an HSM",
     {KEYRING_SETUP, KEYRING_HSM_INITIALIZE},
     KEYRING_CHANGE_PASSPHRASE,
     NEW,
     false},
    {"rotate wallet password",
     {KEYRING_SETUP, KEYRING_HSM_INITIALIZE},
     KEYRING_ROTATE_PASSWORD,
     OLD,
     false},
    {"rotate master key", {KEYRING_SETUP}, KEYRING_ROTATE_MASTER, OLD, false},
    {"rotate master key with an HSM",
     {KEYRING_SETUP, KEYRING_HSM_INITIALIZE},
     KEYRING_ROTATE_MASTER,
     OLD,
     false},
};

static enum err run_scene(const struct scene *scene, struct core *core)
{
    return scene->lost ? run_lost(core) : run(core, scene->operation, OLD, NEW);
}

static void prepare(const struct scene *scene)
{
    struct core core;
    fake_make_root();
    core_init(&core, fake_dir);
    for (size_t i = 0; i < COUNT_OF(scene->before) && scene->before[i] != 0; i++)
        OK(run(&core, scene->before[i], OLD, NEW));
    core_done(&core);
}

// In a child: the operation, armed. Returns its exit status: KILLED, 0 done, 1 refused, 2 done with
// the fault, 3 nobody knows.
static int attempt(const struct scene *scene, int at, int error, bool sticky)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct core core;
        core_init(&core, fake_dir);
        core_try(&core);
        point.left = at;
        point.error = error;
        point.sticky = sticky;
        enum err err = run_scene(scene, &core);
        point.left = 0;
        // A point that was never reached ends the sweep; a fault that was survived does not.
        if (err != ERR_OK)
            _exit(unsure ? 3 : 1);
        _exit(point.fired ? 2 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

// Recovery, killed at its own point `at`; then once more to the end.
static void recover_twice(int at)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct core core;
        core_init(&core, fake_dir);
        point.left = at;
        core_try(&core);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static bool is_clean(void)
{
    struct stat st;
    if (file_exists(fake_dir, PATH_ROOT_JOURNAL))
        return false;
    // Two links: no directory in it.
    return fstatat(fake_dir, PATH_STAGING_DIR, &st, 0) != 0 || st.st_nlink == 2;
}

static void assert_openable(const struct scene *scene, struct core *core, uint32_t old_generation)
{
    const struct opener o = {fake_dir, -1};
    bool is_new = core->record.generation == old_generation + 1;
    CLEANUP(wallet_freep) struct wallet *by_passphrase = NULL;
    struct wallet *none = NULL;
    assert_true(is_new || core->record.generation == old_generation);
    assert_int_equal(core_state(core), KEYRING_OPEN);
    OK(opener_passphrase(&o, &core->record, span_str(is_new ? scene->new_passphrase : OLD),
                         &by_passphrase));
    assert_int_equal(wallet_count(by_passphrase), wallet_count(core->wallet));
    if (strcmp(scene->new_passphrase, NEW) == 0)
        FAILS(ERR_PASSPHRASE,
              opener_passphrase(&o, &core->record, span_str(is_new ? OLD : NEW), &none));
    // No file on disk opens the wallet by itself with an HSM.
    assert_int_equal(file_exists(fake_dir, PATH_TDE_AUTOLOGIN), !core->record.hsm);
    assert_int_equal(file_exists(fake_dir, PATH_HSM_PASSWORD), core->record.hsm);
    assert_int_equal(file_exists(fake_dir, PATH_RESTORE_WALLET), core->record.hsm);
    if (!core->record.hsm)
        assert_false(file_exists(fake_dir, PATH_RAM_AUTOLOGIN));
    struct hsm_settings settings;
    OK(hsm_settings_load(fake_dir, &settings));
    assert_int_equal(settings.enabled, core->record.hsm);
}

// Each key on the token is the one in use, that of the generation before, or known as orphaned.
static void assert_keys_known(const struct core *core)
{
    static struct orphan list[ORPHANS_MAX];
    struct token_key keys[64];
    size_t orphans = 0;
    bool pending = false;
    OK(orphan_load(fake_dir, list, &orphans));
    for (size_t i = 0; i < orphans; i++)
        pending = pending || list[i].number == 0;
    if (core->record.hsm || core->record.generation != 1)
        return;
    for (size_t i = token_load(keys); i > 0; i--) {
        bool known = pending;
        for (size_t j = 0; j < orphans; j++)
            known = known || list[j].number == keys[i - 1].number;
        assert_true(known);
    }
}

// The root key on the lost HSM, once, however often the end was tried.
static void assert_left_noted(void)
{
    static struct orphan list[ORPHANS_MAX];
    size_t count = 0;
    OK(orphan_load(fake_dir, list, &count));
    assert_int_equal(count, 1);
    assert_int_equal(list[0].number, 1);
    assert_true(list[0].token_label[0] != '\0');
}

static void assert_whole(const struct scene *scene, uint32_t old_generation)
{
    struct core core;
    core_init(&core, fake_dir);
    core_try(&core);
    if (scene->operation == KEYRING_SETUP && !core.has_record) {
        assert_int_equal(core_state(&core), KEYRING_EMPTY);
        assert_false(file_exists(fake_dir, PATH_TDE_WALLET));
    } else {
        assert_openable(scene, &core, old_generation);
    }
    assert_true(is_clean());
    assert_keys_known(&core);
    // Again, from RAM or not, and the operation converges.
    core_done(&core);
    OK(file_remove(fake_dir, PATH_RAM_AUTOLOGIN));
    core_init(&core, fake_dir);
    core_try(&core);
    bool done = core.record.generation == old_generation + 1;
    if (!done)
        OK(run_scene(scene, &core));
    assert_int_equal(core.record.generation, old_generation + 1);
    if (scene->lost)
        assert_left_noted();
    core_done(&core);
}

static uint32_t generation_now(void)
{
    struct root_record record = {0};
    enum err err = rootrec_load(fake_dir, &record);
    assert_true(err == ERR_OK || err == ERR_NOT_FOUND);
    return err == ERR_OK ? record.generation : 0;
}

// Hits every `stride`th point until the operation no longer gets there. Returns the last one hit.
static int sweep(const struct scene *scene, int error, bool sticky, int stride)
{
    for (int at = 1; at < POINTS_MAX; at += stride) {
        prepare(scene);
        uint32_t before = generation_now();
        int status = attempt(scene, at, error, sticky);
        if (error == 0 && status == KILLED)
            recover_twice(at % 7 + 1);
        assert_int_not_equal(status, error == 0 ? 1 : KILLED);
        if (status == 1) // so it said
            assert_int_equal(generation_now(), before);
        if (status == 0 || status == 2)
            assert_int_equal(generation_now(), before + 1);
        assert_whole(scene, before);
        fake_remove_root();
        if (status == 0)
            return at - 1;
    }
    fail_msg("%s never ends", scene->name);
    return 0;
}

static void killed_at_any_point_all_is_old_or_all_is_new(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(scenes); i++) {
        int points = sweep(&scenes[i], 0, false, 1);
        print_message("%s: killed at %d points\n", scenes[i].name, points);
        assert_true(points > 30);
    }
}

static void with_any_call_failing_all_is_old_or_all_is_new(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(scenes); i++) {
        assert_true(sweep(&scenes[i], EIO, false, 3) > 30);
        assert_true(sweep(&scenes[i], ENOSPC, true, 4) > 30);
    }
}

// A run that was killed after a rename may have left it to a power cut: the next one fsyncs what it
// finds done before it does what cannot be taken back.
static void recovery_makes_durable_what_it_finds_done(void **state)
{
    (void)state;
    const struct scene *initialize = &scenes[1];
    int committed = 0;
    int status = KILLED;
    for (int at = 1; at < POINTS_MAX && status == KILLED; at++) {
        prepare(initialize);
        uint32_t before = generation_now();
        status = attempt(initialize, at, 0, false);
        enum journal_outcome outcome = JOURNAL_CLEAN;
        char name[JOURNAL_NAME_MAX + 1];
        memset(&durable, 0, sizeof durable);
        durable.on = generation_now() == before + 1;
        OK(journal_recover(fake_dir, &outcome, name));
        durable.on = false;
        assert_false(durable.too_early);
        committed += outcome == JOURNAL_SETTLED;
        fake_remove_root();
    }
    assert_true(committed > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recovery_makes_durable_what_it_finds_done),
        cmocka_unit_test(killed_at_any_point_all_is_old_or_all_is_new),
        cmocka_unit_test(with_any_call_failing_all_is_old_or_all_is_new),
    };
    return secret_setup() != ERR_OK || cmocka_run_group_tests(tests, NULL, NULL);
}
