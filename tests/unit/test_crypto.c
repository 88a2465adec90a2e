// SPDX-License-Identifier: Apache-2.0
//
// crypto/crypto.h: known answers of others (C2SP, RFC 5869, RFC 4231), and that a change of any bit
// of key, context or sealed bytes is found.
#include "crypto/crypto.h"

#include "crypto/kat.h"
#include "tests/unit/check.h"

#include <stdio.h>

static void unhex(const char *text, struct buf *out)
{
    buf_init(out, 4096, false);
    for (; *text != '\0'; text += 2) {
        unsigned byte = 0;
        assert_int_equal(sscanf(text, "%2x", &byte), 1);
        OK(buf_put_u8(out, (uint8_t)byte));
    }
}

static void assert_hex(struct span got, const char *want)
{
    struct buf bytes CLEANUP(buf_done);
    unhex(want, &bytes);
    assert_int_equal(got.len, bytes.len);
    assert_memory_equal(got.data, bytes.data, bytes.len);
}

// C2SP XAES-256-GCM, both test vectors.
static void sealing_gives_the_published_bytes(void **state)
{
    (void)state;
    static const struct {
        uint8_t key;
        const char *aad;
        const char *want;
    } cases[] = {
        {0x01, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
        {0x03, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
    };
    const char *nonce = "ABCDEFGHIJKLMNOPQRSTUVWX";
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint8_t key[32];
        memset(key, cases[i].key, sizeof key);
        struct buf out CLEANUP(buf_done);
        buf_init(&out, 4096, false);
        OK(kat_seal(span_of(key, 32), (const uint8_t *)nonce, span_str(cases[i].aad),
                    span_str("XAES-256-GCM"), &out));
        assert_memory_equal(out.data, nonce, 24);
        assert_hex(span_of(out.data + 24, out.len - 24), cases[i].want);
        struct buf plain CLEANUP(buf_done);
        buf_init(&plain, 4096, true);
        OK(crypto_open(span_of(key, 32), span_str(cases[i].aad), span_buf(&out), &plain));
        assert_true(span_eq_str(span_buf(&plain), "XAES-256-GCM"));
    }
}

static void what_is_sealed_opens_and_never_looks_the_same_twice(void **state)
{
    (void)state;
    uint8_t key[32] = {7};
    uint8_t text[300];
    memset(text, 0x5a, sizeof text);
    for (size_t len = 0; len <= sizeof text; len += 50) {
        struct buf one CLEANUP(buf_done);
        struct buf two CLEANUP(buf_done);
        struct buf plain CLEANUP(buf_done);
        buf_init(&one, 4096, false);
        buf_init(&two, 4096, false);
        buf_init(&plain, 4096, true);
        OK(crypto_seal(span_of(key, 32), span_str("aad"), span_of(text, len), &one));
        OK(crypto_seal(span_of(key, 32), span_str("aad"), span_of(text, len), &two));
        assert_int_equal(one.len, len + CRYPTO_SEAL_OVERHEAD);
        assert_false(span_eq(span_buf(&one), span_buf(&two)));
        OK(crypto_open(span_of(key, 32), span_str("aad"), span_buf(&one), &plain));
        assert_true(span_eq(span_buf(&plain), span_of(text, len)));
    }
}

static void each_flipped_bit_is_found(void **state)
{
    (void)state;
    uint8_t key[32] = {1, 2, 3};
    struct buf sealed CLEANUP(buf_done);
    struct buf plain CLEANUP(buf_done);
    buf_init(&sealed, 4096, false);
    buf_init(&plain, 4096, true);
    OK(crypto_seal(span_of(key, 32), span_str("context"), span_str("sixteen bytes 16"), &sealed));
    for (size_t bit = 0; bit < sealed.len * 8; bit++) {
        sealed.data[bit / 8] = (uint8_t)(sealed.data[bit / 8] ^ (1U << (bit % 8)));
        FAILS(ERR_DAMAGED,
              crypto_open(span_of(key, 32), span_str("context"), span_buf(&sealed), &plain));
        sealed.data[bit / 8] = (uint8_t)(sealed.data[bit / 8] ^ (1U << (bit % 8)));
    }
    FAILS(ERR_DAMAGED,
          crypto_open(span_of(key, 32), span_str("contexT"), span_buf(&sealed), &plain));
    FAILS(ERR_DAMAGED, crypto_open(span_of(key, 32), span_str(""), span_buf(&sealed), &plain));
    key[31] = 1;
    FAILS(ERR_DAMAGED,
          crypto_open(span_of(key, 32), span_str("context"), span_buf(&sealed), &plain));
    assert_int_equal(plain.len, 0);
}

static void short_input_and_short_keys_are_refused(void **state)
{
    (void)state;
    uint8_t key[32] = {0};
    uint8_t bytes[CRYPTO_SEAL_OVERHEAD] = {0};
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 4096, true);
    for (size_t len = 0; len < CRYPTO_SEAL_OVERHEAD; len++)
        FAILS(ERR_DAMAGED, crypto_open(span_of(key, 32), span_str(""), span_of(bytes, len), &out));
    FAILS(ERR_CRYPTOGRAPHIC, crypto_seal(span_of(key, 16), span_str(""), span_str("x"), &out));
    FAILS(ERR_CRYPTOGRAPHIC,
          crypto_open(span_of(key, 31), span_str(""), span_of(bytes, sizeof bytes), &out));
    buf_init(&out, 41, true);
    FAILS(ERR_TOO_LARGE, crypto_seal(span_of(key, 32), span_str(""), span_str("xy"), &out));
}

