// SPDX-License-Identifier: Apache-2.0
//
// The walk. Invariant: `count`, `hash` and `offset` describe exactly the records that were handed
// out; a step that is no record leaves them alone.
#include "audit/audit_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/paths.h"
#include "crypto/crypto.h"

enum { WINDOW = 256 * 1024 };

void audit_walk_path(uint32_t index, uint32_t segment, char out[AUDIT_PATH_MAX])
{
    (void)snprintf(out, AUDIT_PATH_MAX, PATH_AUDIT_DIR "/reads-%u-%u.log", (unsigned)index,
                   (unsigned)segment);
}

enum err audit_walk_init(struct audit_walk *walk, int root, uint32_t index)
{
    *walk = (struct audit_walk){.root = root, .index = index, .fd = -1};
    walk->window = malloc(WINDOW);
    if (walk->window == NULL)
        FAIL(ERR_MEMORY, "no memory to read a journal");
    return ERR_OK;
}

void audit_walk_done(struct audit_walk *walk)
{
    file_closep(&walk->fd);
    free(walk->window);
    walk->window = NULL;
}

static enum err open_file(struct audit_walk *walk, uint32_t segment, enum audit_step *ret_step)
{
    char path[AUDIT_PATH_MAX];
    audit_walk_path(walk->index, segment, path);
    int fd = openat(walk->root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    *ret_step = AUDIT_STEP_MISSING;
    if (fd < 0 && errno == ENOENT)
        return ERR_OK;
    if (fd < 0)
        return file_raise("open", path);
    file_closep(&walk->fd);
    walk->fd = fd;
    walk->segment = segment;
    walk->offset = 0;
    walk->window_len = 0;
    memcpy(walk->path, path, sizeof path);
    *ret_step = AUDIT_STEP_RECORD;
    return ERR_OK;
}

// At least `want` bytes from walk->offset on, or what there is.
static enum err look(struct audit_walk *walk, size_t want, struct span *ret)
{
    uint64_t skip = walk->offset - walk->window_at;
    if (walk->offset < walk->window_at || skip > walk->window_len ||
        walk->window_len - skip < want) {
        ssize_t got = pread(walk->fd, walk->window, WINDOW, (off_t)walk->offset);
        if (got < 0)
            return file_raise("read", walk->path);
        walk->window_at = walk->offset;
        walk->window_len = (size_t)got;
        skip = 0;
    }
    *ret = span_of(walk->window + skip, walk->window_len - (size_t)skip);
    return ERR_OK;
}

// The frame at walk->offset, without a look at its hash. *ret_frame has the length, the record and
// the hash.
static enum err frame_at(struct audit_walk *walk, enum audit_step *ret_step, struct span *ret_frame)
{
    struct span bytes = {0};
    TRY(look(walk, AUDIT_FRAME_MAX, &bytes));
    struct cursor in = cursor_of(bytes);
    uint32_t len = 0;
    *ret_step = bytes.len == 0 ? AUDIT_STEP_END : AUDIT_STEP_TORN;
    if (bytes.len < sizeof len)
        return ERR_OK;
    TRY(cursor_u32(&in, &len));
    size_t whole = sizeof len + (size_t)len + AUDIT_HASH_LEN;
    if (len == 0 || len > AUDIT_RECORD_MAX || bytes.len < whole)
        return ERR_OK;
    *ret_step = AUDIT_STEP_RECORD;
    *ret_frame = span_of(bytes.data, whole);
    return ERR_OK;
}

// Checks a frame against the hash before it.
static bool is_sound(const struct audit_walk *walk, struct span frame, struct audit_entry *ret)
{
    uint8_t bytes[AUDIT_HASH_LEN + AUDIT_FRAME_MAX];
    uint8_t hash[AUDIT_HASH_LEN];
    size_t len = frame.len - AUDIT_HASH_LEN;
    memcpy(bytes, walk->hash, AUDIT_HASH_LEN);
    memcpy(bytes + AUDIT_HASH_LEN, frame.data, len);
    crypto_sha256(span_of(bytes, AUDIT_HASH_LEN + len), hash);
    return memcmp(hash, frame.data + len, AUDIT_HASH_LEN) == 0 &&
           audit_record_read(span_of(frame.data + 4, len - 4), ret) == ERR_OK &&
           ret->sequence == walk->count + 1 && ret->chain == walk->index + 1;
}

static void advance(struct audit_walk *walk, struct span frame, const struct audit_entry *entry)
{
    memcpy(walk->hash, frame.data + frame.len - AUDIT_HASH_LEN, AUDIT_HASH_LEN);
    walk->offset += frame.len;
    walk->count = entry->sequence;
}

// The next frame of this segment.
static enum err next_here(struct audit_walk *walk, enum audit_step *ret_step,
                          struct audit_entry *ret_entry)
{
    struct span frame = {0};
    TRY(frame_at(walk, ret_step, &frame));
    if (*ret_step != AUDIT_STEP_RECORD)
        return ERR_OK;
    bool first = walk->offset == 0;
    struct audit_entry entry;
    if (!is_sound(walk, frame, &entry) || first != (entry.kind == AUDIT_SEGMENT) ||
        (first && entry.segment != walk->segment)) {
        *ret_step = AUDIT_STEP_BAD;
        return ERR_OK;
    }
    advance(walk, frame, &entry);
    *ret_entry = entry;
    return ERR_OK;
}

enum err audit_walk_segment(struct audit_walk *walk, uint32_t segment, enum audit_step *ret_step)
{
    struct span frame = {0};
    struct audit_entry entry;
    TRY(open_file(walk, segment, ret_step));
    if (*ret_step != AUDIT_STEP_RECORD)
        return ERR_OK;
    TRY(frame_at(walk, ret_step, &frame));
    if (*ret_step != AUDIT_STEP_RECORD)
        return ERR_OK;
    if (audit_record_read(span_of(frame.data + 4, frame.len - 4 - AUDIT_HASH_LEN), &entry) !=
            ERR_OK ||
        entry.kind != AUDIT_SEGMENT || entry.sequence == 0) {
        *ret_step = AUDIT_STEP_BAD;
        return ERR_OK;
    }
    memcpy(walk->hash, entry.start, AUDIT_HASH_LEN);
    walk->count = entry.sequence - 1;
    walk->began_ms = entry.time_ms;
    return ERR_OK;
}

enum err audit_walk_resume(struct audit_walk *walk, const struct audit_anchored *from,
                           enum audit_step *ret_step)
{
    TRY(open_file(walk, from->segment, ret_step));
    if (*ret_step != AUDIT_STEP_RECORD)
        return ERR_OK;
    walk->offset = from->length;
    walk->count = from->count;
    memcpy(walk->hash, from->hash, AUDIT_HASH_LEN);
    return ERR_OK;
}

// Goes over to the next segment when there is one and it continues this one exactly here.
// *ret_later: it continues a later place of this one, which has grown meanwhile.
static enum err pass_on(struct audit_walk *walk, enum audit_step *step, struct audit_entry *entry,
                        bool *ret_later)
{
    struct audit_walk next;
    enum audit_step next_step = AUDIT_STEP_MISSING;
    *ret_later = false;
    enum err err = audit_walk_init(&next, walk->root, walk->index);
    if (err == ERR_OK)
        err = open_file(&next, walk->segment + 1, &next_step);
    if (err != ERR_OK || next_step == AUDIT_STEP_MISSING) {
        audit_walk_done(&next);
        return err;
    }
    next.count = walk->count;
    memcpy(next.hash, walk->hash, AUDIT_HASH_LEN);
    err = next_here(&next, &next_step, entry);
    bool right = err == ERR_OK && next_step == AUDIT_STEP_RECORD && entry->kept == walk->offset &&
                 memcmp(entry->start, walk->hash, AUDIT_HASH_LEN) == 0;
    if (right) {
        audit_walk_done(walk);
        *walk = next;
        *step = AUDIT_STEP_RECORD;
        return ERR_OK;
    }
    *ret_later = *step == AUDIT_STEP_END || *step == AUDIT_STEP_TORN;
    *step = AUDIT_STEP_BAD;
    audit_walk_done(&next);
    return err;
}

enum err audit_walk_next(struct audit_walk *walk, enum audit_step *ret_step,
                         struct audit_entry *ret_entry)
{
    *ret_step = AUDIT_STEP_MISSING;
    if (walk->fd < 0) {
        TRY(open_file(walk, 1, ret_step));
        if (*ret_step != AUDIT_STEP_RECORD)
            return ERR_OK;
    }
    // A second look at this segment tells growth while we walked from damage.
    for (int look_again = 0; look_again < 2; look_again++) {
        bool later = false;
        TRY(next_here(walk, ret_step, ret_entry));
        if (*ret_step == AUDIT_STEP_RECORD)
            return ERR_OK;
        TRY(pass_on(walk, ret_step, ret_entry, &later));
        if (!later)
            return ERR_OK;
        walk->window_len = 0;
    }
    return ERR_OK;
}

static void note(struct audit_journals *journals, uint32_t index, uint32_t segment)
{
    for (size_t i = 0; i < journals->count; i++) {
        if (journals->index[i] != index)
            continue;
        if (journals->last[i] < segment)
            journals->last[i] = segment;
        return;
    }
    if (index >= AUDIT_JOURNALS_MAX)
        return;
    size_t at = journals->count++;
    for (; at > 0 && journals->index[at - 1] > index; at--) {
        journals->index[at] = journals->index[at - 1];
        journals->last[at] = journals->last[at - 1];
    }
    journals->index[at] = index;
    journals->last[at] = segment;
}

enum err audit_walk_list(int root, struct audit_journals *ret)
{
    *ret = (struct audit_journals){0};
    int fd = openat(root, PATH_AUDIT_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return ERR_OK;
    if (fd < 0)
        return file_raise("open the directory", PATH_AUDIT_DIR);
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        (void)close(fd);
        return file_raise("list", PATH_AUDIT_DIR);
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        unsigned index = 0;
        unsigned segment = 0;
        int end = 0;
        if (sscanf(entry->d_name, "reads-%9u-%9u.log%n", &index, &segment, &end) == 2 && end > 0 &&
            entry->d_name[end] == '\0')
            note(ret, index, segment);
    }
    (void)closedir(dir);
    return ERR_OK;
}
