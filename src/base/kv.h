// SPDX-License-Identifier: Apache-2.0
//
// Configuration files of KEY="value" lines, as the guides have them: okv_security.conf,
// okv_hsm.conf, okv_hsm_env (there with an optional `export`). Parsed as data, never by a shell.
// Comments, blank lines, order and unknown keys survive a rewrite. Errors name file, line and
// column.
#ifndef KW_BASE_KV_H
#define KW_BASE_KV_H

#include "base/buf.h"

enum { KV_FILE_LIMIT = 65536, KV_LINES_MAX = 1024 };

struct kv;

// Parses `text`; `name` (borrowed during the call) names the file in errors. A value may stand in
// double or single quotes or bare; a key twice, an unterminated quote, a NUL, a control character
// or a line without '=' is ERR_CONFIG.
MUST_USE enum err kv_parse(struct span text, const char *name, struct kv **ret);

// Reads and parses a file below `dir`; an absent file is an empty one.
MUST_USE enum err kv_load(int dir, const char *path, struct kv **ret);

// The same for a file that must have mode 0600 (or stricter) and be the caller's: ERR_FILE_MODE.
MUST_USE enum err kv_load_private(int dir, const char *path, struct kv **ret);
void kv_free(struct kv *kv);
void kv_freep(struct kv **kv);

// The value of a key, or `fallback` when it is not there. Borrowed until kv_set or kv_free.
const char *kv_get(const struct kv *kv, const char *key, const char *fallback);

// Sets or appends KEY="value". ERR_INVALID for a value with a quote, a newline or another control
// character.
MUST_USE enum err kv_set(struct kv *kv, const char *key, const char *value);

// The file's text with all changes.
MUST_USE enum err kv_text(const struct kv *kv, struct buf *out);

// Pairs in file order; false past the end.
bool kv_at(const struct kv *kv, size_t index, const char **ret_key, const char **ret_value);

// "0" or "1" (ERR_CONFIG otherwise, naming key and file).
MUST_USE enum err kv_get_bool(const struct kv *kv, const char *key, bool fallback, bool *ret);

#endif
