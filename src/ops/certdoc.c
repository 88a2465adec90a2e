// SPDX-License-Identifier: Apache-2.0
//
// What a certificate says, as administrators read it.
#include "ops/certdoc.h"

#include "base/hex.h"
#include "ops/ca.h"

json_int_t certdoc_days_left(int64_t not_after, int64_t now)
{
    int64_t left = not_after - now;
    return left >= 0 ? left / CERTDOC_DAY_S : -((-left + CERTDOC_DAY_S - 1) / CERTDOC_DAY_S);
}

json_t *certdoc_describe(const struct pki_info *info, int64_t now)
{
    char serial[2 * PKI_SERIAL_MAX + 1];
    char fingerprint[2 * PKI_FINGERPRINT_LEN + 1];
    hex_text(span_of(info->serial, info->serial_len), serial);
    hex_text(span_of(info->fingerprint, sizeof info->fingerprint), fingerprint);
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:I}", "subject", info->subject, "issuer",
                     info->issuer, "serial", serial, "fingerprint", fingerprint, "not_before",
                     doc_time(info->not_before), "not_after", doc_time(info->not_after),
                     "days_left", certdoc_days_left(info->not_after, now));
}

enum err certdoc_pem(const json_t *doc, struct span *ret)
{
    const json_t *value = json_object_get(doc, "certificate");
    if (!json_is_string(value) || json_string_length(value) == 0)
        FAIL(ERR_MISSING_DATA, "\"certificate\" is missing: give the certificate and those above "
                               "it up to the root (PEM)");
    if (json_string_length(value) > CERTDOC_PEM_MAX)
        FAIL(ERR_TOO_LARGE, "\"certificate\" has %zu bytes, more than %d",
             json_string_length(value), CERTDOC_PEM_MAX);
    *ret = span_of(json_string_value(value), json_string_length(value));
    return ERR_OK;
}

enum err certdoc_days(const json_t *doc, const char *field, int64_t *ret)
{
    return doc_integer(doc, field, 1, CA_DAYS_MAX, ret);
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum err certdoc_page(const json_t *doc, struct store_issued_query *ret)
{
    int64_t limit = DOC_PAGE_DEFAULT;
    const json_t *cursor = json_object_get(doc, "cursor");
    TRY(doc_integer(doc, "limit", 1, STORE_FIND_MAX, &limit));
    ret->limit = (uint32_t)limit;
    if (cursor == NULL)
        return ERR_OK;
    const char *text = json_string_value(cursor);
    bool fits = text != NULL && json_string_length(cursor) == 2 * sizeof ret->after;
    for (size_t i = 0; fits && i < sizeof ret->after; i++) {
        int high = digit(text[2 * i]);
        int low = digit(text[2 * i + 1]);
        fits = high >= 0 && low >= 0;
        ret->after[i] = (uint8_t)(fits ? high << 4 | low : 0);
    }
    if (!fits)
        FAIL(ERR_INVALID, "\"cursor\" is not the next_cursor of an answer");
    return ERR_OK;
}
