// SPDX-License-Identifier: Apache-2.0
//
// The frame of root-of-trust operations. Invariants: nothing is written before operate_begin has
// settled what an earlier operation left; the state in memory changes only after the commit; an
// operation whose commit's outcome is not known ends the process.
#include "keyring/operate.h"

#include <stdio.h>

#include "base/hex.h"
#include "base/log.h"
#include "keyring/latch.h"
#include "keyring/prover.h"
#include "keyring/verbs.h"

enum { DETAIL_MAX = 600, CHARS_MAX = 1024, PASSWORD_LEN = 32 };

static const struct {
    const char *name;
    enum err (*run)(struct operation *op);
    bool reaches_hsm; // also on a server without one
} operations[KEYRING_OPERATION_END] = {
    [KEYRING_SETUP] = {"setup", op_setup_run},
    [KEYRING_HSM_STATUS] = {"status", op_status_run},
    [KEYRING_HSM_INITIALIZE] = {"initialize", op_initialize_run, true},
    [KEYRING_HSM_CREDENTIAL] = {"set_credential", op_credential_run, true},
    [KEYRING_REVERSE_MIGRATE] = {"reverse_migrate", op_reverse_run},
    [KEYRING_HSM_VERIFY] = {"verify", op_verify_run},
    [KEYRING_OPEN_WALLET] = {"open_wallet", op_status_open},
    [KEYRING_PRE_RESTORE] = {"pre_restore", op_credential_prepare, true},
    [KEYRING_CHANGE_PASSPHRASE] = {"change_passphrase", op_passphrase_run},
    [KEYRING_ROTATE_PASSWORD] = {"rotate_wallet_password", op_rotate_password},
    [KEYRING_ROTATE_MASTER] = {"rotate_master_key", op_rotate_master},
    [KEYRING_CHECK_PASSPHRASE] = {"check_passphrase", op_passphrase_check},
};

json_t *operate_json_text(const char *text)
{
    char copy[CHARS_MAX];
    (void)snprintf(copy, sizeof copy, "%s", text);
    if (!span_is_utf8(span_str(copy))) {
        for (char *c = copy; *c != '\0'; c++) {
            if ((unsigned char)*c >= 0x80)
                *c = '?';
        }
    }
    return json_string(copy);
}

enum err operate_step(struct operation *op, const char *step, enum err err)
{
    char detail[DETAIL_MAX] = "";
    if (err != ERR_OK)
        (void)snprintf(detail, sizeof detail, "%s",
                       err_detail()[0] == '\0' ? err_info(err)->text : err_detail());
    json_t *steps = json_object_get(op->result, "steps");
    json_t *entry = json_pack("{s:s, s:b}", "step", step, "ok", err == ERR_OK);
    (void)json_object_set_new(entry, "detail", operate_json_text(detail));
    (void)json_array_append_new(steps, entry);
    log_event(err == ERR_OK ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "root_step step=\"%s\" error=%s",
              step, err_info(err)->name);
    return err;
}

void operate_after(struct operation *op, const char *step, enum err err)
{
    char text[DETAIL_MAX + 200];
    if (operate_step(op, step, err) == ERR_OK)
        return;
    (void)snprintf(text, sizeof text, "the change was made, but could not %s: %s", step,
                   err_detail());
    if (json_object_get(op->result, "warnings") == NULL)
        (void)json_object_set_new(op->result, "warnings", json_array());
    (void)json_array_append_new(json_object_get(op->result, "warnings"), operate_json_text(text));
}

void operate_forget_latch(struct operation *op)
{
    op->core->pin_refused = false;
    if (latch_is_set(op->core->root))
        operate_after(op, "forget that a credential was refused", latch_clear(op->core->root));
}

bool operate_has_secret(const struct operation *op, const char *name)
{
    for (size_t i = 0; i < op->secret_count; i++) {
        if (strcmp(op->secrets[i].name, name) == 0 && op->secrets[i].value.len > 0)
            return true;
    }
    return false;
}

enum err operate_secret(const struct operation *op, const char *name, struct span *ret)
{
    for (size_t i = 0; i < op->secret_count; i++) {
        if (strcmp(op->secrets[i].name, name) == 0 && op->secrets[i].value.len > 0) {
            *ret = op->secrets[i].value;
            return ERR_OK;
        }
    }
    FAIL(ERR_MISSING_DATA, "\"%s\" was not given", name);
}

