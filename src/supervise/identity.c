// SPDX-License-Identifier: Apache-2.0
//
// inotify tells that files changed; which ones does not matter.
#include "supervise/identity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/file.h"
#include "base/paths.h"

// The directory goes by its descriptor's name: it may be below a long root prefix.
enum err identity_watch(int root, int *ret_watch)
{
    char path[64];
    CLEANUP(file_closep) int dir = -1;
    CLEANUP(file_closep) int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    TRY(file_open_dir_at(root, PATH_TLS_DIR, &dir));
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", dir);
    if (watch < 0 || inotify_add_watch(watch, path, IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE) < 0)
        FAIL(ERR_IO, "\"%s\" cannot be watched: %s", PATH_TLS_DIR, strerror(errno));
    *ret_watch = watch;
    watch = -1;
    return ERR_OK;
}

void identity_look(int watch, struct children *all)
{
    char events[4096];
    while (read(watch, events, sizeof events) > 0)
        continue;
    if (!file_exists(all->root_fd, PATH_TLS_KEY_NEXT) &&
        !file_exists(all->root_fd, PATH_WEB_KEY_NEXT))
        children_give_identity(all);
}
