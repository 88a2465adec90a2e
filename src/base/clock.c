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
