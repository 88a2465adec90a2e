// SPDX-License-Identifier: Apache-2.0
//
// The nouns: objects, attributes, principals, requests and replies. KMIP, REST and the local socket
// all end in a `struct batch` of `struct request`, so that there is one authorization path, one
// place where key material is released and one audit path. Everything is borrowed from the arena or
// the message it was decoded from.
//
// Numbers are KMIP's own (tags, types, enumerations), since they are the field's standard terms;
// what they mean on the wire is the kmip room's business. The flat encodings below (model_put_* /
// model_get_*) are used between processes and, for attributes, inside sealed records; they are
// versioned by MODEL_FORMAT.
#ifndef KW_MODEL_MODEL_H
#define KW_MODEL_MODEL_H

#include "api_table.h"
#include "base/arena.h"
#include "base/rand.h"

enum {
    MODEL_FORMAT = 1,
    ATTRS_MAX = 512,      // of one object or one request
    BATCH_MAX = 256,      // items of one message
    QUERY_MAX = 32,       // functions asked by one Query
    UIDS_MAX = 1000000,   // identifiers in one Locate answer
    TEXT_MAX = 64 * 1024, // bytes of a text or of a name
};

// What may be asked, from spec/api. The first group has KMIP's operation codes (1.4 section
// 9.1.3.2.27). An item that the kmip room could not understand travels as VERB_NONE, so that the
// batch keeps its order and its error handling: the engine fails it (ERR_OPERATION), and the kmip
// room says why. Query and Discover Versions are answered by the kmip room; in a batch with others
// the engine just says ERR_OK, and a batch of them alone never gets to it. Administration has its
// parameters in `doc`, secrets aside in `secrets`, its answer in reply.doc. Events are what the
// server does by itself and records; nobody may ask for them.
#define VERB_WITH_CODE(id, code, ...) VERB_##id = (code),
#define VERB_NEXT(id, ...)            VERB_##id,
enum verb {
    VERB_NONE = 0,
    API_KMIP_VERBS(VERB_WITH_CODE) VERB_BEFORE_ADMIN = 0x0fff,
    API_ADMIN_VERBS(VERB_NEXT) VERB_ADMIN_END,
    VERB_BEFORE_EVENTS = 0x1fff,
    API_EVENTS(VERB_NEXT) VERB_EVENT_END,
    VERB_ADMIN_FIRST = VERB_BEFORE_ADMIN + 1,
    VERB_EVENT_FIRST = VERB_BEFORE_EVENTS + 1
};
#undef VERB_WITH_CODE
#undef VERB_NEXT

enum principal_kind {
    PRINCIPAL_NOBODY,
    PRINCIPAL_ENDPOINT, // by the fingerprint of this connection's client certificate
    PRINCIPAL_LOCAL,    // by the peer credentials of the local socket
    PRINCIPAL_USER,     // by a session, an API token or a certificate, over HTTPS
};

// What a user has shown. `fingerprint` is the SHA-256 of the secret, or of the certificate (DER).
enum credential_kind {
    CREDENTIAL_NONE,
    CREDENTIAL_SESSION,
    CREDENTIAL_TOKEN,
    CREDENTIAL_CERTIFICATE
};

// Roles and privileges that hold for everything of their kind, one bit each.
enum right {
    RIGHT_SYSTEM = API_BY_SYSTEM,
    RIGHT_KEY = API_BY_KEY,
    RIGHT_AUDIT = API_BY_AUDIT,
    RIGHT_MONITOR = API_BY_MONITOR,
    RIGHT_CREATE_ENDPOINT = API_BY_CREATE_ENDPOINT,
    RIGHT_CREATE_GROUP = API_BY_CREATE_GROUP,
    RIGHT_ALL = RIGHT_SYSTEM | RIGHT_KEY | RIGHT_AUDIT | RIGHT_MONITOR | RIGHT_CREATE_ENDPOINT |
                RIGHT_CREATE_GROUP
};

struct principal {
    enum principal_kind kind;
    enum credential_kind credential; // users
    uint8_t fingerprint[32]; // SHA-256: of an endpoint's certificate (DER), of a user's credential
    uint32_t uid;            // user id of the peer; local
    struct uuid id;          // set by the engine: the endpoint's or user's id
    struct span name;        // set by the engine
    uint32_t rights;         // set by the engine: of enum right; users
    bool held;               // set by the engine: reaches no keys for now; users
    struct span address;     // "127.0.0.1:40000", for the audit trail
};

