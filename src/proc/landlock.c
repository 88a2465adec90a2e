// SPDX-License-Identifier: Apache-2.0
//
// Which files a process may reach for the rest of its life, by the kernel's Landlock (Linux 5.13
// and later). All uses of a file system are handled, so whatever lies outside the given directories
// cannot be opened, made or removed.
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "proc/proc.h"

// Everything that the first version of Landlock knows: reading, writing, making and removing of
// every kind.
static const uint64_t all_access =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
    LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
    LANDLOCK_ACCESS_FS_MAKE_SYM;
static const uint64_t needed_access = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
                                      LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                                      LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
                                      LANDLOCK_ACCESS_FS_MAKE_REG;

static enum err allow(int rules, int root, const char *path)
{
    CLEANUP(file_closep) int fd = openat(root, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return file_raise("open the directory", path);
    struct landlock_path_beneath_attr beneath = {.allowed_access = needed_access, .parent_fd = fd};
    if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0)
        return file_raise("allow the directory", path);
    return ERR_OK;
}

enum err proc_wall_files(int root, const char *const *paths, size_t count)
{
    struct landlock_ruleset_attr handled = {.handled_access_fs = all_access};
    CLEANUP(file_closep)
    int rules = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
    if (rules < 0 && (errno == ENOSYS || errno == EOPNOTSUPP)) {
        log_event(LOG_LEVEL_WARN, "no_landlock: this kernel cannot wall off files");
        return ERR_OK;
    }
    if (rules < 0)
        return file_raise("make the wall round", "the files of this process");
    for (size_t i = 0; i < count; i++)
        TRY(allow(rules, root, paths[i]));
    if (syscall(SYS_landlock_restrict_self, rules, 0) != 0)
        return file_raise("close the wall round", "the files of this process");
    return ERR_OK;
}
