// SPDX-License-Identifier: Apache-2.0
//
// What is looked at of people: passwords that age, access that waits, names that are locked, and
// how many are guessing. Names that nobody has are told of by number alone.
#include "ops/alert_people.h"

#include <stdio.h>

#include "base/clock.h"
#include "ops/policy.h"
#include "ops/tries.h"

enum { DAY_S = 24 * 3600, PAGE = 500, SCAN_ROWS = 20000, TRIES_ROWS = 20000, HOUR_S = 3600 };
_Static_assert((int)TRIES_KEPT_S >= (int)HOUR_S,
               "wrong tries are kept for as long as they are looked at");

// ---- accounts ----

typedef enum err user_check(struct alert_watch *watch, const struct store_user *row, int64_t days);

static enum err each_user(struct alert_watch *watch, user_check *check, int64_t days)
{
    struct uuid after = {{0}};
    for (size_t count = PAGE; count == PAGE;) {
        struct store_user *rows = NULL;
        TRY(store_user_list(watch->ops->set.store, 0, &after, PAGE, watch->arena, &rows, &count));
        for (size_t i = 0; i < count; i++) {
            if (rows[i].state == USER_ACTIVE)
                TRY(check(watch, &rows[i], days));
            after = rows[i].id;
        }
    }
    return ERR_OK;
}

static enum err judge_password(struct alert_watch *watch, const struct store_user *row,
                               int64_t days)
{
    char day[CLOCK_TEXT_LEN + 1];
    char message[120];
    int64_t expires = row->password_changed + days * DAY_S;
    if (row->password_changed == 0 || expires > watch->now + watch->threshold * DAY_S)
        return ERR_OK;
    bool over = expires <= watch->now;
    alert_day(expires, day);
    (void)snprintf(message, sizeof message, "has a password that %s on %s",
                   over ? "has expired" : "expires", day);
    return alert_found(watch, &row->id, NULL, over ? "expired" : "expires", message);
}

enum err alert_people_passwords(struct alert_watch *watch)
{
    struct op op = {.ops = watch->ops, .arena = watch->arena, .now = watch->now};
    struct policy policy;
    TRY(policy_load(&op, &policy));
    return policy.password_days > 0 ? each_user(watch, judge_password, policy.password_days)
                                    : ERR_OK;
}

static enum err judge_held(struct alert_watch *watch, const struct store_user *row, int64_t days)
{
    (void)days;
    if ((row->flags & USER_HELD) == 0)
        return ERR_OK;
    return alert_found(watch, &row->id, NULL, "held",
                       "has had the password or the second factor reset and reaches no keys "
                       "until a Key Administrator restores the access");
}

enum err alert_people_held(struct alert_watch *watch)
{
    return each_user(watch, judge_held, 0);
}

// ---- names ----

typedef enum err tries_check(struct alert_watch *watch, const struct store_tries *row);

// Of more rows than TRIES_ROWS the rest is passed over.
static enum err each_tries(struct alert_watch *watch, tries_check *check)
{
    uint8_t after[STORE_HASH_LEN] = {0};
    size_t seen = 0;
    for (size_t count = PAGE; count == PAGE && seen < TRIES_ROWS; seen += count) {
        struct store_tries *rows = NULL;
        TRY(store_tries_list(watch->ops->set.store, after, PAGE, watch->arena, &rows, &count));
        for (size_t i = 0; i < count; i++) {
            TRY(check(watch, &rows[i]));
            memcpy(after, rows[i].name_hash, sizeof after);
        }
    }
    return ERR_OK;
}

static enum err judge_recovery(struct alert_watch *watch, bool all)
{
    return alert_found(watch, NULL, "high", all ? "passphrase_of_all" : "passphrase",
                       all ? "the recovery passphrase is taken on the server itself alone for a "
                             "while, since many wrong ones came from several users"
                           : "a user has given too many wrong recovery passphrases, and is locked "
                             "out of it for a while: see the audit trail for who");
}

