// SPDX-License-Identifier: Apache-2.0
//
// Who may do what: one table, one function, no store, no log, no clock. Called once for each
// request by the dispatcher in ops, and again for each object that a request touches.
#ifndef KW_AUTHZ_AUTHZ_H
#define KW_AUTHZ_AUTHZ_H

#include "model/model.h"

// What is asked about an object: nothing yet (may this principal use this verb at all?), its own,
// another's.
enum authz_relation { AUTHZ_NO_OBJECT, AUTHZ_OWN, AUTHZ_OTHER };

struct authz_decision {
    bool permit;
    const char *why; // a sentence for the audit trail; static
};

// `service_uid` is the user the service runs as: that user and root administer over the local
// socket.
struct authz_decision authz_decide(const struct principal *who, enum verb verb,
                                   enum authz_relation relation, uint32_t service_uid);

#endif
