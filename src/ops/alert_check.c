// SPDX-License-Identifier: Apache-2.0
//
// What is looked at, one function a type, and the table of types. A check notes what it finds and
// ends well; one that cannot tell (the store is locked, the keeper silent) ends with ALERT_UNKNOWN.
#include <stdio.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "keyring/keyring.h"
#include "ops/alert.h"
#include "ops/alert_people.h"
#include "ops/audit_view.h"
#include "ops/expiry.h"
#include "ops/head.h"
#include "ops/keys.h"
#include "ops/mail.h"
#include "ops/sink.h"

enum { DAY_S = 24 * 3600, PAGE = 500 };

void alert_day(int64_t seconds, char out[CLOCK_TEXT_LEN + 1])
{
    clock_text(seconds * 1000, out);
    out[10] = '\0';
}

// ---- the root of trust ----

static enum err check_hsm(struct alert_watch *watch)
{
    struct keyring_health health;
    struct ops *ops = watch->ops;
    // Unless it was configured, keywardd.conf says how often.
    uint32_t every = watch->configured ? (uint32_t)watch->threshold : 0;
    if (ops->keeper == NULL || keyring_health(ops->keeper, every, &health) != ERR_OK)
        return (enum err)ALERT_UNKNOWN;
    if (health.master != 0 && health.master != ops->wrapped_under)
        TRY(keys_follow(ops));
    if (health.hsm_enabled && !health.known)
        return (enum err)ALERT_UNKNOWN;
    return health.hsm_enabled && !health.up
               ? alert_found(watch, NULL, NULL, health.problem, health.message)
               : ERR_OK;
}

// Only the HSM knows how the key was made, so that one that is away tells nothing new.
static enum err check_root_key(struct alert_watch *watch)
{
    struct keyring_health health;
    if (watch->ops->keeper == NULL || keyring_health(watch->ops->keeper, 0, &health) != ERR_OK ||
        (health.hsm_enabled && !(health.known && health.up)))
        return (enum err)ALERT_UNKNOWN;
    if (!health.hsm_enabled || !health.extractable)
        return ERR_OK;
    return alert_found(watch, NULL, NULL, "extractable",
                       "the root key can be extracted from the HSM, so that whoever may use the "
                       "token can take it away: unless the HSM's backup needs that, set "
                       "HSM_KEY_EXTRACTABLE=\"0\", reverse migrate and initialize again");
}

// ---- the machine ----

static enum err check_disk(struct alert_watch *watch)
{
    enum { CRITICAL_PERCENT = 5 };
    char message[160];
    struct statvfs fs;
    if (fstatvfs(watch->ops->set.root, &fs) != 0 || fs.f_blocks == 0)
        return (enum err)ALERT_UNKNOWN;
    int64_t percent = (int64_t)(fs.f_bavail * 100 / fs.f_blocks);
    if (percent >= watch->threshold)
        return ERR_OK;
    bool critical = percent < CRITICAL_PERCENT;
    (void)snprintf(
        message, sizeof message,
        "the disk of the store has %lld %% of its room left; when it is full, nothing is "
        "answered any more",
        (long long)percent);
    return alert_found(watch, NULL, critical ? "critical" : NULL, critical ? "almost_full" : "low",
                       message);
}

// ---- certificates ----

// `what` expires within the threshold, or has: near (10 days) is told again.
static enum err judge_expiry(struct alert_watch *watch, const struct uuid *subject,
                             const char *what, int64_t expires)
{
    enum { NEAR_DAYS = 10 };
    char day[CLOCK_TEXT_LEN + 1];
    char message[200];
    if (expires > watch->now + watch->threshold * DAY_S)
        return ERR_OK;
    bool over = expires <= watch->now;
    bool near = expires <= watch->now + (int64_t)NEAR_DAYS * DAY_S;
    alert_day(expires, day);
    (void)snprintf(message, sizeof message, "%s %s on %s", what, over ? "has expired" : "expires",
                   day);
    return alert_found(watch, subject,
                       over   ? "critical"
                       : near ? "high"
                              : NULL,
                       over   ? "expired"
                       : near ? "expires_soon"
                              : "expires",
                       message);
}

