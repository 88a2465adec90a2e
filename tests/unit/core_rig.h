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

#endif
