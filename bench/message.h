// SPDX-License-Identifier: Apache-2.0
// The few KMIP 1.x messages the benchmarks exchange, made and read by hand. This is deliberately
// independent of the server's own codec: a fault there must not hide itself here, and the load
// generator must cost as little as possible. Nothing here allocates, blocks or keeps state.
// Standard: KMIP 1.4, sections 4 (operations), 6 (message contents), 7 (format), 9 (encoding).
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
    MESSAGE_MAX = 4096,    // bytes of the longest message made or accepted
    MESSAGE_UID_MAX = 256, // bytes of a Unique Identifier, with the closing zero
    MESSAGE_TEXT_MAX = 200 // bytes of a Result Message that is kept for the report
};

enum message_operation { MESSAGE_CREATE = 0x01, MESSAGE_GET = 0x0a, MESSAGE_ACTIVATE = 0x12 };

struct message {
    size_t len;
    unsigned char bytes[MESSAGE_MAX];
};

// Requests in version 1.`minor` (0 to 4), one batch item each. `uid` and `name` are zero-terminated
// and short (a message that does not fit ends the program: a mistake in the benchmark, not a load).
void message_create(struct message *m, int minor, const char *name); // AES-256, usage mask 12
void message_get(struct message *m, int minor, const char *uid);
void message_activate(struct message *m, int minor, const char *uid);

// The canned answer of a server in version 1.4 to one of the operations; a Get carries a 256-bit
// AES key of fixed bytes.
void message_answer(struct message *m, enum message_operation operation, const char *uid);

// Length in bytes of the whole message that begins at `bytes`, of which `have` have come; 0 while
// that cannot be told. A result above MESSAGE_MAX means: refuse.
size_t message_frame(const unsigned char *bytes, size_t have);

// Operation of the first batch item of a complete request, 0 when there is none.
int message_operation(const unsigned char *bytes, size_t len);

// Whether a complete response has Result Status Success in its first batch item and, when
// `wants_key`, a payload with a Symmetric Key of 32 bytes of Key Material.
bool message_is_success(const unsigned char *bytes, size_t len, bool wants_key);

// Copies the Unique Identifier of a response's payload; false when there is none or it is too long.
bool message_uid(const unsigned char *bytes, size_t len, char ret_uid[MESSAGE_UID_MAX]);

// Copies what a failed response says of itself (Result Message), or a fixed text.
void message_reason(const unsigned char *bytes, size_t len, char ret_text[MESSAGE_TEXT_MAX]);
