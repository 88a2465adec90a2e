// SPDX-License-Identifier: Apache-2.0
//
// hsmd's side of the channel to the keeper: answers hsm.h's verbs with hsm_direct.c.
#ifndef KW_HSM_HSM_SERVE_H
#define KW_HSM_HSM_SERVE_H

#include "hsm/hsm.h"
#include "ipc/ipc.h"

// Serves until the keeper asks for the end or closes the channel; `control` (negative: none) is
// looked at between requests: when something is to be read there, the function returns. The first
// request must be HSM_OPEN; it opens the trace file. Blocks as long as the library does.
MUST_USE enum err hsm_serve(int root, struct ipc *keeper, int control);

// Makes the signals of a crash send a last frame that names the signal. Call before a library is
// loaded.
MUST_USE enum err hsm_serve_catch(struct ipc *keeper);

#endif
