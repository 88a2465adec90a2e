// SPDX-License-Identifier: Apache-2.0
//
// HSM Status (the arrow and Type of contract B1) and open_wallet (B8). Green is only what the HSM
// has just proved: root key there once, and the stored wallet password decrypted by it.
#include <stdio.h>

#include "base/clock.h"
#include "keyring/latch.h"
#include "keyring/operate.h"

static void tell(struct operation *op, bool up, const char *reason)
{
    const struct core *core = op->core;
    (void)json_object_set_new(op->result, "status", json_string(up ? "up" : "down"));
    (void)json_object_set_new(op->result, "reason", json_string(reason));
    (void)json_object_set_new(op->result, "hsm_enabled",
                              json_boolean(core->has_record && core->record.hsm));
    (void)json_object_set_new(op->result, "generation",
                              json_integer((json_int_t)core->record.generation));
    if (core->has_record && core->record.hsm)
        (void)json_object_set_new(op->result, "key_number",
                                  json_integer((json_int_t)core->record.key.number));
    if (!up)
        (void)json_object_set_new(op->result, "type", json_string("None"));
}

static void tell_settings(struct operation *op)
{
    struct hsm_settings settings;
    if (hsm_settings_load(op->core->root, &settings) != ERR_OK)
        return;
    (void)json_object_set_new(op->result, "reverse_migrate_enabled",
                              json_boolean(settings.reverse_migrate_enabled));
    (void)json_object_set_new(op->result, "vendor", json_string(settings.vendor));
}

// Proved lately enough for whoever asks: `max_age_ms`, 0 when not given.
static bool is_fresh(const struct operation *op)
{
    json_int_t age = json_integer_value(json_object_get(op->params, "max_age_ms"));
    return op->core->proven_ms != 0 && op->core->proven_key_count == 1 &&
           clock_mono_ms() - op->core->proven_ms < age;
}

// What the check found, beside the arrow.
static void tell_monitor(struct operation *op)
{
    const struct monitor *monitor = &op->core->monitor;
    char checked[CLOCK_TEXT_LEN + 1];
    if (!monitor->known)
        return;
    clock_text(monitor->checked_ms, checked);
    (void)json_object_set_new(op->result, "checked_at", json_string(checked));
    (void)json_object_set_new(op->result, "latency_ms",
                              json_integer((json_int_t)monitor->latency_ms));
    if (monitor->up)
        return;
    (void)json_object_set_new(op->result, "problem", json_string(monitor->problem));
    (void)json_object_set_new(op->result, "message", operate_json_text(monitor->message));
}

enum err op_status_run(struct operation *op)
{
    tell_settings(op);
    enum err err = core_need_record(op->core);
    if (err == ERR_OK && !op->core->record.hsm) {
        tell(op, false, "the server is not HSM-enabled");
        return ERR_OK;
    }
    if (err == ERR_OK && !is_fresh(op))
        err = core_check_hsm(op->core, "monitor");
    tell(op, err == ERR_OK, err == ERR_OK ? "" : err_message(err));
    tell_monitor(op);
    if (err == ERR_OK)
        operate_tell_token(op, &op->core->token);
    return ERR_OK;
}

static enum err open_by_given(struct operation *op, struct span credential, struct wallet **ret)
{
    const struct opener o = {op->core->root, -1};
    struct hsm_settings settings;
    struct opener_found found = {0};
    TRY(opener_settings(&o, &settings));
    settings.attended = true;
    int64_t begun = monitor_begin();
    enum err err =
        opener_hsm(&o, &op->core->record, &settings, credential, "open_wallet", &found, ret);
    secret_free(found.wallet);
    TRY(err);
    core_proven(op->core, begun, &found);
    return ERR_OK;
}

static enum err open_it(struct operation *op, struct wallet **ret)
{
    const struct opener o = {op->core->root, -1};
    struct span secret;
    if (operate_has_secret(op, "recovery_passphrase")) {
        TRY(operate_secret(op, "recovery_passphrase", &secret));
        return operate_step(op, "open the wallet with the recovery passphrase",
                            opener_passphrase(&o, &op->core->record, secret, ret));
    }
    if (!op->core->record.hsm)
        return operate_step(op, "open the auto-login wallet",
                            opener_autologin(&o, &op->core->record, ret));
    if (operate_has_secret(op, "credential")) {
        TRY(operate_step(op, "check the request", operate_credential(op, &secret)));
        return operate_step(op, "open the wallet by the HSM", open_by_given(op, secret, ret));
    }
    return operate_step(op, "open the wallet by the HSM with the stored credential",
                        core_open_by_hsm(op->core, "open_wallet", true, ret));
}

enum err op_status_open(struct operation *op)
{
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    TRY(core_need_record(op->core));
    TRY(core_check_places(op->core));
    TRY(open_it(op, &wallet));
    if (op->dry_run)
        return ERR_OK;
    op->core->pin_refused = false;
    core_adopt(op->core, &op->core->record, &wallet);
    // A person is here, so the stored credential may be tried once more at the next start; a wrong
    // one is latched again then.
    return operate_step(op, "forget that a credential was refused", latch_clear(op->core->root));
}