// Of the server's own certificates of these kinds (bits) the one that expires first.
static enum err check_own(struct alert_watch *watch, unsigned kinds)
{
    static const char *const what[] = {
        [EXPIRY_AUTHORITY] = "the certificate of the server's authority",
        [EXPIRY_OLD_AUTHORITY] = "the certificate of the server's old authority",
        [EXPIRY_SERVER] = "the server's certificate",
        [EXPIRY_CONSOLE] = "the console's certificate",
    };
    struct expiry *rows = NULL;
    const struct expiry *first = NULL;
    size_t count = 0;
    TRY(expiry_own(watch->ops, watch->arena, &rows, &count));
    for (size_t i = 0; i < count; i++) {
        bool wanted = (kinds & 1U << rows[i].kind) != 0;
        if (wanted && (first == NULL || rows[i].not_after < first->not_after))
            first = &rows[i];
    }
    return first == NULL ? ERR_OK : judge_expiry(watch, NULL, what[first->kind], first->not_after);
}

static enum err check_server_certificate(struct alert_watch *watch)
{
    return check_own(watch, 1U << EXPIRY_SERVER);
}

static enum err check_console_certificate(struct alert_watch *watch)
{
    return check_own(watch, 1U << EXPIRY_CONSOLE);
}

static enum err check_ca_certificate(struct alert_watch *watch)
{
    return check_own(watch, 1U << EXPIRY_AUTHORITY | 1U << EXPIRY_OLD_AUTHORITY);
}

static enum err judge_endpoint_certificate(struct alert_watch *watch, const struct expiry *row)
{
    struct store_endpoint endpoint;
    enum err err = store_endpoint_get(watch->ops->set.store, &row->holder, watch->arena, &endpoint);
    if (err == ERR_NOT_FOUND || (err == ERR_OK && endpoint.state != ENDPOINT_ENROLLED))
        return ERR_OK;
    TRY(err);
    return judge_expiry(watch, &row->holder, "has a certificate that", row->not_after);
}

static enum err check_endpoint_certificates(struct alert_watch *watch)
{
    uint8_t after[32] = {0};
    int64_t before = watch->now + watch->threshold * DAY_S + 1;
    for (size_t count = PAGE; count == PAGE && watch->count < ALERT_PER_TYPE;) {
        struct expiry *rows = NULL;
        TRY(expiry_endpoints(watch->ops, watch->arena, before, after, PAGE, &rows, &count));
        for (size_t i = 0; i < count; i++) {
            TRY(judge_endpoint_certificate(watch, &rows[i]));
            memcpy(after, rows[i].fingerprint, sizeof after);
        }
    }
    return ERR_OK;
}

// ---- endpoints ----

static enum err judge_quiet(struct alert_watch *watch, const struct store_endpoint *row)
{
    char day[CLOCK_TEXT_LEN + 1];
    char message[120];
    int64_t seen = 0;
    TRY(store_seen_get(watch->ops->set.store, &row->id, &seen));
    int64_t last = seen > row->enrolled ? seen : row->enrolled;
    if (watch->now - last < watch->threshold * DAY_S)
        return ERR_OK;
    alert_day(last, day);
    (void)snprintf(message, sizeof message, "has asked for nothing since %s", day);
    return alert_found(watch, &row->id, NULL, "quiet", message);
}

static enum err check_quiet(struct alert_watch *watch)
{
    struct uuid after = {{0}};
    for (size_t count = PAGE; count == PAGE;) {
        struct store_endpoint *rows = NULL;
        TRY(store_endpoint_list(watch->ops->set.store, &after, PAGE, watch->arena, &rows, &count));
        for (size_t i = 0; i < count; i++) {
            if (rows[i].state == ENDPOINT_ENROLLED)
                TRY(judge_quiet(watch, &rows[i]));
            after = rows[i].id;
        }
    }
    return ERR_OK;
}

// ---- objects ----

