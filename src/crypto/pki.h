// SPDX-License-Identifier: Apache-2.0
//
// Certificates: the server's own CA, server and endpoint certificates (RFC 5280), P-256 and SHA-256
// throughout. Keys and certificates travel as PEM in bufs; buf for keys are `secret`.
#ifndef KW_CRYPTO_PKI_H
#define KW_CRYPTO_PKI_H

#include "base/buf.h"

enum { PKI_NAME_MAX = 64, PKI_HOSTS_MAX = 16, PKI_FINGERPRINT_LEN = 32 };
enum { PKI_PASSWORD_MAX = 128, PKI_CHAIN_MAX = 6, PKI_SUBJECT_MAX = 255, PKI_SERIAL_MAX = 20 };

// What a certificate says. Names are RFC 4514's text, cut where they are too long.
struct pki_info {
    char subject[PKI_SUBJECT_MAX + 1];
    char issuer[PKI_SUBJECT_MAX + 1];
    uint8_t serial[PKI_SERIAL_MAX];
    size_t serial_len;
    uint8_t fingerprint[PKI_FINGERPRINT_LEN]; // SHA-256 of the DER
    int64_t not_before, not_after;            // seconds since 1970
    bool is_ca, self_signed;
    int path_length; // -1: no limit
};

// What a request asks for.
struct pki_wish {
    const char *organization; // NULL: none
    const char *common_name;
    bool authority;           // a CA's certificate
    const char *const *hosts; // a server's: DNS names and addresses
    size_t host_count;
};

// Where a certificate says that its issuer's revocation list and certificate are found: addresses
// without commas and semicolons, or NULL for nowhere.
struct pki_places {
    const char *crl;
    const char *authority;
};

enum pki_use { PKI_AUTHORITY, PKI_SERVER };
enum pki_part {
    PKI_LEAF,  // the first certificate
    PKI_ABOVE, // all but the first
    PKI_SENT   // all but a self-signed one at the end, unless it is alone
};

// One entry of a revocation list. The reason is RFC 5280's (section 5.3.1), 0 for none.
struct pki_revoked {
    const uint8_t *serial;
    size_t serial_len;
    int64_t when;
    uint32_t reason;
};

struct pki_crl {
    const struct pki_revoked *list;
    size_t count;
    uint64_t number;
    int64_t now, next; // seconds: of this list and of the next one
};

// A P-256 key pair (PKCS#8 PEM).
MUST_USE enum err pki_make_key(struct buf *ret_key_pem);

// A self-signed CA certificate, `days` valid, path length 0.
MUST_USE enum err pki_make_ca(struct span key_pem, const char *common_name, int days,
                              struct buf *ret_cert_pem);

// A server certificate for `hosts` (DNS names or IP addresses; also in subjectAltName), signed by
// the CA. `places` NULL: it names none.
MUST_USE enum err pki_sign_server(struct span ca_key_pem, struct span ca_cert_pem,
                                  struct span key_pem, const char *const *hosts, size_t host_count,
                                  int days, const struct pki_places *places,
                                  struct buf *ret_cert_pem);

// A certificate signing request (PKCS#10 PEM) for `common_name`.
MUST_USE enum err pki_make_csr(struct span key_pem, const char *common_name,
                               struct buf *ret_csr_pem);

// The same, with wishes for whoever signs outside.
MUST_USE enum err pki_make_request(struct span key_pem, const struct pki_wish *wish,
                                   struct buf *ret_csr_pem);

// What is signed below ends with its issuer's certificate at the latest; ERR_WRONG_STATE when that
// has expired.
//
// A client certificate for the key of the request; subject and validity are ours, the request's are
// ignored. Checks the request's signature and that the key is P-256, P-384 or RSA of 2048 to 8192
// bits: ERR_INVALID.
MUST_USE enum err pki_sign_client(struct span ca_key_pem, struct span ca_cert_pem,
                                  struct span csr_pem, const char *common_name, int days,
                                  const struct pki_places *places, struct buf *ret_cert_pem,
                                  uint8_t ret_fingerprint[PKI_FINGERPRINT_LEN]);

// Whether a request is proof that its maker has the key of a certificate, for this purpose: it
// is signed with that key, and asks for O=organization, CN=common_name and nothing else.
// ERR_INVALID says what is wrong.
MUST_USE enum err pki_check_proof(struct span csr_pem, struct span cert_pem,
                                  const char *organization, const char *common_name);

// ERR_INVALID unless the bytes are the DER of one X.509 certificate and nothing after it. Says
// nothing about whom it is from.
MUST_USE enum err pki_check_der(struct span der);

// Appends the SubjectPublicKeyInfo (DER) of a certificate (DER). ERR_INVALID.
MUST_USE enum err pki_public_key(struct span der, struct buf *ret_spki);

// Whether `issuer` says that it is who `cert` was signed by, and its key has signed it (both DER).
// A self-signed certificate is not its own issuer here. Each signature that is looked at takes one
// of *checks; without any left the answer is no.
bool pki_is_issuer(struct span issuer, struct span cert, unsigned *checks);

// Appends a PKCS#12 file of a private key (PKCS#8, DER) or of a certificate (DER), the other one
// empty, as pki_make_pkcs12 does.
MUST_USE enum err pki_pack_pkcs12(struct span pkcs8, struct span cert, struct span password,
                                  struct buf *ret_der);

// When a certificate in DER expires: seconds since 1970. ERR_INVALID.
MUST_USE enum err pki_expires_der(struct span der, int64_t *ret);

// SHA-256 over the DER of the first certificate in a PEM text.
MUST_USE enum err pki_fingerprint(struct span cert_pem, uint8_t ret[PKI_FINGERPRINT_LEN]);

// What the first certificate in a PEM text says. ERR_INVALID.
MUST_USE enum err pki_describe(struct span cert_pem, struct pki_info *ret);

// The DNS names and addresses that it is for, each with a newline, appended.
MUST_USE enum err pki_hosts(struct span cert_pem, struct buf *ret);

// ERR_INVALID unless key and first certificate belong together.
MUST_USE enum err pki_check_pair(struct span key_pem, struct span cert_pem);

// Whether the certificate of `key_pem` among those in `pem`, with the others as its chain up to a
// self-signed one, may serve as an authority (also: its path lengths allow it to sign) or as a
// server, at this time. Appends them in order. ERR_INVALID says which certificate is wrong, and
// how.
MUST_USE enum err pki_check_chain(enum pki_use use, struct span pem, struct span key_pem,
                                  int64_t now_s, struct buf *ret_chain);

// Appends a part of a chain that is in order.
MUST_USE enum err pki_chain_part(struct span chain_pem, enum pki_part part, struct buf *ret);

// Appends a revocation list (PEM) of this authority.
MUST_USE enum err pki_make_crl(struct span ca_key_pem, struct span ca_cert_pem,
                               const struct pki_crl *want, struct buf *ret_pem);

// Appends the DER of the first block of a PEM text, whatever it is. ERR_INVALID.
MUST_USE enum err pki_der(struct span pem, struct buf *ret_der);

// Appends a PKCS#12 file (DER) of a private key, its certificate and all of `ca_pem`, under a
// password of at most PKI_PASSWORD_MAX bytes: PBES2 with AES-256. `name` is its friendly name.
// ERR_INVALID, ERR_CRYPTOGRAPHIC. Takes a tenth of a second.
MUST_USE enum err pki_make_pkcs12(struct span key_pem, struct span cert_pem, struct span ca_pem,
                                  struct span password, const char *name, struct buf *ret_der);

#endif
