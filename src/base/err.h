// SPDX-License-Identifier: Apache-2.0
//
// Errors. Every fallible function returns `enum err` and is MUST_USE. FAIL raises an error once,
// with the place and a detail for the log; TRY passes it on. These two macros are the only hidden
// returns.
//
// The codes stand in err_table.h with what each means to a client (KMIP result reason, HTTP status,
// exit status of the command line) and whether the detail may be shown to the one who asked. A
// detail never carries a secret; names of objects in it are shown only to whoever may see the
// object.
#ifndef KW_BASE_ERR_H
#define KW_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

#define MUST_USE               __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

enum err {
#define ERR(name, kmip_reason, http_status, exit_status, shown, text) ERR_##name,
#include "base/err_table.h"
#undef ERR
    ERR_COUNT
};

// What a code means outside. `text` is fit for anybody; the detail only where `shown` is true.
struct err_info {
    const char *name; // "ERR_NOT_FOUND"
    int kmip_reason;  // KMIP 1.4 section 9.1.3.2.29, Result Reason
    int http_status;
    int exit_status; // of `keyward`; see `keyward help exit-codes`
    bool shown;
    const char *text;
};

const struct err_info *err_info(enum err code);

// Records the detail of an error raised at file:line and returns its code. One record a thread.
enum err err_raise(enum err code, const char *file, int line, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

// The detail of the error raised last ("" when none); valid until the next one. Never NULL.
const char *err_detail(void);

// Where it was raised, "room/file.c:123".
const char *err_where(void);

// What the one who asked may read: the detail when the code is `shown`, else the table's text.
const char *err_message(enum err code);

// Replaces the detail by one that came from another process.
void err_adopt(const char *detail, size_t len);

// The compiler is told that a raised code is never ERR_OK, so that it knows outputs are set on
// success.
#define FAIL(code, ...)                                                                            \
    do {                                                                                           \
        enum err fail_err_ = err_raise((code), __FILE__, __LINE__, __VA_ARGS__);                   \
        if (fail_err_ == ERR_OK)                                                                   \
            __builtin_unreachable();                                                               \
        return fail_err_;                                                                          \
    } while (0)

#define TRY(expr)                                                                                  \
    do {                                                                                           \
        enum err try_err_ = (expr);                                                                \
        if (try_err_ != ERR_OK)                                                                    \
            return try_err_;                                                                       \
    } while (0)

// An owning local: `CLEANUP(foo_freep) struct foo *x = NULL;`
#define CLEANUP(fn) __attribute__((cleanup(fn)))

#endif
