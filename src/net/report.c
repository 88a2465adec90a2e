// SPDX-License-Identifier: Apache-2.0
//
// A client that could not connect, told to the readers: a bounded number a second, since anybody
// can make a handshake fail.
#include <string.h>

#include "model/model.h"
#include "net/inner.h"
#include "net/net.h"

enum { REPORTS_A_SECOND = 20 };

static bool may_report(struct net *net)
{
    int64_t second = net->now_ms / 1000;
    net->reports = second == net->report_second ? net->reports + 1 : 1;
    net->report_second = second;
    return net->reports <= REPORTS_A_SECOND;
}

bool net_report(const struct net_conn *conn, const char *why, struct buf *out)
{
    const char *port = strrchr(conn->address_text, ':');
    size_t len = port == NULL ? strlen(conn->address_text) : (size_t)(port - conn->address_text);
    struct model_refusal refusal = {.address = span_of(conn->address_text, len),
                                    .reason = span_str(why),
                                    .https = conn->net->client == NET_CLIENT_ASKED,
                                    .certified = conn->shown != NULL};
    if (!may_report(conn->net))
        return false;
    if (conn->shown != NULL) {
        refusal.subject = span_str(conn->shown->subject);
        memcpy(refusal.fingerprint, conn->shown->fingerprint, sizeof refusal.fingerprint);
    }
    return model_put_refusal(out, &refusal) == ERR_OK;
}
