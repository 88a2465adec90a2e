// SPDX-License-Identifier: Apache-2.0
// What can be learned about a stopped thread of the traced program: its memory, the place a
// descriptor or a path argument means, its name. Nothing here changes the thread or keeps state.
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// Room for one resolved path, or for an escaped one on the list.
#define TRACEE_PATH_MAX (2 * PATH_MAX)

// Copies size bytes at addr in the thread's memory; false if they cannot be read.
bool tracee_read(pid_t tid, uint64_t addr, void *ret_bytes, size_t size);

// The name of what descriptor fd means: a path, or "socket:[…]", "pipe:[…]". False if fd is not
// open.
bool tracee_fd_name(pid_t tid, int fd, char ret_name[static TRACEE_PATH_MAX]);

// The type bits (S_IFMT) of what fd means, 0 if unknown.
mode_t tracee_fd_type(pid_t tid, int fd);

// The path a (dirfd, string at addr) pair means, links in its directory resolved, the last
// component as given. An empty string means dirfd itself. False if the memory cannot be read.
bool tracee_path(pid_t tid, int dirfd, uint64_t addr, char ret_path[static TRACEE_PATH_MAX]);

// The file mapped at addr ("" for anonymous memory).
void tracee_mapping(pid_t tid, uint64_t addr, char ret_path[static TRACEE_PATH_MAX]);

// The thread's name as in /proc/TID/comm, without the newline.
void tracee_comm(pid_t tid, char ret_comm[static 32]);
