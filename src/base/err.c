// SPDX-License-Identifier: Apache-2.0
//
// The table of errors and the record of the one raised last. Processes are single-threaded; the
// record is thread-local all the same, so that a test may use threads.
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DETAIL_MAX = 1024, WHERE_MAX = 128 };

static const struct err_info table[ERR_COUNT] = {
#define ERR(name, kmip_reason, http_status, exit_status, shown, text)                              \
    [ERR_##name] = {"ERR_" #name, kmip_reason, http_status, exit_status, shown, text},
#include "base/err_table.h"
#undef ERR
};

static _Thread_local char last_detail[DETAIL_MAX];
static _Thread_local char last_where[WHERE_MAX];

const struct err_info *err_info(enum err code)
{
    if ((unsigned)code >= ERR_COUNT)
        code = ERR_INTERNAL;
    return &table[code];
}

// Keeps "room/file.c" of a longer path: the last two parts.
static const char *short_path(const char *file)
{
    const char *end = strrchr(file, '/');
    const char *cut = file;
    for (const char *p = file; end != NULL && p < end; p++) {
        if (*p == '/')
            cut = p + 1;
    }
    return cut;
}

enum err err_raise(enum err code, const char *file, int line, const char *fmt, ...)
{
    // A detail may quote the previous one, so it is built aside.
    char detail[DETAIL_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    memcpy(last_detail, detail, sizeof last_detail);
    (void)snprintf(last_where, sizeof last_where, "%s:%d", short_path(file), line);
    return code;
}

const char *err_detail(void)
{
    return last_detail;
}

const char *err_where(void)
{
    return last_where;
}

const char *err_message(enum err code)
{
    const struct err_info *info = err_info(code);
    return info->shown && last_detail[0] != '\0' ? last_detail : info->text;
}

void err_adopt(const char *detail, size_t len)
{
    if (len >= sizeof last_detail)
        len = sizeof last_detail - 1;
    memcpy(last_detail, detail, len);
    last_detail[len] = '\0';
    (void)snprintf(last_where, sizeof last_where, "peer");
}
