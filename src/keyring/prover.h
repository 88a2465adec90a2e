// SPDX-License-Identifier: Apache-2.0
//
// Proof in a fresh process: before an operation commits, `keyward-keeper --prove`, started anew by
// the supervisor and with an hsmd of its own, opens the store from the staged files alone.
#ifndef KW_KEYRING_PROVER_H
#define KW_KEYRING_PROVER_H

#include "ipc/ipc.h"
#include "keyring/core.h"

enum { PROVER_SPAWN_MS = 10000, PROVER_MS = 100000 };

// The keeper's side. `ways` are PROVE_* bits, each of which must open the staged wallet and match
// the staged record. The prover's own error, or ERR_UNAVAILABLE and ERR_TIMEOUT when there is no
// answer. Serves the core's pump while it waits.
MUST_USE enum err prover_ask(struct core *core, const struct uuid *operation, unsigned ways,
                             struct span passphrase);

// The prover's side: waits for one question, answers it, returns.
MUST_USE enum err prover_serve(int root, struct ipc *keeper);

#endif
