// SPDX-License-Identifier: Apache-2.0
//
// The lines of an exported file. An export is a row of blocks; a block is a line that says where it
// begins, lines of records, and a line that seals it. Each line ends with a check: the first eight
// bytes of the SHA-256 of the digest of the line before (zeros in front of a block) and of the line
// up to the check. The last digest of a block is signed with the trail's key, together with what
// the seal says, so whatever is changed is found, and the line where it begins is known.
//
// As JSON lines every line is an object. As CSV (RFC 4180) all lines have the same columns, the
// first of which says what the line is, and the first line names them. Private to audit.
#ifndef KW_AUDIT_AUDIT_LINE_H
#define KW_AUDIT_AUDIT_LINE_H

#include <jansson.h>

#include "audit/audit_export.h"
#include "audit/audit_record.h"

enum { AUDIT_LINE_MAX = 64 * 1024, AUDIT_CHECK_LEN = 8 };

enum audit_line_kind { AUDIT_LINE_BLOCK, AUDIT_LINE_RECORD, AUDIT_LINE_SEAL };

struct audit_line {
    enum audit_line_kind kind;
    uint32_t chain;
    uint64_t sequence; // record: its own; block, seal: the last one before the block
    // blocks and seals
    struct uuid id; // of the export
    uint64_t block; // from 1
    uint64_t last;  // seal: last record of the block
    bool end;       // seal: nothing follows
    int64_t time_ms;
    uint8_t hash[AUDIT_HASH_LEN]; // block: of the record before; record: its own; seal: the digest
    // block: the public key; record: its bytes; seal: the signature
    size_t len;
    uint8_t bytes[AUDIT_RECORD_MAX];
};

extern const char audit_line_columns[]; // first line of a CSV file

// Appends a line; `digest` goes on. `told` is what a record tells, else NULL.
MUST_USE enum err audit_line_put(enum audit_format format, const struct audit_line *line,
                                 const json_t *told, uint8_t digest[AUDIT_HASH_LEN],
                                 struct buf *out);

// Reads a line (without its newline). False when it is none.
bool audit_line_get(enum audit_format format, struct span text, struct audit_line *ret);

// Does the line's check fit? `digest` goes on.
bool audit_line_check(enum audit_format format, struct span text, uint8_t digest[AUDIT_HASH_LEN]);

// What a seal's signature is over.
MUST_USE enum err audit_line_statement(const struct audit_line *seal, struct buf *out);

#endif
