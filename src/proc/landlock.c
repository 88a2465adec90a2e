// SPDX-License-Identifier: Apache-2.0
//
// Which files a process may reach for the rest of its life, by the kernel's Landlock (Linux 5.13
// and later). All uses of a file system that the running kernel can wall off are handled, so
// whatever no rule allows cannot be opened, made, cut or removed.
//
// Landlock knows rules that allow a tree and none that forbid one. Forbidding is done from the
// other end (proc_wall_off): the directories on the way to a forbidden one get no rule, and each of
// their other entries gets one. Invariants: no rule is ever made by way of a symbolic link, which
// could lead round the wall, and none for a directory that has a forbidden one below it.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "proc/proc.h"

// Later versions' rights, which the headers of the oldest system that Keyward builds on lack.
#define RIGHT_REFER    (1ULL << 13) // version 2: move and link between directories
#define RIGHT_TRUNCATE (1ULL << 14) // version 3

#define RIGHTS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define RIGHTS_OWN                                                                                 \
    (RIGHTS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                 \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |  \
     RIGHT_TRUNCATE)
#define RIGHTS_ALL                                                                                 \
    (RIGHTS_OWN | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |                      \
     LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | \
     LANDLOCK_ACCESS_FS_MAKE_SYM | RIGHT_REFER)
// What a rule for something else than a directory may hold.
#define RIGHTS_OF_FILES                                                                            \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |   \
     RIGHT_TRUNCATE)

enum { TREES_MAX = 16, DEPTH_MAX = 64 };

static const uint64_t rights_of[] = {
    [PROC_REACH_NONE] = 0,         [PROC_REACH_READ] = RIGHTS_READ,
    [PROC_REACH_OWN] = RIGHTS_OWN, [PROC_REACH_MOVE] = RIGHTS_OWN | RIGHT_REFER,
    [PROC_REACH_ALL] = RIGHTS_ALL,
};

struct wall {
    int rules;
    uint64_t handled; // what this kernel can wall off
};

// Behind a wall of version 1 no file is moved to another directory, and a process that has to would
// not work.
static bool is_able(long version, const struct proc_tree *trees, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (version < 2 && trees[i].reach >= PROC_REACH_MOVE)
            return false;
    }
    return version >= 1;
}

// rules < 0: this kernel's Landlock will not do, which is logged.
static enum err begin(struct wall *wall, const struct proc_tree *trees, size_t count)
{
    long version =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    wall->rules = -1;
    if (!is_able(version, trees, count)) {
        log_event(LOG_LEVEL_WARN, "no_landlock version=%ld: this kernel cannot wall off files",
                  version);
        return ERR_OK;
    }
    wall->handled = RIGHTS_ALL;
    if (version < 3)
        wall->handled &= ~RIGHT_TRUNCATE;
    if (version < 2)
        wall->handled &= ~RIGHT_REFER;
    struct landlock_ruleset_attr attr = {.handled_access_fs = wall->handled};
    wall->rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (wall->rules < 0)
        return file_raise("make the wall round", "the files of this process");
    return ERR_OK;
}

static enum err close_wall(const struct wall *wall)
{
    if (syscall(SYS_landlock_restrict_self, wall->rules, 0) != 0)
        return file_raise("close the wall round", "the files of this process");
    return ERR_OK;
}

