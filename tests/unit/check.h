// SPDX-License-Identifier: Apache-2.0
//
// cmocka, with what it wants to be included before it, in the order that it wants.
#ifndef KW_TESTS_CHECK_H
#define KW_TESTS_CHECK_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/err.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

// The call must succeed; on failure the detail is printed.
#define OK(expr)                                                                                   \
    do {                                                                                           \
        enum err ok_err_ = (expr);                                                                 \
        if (ok_err_ != ERR_OK)                                                                     \
            fail_msg("%s: %s: %s", #expr, err_info(ok_err_)->name, err_detail());                  \
    } while (0)

// The call must fail with this code.
#define FAILS(code, expr) assert_int_equal((expr), (code))

#endif