enum err operate_credential(const struct operation *op, struct span *ret)
{
    TRY(operate_secret(op, "credential", ret));
    if (ret->len > HSM_CREDENTIAL_MAX)
        FAIL(ERR_INVALID, "the HSM credential has %zu characters but may have at most %d", ret->len,
             HSM_CREDENTIAL_MAX);
    return ERR_OK;
}

enum err operate_check_new_passphrase(struct span passphrase)
{
    size_t chars = 0;
    bool varied = false;
    if (!span_is_utf8(passphrase) || passphrase.len > VERB_SECRET_MAX)
        FAIL(ERR_INVALID, "the recovery passphrase is not UTF-8 text or is too long");
    for (size_t i = 0; i < passphrase.len; i++) {
        chars += (passphrase.data[i] & 0xc0) != 0x80;
        varied = varied || passphrase.data[i] != passphrase.data[0];
    }
    if (chars < PASSPHRASE_MIN_CHARS || !varied)
        FAIL(ERR_INVALID,
             "the recovery passphrase is too weak: give %d characters or more, not all the same",
             PASSPHRASE_MIN_CHARS);
    return ERR_OK;
}

enum err operate_text(const struct operation *op, const char *name, const char **ret)
{
    const json_t *value = json_object_get(op->params, name);
    *ret = NULL;
    if (value == NULL || json_is_null(value))
        return ERR_OK;
    if (!json_is_string(value))
        FAIL(ERR_INVALID, "\"%s\" must be a text", name);
    *ret = json_string_value(value);
    return ERR_OK;
}

enum err operate_flag(const struct operation *op, const char *name, bool fallback, bool *ret)
{
    const json_t *value = json_object_get(op->params, name);
    *ret = fallback;
    if (value == NULL || json_is_null(value))
        return ERR_OK;
    if (!json_is_boolean(value))
        FAIL(ERR_INVALID, "\"%s\" must be true or false", name);
    *ret = json_is_true(value);
    return ERR_OK;
}

enum err operate_settings(const struct operation *op, struct hsm_settings *ret)
{
    const char *vendor = NULL;
    const char *label = NULL;
    bool use_label = false;
    TRY(hsm_settings_load(op->core->root, ret));
    TRY(operate_text(op, "vendor", &vendor));
    TRY(operate_text(op, "token_label", &label));
    TRY(operate_flag(op, "use_token_label", label != NULL || ret->use_label, &use_label));
    // Nothing said of a label: the one that is configured stays.
    if (label == NULL && use_label)
        label = ret->label;
    TRY(hsm_settings_choose(op->core->root, vendor, use_label, label == NULL ? "" : label, ret));
    ret->attended = true;
    return ERR_OK;
}

