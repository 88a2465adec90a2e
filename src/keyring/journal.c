// SPDX-License-Identifier: Apache-2.0
//
// Intent, stage, commit, settle, abort, recover. Invariants: the journal is on disk before anything
// else is written and goes last; documented files change only after the commit, and only once its
// rename is durable; each is put in place and removed durably (its directory fsynced) before the
// journal is removed.
#include "keyring/journal.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/file.h"
#include "base/kv.h"
#include "base/log.h"
#include "base/paths.h"

#define FORMAT "keyward-journal-1"

enum { TEXT_MAX = 8192 };

static enum err put_files(const bool marked[ROOT_FILE_COUNT], const char *key, struct buf *out)
{
    for (int i = 0; i < ROOT_FILE_COUNT; i++) {
        if (marked[i])
            TRY(buf_printf(out, "%s=%s\n", key, rootfile_name((enum root_file)i)));
    }
    return ERR_OK;
}

static struct orphan left_by(const struct journal *j)
{
    struct orphan left = j->left;
    left.operation = j->operation;
    return left;
}

static enum err put_text(const struct journal *j, struct buf *out)
{
    struct orphan left = left_by(j);
    char id[UUID_TEXT_LEN + 1];
    uuid_text(&j->operation, id);
    TRY(buf_printf(out, "format=" FORMAT "\noperation=%s\nname=%s\ngeneration=%u\n", id, j->name,
                   j->generation));
    TRY(put_files(j->put, "put", out));
    TRY(put_files(j->remove, "remove", out));
    TRY(buf_printf(out, "key_pending=%u\n", j->key_pending ? 1U : 0U));
    for (size_t i = 0; i < j->key_count; i++)
        TRY(buf_printf(out, "key_number=%u\n", j->keys[i]));
    if (left.number != 0)
        TRY(orphan_put(&left, out));
    return rootfile_seal_text(out);
}

static enum err take_files(struct span *text, const char *key, bool marked[ROOT_FILE_COUNT])
{
    while (rootfile_next_is(*text, key)) {
        struct span value;
        enum root_file file = ROOT_FILE_COUNT;
        TRY(rootfile_take(text, key, &value));
        TRY(rootfile_find(value, &file));
        marked[file] = true;
    }
    return ERR_OK;
}

static enum err take_keys(struct span *text, struct journal *j)
{
    uint32_t pending = 0;
    TRY(rootfile_take_u32(text, "key_pending", &pending));
    j->key_pending = pending != 0;
    while (rootfile_next_is(*text, "key_number")) {
        if (j->key_count == JOURNAL_KEYS_MAX)
            FAIL(ERR_DAMAGED, "the journal names too many keys");
        TRY(rootfile_take_u32(text, "key_number", &j->keys[j->key_count++]));
    }
    return ERR_OK;
}

static enum err take_text(struct span text, struct journal *j)
{
    struct span value;
    TRY(rootfile_take(&text, "format", &value));
    if (!span_eq_str(value, FORMAT))
        FAIL(ERR_DAMAGED, "the journal's format is not known to this release");
    TRY(rootfile_take(&text, "operation", &value));
    TRY(uuid_parse(value, &j->operation));
    TRY(rootfile_take(&text, "name", &value));
    if (value.len > JOURNAL_NAME_MAX)
        FAIL(ERR_DAMAGED, "the operation's name is too long");
    memcpy(j->name, value.data, value.len);
    TRY(rootfile_take_u32(&text, "generation", &j->generation));
    TRY(take_files(&text, "put", j->put));
    TRY(take_files(&text, "remove", j->remove));
    TRY(take_keys(&text, j));
    if (text.len != 0)
        TRY(orphan_take(&text, &j->left));
    if (text.len != 0)
        FAIL(ERR_DAMAGED, "the journal goes on after its end");
    return ERR_OK;
}

static enum err load(int root, struct journal *ret)
{
    struct buf text CLEANUP(buf_done);
    struct span body;
    struct journal journal = {0};
    buf_init(&text, TEXT_MAX, false);
    TRY(file_read_private(root, PATH_ROOT_JOURNAL, TEXT_MAX, &text));
    TRY(rootfile_open_text(span_buf(&text), PATH_ROOT_JOURNAL, &body));
    TRY(take_text(body, &journal));
    *ret = journal;
    return ERR_OK;
}

// staging/<operation>, or a path below it.
static void staging_path(const struct uuid *operation, const char *below,
                         char out[JOURNAL_PATH_MAX])
{
    char id[UUID_TEXT_LEN + 1];
    uuid_text(operation, id);
    (void)snprintf(out, JOURNAL_PATH_MAX, "%s/%s%s%s", PATH_STAGING_DIR, id,
                   below == NULL ? "" : "/", below == NULL ? "" : below);
}

enum err journal_update(int root, const struct journal *journal)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, TEXT_MAX, false);
    TRY(put_text(journal, &text));
    return file_write(root, PATH_ROOT_JOURNAL, span_buf(&text));
}

enum err journal_begin(int root, const struct journal *journal)
{
    char path[JOURNAL_PATH_MAX];
    staging_path(&journal->operation, NULL, path);
    TRY(file_mkdirs(root, PATH_STAGING_DIR));
    TRY(journal_update(root, journal));
    return file_mkdirs(root, path);
}

static enum err stage(int root, const struct journal *journal, const char *below, struct span bytes)
{
    char path[JOURNAL_PATH_MAX];
    staging_path(&journal->operation, below, path);
    TRY(file_make_parent(root, path));
    return file_write(root, path, bytes);
}

