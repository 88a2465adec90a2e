// SPDX-License-Identifier: Apache-2.0
//
// The files that decide how the store is opened, as one table: name in root record and journal,
// path below the root prefix, and whether the record keeps a hash of it.
#ifndef KW_KEYRING_ROOTFILE_H
#define KW_KEYRING_ROOTFILE_H

#include "base/buf.h"

enum root_file {
    ROOT_TDE_WALLET,
    ROOT_TDE_AUTOLOGIN,
    ROOT_HSM_CREDENTIAL,
    ROOT_HSM_PASSWORD,
    ROOT_RESTORE_WALLET,
    ROOT_RESTORE_CREDENTIAL,
    ROOT_HASHED_COUNT,
    // What follows has no hash: people edit the first, the others live in memory.
    ROOT_CONF = ROOT_HASHED_COUNT,
    ROOT_RAM_AUTOLOGIN,
    ROOT_RAM_WALLET,
    ROOT_FILE_COUNT
};

const char *rootfile_name(enum root_file file);
const char *rootfile_path(enum root_file file);

// What to do when the file is missing or not the one of the root record.
const char *rootfile_remedy(enum root_file file);

// ERR_DAMAGED when there is no such name.
MUST_USE enum err rootfile_find(struct span name, enum root_file *ret);

// Lines of `key=value` in a fixed order, ended by `sha256=` over all lines before: root record,
// journal and the rest of what must be readable by a person and found damaged by a program.
MUST_USE enum err rootfile_seal_text(struct buf *text);

// Checks and takes off the last line; `path` names the file. ERR_DAMAGED.
MUST_USE enum err rootfile_open_text(struct span text, const char *path, struct span *ret);

// Takes the next line when it is `key=…`. ERR_DAMAGED otherwise.
MUST_USE enum err rootfile_take(struct span *text, const char *key, struct span *ret_value);
bool rootfile_next_is(struct span text, const char *key);
MUST_USE enum err rootfile_take_u32(struct span *text, const char *key, uint32_t *ret);

MUST_USE enum err rootfile_put_hex(struct buf *out, const char *key, struct span bytes);

// Takes a text that stands there in hexadecimal; `size` counts the NUL.
MUST_USE enum err rootfile_take_label(struct span *text, const char *key, char *out, size_t size);

// Decodes hexadecimal digits into at most `size` bytes.
MUST_USE enum err rootfile_unhex(struct span text, uint8_t *out, size_t size, size_t *ret_len);

#endif
