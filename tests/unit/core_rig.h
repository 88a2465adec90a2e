// SPDX-License-Identifier: Apache-2.0
//
// A keeper's state over a root of its own (fake_root.h), for tests of root-of-trust operations: set
// up and torn down for each test. One test program includes this once.
#ifndef KW_TESTS_CORE_RIG_H
#define KW_TESTS_CORE_RIG_H

#include "keyring/operate.h"
#include "tests/unit/fake_root.h"

static struct core core;
static struct buf doc; // of the operation run last
static bool unsure;    // of it: something may have been changed though it failed

static int set_up(void **state)
{
    (void)state;
    fake_make_root();
    core_init(&core, fake_dir);
    buf_init(&doc, 1 << 20, false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    core_done(&core);
    buf_done(&doc);
    fake_remove_root();
    return 0;
}

// Whether the operation run last has this in its result.
static bool told(const char *text)
{
    return memmem(doc.data, doc.len, text, strlen(text)) != NULL;
}

// Everything below the root prefix but what tests themselves write, as one hash.
static inline void snapshot(uint8_t out[CRYPTO_HASH_LEN])
{
    static const char *const paths[] = {
        PATH_TDE_WALLET,     PATH_TDE_AUTOLOGIN,     PATH_HSM_CREDENTIAL, PATH_HSM_PASSWORD,
        PATH_RESTORE_WALLET, PATH_RESTORE_AUTOLOGIN, PATH_SECURITY_CONF,  PATH_ROOT_RECORD,
    };
    struct buf all CLEANUP(buf_done);
    buf_init(&all, 1 << 20, false);
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        OK(buf_put_str(&all, paths[i]));
        if (file_exists(fake_dir, paths[i]))
            OK(file_read(fake_dir, paths[i], 1 << 19, &all));
    }
    assert_false(file_exists(fake_dir, PATH_ROOT_JOURNAL));
    crypto_sha256(span_buf(&all), out);
}

// The call must fail with this code and change nothing.
#define REFUSED(code, expr)                                                                        \
    do {                                                                                           \
        uint8_t before_[CRYPTO_HASH_LEN];                                                          \
        uint8_t after_[CRYPTO_HASH_LEN];                                                           \
        snapshot(before_);                                                                         \
        FAILS(code, expr);                                                                         \
        snapshot(after_);                                                                          \
        assert_memory_equal(before_, after_, sizeof before_);                                      \
        assert_true(told("\"steps\""));                                                            \
    } while (0)

#endif
