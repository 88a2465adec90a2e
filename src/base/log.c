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

static size_t put_escaped(uint8_t c, char *out)
{
    static const char digits[] = "0123456789abcdef";
    out[0] = '\\';
    out[1] = 'x';
    out[2] = digits[c >> 4];
    out[3] = digits[c & 15];
    return 4;
}

// Copies text to out, escaping the bytes of control characters and those that are no characters (of
// which some terminals obey 0x9b). Returns the length written.
static size_t escape(struct span text, char *out, size_t room)
{
    size_t at = 0;
    while (text.len > 0) {
        size_t control = span_control_len(text);
        size_t shown = control > 0 ? 0 : span_utf8_len(text);
        size_t len = shown > 0 ? shown : control > 0 ? control : 1;
        if (at + 4 * len >= room)
            break;
        for (size_t i = 0; i < len && shown == 0; i++)
            at += put_escaped(text.data[i], out + at);
        memcpy(out + at, text.data, shown);
        at += shown;
        text = span_of(text.data + len, text.len - len);
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
    at += escape(span_of(text, (size_t)len), line + at, sizeof line - at - 1);
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
