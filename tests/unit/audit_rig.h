// SPDX-License-Identifier: Apache-2.0
//
// A root of its own for each test of the audit trail, with a store, and ways to fill both.
#ifndef KW_TESTS_AUDIT_RIG_H
#define KW_TESTS_AUDIT_RIG_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/audit_walk.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/secret.h"
#include "crypto/crypto.h"
#include "tests/unit/check.h"

#define JOURNAL   PATH_AUDIT_DIR "/reads-0-1.log"
#define MARK_NAME "MARKERNAMEpayroll"
#define MARK_PEER "203.0.113.77:40404"
#define MARK_WHY  "MARKERDETAILmade"

static const uint8_t key_bytes[CRYPTO_KEY_LEN] = {1, 2, 3};
static const uint8_t other_bytes[CRYPTO_KEY_LEN] = {3, 2, 1};

struct fixture {
    char dir[64];
    int root;
    struct store *store;
    struct arena *arena;
    struct span key;
};

static struct fixture fix;

static inline int set_up(void **state)
{
    (void)state;
    (void)snprintf(fix.dir, sizeof fix.dir, "/tmp/keyward-audit-XXXXXX");
    fix.key = span_of(key_bytes, sizeof key_bytes);
    if (secret_setup() != ERR_OK || mkdtemp(fix.dir) == NULL ||
        file_open_dir(fix.dir, &fix.root) != ERR_OK ||
        file_mkdirs(fix.root, PATH_STATE_DIR) != ERR_OK ||
        arena_new((size_t)32 << 20, &fix.arena) != ERR_OK)
        return -1;
    return store_open(fix.root, PATH_STORE, STORE_WRITE, &fix.store) == ERR_OK ? 0 : -1;
}

static inline int tear_down(void **state)
{
    (void)state;
    store_closep(&fix.store);
    arena_freep(&fix.arena);
    bool gone = file_remove_tree(fix.root, PATH_STATE_DIR) == ERR_OK &&
                file_remove_tree(fix.root, "var") == ERR_OK && rmdir(fix.dir) == 0;
    file_closep(&fix.root);
    return gone ? 0 : -1;
}

static inline struct principal somebody(void)
{
    struct principal who = {
        .kind = PRINCIPAL_ENDPOINT, .name = span_str(MARK_NAME), .address = span_str(MARK_PEER)};
    memset(who.id.bytes, 0x11, UUID_LEN);
    return who;
}

static inline struct audit_record record_of(const struct principal *who, enum verb verb)
{
    struct audit_record record = {
        .time_ms = 1700000000123, .verb = verb, .who = who, .object_type = 2};
    memset(record.object.bytes, 0x22, UUID_LEN);
    return record;
}

// `count` records of changes, each in a transaction of its own.
static inline void change(int count)
{
    struct principal who = somebody();
    for (int i = 0; i < count; i++) {
        struct audit_record record = record_of(&who, VERB_CREATE);
        record.detail = span_str(MARK_WHY);
        OK(store_begin(fix.store, STORE_WRITE));
        OK(audit_append(fix.store, fix.key, &record));
        OK(store_commit(fix.store));
    }
}

static inline void add_reads(struct audit_journal *journal, int count)
{
    struct principal who = somebody();
    for (int i = 0; i < count; i++) {
        struct audit_record record = record_of(&who, VERB_GET);
        OK(audit_journal_add(journal, fix.key, &record));
    }
}

static inline struct audit_journal *open_journal(uint32_t index)
{
    struct audit_journal *journal = NULL;
    OK(audit_journal_open(fix.root, index, false, &journal));
    return journal;
}

// Writes `count` reads into a journal that is closed again.
static inline void read_some(uint32_t index, int count)
{
    CLEANUP(audit_journal_freep) struct audit_journal *journal = open_journal(index);
    add_reads(journal, count);
    OK(audit_journal_write(journal));
}

static inline void is_sound(uint64_t records, uint64_t reads)
{
    struct audit_verdict verdict;
    OK(audit_verify(fix.root, fix.store, NULL, &verdict));
    if (!verdict.sound)
        fail_msg("%s", verdict.what);
    assert_int_equal(verdict.bad_sequence, 0);
    assert_int_equal(verdict.records, records);
    assert_int_equal(verdict.read_records, reads);
}

static inline void is_bad(uint64_t sequence, const char *what)
{
    struct audit_verdict verdict;
    OK(audit_verify(fix.root, fix.store, NULL, &verdict));
    assert_false(verdict.sound);
    assert_int_equal(verdict.bad_sequence, sequence);
    if (strstr(verdict.what, what) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", verdict.what, what);
}

static inline off_t size_of(const char *path)
{
    struct stat st;
    assert_int_equal(fstatat(fix.root, path, &st, 0), 0);
    return st.st_size;
}

static inline void cut(const char *path, off_t length)
{
    CLEANUP(file_closep) int fd = openat(fix.root, path, O_RDWR);
    assert_int_equal(ftruncate(fd, length), 0);
}

#define TEST(name)                                                                                 \
    {                                                                                              \
#name, name, set_up, tear_down, NULL                                                       \
    }

#endif
