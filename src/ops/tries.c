// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic of waiting.
#include "ops/tries.h"

#include "keyring/keyring.h"

enum { DOUBLINGS_MAX = 16, RECOVERY_MARK = 4 };

bool tries_is_locked(const struct op *op, const struct store_tries *tries)
{
    return tries->until > op->now;
}

enum err tries_refuse(const struct op *op, const struct store_tries *tries)
{
    FAIL(ERR_TOO_MANY,
         "too many wrong attempts came for this name: wait %lld seconds, or have a System "
         "Administrator end that (keyward user unlock)",
         (long long)(tries->until - op->now));
}

static int64_t wait_of(const struct policy *policy, const struct store_tries *tries, bool last)
{
    uint64_t more = tries->wrong - (uint64_t)policy->tries;
    if (!last)
        return policy->lock_s;
    if (more > DOUBLINGS_MAX)
        more = DOUBLINGS_MAX;
    int64_t wait = (int64_t)TRIES_FIRST_WAIT_S << more;
    int64_t most =
        policy->lock_s < TRIES_LONGEST_WAIT_S ? policy->lock_s : (int64_t)TRIES_LONGEST_WAIT_S;
    return wait < most ? wait : most;
}

enum err tries_count(struct op *op, const struct policy *policy, struct store_tries *tries,
                     bool last)
{
    struct store *store = op->ops->set.store;
    bool locked = tries_is_locked(op, tries);
    if (!locked && op->now - tries->since >= policy->lock_s)
        tries->wrong = 0;
    if (tries->wrong++ == 0)
        tries->since = op->now;
    // What comes while the name is locked is counted, and makes the lock no longer.
    if (!locked && tries->wrong >= (uint64_t)policy->tries)
        tries->until = op->now + wait_of(policy, tries, last);
    int64_t kept = policy->lock_s > TRIES_KEPT_S ? policy->lock_s : (int64_t)TRIES_KEPT_S;
    TRY(store_tries_forget(store, op->now - kept));
    return store_tries_put(store, tries);
}

enum err tries_clear(struct op *op, const struct store_tries *tries)
{
    if (tries->wrong == 0)
        return ERR_OK;
    return store_tries_remove(op->ops->set.store, tries->name_hash);
}

// A user's counter, or (NULL) that of all. It must be had while the server is locked, too, and so
// is no keyed hash as a name's is; none of those begins like this but by a chance of 2^-32.
static void recovery_hash(const struct uuid *user, uint8_t ret[STORE_HASH_LEN])
{
    _Static_assert((int)STORE_HASH_LEN == (int)UUID_LEN,
                   "the end of an identifier, which is random, fits");
    memset(ret, 0xff, STORE_HASH_LEN);
    if (user != NULL)
        memcpy(ret + RECOVERY_MARK, user->bytes + RECOVERY_MARK, UUID_LEN - RECOVERY_MARK);
}

bool tries_are_of_recovery(const struct store_tries *tries, bool *ret_all)
{
    uint8_t all[STORE_HASH_LEN];
    recovery_hash(NULL, all);
    *ret_all = memcmp(tries->name_hash, all, sizeof all) == 0;
    return memcmp(tries->name_hash, all, RECOVERY_MARK) == 0;
}

enum err tries_recovery(struct op *op, struct recovery_door *ret)
{
    struct store *store = op->ops->set.store;
    uint8_t hash[STORE_HASH_LEN];
    *ret = (struct recovery_door){.counted = op->who.kind == PRINCIPAL_USER};
    if (!ret->counted)
        return ERR_OK;
    TRY(policy_load(op, &ret->policy));
    recovery_hash(&op->who.id, hash);
    TRY(store_tries_get(store, hash, &ret->own));
    recovery_hash(NULL, hash);
    TRY(store_tries_get(store, hash, &ret->all));
    ret->locked = tries_is_locked(op, &ret->own) || tries_is_locked(op, &ret->all);
    return ERR_OK;
}

enum err tries_refuse_recovery(const struct op *op, const struct recovery_door *door)
{
    bool own = tries_is_locked(op, &door->own);
    int64_t until = own ? door->own.until : door->all.until;
    FAIL(ERR_TOO_MANY,
         "too many wrong recovery passphrases came from %s: wait %lld seconds, or give it on the "
         "server itself, where none are counted",
         own ? "you" : "several users", (long long)(until - op->now));
}

enum err tries_recovered(struct op *op, struct recovery_door *door, bool right)
{
    struct policy of_all = door->policy;
    if (!door->counted)
        return ERR_OK;
    if (right && !door->locked) {
        TRY(tries_clear(op, &door->own));
        return tries_clear(op, &door->all);
    }
    of_all.tries *= TRIES_OF_ALL;
    // Whose own door is locked counts for nobody else's.
    if (!tries_is_locked(op, &door->own))
        TRY(tries_count(op, &of_all, &door->all, false));
    return tries_count(op, &door->policy, &door->own, false);
}

enum err tries_wrong_passphrase(void)
{
    FAIL(ERR_PASSPHRASE, KEYRING_WRONG_PASSPHRASE);
}
