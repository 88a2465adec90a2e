// SPDX-License-Identifier: Apache-2.0
//
// keyward-hsmd: the process that a vendor's PKCS#11 library is loaded into. It lives for one
// operation of the keeper; its environment is okv_hsm_env's and nothing else (the supervisor sees
// to it); it holds the HSM credential and 32 bytes at a time, no key of a client ever.
//
// With --probe it serves no keeper: it gives itself okv_hsm_env's environment, reads the credential
// from standard input and writes what it finds about the library to standard output (hsm_probe.h).
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/paths.h"
#include "hsm/hsm_env.h"
#include "hsm/hsm_probe.h"
#include "hsm/hsm_serve.h"
#include "proc/proc.h"

enum { ATTACH_MS = 10000 };

// By this descriptor the library, in whose process it is, can list and change nothing.
static enum err open_root(const char *prefix, int *ret)
{
    *ret = open(prefix, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return *ret < 0 ? file_raise("open the directory", prefix) : ERR_OK;
}

// The library may want any file of the machine. Of the server's it gets the directory of the
// traces, and to read what others have put beside the server's configuration; no configuration
// (whoever can open a file can change its mode, too), no wallet, no credential, no store, no key of
// the TLS port, not even when it runs as root.
static enum err wall_off(int root)
{
    static const struct proc_tree trees[] = {
        {"usr/local/okv", PROC_REACH_READ},
        {PATH_TDE_DIR, PROC_REACH_NONE},
        {PATH_HSM_WALLET_DIR, PROC_REACH_NONE},
        {PATH_HSM_RESTORE_DIR, PROC_REACH_NONE},
        {PATH_HSM_DIR "/hsmbundle", PROC_REACH_NONE},
        {PATH_SECURITY_CONF, PROC_REACH_NONE},
        {PATH_HSM_CONF, PROC_REACH_NONE},
        {PATH_HSM_ENV, PROC_REACH_NONE},
        {PATH_RAM_DIR, PROC_REACH_NONE},
        {PATH_STATE_DIR, PROC_REACH_NONE},
        {PATH_CONF_DIR, PROC_REACH_READ},
        {PATH_CONF, PROC_REACH_NONE},
        {PATH_RUN_DIR, PROC_REACH_NONE},
        {"var/okv", PROC_REACH_NONE},
        {PATH_HSM_LOG_DIR, PROC_REACH_ALL},
    };
    TRY(file_mkdirs(root, PATH_HSM_LOG_DIR));
    return proc_wall_off(root, trees, sizeof trees / sizeof *trees);
}

// The first channel that the supervisor sends is the keeper's.
static enum err attach(struct ipc **ret)
{
    for (;;) {
        struct proc_message message;
        int fd = -1;
        TRY(proc_receive(ATTACH_MS, &message, &fd));
        if (message.kind == PROC_ATTACH && fd >= 0)
            return ipc_new(fd, ret);
        file_closep(&fd);
        if (message.kind == PROC_STOP)
            FAIL(ERR_CANCELED, "stopped before there was anything to do");
    }
}

// Walls and filter come before the library: its constructors run when it is loaded.
static enum err run(const char *prefix)
{
    CLEANUP(file_closep) int root = -1;
    CLEANUP(ipc_freep) struct ipc *keeper = NULL;
    TRY(proc_harden());
    TRY(open_root(prefix, &root));
    TRY(attach(&keeper));
    TRY(proc_ready());
    TRY(hsm_serve_catch(keeper));
    TRY(wall_off(root));
    TRY(proc_confine(ROLE_HSMD));
    return hsm_serve(root, keeper, PROC_CONTROL_FD);
}

// Starts this program anew with the library's environment.
static enum err enter(const char *prefix)
{
    static const char did[] = "read okv_hsm_env";
    CLEANUP(file_closep) int root = -1;
    CLEANUP(hsm_env_freep) char **env = NULL;
    const char *const argv[] = {"keyward-hsmd", "--root", prefix, "--probe-inside", NULL};
    TRY(open_root(prefix, &root));
    enum err err = hsm_env_load(root, &env);
    hsm_probe_tell(STDOUT_FILENO, "environment", did, err,
                   err == ERR_OK ? "nothing in it is refused" : err_detail());
    TRY(err);
    (void)execve("/proc/self/exe", (char *const *)(uintptr_t)argv, env);
    FAIL(ERR_INTERNAL, "the probe could not be started");
}

// What the library prints must not stand between the lines of the report: standard output becomes
// the trace file (hsm_trace_open), and the report has a descriptor of its own.
static enum err probe(const char *prefix)
{
    struct buf credential CLEANUP(buf_done);
    struct hsm_settings settings;
    CLEANUP(file_closep) int root = -1;
    CLEANUP(file_closep) int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    buf_init(&credential, HSM_CREDENTIAL_MAX + 1, true);
    TRY(proc_harden());
    TRY(open_root(prefix, &root));
    TRY(file_read_fd(STDIN_FILENO, "the credential", credential.limit, &credential));
    enum err err = hsm_settings_load(root, &settings);
    if (err != ERR_OK)
        hsm_probe_tell(out, "settings", "read the configuration", err, err_detail());
    TRY(err);
    TRY(wall_off(root));
    TRY(proc_confine(ROLE_HSMD));
    return hsm_probe(root, &settings, span_buf(&credential), out);
}

static enum err dispatch(int mode, const char *prefix)
{
    if (mode == 'p')
        return enter(prefix);
    return mode == 'P' ? probe(prefix) : run(prefix);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"root", required_argument, NULL, 'r'},
                                            {"index", required_argument, NULL, 'i'},
                                            {"probe", no_argument, NULL, 'p'},
                                            {"probe-inside", no_argument, NULL, 'P'},
                                            {NULL, 0, NULL, 0}};
    const char *prefix = "/";
    int mode = 0;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'i')
            continue; // every child is told its number; this one has no use for it
        if (option == '?') {
            (void)fprintf(stderr,
                          "usage: keyward-hsmd [--root DIR] [--probe] (started by keywardd)\n");
            return 2;
        }
        if (option == 'r')
            prefix = optarg;
        else
            mode = option;
    }
    log_setup("hsmd", LOG_LEVEL_DEBUG);
    enum err err = dispatch(mode, prefix);
    if (err == ERR_OK || err == ERR_CANCELED)
        return EXIT_SUCCESS;
    log_error("hsmd_failed", err);
    return EXIT_FAILURE;
}
