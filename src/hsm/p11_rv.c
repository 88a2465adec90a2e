// SPDX-License-Identifier: Apache-2.0
//
// The names of return codes. The table is made from pkcs11.h at build time (p11_rv_table.py); codes
// of vendors, and garbage such as 0xffffffffffffffff, are shown raw.
#include <stdio.h>

#include "hsm/p11.h"

static const char *rv_name(CK_RV rv)
{
    switch (rv) {
#define RV(name)                                                                                   \
    case name:                                                                                     \
        return #name;
#include "p11_rv_table.h"
#undef RV
    default:
        return NULL;
    }
}

const char *p11_rv_text(CK_RV rv, char out[P11_RV_TEXT])
{
    const char *name = rv_name(rv);
    if (name != NULL)
        (void)snprintf(out, P11_RV_TEXT, "%s (0x%lx)", name, rv);
    else if (rv >= CKR_VENDOR_DEFINED && rv <= 0xffffffffUL)
        (void)snprintf(out, P11_RV_TEXT, "the vendor's code 0x%lx", rv);
    else
        (void)snprintf(out, P11_RV_TEXT, "the unknown code 0x%lx", rv);
    return out;
}

enum err p11_rv_raise(enum err code, const char *what, const char *function, CK_RV rv,
                      const char *next)
{
    char text[P11_RV_TEXT];
    FAIL(code, "could not %s: %s gave %s; %s", what, function, p11_rv_text(rv, text), next);
}
