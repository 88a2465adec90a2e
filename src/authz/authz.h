// SPDX-License-Identifier: Apache-2.0
//
// Who may do what: one table, one function, no store, no log, no clock. Called once for each
// request by the dispatcher in ops, and again for each object that a request touches.
#ifndef KW_AUTHZ_AUTHZ_H
#define KW_AUTHZ_AUTHZ_H

#include "model/model.h"

// How the one who asks stands to the object: nothing is known of one yet (may this principal use
// this verb at all?), it is its own, a wallet lets it read the object, or read and modify it, or it
// is another's. (That a grant lets somebody manage a wallet says nothing about its objects.) Users
// may also manage the wallet, endpoint or group that is meant, or the account may be their own.
enum authz_relation {
    AUTHZ_NO_OBJECT,
    AUTHZ_OWN,
    AUTHZ_WALLET_READ,
    AUTHZ_WALLET_MODIFY,
    AUTHZ_MANAGES,
    AUTHZ_SELF,
    AUTHZ_OTHER
};

struct authz_decision {
    bool permit;
    const char *why; // a sentence for the audit trail; static
};

// `service_uid` is the user the service runs as: that user and root administer over the local
// socket.
struct authz_decision authz_decide(const struct principal *who, enum verb verb,
                                   enum authz_relation relation, uint32_t service_uid);

// Who may use the verb (enum api_by, of which enum right is a part); 0: nobody.
uint32_t authz_words(enum verb verb);

// Which kind of process a batch came from, as the engine knows it from the supervisor.
enum authz_channel { AUTHZ_FROM_FRONT, AUTHZ_FROM_WEB };

// Whether a batch may have come over such a channel, whatever it says of itself: a front speaks for
// endpoints and never administers, web for people and never uses keys. `writes` tells whether
// the engine may change the store. Which endpoint or which user it is, the engine has to believe.
struct authz_decision authz_may_carry(enum authz_channel channel, bool writes,
                                      const struct batch *batch);

#endif