void operate_tell_token(struct operation *op, const struct hsm_token *token)
{
    const struct {
        const char *key;
        const char *value;
    } fields[] = {
        {"type", token->label},
        {"token_label", token->label},
        {"manufacturer", token->manufacturer},
        {"model", token->model},
        {"serial", token->serial},
        {"firmware", token->firmware},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        (void)json_object_set_new(op->result, fields[i].key, operate_json_text(fields[i].value));
}

enum err operate_try_token(struct operation *op, const struct hsm_settings *settings,
                           struct span credential, const char *trace)
{
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    struct hsm_token token;
    TRY(hsm_open(op->core->root, settings, credential, trace, &hsm));
    TRY(hsm_token_info(hsm, &token));
    operate_tell_token(op, &token);
    return ERR_OK;
}

enum err operate_begin(struct operation *op, const char *name, struct operate_change *change)
{
    struct journal *journal = &change->journal;
    TRY(core_check_places(op->core));
    TRY(core_load(op->core));
    change->record = op->core->record;
    journal->operation = uuid_random();
    (void)snprintf(journal->name, sizeof journal->name, "%s", name);
    journal->generation = op->core->has_record ? op->core->record.generation + 1 : 1;
    change->record.operation = journal->operation;
    change->record.generation = journal->generation;
    for (int i = 0; i < ROOT_HASHED_COUNT; i++) {
        if (journal->remove[i])
            rootrec_note(&change->record, (enum root_file)i, (struct span){NULL, 0});
    }
    char id[UUID_TEXT_LEN + 1];
    uuid_text(&journal->operation, id);
    (void)json_object_set_new(op->result, "operation", json_string(id));
    log_event(LOG_LEVEL_INFO, "root_operation_begun name=%s operation=%s generation=%u", name, id,
              journal->generation);
    // Left by an operation whose settling failed: it must end before the next one writes a journal.
    enum journal_outcome outcome = JOURNAL_CLEAN;
    char left[JOURNAL_NAME_MAX + 1];
    TRY(journal_recover(op->core->root, &outcome, left));
    change->open = true;
    return journal_begin(op->core->root, journal);
}

enum err operate_stage(struct operation *op, struct operate_change *change, enum root_file file,
                       struct span bytes)
{
    TRY(journal_stage(op->core->root, &change->journal, file, bytes));
    rootrec_note(&change->record, file, bytes);
    return ERR_OK;
}

enum err operate_stage_settings(struct operation *op, struct operate_change *change,
                                const struct hsm_settings *settings)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 1 << 17, false);
    TRY(hsm_settings_text(op->core->root, settings, &text));
    return journal_stage_settings(op->core->root, &change->journal, span_buf(&text));
}

enum err operate_stage_wallet(struct operation *op, struct operate_change *change,
                              enum root_file file, const struct wallet *wallet,
                              struct span password, int iterations)
{
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, WALLET_FILE_MAX, false);
    TRY(wallet_encode(wallet, password, iterations, &bytes));
    return operate_stage(op, change, file, span_buf(&bytes));
}

enum err operate_stage_autologin(struct operation *op, struct operate_change *change,
                                 const struct wallet *wallet)
{
    struct buf plain CLEANUP(buf_done);
    struct buf bytes CLEANUP(buf_done);
    buf_init(&plain, AUTOLOGIN_FILE_MAX, true);
    buf_init(&bytes, AUTOLOGIN_FILE_MAX, true);
    TRY(wallet_pack(wallet, &plain));
    TRY(autologin_encode(AUTOLOGIN_TDE, &change->record.server, span_buf(&plain), &bytes));
    return operate_stage(op, change, ROOT_TDE_AUTOLOGIN, span_buf(&bytes));
}

enum err operate_stage_credential(struct operation *op, struct operate_change *change,
                                  enum root_file file, enum autologin_kind kind,
                                  struct span credential)
{
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, AUTOLOGIN_FILE_MAX, true);
    TRY(autologin_encode(kind, &change->record.server, credential, &bytes));
    return operate_stage(op, change, file, span_buf(&bytes));
}

enum err operate_new_password(struct secret **ret)
{
    CLEANUP(secret_freep) struct secret *bytes = NULL;
    TRY(secret_random(PASSWORD_LEN, &bytes));
    TRY(secret_new((size_t)2 * PASSWORD_LEN, ret));
    hex_digits(secret_span(bytes), (char *)(*ret)->data);
    return ERR_OK;
}

enum err operate_stage_password(struct operation *op, struct operate_change *change,
                                struct password_header *header, struct span sealed_dek,
                                struct span dek, struct span password)
{
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, PASSWORD_FILE_MAX, false);
    header->server = change->record.server;
    header->generation = change->record.generation;
    TRY(password_encode(header, sealed_dek, dek, password, &bytes));
    return operate_stage(op, change, ROOT_HSM_PASSWORD, span_buf(&bytes));
}

static enum err commit_record(struct operation *op, struct operate_change *change)
{
    bool unsure = false;
    enum err err = journal_commit(op->core->root, &change->journal, &unsure);
    if (unsure) {
        op->core->must_stop = true;
        change->open = false;
        op->unsure = true;
        (void)json_object_set_new(op->result, "outcome", json_string("unknown"));
        FAIL(err, "the disk failed while the change was committed: the server restarts to find out "
                  "whether it was");
    }
    return err;
}

