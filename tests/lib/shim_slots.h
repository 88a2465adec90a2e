// SPDX-License-Identifier: Apache-2.0
// Slots as vendors show them: other numbers in each process (renumber), and a pseudo-slot that is
// no token to keep keys on (accelerator).
#pragma once
#include <p11-kit/pkcs11.h>

ck_rv_t shim_slots_list(struct ck_function_list *real, unsigned char present, ck_slot_id_t *list,
                        unsigned long *n);
ck_rv_t shim_slots_token(struct ck_function_list *real, ck_slot_id_t slot,
                         struct ck_token_info *info);

// The number that the real module knows the slot by.
ck_slot_id_t shim_slots_real(ck_slot_id_t slot);
