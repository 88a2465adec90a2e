// SPDX-License-Identifier: Apache-2.0
//
// Private to this room: what goes between keeper (hsm_rpc.c) and hsmd (hsm_serve.c). Requests have
// the kinds below, answers repeat the kind; hsmd sends HSM_NOTE unasked before each call into the
// library, with the function's name, HSM_NONE_LEFT before the answer to HSM_KEY_CREATE where
// hsm_key_left is false, and HSM_CRASH with the signal's number as its last frame.
// hsmd may be in the hands of a hostile library: the keeper checks every length it takes.
#ifndef KW_HSM_HSM_WIRE_H
#define KW_HSM_HSM_WIRE_H

#include "hsm/hsm.h"

enum hsm_verb {
    HSM_OPEN = 1,
    HSM_CLOSE,
    HSM_TOKEN_INFO,
    HSM_KEY_CREATE,
    HSM_KEY_LOOK,
    HSM_KEY_DESTROY,
    HSM_SEAL,
    HSM_UNSEAL,
    HSM_LIST,
    HSM_VERB_END,
    HSM_NOTE = 100,
    HSM_CRASH,
    HSM_NONE_LEFT,
};

enum { HSM_LIST_MAX = 2 * 1024 * 1024, HSM_MESSAGE_MAX = 65536 };

MUST_USE enum err hsm_wire_put_settings(struct buf *out, const struct hsm_settings *settings);
MUST_USE enum err hsm_wire_take_settings(struct cursor *in, struct hsm_settings *ret);
MUST_USE enum err hsm_wire_put_key(struct buf *out, const struct hsm_key *key);
MUST_USE enum err hsm_wire_take_key(struct cursor *in, struct hsm_key *ret);
MUST_USE enum err hsm_wire_put_token(struct buf *out, const struct hsm_token *token);
MUST_USE enum err hsm_wire_take_token(struct cursor *in, struct hsm_token *ret);

// A text of fewer than `room` bytes without NUL.
MUST_USE enum err hsm_wire_take_text(struct cursor *in, char *out, size_t room);

#endif
