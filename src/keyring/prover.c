// SPDX-License-Identifier: Apache-2.0
//
// Both sides of the proof.
#include "keyring/prover.h"

#include <errno.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "keyring/journal.h"
#include "keyring/verbs.h"
#include "proc/proc.h"

// Waits until the prover has sent something, serving others meanwhile.
static enum err wait_readable(struct core *core, int fd, int timeout_ms)
{
    struct pollfd fds[1 + CORE_FDS_MAX] = {{.fd = fd, .events = POLLIN}};
    int count = 0;
    if (core->pump.fds != NULL)
        count = core->pump.fds(core->pump.arg, fds + 1, CORE_FDS_MAX);
    int ready = poll(fds, 1 + (nfds_t)count, timeout_ms);
    if (ready < 0 && errno != EINTR)
        FAIL(ERR_INTERNAL, "poll failed");
    bool others = false;
    for (int i = 1; i <= count; i++)
        others = others || fds[i].revents != 0;
    if (others)
        core->pump.serve(core->pump.arg);
    return ERR_OK;
}

static enum err wait_answer(struct core *core, struct ipc *prover)
{
    int64_t end = clock_mono_ms() + PROVER_MS;
    for (;;) {
        struct ipc_frame answer;
        TRY(ipc_fill(prover));
        if (ipc_next(prover, &answer))
            return ipc_check(&answer);
        int64_t left = end - clock_mono_ms();
        if (left <= 0)
            FAIL(ERR_TIMEOUT, "the proof in a fresh process did not end in %d s", PROVER_MS / 1000);
        TRY(wait_readable(core, ipc_fd(prover), (int)left));
    }
}

enum err prover_ask(struct core *core, const struct uuid *operation, unsigned ways,
                    struct span passphrase)
{
    int fd = -1;
    CLEANUP(ipc_freep) struct ipc *prover = NULL;
    struct buf body CLEANUP(buf_done);
    buf_init(&body, VERB_SECRET_MAX + 64, true);
    TRY(buf_put(&body, span_of(operation->bytes, UUID_LEN)));
    TRY(buf_put_u8(&body, (uint8_t)ways));
    TRY(buf_put_var(&body, passphrase));
    TRY(proc_spawn(ROLE_PROVER, PROVER_SPAWN_MS, &fd));
    TRY(ipc_new(fd, &prover));
    const struct ipc_frame ask = {.kind = VERB_PROVE, .id = 1, .body = span_buf(&body)};
    TRY(ipc_put(prover, &ask));
    TRY(ipc_flush_wait(prover, PROVER_SPAWN_MS));
    enum err err = wait_answer(core, prover);
    if (err == ERR_UNAVAILABLE)
        FAIL(ERR_UNAVAILABLE, "the fresh process that was to prove the new files ended early");
    return err;
}

static enum err prove_hsm(const struct opener *o, const struct root_record *record)
{
    struct hsm_settings settings;
    struct opener_found found = {0};
    CLEANUP(secret_freep) struct secret *credential = NULL;
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    TRY(opener_settings(o, &settings));
    TRY(opener_credential(o, record, &credential));
    settings.attended = true;
    enum err err =
        opener_hsm(o, record, &settings, secret_span(credential), "prove", &found, &wallet);
    secret_free(found.wallet);
    TRY(err);
    if (!settings.enabled)
        FAIL(ERR_CONFIG, "HSM_ENABLED is not \"1\" in the settings");
    return ERR_OK;
}

static enum err prove(int root, const struct uuid *operation, unsigned ways, struct span passphrase)
{
    CLEANUP(file_closep) int staging = -1;
    struct root_record record;
    TRY(journal_open_staging(root, operation, &staging));
    const struct opener o = {root, staging};
    TRY(opener_record(&o, &record));
    if (memcmp(record.operation.bytes, operation->bytes, UUID_LEN) != 0)
        FAIL(ERR_DAMAGED, "the staged root record is of another operation");
    if ((ways & PROVE_HSM) != 0)
        TRY(prove_hsm(&o, &record));
    if ((ways & PROVE_PASSPHRASE) != 0) {
        CLEANUP(wallet_freep) struct wallet *wallet = NULL;
        TRY(opener_passphrase(&o, &record, passphrase, &wallet));
    }
    if ((ways & PROVE_AUTOLOGIN) != 0) {
        CLEANUP(wallet_freep) struct wallet *wallet = NULL;
        TRY(opener_autologin(&o, &record, &wallet));
    }
    return ERR_OK;
}

static enum err take_ask(const struct ipc_frame *ask, struct uuid *ret_operation, uint8_t *ret_ways,
                         struct span *ret_passphrase)
{
    struct cursor in = cursor_of(ask->body);
    struct span id;
    if (ask->kind != VERB_PROVE)
        FAIL(ERR_INVALID, "the prover has no verb %u", ask->kind);
    TRY(cursor_bytes(&in, UUID_LEN, &id));
    memcpy(ret_operation->bytes, id.data, UUID_LEN);
    TRY(cursor_u8(&in, ret_ways));
    TRY(cursor_var(&in, ret_passphrase));
    TRY(cursor_end(&in));
    if (*ret_ways == 0)
        FAIL(ERR_INVALID, "nothing was asked to be proved");
    return ERR_OK;
}

enum err prover_serve(int root, struct ipc *keeper)
{
    struct ipc_frame ask;
    struct uuid operation;
    uint8_t ways = 0;
    struct span passphrase;
    while (!ipc_next(keeper, &ask)) {
        struct pollfd fd = {.fd = ipc_fd(keeper), .events = POLLIN};
        if (poll(&fd, 1, PROVER_MS) == 0)
            FAIL(ERR_TIMEOUT, "the keeper asked nothing");
        TRY(ipc_fill(keeper));
    }
    enum err err = take_ask(&ask, &operation, &ways, &passphrase);
    if (err == ERR_OK)
        err = prove(root, &operation, ways, passphrase);
    if (err != ERR_OK)
        log_error("proof_failed", err);
    TRY(ipc_answer(keeper, &ask, err, (struct span){NULL, 0}));
    return ipc_flush_wait(keeper, PROVER_SPAWN_MS);
}