static enum err judge_lockout(struct alert_watch *watch, const struct store_tries *row)
{
    struct store_user user;
    bool all = false;
    char until[CLOCK_TEXT_LEN + 1];
    char message[160];
    if (row->until <= watch->now)
        return ERR_OK;
    if (tries_are_of_recovery(row, &all))
        return judge_recovery(watch, all);
    enum err err = store_user_by_name(watch->ops->set.store, row->name_hash, watch->arena, &user);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(err);
    clock_text(row->until * 1000, until);
    (void)snprintf(message, sizeof message,
                   "is locked until %s by wrong passwords or codes: if it was not the user, see "
                   "the audit trail for where they came from",
                   until);
    return alert_found(watch, &user.id, NULL, "locked", message);
}

enum err alert_people_lockout(struct alert_watch *watch)
{
    return each_tries(watch, judge_lockout);
}

static enum err count_name(struct alert_watch *watch, const struct store_tries *row)
{
    bool all = false;
    watch->tried += row->since > watch->now - HOUR_S && !tries_are_of_recovery(row, &all);
    return ERR_OK;
}

enum err alert_people_spray(struct alert_watch *watch)
{
    char message[200];
    TRY(each_tries(watch, count_name));
    if (watch->tried < watch->threshold)
        return ERR_OK;
    (void)snprintf(message, sizeof message,
                   "wrong passwords came for %lld different user names within an hour: somebody "
                   "may be guessing; see the audit trail for where they came from",
                   (long long)watch->tried);
    return alert_found(watch, NULL, NULL, "spray", message);
}

// ---- refused sign-ins ----

static bool is_refusal(struct span record)
{
    static const enum err refusals[] = {ERR_AUTHENTICATION, ERR_TOO_MANY, ERR_PASSPHRASE};
    struct span outcome;
    if (audit_outcome(record, &outcome) != ERR_OK)
        return false;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        if (span_eq_str(outcome, err_info(refusals[i])->name))
            return true;
    }
    return false;
}

static void count_refusal(struct ops *ops, int64_t time_s)
{
    struct sign_ins *all = &ops->sign_ins;
    all->at[all->next] = time_s;
    all->next = (all->next + 1) % SIGN_INS_MAX;
}

// The records since the last look; what lies further back than a look can take is passed over.
static enum err follow_chain(struct alert_watch *watch)
{
    struct ops *ops = watch->ops;
    struct store_audit head;
    TRY(store_audit_head(ops->set.store, &head));
    if (ops->sign_ins.seen == 0 || head.sequence > ops->sign_ins.seen + SCAN_ROWS)
        ops->sign_ins.seen = head.sequence > SCAN_ROWS ? head.sequence - SCAN_ROWS : 0;
    for (size_t count = PAGE; count == PAGE;) {
        struct store_audit *rows = NULL;
        TRY(store_audit_list(ops->set.store, ops->sign_ins.seen + 1, PAGE, watch->arena, &rows,
                             &count));
        for (size_t i = 0; i < count; i++) {
            if (is_refusal(rows[i].record))
                count_refusal(ops, rows[i].time_ms / 1000);
            ops->sign_ins.seen = rows[i].sequence;
        }
    }
    return ERR_OK;
}

enum err alert_people_sign_ins(struct alert_watch *watch)
{
    char message[160];
    int64_t count = 0;
    TRY(follow_chain(watch));
    for (size_t i = 0; i < SIGN_INS_MAX; i++)
        count += watch->ops->sign_ins.at[i] > watch->now - HOUR_S;
    if (count < watch->threshold)
        return ERR_OK;
    (void)snprintf(
        message, sizeof message,
        "%lld%s wrong passwords, passphrases or tokens within an hour: see the audit trail",
        (long long)count, count == SIGN_INS_MAX ? " and more" : "");
    return alert_found(watch, NULL, NULL, "refused", message);
}
