// SPDX-License-Identifier: Apache-2.0
//
// The command line's words. Options may stand anywhere; names are not abbreviated; an option that
// the command does not take, or that is given twice, is refused. A secret given as an argument or
// in the environment is refused with the reason, and its value is never repeated.
#ifndef KW_CLI_ARGS_H
#define KW_CLI_ARGS_H

#include "cli/state.h"

// Fills ret->command, values, names, output and root. ERR_INVALID: wrong usage. `command` is NULL
// for a call without a command, or of a noun whose verbs are to be listed (names[0]).
MUST_USE enum err args_parse(int argc, char **argv, struct cli *ret);

#endif
