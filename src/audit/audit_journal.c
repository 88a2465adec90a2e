// SPDX-License-Identifier: Apache-2.0
//
// The journal of one reading process. Invariants: the file ends with a whole frame after every
// audit_journal_write, also after one that failed (what was written of it is cut off again);
// `queue` begins with the hash that the file ends with, so that each frame lies right behind the
// hash it continues; nothing is ever written behind a torn end: a new segment is begun, which says
// how much of the old one counts.
//
// Who asked is sealed once and then referred to: a record of a read carries the number of the
// record of kind AUDIT_CONTEXT with the name and address, which lies in the same segment. So most
// reads cost one hash and no encryption.
#include "audit/audit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/audit_walk.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/secret.h"
#include "crypto/crypto.h"

enum {
    SEGMENT_MAX = 64 << 20,             // bytes, then the next segment begins
    SEGMENT_MS = 24 * 3600 * 1000,      // or so long after the last one began
    QUEUE_MAX = 16 << 20,               // bytes of records not yet written
    SYNC_AFTER_MS = AUDIT_SYNC_MS - 20, // leaves time for the fsync itself
    CONTEXTS = 1024                     // principals remembered; a power of two
};

struct context {
    uint64_t sequence; // 0 free
    enum principal_kind kind;
    struct uuid id;
    uint32_t uid;
    size_t name_len, address_len;
    uint8_t *text; // name and address
};

struct audit_journal {
    int root, fd;
    uint32_t index, segment;
    bool strict, broken;
    char path[AUDIT_PATH_MAX];
    uint64_t length, count; // of the file: bytes, records
    uint64_t queued;        // records, with those in the queue
    int64_t began_ms;       // when the segment was begun
    uint64_t began_count;   // records in front of it
    struct buf queue;
    int64_t unsynced_ms;     // when the oldest write not yet synced was, -1: none
    struct secret *seal_key; // under which the contexts were sealed
    struct context contexts[CONTEXTS];
};

static void forget_contexts(struct audit_journal *j)
{
    for (size_t i = 0; i < CONTEXTS; i++) {
        free(j->contexts[i].text);
        j->contexts[i] = (struct context){0};
    }
}

// Empties the queue down to the hash that the file ends with.
static enum err reset_queue(struct audit_journal *j, const uint8_t hash[AUDIT_HASH_LEN])
{
    uint8_t copy[AUDIT_HASH_LEN];
    memcpy(copy, hash, sizeof copy);
    buf_clear(&j->queue);
    j->queued = j->count;
    return buf_put(&j->queue, span_of(copy, sizeof copy));
}

// Completes the frame whose record was put behind four bytes of room at `begin`.
static enum err close_frame(struct buf *queue, size_t begin)
{
    uint8_t hash[AUDIT_HASH_LEN];
    size_t from = begin - AUDIT_HASH_LEN;
    buf_patch_u32(queue, begin, (uint32_t)(queue->len - begin - 4));
    crypto_sha256(span_of(queue->data + from, queue->len - from), hash);
    return buf_put(queue, span_of(hash, sizeof hash));
}

// ---- segments ----

// Opens the segment at `path` and makes sure that no other process writes to it.
static enum err open_segment(struct audit_journal *j, const char path[AUDIT_PATH_MAX])
{
    CLEANUP(file_closep)
    int fd = openat(j->root, path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return file_raise("open", path);
    if ((st.st_mode & 077) != 0)
        FAIL(ERR_FILE_MODE, "\"%s\" has mode %04o but must have 0600: run chmod 0600 on it", path,
             (unsigned)(st.st_mode & 07777));
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0)
        FAIL(ERR_BUSY, "another process is writing to the journal \"%s\"", path);
    file_closep(&j->fd);
    j->fd = fd;
    fd = -1;
    memcpy(j->path, path, AUDIT_PATH_MAX);
    return ERR_OK;
}

