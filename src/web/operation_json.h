// SPDX-License-Identifier: Apache-2.0
//
// What is told of a long operation, as JSON and as server-sent events.
#ifndef KW_WEB_OPERATION_JSON_H
#define KW_WEB_OPERATION_JSON_H

#include <jansson.h>

#include "model/model.h"

enum operation_state { OPERATION_RUNNING, OPERATION_DONE, OPERATION_FAILED };

struct operation_view {
    char id[UUID_TEXT_LEN + 1];
    enum verb verb;
    enum operation_state state;
    int64_t started_s; // seconds since 1970
    int64_t finished_s;
    json_t *steps;   // array
    json_t *result;  // what the engine has answered, when DONE
    json_t *problem; // when FAILED
};

void operation_view_init(struct operation_view *view, enum verb verb);
void operation_view_done(struct operation_view *view);
void operation_json_freep(json_t **json);

// Takes the steps done so far from an answer to "operation show".
void operation_take_steps(struct operation_view *view, struct span doc);

// Who has asked, from the same answer: the user's identifier, zero for the local administrator.
MUST_USE enum err operation_asker(struct span doc, struct uuid *ret);

// It has ended: with a reply, or with none (`status` tells why).
void operation_end(struct operation_view *view, enum err status, const struct reply *reply);

// The whole, for GET; NULL without memory. Caller frees.
json_t *operation_json(const struct operation_view *view);

// Appends the events after number `told`. *ret_told gets the number of the last one, *ret_over
// whether there will be no more.
MUST_USE enum err operation_events(const struct operation_view *view, size_t told, struct buf *out,
                                   size_t *ret_told, bool *ret_over);

#endif
