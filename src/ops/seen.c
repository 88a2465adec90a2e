// SPDX-License-Identifier: Apache-2.0
//
// A table with one place for each hash of an identifier: two endpoints that share a place take
// turns in it, which costs accuracy and nothing else. The file is the table's places in order, each
// identifier and time; the writer believes of it only what fits: endpoints that exist, times that
// are not in the future.
#include "ops/seen.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/paths.h"
#include "store/people.h"

enum { PLACES = 4096, ENTRY_LEN = UUID_LEN + 8, EVERY_S = 60, WRITE_MS = 1000 };
// Files: of the admin engine, of the people engine, then of readers.
enum { OF_ADMIN = 0, OF_PEOPLE = 1, OF_READERS = 2, FILES_MAX = 66 };

struct place {
    struct uuid id;
    int64_t seen;
    int64_t told; // what the file or the store has
};

struct seen {
    struct ops_settings set;
    int fd; // our file; the writer has none
    bool due;
    int64_t next_write;         // monotonic ms
    int64_t last_store;         // seconds
    int64_t changed[FILES_MAX]; // ns: when a file, as it was read, was written
    struct place places[PLACES];
};

static void name_of(unsigned file, char out[64])
{
    if (file < OF_READERS)
        (void)snprintf(out, 64, PATH_SEEN_DIR "/%s", file == OF_ADMIN ? "admin" : "people");
    else
        (void)snprintf(out, 64, PATH_SEEN_DIR "/reader-%u", file - OF_READERS);
}

static unsigned file_of(const struct ops_settings *settings)
{
    if (settings->role == OPS_READER)
        return OF_READERS + settings->index;
    return settings->role == OPS_ADMIN ? OF_ADMIN : OF_PEOPLE;
}