// Begins the segment after `segment`; the file appears whole or not at all.
static enum err begin_segment(struct audit_journal *j, uint32_t segment, uint64_t kept,
                              const uint8_t start[AUDIT_HASH_LEN])
{
    char path[AUDIT_PATH_MAX];
    struct buf frame CLEANUP(buf_done);
    buf_init(&frame, AUDIT_HASH_LEN + AUDIT_FRAME_MAX, false);
    struct audit_where where = {j->index + 1, j->count + 1};
    TRY(buf_put(&frame, span_of(start, AUDIT_HASH_LEN)));
    TRY(buf_put_zeros(&frame, 4));
    TRY(audit_record_segment(&frame, where, clock_wall_ms(), segment + 1, kept, start));
    TRY(close_frame(&frame, AUDIT_HASH_LEN));
    struct span bytes = span_of(frame.data + AUDIT_HASH_LEN, frame.len - AUDIT_HASH_LEN);
    audit_walk_path(j->index, segment + 1, path);
    TRY(file_write(j->root, path, bytes));
    TRY(open_segment(j, path));
    j->segment = segment + 1;
    j->length = bytes.len;
    j->began_count = ++j->count;
    j->began_ms = clock_wall_ms();
    forget_contexts(j);
    return reset_queue(j, frame.data + frame.len - AUDIT_HASH_LEN);
}

// Goes to the end of the last segment, and beyond it to a new one when it is torn.
static enum err continue_segment(struct audit_journal *j, struct audit_walk *walk, uint32_t last)
{
    enum audit_step step;
    struct audit_entry entry;
    char path[AUDIT_PATH_MAX];
    TRY(audit_walk_segment(walk, last, &step));
    while (step == AUDIT_STEP_RECORD) {
        TRY(audit_walk_next(walk, &step, &entry));
        if (step != AUDIT_STEP_RECORD || entry.kind != AUDIT_SEGMENT)
            continue;
        j->began_ms = entry.time_ms;
        j->began_count = entry.sequence;
    }
    if (walk->offset == 0)
        FAIL(ERR_DAMAGED,
             "the journal \"%s\" has no sound beginning: keep a copy of it for inquiry",
             walk->path);
    j->count = walk->count;
    j->length = walk->offset;
    j->segment = last;
    audit_walk_path(j->index, last, path);
    TRY(open_segment(j, path));
    if (step == AUDIT_STEP_END)
        return reset_queue(j, walk->hash);
    log_event(LOG_LEVEL_WARN, "audit_torn path=%s kept=%llu", j->path,
              (unsigned long long)walk->offset);
    return begin_segment(j, last, walk->offset, walk->hash);
}

static enum err find_end(struct audit_journal *j)
{
    static const uint8_t zero[AUDIT_HASH_LEN];
    struct audit_journals all;
    TRY(file_mkdirs(j->root, PATH_AUDIT_DIR));
    TRY(audit_walk_list(j->root, &all));
    for (size_t i = 0; i < all.count; i++) {
        if (all.index[i] != j->index)
            continue;
        struct audit_walk walk CLEANUP(audit_walk_done);
        TRY(audit_walk_init(&walk, j->root, j->index));
        return continue_segment(j, &walk, all.last[i]);
    }
    return begin_segment(j, 0, 0, zero);
}

enum err audit_journal_open(int root, uint32_t index, bool strict, struct audit_journal **ret)
{
    if (index >= AUDIT_JOURNALS_MAX)
        FAIL(ERR_INVALID, "there are at most %d journals", AUDIT_JOURNALS_MAX);
    CLEANUP(audit_journal_freep) struct audit_journal *j = calloc(1, sizeof *j);
    if (j == NULL)
        FAIL(ERR_MEMORY, "no memory for a journal");
    *j = (struct audit_journal){
        .root = root, .fd = -1, .index = index, .strict = strict, .unsynced_ms = -1};
    buf_init(&j->queue, QUEUE_MAX, false);
    TRY(find_end(j));
    *ret = j;
    j = NULL;
    return ERR_OK;
}

