// SPDX-License-Identifier: Apache-2.0
//
// Reading a journal: from any known place to its end, over all its segments. Private to audit.
//
// A segment is var/lib/keyward/audit/reads-INDEX-SEGMENT.log, segments count from 1. It is a row of
// frames: length of the record (32 bits), the record, hash. A frame's hash is the SHA-256 of the
// hash before it, the length and the record. The first record of each segment is of kind
// AUDIT_SEGMENT and names the hash that the segment before ended with (zeros in the first one).
#ifndef KW_AUDIT_AUDIT_WALK_H
#define KW_AUDIT_AUDIT_WALK_H

#include "audit/audit_record.h"

enum {
    AUDIT_PATH_MAX = 80,
    AUDIT_JOURNALS_MAX = AUDIT_READERS_MAX,
    AUDIT_FRAME_MAX = 4 + AUDIT_RECORD_MAX + AUDIT_HASH_LEN
};

enum audit_step {
    AUDIT_STEP_RECORD,
    AUDIT_STEP_END,    // of the last segment
    AUDIT_STEP_TORN,   // the last segment ends within a frame
    AUDIT_STEP_BAD,    // a frame, or the passage to the next segment, is not right
    AUDIT_STEP_MISSING // the segment is not there
};

struct audit_walk {
    int root;
    uint32_t index, segment;
    int fd;
    uint64_t offset;  // in the segment, of the next frame
    uint64_t count;   // records so far: sequence of the last one
    int64_t began_ms; // the segment, where audit_walk_segment went to it
    uint8_t hash[AUDIT_HASH_LEN];
    char path[AUDIT_PATH_MAX]; // of the segment
    uint8_t *window;           // bytes of the file
    uint64_t window_at;
    size_t window_len;
};

void audit_walk_path(uint32_t index, uint32_t segment, char out[AUDIT_PATH_MAX]);

// A walk from the start. audit_walk_done frees what it holds.
MUST_USE enum err audit_walk_init(struct audit_walk *walk, int root, uint32_t index);
void audit_walk_done(struct audit_walk *walk);

// A walk that goes on behind what was anchored, or from the beginning of a segment (whose own word
// is taken for what came before).
MUST_USE enum err audit_walk_resume(struct audit_walk *walk, const struct audit_anchored *from,
                                    enum audit_step *ret_step);
MUST_USE enum err audit_walk_segment(struct audit_walk *walk, uint32_t segment,
                                     enum audit_step *ret_step);

// The next record; *ret_entry borrows from the walk until the next call and is set only for
// AUDIT_STEP_RECORD. Any other step is final until the file grows.
MUST_USE enum err audit_walk_next(struct audit_walk *walk, enum audit_step *ret_step,
                                  struct audit_entry *ret_entry);

struct audit_journals {
    uint32_t index[AUDIT_JOURNALS_MAX];
    uint32_t last[AUDIT_JOURNALS_MAX]; // greatest segment
    size_t count;
};

// Which journals there are, by index.
MUST_USE enum err audit_walk_list(int root, struct audit_journals *ret);

#endif
