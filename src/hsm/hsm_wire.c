// SPDX-License-Identifier: Apache-2.0
//
// Each structure's fields in order, texts as 32-bit length and bytes. Taking checks every length
// against the structure's own room.
#include "hsm/hsm_wire.h"

enum err hsm_wire_take_text(struct cursor *in, char *out, size_t room)
{
    struct span text;
    TRY(cursor_var(in, &text));
    if (text.len >= room || (text.len > 0 && memchr(text.data, '\0', text.len) != NULL))
        FAIL(ERR_MESSAGE, "a text of %zu bytes does not fit", text.len);
    memset(out, 0, room);
    if (text.len > 0)
        memcpy(out, text.data, text.len);
    return ERR_OK;
}

static enum err take_bool(struct cursor *in, bool *ret)
{
    uint8_t value = 0;
    TRY(cursor_u8(in, &value));
    *ret = value != 0;
    return ERR_OK;
}

static enum err take_id(struct cursor *in, uint8_t out[HSM_KEY_ID_MAX], size_t *ret_len)
{
    struct span id;
    TRY(cursor_var(in, &id));
    if (id.len > HSM_KEY_ID_MAX)
        FAIL(ERR_MESSAGE, "a root key's id of %zu bytes", id.len);
    if (id.len > 0)
        memcpy(out, id.data, id.len);
    *ret_len = id.len;
    return ERR_OK;
}

enum err hsm_wire_put_settings(struct buf *out, const struct hsm_settings *settings)
{
    TRY(buf_put_u32(out, (uint32_t)settings->provider));
    TRY(buf_put_var(out, span_str(settings->vendor)));
    TRY(buf_put_var(out, span_str(settings->library)));
    TRY(buf_put_u8(out, settings->use_label));
    TRY(buf_put_var(out, span_str(settings->label)));
    TRY(buf_put_u8(out, settings->key_extractable));
    TRY(buf_put_var(out, span_str(settings->mechanism)));
    TRY(buf_put_u32(out, settings->timeout_s));
    TRY(buf_put_var(out, span_str(settings->init_reserved)));
    TRY(buf_put_var(out, span_str(settings->adopt_label)));
    TRY(buf_put_var(out, span_of(settings->adopt_id, settings->adopt_id_len)));
    return buf_put_u8(out, settings->attended);
}

enum err hsm_wire_take_settings(struct cursor *in, struct hsm_settings *ret)
{
    struct hsm_settings settings = {.enabled = true};
    uint32_t provider = 0;
    TRY(cursor_u32(in, &provider));
    settings.provider = (int)(provider & 7);
    TRY(hsm_wire_take_text(in, settings.vendor, sizeof settings.vendor));
    TRY(hsm_wire_take_text(in, settings.library, sizeof settings.library));
    TRY(take_bool(in, &settings.use_label));
    TRY(hsm_wire_take_text(in, settings.label, sizeof settings.label));
    TRY(take_bool(in, &settings.key_extractable));
    TRY(hsm_wire_take_text(in, settings.mechanism, sizeof settings.mechanism));
    TRY(cursor_u32(in, &settings.timeout_s));
    TRY(hsm_wire_take_text(in, settings.init_reserved, sizeof settings.init_reserved));
    TRY(hsm_wire_take_text(in, settings.adopt_label, sizeof settings.adopt_label));
    TRY(take_id(in, settings.adopt_id, &settings.adopt_id_len));
    TRY(take_bool(in, &settings.attended));
    *ret = settings;
    return ERR_OK;
}

enum err hsm_wire_put_key(struct buf *out, const struct hsm_key *key)
{
    TRY(buf_put_u32(out, key->number));
    TRY(buf_put_var(out, span_of(key->id, key->id_len)));
    return buf_put_var(out, span_str(key->label));
}

enum err hsm_wire_take_key(struct cursor *in, struct hsm_key *ret)
{
    struct hsm_key key = {.number = 0};
    TRY(cursor_u32(in, &key.number));
    TRY(take_id(in, key.id, &key.id_len));
    if (key.id_len == 0 && key.number != 0)
        FAIL(ERR_MESSAGE, "a numbered root key without an id");
    TRY(hsm_wire_take_text(in, key.label, sizeof key.label));
    *ret = key;
    return ERR_OK;
}

enum err hsm_wire_put_token(struct buf *out, const struct hsm_token *token)
{
    TRY(buf_put_var(out, span_str(token->label)));
    TRY(buf_put_var(out, span_str(token->manufacturer)));
    TRY(buf_put_var(out, span_str(token->model)));
    TRY(buf_put_var(out, span_str(token->serial)));
    return buf_put_var(out, span_str(token->firmware));
}

enum err hsm_wire_take_token(struct cursor *in, struct hsm_token *ret)
{
    struct hsm_token token;
    TRY(hsm_wire_take_text(in, token.label, sizeof token.label));
    TRY(hsm_wire_take_text(in, token.manufacturer, sizeof token.manufacturer));
    TRY(hsm_wire_take_text(in, token.model, sizeof token.model));
    TRY(hsm_wire_take_text(in, token.serial, sizeof token.serial));
    TRY(hsm_wire_take_text(in, token.firmware, sizeof token.firmware));
    *ret = token;
    return ERR_OK;
}
