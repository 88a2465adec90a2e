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
//   wait=FUNC          each call waits for this word to be gone from the control file
//   print=FUNC         each call prints junk on standard output and standard error
//   probe=FUNC:N       … try what a hostile library would; see shim_probe.h
//   garbage=FUNC:N     CKR_OK with wrong bytes (C_Encrypt, C_Decrypt)
//   length=FUNC:HEX:N  CKR_OK with this output length (C_Encrypt, C_Decrypt, C_GetAttributeValue)
//   or
//                      count (C_FindObjects, C_GetSlotList)
//   lost=FUNC:N        from that call on this process gets CKR_DEVICE_ERROR for all but slot list,
//                      token and session information, until C_Finalize; a new process is fine
//   null=FUNC          FUNC is NULL in the function list
//   flags=C_GetTokenInfo:HEX  these token flags are set, too
//   only17=null|nosup  the functions beside the 17 are NULL, or CKR_FUNCTION_NOT_SUPPORTED
//   nodata             no CKO_DATA objects; uniqueid, replaceid: a CKA_ID in use is refused, or
//                      its key destroyed first
//   nogcm nocbc nocbcpad noecb  mechanisms refused
//   gcm=luna|fips|cloudhsm  the token picks the GCM IV; gcm=short|strict: it has its own idea of
//                      the parameters; see shim_gcm.h
//   stale              objects made by other processes after C_Login stay unseen (nShield's view is
//                      as of C_Initialize, which comes just before)
//   renumber           slots have other numbers in each process
//   accelerator        one slot more, first, with a token that wants no login (nShield)
//   noro               no read-only sessions (CloudHSM)
//   reserved           C_Initialize wants the text of KWSHIM_RESERVED as pReserved (NSS)
//   policy=nshield     keys that may wrap, sign or derive, and templates that leave TOKEN, PRIVATE,
//                      SENSITIVE, EXTRACTABLE, ENCRYPT or DECRYPT open, are refused
//   policy=noextract   so are keys that are sensitive and extractable
//   lie=extractable|insensitive  what C_GetAttributeValue says of every key
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

// Whether the control file has this verb for this function, whatever call it is (for a numbered
// one: the present call); its value.
bool shim_control_wishes(const char *verb, enum shim_call call, unsigned long *ret_value);

// As shim_control_spoil, for calls whose output is a count.
void shim_control_miscount(enum shim_call call, unsigned long *count);
