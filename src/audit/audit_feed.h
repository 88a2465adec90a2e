// SPDX-License-Identifier: Apache-2.0
//
// Reading the trail: the node's chain and the journals of reads as one row of records, in order of
// time as far as each source is. What is listed, exported and forwarded comes from here.
#ifndef KW_AUDIT_AUDIT_FEED_H
#define KW_AUDIT_AUDIT_FEED_H

#include <jansson.h>

#include "audit/audit.h"

enum { AUDIT_KEYS_MAX = 16, AUDIT_SLACK_MS = 3600 * 1000 };

// Audit data keys, newest first: a record does not say which of them sealed it.
struct audit_keys {
    struct span keys[AUDIT_KEYS_MAX];
    size_t count;
};

struct audit_item {
    uint32_t chain; // 0: the node's; reader N's journal is N + 1
    uint64_t sequence;
    int64_t time_ms;
    uint8_t before[AUDIT_HASH_LEN]; // hash of the record in front of it
    uint8_t hash[AUDIT_HASH_LEN];
    struct span record; // its bytes
};

struct audit_feed_options {
    int root;            // borrowed
    struct store *store; // borrowed
    struct audit_extent after;
    int64_t since_ms; // segments of journals that ended before this may be passed over; 0: none
    bool raw;         // journals' records of every kind, and damage is an error
    bool one_chain;   // only this one:
    uint32_t chain;
};

struct audit_feed;
// A clock that was set back by up to AUDIT_SLACK_MS hides nothing. Going to a place in a journal
// reads up to one segment of it (64 MiB).
MUST_USE enum err audit_feed_new(const struct audit_feed_options *options, struct audit_feed **ret);
void audit_feed_free(struct audit_feed *feed);
void audit_feed_freep(struct audit_feed **feed);

// The next record, borrowed until the next call; NULL at the end. ERR_DAMAGED names what is not
// sound (of a journal only when `raw`, else what lies behind is passed over).
MUST_USE enum err audit_feed_next(struct audit_feed *feed, const struct audit_item **ret);

// After the end: looks for what has come since.
MUST_USE enum err audit_feed_again(struct audit_feed *feed);

// All that was handed out, and `after` where nothing was.
void audit_feed_place(const struct audit_feed *feed, struct audit_extent *ret);

// What is wanted of the trail; what is empty or zero is any.
struct audit_filter {
    int64_t since_ms, until_ms; // inclusive, exclusive
    struct span verb, outcome;
    struct span who; // name or identifier; "local" and "nobody" for those without one
    struct uuid object;
};
// Of the item that audit_feed_next gave last.
MUST_USE enum err audit_feed_matches(struct audit_feed *feed, const struct audit_keys *keys,
                                     const struct audit_filter *filter, bool *ret);

// What counts of a request.
struct audit_brief {
    const char *kind; // of who asked: "endpoint", "user", "local", "nobody"
    struct uuid who;
    struct span name, verb; // borrowed until the next item; the name is empty when it is not known
    int64_t time_ms;
    bool allowed;
};
// Of the item that audit_feed_next gave last. *ret_counts false: it is no request, or one that had
// no outcome yet.
MUST_USE enum err audit_feed_brief(struct audit_feed *feed, const struct audit_keys *keys,
                                   struct audit_brief *ret, bool *ret_counts);

// The item that audit_feed_next gave last, opened as far as the keys go. Caller frees.
MUST_USE enum err audit_feed_json(struct audit_feed *feed, const struct audit_keys *keys,
                                  json_t **ret);

#endif
