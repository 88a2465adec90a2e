// SPDX-License-Identifier: Apache-2.0
//
// Clocks by clock_gettime(2).
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_ms(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_wall_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

int64_t clock_wall_s(void)
{
    return clock_wall_ms() / 1000;
}

int64_t clock_mono_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

static int64_t read_us(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_cpu_us(void)
{
    return read_us(CLOCK_PROCESS_CPUTIME_ID);
}

void clock_text(int64_t wall_ms, char out[CLOCK_TEXT_LEN + 1])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    char day[24];
    if (gmtime_r(&seconds, &tm) == NULL ||
        strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm) != 19) {
        (void)snprintf(out, CLOCK_TEXT_LEN + 1, "0000-00-00T00:00:00.000Z");
        return;
    }
    unsigned ms = (unsigned)(wall_ms % 1000);
    memcpy(out, day, 19);
    char tail[] = {
        '.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z', '\0'};
    memcpy(out + 19, tail, sizeof tail);
}

// The milliseconds behind the seconds and the Z, or the Z alone.
static bool parse_tail(const char *text, unsigned *ret_ms)
{
    unsigned ms = 0;
    if (*text == '.') {
        for (int i = 1; i <= 3; i++) {
            if (text[i] < '0' || text[i] > '9')
                return false;
            ms = ms * 10 + (unsigned)(text[i] - '0');
        }
        text += 4;
    }
    *ret_ms = ms;
    return strcmp(text, "Z") == 0;
}

bool clock_parse(const char *text, int64_t *ret_wall_ms)
{
    struct tm tm = {0};
    unsigned ms = 0;
    const char *format = strlen(text) == 10 ? "%Y-%m-%d" : "%Y-%m-%dT%H:%M:%S";
    const char *rest = strptime(text, format, &tm);
    if (rest == NULL || rest - text != (strlen(text) == 10 ? 10 : 19) ||
        (*rest != '\0' && !parse_tail(rest, &ms)) || (*rest == '\0' && strlen(text) != 10))
        return false;
    struct tm given = tm;
    time_t seconds = timegm(&tm);
    // timegm takes the 31st of February for a day of March.
    if (seconds < 0 || tm.tm_mday != given.tm_mday || tm.tm_sec != given.tm_sec)
        return false;
    *ret_wall_ms = (int64_t)seconds * 1000 + ms;
    return true;
}
