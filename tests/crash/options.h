// SPDX-License-Identifier: Apache-2.0
// The command line of crashpoint.
#pragma once
#include "point.h"

#include <stdbool.h>

enum options_mode {
    MODE_COUNT,     // only count and list
    MODE_KILL,      // kill everything before call number `target` happens
    MODE_AFTER,     // kill everything right after call number `target`
    MODE_FAIL,      // call number `target` fails with `error` and does not happen
    MODE_FAIL_FROM, // so do all later ones
    MODE_SHORT,     // call number `target` writes half of what it was given
};

struct options {
    enum options_mode mode;
    long target;
    int error;            // errno value for the failing modes
    bool disarmed;        // wait for SIGUSR1 or arm_file before counting
    const char *arm_file; // NULL if none
    const char *list;     // NULL if none
    const char *record;   // directory, NULL if none
    struct point_scope scope;
    char **command; // NULL-terminated, borrowed from argv
};

// Parses argv. On a mistake prints what is wrong and exits with status 2.
void options_parse(struct options *ret_options, int argc, char **argv);
