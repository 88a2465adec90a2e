// SPDX-License-Identifier: Apache-2.0
//
// The engines' side: each function is one frame to the keeper and its answer.
#include "keyring/keyring.h"

#include "keyring/datakey.h"
#include "keyring/verbs.h"

enum { BODY_MAX = 8192 };

static enum err exchange(struct ipc *keeper, enum verb verb, struct span body, int timeout_ms,
                         struct ipc_frame *ret)
{
    static uint64_t next_id;
    const struct ipc_frame ask = {.kind = (uint16_t)verb, .id = ++next_id, .body = body};
    return ipc_call(keeper, &ask, timeout_ms, ret);
}

static enum err call(struct ipc *keeper, enum verb verb, struct span body, int timeout_ms,
                     struct ipc_frame *ret)
{
    TRY(exchange(keeper, verb, body, timeout_ms, ret));
    return ipc_check(ret);
}

enum err keyring_status(struct ipc *keeper, struct keyring_status *ret)
{
    struct ipc_frame answer;
    struct keyring_status status = {0};
    uint8_t state = 0;
    uint8_t hsm = 0;
    struct span reason;
    TRY(call(keeper, VERB_STATUS, (struct span){NULL, 0}, KEEPER_TIMEOUT_MS, &answer));
    struct cursor in = cursor_of(answer.body);
    TRY(cursor_u8(&in, &state));
    TRY(cursor_u8(&in, &hsm));
    TRY(cursor_u32(&in, &status.generation));
    TRY(cursor_u32(&in, &status.master));
    TRY(cursor_var(&in, &reason));
    TRY(cursor_end(&in));
    if (state > KEYRING_OPEN || reason.len >= sizeof status.reason)
        FAIL(ERR_INTERNAL, "the keeper's status is not valid");
    status.state = (enum keyring_state)state;
    status.hsm_enabled = hsm != 0;
    memcpy(status.reason, reason.data, reason.len);
    *ret = status;
    return ERR_OK;
}

static enum err take_text(struct cursor *in, char *out, size_t size)
{
    struct span text;
    TRY(cursor_var(in, &text));
    if (text.len >= size)
        FAIL(ERR_INTERNAL, "the keeper's answer is not valid");
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return ERR_OK;
}

enum err keyring_health(struct ipc *keeper, uint32_t watch_s, struct keyring_health *ret)
{
    uint8_t bytes[4];
    struct buf ask = {.data = bytes, .cap = sizeof bytes, .limit = sizeof bytes};
    struct ipc_frame answer;
    struct keyring_health health = {0};
    uint8_t flags[4] = {0};
    uint64_t latency = 0;
    uint64_t checked = 0;
    TRY(buf_put_u32(&ask, watch_s));
    TRY(call(keeper, VERB_HEALTH, span_buf(&ask), KEEPER_TIMEOUT_MS, &answer));
    struct cursor in = cursor_of(answer.body);
    for (size_t i = 0; i < sizeof flags; i++)
        TRY(cursor_u8(&in, &flags[i]));
    TRY(cursor_u32(&in, &health.master));
    TRY(cursor_u64(&in, &latency));
    TRY(cursor_u64(&in, &checked));
    TRY(take_text(&in, health.problem, sizeof health.problem));
    TRY(take_text(&in, health.message, sizeof health.message));
    TRY(cursor_end(&in));
    health.hsm_enabled = flags[0] != 0;
    health.known = flags[1] != 0;
    health.up = flags[2] != 0;
    health.extractable = flags[3] != 0;
    health.latency_ms = (int64_t)latency;
    health.checked_ms = (int64_t)checked;
    *ret = health;
    return ERR_OK;
}

enum err keyring_steps(struct ipc *keeper, struct buf *ret_doc)
{
    struct ipc_frame answer;
    struct span doc;
    TRY(call(keeper, VERB_STEPS, (struct span){NULL, 0}, KEEPER_TIMEOUT_MS, &answer));
    struct cursor in = cursor_of(answer.body);
    TRY(cursor_var(&in, &doc));
    TRY(cursor_end(&in));
    return buf_put(ret_doc, doc);
}

enum err keyring_new_key(struct ipc *keeper, struct span context, struct secret **ret_key,
                         struct buf *ret_wrapped)
{
    struct buf body CLEANUP(buf_done);
    struct ipc_frame answer;
    struct span key;
    struct span wrapped;
    buf_init(&body, BODY_MAX, false);
    TRY(buf_put_var(&body, context));
    TRY(call(keeper, VERB_NEW_KEY, span_buf(&body), KEEPER_TIMEOUT_MS, &answer));
    struct cursor in = cursor_of(answer.body);
    TRY(cursor_bytes(&in, DATAKEY_LEN, &key));
    TRY(cursor_var(&in, &wrapped));
    TRY(cursor_end(&in));
    TRY(buf_put(ret_wrapped, wrapped));
    return secret_copy(key, ret_key);
}