void audit_journal_free(struct audit_journal *journal)
{
    if (journal == NULL)
        return;
    if (journal->fd >= 0 && journal->unsynced_ms >= 0)
        (void)fdatasync(journal->fd);
    file_closep(&journal->fd);
    forget_contexts(journal);
    secret_free(journal->seal_key);
    buf_done(&journal->queue);
    free(journal);
}

void audit_journal_freep(struct audit_journal **journal)
{
    audit_journal_free(*journal);
    *journal = NULL;
}

// ---- adding ----

static enum err usable(const struct audit_journal *j)
{
    if (j->broken)
        FAIL(ERR_IO, "the journal \"%s\" takes nothing more since a write or fsync of it failed",
             j->path);
    return ERR_OK;
}

// FNV-1a; only spreads principals over the table.
static size_t slot_of(const struct principal *who)
{
    uint32_t hash = 2166136261u ^ who->uid;
    for (size_t i = 0; i < UUID_LEN; i++)
        hash = (hash ^ who->id.bytes[i]) * 16777619u;
    for (size_t i = 0; i < who->address.len; i++)
        hash = (hash ^ who->address.data[i]) * 16777619u;
    return (hash ^ hash >> 16) % CONTEXTS;
}

static bool is_same(const struct context *c, const struct principal *who)
{
    return c->sequence != 0 && c->kind == who->kind && c->uid == who->uid &&
           memcmp(&c->id, &who->id, sizeof c->id) == 0 &&
           span_eq(span_of(c->text, c->name_len), who->name) &&
           span_eq(span_of(c->text + c->name_len, c->address_len), who->address);
}

// Under another key all contexts are written anew.
static enum err use_key(struct audit_journal *j, struct span seal_key)
{
    if (j->seal_key != NULL && secret_equal(secret_span(j->seal_key), seal_key))
        return ERR_OK;
    forget_contexts(j);
    secret_freep(&j->seal_key);
    return secret_copy(seal_key, &j->seal_key);
}

static enum err add_frame_begin(struct audit_journal *j, size_t *ret_begin)
{
    *ret_begin = j->queue.len;
    return buf_put_zeros(&j->queue, 4);
}

static enum err add_context(struct audit_journal *j, struct span seal_key,
                            const struct audit_record *record, struct context *c)
{
    size_t begin = 0;
    const struct principal *who = record->who;
    size_t len = who->name.len + who->address.len;
    uint8_t *text = malloc(len + 1);
    if (text == NULL)
        FAIL(ERR_MEMORY, "no memory for a journal");
    if (who->name.len > 0)
        memcpy(text, who->name.data, who->name.len);
    if (who->address.len > 0)
        memcpy(text + who->name.len, who->address.data, who->address.len);
    free(c->text);
    *c = (struct context){.kind = who->kind,
                          .id = who->id,
                          .uid = who->uid,
                          .name_len = who->name.len,
                          .address_len = who->address.len,
                          .text = text};
    struct audit_where where = {j->index + 1, j->queued + 1};
    TRY(add_frame_begin(j, &begin));
    TRY(audit_record_context(&j->queue, where, record->time_ms, seal_key, who));
    TRY(close_frame(&j->queue, begin));
    c->sequence = ++j->queued;
    return ERR_OK;
}

// The number of the record that tells who asked; 0 when nothing is to be told or may be.
static enum err context_of(struct audit_journal *j, struct span seal_key,
                           const struct audit_record *record, uint64_t *ret)
{
    const struct principal *who = record->who;
    *ret = 0;
    if (who == NULL || seal_key.len == 0 || who->name.len + who->address.len == 0)
        return ERR_OK;
    TRY(use_key(j, seal_key));
    struct context *c = &j->contexts[slot_of(who)];
    if (!is_same(c, who))
        TRY(add_context(j, seal_key, record, c));
    *ret = c->sequence;
    return ERR_OK;
}

