// SPDX-License-Identifier: Apache-2.0
//
// Verify (contract B8): says why the status is red. Every file of the root record, the settings,
// the latch, the HSM with the real blob, root keys on the token, and what failed operations left.
// Each check that fails says what to do.
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/paths.h"
#include "keyring/latch.h"
#include "keyring/operate.h"
#include "keyring/orphan.h"
#include "keyring/places.h"
#include "keyring/ram.h"

enum { LIST_MAX = 1 << 20, TEXT_MAX = 512 };

static void note(struct operation *op, const char *check, bool ok, const char *detail,
                 const char *fix)
{
    json_t *checks = json_object_get(op->result, "checks");
    json_t *entry =
        json_pack("{s:s, s:b, s:s?, s:s}", "check", check, "ok", ok, "detail",
                  span_is_utf8(span_str(detail)) ? detail : "(not readable)", "fix", fix);
    if (entry != NULL)
        (void)json_array_append_new(checks, entry);
    if (!ok)
        (void)json_object_set_new(op->result, "healthy", json_false());
}

static void note_err(struct operation *op, const char *check, enum err err, const char *fix)
{
    note(op, check, err == ERR_OK, err == ERR_OK ? "" : err_message(err), err == ERR_OK ? "" : fix);
}

static void check_files(struct operation *op)
{
    const struct opener o = {op->core->root, -1};
    for (int i = 0; i < ROOT_HASHED_COUNT; i++) {
        enum root_file file = (enum root_file)i;
        struct buf bytes CLEANUP(buf_done);
        buf_init(&bytes, WALLET_FILE_MAX, true);
        if (op->core->record.present[i])
            note_err(op, rootfile_path(file),
                     opener_read(&o, &op->core->record, file, WALLET_FILE_MAX, &bytes),
                     rootfile_remedy(file));
        else if (file_exists(op->core->root, rootfile_path(file)))
            note(op, rootfile_path(file), false, "the file should not be there in this mode",
                 "remove it");
    }
}

// Told where one is wrong.
static void check_places(struct operation *op)
{
    enum err err = op->core->record.hsm ? ram_check(op->core->root) : ERR_OK;
    if (err != ERR_OK)
        note_err(op, PATH_RAM_DIR, err, "correct its owner and mode");
    for (size_t i = 0; i < places_count(); i++) {
        err = places_check_one(op->core->root, i);
        if (err != ERR_OK)
            note_err(op, places_path(i), err, "correct its owner and mode");
    }
}

static void check_settings(struct operation *op)
{
    struct hsm_settings settings;
    enum err err = hsm_settings_load(op->core->root, &settings);
    note_err(op, PATH_SECURITY_CONF, err, "correct the file by hand");
    if (err == ERR_OK && settings.enabled != op->core->record.hsm)
        note(op, "HSM_ENABLED", false,
             op->core->record.hsm
                 ? "HSM_ENABLED is \"0\" but the wallet is protected by the HSM"
                 : "HSM_ENABLED is \"1\" but the wallet is not protected by an HSM",
             op->core->record.hsm ? "set HSM_ENABLED=\"1\", or reverse migrate"
                                  : "set HSM_ENABLED=\"0\", or initialize the HSM");
}

// Every object of ours, for a person: `"OKV 1.0 HSM Root Key" 00000001, …`.
static void tell_objects(struct operation *op, const json_t *objects)
{
    char text[TEXT_MAX] = "";
    size_t len = 0;
    size_t index;
    const json_t *object;
    json_array_foreach(objects, index, object)
    {
        const char *label = json_string_value(json_object_get(object, "label"));
        const char *id = json_string_value(json_object_get(object, "id"));
        const char *value = json_string_value(json_object_get(object, "value"));
        id = id == NULL ? value : id;
        int put = snprintf(text + len, sizeof text - len, "%s\"%s\" %s", index > 0 ? ", " : "",
                           label == NULL ? "" : label, id == NULL ? "" : id);
        len += put < 0 ? 0 : (size_t)put;
        if (len >= sizeof text) // the JSON document has them all
            break;
    }
    note(op, "objects on the token", true, text, "");
}

static enum err list_keys(struct operation *op)
{
    const struct opener o = {op->core->root, -1};
    struct hsm_settings settings;
    CLEANUP(secret_freep) struct secret *credential = NULL;
    CLEANUP(hsm_closep) struct hsm *hsm = NULL;
    struct buf list CLEANUP(buf_done);
    buf_init(&list, LIST_MAX, false);
    TRY(opener_settings(&o, &settings));
    TRY(opener_credential(&o, &op->core->record, &credential));
    TRY(hsm_open(op->core->root, &settings, secret_span(credential), "verify", &hsm));
    TRY(hsm_list(hsm, &list));
    json_t *objects = json_loadb((const char *)list.data, list.len, 0, NULL);
    if (objects == NULL)
        FAIL(ERR_HSM_FAILED, "the list of objects on the token is not valid");
    (void)json_object_set_new(op->result, "objects", objects);
    tell_objects(op, objects);
    return ERR_OK;
}

