// SPDX-License-Identifier: Apache-2.0
//
// The query of an address. What a route does not take is refused by name, never ignored.
#ifndef KW_WEB_QUERY_H
#define KW_WEB_QUERY_H

#include "base/buf.h"

enum { QUERY_CURSOR_MAX = 256, QUERY_LIMIT_MAX = 1000, QUERY_OWN_MAX = 20, QUERY_NAME_MAX = 32 };

// A field of the document that stands in the address.
struct query_own {
    char name[QUERY_NAME_MAX + 1];
    char value[QUERY_CURSOR_MAX + 1];
};

struct query {
    bool dry_run;
    int limit;                         // 0: not given
    char cursor[QUERY_CURSOR_MAX + 1]; // "": not given
    struct query_own own[QUERY_OWN_MAX];
    size_t own_count;
};

// `text` without the '?'. `allowed` is a set of ROUTE_*, `own` names further parameters, between
// commas. ERR_INVALID names the parameter.
MUST_USE enum err query_parse(struct span text, unsigned allowed, const char *own,
                              struct query *ret);

#endif