static enum err add(struct audit_journal *j, struct span seal_key,
                    const struct audit_record *record)
{
    uint64_t context = 0;
    size_t begin = 0;
    TRY(context_of(j, seal_key, record, &context));
    struct audit_where where = {j->index + 1, j->queued + 1};
    TRY(add_frame_begin(j, &begin));
    TRY(audit_record_request(&j->queue, where, seal_key, context, record));
    TRY(close_frame(&j->queue, begin));
    j->queued++;
    return ERR_OK;
}

// Takes the queue back to what the file holds; also the contexts that were in it.
static void drop_queue(struct audit_journal *j)
{
    forget_contexts(j);
    if (reset_queue(j, j->queue.data) != ERR_OK)
        j->broken = true;
}

// Old segments are what a purge can take.
static bool is_full(const struct audit_journal *j)
{
    bool used = j->count > j->began_count;
    return j->length >= SEGMENT_MAX || (used && clock_wall_ms() - j->began_ms >= SEGMENT_MS);
}

static enum err sync_now(struct audit_journal *j)
{
    if (fdatasync(j->fd) != 0) {
        j->broken = true;
        return file_raise("fsync", j->path);
    }
    j->unsynced_ms = -1;
    return ERR_OK;
}

static enum err next_segment(struct audit_journal *j)
{
    uint8_t start[AUDIT_HASH_LEN];
    TRY(sync_now(j));
    memcpy(start, j->queue.data, sizeof start);
    return begin_segment(j, j->segment, j->length, start);
}

enum err audit_journal_add(struct audit_journal *journal, struct span seal_key,
                           const struct audit_record *record)
{
    TRY(usable(journal));
    bool empty = journal->queued == journal->count;
    if (empty && is_full(journal))
        TRY(next_segment(journal));
    struct audit_mark mark = audit_journal_mark(journal);
    enum err err = add(journal, seal_key, record);
    // A failure may leave part of a frame. What was queued before it has answers that will leave.
    if (err != ERR_OK)
        audit_journal_rewind(journal, mark);
    return err;
}

struct audit_mark audit_journal_mark(const struct audit_journal *journal)
{
    return (struct audit_mark){journal->queue.len, journal->queued - journal->count};
}

void audit_journal_rewind(struct audit_journal *journal, struct audit_mark mark)
{
    journal->queue.len = mark.length;
    journal->queued = journal->count + mark.records;
    for (size_t i = 0; i < CONTEXTS; i++) {
        if (journal->contexts[i].sequence > journal->queued) {
            free(journal->contexts[i].text);
            journal->contexts[i] = (struct context){0};
        }
    }
}

// ---- writing ----

enum err audit_journal_write(struct audit_journal *journal)
{
    TRY(usable(journal));
    if (journal->queued == journal->count)
        return ERR_OK;
    struct buf *queue = &journal->queue;
    struct span bytes = span_of(queue->data + AUDIT_HASH_LEN, queue->len - AUDIT_HASH_LEN);
    enum err err = file_write_all(journal->fd, bytes, journal->path);
    if (err != ERR_OK) {
        if (ftruncate(journal->fd, (off_t)journal->length) != 0)
            journal->broken = true;
        drop_queue(journal);
        if (err == ERR_NO_SPACE)
            FAIL(err, "could not write \"%s\": %s", journal->path, err_info(err)->text);
        return err;
    }
    journal->length += bytes.len;
    journal->count = journal->queued;
    if (journal->unsynced_ms < 0)
        journal->unsynced_ms = clock_mono_ms();
    TRY(reset_queue(journal, queue->data + queue->len - AUDIT_HASH_LEN));
    return journal->strict ? sync_now(journal) : ERR_OK;
}

enum err audit_journal_sync(struct audit_journal *journal, int *ret_wait_ms)
{
    TRY(usable(journal));
    *ret_wait_ms = -1;
    if (journal->unsynced_ms < 0)
        return ERR_OK;
    int64_t age = clock_mono_ms() - journal->unsynced_ms;
    if (age < SYNC_AFTER_MS) {
        *ret_wait_ms = (int)(SYNC_AFTER_MS - age);
        return ERR_OK;
    }
    return sync_now(journal);
}
