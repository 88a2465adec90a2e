// SPDX-License-Identifier: Apache-2.0
//
// The file is a head and the rows as they stand in memory: it is read by this machine alone, and a
// file of another release, whose rows differ, is begun anew.
#include "ops/count.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/paths.h"

#define KMIP_ROW(id, ...) VERB_##id,
static const enum verb kmip_verbs[] = {API_KMIP_VERBS(KMIP_ROW)};

enum {
    KMIP_ROWS = sizeof kmip_verbs / sizeof *kmip_verbs,
    ROWS = KMIP_ROWS + 1,
    READERS_MAX = 64,
    WRITE_MS = 1000,
    MAGIC = 0x4b574331 // "KWC1"
};

const uint32_t count_ends_us[COUNT_BUCKETS - 1] = {50,   100,   250,    1000,
                                                   5000, 25000, 100000, 1000000};

struct table {
    uint32_t magic;
    uint32_t rows;
    struct count_row row[ROWS];
};

struct counts {
    int fd;
    bool due;
    int64_t next_write; // monotonic ms
    struct table table;
};

struct count_sums {
    struct count_row row[ROWS];
};

static void name_of(enum ops_role role, unsigned index, char out[64])
{
    static const char *const names[] = {
        [OPS_READER] = "reader",
        [OPS_WRITER] = "writer",
        [OPS_ADMIN] = "admin",
        [OPS_PEOPLE] = "people",
    };
    (void)snprintf(out, 64, PATH_METRICS_DIR "/%s-%u", names[role], index);
}

static bool read_table(int root, enum ops_role role, unsigned index, struct table *ret)
{
    char name[64];
    struct table table;
    name_of(role, index, name);
    CLEANUP(file_closep) int fd = openat(root, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || pread(fd, &table, sizeof table, 0) != (ssize_t)sizeof table ||
        table.magic != MAGIC || table.rows != ROWS)
        return false;
    *ret = table;
    return true;
}

enum err count_open(const struct ops_settings *settings, struct counts **ret)
{
    char name[64];
    struct counts *counts = calloc(1, sizeof *counts);
    if (counts == NULL)
        FAIL(ERR_MEMORY, "no memory for counts");
    if (!read_table(settings->root, settings->role, settings->index, &counts->table))
        counts->table = (struct table){.magic = MAGIC, .rows = ROWS};
    name_of(settings->role, settings->index, name);
    counts->fd = -1;
    enum err err = file_mkdirs(settings->root, PATH_METRICS_DIR);
    if (err == ERR_OK)
        counts->fd =
            openat(settings->root, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (counts->fd < 0)
        log_error("counts_not_kept", err != ERR_OK ? err : file_raise("open", name));
    *ret = counts;
    return ERR_OK;
}

void count_free(struct counts *counts)
{
    if (counts == NULL)
        return;
    file_closep(&counts->fd);
    free(counts);
}

static size_t row_of(enum verb verb)
{
    for (size_t i = 0; i < KMIP_ROWS; i++) {
        if (kmip_verbs[i] == verb)
            return i;
    }
    return KMIP_ROWS;
}

void count_note(struct counts *counts, enum verb verb, enum err outcome, uint64_t us)
{
    struct count_row *row = &counts->table.row[row_of(verb)];
    size_t bucket = 0;
    while (bucket < COUNT_BUCKETS - 1 && us > count_ends_us[bucket])
        bucket++;
    row->buckets[bucket]++;
    row->microseconds += us;
    if (outcome == ERR_OK)
        row->done++;
    else if (err_info(outcome)->shown)
        row->refused++;
    else
        row->failed++;
    counts->due = true;
}

int count_write(struct counts *counts)
{
    if (!counts->due || counts->fd < 0)
        return -1;
    int64_t now = clock_mono_ms();
    if (now < counts->next_write)
        return (int)(counts->next_write - now);
    counts->next_write = now + WRITE_MS;
    counts->due = false;
    if (pwrite(counts->fd, &counts->table, sizeof counts->table, 0) !=
        (ssize_t)sizeof counts->table)
        log_error("counts_not_written", file_raise("write", PATH_METRICS_DIR));
    return -1;
}

static void add(struct count_sums *sums, const struct table *table)
{
    for (size_t i = 0; i < ROWS; i++) {
        sums->row[i].done += table->row[i].done;
        sums->row[i].refused += table->row[i].refused;
        sums->row[i].failed += table->row[i].failed;
        sums->row[i].microseconds += table->row[i].microseconds;
        for (size_t k = 0; k < COUNT_BUCKETS; k++)
            sums->row[i].buckets[k] += table->row[i].buckets[k];
    }
}

enum err count_sum(int root, struct arena *arena, struct count_sums **ret)
{
    struct count_sums *sums = NULL;
    struct table table;
    TRY(arena_alloc(arena, 1, sizeof *sums, &sums));
    memset(sums, 0, sizeof *sums);
    for (unsigned i = 0; i < READERS_MAX; i++) {
        if (read_table(root, OPS_READER, i, &table))
            add(sums, &table);
    }
    for (int role = OPS_WRITER; role <= OPS_PEOPLE; role++) {
        if (read_table(root, (enum ops_role)role, 0, &table))
            add(sums, &table);
    }
    *ret = sums;
    return ERR_OK;
}

bool count_at(const struct count_sums *sums, size_t index, const char **ret_name,
              const struct count_row **ret_row)
{
    if (index >= ROWS)
        return false;
    *ret_name = index == KMIP_ROWS ? "administration" : verb_name(kmip_verbs[index]);
    *ret_row = &sums->row[index];
    return true;
}