// KMIP item types (1.4 section 9.1.1.2).
enum attr_type {
    ATTR_STRUCTURE = 1,
    ATTR_INTEGER = 2,
    ATTR_LONG_INTEGER = 3,
    ATTR_BIG_INTEGER = 4,
    ATTR_ENUMERATION = 5,
    ATTR_BOOLEAN = 6,
    ATTR_TEXT = 7,
    ATTR_BYTES = 8,
    ATTR_DATE_TIME = 9,
    ATTR_INTERVAL = 10,
    ATTR_DATE_TIME_EXTENDED = 11,
};

enum { ATTR_CUSTOM = 0, ATTR_NO_INDEX = -1 };

// One attribute instance. A structured value (Name, Link, Cryptographic Parameters …) is kept as
// the canonical TTLV of its members, which the wire room reads.
struct attr {
    uint32_t tag;      // KMIP tag (0x42xxxx), or ATTR_CUSTOM
    struct span name;  // custom: "x-…", or "vendor.name"; else empty
    int32_t index;     // Attribute Index, ATTR_NO_INDEX when the request gave none
    uint8_t type;      // enum attr_type
    int64_t number;    // Integer, Long Integer, Enumeration, Boolean, Date-Time, Interval
    struct span bytes; // Text, Byte String, Big Integer, Structure
};

struct attrs {
    struct attr *items;
    size_t count;
    size_t cap;
};

// A managed object's substance: Key Block, Certificate, Secret Data, Opaque Data (1.4 section 2).
struct object_data {
    uint32_t type;           // Object Type
    uint32_t key_format;     // Key Format Type, 0 for certificates and opaque objects
    uint32_t compression;    // Key Compression Type, 0 none
    uint32_t algorithm;      // Cryptographic Algorithm, 0 unknown
    uint32_t length;         // Cryptographic Length in bits, 0 unknown
    uint32_t subtype;        // Certificate Type, Secret Data Type or Opaque Data Type
    bool structured;         // `material` is the TTLV of the Key Material structure
    struct span material;    // key bytes, certificate, opaque bytes
    struct span wrapping;    // TTLV of Key Wrapping Data, empty when not wrapped
    struct attrs attributes; // inside Key Value
};

enum { SECRETS_MAX = 4 };

struct named_secret {
    struct span name; // "credential", "recovery_passphrase", "new_recovery_passphrase"
    struct span value;
};

struct request {
    enum verb verb;
    struct span uid;      // Unique Identifier; empty: the ID Placeholder
    uint32_t object_type; // Create, Register
    struct attrs
        attrs; // template or new attribute(s), Locate's filters, names asked by Get Attributes
    struct attrs private_attrs; // Create Key Pair
    struct attrs public_attrs;
    struct attr current; // Modify and Delete Attribute 2.x: the instance meant; tag 0 and no name
                         // when absent
    bool has_current;
    struct object_data object; // Register
    uint32_t key_format;       // Get: wanted Key Format Type, 0 any
    uint32_t key_compression;  // Get: wanted Key Compression Type, 0 any
    bool has_wrapping;         // Get: a Key Wrapping Specification was given
    int32_t maximum_items;     // Locate: -1 when not given
    int32_t offset_items;      // Locate: 0 when not given
    uint32_t storage_mask;     // Locate: 0 when not given
    uint32_t reason;           // Revoke: Revocation Reason Code
    struct span reason_text;   // Revoke: Revocation Message
    int64_t compromise_date;   // Revoke: seconds, 0 when not given
    bool has_offset;           // Re-key, Re-key Key Pair: an Offset was given
    uint32_t offset;           // seconds from now to the new key's activation date
    struct span doc;           // administration: a JSON object, without secrets
    struct named_secret secrets[SECRETS_MAX];
    size_t secret_count;
    struct span once;     // administration: a key that comes with every try of this request
    struct span if_match; // administration: do it only when the thing has one of these tags
};

