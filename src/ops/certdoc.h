// SPDX-License-Identifier: Apache-2.0
//
// Certificates in the documents of administration.
#ifndef KW_OPS_CERTDOC_H
#define KW_OPS_CERTDOC_H

#include "crypto/pki.h"
#include "ops/doc.h"
#include "store/issued.h"

enum { CERTDOC_PEM_MAX = 64 * 1024, CERTDOC_DAY_S = 86400 };

// Whole days until then; negative when it is over.
json_int_t certdoc_days_left(int64_t not_after, int64_t now);

// subject, issuer, serial, fingerprint, not_before, not_after, days_left. NULL without memory.
json_t *certdoc_describe(const struct pki_info *info, int64_t now);

// The PEM text in "certificate", borrowed from the document. ERR_MISSING_DATA; ERR_TOO_LARGE past
// CERTDOC_PEM_MAX.
MUST_USE enum err certdoc_pem(const json_t *doc, struct span *ret);

// An optional number of days, within bounds.
MUST_USE enum err certdoc_days(const json_t *doc, const char *field, int64_t *ret);

// "limit" and "cursor" (a fingerprint) of a page of certificates.
MUST_USE enum err certdoc_page(const json_t *doc, struct store_issued_query *ret);

#endif
