// SPDX-License-Identifier: Apache-2.0
//
// The routes of the REST interface: one table of method, path, verb, and the engine that answers.
#ifndef KW_WEB_ROUTE_H
#define KW_WEB_ROUTE_H

#include "model/model.h"
#include "proc/proc.h"

// What a route takes in its query.
enum {
    ROUTE_DRY_RUN = 1, // dry_run=true: say what would be done
    ROUTE_PAGE = 2,    // limit, cursor
};

enum { ROUTE_ALLOW_MAX = 32, ROUTE_VALUE_MAX = 256 };

// Health for load balancers: alive, and ready to serve keys.
#define ROUTE_ALIVE "/healthz"
#define ROUTE_READY "/readyz"
// Metrics as text, for Prometheus.
#define ROUTE_METRICS "/metrics"
// The description of the interface itself.
#define ROUTE_OPENAPI "/api/openapi.json"

struct route {
    const char *method;
    const char *path; // with at most one {field}, whose value goes into the document
    enum verb verb;   // VERB_NONE: answered by the web process itself
    enum proc_role engine;
    unsigned query;    // ROUTE_*
    const char *own;   // further query parameters, fields of the document: "state,owner"
    int status;        // HTTP status of success
    const char *media; // type of an answer that is bytes, as the engine gives them; "": JSON
};

struct route_match {
    const struct route *route;
    char field[16];                  // name of the path's {field}, "" when it has none
    char value[ROUTE_VALUE_MAX + 1]; // decoded once
};

// `path` as received: percent-encoded, without the query. ERR_NOT_FOUND; ERR_OPERATION when the
// path is served, but not with this method: `allow` then lists those it is served with.
// ERR_INVALID for a value that is empty, too long, not UTF-8, "." or "..", or that holds a control
// character or a slash.
MUST_USE enum err route_find(const char *method, struct span path, struct route_match *ret,
                             char allow[ROUTE_ALLOW_MAX]);

// All routes; NULL past the end.
const struct route *route_at(size_t index);

// Decodes %XX once, appending at most `room` bytes and a NUL. ERR_INVALID for a bad escape or for
// what route_find refuses in values.
MUST_USE enum err route_decode(struct span text, char *out, size_t room);

#endif
