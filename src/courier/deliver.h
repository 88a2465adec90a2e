// SPDX-License-Identifier: Apache-2.0
//
// The rounds of a courier. Each is: ask a reader what there is, deliver it, tell the writer. Two
// processes do it, so that a mail server that hangs holds up no audit record: number 0 forwards
// records, number 1 sends mail.
#ifndef KW_COURIER_DELIVER_H
#define KW_COURIER_DELIVER_H

#include "ipc/ipc.h"

struct courier;

MUST_USE enum err courier_new(int control_fd, struct courier **ret);
void courier_free(struct courier *courier);

// The channels, borrowed; NULL while there is none.
void courier_set_channels(struct courier *courier, struct ipc *reader, struct ipc *writer);

// One round each; *ret_wait_ms is when to come again. ERR_CANCELED: the supervisor has something to
// say. What went wrong outside is told to the writer and is no error here.
MUST_USE enum err courier_forward(struct courier *courier, int *ret_wait_ms);
MUST_USE enum err courier_mail(struct courier *courier, int *ret_wait_ms);

#endif
