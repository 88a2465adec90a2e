// SPDX-License-Identifier: Apache-2.0
//
// What the keeper knows: the root record and, when open, the wallet. Operations change it here, in
// one place, after their commit.
#ifndef KW_KEYRING_CORE_H
#define KW_KEYRING_CORE_H

#include <poll.h>

#include "keyring/keyring.h"
#include "keyring/monitor.h"
#include "keyring/opener.h"

enum { CORE_RETRY_FIRST_MS = 200, CORE_RETRY_LAST_MS = 30000, CORE_FDS_MAX = 64 };

// What the keeper does while an operation waits: as hsm/hsm_rpc.h has it.
struct core_pump {
    void (*serve)(void *arg);
    int (*fds)(void *arg, struct pollfd *out, int max);
    void *arg;
};

struct operation;

struct core {
    int root;
    const struct operation *under_way; // NULL: none
    bool ready;                        // a journal that was left is settled and the record was read
    bool has_record;
    struct root_record record;
    struct wallet *wallet;     // NULL: locked, or empty
    char reason[512];          // why it is locked
    int64_t next_try_ms;       // monotonic
    int retry_ms;              // pause after the next failure
    bool pin_refused;          // the stored credential; minded also where the latch is not written
    bool must_stop;            // a commit's outcome is unknown: end, the next start finds out
    int64_t proven_ms;         // monotonic, when the HSM last opened the store; 0: never
    uint32_t proven_key_count; // then
    struct hsm_token token;    // then
    struct monitor monitor;    // what the HSM was like when it was asked last
    struct core_pump pump;     // may be empty
};

void core_init(struct core *core, int root);
void core_done(struct core *core);

enum keyring_state core_state(const struct core *core);

// Brings a journal that was left to its end and reads the record. Done again by core_try until it
// works.
MUST_USE enum err core_load(struct core *core);

// The directories of contract A3: ERR_FILE_MODE when one is open to others (keyring/places.h).
MUST_USE enum err core_check_places(const struct core *core);

// One unattended try to open the store. On failure `reason` and `next_try_ms` are set.
void core_try(struct core *core);

// Milliseconds until core_try is due; -1: never, it is open or empty.
int core_due_ms(const struct core *core);

// The store is open with this record and wallet (taken). Writes the copy in RAM with an HSM.
void core_adopt(struct core *core, const struct root_record *record, struct wallet **wallet);

// The HSM has just opened the store. `begun_ms` is monitor_begin's.
void core_proven(struct core *core, int64_t begun_ms, const struct opener_found *found);

// Opens by the HSM with the stored credential, minding and setting the latch. `attended`: a person
// asked, so one try is made whatever the latch says.
MUST_USE enum err core_open_by_hsm(struct core *core, const char *trace, bool attended,
                                   struct wallet **ret);

// The same, and what was found, the wallet password with it: the caller frees found->wallet, also
// after an error.
MUST_USE enum err core_unseal(struct core *core, const char *trace, bool attended,
                              struct opener_found *found, struct wallet **ret);

// Makes the place of the wallet in RAM, if that is still to be done: hsmd is walled off from what
// it finds when it starts, so the place must be there before. Without one nothing will be written.
void core_make_ram(const struct core *core);

// A check of the HSM with the stored credential, and of the files of contract A3: exactly one root
// key answers and opens the store. The outcome is noted in `monitor`. Blocks for the HSM.
MUST_USE enum err core_check_hsm(struct core *core, const char *trace);

// Milliseconds until the next unattended check; -1: none is wanted.
int core_check_due_ms(const struct core *core);

// ERR_WRONG_STATE when there is no wallet yet, or what keeps the record from being read.
MUST_USE enum err core_need_record(struct core *core);

#endif
