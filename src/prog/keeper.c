// SPDX-License-Identifier: Apache-2.0
//
// keyward-keeper: holds the TDE wallet and the master keys. With --prove: a fresh process that
// opens an operation's staged files for the keeper, then ends.
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/kv.h"
#include "base/log.h"
#include "base/paths.h"
#include "hsm/hsm_rpc.h"
#include "keyring/keeper.h"
#include "keyring/monitor.h"
#include "keyring/prover.h"
#include "keyring/ram.h"

enum { WAIT_MS = 10000 };

// How often the HSM is looked at.
static enum err monitor_seconds(int root, uint32_t *ret)
{
    CLEANUP(kv_freep) struct kv *conf = NULL;
    char *end = NULL;
    TRY(kv_load(root, PATH_CONF, &conf));
    const char *text = kv_get(conf, "HSM_MONITOR_SECONDS", NULL);
    long seconds = text == NULL ? MONITOR_SECONDS : strtol(text, &end, 10);
    if (text != NULL && (end == text || *end != '\0' || seconds < MONITOR_SECONDS_MIN ||
                         seconds > MONITOR_SECONDS_MAX))
        FAIL(ERR_CONFIG, "\"%s\": HSM_MONITOR_SECONDS must be %d to %d, not \"%.32s\"", PATH_CONF,
             MONITOR_SECONDS_MIN, MONITOR_SECONDS_MAX, text);
    *ret = (uint32_t)seconds;
    return ERR_OK;
}

static enum err run_keeper(int root, uint32_t seconds)
{
    CLEANUP(keeper_freep) struct keeper *keeper = NULL;
    TRY(keeper_new(root, PROC_CONTROL_FD, &keeper));
    keeper_watch_hsm(keeper, seconds);
    const struct hsm_rpc_pump pump = {keeper_serve, keeper_fds, keeper};
    hsm_rpc_set_pump(&pump);
    TRY(proc_ready());
    return keeper_run(keeper);
}

// The keeper's channel, which the supervisor sends first.
static enum err wait_for_keeper(struct ipc **ret)
{
    int64_t end = clock_mono_ms() + WAIT_MS;
    for (int64_t left = WAIT_MS; left > 0; left = end - clock_mono_ms()) {
        struct proc_message message;
        int fd = -1;
        TRY(proc_receive((int)left, &message, &fd));
        if (message.kind == PROC_ATTACH && message.role == ROLE_KEEPER && fd >= 0)
            return ipc_new(fd, ret);
        if (fd >= 0)
            (void)close(fd);
        if (message.kind == PROC_STOP)
            break;
    }
    FAIL(ERR_UNAVAILABLE, "the keeper's channel did not come");
}

static enum err run_prover(int root)
{
    CLEANUP(ipc_freep) struct ipc *keeper = NULL;
    TRY(proc_ready());
    TRY(wait_for_keeper(&keeper));
    return prover_serve(root, keeper);
}

// The documented files, the root record and what belongs to it, and the place in RAM, wherever that
// is (keyring/ram.h makes a link and a directory). The store and the TLS key lie beside the record.
static enum err wall_in(int root)
{
    static const struct proc_tree trees[] = {{"usr/local/okv", PROC_REACH_MOVE},
                                             {PATH_STATE_DIR, PROC_REACH_MOVE},
                                             {"mnt", PROC_REACH_ALL}};
    struct proc_tree reached[sizeof trees / sizeof *trees + 2];
    size_t count = sizeof trees / sizeof *trees;
    for (size_t i = 0; i < count; i++) {
        TRY(file_mkdirs(root, trees[i].path));
        reached[i] = trees[i];
    }
    if (ram_reserve(root))
        reached[count++] = (struct proc_tree){PATH_RUN_RAM, PROC_REACH_OWN};
    if (file_exists(AT_FDCWD, "/dev/shm"))
        reached[count++] = (struct proc_tree){"/dev/shm", PROC_REACH_OWN};
    return proc_wall_in(root, reached, count);
}

// The prover opens what is staged and writes nothing.
static enum err wall_in_prover(int root)
{
    static const struct proc_tree trees[] = {{"usr/local/okv", PROC_REACH_READ},
                                             {PATH_STATE_DIR, PROC_REACH_READ}};
    return proc_wall_in(root, trees, sizeof trees / sizeof *trees);
}

static enum err run(const char *root_path, bool prove)
{
    CLEANUP(file_closep) int root = -1;
    TRY(proc_harden());
    TRY(file_open_dir(root_path, &root));
    uint32_t seconds = 0;
    if (!prove)
        TRY(monitor_seconds(root, &seconds));
    TRY(prove ? wall_in_prover(root) : wall_in(root));
    TRY(proc_confine(prove ? ROLE_PROVER : ROLE_KEEPER));
    return prove ? run_prover(root) : run_keeper(root, seconds);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"root", required_argument, NULL, 'r'},
        {"prove", no_argument, NULL, 'p'},
        {"index", required_argument, NULL, 'i'},
        {NULL, 0, NULL, 0},
    };
    const char *root = "/";
    bool prove = false;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'r')
            root = optarg;
        else if (c == 'p')
            prove = true;
        else if (c == 'i')
            continue; // there is one keeper
        else
            return 2;
    }
    log_setup(prove ? "prover" : "keeper", LOG_LEVEL_INFO);
    enum err err = run(root, prove);
    if (err != ERR_OK) {
        log_error("ended", err);
        if (!prove)
            proc_failed(err);
    }
    return err == ERR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
