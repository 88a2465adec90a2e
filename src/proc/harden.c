// SPDX-License-Identifier: Apache-2.0
//
// What every process gives up before it reads a byte from outside.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "proc/proc.h"

static enum err no_cores(void)
{
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        FAIL(ERR_INTERNAL, "core dumps could not be switched off: %s", strerror(errno));
    return ERR_OK;
}

enum err proc_harden(void)
{
    (void)umask(0077);
    (void)signal(SIGPIPE, SIG_IGN);
    TRY(no_cores());
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        FAIL(ERR_INTERNAL, "no_new_privs could not be set: %s", strerror(errno));
    // A child must not outlive its supervisor.
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        FAIL(ERR_INTERNAL, "the parent-death signal could not be set: %s", strerror(errno));
    return secret_setup();
}
