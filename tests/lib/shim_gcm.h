// SPDX-License-Identifier: Apache-2.0
// AES-GCM as HSMs do it that choose the IV themselves, made of a module that does it by the book.
//   luna      a 16-byte IV is made inside and follows the tag; the caller's IV is ignored
//   fips      the same, and the caller must give no IV
//   short     wants the parameters without ulIvBits
//   strict    wants them with ulIvBits, which must be right
//   cloudhsm  the caller's IV must be 12 zero bytes; the IV made inside overwrites it
// State is kept for one session at a time, which is all a test needs.
#pragma once
#include <p11-kit/pkcs11.h>
#include <stdbool.h>

// True if this mechanism is to be handled here, by the control file.
bool shim_gcm_wants(const struct ck_mechanism *mech);

// Whether an operation begun here is under way in the session.
bool shim_gcm_active(ck_session_handle_t s, bool encrypt);

ck_rv_t shim_gcm_init(struct ck_function_list *real, ck_session_handle_t s,
                      struct ck_mechanism *mech, ck_object_handle_t key, bool encrypt);
ck_rv_t shim_gcm_encrypt(struct ck_function_list *real, ck_session_handle_t s, unsigned char *in,
                         unsigned long in_len, unsigned char *out, unsigned long *out_len);
ck_rv_t shim_gcm_decrypt(struct ck_function_list *real, ck_session_handle_t s, unsigned char *in,
                         unsigned long in_len, unsigned char *out, unsigned long *out_len);
