// SPDX-License-Identifier: Apache-2.0
// The process id serves as the distance between the shown and the real number, so that a number
// kept from another process is wrong.
#include "shim_slots.h"

#include "shim_control.h"

#include <string.h>
#include <unistd.h>

#define ACCELERATOR 0x7fffacceUL

static unsigned long distance(void)
{
    return shim_control_has("renumber") ? (unsigned long)getpid() : 0;
}

ck_slot_id_t shim_slots_real(ck_slot_id_t slot)
{
    return slot - distance();
}

ck_rv_t shim_slots_list(struct ck_function_list *real, unsigned char present, ck_slot_id_t *list,
                        unsigned long *n)
{
    unsigned long extra = shim_control_has("accelerator") ? 1 : 0;
    unsigned long room = *n;
    if (list == NULL || room < extra) {
        ck_rv_t rv = real->C_GetSlotList(present, NULL, n);
        *n += extra;
        return list == NULL || rv != CKR_OK ? rv : CKR_BUFFER_TOO_SMALL;
    }
    *n = room - extra;
    ck_rv_t rv = real->C_GetSlotList(present, list + extra, n);
    if (rv == CKR_OK) {
        for (unsigned long i = 0; i < *n; i++) {
            list[extra + i] += distance();
        }
        if (extra == 1) {
            list[0] = ACCELERATOR;
        }
    }
    *n += extra;
    return rv;
}

ck_rv_t shim_slots_token(struct ck_function_list *real, ck_slot_id_t slot,
                         struct ck_token_info *info)
{
    if (slot == ACCELERATOR && shim_control_has("accelerator")) {
        memset(info, 0, sizeof *info);
        memset(info->label, ' ', sizeof info->label);
        memcpy(info->label, "accelerator", 11);
        info->flags = CKF_TOKEN_INITIALIZED | CKF_RNG;
        return CKR_OK;
    }
    ck_rv_t rv = real->C_GetTokenInfo(shim_slots_real(slot), info);
    unsigned long flags = 0;
    if (rv == CKR_OK && shim_control_wishes("flags", SHIM_C_GetTokenInfo, &flags)) {
        info->flags |= flags;
    }
    return rv;
}