static void hashes_and_macs_give_the_published_bytes(void **state)
{
    (void)state;
    uint8_t out[32];
    crypto_sha256(span_str("abc"), out);
    assert_hex(span_of(out, 32),
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    crypto_sha256(span_str(""), out);
    assert_hex(span_of(out, 32),
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    // RFC 4231 test case 2.
    OK(crypto_hmac_sha256(span_str("Jefe"), span_str("what do ya want for nothing?"), out));
    assert_hex(span_of(out, 32),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    // Test case 6: the key is longer than a block.
    uint8_t key[131];
    memset(key, 0xaa, sizeof key);
    OK(crypto_hmac_sha256(span_of(key, sizeof key),
                          span_str("Test Using Larger Than Block-Size Key - Hash Key First"), out));
    assert_hex(span_of(out, 32),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void derivation_gives_the_published_bytes(void **state)
{
    (void)state;
    // RFC 5869 test case 3: no salt, no info.
    uint8_t ikm[22];
    uint8_t out[42];
    memset(ikm, 0x0b, sizeof ikm);
    OK(kat_hkdf(span_of(ikm, sizeof ikm), span_str(""), out, sizeof out));
    assert_hex(
        span_of(out, sizeof out),
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
    uint8_t one[32];
    uint8_t two[32];
    OK(crypto_derive(span_of(ikm, sizeof ikm), "purpose one", one));
    OK(crypto_derive(span_of(ikm, sizeof ikm), "purpose two", two));
    assert_memory_not_equal(one, two, 32);
}

// RFC 6238 appendix B; of its eight digits the last six.
static void one_time_passwords_are_those_of_the_standard(void **state)
{
    static const struct {
        uint64_t time;
        const char *code;
    } known[] = {{59, "287082"},         {1111111109, "081804"}, {1111111111, "050471"},
                 {1234567890, "005924"}, {2000000000, "279037"}, {20000000000, "353130"}};
    char code[CRYPTO_TOTP_DIGITS + 1];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        OK(crypto_totp(span_str("12345678901234567890"), known[i].time / CRYPTO_TOTP_STEP_S, code));
        assert_string_equal(code, known[i].code);
    }
    FAILS(ERR_CRYPTOGRAPHIC, crypto_totp(span_of(NULL, 0), 1, code));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sealing_gives_the_published_bytes),
        cmocka_unit_test(what_is_sealed_opens_and_never_looks_the_same_twice),
        cmocka_unit_test(each_flipped_bit_is_found),
        cmocka_unit_test(short_input_and_short_keys_are_refused),
        cmocka_unit_test(hashes_and_macs_give_the_published_bytes),
        cmocka_unit_test(derivation_gives_the_published_bytes),
        cmocka_unit_test(one_time_passwords_are_those_of_the_standard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