enum err seen_open(const struct ops_settings *settings, struct seen **ret)
{
    char name[64];
    struct seen *seen = calloc(1, sizeof *seen);
    if (seen == NULL)
        FAIL(ERR_MEMORY, "no memory for the times of last sight");
    seen->set = *settings;
    seen->fd = -1;
    if (settings->role != OPS_WRITER) {
        name_of(file_of(settings), name);
        enum err err = file_mkdirs(settings->root, PATH_SEEN_DIR);
        if (err == ERR_OK)
            seen->fd = openat(settings->root, name,
                              O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (seen->fd < 0) {
            seen_free(seen);
            return err != ERR_OK ? err : file_raise("open", name);
        }
    }
    *ret = seen;
    return ERR_OK;
}

void seen_free(struct seen *seen)
{
    if (seen == NULL)
        return;
    file_closep(&seen->fd);
    free(seen);
}

static size_t place_of(const struct uuid *id)
{
    // The last bytes of an identifier are random.
    return ((size_t)id->bytes[14] << 8 | id->bytes[15]) % PLACES;
}

void seen_note(struct seen *seen, const struct uuid *id, int64_t now_s)
{
    if (seen == NULL)
        return;
    struct place *place = &seen->places[place_of(id)];
    if (memcmp(&place->id, id, sizeof *id) != 0)
        *place = (struct place){.id = *id};
    place->seen = now_s > place->seen ? now_s : place->seen;
    seen->due = seen->due || place->seen - place->told >= EVERY_S;
}

static bool is_due(const struct place *place)
{
    return place->seen - place->told >= EVERY_S;
}

static bool write_place(const struct seen *seen, size_t i)
{
    uint8_t entry[ENTRY_LEN];
    memcpy(entry, seen->places[i].id.bytes, UUID_LEN);
    for (int k = 0; k < 8; k++)
        entry[UUID_LEN + k] = (uint8_t)((uint64_t)seen->places[i].seen >> (56 - 8 * k));
    return pwrite(seen->fd, entry, sizeof entry, (off_t)(i * ENTRY_LEN)) == ENTRY_LEN;
}

int seen_write(struct seen *seen)
{
    int64_t now = clock_mono_ms();
    if (!seen->due)
        return -1;
    if (now < seen->next_write)
        return (int)(seen->next_write - now);
    seen->next_write = now + WRITE_MS;
    seen->due = false;
    for (size_t i = 0; i < PLACES; i++) {
        if (!is_due(&seen->places[i]))
            continue;
        if (!write_place(seen, i)) {
            log_error("last_seen_not_written", file_raise("write", PATH_SEEN_DIR));
            break;
        }
        seen->places[i].told = seen->places[i].seen;
    }
    return -1;
}

static void take_entry(struct seen *seen, const uint8_t *entry, int64_t now_s)
{
    struct uuid id;
    uint64_t time = 0;
    memcpy(id.bytes, entry, UUID_LEN);
    for (int k = 0; k < 8; k++)
        time = time << 8 | entry[UUID_LEN + k];
    if (!uuid_is_zero(&id) && time > 0 && time <= (uint64_t)now_s)
        seen_note(seen, &id, (int64_t)time);
}

// One file, when it was written since; false when there is none.
static bool read_file(struct seen *seen, unsigned file, int64_t now_s)
{
    char name[64];
    struct stat st;
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, (size_t)PLACES * ENTRY_LEN, false);
    name_of(file, name);
    if (fstatat(seen->set.root, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    int64_t changed = st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec;
    if (changed == seen->changed[file])
        return true;
    seen->changed[file] = changed;
    enum err err = file_read(seen->set.root, name, (size_t)PLACES * ENTRY_LEN, &bytes);
    if (err != ERR_OK)
        log_error("last_seen_not_read", err);
    for (size_t at = 0; err == ERR_OK && at + ENTRY_LEN <= bytes.len; at += ENTRY_LEN)
        take_entry(seen, bytes.data + at, now_s);
    return true;
}

// Whether it is time to store: at once for whom was not seen before, else once a minute.
static bool is_time(const struct seen *seen, int64_t now_s)
{
    bool late = now_s - seen->last_store >= EVERY_S;
    for (size_t i = 0; i < PLACES; i++) {
        if (is_due(&seen->places[i]) && (late || seen->places[i].told == 0))
            return true;
    }
    return false;
}

// ERR_NOT_FOUND for what is neither an endpoint nor a credential of a user.
static enum err check_known(struct store *store, const struct uuid *id, struct arena *arena)
{
    struct store_endpoint endpoint;
    struct store_credential credential;
    enum err err = store_endpoint_get(store, id, arena, &endpoint);
    return err == ERR_NOT_FOUND ? store_credential_get(store, id, arena, &credential) : err;
}

int64_t seen_last(const struct seen *seen, const struct uuid *id)
{
    const struct place *place = &seen->places[place_of(id)];
    return memcmp(&place->id, id, sizeof *id) == 0 ? place->seen : 0;
}

static enum err store_due(struct seen *seen)
{
    CLEANUP(arena_freep) struct arena *arena = NULL;
    TRY(arena_new(4 * 1024 * 1024, &arena));
    for (size_t i = 0; i < PLACES; i++) {
        if (!is_due(&seen->places[i]))
            continue;
        arena_reset(arena);
        enum err err = check_known(seen->set.store, &seen->places[i].id, arena);
        if (err == ERR_NOT_FOUND)
            continue;
        TRY(err);
        TRY(store_seen_put(seen->set.store, &seen->places[i].id, seen->places[i].seen));
    }
    return ERR_OK;
}

enum err seen_collect(struct seen *seen)
{
    int64_t now_s = clock_wall_s();
    for (unsigned i = 0; i < FILES_MAX; i++) {
        if (!read_file(seen, i, now_s) && i >= OF_READERS)
            break;
    }
    if (!seen->due || !is_time(seen, now_s))
        return ERR_OK;
    TRY(store_begin(seen->set.store, STORE_WRITE));
    enum err err = store_due(seen);
    if (err != ERR_OK) {
        store_rollback(seen->set.store);
        return err;
    }
    TRY(store_commit(seen->set.store));
    for (size_t i = 0; i < PLACES; i++) {
        if (is_due(&seen->places[i]))
            seen->places[i].told = seen->places[i].seen;
    }
    seen->due = false;
    seen->last_store = now_s;
    return ERR_OK;
}