static enum err check_type_of_object(struct alert_watch *watch, uint32_t type)
{
    enum { LIVE = 1U << 1 | 1U << 2 }; // Pre-Active, Active
    struct store_object *rows = NULL;
    size_t count = 0;
    const struct store_query query = {
        .any_owner = true,
        .type = type,
        .states = LIVE,
        .has_deactivation = true,
        .deactivation = {watch->now, watch->now + watch->threshold * DAY_S},
        .limit = ALERT_PER_TYPE,
    };
    TRY(store_object_find(watch->ops->set.store, &query, watch->arena, &rows, &count));
    for (size_t i = 0; i < count; i++) {
        char day[CLOCK_TEXT_LEN + 1];
        char message[120];
        alert_day(rows[i].dates.deactivation, day);
        (void)snprintf(message, sizeof message, "is deactivated on %s", day);
        TRY(alert_found(watch, &rows[i].id, NULL, "deactivation", message));
    }
    return ERR_OK;
}

// KMIP's object types: keys, and all else.
static enum err check_keys(struct alert_watch *watch)
{
    static const uint32_t types[] = {2, 3, 4, 5};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        TRY(check_type_of_object(watch, types[i]));
    return ERR_OK;
}

static enum err check_objects(struct alert_watch *watch)
{
    static const uint32_t types[] = {1, 7, 8, 9};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        TRY(check_type_of_object(watch, types[i]));
    return ERR_OK;
}

// ---- what leaves the server ----

static enum err check_sink(struct alert_watch *watch)
{
    char message[ALERT_MESSAGE_MAX];
    struct span error;
    int64_t since_ms = 0;
    TRY(sink_waits(watch->ops, watch->arena, &since_ms, &error));
    if (since_ms == 0 || watch->now - since_ms / 1000 < watch->threshold)
        return ERR_OK;
    (void)snprintf(message, sizeof message,
                   "audit records wait to be forwarded and are kept meanwhile: %.*s",
                   (int)error.len, (const char *)error.data);
    return alert_found(watch, NULL, NULL, "not_delivered", message);
}

static enum err check_mail(struct alert_watch *watch)
{
    char message[ALERT_MESSAGE_MAX];
    struct span error;
    int64_t since = 0;
    TRY(mail_fails(watch->ops, watch->arena, &since, &error));
    if (since == 0 || watch->now - since < watch->threshold)
        return ERR_OK;
    (void)snprintf(message, sizeof message, "mail about alerts cannot be sent: %.*s",
                   (int)error.len, (const char *)error.data);
    return alert_found(watch, NULL, NULL, "not_sent", message);
}

// ---- the trail ----

static enum err check_trail(struct alert_watch *watch)
{
    char message[ALERT_MESSAGE_MAX];
    struct audit_verdict verdict;
    struct audit_signing signing;
    struct ops *ops = watch->ops;
    TRY(audit_signing_get(ops->set.store, &signing));
    TRY(audit_view_verify(ops, signing.has_key ? signing.public_key : NULL, &verdict));
    if (verdict.sound)
        return ERR_OK;
    (void)snprintf(message, sizeof message,
                   "the audit trail is not in order: %s. Keep a copy of the store for inquiry",
                   verdict.what);
    return alert_found(watch, NULL, NULL, "not_sound", message);
}

static enum err check_store(struct alert_watch *watch)
{
    struct span message;
    TRY(head_told(watch->ops, watch->arena, &message));
    if (message.len == 0)
        return ERR_OK;
    return alert_found(watch, NULL, NULL, "older", (const char *)message.data);
}

enum { SECOND = 1000, MINUTE = 60 * SECOND, DAY = 24 * 60 * MINUTE };

