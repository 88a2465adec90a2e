// SPDX-License-Identifier: Apache-2.0
// Which system calls are crash points. A point is a call that changes what is on the disk (or,
// when asked, goes out on a socket). The table is the whole truth: the seccomp filter is made from
// it, so that only these calls stop, and each stop is judged by it.
#pragma once
#include "tracee.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define POINT_ROOTS_MAX 16

// Room for what a point changes: one path, or two with an arrow between.
#define POINT_WHAT_MAX (2 * TRACEE_PATH_MAX + 8)

// What counts. roots hold real paths; none means everywhere.
struct point_scope {
    bool sockets;
    size_t root_count;
    const char *roots[POINT_ROOTS_MAX];
};

// Which call a thread is about to make: index into the table, as the filter reported it.
struct point_stop {
    pid_t tid;
    unsigned int index;
    uint64_t args[6];
};

// The indices the filter reports for calls that are no points but must be answered for.
#define POINT_HIDE_SET 0xfff0U
#define POINT_HIDE_GET 0xfff1U

// Loads the filter into the calling process; every child inherits it. With may_hide false the
// attempt to make memory unreadable (PR_SET_DUMPABLE 0) stops too, as POINT_HIDE_*. Returns 0 or
// a negative errno. Does not set no_new_privs when called by root.
int point_load_filter(const struct point_scope *scope, bool may_hide);

// True if this stop is a point; ret_what is then the place, or "old -> new" for two places.
bool point_counts(const struct point_scope *scope, const struct point_stop *stop,
                  char ret_what[static POINT_WHAT_MAX]);

// The descriptor that a call which gave result worked on, or opened; -1 if it named paths alone.
int point_fd(const struct point_stop *stop, long result);

// The call's name, static storage.
const char *point_name(unsigned int index);
