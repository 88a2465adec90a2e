// SPDX-License-Identifier: Apache-2.0
//
// Exports of the trail that can be verified without the server: see audit/audit_line.h for the
// file.
#ifndef KW_AUDIT_AUDIT_EXPORT_H
#define KW_AUDIT_AUDIT_EXPORT_H

#include <stdio.h>

#include "audit/audit_feed.h"

enum audit_format { AUDIT_JSON_LINES, AUDIT_CSV };

// Where an export goes on: the next block.
struct audit_export_place {
    struct uuid id;
    uint64_t block; // 0: the export has not begun
    uint32_t chain;
    uint64_t after;
};

struct audit_export {
    int root;
    struct store *store;
    const struct audit_keys *keys;
    const struct audit_signer *signer;
    enum audit_format format;
    int64_t since_ms, until_ms; // inclusive, exclusive; 0: from the start, to the end
};

// Appends the next block, of at most some thousand records and 1 MiB, and moves `place` on.
// *ret_end: it was the last one.
MUST_USE enum err audit_export_block(const struct audit_export *job,
                                     struct audit_export_place *place, struct buf *out,
                                     bool *ret_end);

struct audit_file_verdict {
    bool sound;
    uint64_t lines, records, read_records;
    uint64_t bad_line, bad_sequence; // first bad one: of the file; of its chain, 0 for none
    char what[256];
    bool has_key;
    uint8_t public_key[AUDIT_PUBLIC_LEN]; // that the file is signed with
    struct audit_extent first, last;      // what it holds; 0: nothing
    uint64_t signed_sequence;             // place of the last signed head in it
};

// Verifies a whole exported file of either format. `trusted` is the public key that must have
// signed it, or NULL. Failing to read is an error; a bad file is a verdict.
MUST_USE enum err audit_file_verify(FILE *in, const uint8_t *trusted,
                                    struct audit_file_verdict *ret);

// A seal line of an export by this key: which records its block holds. ERR_INVALID.
struct audit_sealed_range {
    uint32_t chain;
    uint64_t after, last;
};
MUST_USE enum err audit_seal_read(struct span text, const uint8_t public_key[AUDIT_PUBLIC_LEN],
                                  struct audit_sealed_range *ret);

#endif
