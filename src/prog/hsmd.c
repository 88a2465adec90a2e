// SPDX-License-Identifier: Apache-2.0
//
// keyward-hsmd: the process that a vendor's PKCS#11 library is loaded into. It lives for one
// operation of the keeper; its environment is okv_hsm_env's and nothing else (the supervisor sees
// to it); it holds the HSM credential and 32 bytes at a time, no key of a client ever.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "hsm/hsm_serve.h"
#include "proc/proc.h"

enum { ATTACH_MS = 10000 };

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

// The filter comes before the library: its constructors run when it is loaded.
static enum err run(const char *prefix)
{
    CLEANUP(file_closep) int root = -1;
    CLEANUP(ipc_freep) struct ipc *keeper = NULL;
    TRY(proc_harden());
    TRY(file_open_dir(prefix, &root));
    TRY(attach(&keeper));
    TRY(proc_ready());
    TRY(hsm_serve_catch(keeper));
    TRY(proc_confine(ROLE_HSMD));
    return hsm_serve(root, keeper, PROC_CONTROL_FD);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"root", required_argument, NULL, 'r'},
                                            {"index", required_argument, NULL, 'i'},
                                            {NULL, 0, NULL, 0}};
    const char *prefix = "/";
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'i')
            continue; // every child is told its number; this one has no use for it
        if (option != 'r') {
            (void)fprintf(stderr, "usage: keyward-hsmd [--root DIR] (started by keywardd)\n");
            return 2;
        }
        prefix = optarg;
    }
    log_setup("hsmd", LOG_LEVEL_DEBUG);
    enum err err = run(prefix);
    if (err == ERR_OK || err == ERR_CANCELED)
        return EXIT_SUCCESS;
    log_error("hsmd_failed", err);
    return EXIT_FAILURE;
}
