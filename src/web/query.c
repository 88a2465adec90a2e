// SPDX-License-Identifier: Apache-2.0
//
// Parameters by table: name, which routes take it, how its value is read.
#include "web/query.h"

#include <stdlib.h>

#include "web/route.h"

static enum err take_dry_run(const char *value, struct query *query)
{
    query->dry_run = strcmp(value, "true") == 0;
    if (!query->dry_run && strcmp(value, "false") != 0)
        FAIL(ERR_INVALID, "the query parameter \"dry_run\" must be true or false");
    return ERR_OK;
}

static enum err take_limit(const char *value, struct query *query)
{
    size_t digits = strspn(value, "0123456789");
    long limit = digits > 0 && digits <= 4 && value[digits] == '\0' ? atol(value) : 0;
    if (limit < 1 || limit > QUERY_LIMIT_MAX)
        FAIL(ERR_INVALID, "the query parameter \"limit\" must be 1 to %d", QUERY_LIMIT_MAX);
    query->limit = (int)limit;
    return ERR_OK;
}

static enum err take_cursor(const char *value, struct query *query)
{
    if (*value == '\0')
        FAIL(ERR_INVALID,
             "the query parameter \"cursor\" is empty: leave it out for the first page");
    memcpy(query->cursor, value, strlen(value) + 1);
    return ERR_OK;
}

static const struct {
    const char *name;
    unsigned bit;
    enum err (*take)(const char *value, struct query *query);
} parameters[] = {
    {"dry_run", ROUTE_DRY_RUN, take_dry_run},
    {"limit", ROUTE_PAGE, take_limit},
    {"cursor", ROUTE_PAGE, take_cursor},
};

enum { PARAMETERS = sizeof parameters / sizeof *parameters };

static bool is_listed(const char *names, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = names; len > 0 && *at != '\0'; at += *at == ',') {
        size_t word = strcspn(at, ",");
        if (word == len && memcmp(at, name, len) == 0)
            return true;
        at += word;
    }
    return false;
}

static enum err take_own(const char *name, const char *value, struct query *query)
{
    for (size_t i = 0; i < query->own_count; i++) {
        if (strcmp(query->own[i].name, name) == 0)
            FAIL(ERR_INVALID, "the query parameter \"%s\" is given twice", name);
    }
    if (query->own_count == QUERY_OWN_MAX || strlen(name) > QUERY_NAME_MAX)
        FAIL(ERR_INVALID, "the query has too many parameters");
    struct query_own *own = &query->own[query->own_count++];
    memcpy(own->name, name, strlen(name) + 1);
    memcpy(own->value, value, strlen(value) + 1);
    return ERR_OK;
}

struct allowed {
    unsigned bits;
    const char *own;
};

static enum err take_pair(struct span pair, const struct allowed *allowed, unsigned *seen,
                          struct query *query)
{
    char name[QUERY_CURSOR_MAX + 1];
    char value[QUERY_CURSOR_MAX + 1];
    const uint8_t *equals = memchr(pair.data, '=', pair.len);
    size_t cut = equals == NULL ? pair.len : (size_t)(equals - pair.data);
    TRY(route_decode(span_of(pair.data, cut), name, QUERY_CURSOR_MAX));
    size_t from = equals == NULL ? cut : cut + 1;
    TRY(route_decode(span_of(pair.data + from, pair.len - from), value, QUERY_CURSOR_MAX));
    for (unsigned i = 0; i < PARAMETERS; i++) {
        if (strcmp(parameters[i].name, name) != 0 || (parameters[i].bit & allowed->bits) == 0)
            continue;
        if ((*seen & 1U << i) != 0)
            FAIL(ERR_INVALID, "the query parameter \"%s\" is given twice", name);
        *seen |= 1U << i;
        return parameters[i].take(value, query);
    }
    if (is_listed(allowed->own, name))
        return take_own(name, value, query);
    FAIL(ERR_INVALID, "the query parameter \"%.64s\" is not known here", name);
}

enum err query_parse(struct span text, unsigned allowed, const char *own, struct query *ret)
{
    struct allowed here = {allowed, own};
    unsigned seen = 0;
    *ret = (struct query){0};
    while (text.len > 0) {
        const uint8_t *ampersand = memchr(text.data, '&', text.len);
        size_t len = ampersand == NULL ? text.len : (size_t)(ampersand - text.data);
        TRY(take_pair(span_of(text.data, len), &here, &seen, ret));
        size_t used = ampersand == NULL ? len : len + 1;
        text = span_of(text.data + used, text.len - used);
    }
    return ERR_OK;
}