// Batch Error Continuation Option (1.4 section 9.1.3.2.30).
enum on_error { ON_ERROR_CONTINUE = 1, ON_ERROR_STOP = 2, ON_ERROR_UNDO = 3 };

struct batch {
    struct principal who;
    uint16_t version; // KMIP version, major << 8 | minor; 0 for REST
    enum on_error on_error;
    bool ordered;   // Batch Order Option
    struct uuid id; // of this message: looked up to learn the outcome of a write
    bool final;     // to a reader, not encoded: answer it, whatever else there were to be written
    uint32_t room;  // bytes left in the answer for items that only read; 0: as many as they take
    struct request *items;
    size_t count;
};

struct reply {
    enum err status;
    struct span message; // when status is not ERR_OK: fit for whoever asked
    enum verb verb;
    uint32_t object_type;   // Create, Register, Get
    struct span uid;        // Create, Register, Get, …; Create Key Pair: the private key
    struct span public_uid; // Create Key Pair
    struct span *uids;      // Locate
    size_t uid_count;
    int64_t located_items; // Locate: all that match, -1 when not counted
    struct attrs
        attrs; // Get Attributes, Get Attribute List (names only), Add/Modify/Delete Attribute
    struct object_data object; // Get
    bool skipped;              // not executed, since an earlier item failed
    bool undone;               // executed, then taken back (ON_ERROR_UNDO)
    bool unsure;               // when status is not ERR_OK: something may be changed all the same
    struct span doc;           // administration: JSON
    struct span etag;          // administration: tag of the thing that the document shows
};

struct replies {
    struct reply *items;
    size_t count;
};

// True for verbs that change the store: their batch goes to the writer.
bool verb_writes(enum verb verb);
const char *verb_name(enum verb verb);

// Appends; the items live in the arena. ERR_TOO_LARGE past ATTRS_MAX.
MUST_USE enum err attrs_add(struct attrs *attrs, struct arena *arena, const struct attr *attr);

// The first instance of a standard attribute, or NULL.
const struct attr *attrs_find(const struct attrs *attrs, uint32_t tag);

// Same attribute: same tag, and for custom ones the same name.
bool attr_same(const struct attr *a, const struct attr *b);

// Same attribute and same value.
bool attr_equal(const struct attr *a, const struct attr *b);

// Flat encodings. Getters place what they make in the arena and borrow bytes from the input, which
// must outlive it. ERR_MESSAGE on anything malformed; every count is bounded before memory is
// taken.
MUST_USE enum err model_put_attrs(struct buf *out, const struct attrs *attrs);
MUST_USE enum err model_get_attrs(struct cursor *in, struct arena *arena, struct attrs *ret);
MUST_USE enum err model_put_object(struct buf *out, const struct object_data *object);
MUST_USE enum err model_get_object(struct cursor *in, struct arena *arena, struct object_data *ret);
MUST_USE enum err model_put_batch(struct buf *out, const struct batch *batch);
MUST_USE enum err model_get_batch(struct span in, struct arena *arena, struct batch *ret);
MUST_USE enum err model_put_replies(struct buf *out, const struct replies *replies);
MUST_USE enum err model_get_replies(struct span in, struct arena *arena, struct replies *ret);

// IPC frame kinds between fronts, web and engines: a batch, answered by replies. A reader that has
// found something to be written about a read (ops/get.c) answers ERR_TO_WRITER, and is not asked
// again unless by MODEL_ASK_FINAL, as the request's status.
enum { MODEL_FRAME_BATCH = 1, MODEL_FRAME_COURIER = 2, MODEL_FRAME_REFUSAL = 3 };

// A client whose TLS handshake failed: fronts and web tell readers, who answer nothing. The
// certificate is what was shown, which may be anybody's.
enum { MODEL_REFUSAL_TEXT = 256 };
struct model_refusal {
    struct span address; // without port
    struct span reason;
    struct span subject;
    bool https;     // at the port of the REST interface, not at KMIP's
    bool certified; // a certificate was shown: its subject and SHA-256
    uint8_t fingerprint[32];
};
MUST_USE enum err model_put_refusal(struct buf *out, const struct model_refusal *refusal);
MUST_USE enum err model_get_refusal(struct span in, struct model_refusal *ret);
enum { MODEL_ASK = 0, MODEL_ASK_FINAL = 1 };

#endif
