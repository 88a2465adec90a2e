// SPDX-License-Identifier: Apache-2.0
//
// Private to this room: one PKCS#11 library, one slot, one session, as hsm_direct.c and the p11_*.c
// files share them, and hsm_probe.c, which tries a library out. Nobody else knows pkcs11.h.
//
// Rules that hold in all of them:
// - A library function is called by P11_CALL alone: a NULL entry counts as
//   CKR_FUNCTION_NOT_SUPPORTED, and each call is announced and traced.
// - Only the 17 functions of contract B12 are needed. For any other a refusal means "do without".
// - After a failed search, encryption or decryption the session is replaced (p11_session_renew):
//   PKCS#11 has no portable way to cancel an operation. C_GenerateKey, C_CreateObject,
//   C_GetAttributeValue, C_SetAttributeValue and C_DestroyObject are whole in one call and leave
//   none behind.
// - What the library returns is checked like a stranger's bytes: counts, lengths, handles.
#ifndef KW_HSM_P11_H
#define KW_HSM_P11_H

#include <p11-kit/pkcs11.h>

#include "hsm/hsm.h"

enum {
    P11_SLOTS_MAX = 1024,
    P11_MATCHES_MAX = 64,   // objects of one label and id that are told apart
    P11_OBJECTS_MAX = 4096, // objects looked at by p11_list
    P11_CREATED_MAX = 16,   // keys that one process may make
    P11_RV_TEXT = 64,
    P11_PATH_MAX = 4096,
};

struct p11 {
    void *library;
    CK_FUNCTION_LIST *functions;
    CK_SLOT_ID slot;
    char label[HSM_LABEL_MAX + 1]; // of the token in it, for messages
    CK_SESSION_HANDLE session;
    bool initialized;
    bool in_session;
    bool no_data_objects; // the token refused one
    bool key_left;        // a key may be on the token that `created` does not hold
    int64_t call_begun;
    CK_OBJECT_HANDLE created[P11_CREATED_MAX];
    struct hsm_key created_keys[P11_CREATED_MAX];
    size_t created_count;
};

void p11_call_begin(struct p11 *p11, const char *function);
CK_RV p11_call_end(struct p11 *p11, const char *function, CK_RV rv);

#define P11_CALL(p11, function, ...)                                                               \
    ((p11)->functions->function == NULL                                                            \
         ? CKR_FUNCTION_NOT_SUPPORTED                                                              \
         : (p11_call_begin((p11), #function),                                                      \
            p11_call_end((p11), #function, (p11)->functions->function(__VA_ARGS__))))

// p11_rv.c: "CKR_PIN_INCORRECT (0xa0)", "vendor code 0x81000071".
const char *p11_rv_text(CK_RV rv, char out[P11_RV_TEXT]);

// Raises `code`: "could not WHAT: FUNCTION gave RV; NEXT".
enum err p11_rv_raise(enum err code, const char *what, const char *function, CK_RV rv,
                      const char *next);

// p11_module.c. Loads the library at the absolute settings->library, below the root prefix where
// there is one, and initializes it, with settings->init_reserved where that is set.
// ERR_HSM_LIBRARY.
MUST_USE enum err p11_module_load(struct p11 *p11, int root, const struct hsm_settings *settings);
void p11_module_unload(struct p11 *p11);

// p11_slot.c. Sets p11->slot to the one that `settings` mean. ERR_HSM_SLOT.
MUST_USE enum err p11_slot_find(struct p11 *p11, const struct hsm_settings *settings);
MUST_USE enum err p11_slot_info(struct p11 *p11, CK_TOKEN_INFO *ret);

// A blank-padded field as text: without padding, each byte that is not printable as '?'. `out`
// holds len + 1 bytes.
void p11_slot_text(const unsigned char *field, size_t len, char *out);

// p11_session.c
MUST_USE enum err p11_session_login(struct p11 *p11, struct span credential, bool attended);
MUST_USE enum err p11_session_renew(struct p11 *p11);

// At most `max` handles that match; *ret_count tells how many. ERR_HSM_FAILED.
MUST_USE enum err p11_session_find(struct p11 *p11, CK_ATTRIBUTE *template, CK_ULONG count,
                                   CK_OBJECT_HANDLE *out, size_t max, size_t *ret_count);

// One attribute's value; false (and a trace line) when the library does not tell or it is too long.
bool p11_session_attribute(struct p11 *p11, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                           void *out, size_t room, size_t *ret_len);

// p11_number.c. Takes the next key number for keys of `key_label`, raising the number object.
MUST_USE enum err p11_number_take(struct p11 *p11, const char *number_label, const char *key_label,
                                  uint32_t *ret);
void p11_number_encode(uint32_t number, uint8_t out[4]);

// p11_key.c
MUST_USE enum err p11_key_find(struct p11 *p11, const struct hsm_key *key,
                               CK_OBJECT_HANDLE out[P11_MATCHES_MAX], size_t *ret_count);

// ERR_CONFLICT when the token refuses the id because a key has it: made by somebody since the
// number was taken. Where the token has no data objects the key is made under a random id and given
// its own afterwards, if that can be: NSS puts a key that is made in the place of one with its id,
// another server's perhaps, and leaves both where the id is changed. Sets p11->key_left where a key
// was made, or may have been, that is neither given back nor destroyed for certain.
MUST_USE enum err p11_key_create(struct p11 *p11, const struct hsm_key *key, bool extractable);

// Whether any secret key, whatever its label, has this id.
MUST_USE enum err p11_key_has_id(struct p11 *p11, const struct hsm_key *key, bool *ret);

// The one key that settings->adopt_label (and id) means.
MUST_USE enum err p11_key_adopt(struct p11 *p11, const struct hsm_settings *settings,
                                struct hsm_key *ret);
MUST_USE enum err p11_key_destroy(struct p11 *p11, const struct hsm_key *key);

// The handle that p11_key_create of this process got for `key`; false when it made none.
bool p11_key_created(const struct p11 *p11, const struct hsm_key *key, CK_OBJECT_HANDLE *ret);

// p11_seal.c: as hsm_seal and hsm_unseal, on one handle.
MUST_USE enum err p11_seal_encrypt(struct p11 *p11, CK_OBJECT_HANDLE key, char mechanism[32],
                                   struct span dek, struct buf *ret_sealed);
MUST_USE enum err p11_seal_decrypt(struct p11 *p11, CK_OBJECT_HANDLE key, const char *mechanism,
                                   struct span sealed, struct secret **ret_dek);

// p11_list.c
MUST_USE enum err p11_list(struct p11 *p11, struct buf *ret_json);

#endif
