// SPDX-License-Identifier: Apache-2.0
//
// The library in this very process: nothing to prepare but the log.
#include "base/log.h"
#include "base/secret.h"
#include "tests/contract/hsm/rig.h"

int rig_driver_up(void **state)
{
    (void)state;
    log_setup("test", LOG_LEVEL_ERROR);
    OK(secret_setup());
    return 0;
}

int rig_driver_down(void **state)
{
    (void)state;
    return 0;
}

void rig_driver_root(const char *dir)
{
    (void)dir;
}

int rig_driver_tests(void)
{
    return 0;
}
