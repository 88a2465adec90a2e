// SPDX-License-Identifier: Apache-2.0
//
// The query of an address. What a route does not take is refused by name, never ignored.
#ifndef KW_WEB_QUERY_H
#define KW_WEB_QUERY_H

#include "base/buf.h"

enum { QUERY_CURSOR_MAX = 256, QUERY_LIMIT_MAX = 1000 };

struct query {
    bool dry_run;
    int limit;                         // 0: not given
    char cursor[QUERY_CURSOR_MAX + 1]; // "": not given
};

// `text` without the '?'. `allowed` is a set of ROUTE_*. ERR_INVALID names the parameter.
MUST_USE enum err query_parse(struct span text, unsigned allowed, struct query *ret);

#endif
