// SPDX-License-Identifier: Apache-2.0
//
// A root prefix and a SoftHSM token of its own for each test, with the test shim before the token:
// the shim counts the calls and misbehaves as told (tests/lib/shim_control.h).
#ifndef KW_TESTS_HSM_RIG_H
#define KW_TESTS_HSM_RIG_H

#include <sys/types.h>

#include "hsm/hsm.h"
#include "tests/unit/check.h"

#define RIG_PIN     "1234pin"
#define RIG_LABEL   "okv-root"
#define RIG_RELEASE "1.0"
#define RIG_SOFTHSM "/usr/lib/softhsm/libsofthsm2.so"

enum {
    RIG_PATH_MAX = 4096,
    RIG_TRIES = 10 // of what a machine that is busy or stands still may not let happen in time
};

struct rig {
    char dir[RIG_PATH_MAX / 2]; // also the root prefix
    int root;
    struct hsm_settings settings; // the shim, RIG_LABEL
};

// cmocka's set-up and tear-down of one test; *state is a struct rig.
int rig_up(void **state);
int rig_down(void **state);

// Once a program: whatever the driver needs.
int rig_driver_up(void **state);
int rig_driver_down(void **state);
// Tests of the driver alone; returns how many failed.
int rig_driver_tests(void);
// Tells the driver the root prefix of the test that begins.
void rig_driver_root(const char *dir);

void rig_token(struct rig *rig, const char *label); // one more token, PIN RIG_PIN
void rig_shim(struct rig *rig, const char *words);  // counts begin anew
size_t rig_calls(struct rig *rig, const char *function);
void rig_tool(struct rig *rig, const char *const *options); // pkcs11-tool, logged in, on RIG_LABEL
void rig_file(struct rig *rig, const char *path, const char *text, mode_t mode);
void rig_path(const struct rig *rig, const char *path, char out[RIG_PATH_MAX]);
void rig_built(const char *name, char out[RIG_PATH_MAX]); // what meson built
void rig_run(const char *const *words);

// Sets a variable for the library in this process, and for hsmd's in okv_hsm_env.
void rig_export(struct rig *rig, const char *name, const char *value);

enum err rig_open(struct rig *rig, struct hsm **ret); // with RIG_PIN

// Lets a function of the library hang and asserts that `act` ends by the deadline there, once it
// has come as far in the time there is.
void rig_hang(struct rig *rig, const char *function, enum err (*act)(struct rig *, void *),
              void *arg);

// Whether err_detail() holds `text`; prints the detail when it does not.
bool rig_says(const char *text);

#endif
