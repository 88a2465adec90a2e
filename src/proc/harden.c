// SPDX-License-Identifier: Apache-2.0
//
// What every process gives up before it reads a byte from outside.
#include <errno.h>
#include <malloc.h>
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

// Where it is left alone, the allocator learns from the first large message to keep room for more
// of them: a peer's megabytes would stay for good.
enum { LARGE_BLOCK = 128 * 1024 }; // bytes; from here on a block goes back to the system when freed

enum err proc_harden(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
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
