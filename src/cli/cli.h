// SPDX-License-Identifier: Apache-2.0
//
// The two command lines. Both return the exit status: 0 done, 1 failed, 2 usage, 3 not signed in,
// 4 not permitted, 5 not found, 6 conflict or wrong state, 7 server unreachable, 8 HSM, 9 wait
// timed out (base/err_table.h says which error is which).
#ifndef KW_CLI_CLI_H
#define KW_CLI_CLI_H

// keyward NOUN VERB [NAME] [--options]
int cli_keyward(int argc, char **argv);

// hsmclient verify|open_wallet|pre_restore (contract B8)
int cli_hsmclient(int argc, char **argv);

#endif
