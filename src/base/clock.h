// SPDX-License-Identifier: Apache-2.0
//
// Time. Deadlines, leases and rates use the monotonic clock; what is stored or shown uses the wall
// clock.
#ifndef KW_BASE_CLOCK_H
#define KW_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

int64_t clock_wall_ms(void); // milliseconds since 1970-01-01 UTC
int64_t clock_wall_s(void);  // seconds since 1970-01-01 UTC, as KMIP's Date-Time
int64_t clock_mono_ms(void); // for differences only, as the next
int64_t clock_mono_us(void);
int64_t clock_cpu_us(void); // processor time that this process has taken

// RFC 3339 in UTC with milliseconds, "2026-01-31T12:00:00.123Z".
enum { CLOCK_TEXT_LEN = 24 };
void clock_text(int64_t wall_ms, char out[CLOCK_TEXT_LEN + 1]);

// Reads "2026-01-31" (midnight), "2026-01-31T12:00:00Z" or the form above, all in UTC, of the years
// 1970 to 9999. False for anything else.
bool clock_parse(const char *text, int64_t *ret_wall_ms);

#endif