static enum err add_rule(const struct wall *wall, int fd, uint64_t rights, const char *path)
{
    struct landlock_path_beneath_attr beneath = {.allowed_access = rights & wall->handled,
                                                 .parent_fd = fd};
    if (beneath.allowed_access != 0 &&
        syscall(SYS_landlock_add_rule, wall->rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0)
        return file_raise("allow the directory", path);
    return ERR_OK;
}

static enum err allow_tree(const struct wall *wall, int root, const struct proc_tree *tree)
{
    CLEANUP(file_closep) int fd = openat(root, tree->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return file_raise("open the directory", tree->path);
    return add_rule(wall, fd, rights_of[tree->reach], tree->path);
}

enum err proc_wall_in(int root, const struct proc_tree *trees, size_t count)
{
    struct wall wall;
    TRY(begin(&wall, trees, count));
    CLEANUP(file_closep) int rules = wall.rules;
    if (rules < 0)
        return ERR_OK;
    for (size_t i = 0; i < count; i++)
        TRY(allow_tree(&wall, root, &trees[i]));
    return close_wall(&wall);
}

// A tree by its absolute path, without links.
struct place {
    char path[PATH_MAX];
    enum proc_reach reach;
};

struct walk {
    struct wall wall;
    size_t count;
    struct place places[TREES_MAX];
};

// The absolute path of what an O_PATH descriptor leads to.
static enum err path_of(int fd, char out[PATH_MAX])
{
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, out, PATH_MAX - 1);
    if (len <= 0)
        return file_raise("find the place of", "a directory to be walled off");
    out[len] = '\0';
    return ERR_OK;
}

// What does not exist stands below the deepest directory that does: nothing may be made there
// either.
static enum err resolve(int root, const char *path, char out[PATH_MAX])
{
    char whole[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof whole)
        FAIL(ERR_INVALID, "a path to be walled off is empty or too long");
    memcpy(whole, path, len + 1);
    for (size_t at = len; at > 0;) {
        CLEANUP(file_closep) int fd = openat(root, whole, O_PATH | O_CLOEXEC);
        if (fd < 0 && errno != ENOENT)
            return file_raise("find", whole);
        if (fd >= 0) {
            TRY(path_of(fd, out));
            size_t used = strlen(out);
            if (used + (len - at) >= PATH_MAX)
                FAIL(ERR_INVALID, "the path of \"%s\" is too long", path);
            memcpy(out + used, path + at, len - at + 1);
            return ERR_OK;
        }
        while (at > 0 && whole[--at] != '/') {
        }
        whole[at] = '\0';
    }
    TRY(path_of(root, out));
    int put = snprintf(whole, sizeof whole, "%s/%s", strcmp(out, "/") == 0 ? "" : out, path);
    if (put < 0 || put >= PATH_MAX)
        FAIL(ERR_INVALID, "the path of \"%s\" is too long", path);
    memcpy(out, whole, (size_t)put + 1);
    return ERR_OK;
}

// The place at exactly this path, or NULL; *ret_below: another lies deeper.
static const struct place *look_up(const struct walk *walk, const char *path, bool *ret_below)
{
    const struct place *found = NULL;
    size_t len = strlen(path);
    *ret_below = false;
    for (size_t i = 0; i < walk->count; i++) {
        const char *other = walk->places[i].path;
        if (strcmp(other, path) == 0)
            found = &walk->places[i];
        else if (strncmp(other, path, len) == 0 && other[len] == '/')
            *ret_below = true;
    }
    return found;
}

static enum err walk_directory(const struct walk *walk, int fd, const char *path,
                               enum proc_reach reach, int depth);

// One entry of a directory on the way. What has vanished meanwhile, or is a link, gets no rule.
static enum err walk_entry(const struct walk *walk, int parent, const char *name, const char *path,
                           enum proc_reach reach, int depth)
{
    struct stat st;
    bool below = false;
    const struct place *place = look_up(walk, path, &below);
    if (place != NULL)
        reach = place->reach;
    if (!below && reach == PROC_REACH_NONE)
        return ERR_OK;
    CLEANUP(file_closep) int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || S_ISLNK(st.st_mode))
        return ERR_OK;
    if (below)
        return walk_directory(walk, fd, path, reach, depth - 1);
    uint64_t rights = rights_of[reach];
    return add_rule(&walk->wall, fd, S_ISDIR(st.st_mode) ? rights : rights & RIGHTS_OF_FILES, path);
}

static enum err walk_directory(const struct walk *walk, int fd, const char *path,
                               enum proc_reach reach, int depth)
{
    if (depth == 0)
        FAIL(ERR_INVALID, "\"%s\" lies too deep to be walled off", path);
    int readable = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = readable < 0 ? NULL : fdopendir(readable);
    if (dir == NULL) {
        file_closep(&readable);
        log_event(LOG_LEVEL_WARN,
                  "directory_closed path=\"%s\": it cannot be listed, so nothing "
                  "in it can be reached",
                  path);
        return ERR_OK;
    }
    enum err err = ERR_OK;
    for (const struct dirent *at = readdir(dir); at != NULL && err == ERR_OK; at = readdir(dir)) {
        char child[PATH_MAX];
        if (strcmp(at->d_name, ".") == 0 || strcmp(at->d_name, "..") == 0)
            continue;
        int put =
            snprintf(child, sizeof child, "%s/%s", strcmp(path, "/") == 0 ? "" : path, at->d_name);
        if (put > 0 && put < (int)sizeof child)
            err = walk_entry(walk, fd, at->d_name, child, reach, depth);
    }
    (void)closedir(dir);
    return err;
}

static enum err wall_off(struct walk *walk, int root, const struct proc_tree *trees, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        TRY(resolve(root, trees[i].path, walk->places[i].path));
        walk->places[i].reach = trees[i].reach;
        walk->count++;
    }
    CLEANUP(file_closep) int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (top < 0)
        return file_raise("open the directory", "/");
    TRY(walk_directory(walk, top, "/", PROC_REACH_ALL, DEPTH_MAX));
    return close_wall(&walk->wall);
}

enum err proc_wall_off(int root, const struct proc_tree *trees, size_t count)
{
    struct wall wall;
    if (count > TREES_MAX)
        FAIL(ERR_INTERNAL, "more than %d trees cannot be walled off", TREES_MAX);
    TRY(begin(&wall, trees, count));
    CLEANUP(file_closep) int rules = wall.rules;
    if (rules < 0)
        return ERR_OK;
    struct walk *walk = calloc(1, sizeof *walk);
    if (walk == NULL)
        FAIL(ERR_MEMORY, "no memory for the wall round the files of this process");
    walk->wall = wall;
    enum err err = wall_off(walk, root, trees, count);
    free(walk);
    return err;
}
