// SPDX-License-Identifier: Apache-2.0
//
// Guarded memory for secrets, by libsodium.
#include "base/secret.h"

#include <sodium.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/rand.h"

enum err secret_setup(void)
{
    if (sodium_init() < 0)
        FAIL(ERR_INTERNAL, "libsodium could not start");
    return ERR_OK;
}

// sodium_malloc locks, and goes on where it may not: what it has allocated is locked once more,
// which costs nothing where it is locked. Told once a process.
static void check_locked(void *data, size_t len)
{
    static bool told;
    struct rlimit limit;
    if (told || mlock(data, len) == 0 || getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
        return;
    told = true;
    log_event(LOG_LEVEL_WARN,
              "keys_not_locked detail=\"keys may be swapped to disk: this process may lock %llu "
              "KiB of memory, which is too little; set LimitMEMLOCK=64M in the service's unit, or "
              "'ulimit -l' where it is started\"",
              (unsigned long long)limit.rlim_cur / 1024);
}

enum err secret_new(size_t len, struct secret **ret)
{
    struct secret *secret = malloc(sizeof *secret);
    if (secret == NULL)
        FAIL(ERR_MEMORY, "no memory for a secret");
    secret->len = len;
    secret->data = sodium_malloc(len == 0 ? 1 : len);
    if (secret->data == NULL) {
        free(secret);
        FAIL(ERR_MEMORY, "no guarded memory for a secret of %zu bytes", len);
    }
    check_locked(secret->data, len == 0 ? 1 : len);
    sodium_memzero(secret->data, len == 0 ? 1 : len);
    *ret = secret;
    return ERR_OK;
}

enum err secret_copy(struct span bytes, struct secret **ret)
{
    TRY(secret_new(bytes.len, ret));
    if (bytes.len > 0)
        memcpy((*ret)->data, bytes.data, bytes.len);
    return ERR_OK;
}

enum err secret_random(size_t len, struct secret **ret)
{
    TRY(secret_new(len, ret));
    rand_bytes((*ret)->data, len);
    return ERR_OK;
}

void secret_free(struct secret *secret)
{
    if (secret == NULL)
        return;
    sodium_free(secret->data);
    free(secret);
}

void secret_freep(struct secret **secret)
{
    secret_free(*secret);
    *secret = NULL;
}

bool secret_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || sodium_memcmp(a.data, b.data, a.len) == 0);
}
