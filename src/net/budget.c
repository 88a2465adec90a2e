// SPDX-License-Identifier: Apache-2.0
//
// Memory that peers take: requests begun and answers untaken. Each connection has its limit, but
// one endpoint may open thousands. When all together hold too much, whoever has waited longest of
// those that hold more than their share is closed, so that neither small nor quick ones suffer. A
// request in hand counts, and is left: its client could not know what became of it.
#include "net/inner.h"

void budget_count(struct net_conn *conn)
{
    size_t now = conn->in.cap + conn->out.cap;
    conn->net->held = conn->net->held - conn->held + now;
    conn->held = now;
}

static struct net_conn *oldest_above(struct net *net, size_t share)
{
    static const enum wait waits[] = {WAIT_SENT, WAIT_REQUEST};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        struct net_conn *conn = net->queues[waits[i]].first;
        while (conn != NULL && conn->held <= share)
            conn = conn->next;
        if (conn != NULL)
            return conn;
    }
    return NULL;
}

bool budget_keep(struct net_conn *conn)
{
    struct net *net = conn->net;
    budget_count(conn);
    while (net->held > net->held_max) {
        size_t holders = net->queues[WAIT_SENT].count + net->queues[WAIT_REQUEST].count +
                         net->queues[WAIT_HANDLER].count;
        struct net_conn *most = oldest_above(net, net->held_max / (holders + 1));
        if (most == NULL)
            most = oldest_above(net, 0);
        if (most == NULL)
            break;
        net_drop(most, "requests begun and answers untaken hold too much memory");
    }
    return !conn->dead;
}
