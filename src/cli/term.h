// SPDX-License-Identifier: Apache-2.0
//
// The terminal: prompts without echo, and lines for people on standard error.
#ifndef KW_CLI_TERM_H
#define KW_CLI_TERM_H

#include <stdint.h>

#include "base/secret.h"

// True when somebody can be asked: there is a controlling terminal and standard error is one.
bool term_is_interactive(void);

// Asks on the controlling terminal without echo; the echo comes back also when interrupted (the
// program then ends with 130). Caller frees. ERR_INVALID for an empty answer.
MUST_USE enum err term_ask_secret(const char *prompt, struct secret **ret);

// Asks with echo. `out` gets at most room - 1 bytes.
MUST_USE enum err term_ask(const char *prompt, char *out, size_t room);

// "✔ text (0.3 s)" or "✖ text" on standard error; `started_ms` 0 leaves the time out.
void term_step(bool done, int64_t started_ms, const char *fmt, ...) PRINTF_LIKE(3, 4);

// One line on standard error, control characters replaced.
void term_say(const char *fmt, ...) PRINTF_LIKE(1, 2);

// Copies text with every control character (span_control_len) but newline replaced by '?'.
void term_clean(const char *text, char *out, size_t room);

// Appends what somebody else made for a terminal to show: the same for any bytes, tabs kept, too.
MUST_USE enum err term_put(const void *bytes, size_t len, struct buf *out);

#endif
