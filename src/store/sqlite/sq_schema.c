// SPDX-License-Identifier: Apache-2.0
//
// Migration, step by step. Invariant: a step and the rise of schema_version commit together, and
// two processes that open the file at once do not both run it, since the version is read again
// inside the write transaction.
#include "store/sqlite/sq_schema.h"

static enum err first_int(struct sq_db *db, const char *sql, int64_t *ret)
{
    struct sq_call call CLEANUP(sq_call_done) = {0};
    bool row = false;
    TRY(sq_call_start_text(db, sql, &call));
    TRY(sq_call_step(&call, &row));
    *ret = row ? sq_call_get_int(&call) : 0;
    return ERR_OK;
}

// 0: no schema yet.
static enum err find_version(struct sq_db *db, int64_t *ret)
{
    int64_t tables = 0;
    TRY(first_int(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'", &tables));
    *ret = 0;
    if (tables == 0)
        return ERR_OK;
    return first_int(db, "SELECT version FROM schema_version", ret);
}

static enum err check_newer(int64_t version)
{
    if (version > STORE_SCHEMA)
        FAIL(ERR_VERSION,
             "the store has schema %lld but this release knows %d: run the release that made it",
             (long long)version, STORE_SCHEMA);
    return ERR_OK;
}

// One step inside the write transaction; *ret_done when there was none to do.
static enum err step(struct sq_db *db, bool *ret_done)
{
    int64_t version = 0;
    TRY(find_version(db, &version));
    TRY(check_newer(version));
    *ret_done = version == STORE_SCHEMA;
    if (*ret_done)
        return ERR_OK;
    TRY(sq_db_script(db, sq_schema_steps[version]));
    int64_t reached = 0;
    TRY(find_version(db, &reached));
    if (reached != version + 1)
        FAIL(ERR_INTERNAL, "a schema step did not raise the version");
    return ERR_OK;
}

enum err sq_schema_migrate(struct sq_db *db)
{
    for (bool done = false; !done;) {
        int64_t version = 0;
        TRY(find_version(db, &version));
        TRY(check_newer(version));
        if (version == STORE_SCHEMA)
            return ERR_OK;
        TRY(sq_db_begin(db, STORE_WRITE));
        enum err err = step(db, &done);
        if (err == ERR_OK)
            err = sq_db_commit(db);
        if (err != ERR_OK) {
            sq_db_rollback(db, STORE_WRITE);
            return err;
        }
    }
    return ERR_OK;
}

enum err sq_schema_check(struct sq_db *db)
{
    int64_t version = 0;
    TRY(find_version(db, &version));
    TRY(check_newer(version));
    if (version == 0)
        FAIL(ERR_NOT_FOUND, "the store has not been made yet");
    if (version != STORE_SCHEMA)
        FAIL(ERR_VERSION, "the store has schema %lld and waits for the writer to bring it to %d",
             (long long)version, STORE_SCHEMA);
    return ERR_OK;
}
