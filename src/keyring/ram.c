// SPDX-License-Identifier: Apache-2.0
//
// The RAM directory. Invariant: nothing is written below mnt/okvram unless statfs said in the same
// call that what lies there is tmpfs or ramfs, and that the directory is ours alone.
#include "keyring/ram.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/paths.h"
#include "keyring/autologin.h"

#define SHARED_MEMORY "/dev/shm"
#define RUN_LINK      "../" PATH_RUN_RAM // as seen from PATH_RAM_DIR

enum { SHM_PATH_MAX = 128 };

static bool is_ram(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 &&
           ((unsigned long)fs.f_type == TMPFS_MAGIC || (unsigned long)fs.f_type == RAMFS_MAGIC);
}

// True when `fd` is a directory of ours with mode 0700 on a RAM file system.
static bool is_private_ram(int fd)
{
    struct stat st;
    return is_ram(fd) && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
           (st.st_mode & 077) == 0;
}

static bool place_is_good(int root, const char *path)
{
    CLEANUP(file_closep) int fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && is_private_ram(fd);
}

bool ram_reserve(int root)
{
    if (!place_is_good(root, PATH_RUN_DIR))
        return false;
    return (mkdirat(root, PATH_RUN_RAM, 0700) == 0 || errno == EEXIST) &&
           place_is_good(root, PATH_RUN_RAM);
}

enum err ram_check(int root)
{
    CLEANUP(file_closep) int fd = openat(root, PATH_RAM_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && is_ram(fd) ? file_check_dir(root, PATH_RAM_DIR, FILE_DIR_PRIVATE) : ERR_OK;
}

static void shared_path(const struct uuid *server, char out[SHM_PATH_MAX])
{
    char id[UUID_TEXT_LEN + 1];
    uuid_text(server, id);
    (void)snprintf(out, SHM_PATH_MAX, SHARED_MEMORY "/keyward-%u-%s", (unsigned)geteuid(), id);
}

// A directory in shared memory that nobody else made or may enter.
static enum err make_shared(const char *path)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        FAIL(ERR_UNAVAILABLE, "could not make \"%s\" on the RAM file system", path);
    CLEANUP(file_closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || !is_private_ram(fd))
        FAIL(ERR_UNAVAILABLE, "\"%s\" is not a private directory on a RAM file system", path);
    return ERR_OK;
}

static enum err link_to(int root, const char *path)
{
    char now[SHM_PATH_MAX] = "";
    ssize_t len = readlinkat(root, PATH_RAM_DIR, now, sizeof now - 1);
    if (len > 0 && strcmp(now, path) == 0)
        return ERR_OK;
    // An empty directory gives way; one with something in it is somebody's and stays.
    if (unlinkat(root, PATH_RAM_DIR, len > 0 ? 0 : AT_REMOVEDIR) != 0 && errno != ENOENT)
        FAIL(ERR_UNAVAILABLE, "\"%s\" is not on a RAM file system: mount a tmpfs there",
             PATH_RAM_DIR);
    if (symlinkat(path, root, PATH_RAM_DIR) != 0)
        FAIL(ERR_UNAVAILABLE, "could not link \"%s\" to \"%s\"", PATH_RAM_DIR, path);
    return ERR_OK;
}

enum err ram_prepare(int root, const struct uuid *server)
{
    char path[SHM_PATH_MAX] = RUN_LINK;
    if (place_is_good(root, PATH_RAM_DIR))
        return ERR_OK;
    if (!place_is_good(root, PATH_RUN_RAM)) {
        shared_path(server, path);
        TRY(make_shared(path));
    }
    TRY(file_mkdirs(root, "mnt"));
    TRY(link_to(root, path));
    if (!place_is_good(root, PATH_RAM_DIR))
        FAIL(ERR_UNAVAILABLE, "\"%s\" is not a private directory on a RAM file system",
             PATH_RAM_DIR);
    return ERR_OK;
}

enum err ram_write(int root, const struct root_record *record, const struct wallet *wallet,
                   struct span file)
{
    struct buf plain CLEANUP(buf_done);
    struct buf sealed CLEANUP(buf_done);
    buf_init(&plain, AUTOLOGIN_FILE_MAX, true);
    buf_init(&sealed, AUTOLOGIN_FILE_MAX, true);
    TRY(ram_prepare(root, &record->server));
    TRY(wallet_pack(wallet, &plain));
    TRY(autologin_encode(AUTOLOGIN_RAM, &record->server, span_buf(&plain), &sealed));
    TRY(file_write(root, PATH_RAM_WALLET, file));
    return file_write(root, PATH_RAM_AUTOLOGIN, span_buf(&sealed));
}

enum err ram_forget(int root)
{
    if (!place_is_good(root, PATH_RAM_DIR))
        return ERR_OK;
    enum err err = file_remove(root, PATH_RAM_AUTOLOGIN);
    enum err other = file_remove(root, PATH_RAM_WALLET);
    return err != ERR_OK ? err : other;
}

enum err ram_open(int root, const struct root_record *record, struct wallet **ret)
{
    struct buf bytes CLEANUP(buf_done);
    CLEANUP(secret_freep) struct secret *plain = NULL;
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    buf_init(&bytes, AUTOLOGIN_FILE_MAX, true);
    if (!place_is_good(root, PATH_RAM_DIR))
        FAIL(ERR_NOT_FOUND, "\"%s\" is not there", PATH_RAM_DIR);
    TRY(file_read_private(root, PATH_RAM_AUTOLOGIN, AUTOLOGIN_FILE_MAX, &bytes));
    TRY(autologin_decode(AUTOLOGIN_RAM, &record->server, span_buf(&bytes), PATH_RAM_AUTOLOGIN,
                         &plain));
    TRY(wallet_unpack(secret_span(plain), &wallet));
    TRY(rootrec_verify(record, wallet));
    *ret = wallet;
    wallet = NULL;
    return ERR_OK;
}
