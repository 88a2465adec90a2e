// SPDX-License-Identifier: Apache-2.0
// The floor under a durable Create: how many rows a second SQLite alone inserts when each has a
// transaction of its own that is on the disk before the next begins (WAL, synchronous=FULL). The
// table is the cheapest there is: an integer key and a body of random bytes. The database is a
// new one in --dir and is removed afterwards. Prints one JSON object.
#include "measure.h"

#include <getopt.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BODY_MAX = 65536 };

static void die(sqlite3 *db, const char *what)
{
    fprintf(stderr, "sqlitefloor: %s: %s\n", what, db != NULL ? sqlite3_errmsg(db) : "no database");
    exit(1);
}

static void execute(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        die(db, sql);
    }
}

static void insert(sqlite3 *db, double seconds, int bytes, struct measure_latency *latency)
{
    static unsigned char body[BODY_MAX];
    uint64_t begin = measure_now_ns();
    uint64_t end = begin + (uint64_t)(seconds * 1e9);
    double cpu = measure_own_cpu_us();
    uint64_t now = begin;
    sqlite3_stmt *st = NULL;

    if (sqlite3_prepare_v2(db, "INSERT INTO object(body) VALUES(?1)", -1, &st, NULL) != SQLITE_OK) {
        die(db, "could not prepare the insert");
    }
    sqlite3_randomness(bytes, body);
    while (now < end) {
        uint64_t before = now;

        body[0]++;
        if (sqlite3_bind_blob(st, 1, body, bytes, SQLITE_STATIC) != SQLITE_OK ||
            sqlite3_step(st) != SQLITE_DONE || sqlite3_reset(st) != SQLITE_OK) {
            die(db, "could not insert");
        }
        now = measure_now_ns();
        measure_add(latency, now - before);
    }
    sqlite3_finalize(st);
    printf("{\"inserts\": %llu, \"seconds\": %.3f, \"inserts_per_s\": %.1f, \"p50_us\": %.1f, "
           "\"p99_us\": %.1f, \"cpu_us_per_insert\": %.1f}\n",
           (unsigned long long)latency->count, (double)(now - begin) / 1e9,
           (double)latency->count * 1e9 / (double)(now - begin), measure_quantile_us(latency, 500),
           measure_quantile_us(latency, 990),
           (measure_own_cpu_us() - cpu) / (double)latency->count);
}

static void remove_database(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char name[4200];

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

static const struct option options[] = {
    {"dir", required_argument, NULL, 'd'},
    {"seconds", required_argument, NULL, 's'},
    {"bytes", required_argument, NULL, 'b'},
    {NULL, 0, NULL, 0},
};

int main(int argc, char **argv)
{
    static struct measure_latency latency;
    const char *dir = ".";
    double seconds = 3;
    int bytes = 600, option;
    char path[4096];
    sqlite3 *db = NULL;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'd':
            dir = optarg;
            break;
        case 's':
            seconds = atof(optarg);
            break;
        case 'b':
            bytes = atoi(optarg);
            break;
        default:
            fputs("usage: sqlitefloor [--dir DIR] [--seconds S] [--bytes N]\n", stderr);
            return 2;
        }
    }
    if (!(seconds > 0) || bytes < 1 || bytes > BODY_MAX) {
        fputs("sqlitefloor: --seconds must be above 0, --bytes from 1 to 65536\n", stderr);
        return 2;
    }
    snprintf(path, sizeof(path), "%s/sqlitefloor-%ld.db", dir, (long)getpid());
    if (sqlite3_open(path, &db) != SQLITE_OK) {
        die(db, path);
    }
    execute(db, "PRAGMA journal_mode=WAL");
    execute(db, "PRAGMA synchronous=FULL");
    execute(db, "CREATE TABLE object(id INTEGER PRIMARY KEY, body BLOB NOT NULL)");
    insert(db, seconds, bytes, &latency);
    sqlite3_close(db);
    remove_database(path);
    return 0;
}
