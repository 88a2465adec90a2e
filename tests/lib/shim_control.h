// SPDX-License-Identifier: Apache-2.0
// What the test told the shim to do, and how often each function was called. The control file is
// read anew at each call and the counts live in a file beside it, so that a server which starts a
// process for each HSM operation can be steered and counted across all of them.
//
// The control file holds words separated by white space; a line beginning with # is a comment.
//   rv=FUNC:HEX:N      call N and all later ones of FUNC return HEX and do nothing
//   hang=FUNC:N        … never return            crash=FUNC:N   … SIGSEGV
//   abort=FUNC:N       … abort()                 kill=FUNC:N    … SIGKILL
//   slow=FUNC:MS       each call takes MS milliseconds longer
//   print=FUNC         each call prints junk on standard output and standard error
//   probe=FUNC:N       … try what a hostile library would; see shim_probe.h
//   garbage=FUNC:N     CKR_OK with wrong bytes (C_Encrypt, C_Decrypt)
//   length=FUNC:HEX:N  CKR_OK with this output length (C_Encrypt, C_Decrypt)
//   only17=null|nosup  the functions beside the 17 are NULL, or CKR_FUNCTION_NOT_SUPPORTED
//   nodata             no CKO_DATA objects; uniqueid, replaceid: a CKA_ID in use is refused, or
//                      its key destroyed first
//   nogcm nocbc nocbcpad noecb  mechanisms refused
//   gcm=luna|cloudhsm  the token picks the GCM IV; see shim_gcm.h
// "N-" instead of N: only call N. FUNC "any" counts the calls of all functions together.
// A word the shim does not know ends the process by abort(), so that a mistyped test fails.
#pragma once
#include <p11-kit/pkcs11.h>
#include <stdbool.h>

enum shim_call {
#define PLAIN(name, min, parameters, arguments) SHIM_##name,
#define HOOKED(name, min)                       SHIM_##name,
#include "shim_calls.h"
    SHIM_ANY, // all functions together
    SHIM_CALLS
};

// Whether the control file has this word as it stands, such as "nodata" or "only17=null".
bool shim_control_has(const char *word);

// To be called first in each function: counts, traces, then does what is asked for this call. True
// if the call must return *ret_rv without going on; may also not return.
bool shim_control_enter(enum shim_call call, ck_rv_t *ret_rv);

// To be called when a call with output has succeeded; spoils out or its length as asked.
void shim_control_spoil(enum shim_call call, unsigned char *out, unsigned long *out_len);