const struct alert_type alert_types[] = {
    {"hsm", "critical", "seconds between checks", 300, 10, 86400, SECOND, true,
     "The HSM does not open the store, or a file of the root of trust is not in order.",
     "keyward hsm verify", check_hsm},
    {"hsm_root_key", "medium", "", 0, 0, 0, 5 * SECOND, true,
     "The HSM lets its root key be extracted.",
     "keyward hsm reverse-migrate, then keyward hsm initialize with HSM_KEY_EXTRACTABLE=0",
     check_root_key},
    {"disk_space", "high", "percent free", 20, 1, 99, 10 * SECOND, true,
     "The disk of the store has little room left; critical below 5 percent.",
     "make room on the disk of the store", check_disk},
    {"server_certificate", "medium", "days", 90, 1, 3650, MINUTE, true,
     "The server's certificate expires; high 10 days before, critical when it has.",
     "keyward certificate rotate server", check_server_certificate},
    {"console_certificate", "medium", "days", 90, 1, 3650, MINUTE, true,
     "The certificate of the console and the REST API expires, where they have one of their own.",
     "keyward certificate rotate console", check_console_certificate},
    {"ca_certificate", "medium", "days", 90, 1, 3650, MINUTE, true,
     "The certificate of the server's authority expires.", "keyward ca rotate",
     check_ca_certificate},
    {"endpoint_certificate", "medium", "days", 60, 1, 3650, MINUTE, true,
     "The certificate of an endpoint expires.", "keyward endpoint rotate NAME",
     check_endpoint_certificates},
    {"endpoint_quiet", "low", "days", 30, 1, 3650, MINUTE, false,
     "An endpoint has asked for nothing for so long.", "keyward endpoint show NAME", check_quiet},
    {"key_deactivation", "medium", "days", 7, 1, 3650, MINUTE, true,
     "A key's deactivation date is near: rotate it.", "keyward key list --expiring-days 30",
     check_keys},
    {"object_deactivation", "medium", "days", 90, 1, 3650, MINUTE, true,
     "The deactivation date of a certificate, a secret or an opaque object is near.",
     "keyward key list --expiring-days 90", check_objects},
    {"user_password", "low", "days", 14, 1, 3650, MINUTE, true,
     "A user's password expires, where the password policy has them expire.",
     "keyward user show NAME", alert_people_passwords},
    {"access_held", "medium", "", 0, 0, 0, MINUTE, true,
     "A user's access to keys waits for a Key Administrator, since it was reset what the user "
     "signs in with.",
     "keyward user restore-access NAME", alert_people_held},
    {"lockout", "medium", "", 0, 0, 0, 5 * SECOND, true,
     "A user is locked for a while by wrong passwords or codes, or the recovery passphrase by "
     "wrong ones (high).",
     "keyward user unlock NAME; a recovery passphrase has to be waited for", alert_people_lockout},
    {"name_spray", "high", "names an hour", 10, 2, 1000, 5 * SECOND, true,
     "Wrong passwords came for so many different user names within an hour.",
     "keyward audit list --verb \"session create\"", alert_people_spray},
    {"failed_sign_ins", "high", "an hour", 10, 1, SIGN_INS_MAX, 5 * SECOND, true,
     "So many wrong passwords, passphrases and tokens came within an hour.",
     "keyward audit list --verb \"session create\"", alert_people_sign_ins},
    {"audit_sink", "high", "seconds", 300, 10, 30 * 24 * 3600, 5 * SECOND, true,
     "Audit records wait so long to be forwarded.", "keyward syslog show", check_sink},
    {"audit_trail", "critical", "", 0, 0, 0, DAY, true,
     "The audit trail is not in order; looked at once a day.", "keyward audit verify", check_trail},
    {HEAD_ALERT, "critical", "", 0, 0, 0, SECOND, true,
     "The server was started with an older store than it last served; until it is acknowledged.",
     "compare what the store holds with the audit records that were forwarded or exported, put the "
     "newest store back or go on with this one, then keyward alert acknowledge ID",
     check_store},
    {"mail", "medium", "seconds", 600, 10, 30 * 24 * 3600, 5 * SECOND, true,
     "Mail about alerts cannot be sent for so long.", "keyward mail show", check_mail},
};
const size_t alert_type_count = sizeof alert_types / sizeof *alert_types;

_Static_assert(sizeof alert_types / sizeof *alert_types <= ALERT_TYPES_MAX, "room in struct ops");
