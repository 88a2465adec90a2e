// SPDX-License-Identifier: Apache-2.0
//
// The log: one line, one event, on standard error, which the supervisor has opened for appending.
// `2026-01-31T12:00:00.123Z info engine event=key_activated uid=…`. Never a secret. Control
// characters and bytes that are not UTF-8 are escaped as \xNN, so that a name can forge no line.
// Not the audit trail.
#ifndef KW_BASE_LOG_H
#define KW_BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

// Names this process in each line ("front", "keeper"); the text is borrowed for ever.
void log_setup(const char *process, enum log_level least);

// `fmt` starts with the event's name: log_event(LOG_LEVEL_INFO, "started pid=%d", pid) gives
// event=started.
void log_event(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

// Logs an error that goes no further: event=NAME error=ERR_X at=room/file.c:12 detail="…".
void log_error(const char *event, enum err code);

#endif