static enum err ask_wrapped(struct span context, struct span wrapped, struct buf *body)
{
    buf_init(body, BODY_MAX, false);
    if (wrapped.len > KEYRING_WRAPPED_MAX)
        FAIL(ERR_DAMAGED, "a wrapped data key of %zu bytes is too long", wrapped.len);
    TRY(buf_put_var(body, context));
    return buf_put_var(body, wrapped);
}

enum err keyring_unwrap(struct ipc *keeper, struct span context, struct span wrapped,
                        struct secret **ret_key)
{
    struct buf body CLEANUP(buf_done);
    struct ipc_frame answer;
    struct span key;
    TRY(ask_wrapped(context, wrapped, &body));
    TRY(call(keeper, VERB_UNWRAP, span_buf(&body), KEEPER_TIMEOUT_MS, &answer));
    struct cursor in = cursor_of(answer.body);
    TRY(cursor_bytes(&in, DATAKEY_LEN, &key));
    TRY(cursor_end(&in));
    return secret_copy(key, ret_key);
}

enum err keyring_rewrap(struct ipc *keeper, struct span context, struct span wrapped,
                        struct buf *ret_wrapped, bool *ret_changed)
{
    struct buf body CLEANUP(buf_done);
    struct ipc_frame answer;
    struct span again;
    uint8_t changed = 0;
    TRY(ask_wrapped(context, wrapped, &body));
    TRY(call(keeper, VERB_REWRAP, span_buf(&body), KEEPER_TIMEOUT_MS, &answer));
    struct cursor in = cursor_of(answer.body);
    TRY(cursor_u8(&in, &changed));
    TRY(cursor_var(&in, &again));
    TRY(cursor_end(&in));
    TRY(buf_put(ret_wrapped, again));
    *ret_changed = changed != 0;
    return ERR_OK;
}

static enum err put_operation(enum keyring_operation operation, struct span doc,
                              const struct keyring_secret *secrets, size_t count, struct buf *body)
{
    if (count > VERB_SECRETS_MAX || doc.len > VERB_DOC_MAX)
        FAIL(ERR_TOO_LARGE, "an operation has too many secrets or too long a document");
    TRY(buf_put_u32(body, (uint32_t)operation));
    TRY(buf_put_var(body, doc));
    TRY(buf_put_u32(body, (uint32_t)count));
    for (size_t i = 0; i < count; i++) {
        if (secrets[i].value.len > VERB_SECRET_MAX)
            FAIL(ERR_TOO_LARGE, "\"%s\" has more than %d bytes", secrets[i].name, VERB_SECRET_MAX);
        TRY(buf_put_var(body, span_str(secrets[i].name)));
        TRY(buf_put_var(body, secrets[i].value));
    }
    return ERR_OK;
}

// Without an answer it is not known what the keeper has done, or will have.
static enum err ask_to_operate(struct ipc *keeper, struct span body, struct ipc_frame *ret,
                               bool *ret_unsure)
{
    enum err err = exchange(keeper, VERB_OPERATE, body, KEEPER_OPERATION_MS, ret);
    *ret_unsure = err != ERR_OK;
    if (err == ERR_TIMEOUT)
        FAIL(err, "the key process has not ended the operation within %d seconds and goes on",
             KEEPER_OPERATION_MS / 1000);
    TRY(err);
    return ipc_check(ret);
}

enum err keyring_operate(struct ipc *keeper, enum keyring_operation operation, struct span doc,
                         const struct keyring_secret *secrets, size_t secret_count,
                         struct buf *ret_doc, bool *ret_unsure)
{
    struct buf body CLEANUP(buf_done);
    struct ipc_frame answer;
    uint32_t code = 0;
    uint8_t unsure = 0;
    struct span detail;
    struct span told;
    *ret_unsure = false;
    buf_init(&body, VERB_DOC_MAX + BODY_MAX, true);
    TRY(put_operation(operation, doc, secrets, secret_count, &body));
    TRY(ask_to_operate(keeper, span_buf(&body), &answer, ret_unsure));
    *ret_unsure = true; // until the answer is read
    struct cursor in = cursor_of(answer.body);
    TRY(cursor_u32(&in, &code));
    TRY(cursor_u8(&in, &unsure));
    TRY(cursor_var(&in, &detail));
    TRY(cursor_var(&in, &told));
    TRY(cursor_end(&in));
    TRY(buf_put(ret_doc, told));
    *ret_unsure = unsure != 0;
    if (code == ERR_OK)
        return ERR_OK;
    enum err err = code < ERR_COUNT ? (enum err)code : ERR_INTERNAL;
    err_adopt((const char *)detail.data, detail.len);
    return err;
}