enum err journal_stage(int root, const struct journal *journal, enum root_file file,
                       struct span bytes)
{
    if (!journal->put[file])
        FAIL(ERR_INTERNAL, "the journal does not name \"%s\"", rootfile_path(file));
    return stage(root, journal, rootfile_path(file), bytes);
}

enum err journal_stage_settings(int root, const struct journal *journal, struct span security_conf)
{
    struct buf vendor CLEANUP(buf_done);
    buf_init(&vendor, KV_FILE_LIMIT, false);
    TRY(journal_stage(root, journal, ROOT_CONF, security_conf));
    if (!file_exists(root, PATH_HSM_CONF))
        return ERR_OK;
    TRY(file_read(root, PATH_HSM_CONF, KV_FILE_LIMIT, &vendor));
    return stage(root, journal, PATH_HSM_CONF, span_buf(&vendor));
}

enum err journal_stage_record(int root, const struct journal *journal,
                              const struct root_record *record)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, ROOTREC_TEXT_MAX, false);
    TRY(rootrec_text(record, &text));
    return stage(root, journal, PATH_ROOT_RECORD, span_buf(&text));
}

enum err journal_open_staging(int root, const struct uuid *operation, int *ret_fd)
{
    char path[JOURNAL_PATH_MAX];
    staging_path(operation, NULL, path);
    int fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return file_raise("open the directory", path);
    *ret_fd = fd;
    return ERR_OK;
}

static enum err is_committed(int root, const struct journal *journal, bool *ret)
{
    struct root_record record;
    enum err err = rootrec_load(root, &record);
    *ret = false;
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(err);
    *ret = memcmp(record.operation.bytes, journal->operation.bytes, UUID_LEN) == 0;
    return ERR_OK;
}

enum err journal_commit(int root, const struct journal *journal, bool *ret_unsure)
{
    char path[JOURNAL_PATH_MAX];
    staging_path(&journal->operation, PATH_ROOT_RECORD, path);
    *ret_unsure = false;
    enum err err = file_rename(root, path, PATH_ROOT_RECORD);
    if (err == ERR_OK)
        return ERR_OK;
    log_error("root_commit_failed", err);
    bool committed = false;
    if (is_committed(root, journal, &committed) != ERR_OK || committed)
        *ret_unsure = true;
    FAIL(err, "the root record could not be replaced");
}

// Renaming and removing fsync the directory also where there is nothing left to do: a run that was
// killed may have done it without.
static enum err sync_place(int root, const char *path)
{
    enum err err = file_fsync_parent(root, path);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err settle_put(int root, const struct journal *journal, enum root_file file)
{
    char path[JOURNAL_PATH_MAX];
    staging_path(&journal->operation, rootfile_path(file), path);
    if (!file_exists(root, path))
        return sync_place(root, rootfile_path(file));
    TRY(file_make_parent(root, rootfile_path(file)));
    return file_rename(root, path, rootfile_path(file));
}

static enum err settle_remove(int root, enum root_file file)
{
    TRY(file_remove(root, rootfile_path(file)));
    return sync_place(root, rootfile_path(file));
}

static enum err finish(int root, const struct journal *journal)
{
    char path[JOURNAL_PATH_MAX];
    staging_path(&journal->operation, NULL, path);
    TRY(file_mkdirs(root, PATH_STAGING_DIR));
    TRY(file_remove_tree(root, path));
    return file_remove(root, PATH_ROOT_JOURNAL);
}

static enum err add_orphans(int root, const struct journal *journal, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct orphan orphan = {.operation = journal->operation, .number = journal->keys[i]};
        TRY(orphan_add(root, &orphan));
    }
    if (journal->key_pending) {
        const struct orphan orphan = {.operation = journal->operation};
        TRY(orphan_add(root, &orphan));
    }
    return ERR_OK;
}

enum err journal_settle(int root, const struct journal *journal)
{
    struct orphan left = left_by(journal);
    for (int i = 0; i < ROOT_FILE_COUNT; i++) {
        if (journal->put[i])
            TRY(settle_put(root, journal, (enum root_file)i));
    }
    for (int i = 0; i < ROOT_FILE_COUNT; i++) {
        if (journal->remove[i])
            TRY(settle_remove(root, (enum root_file)i));
    }
    // The last key made is the one in use; those before it were ambiguous and passed over.
    TRY(add_orphans(root, journal, journal->key_count > 0 ? journal->key_count - 1 : 0));
    if (left.number != 0)
        TRY(orphan_add(root, &left));
    return finish(root, journal);
}

enum err journal_abort(int root, const struct journal *journal)
{
    TRY(add_orphans(root, journal, journal->key_count));
    return finish(root, journal);
}

enum err journal_recover(int root, enum journal_outcome *ret, char ret_name[JOURNAL_NAME_MAX + 1])
{
    struct journal journal;
    bool committed = false;
    *ret = JOURNAL_CLEAN;
    ret_name[0] = '\0';
    if (!file_exists(root, PATH_ROOT_JOURNAL))
        return ERR_OK;
    TRY(load(root, &journal));
    memcpy(ret_name, journal.name, sizeof journal.name);
    TRY(is_committed(root, &journal, &committed));
    // The record that is read may be a rename that a power cut still takes back, and what it
    // replaces would be gone for good.
    if (committed)
        TRY(file_fsync_parent(root, PATH_ROOT_RECORD));
    if (committed)
        TRY(journal_settle(root, &journal));
    else
        TRY(journal_abort(root, &journal));
    *ret = committed ? JOURNAL_SETTLED : JOURNAL_ABORTED;
    return ERR_OK;
}
