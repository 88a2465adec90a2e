// SPDX-License-Identifier: Apache-2.0
//
// Setup: the first wallet, with generation 1 of the master key, under the recovery passphrase, and
// the auto-login wallet that opens it unattended.
#include "keyring/operate.h"
#include "keyring/verbs.h"

static enum err make(struct operation *op, struct operate_change *change, struct span passphrase)
{
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    TRY(wallet_new(&wallet));
    TRY(wallet_rotate(wallet));
    TRY(operate_step(op, "make the TDE wallet",
                     operate_stage_wallet(op, change, ROOT_TDE_WALLET, wallet, passphrase,
                                          WALLET_PASSPHRASE_ITERATIONS)));
    TRY(operate_step(op, "make the auto-login wallet",
                     operate_stage_autologin(op, change, wallet)));
    return operate_commit(op, change, &wallet, PROVE_PASSPHRASE | PROVE_AUTOLOGIN, passphrase);
}

static enum err check(struct operation *op, struct span *ret_passphrase)
{
    TRY(core_load(op->core));
    if (op->core->has_record)
        FAIL(ERR_WRONG_STATE, "there is a wallet already: this server was set up before");
    TRY(operate_secret(op, "recovery_passphrase", ret_passphrase));
    return operate_check_new_passphrase(*ret_passphrase);
}

enum err op_setup_run(struct operation *op)
{
    struct span passphrase = {0};
    struct operate_change change = {0};
    TRY(operate_step(op, "check the request", check(op, &passphrase)));
    if (op->dry_run)
        return ERR_OK;
    change.journal.put[ROOT_TDE_WALLET] = true;
    change.journal.put[ROOT_TDE_AUTOLOGIN] = true;
    enum err err = operate_begin(op, "setup", &change);
    change.record.server = uuid_random();
    if (err == ERR_OK)
        err = make(op, &change, passphrase);
    return operate_undo(op, &change, err);
}
