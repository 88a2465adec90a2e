// SPDX-License-Identifier: Apache-2.0
//
// Long operations. With "Prefer: respond-async" an operation on the root of trust is answered with
// 202 and an address at once; there its state is told, or streamed as server-sent events: `step`
// for each step that is done, then `done` or `error`. The steps come from the keeper, by way of a
// reader, which also says whether the one who asks still counts. An operation is kept for a day, in
// this process's memory, and belongs to the credential that began it: for others it is not there.
#ifndef KW_WEB_OPERATIONS_H
#define KW_WEB_OPERATIONS_H

#include "web/api.h"
#include "web/doc.h"
#include "web/route.h"

struct operations;

// `base` and `engines` are borrowed. Free after the engines, which call back what was asked.
MUST_USE enum err operations_new(struct event_base *base, struct engines *engines,
                                 struct operations **ret);
void operations_free(struct operations *operations);

// True when the call asks for 202 and may have it.
bool operations_wants(const struct api_call *call, const struct route *route);

// Begins one; `doc` (taken) is the request's document, `request` borrows from it. `done` is called
// once, with 202 or a problem.
MUST_USE enum err operations_begin(struct operations *operations, const struct api_call *call,
                                   const struct request *request, struct doc *doc, api_done done,
                                   void *context);

// Tells the one with this id, or streams its events. ERR_NOT_FOUND, ERR_BUSY (too many streams):
// then `done` was not called.
MUST_USE enum err operations_show(struct operations *operations, const struct api_call *call,
                                  const char *id, bool stream, api_done done, void *context);

// Ends all streams, as when the server stops: none would end by itself.
void operations_end_streams(struct operations *operations);

#endif
