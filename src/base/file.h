// SPDX-License-Identifier: Apache-2.0
//
// Files that must survive a power cut. Paths are relative to a directory descriptor (the root
// prefix), never follow a symbolic link in their last part, and files made here have mode 0600,
// directories 0700. A failed fsync is never retried: the caller must treat it as not written and
// stop (ERR_IO).
#ifndef KW_BASE_FILE_H
#define KW_BASE_FILE_H

#include <sys/types.h>

#include "base/buf.h"

// Reads a whole regular file of at most `limit` bytes, appending to `out`. ERR_NOT_FOUND when there
// is none; ERR_DAMAGED when it is no regular file or larger than limit; ERR_IO.
MUST_USE enum err file_read(int dir, const char *path, size_t limit, struct buf *out);

// As file_read, but first wants mode 0600 (or stricter) and the caller's own user as owner, and
// else fails with ERR_FILE_MODE, naming path, mode found and mode wanted.
MUST_USE enum err file_read_private(int dir, const char *path, size_t limit, struct buf *out);

// Reads a descriptor from its position to its end, of at most `limit` bytes, appending to `out`.
// `name` is for messages.
MUST_USE enum err file_read_fd(int fd, const char *name, size_t limit, struct buf *out);

// Opens a regular file for reading. With `private` it must have mode 0600 (or stricter) and the
// caller's own user as owner, ERR_FILE_MODE otherwise. Caller closes.
MUST_USE enum err file_open(int dir, const char *path, bool private, int *ret_fd);

// Writes path's bytes to a temporary beside it, fsyncs, renames over `path`, fsyncs the directory.
// After any crash the file is the old one or the new one. Blocks on the disk.
MUST_USE enum err file_write(int dir, const char *path, struct span bytes);

// Removes a file and fsyncs its directory; absence is no error.
MUST_USE enum err file_remove(int dir, const char *path);

// Renames within `dir` and fsyncs both directories; replaces an existing file.
MUST_USE enum err file_rename(int dir, const char *from, const char *to);

// Makes a directory and its parents with mode 0700; existing ones are left alone.
MUST_USE enum err file_mkdirs(int dir, const char *path);

// The same for the directory that `path` lies in.
MUST_USE enum err file_make_parent(int dir, const char *path);

enum file_guard {
    FILE_DIR_PRIVATE, // the caller's own, mode 0700 (or stricter)
    FILE_DIR_SHARED   // root's or the caller's own, writable by its owner alone
};

// Looks at owner and mode of a directory, or of the one a link leads to. ERR_FILE_MODE, naming
// path, what was found and what is wanted. Absence is no error.
MUST_USE enum err file_check_dir(int dir, const char *path, enum file_guard guard);

// Removes a directory and what lies in it, at most 8 levels deep. Absence is no error.
MUST_USE enum err file_remove_tree(int dir, const char *path);

MUST_USE enum err file_fsync_dir(int dir, const char *path);

// The directory that `path` lies in.
MUST_USE enum err file_fsync_parent(int dir, const char *path);
bool file_exists(int dir, const char *path);

// The directory that the running program lies in; /proc must be there.
MUST_USE enum err file_own_directory(char *out, size_t room);

// A directory descriptor for `path`. Caller closes. ERR_NOT_FOUND, ERR_IO.
MUST_USE enum err file_open_dir(const char *path, int *ret_fd);

// The same below another directory.
MUST_USE enum err file_open_dir_at(int dir, const char *path, int *ret_fd);

// For a program that may be started with descriptors 0, 1 or 2 closed: puts something there, so
// that no file that is opened later is taken for one of them. Reading 0 and writing 1 and 2 fails.
// False when that cannot be done.
bool file_hold_standard(void);

// Closes *fd unless negative; for CLEANUP.
void file_closep(int *fd);

// Writes all bytes to a descriptor; ERR_NO_SPACE, ERR_IO.
MUST_USE enum err file_write_all(int fd, struct span bytes, const char *name);

// Maps errno of a failed call on `path` to ERR_NO_SPACE, ERR_NOT_FOUND, ERR_IO and raises it.
enum err file_raise(const char *what, const char *path);

#endif
