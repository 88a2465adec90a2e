// SPDX-License-Identifier: Apache-2.0
//
// Log lines are built in one buffer and written by one write(2), so that lines of several processes
// do not mix.
#include "base/log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hex.h"

enum { LINE_MAX_BYTES = 2048 };

static const char *process_name = "keyward";
static enum log_level least_level = LOG_LEVEL_INFO;

void log_setup(const char *process, enum log_level least)
{
    process_name = process;
    least_level = least;
}

// Copies text to out, escaping the bytes of control characters. Returns the length written.
static size_t escape(const char *text, size_t len, char *out, size_t room)
{
    size_t at = 0;
    size_t control = 0; // bytes that are left of one
    for (size_t i = 0; i < len && at + 4 < room; i++) {
        if (control == 0)
            control = span_control_len(span_of(text + i, len - i));
        if (control == 0) {
            out[at++] = text[i];
            continue;
        }
        control--;
        out[at++] = '\\';
        out[at++] = 'x';
        hex_digits(span_of(text + i, 1), out + at);
        at += 2;
    }
    return at;
}

void log_event(enum log_level level, const char *fmt, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (level < least_level)
        return;
    char text[LINE_MAX_BYTES / 2];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (len < 0)
        return;
    if ((size_t)len >= sizeof text)
        len = (int)sizeof text - 1;
    char stamp[CLOCK_TEXT_LEN + 1];
    char line[LINE_MAX_BYTES];
    clock_text(clock_wall_ms(), stamp);
    size_t at = (size_t)snprintf(line, sizeof line / 4, "%s %s %s event=", stamp, names[level],
                                 process_name);
    at += escape(text, (size_t)len, line + at, sizeof line - at - 1);
    line[at++] = '\n';
    // A log that cannot be written must not stop the service.
    if (write(STDERR_FILENO, line, at) < 0)
        return;
}

void log_error(const char *event, enum err code)
{
    // A detail quotes names that strangers chose: its own quotes must not end the field early.
    char detail[LINE_MAX_BYTES / 2];
    size_t len = strlen(err_detail());
    len = len < sizeof detail - 1 ? len : sizeof detail - 1;
    for (size_t i = 0; i < len; i++)
        detail[i] = err_detail()[i] == '"' ? '\'' : err_detail()[i];
    detail[len] = '\0';
    log_event(LOG_LEVEL_ERROR, "%s error=%s at=%s detail=\"%s\"", event, err_info(code)->name,
              err_where(), detail);
}
