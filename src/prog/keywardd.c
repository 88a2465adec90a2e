// SPDX-License-Identifier: Apache-2.0
//
// keywardd: the supervisor of one server. `keywardd --root DIR` runs in the foreground until
// SIGTERM; `keyward start` runs it in the background.
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "supervise/supervisor.h"

static const char usage[] =
    "usage: keywardd [--root DIR] [--foreground] [--ready-fd N]\n"
    "  --root DIR     the root prefix that all files of the server lie below (default /)\n"
    "  --foreground   log to standard error instead of var/okv/log/keywardd.log\n"
    "  --ready-fd N   write \"ready\" or \"error: …\" to descriptor N\n"
    "  --version      print the version\n";

static bool parse(int argc, char **argv, struct supervisor_options *options)
{
    static const struct option known[] = {
        {"root", required_argument, NULL, 'r'},     {"foreground", no_argument, NULL, 'f'},
        {"ready-fd", required_argument, NULL, 'n'}, {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (c == 'r') {
            options->root = optarg;
        } else if (c == 'f') {
            options->foreground = true;
        } else if (c == 'n') {
            options->ready_fd = atoi(optarg);
        } else if (c == 'v') {
            (void)printf("keywardd %s\n", KEYWARD_VERSION);
            exit(0);
        } else {
            (void)fputs(usage, c == 'h' ? stdout : stderr);
            exit(c == 'h' ? 0 : 2);
        }
    }
    return optind == argc;
}

int main(int argc, char **argv)
{
    struct supervisor_options options = {.root = "/", .ready_fd = -1};
    char programs[PATH_MAX];
    char root[PATH_MAX];
    log_setup("supervisor", LOG_LEVEL_INFO);
    if (!file_hold_standard())
        return 1;
    if (!parse(argc, argv, &options)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    if (realpath(options.root, root) == NULL) {
        (void)fprintf(stderr,
                      "keywardd: the root \"%s\" does not exist: make the directory first\n",
                      options.root);
        return 1;
    }
    // Its children lie beside it.
    if (file_own_directory(programs, sizeof programs) != ERR_OK) {
        (void)fprintf(stderr, "keywardd: %s\n", err_detail());
        return 1;
    }
    options.root = root;
    options.programs = programs;
    (void)umask(0077);
    struct rlimit none = {0, 0};
    if (options.ready_fd >= 0)
        (void)fcntl(options.ready_fd, F_SETFD, FD_CLOEXEC);
    // Not dumpable: else a child of the same user could write into this process (/proc/PID/mem).
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return 1;
    enum err err = supervisor_run(&options);
    if (err == ERR_OK)
        return 0;
    (void)fprintf(stderr, "keywardd: %s\n", err_message(err));
    return err_info(err)->exit_status;
}
