// SPDX-License-Identifier: Apache-2.0
//
// Blanks in a code are no other code: they are taken out before anything is compared.
#include "ops/totp.h"

#include "base/secret.h"
#include "crypto/crypto.h"

enum { AROUND = 1, TYPED_MAX = 32 };

// Six digits, or nothing.
static size_t plain_code(struct span typed, char out[CRYPTO_TOTP_DIGITS])
{
    size_t used = 0;
    if (typed.len > TYPED_MAX)
        return 0;
    for (size_t i = 0; i < typed.len; i++) {
        if (typed.data[i] == ' ')
            continue;
        if (typed.data[i] < '0' || typed.data[i] > '9' || used == CRYPTO_TOTP_DIGITS)
            return 0;
        out[used++] = (char)typed.data[i];
    }
    return used;
}

enum err totp_check(const struct account *account, struct span code, int64_t now_s, bool *ret_fits,
                    int64_t *ret_step)
{
    char typed[CRYPTO_TOTP_DIGITS];
    char want[CRYPTO_TOTP_DIGITS + 1];
    int64_t now = now_s / CRYPTO_TOTP_STEP_S;
    bool fits = false;
    size_t len = plain_code(code, typed);
    for (int64_t step = now - AROUND; step <= now + AROUND; step++) {
        TRY(crypto_totp(account->totp, (uint64_t)step, want));
        bool same = len == CRYPTO_TOTP_DIGITS &&
                    secret_equal(span_of(typed, len), span_of(want, CRYPTO_TOTP_DIGITS));
        if (same && step > account->row.totp_step) {
            fits = true;
            *ret_step = step;
        }
    }
    explicit_bzero(want, sizeof want);
    *ret_fits = fits;
    return ERR_OK;
}

void totp_make(uint8_t ret[TOTP_SECRET_LEN], char text[TOTP_TEXT_LEN + 1])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint64_t bits = 0;
    unsigned have = 0;
    size_t used = 0;
    rand_bytes(ret, TOTP_SECRET_LEN);
    for (size_t i = 0; i < TOTP_SECRET_LEN; i++) {
        bits = bits << 8 | ret[i];
        for (have += 8; have >= 5; have -= 5)
            text[used++] = letters[bits >> (have - 5) & 31];
    }
    text[used] = '\0';
}