enum err operate_commit(struct operation *op, struct operate_change *change, struct wallet **wallet,
                        unsigned ways, struct span passphrase)
{
    struct core *core = op->core;
    enum err err = rootrec_prove(&change->record, *wallet);
    if (err == ERR_OK)
        err = journal_stage_record(core->root, &change->journal, &change->record);
    TRY(operate_step(op, "write the new files beside the old", err));
    TRY(operate_step(op, "open the new files in a fresh process",
                     prover_ask(core, &change->journal.operation, ways, passphrase)));
    TRY(operate_step(op, "commit", commit_record(op, change)));
    change->open = false;
    op->committed = true;
    err = journal_settle(core->root, &change->journal);
    core_adopt(core, &change->record, wallet);
    (void)json_object_set_new(op->result, "committed", json_true());
    (void)json_object_set_new(op->result, "generation",
                              json_integer((json_int_t)core->record.generation));
    operate_after(op, "put the new files in place and remove the old", err);
    return ERR_OK;
}

enum err operate_undo(struct operation *op, struct operate_change *change, enum err err)
{
    char detail[DETAIL_MAX];
    if (err == ERR_OK || !change->open)
        return err;
    (void)snprintf(detail, sizeof detail, "%s", err_detail());
    enum err undone = journal_abort(op->core->root, &change->journal);
    if (undone != ERR_OK)
        log_error("root_operation_not_undone", undone);
    change->open = false;
    FAIL(err, "%s", detail);
}

static enum err parse_params(struct operation *op, struct span doc)
{
    json_error_t error;
    if (doc.len == 0) {
        op->params = json_object();
        return ERR_OK;
    }
    op->params = json_loadb((const char *)doc.data, doc.len, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(op->params))
        FAIL(ERR_INVALID, "the parameters are not a JSON object");
    return operate_flag(op, "dry_run", false, &op->dry_run);
}

static enum err write_result(const struct operation *op, struct buf *out)
{
    char *text = json_dumps(op->result, JSON_COMPACT);
    if (text == NULL)
        FAIL(ERR_MEMORY, "no memory for the result");
    enum err err = buf_put_str(out, text);
    free(text);
    return err;
}

enum err operate_tell_steps(const struct core *core, struct buf *out)
{
    if (core->under_way == NULL)
        return ERR_OK;
    const json_t *result = core->under_way->result;
    json_t *told = json_pack("{s:O, s:O}", "name", json_object_get(result, "name"), "steps",
                             json_object_get(result, "steps"));
    char *text = told == NULL ? NULL : json_dumps(told, JSON_COMPACT);
    json_decref(told);
    if (text == NULL)
        FAIL(ERR_MEMORY, "no memory for the steps of an operation");
    enum err err = buf_put_str(out, text);
    free(text);
    return err;
}

enum err operate_run(struct core *core, enum keyring_operation operation, struct span doc,
                     const struct keyring_secret *secrets, size_t secret_count, struct buf *ret_doc,
                     bool *ret_unsure)
{
    char detail[DETAIL_MAX];
    *ret_unsure = false;
    if (operation < KEYRING_SETUP || operation >= KEYRING_OPERATION_END)
        FAIL(ERR_OPERATION, "there is no root-of-trust operation %d", (int)operation);
    struct operation op = {.core = core, .secrets = secrets, .secret_count = secret_count};
    op.result = json_pack("{s:s, s:[]}", "name", operations[operation].name, "steps");
    if (op.result == NULL)
        FAIL(ERR_MEMORY, "no memory for the result");
    enum err err = parse_params(&op, doc);
    if (op.dry_run)
        (void)json_object_set_new(op.result, "dry_run", json_true());
    if (err == ERR_OK && operations[operation].reaches_hsm)
        core_make_ram(core);
    core->under_way = &op;
    if (err == ERR_OK)
        err = operations[operation].run(&op);
    core->under_way = NULL;
    (void)snprintf(detail, sizeof detail, "%s", err_detail());
    enum err written = write_result(&op, ret_doc);
    json_decref(op.params);
    json_decref(op.result);
    err = err == ERR_OK ? written : err;
    *ret_unsure = err != ERR_OK && (op.unsure || op.committed);
    if (err == ERR_OK)
        return ERR_OK;
    FAIL(err, "%s", detail);
}
