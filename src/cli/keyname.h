// SPDX-License-Identifier: Apache-2.0
//
// A key by its Name, where a command wants its identifier.
#ifndef KW_CLI_KEYNAME_H
#define KW_CLI_KEYNAME_H

#include "cli/state.h"

// Puts the identifier in the place of a word that is to be one and is a Name: asks the server for
// the one key that has the Name. ERR_NOT_FOUND where none does, ERR_CONFLICT where several do.
MUST_USE enum err keyname_resolve(struct cli *cli);

#endif
