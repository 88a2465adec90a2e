// SPDX-License-Identifier: Apache-2.0
//
// Help, all of it from the table of commands: examples first.
#ifndef KW_CLI_HELP_H
#define KW_CLI_HELP_H

#include <stdio.h>

#include "cli/commands.h"

MUST_USE enum err help_overview(FILE *out);
MUST_USE enum err help_noun(const char *noun, FILE *out);
MUST_USE enum err help_command(const struct command *command, FILE *out);

#endif
