// SPDX-License-Identifier: Apache-2.0
//
// A look at a vendor's library, for `keyward hsm validate`: does it have the 17 functions of
// contract B12, and do they do what Keyward needs of them? Runs in keyward-hsmd --probe, a process
// of its own that may hang or crash; whoever started it keeps the time.
//
// What is found goes to a descriptor, one JSON object a line:
//   {"begin": "login", "did": …}                 before each step
//   {"call": "C_Login"}                          before each call into the library
//   {"step": "login", "did": …, "saw": …, "result": "pass"|"fail"|"note", "error": "ERR_HSM_PIN"}
// A note is a finding that Keyward can do without. The credential is never in it.
#ifndef KW_HSM_HSM_PROBE_H
#define KW_HSM_HSM_PROBE_H

#include "hsm/hsm.h"

// The library is the one that `settings` name; what it prints goes to a trace file below `root`.
// Makes one AES-256 token key and its key number object, and removes both where the library can.
// `out` (borrowed) takes the lines. Returns the first failed step's error. Blocks as long as the
// library does.
MUST_USE enum err hsm_probe(int root, const struct hsm_settings *settings, struct span credential,
                            int out);

// Writes one line for a step that hsm_probe did not take itself.
void hsm_probe_tell(int out, const char *step, const char *did, enum err err, const char *saw);

#endif
