// SPDX-License-Identifier: Apache-2.0
//
// What the shell may complete.
#ifndef KW_CLI_COMPLETION_H
#define KW_CLI_COMPLETION_H

// Prints the words that may stand in place of the last of `words`, which may be empty or begun.
void completion_print(int count, char **words);

#endif
