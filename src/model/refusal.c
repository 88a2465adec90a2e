// SPDX-License-Identifier: Apache-2.0
//
// Refused clients, as fronts and web tell readers of them.
#include "model/model.h"

enum err model_put_refusal(struct buf *out, const struct model_refusal *refusal)
{
    TRY(buf_put_var(out, refusal->address));
    TRY(buf_put_var(out, refusal->reason));
    TRY(buf_put_var(out, refusal->subject));
    TRY(buf_put_u8(out, refusal->https));
    TRY(buf_put_u8(out, refusal->certified));
    return buf_put(out, span_of(refusal->fingerprint, sizeof refusal->fingerprint));
}

static enum err take_text(struct cursor *in, struct span *ret)
{
    TRY(cursor_var(in, ret));
    if (ret->len >= MODEL_REFUSAL_TEXT || !span_is_utf8(*ret))
        FAIL(ERR_MESSAGE, "a text about a refused client is too long, or none");
    return ERR_OK;
}

enum err model_get_refusal(struct span in, struct model_refusal *ret)
{
    struct model_refusal refusal = {0};
    struct cursor cursor = cursor_of(in);
    struct span fingerprint;
    uint8_t https = 0;
    uint8_t certified = 0;
    TRY(take_text(&cursor, &refusal.address));
    TRY(take_text(&cursor, &refusal.reason));
    TRY(take_text(&cursor, &refusal.subject));
    TRY(cursor_u8(&cursor, &https));
    TRY(cursor_u8(&cursor, &certified));
    TRY(cursor_bytes(&cursor, sizeof refusal.fingerprint, &fingerprint));
    TRY(cursor_end(&cursor));
    refusal.https = https != 0;
    refusal.certified = certified != 0;
    memcpy(refusal.fingerprint, fingerprint.data, sizeof refusal.fingerprint);
    *ret = refusal;
    return ERR_OK;
}
