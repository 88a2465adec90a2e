// SPDX-License-Identifier: Apache-2.0
//
// The life of a key from the administrator's side: activate, revoke, destroy, dates, owner. The
// steps themselves are KMIP's (activate.c, revoke.c, destroy.c, lifecycle.c).
#include "ops/attributes.h"
#include "ops/grantee.h"
#include "ops/key.h"
#include "ops/rules.h"
#include "ops/verbs.h"
#include "wire/ttlv.h"

// {"id", "dry_run"}
enum err key_activate_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct request request = *op->request;
    TRY(doc_params(op, &doc));
    return key_change(op, doc, &request, activate_run);
}

static uint32_t reason_code(struct span word)
{
    static const struct {
        const char *word;
        uint32_t code;
    } words[] = {
        {"unspecified", KMIP_REVOCATION_REASON_CODE_UNSPECIFIED},
        {"key-compromise", KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE},
        {"ca-compromise", KMIP_REVOCATION_REASON_CODE_CA_COMPROMISE},
        {"affiliation-changed", KMIP_REVOCATION_REASON_CODE_AFFILIATION_CHANGED},
        {"superseded", KMIP_REVOCATION_REASON_CODE_SUPERSEDED},
        {"cessation-of-operation", KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION},
        {"privilege-withdrawn", KMIP_REVOCATION_REASON_CODE_PRIVILEGE_WITHDRAWN},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (span_eq_str(word, words[i].word))
            return words[i].code;
    }
    return 0; // spec/api lets no other word through; Revoke refuses 0
}

// {"id", "reason", "message", "compromise_date", "dry_run"}
enum err key_revoke_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct request request = *op->request;
    struct span reason;
    TRY(doc_params(op, &doc));
    TRY(doc_text(doc, "reason", KEY_TEXT_MAX, true, &reason));
    TRY(doc_text(doc, "message", KEY_TEXT_MAX, false, &request.reason_text));
    TRY(key_take_time(doc, "compromise_date", op->now, &request.compromise_date));
    request.reason = reason_code(reason);
    if (request.compromise_date != 0 &&
        request.reason != KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE &&
        request.reason != KMIP_REVOCATION_REASON_CODE_CA_COMPROMISE)
        FAIL(ERR_INVALID, "\"compromise_date\" goes with the reasons key-compromise and "
                          "ca-compromise only");
    TRY(arena_copy(op->arena, reason, &op->detail));
    return key_change(op, doc, &request, revoke_run);
}

static bool has_name(const struct object *object, struct span name)
{
    for (size_t i = 0; i < object->attrs.count; i++) {
        struct ttlv value;
        if (object->attrs.items[i].tag == KMIP_TAG_NAME &&
            ttlv_find(object->attrs.items[i].bytes, KMIP_TAG_NAME_VALUE, &value) &&
            span_eq(value.value, name))
            return true;
    }
    return false;
}

// {"id", "confirm": name or identifier, "dry_run"}
enum err key_destroy_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct request request = *op->request;
    struct object object;
    struct span confirm;
    TRY(doc_params(op, &doc));
    TRY(doc_text(doc, "confirm", RULES_NAME_MAX, true, &confirm));
    TRY(key_take(op, doc, &object));
    if (!span_eq(confirm, object.uid) && !has_name(&object, confirm))
        FAIL(ERR_INVALID,
             "\"confirm\" is neither a Name of this object nor its identifier; nothing "
             "was destroyed");
    return key_change(op, doc, &request, destroy_run);
}

// ---- dates ----

struct date {
    const char *field;
    uint32_t tag;
    int64_t value; // 0: not given
};

enum { DATES = 4 };

struct dates {
    struct date items[DATES];
};

static enum err set_in_order(struct op *op, struct object *object, const struct dates *dates,
                             bool last_first)
{
    for (int i = 0; i < DATES; i++) {
        const struct date *date = &dates->items[last_first ? DATES - 1 - i : i];
        if (date->value != 0)
            TRY(lifecycle_set_date(&object->row.dates, date->tag, date->value, op->now));
    }
    return ERR_OK;
}

// Each step must leave an order that can be: what moves everything later sets the last date first.
static enum err set_dates(struct op *op, struct object *object, const struct dates *dates)
{
    struct object before = *object;
    enum err err = set_in_order(op, object, dates, false);
    if (err != ERR_INVALID)
        return err;
    *object = before;
    return set_in_order(op, object, dates, true);
}

// As an operation of KMIP's: each wanted date stands among the request's attributes.
static enum err change_dates(struct op *op)
{
    struct object object;
    struct dates dates = {0};
    const struct attrs *wanted = &op->request->attrs;
    for (size_t i = 0; i < wanted->count && i < DATES; i++)
        dates.items[i] = (struct date){NULL, wanted->items[i].tag, wanted->items[i].number};
    TRY(object_get_attrs(op, &object));
    TRY(rules_check_alive(op, &object));
    TRY(set_dates(op, &object, &dates));
    return object_update(op, &object);
}

// {"id", "activation_date", "process_start_date", "protect_stop_date", "deactivation_date"}
enum err key_set_dates_run(struct op *op)
{
    static const struct date known[DATES] = {
        {"activation_date", KMIP_TAG_ACTIVATION_DATE, 0},
        {"process_start_date", KMIP_TAG_PROCESS_START_DATE, 0},
        {"protect_stop_date", KMIP_TAG_PROTECT_STOP_DATE, 0},
        {"deactivation_date", KMIP_TAG_DEACTIVATION_DATE, 0},
    };
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct request request = *op->request;
    TRY(doc_params(op, &doc));
    for (int i = 0; i < DATES; i++) {
        int64_t value = 0;
        TRY(key_take_time(doc, known[i].field, op->now, &value));
        if (value != 0)
            TRY(attributes_put_number(op, &request.attrs, known[i].tag, ATTR_DATE_TIME, value));
    }
    if (request.attrs.count == 0)
        FAIL(ERR_MISSING_DATA,
             "no date is given: give \"activation_date\", \"process_start_date\", "
             "\"protect_stop_date\" or \"deactivation_date\"");
    return key_change(op, doc, &request, change_dates);
}

// ---- owner ----

// The new owner's name travels as the request's text.
static enum err change_owner(struct op *op)
{
    struct object object;
    struct uuid owner;
    TRY(grantee_find_owner(op, op->request->reason_text, &owner));
    TRY(object_get_attrs(op, &object));
    if (memcmp(&object.row.owner, &owner, sizeof owner) == 0)
        FAIL(ERR_CONFLICT, "the object belongs to \"%.*s\" already",
             (int)op->request->reason_text.len, (const char *)op->request->reason_text.data);
    object.row.owner = owner;
    return object_update(op, &object);
}

// {"id", "owner": endpoint or user, "dry_run"}
enum err key_give_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    struct request request = *op->request;
    TRY(doc_params(op, &doc));
    TRY(doc_text(doc, "owner", GRANTEE_OWNER_MAX, true, &request.reason_text));
    TRY(arena_copy(op->arena, request.reason_text, &op->detail));
    return key_change(op, doc, &request, change_owner);
}
