// SPDX-License-Identifier: Apache-2.0
//
// The frames between an engine and the keeper, and between the keeper and its prover. Integers are
// big-endian; "var" is a 4-byte length and the bytes.
//
// clang-format off
// | verb    | ask                                                       | answer                                           |
// |---------|-----------------------------------------------------------|--------------------------------------------------|
// | STATUS  | –                                                         | u8 state, u8 hsm, u32 generation, u32 master, var reason |
// | NEW_KEY | var context                                               | 32 bytes, var wrapped                            |
// | UNWRAP  | var context, var wrapped                                  | 32 bytes                                         |
// | REWRAP  | var context, var wrapped                                  | u8 changed, var wrapped                          |
// | OPERATE | u32 operation, var doc, u32 n, n × (var name, var value)  | u32 code, u8 unsure, var detail, var doc         |
// | PROVE   | 16 bytes operation, u8 ways, var passphrase               | –                                                |
// | HEALTH  | u32 seconds between two checks, 0: as it is               | u8 hsm, u8 known, u8 up, u8 extractable, u32 master, u64 latency, u64 checked, var problem, var message |
// | STEPS   | –                                                         | var doc: name and steps of what is under way, else empty |
// clang-format on
#ifndef KW_KEYRING_VERBS_H
#define KW_KEYRING_VERBS_H

enum verb {
    VERB_STATUS = 1,
    VERB_NEW_KEY,
    VERB_UNWRAP,
    VERB_REWRAP,
    VERB_OPERATE,
    VERB_PROVE,
    VERB_HEALTH,
    VERB_STEPS
};

enum {
    VERB_SECRETS_MAX = 4,      // of one operation
    VERB_DOC_MAX = 256 * 1024, // bytes of an operation's document
    VERB_SECRET_MAX = 1024     // bytes of one secret
};

// Ways that the prover must find to open the store.
enum { PROVE_HSM = 1, PROVE_PASSPHRASE = 2, PROVE_AUTOLOGIN = 4 };

#endif
