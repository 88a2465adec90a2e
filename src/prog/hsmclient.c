// SPDX-License-Identifier: Apache-2.0
//
// hsmclient: the three commands that HSM guides name (contract B8).
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return cli_hsmclient(argc, argv);
}
