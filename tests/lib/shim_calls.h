// SPDX-License-Identifier: Apache-2.0
// The table of all PKCS#11 2.40 functions, to be included with PLAIN and HOOKED defined:
//   PLAIN(name, min, parameters, arguments)  forwarded as it is
//   HOOKED(name, min)                        forwarded by a function in pkcs11_shim.c
// min is 1 for the 17 functions every library must have (what Keyward may rely on), else 0. No
// include guard: it is included once for each thing made of the table.
#define SES   ck_session_handle_t s
#define OBJ   ck_object_handle_t
#define IN    unsigned char *in, unsigned long in_len
#define OUT   unsigned char *out, unsigned long *out_len
#define MECH  struct ck_mechanism *mech
#define TEMPL struct ck_attribute *templ, unsigned long n

// clang-format off
HOOKED(C_Initialize, 1)
PLAIN(C_Finalize, 1, (void *reserved), (reserved))
PLAIN(C_GetInfo, 0, (struct ck_info *info), (info))
HOOKED(C_GetFunctionList, 1)
HOOKED(C_GetSlotList, 1)
PLAIN(C_GetSlotInfo, 0, (ck_slot_id_t slot, struct ck_slot_info *info), (slot, info))
HOOKED(C_GetTokenInfo, 1)
PLAIN(C_WaitForSlotEvent, 0, (ck_flags_t flags, ck_slot_id_t *slot, void *reserved),
      (flags, slot, reserved))
PLAIN(C_GetMechanismList, 0, (ck_slot_id_t slot, ck_mechanism_type_t *list, unsigned long *n),
      (slot, list, n))
PLAIN(C_GetMechanismInfo, 0,
      (ck_slot_id_t slot, ck_mechanism_type_t type, struct ck_mechanism_info *info),
      (slot, type, info))
PLAIN(C_InitToken, 0, (ck_slot_id_t slot, IN, unsigned char *label), (slot, in, in_len, label))
PLAIN(C_InitPIN, 0, (SES, IN), (s, in, in_len))
PLAIN(C_SetPIN, 0, (SES, IN, unsigned char *pin, unsigned long pin_len),
      (s, in, in_len, pin, pin_len))
HOOKED(C_OpenSession, 1)
PLAIN(C_CloseSession, 1, (SES), (s))
PLAIN(C_CloseAllSessions, 0, (ck_slot_id_t slot), (slot))
PLAIN(C_GetSessionInfo, 0, (SES, struct ck_session_info *info), (s, info))
PLAIN(C_GetOperationState, 0, (SES, OUT), (s, out, out_len))
PLAIN(C_SetOperationState, 0, (SES, IN, OBJ enc, OBJ auth), (s, in, in_len, enc, auth))
HOOKED(C_Login, 1)
PLAIN(C_Logout, 0, (SES), (s))
HOOKED(C_CreateObject, 0)
PLAIN(C_CopyObject, 0, (SES, OBJ from, TEMPL, OBJ *to), (s, from, templ, n, to))
PLAIN(C_DestroyObject, 0, (SES, OBJ o), (s, o))
PLAIN(C_GetObjectSize, 0, (SES, OBJ o, unsigned long *size), (s, o, size))
HOOKED(C_GetAttributeValue, 0)
PLAIN(C_SetAttributeValue, 0, (SES, OBJ o, TEMPL), (s, o, templ, n))
PLAIN(C_FindObjectsInit, 1, (SES, TEMPL), (s, templ, n))
HOOKED(C_FindObjects, 1)
PLAIN(C_FindObjectsFinal, 1, (SES), (s))
HOOKED(C_EncryptInit, 1)
HOOKED(C_Encrypt, 1)
PLAIN(C_EncryptUpdate, 0, (SES, IN, OUT), (s, in, in_len, out, out_len))
PLAIN(C_EncryptFinal, 0, (SES, OUT), (s, out, out_len))
HOOKED(C_DecryptInit, 1)
HOOKED(C_Decrypt, 1)
PLAIN(C_DecryptUpdate, 0, (SES, IN, OUT), (s, in, in_len, out, out_len))
PLAIN(C_DecryptFinal, 0, (SES, OUT), (s, out, out_len))
PLAIN(C_DigestInit, 0, (SES, MECH), (s, mech))
PLAIN(C_Digest, 0, (SES, IN, OUT), (s, in, in_len, out, out_len))
PLAIN(C_DigestUpdate, 0, (SES, IN), (s, in, in_len))
PLAIN(C_DigestKey, 0, (SES, OBJ key), (s, key))
PLAIN(C_DigestFinal, 0, (SES, OUT), (s, out, out_len))
PLAIN(C_SignInit, 0, (SES, MECH, OBJ key), (s, mech, key))
PLAIN(C_Sign, 0, (SES, IN, OUT), (s, in, in_len, out, out_len))
PLAIN(C_SignUpdate, 0, (SES, IN), (s, in, in_len))
PLAIN(C_SignFinal, 0, (SES, OUT), (s, out, out_len))
PLAIN(C_SignRecoverInit, 0, (SES, MECH, OBJ key), (s, mech, key))
PLAIN(C_SignRecover, 0, (SES, IN, OUT), (s, in, in_len, out, out_len))
PLAIN(C_VerifyInit, 0, (SES, MECH, OBJ key), (s, mech, key))
PLAIN(C_Verify, 0, (SES, IN, unsigned char *sig, unsigned long sig_len),
      (s, in, in_len, sig, sig_len))
PLAIN(C_VerifyUpdate, 0, (SES, IN), (s, in, in_len))
PLAIN(C_VerifyFinal, 0, (SES, IN), (s, in, in_len))
PLAIN(C_VerifyRecoverInit, 0, (SES, MECH, OBJ key), (s, mech, key))
PLAIN(C_VerifyRecover, 0, (SES, IN, OUT), (s, in, in_len, out, out_len))
PLAIN(C_DigestEncryptUpdate, 0, (SES, IN, OUT), (s, in, in_len, out, out_len))
PLAIN(C_DecryptDigestUpdate, 0, (SES, IN, OUT), (s, in, in_len, out, out_len))
PLAIN(C_SignEncryptUpdate, 0, (SES, IN, OUT), (s, in, in_len, out, out_len))
PLAIN(C_DecryptVerifyUpdate, 0, (SES, IN, OUT), (s, in, in_len, out, out_len))
HOOKED(C_GenerateKey, 1)
PLAIN(C_GenerateKeyPair, 0,
      (SES, MECH, TEMPL, struct ck_attribute *priv, unsigned long priv_n, OBJ *a, OBJ *b),
      (s, mech, templ, n, priv, priv_n, a, b))
PLAIN(C_WrapKey, 0, (SES, MECH, OBJ with, OBJ key, OUT), (s, mech, with, key, out, out_len))
PLAIN(C_UnwrapKey, 0, (SES, MECH, OBJ with, IN, TEMPL, OBJ *key),
      (s, mech, with, in, in_len, templ, n, key))
PLAIN(C_DeriveKey, 0, (SES, MECH, OBJ base, TEMPL, OBJ *key), (s, mech, base, templ, n, key))
PLAIN(C_SeedRandom, 0, (SES, IN), (s, in, in_len))
PLAIN(C_GenerateRandom, 1, (SES, IN), (s, in, in_len))
PLAIN(C_GetFunctionStatus, 0, (SES), (s))
PLAIN(C_CancelFunction, 0, (SES), (s))
// clang-format on

#undef PLAIN
#undef HOOKED
#undef SES
#undef OBJ
#undef IN
#undef OUT
#undef MECH
#undef TEMPL
