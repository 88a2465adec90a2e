// SPDX-License-Identifier: Apache-2.0
//
// The keeper's state. Invariant: `wallet` belongs to `record` (its proof was checked by whoever
// opened it).
#include "keyring/core.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/paths.h"
#include "keyring/journal.h"
#include "keyring/latch.h"
#include "keyring/places.h"
#include "keyring/ram.h"

void core_init(struct core *core, int root)
{
    *core = (struct core){.root = root, .retry_ms = CORE_RETRY_FIRST_MS};
    monitor_init(&core->monitor);
    (void)snprintf(core->reason, sizeof core->reason, KEYRING_STARTING);
}

void core_done(struct core *core)
{
    wallet_freep(&core->wallet);
}

enum keyring_state core_state(const struct core *core)
{
    if (core->ready && !core->has_record)
        return KEYRING_EMPTY;
    return core->wallet == NULL ? KEYRING_LOCKED : KEYRING_OPEN;
}

enum err core_load(struct core *core)
{
    enum journal_outcome outcome = JOURNAL_CLEAN;
    char name[JOURNAL_NAME_MAX + 1];
    if (core->ready)
        return ERR_OK;
    TRY(journal_recover(core->root, &outcome, name));
    if (outcome != JOURNAL_CLEAN)
        log_event(LOG_LEVEL_WARN, "root_operation_recovered operation=%s outcome=%s", name,
                  outcome == JOURNAL_SETTLED ? "done" : "undone");
    enum err err = rootrec_load(core->root, &core->record);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    if (err == ERR_NOT_FOUND && file_exists(core->root, PATH_TDE_WALLET))
        FAIL(ERR_DAMAGED, "\"%s\" is missing though there is a wallet: put it back from a backup",
             PATH_ROOT_RECORD);
    core->has_record = err == ERR_OK;
    core->ready = true;
    return ERR_OK;
}

enum err core_need_record(struct core *core)
{
    TRY(core_load(core));
    if (!core->has_record)
        FAIL(ERR_WRONG_STATE, "there is no wallet yet: run keyward setup first");
    return ERR_OK;
}

static enum err ambiguous(uint32_t count, uint32_t number)
{
    FAIL(ERR_HSM_KEY,
         "the HSM has %u root keys with number %u: reverse migrate and "
         "initialize again",
         count, number);
}

void core_proven(struct core *core, int64_t begun_ms, const struct opener_found *found)
{
    core->pin_refused = false;
    core->proven_ms = clock_mono_ms();
    core->proven_key_count = found->keys.count;
    core->monitor.extractable = found->keys.extractable;
    core->token = found->token;
    if (found->keys.count == 1)
        monitor_up(&core->monitor, begun_ms);
    else
        monitor_down(&core->monitor, begun_ms, MONITOR_AMBIGUOUS,
                     ambiguous(found->keys.count, core->record.key.number));
}

// A refused credential is latched before anything else happens: in memory first, since on a full
// disk the latch cannot be written, and a token locks after a few tries.
static enum err latch(struct core *core, const struct hsm_settings *settings,
                      struct span credential)
{
    char detail[512];
    (void)snprintf(detail, sizeof detail, "%s", err_detail());
    core->pin_refused = true;
    enum err latched = latch_set(core->root, settings, credential);
    if (latched != ERR_OK)
        log_error("pin_latch_failed", latched);
    FAIL(ERR_HSM_PIN, "%s", detail);
}

void core_make_ram(const struct core *core)
{
    if (core->has_record && ram_prepare(core->root, &core->record.server) != ERR_OK)
        log_event(LOG_LEVEL_WARN, "no_place_in_ram reason=\"%s\"", err_detail());
}

static enum err unseal(struct core *core, const char *trace, bool attended,
                       struct opener_found *found, struct wallet **ret)
{
    const struct opener o = {core->root, -1};
    struct hsm_settings settings;
    CLEANUP(secret_freep) struct secret *credential = NULL;
    TRY(opener_settings(&o, &settings));
    TRY(opener_credential(&o, &core->record, &credential));
    settings.attended = attended;
    core_make_ram(core);
    if (!attended && core->pin_refused)
        return latch_refuse();
    if (!attended)
        TRY(latch_check(core->root, &settings, secret_span(credential)));
    enum err err =
        opener_hsm(&o, &core->record, &settings, secret_span(credential), trace, found, ret);
    return err == ERR_HSM_PIN ? latch(core, &settings, secret_span(credential)) : err;
}

enum err core_unseal(struct core *core, const char *trace, bool attended,
                     struct opener_found *found, struct wallet **ret)
{
    int64_t begun = monitor_begin();
    *found = (struct opener_found){0};
    enum err err = unseal(core, trace, attended, found, ret);
    if (err != ERR_OK) {
        if (core->record.hsm)
            monitor_down(&core->monitor, begun, NULL, err);
        core->proven_ms = 0;
        return err;
    }
    core_proven(core, begun, found);
    return latch_is_set(core->root) ? latch_clear(core->root) : ERR_OK;
}

enum err core_open_by_hsm(struct core *core, const char *trace, bool attended, struct wallet **ret)
{
    struct opener_found found;
    enum err err = core_unseal(core, trace, attended, &found, ret);
    secret_free(found.wallet);
    return err;
}

