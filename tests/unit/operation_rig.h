// SPDX-License-Identifier: Apache-2.0
//
// Operations asked for as a person asks: by name, with secrets. Over core_rig.h; one test program
// includes this once.
#ifndef KW_TESTS_OPERATION_RIG_H
#define KW_TESTS_OPERATION_RIG_H

#include "tests/unit/core_rig.h"

#define OLD "the old recovery passphrase"
#define NEW "the new recovery passphrase"

static enum err run(enum keyring_operation operation, const char *params, const char *credential,
                    const char *old, const char *new)
{
    struct keyring_secret secrets[3];
    size_t count = 0;
    if (credential != NULL)
        secrets[count++] = (struct keyring_secret){"credential", span_str(credential)};
    if (old != NULL)
        secrets[count++] = (struct keyring_secret){"recovery_passphrase", span_str(old)};
    if (new != NULL)
        secrets[count++] = (struct keyring_secret){"new_recovery_passphrase", span_str(new)};
    buf_clear(&doc);
    return operate_run(&core, operation, span_str(params), secrets, count, &doc, &unsure);
}

static enum err set_up_store(void)
{
    return run(KEYRING_SETUP, "", NULL, OLD, NULL);
}

static enum err initialize(void)
{
    return run(KEYRING_HSM_INITIALIZE, "{\"token_label\":\"tok\"}", "1234", OLD, NULL);
}

// A keeper started anew, in this process.
static void restart(void)
{
    core_done(&core);
    core_init(&core, fake_dir);
    core_try(&core);
}

static void drop_ram(void)
{
    OK(file_remove(fake_dir, PATH_RAM_AUTOLOGIN));
    OK(file_remove(fake_dir, PATH_RAM_WALLET));
}

#endif
