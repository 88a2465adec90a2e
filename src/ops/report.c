// SPDX-License-Identifier: Apache-2.0
//
// A cursor is text without anything that a query would escape: report, part, and the identifiers in
// hexadecimal, with dots between them.
#include "ops/report.h"

#include <stdio.h>

#include "base/hex.h"
#include "ops/authority.h"
#include "ops/grantee.h"
#include "ops/named.h"
#include "ops/walk.h"
#include "store/people.h"

enum { LIMIT_DEFAULT = 100, LOOKS_MAX = 5000, NAME_MAX = 32, PARTS_MAX = 9 };
enum { IDS_HEX = 2 * UUID_LEN * REPORT_PLACE_IDS, CURSOR_MAX = NAME_MAX + 3 + IDS_HEX };

// ---- the cursor ----

// name "." digit "." hexadecimal
static bool take_place(struct span text, const char *name, struct report_place *ret)
{
    const char *at = (const char *)text.data;
    size_t len = strlen(name);
    if (text.len != len + 3 + IDS_HEX || memcmp(at, name, len) != 0)
        return false;
    at += len;
    if (at[0] != '.' || at[1] < '0' || at[1] > '0' + PARTS_MAX || at[2] != '.')
        return false;
    ret->part = (uint32_t)(at[1] - '0');
    return hex_bytes(span_of(text.data + len + 3, IDS_HEX), (uint8_t *)ret->at, sizeof ret->at,
                     &len);
}

enum err report_bad_cursor(void)
{
    FAIL(ERR_INVALID, "\"cursor\" is not one that a page of this report has ended with: leave it "
                      "out for the first page");
}

static enum err take_cursor(struct report *report)
{
    struct span text;
    TRY(doc_text(report->doc, "cursor", CURSOR_MAX, false, &text));
    if (text.len > 0 && !take_place(text, report->name, &report->place))
        return report_bad_cursor();
    return ERR_OK;
}

static json_t *cursor_of_place(const struct report *report)
{
    char hex[IDS_HEX + 1];
    char text[CURSOR_MAX + 1];
    hex_text(span_of(report->place.at, sizeof report->place.at), hex);
    (void)snprintf(text, sizeof text, "%s.%u.%s", report->name, (unsigned)report->place.part, hex);
    return json_string(text);
}

// ---- the page ----

enum err report_begin(struct op *op, const char *name, struct report *ret)
{
    *ret = (struct report){.name = name, .limit = LIMIT_DEFAULT, .looks = LOOKS_MAX};
    ret->answer = json_object();
    ret->rows = json_array();
    TRY(doc_set(ret->answer, "rows", ret->rows));
    TRY(doc_params(op, &ret->doc));
    TRY(doc_integer(ret->doc, "limit", 1, STORE_FIND_MAX, &ret->limit));
    return take_cursor(ret);
}

void report_done(struct report *report)
{
    doc_freep(&report->doc);
    doc_freep(&report->answer);
}

bool report_goes_on(struct report *report)
{
    return (int64_t)json_array_size(report->rows) < report->limit && report->looks-- > 0;
}

enum err report_add(struct report *report, json_t *row)
{
    if (row == NULL || json_array_append_new(report->rows, row) != 0)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return ERR_OK;
}

enum err report_answer(struct op *op, struct report *report)
{
    TRY(doc_set(report->answer, "next_cursor",
                report->ended ? json_null() : cursor_of_place(report)));
    return doc_answer(op, json_incref(report->answer));
}

// ---- what several take ----

enum err report_days(const struct report *report, int64_t usual, int64_t *ret)
{
    *ret = usual;
    return doc_integer(report->doc, "days", 1, REPORT_DAYS_MAX, ret);
}

json_int_t report_days_since(int64_t since, int64_t now)
{
    return now > since ? (now - since) / REPORT_DAY_S : 0;
}

enum err report_wallet(struct op *op, const struct report *report, bool any, struct uuid *ret)
{
    struct store_named wallet;
    uint32_t access = 0;
    const json_t *name = json_object_get(report->doc, "wallet");
    *ret = (struct uuid){{0}};
    if (name == NULL || json_is_null(name))
        return ERR_OK;
    TRY(named_find(op, NAMED_WALLET, report->doc, "wallet", &wallet));
    if (!any)
        TRY(authority_access(op, &wallet.id, &access));
    if (!any && access == 0)
        FAIL(ERR_NOT_FOUND, "there is no wallet \"%s\"", json_string_value(name));
    *ret = wallet.id;
    return ERR_OK;
}

enum err report_who(struct op *op, const struct report *report, uint32_t *ret_kind,
                    struct uuid *ret)
{
    static const uint32_t all[] = {GRANTEE_ENDPOINT, GRANTEE_ENDPOINT_GROUP, GRANTEE_USER,
                                   GRANTEE_USER_GROUP};
    struct span name;
    bool given = false;
    *ret_kind = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        given = given || json_object_get(report->doc, grantee_kind_name(all[i])) != NULL;
    return given ? grantee_take(op, report->doc, ret_kind, ret, &name) : ERR_OK;
}

enum err report_not_found(const struct report *report, uint32_t kind)
{
    const char *field = grantee_kind_name(kind);
    bool group = kind == GRANTEE_ENDPOINT_GROUP || kind == GRANTEE_USER_GROUP;
    FAIL(ERR_NOT_FOUND, "there is no %.*s%s \"%s\"", (int)strcspn(field, "_"), field,
         group ? " group" : "", json_string_value(json_object_get(report->doc, field)));
}

// ---- objects ----

enum err report_take_objects(struct op *op, const struct report *report, bool any, bool whoever,
                             struct report_objects *ret)
{
    uint32_t kind = 0;
    bool seen = whoever;
    *ret = (struct report_objects){.any = any};
    TRY(report_wallet(op, report, any, &ret->wallet));
    TRY(report_who(op, report, &kind, &ret->owner));
    if (kind == 0 || seen || report_is_self(op, &ret->owner))
        return ERR_OK;
    TRY(report_manages(op, &ret->owner, &seen));
    return seen ? ERR_OK : report_not_found(report, kind);
}

enum err report_each_object(struct op *op, struct report *report,
                            const struct report_objects *objects, report_look *look, void *context,
                            bool *ret_full)
{
    CLEANUP(walk_freep) struct walk *walk = NULL;
    bool owned = !uuid_is_zero(&objects->owner);
    const struct store_query query = {.any_owner = !owned,
                                      .owner = objects->owner,
                                      .wallet = objects->wallet,
                                      .after = report->place.at[0]};
    *ret_full = false;
    if (!objects->any && op->who.held)
        return ERR_OK;
    TRY(walk_new(op, &query, objects->any, &walk));
    for (;;) {
        const struct store_object *row = NULL;
        *ret_full = !report_goes_on(report);
        if (*ret_full)
            return ERR_OK;
        TRY(walk_next(walk, &row));
        if (row == NULL)
            return ERR_OK;
        if (!owned || memcmp(&row->owner, &objects->owner, sizeof row->owner) == 0)
            TRY(look(op, context, row));
        report->place.at[0] = row->id;
    }
}

enum err report_manages(struct op *op, const struct uuid *thing, bool *ret)
{
    *ret = false;
    if (op->who.held)
        return ERR_OK;
    const struct store_privilege privilege = {op->who.id, *thing};
    return store_privilege_has(op->ops->set.store, &privilege, ret);
}

bool report_is_self(const struct op *op, const struct uuid *who)
{
    return !op->who.held && !uuid_is_zero(who) && memcmp(who, &op->who.id, sizeof *who) == 0;
}