static enum err check_file(const struct core *core, enum root_file file)
{
    const struct opener o = {core->root, -1};
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, WALLET_FILE_MAX, true);
    if (core->record.present[file])
        return opener_read(&o, &core->record, file, WALLET_FILE_MAX, &bytes);
    if (file_exists(core->root, rootfile_path(file)))
        FAIL(ERR_DAMAGED, "\"%s\" should not be there in this mode: remove it",
             rootfile_path(file));
    return ERR_OK;
}

enum err core_check_places(const struct core *core)
{
    return places_check(core->root, core->has_record && core->record.hsm);
}

static enum err check_files(const struct core *core)
{
    struct hsm_settings settings;
    TRY(core_check_places(core));
    for (int i = 0; i < ROOT_HASHED_COUNT; i++)
        TRY(check_file(core, (enum root_file)i));
    TRY(hsm_settings_load(core->root, &settings));
    if (!settings.enabled)
        FAIL(ERR_CONFIG,
             "\"%s\" says HSM_ENABLED=\"0\" but the wallet is protected by the HSM: correct it",
             PATH_SECURITY_CONF);
    return ERR_OK;
}

enum err core_check_hsm(struct core *core, const char *trace)
{
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    int64_t begun = monitor_begin();
    TRY(core_open_by_hsm(core, trace, false, &wallet));
    if (core->proven_key_count != 1)
        return ambiguous(core->proven_key_count, core->record.key.number);
    int64_t latency = core->monitor.latency_ms;
    enum err err = check_files(core);
    if (err != ERR_OK)
        monitor_down(&core->monitor, begun, MONITOR_FILES, err);
    core->monitor.latency_ms = latency;
    return err;
}

int core_check_due_ms(const struct core *core)
{
    const struct monitor *monitor = &core->monitor;
    // A locked store is tried by core_try, which notes what it met.
    if (monitor->interval_ms == 0 || core->wallet == NULL || !core->record.hsm)
        return -1;
    int64_t left = monitor->known ? monitor->due_ms - clock_mono_ms() : 0;
    return left < 0 ? 0 : (int)left;
}

static enum err try_open(struct core *core, struct wallet **ret)
{
    const struct opener o = {core->root, -1};
    if (!core->record.hsm)
        return opener_autologin(&o, &core->record, ret);
    if (ram_open(core->root, &core->record, ret) == ERR_OK) {
        log_event(LOG_LEVEL_INFO, "wallet_found_in_ram generation=%u", core->record.generation);
        return ERR_OK;
    }
    return core_open_by_hsm(core, "open_wallet", false, ret);
}

static void put_off(struct core *core, enum err err)
{
    char reason[sizeof core->reason];
    (void)snprintf(reason, sizeof reason, "%s", err_message(err));
    if (strcmp(reason, core->reason) != 0)
        log_error("wallet_locked", err);
    memcpy(core->reason, reason, sizeof reason);
    core->next_try_ms = clock_mono_ms() + core->retry_ms;
    core->retry_ms =
        core->retry_ms * 2 > CORE_RETRY_LAST_MS ? CORE_RETRY_LAST_MS : core->retry_ms * 2;
}

void core_try(struct core *core)
{
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    enum err err = core_check_places(core);
    if (err == ERR_OK)
        err = core_load(core);
    if (err == ERR_OK && (!core->has_record || core->wallet != NULL))
        return;
    if (err == ERR_OK && core->record.hsm)
        err = ram_check(core->root);
    if (err == ERR_OK)
        err = try_open(core, &wallet);
    if (err == ERR_OK)
        core_adopt(core, &core->record, &wallet);
    else
        put_off(core, err);
}

int core_due_ms(const struct core *core)
{
    if (core->wallet != NULL || (core->ready && !core->has_record))
        return -1;
    int64_t left = core->next_try_ms - clock_mono_ms();
    return left < 0 ? 0 : (int)left;
}

void core_adopt(struct core *core, const struct root_record *record, struct wallet **wallet)
{
    const struct opener o = {core->root, -1};
    struct buf file CLEANUP(buf_done);
    buf_init(&file, WALLET_FILE_MAX, true);
    if (record != &core->record)
        core->record = *record;
    core->ready = true;
    core->has_record = true;
    wallet_freep(&core->wallet);
    core->wallet = *wallet;
    *wallet = NULL;
    core->reason[0] = '\0';
    core->retry_ms = CORE_RETRY_FIRST_MS;
    log_event(LOG_LEVEL_INFO, "wallet_open generation=%u mode=%s master=%u",
              core->record.generation, core->record.hsm ? "hsm" : "passphrase",
              wallet_newest(core->wallet)->number);
    if (!core->record.hsm) {
        monitor_forget(&core->monitor);
        return;
    }
    enum err err = opener_read(&o, &core->record, ROOT_TDE_WALLET, WALLET_FILE_MAX, &file);
    if (err == ERR_OK)
        err = ram_write(core->root, &core->record, core->wallet, span_buf(&file));
    if (err != ERR_OK)
        log_error("ram_wallet_not_written", err);
}
