// SPDX-License-Identifier: Apache-2.0
//
// The web process's channels to the engines, on an event loop: batches go out, replies come back by
// callback, and each question is answered exactly once: by the engine, by its death, by its
// deadline, or by engines_free.
#ifndef KW_WEB_ENGINES_H
#define KW_WEB_ENGINES_H

#include <event2/event.h>

#include "model/model.h"
#include "proc/proc.h"

struct engines;

// `status` ERR_OK: `replies` has as many items as the batch. Else err_message(status) tells why;
// with ERR_UNAVAILABLE and ERR_TIMEOUT the batch had been sent and its outcome is not known.
// `replies` is borrowed for the call.
typedef void (*engines_done)(void *context, enum err status, const struct replies *replies);

// `base` is borrowed.
MUST_USE enum err engines_new(struct event_base *base, struct engines **ret);
void engines_free(struct engines *engines);

// Takes `fd`, a new channel to (role, index); what was asked over an earlier one is answered with
// ERR_UNAVAILABLE.
MUST_USE enum err engines_attach(struct engines *engines, enum proc_role role, uint32_t index,
                                 int fd);

// Sends a batch to one engine of the role (readers take turns). ERR_UNAVAILABLE when none is
// connected, ERR_BUSY when too much is waiting (of
// people who are not known less may wait for the people engine), and other errors: then `done` is
// not called and nothing was sent.
MUST_USE enum err engines_ask(struct engines *engines, enum proc_role role,
                              const struct batch *batch, int timeout_ms, engines_done done,
                              void *context);

// Sends a frame that wants no answer to every reader that is connected.
void engines_tell_readers(struct engines *engines, uint16_t kind, struct span body);

// The `context` of what was asked of this role first and is not answered yet; NULL when nothing is.
const void *engines_oldest(const struct engines *engines, enum proc_role role);

size_t engines_waiting(const struct engines *engines);

#endif
