// SPDX-License-Identifier: Apache-2.0
//
// The table of routes (from spec/api) and its matching. A literal part is compared byte for byte,
// before decoding, so that no encoded form of a path is a second name for it; a {field} takes what
// lies before the next '/' or ':' (a ':' in a name is sent as %3A).
#include "web/route.h"

#include <stdio.h>

#include "base/hex.h"

#define ROW(method, path, id, engine, query, own, status, media)                                   \
    {method, path, VERB_##id, ROLE_##engine, query, own, status, media},
static const struct route routes[] = {
    {"GET", ROUTE_ALIVE, VERB_NONE, ROLE_NONE, 0, "", 200, ""},
    {"GET", ROUTE_OPENAPI, VERB_NONE, ROLE_NONE, 0, "", 200, ""},
    {"GET", ROUTE_READY, VERB_READY, ROLE_READER, 0, "", 200, ""},
    {"GET", ROUTE_METRICS, VERB_METRICS_SHOW, ROLE_READER, 0, "", 200, ""},
    API_ROUTES(ROW)};

enum { ROUTE_COUNT = sizeof routes / sizeof *routes };

const struct route *route_at(size_t index)
{
    return index < ROUTE_COUNT ? &routes[index] : NULL;
}

// True when the path has the pattern's shape; *ret_value is then the encoded value of its field.
static bool fits(const char *pattern, struct span path, struct span *ret_value)
{
    size_t at = 0;
    *ret_value = span_of(NULL, 0);
    for (const char *p = pattern; *p != '\0'; p++) {
        if (*p != '{') {
            if (at >= path.len || path.data[at] != (uint8_t)*p)
                return false;
            at++;
            continue;
        }
        size_t from = at;
        while (at < path.len && path.data[at] != '/' && path.data[at] != ':')
            at++;
        if (at == from)
            return false;
        *ret_value = span_of(path.data + from, at - from);
        p += strcspn(p, "}");
    }
    return at == path.len;
}

enum err route_decode(struct span text, char *out, size_t room)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        int c = text.data[i];
        if (c == '%') {
            int high = text.len - i > 2 ? hex_digit(text.data[i + 1]) : -1;
            int low = text.len - i > 2 ? hex_digit(text.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                FAIL(ERR_INVALID,
                     "the address holds a %% without two hexadecimal digits behind it");
            c = high << 4 | low;
            i += 2;
        }
        if (c < 0x20 || c == 0x7f || c == '/')
            FAIL(ERR_INVALID, "a value in the address holds a slash or a control character");
        if (len == room)
            FAIL(ERR_INVALID, "a value in the address is longer than %zu bytes", room);
        out[len++] = (char)c;
    }
    out[len] = '\0';
    if (!span_is_utf8(span_of(out, len)) || strcmp(out, ".") == 0 || strcmp(out, "..") == 0)
        FAIL(ERR_INVALID, "a value in the address is no name");
    return ERR_OK;
}

static enum err take_field(const struct route *route, struct span value, struct route_match *ret)
{
    *ret = (struct route_match){.route = route};
    const char *open = strchr(route->path, '{');
    if (open == NULL)
        return ERR_OK;
    size_t len = strcspn(open + 1, "}");
    memcpy(ret->field, open + 1, len < sizeof ret->field ? len : sizeof ret->field - 1);
    return route_decode(value, ret->value, ROUTE_VALUE_MAX);
}

enum err route_find(const char *method, struct span path, struct route_match *ret,
                    char allow[ROUTE_ALLOW_MAX])
{
    size_t used = 0;
    allow[0] = '\0';
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        struct span value;
        if (!fits(routes[i].path, path, &value))
            continue;
        if (strcmp(routes[i].method, method) == 0)
            return take_field(&routes[i], value, ret);
        int len = snprintf(allow + used, ROUTE_ALLOW_MAX - used, "%s%s", used > 0 ? ", " : "",
                           routes[i].method);
        used += len > 0 ? (size_t)len : 0;
    }
    if (used > 0)
        FAIL(ERR_OPERATION, "this address is served with %s only", allow);
    FAIL(ERR_NOT_FOUND, "there is no such address: see the list of routes at /api/openapi.json");
}
