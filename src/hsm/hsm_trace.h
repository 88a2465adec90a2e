// SPDX-License-Identifier: Apache-2.0
//
// Private to this room: the trace of one HSM operation. In hsmd standard output and standard error
// go to a file of its own below var/okv/log/hsm, so that what the library prints lands there too;
// Keyward's own lines (base/log.h) name each PKCS#11 call, its result and its time, never a secret.
#ifndef KW_HSM_HSM_TRACE_H
#define KW_HSM_HSM_TRACE_H

#include "base/err.h"

enum {
    HSM_TRACE_FILES = 200,                 // older trace files are removed
    HSM_TRACE_TOTAL = 256 * 1024 * 1024,   // bytes in all of them, likewise
    HSM_TRACE_FILE_MAX = 16 * 1024 * 1024, // one operation's trace; past it output is dropped
    HSM_TRACE_NAME_MAX = 32,
};

// Makes var/okv/log/hsm/<time>-<operation>.log (mode 0600), sends descriptors 1 and 2 there and
// removes old trace files. `operation` is letters, digits, '-' and '_' (else "operation").
MUST_USE enum err hsm_trace_open(int root, const char *operation);

// Stops writing when the file has grown past its limit. Called between PKCS#11 calls.
void hsm_trace_bound(void);

// Is told each PKCS#11 function's name before it is called ("dlopen" for the loading), so that
// whoever waits can name the call that hung or crashed. NULL: nobody is.
typedef void hsm_trace_hook(void *arg, const char *function);
void hsm_trace_listen(hsm_trace_hook *hook, void *arg);
void hsm_trace_announce(const char *function);

#endif