// Several keys that answer are no danger, since the seal of enctdepwd says which is right, but
// nobody can tell by looking at them whose they are.
static void check_unique(struct operation *op)
{
    const struct core *core = op->core;
    const struct hsm_key *key = &core->record.key;
    char text[TEXT_MAX];
    (void)snprintf(text, sizeof text, "%u %s to \"%s\" number %u", core->proven_key_count,
                   core->proven_key_count == 1 ? "key answers" : "keys answer", key->label,
                   key->number);
    bool one = core->proven_key_count == 1;
    note(op, "exactly one root key has the number in use", one, text,
         one ? ""
             : "the wallet opens all the same; remove none of them: reverse migrate and initialize "
               "again, which takes a number of its own");
}

static void check_hsm(struct operation *op)
{
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    enum err err = core_open_by_hsm(op->core, "verify", false, &wallet);
    note_err(op, "open the wallet by the HSM with the stored credential", err,
             "see the trace in var/okv/log/hsm; set the credential again, or open the wallet with "
             "the recovery passphrase; where the HSM is lost for good, keyward hsm reverse-migrate "
             "--hsm-lost, then keyward hsm initialize");
    if (err != ERR_OK)
        return;
    const struct core *core = op->core;
    check_unique(op);
    bool same = strcmp(core->token.serial, core->record.token_serial) == 0;
    note(op, "the token is the one that was initialized", same,
         same ? "" : "its serial number differs", same ? "" : "check which token the label names");
    operate_tell_token(op, &core->token);
    note_err(op, "list the objects on the token", list_keys(op), "see the trace file");
}

static void tell_orphan(struct operation *op, const struct orphan *orphan, const char *operation)
{
    char what[64];
    char text[TEXT_MAX];
    uint32_t number = orphan->number;
    (void)snprintf(what, sizeof what, "root key %u left behind", number);
    if (orphan->token_label[0] != '\0' || orphan->token_serial[0] != '\0') {
        (void)snprintf(text, sizeof text,
                       "on the token \"%s\", serial number %s, which operation %s gave up as lost; "
                       "older backups need it",
                       orphan->token_label, orphan->token_serial, operation);
        note(op, what, true, text, "");
        return;
    }
    (void)snprintf(text, sizeof text,
                   "made by operation %s and not used by this server; where another server has the "
                   "same number, leave it there",
                   operation);
    if (number == 0)
        (void)snprintf(
            text, sizeof text,
            "operation %s did not learn whether it made one; if so, it is among the objects on "
            "the token, and no server uses it",
            operation);
    note(op, number == 0 ? "a root key may have been left behind" : what, true, text, "");
}

static json_t *orphan_entry(const struct orphan *orphan, const char *operation)
{
    json_t *entry = json_pack("{s:s}", "operation", operation);
    json_t *number = orphan->number == 0 ? json_null() : json_integer((json_int_t)orphan->number);
    (void)json_object_set_new(entry, "key_number", number);
    if (orphan->token_label[0] != '\0' || orphan->token_serial[0] != '\0') {
        (void)json_object_set_new(entry, "token_label", operate_json_text(orphan->token_label));
        (void)json_object_set_new(entry, "token_serial", operate_json_text(orphan->token_serial));
    }
    return entry;
}

// Orphans are told, not counted as ill health: they endanger nothing.
static void tell_orphans(struct operation *op)
{
    static struct orphan list[ORPHANS_MAX];
    size_t count = 0;
    json_t *orphans = json_array();
    enum err err = orphan_load(op->core->root, list, &count);
    note_err(op, "list of root keys that were left behind", err,
             "remove the file; keys left behind are then not listed");
    for (size_t i = 0; i < count; i++) {
        char id[UUID_TEXT_LEN + 1];
        uuid_text(&list[i].operation, id);
        (void)json_array_append_new(orphans, orphan_entry(&list[i], id));
        tell_orphan(op, &list[i], id);
    }
    (void)json_object_set_new(op->result, "orphans", orphans);
}

static void check_opened(struct operation *op)
{
    note(op, "the wallet is open", op->core->wallet != NULL, op->core->reason,
         op->core->wallet != NULL ? "" : "open it by hand (open_wallet)");
}

enum err op_verify_run(struct operation *op)
{
    const struct opener o = {op->core->root, -1};
    (void)json_object_set_new(op->result, "checks", json_array());
    (void)json_object_set_new(op->result, "healthy", json_true());
    enum err err = core_need_record(op->core);
    note_err(op, PATH_ROOT_RECORD, err, "put it back from a backup, or run keyward setup");
    if (err != ERR_OK)
        return ERR_OK;
    (void)json_object_set_new(op->result, "hsm_enabled", json_boolean(op->core->record.hsm));
    check_opened(op);
    check_files(op);
    check_places(op);
    check_settings(op);
    bool latched = op->core->pin_refused || latch_is_set(op->core->root);
    note(op, "the stored credential was not refused", !latched,
         latched ? "the HSM refused the stored credential; it is not tried again" : "",
         latched ? "set the right credential (Set Credential)" : "");
    if (op->core->record.hsm) {
        check_hsm(op);
    } else {
        CLEANUP(wallet_freep) struct wallet *wallet = NULL;
        note_err(op, "open the auto-login wallet", opener_autologin(&o, &op->core->record, &wallet),
                 "open the wallet with the recovery passphrase (open_wallet)");
    }
    tell_orphans(op);
    return ERR_OK;
}
