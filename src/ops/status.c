// SPDX-License-Identifier: Apache-2.0
//
// The server's state as one document: what any local user may know. No names, no identifiers.
#include <sys/statvfs.h>

#include "keyring/keyring.h"
#include "ops/doc.h"
#include "ops/verbs.h"

// What one change may take: with less room than that requests are refused, since they cannot be
// recorded.
enum { ROOM_LEAST = 64 * 1024 };

static const char disk_is_full[] =
    "there is no space left on the disk of the server's root, and what cannot be recorded is "
    "refused: free space there, and it goes on by itself";

// Root may fill what is reserved for it.
static bool has_room(const struct op *op)
{
    struct statvfs fs;
    if (fstatvfs(op->ops->set.root, &fs) != 0)
        return true;
    return (op->ops->set.service_uid == 0 ? fs.f_bfree : fs.f_bavail) >= ROOM_LEAST / fs.f_frsize;
}

static const char *state_name(const struct keyring_status *status)
{
    if (status->state == KEYRING_LOCKED && strcmp(status->reason, KEYRING_STARTING) == 0)
        return "starting";
    switch (status->state) {
    case KEYRING_EMPTY:
        return "empty";
    case KEYRING_OPEN:
        return "open";
    case KEYRING_LOCKED:
    default:
        return "locked";
    }
}

static enum err count_objects(struct op *op, uint64_t *ret)
{
    struct store_query query = {
        .any_owner = true,
        .states = 1U << 1 | 1U << 2 | 1U << 3 | 1U << 4, // all but destroyed
        .limit = 1,
    };
    return store_object_count(op->ops->set.store, &query, ret);
}

// For load balancers, and so for everybody: nothing but whether there is any use in asking.
enum err ready_run(struct op *op)
{
    CLEANUP(doc_freep) json_t *doc = NULL;
    TRY(doc_params(op, &doc));
    bool open = op->ops->open;
    return doc_answer(op, json_pack("{s:b, s:s}", "serving", open, "reason",
                                    open ? "" : "the server is not set up, or not open yet"));
}

enum err status_run(struct op *op)
{
    struct keyring_status status = {.state = KEYRING_LOCKED, .reason = KEYRING_STARTING};
    uint64_t objects = 0;
    const char *reason;
    CLEANUP(doc_freep) json_t *doc = NULL;
    TRY(doc_params(op, &doc));
    if (op->ops->keeper == NULL || keyring_status(op->ops->keeper, &status) != ERR_OK)
        reason = "the key process is not running or does not answer; it is being started";
    else
        reason = status.reason;
    bool serving = op->ops->open && has_room(op);
    if (op->ops->open && !serving)
        reason = disk_is_full;
    TRY(count_objects(op, &objects));
    // A keeper that cannot read the record knows none of it; a record's generation is never 0.
    bool known = status.generation != 0 || status.state == KEYRING_EMPTY;
    bool locked = status.state == KEYRING_LOCKED;
    return doc_answer(
        op,
        json_pack("{s:s, s:s, s:s, s:b, s:o, s:o, s:o, s:I}", "version", KEYWARD_VERSION, "state",
                  state_name(&status), "reason", reason, "serving", serving, "hsm_enabled",
                  known ? json_boolean(status.hsm_enabled) : json_null(), "generation",
                  known ? json_integer((json_int_t)status.generation) : json_null(), "master_key",
                  locked ? json_null() : json_integer((json_int_t)status.master), "objects",
                  (json_int_t)objects));
}
