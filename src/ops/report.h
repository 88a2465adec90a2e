// SPDX-License-Identifier: Apache-2.0
//
// What all reports have in common: rows, a limit, and a cursor that says of which report it is and
// where its page ended. A page ends when it is full, or when it has looked at so many things as one
// request may: it may be empty and yet have a next one. Rows come in an order that does not change
// while things come and go, so that no row is told twice and none is lost between pages.
#ifndef KW_OPS_REPORT_H
#define KW_OPS_REPORT_H

#include "ops/doc.h"

enum { REPORT_DAY_S = 24 * 3600, REPORT_DAYS_MAX = 36500, REPORT_PLACE_IDS = 3 };

// Where a page ended: in which part of the report, and behind what. Zeros: at its beginning.
struct report_place {
    uint32_t part;
    struct uuid at[REPORT_PLACE_IDS];
};

struct report {
    const char *name; // one word; begins every cursor
    json_t *doc, *answer, *rows;
    int64_t limit;
    int looks;                 // how many more things may be looked at
    struct report_place place; // where it goes on
    bool ended;
};

// Takes parameters, limit and cursor. ERR_INVALID for a cursor of another report.
MUST_USE enum err report_begin(struct op *op, const char *name, struct report *ret);
void report_done(struct report *report);

// ERR_INVALID for a cursor that is none of this report's.
MUST_USE enum err report_bad_cursor(void);

// Whether the page has room for one more row and one more thing may be looked at, which counts.
bool report_goes_on(struct report *report);

// Adds a row (taken; NULL: no memory).
MUST_USE enum err report_add(struct report *report, json_t *row);

// {"rows", "next_cursor"}: `place` unless the report has ended.
MUST_USE enum err report_answer(struct op *op, struct report *report);

// The number in "days", 1 to REPORT_DAYS_MAX, or `usual`.
MUST_USE enum err report_days(const struct report *report, int64_t usual, int64_t *ret);

// Whole days from `since` to `now`, both in seconds.
json_int_t report_days_since(int64_t since, int64_t now);

// The wallet in "wallet", zero when none is given. With `any` whichever it is, else one that the
// asker has some access to; what is out of sight is not found.
MUST_USE enum err report_wallet(struct op *op, const struct report *report, bool any,
                                struct uuid *ret);

// Whoever is named in "endpoint", "user" and the like, if anybody is: *ret_kind 0 for nobody.
// ERR_INVALID for more than one. Says nothing about what the asker may see.
MUST_USE enum err report_who(struct op *op, const struct report *report, uint32_t *ret_kind,
                             struct uuid *ret);

// ERR_NOT_FOUND in the words in which whoever is named in the field of this kind would not be
// found.
MUST_USE enum err report_not_found(const struct report *report, uint32_t kind);

// Which objects a report is about.
struct report_objects {
    bool any;           // all there are; else those that the asker reaches
    struct uuid wallet; // only what is in it; zero: wherever it is
    struct uuid owner;  // only what belongs to it; zero: to whomever
};

// Takes "wallet", and "endpoint" or "user" as the owner. `any` is about objects, `whoever` whether
// the asker may name every endpoint and user.
MUST_USE enum err report_take_objects(struct op *op, const struct report *report, bool any,
                                      bool whoever, struct report_objects *ret);

// Calls `look` for each object from the place's first identifier on, which it moves. *ret_full: the
// page is full, and more may be to come.
typedef enum err report_look(struct op *op, void *context, const struct store_object *row);
MUST_USE enum err report_each_object(struct op *op, struct report *report,
                                     const struct report_objects *objects, report_look *look,
                                     void *context, bool *ret_full);

// Whether the asker manages an endpoint or a group, and is not held (ops/hold.h).
MUST_USE enum err report_manages(struct op *op, const struct uuid *thing, bool *ret);

// Whether this is the asker, who is not held.
bool report_is_self(const struct op *op, const struct uuid *who);

#endif
