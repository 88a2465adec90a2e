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

// What may be asked. The first group has KMIP's operation codes (1.4 section 9.1.3.2.27). An item
// that the kmip room could not understand travels as VERB_NONE, so that the batch keeps its order
// and its error handling: the engine fails it (ERR_OPERATION), and the kmip room says why. Query
// and Discover Versions are answered by the kmip room; in a batch with others the engine just says
// ERR_OK, and a batch of them alone never gets to it.
enum verb {
    VERB_NONE = 0,
    VERB_CREATE = 1,
    VERB_CREATE_KEY_PAIR = 2,
    VERB_REGISTER = 3,
    VERB_LOCATE = 8,
    VERB_GET = 10,
    VERB_GET_ATTRIBUTES = 11,
    VERB_GET_ATTRIBUTE_LIST = 12,
    VERB_ADD_ATTRIBUTE = 13,
    VERB_MODIFY_ATTRIBUTE = 14,
    VERB_DELETE_ATTRIBUTE = 15,
    VERB_ACTIVATE = 18,
    VERB_REVOKE = 19,
    VERB_DESTROY = 20,
    VERB_QUERY = 24,
    VERB_DISCOVER_VERSIONS = 30,
    // Administration: parameters in `doc`, secrets aside in `secrets`, answer in reply.doc.
    VERB_ADMIN_FIRST = 0x1000,
    VERB_STATUS = VERB_ADMIN_FIRST, // anyone local
    VERB_SETUP,
    VERB_HSM_STATUS,
    VERB_HSM_INITIALIZE,
    VERB_HSM_SET_CREDENTIAL,
    VERB_HSM_REVERSE_MIGRATE,
    VERB_HSM_VERIFY,
    VERB_HSM_OPEN_WALLET,
    VERB_HSM_PRE_RESTORE,
    VERB_ENDPOINT_ADD,
    VERB_ENDPOINT_ENROLL,
    VERB_ENDPOINT_LIST,
    VERB_ENDPOINT_SHOW,
    VERB_KEY_LIST,
    VERB_KEY_CREATE,
    VERB_KEY_SHOW,
    VERB_AUDIT_VERIFY,
    VERB_AUDIT_LIST,
    VERB_PASSPHRASE_CHANGE,
    VERB_ROTATE_WALLET_PASSWORD,
    VERB_ROTATE_MASTER_KEY,
    VERB_ROTATE_DATA_KEYS,
    VERB_ROTATION_SHOW,
    VERB_ALERT_LIST,
    VERB_ENDPOINT_SUSPEND,
    VERB_ENDPOINT_RESUME,
    VERB_ENDPOINT_REENROLL,
    VERB_ENDPOINT_ROTATE,
    VERB_ENDPOINT_UPDATE,
    VERB_ENDPOINT_DELETE,
    VERB_ENDPOINT_ACCESS,
    VERB_ENDPOINT_OBJECTS,
    VERB_KEY_ACCESS,
    VERB_WALLET_LIST,
    VERB_WALLET_CREATE,
    VERB_WALLET_SHOW,
    VERB_WALLET_UPDATE,
    VERB_WALLET_DELETE,
    VERB_WALLET_OBJECTS,
    VERB_WALLET_ADD,
    VERB_WALLET_REMOVE,
    VERB_WALLET_GRANT,
    VERB_WALLET_REVOKE,
    VERB_GROUP_LIST,
    VERB_GROUP_CREATE,
    VERB_GROUP_SHOW,
    VERB_GROUP_UPDATE,
    VERB_GROUP_DELETE,
    VERB_GROUP_ADD,
    VERB_GROUP_REMOVE,
    VERB_ADMIN_END,
    // What the server does by itself and records; nobody may ask for these.
    VERB_EVENT_FIRST = 0x2000,
    VERB_ALERT_RAISED = VERB_EVENT_FIRST,
    VERB_ALERT_CLEARED,
    VERB_DATA_KEYS_ROTATED,
    VERB_EVENT_END
};

enum principal_kind {
    PRINCIPAL_NOBODY,
    PRINCIPAL_ENDPOINT, // by the fingerprint of this connection's client certificate
    PRINCIPAL_LOCAL,    // by the peer credentials of the local socket
};

struct principal {
    enum principal_kind kind;
    uint8_t fingerprint[32]; // SHA-256 of the certificate (DER); endpoints
    uint32_t uid;            // user id of the peer; local
    struct uuid id;          // set by the engine: the endpoint's id
    struct span name;        // set by the engine
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
    struct span doc;           // administration: a JSON object, without secrets
    struct named_secret secrets[SECRETS_MAX];
    size_t secret_count;
};

// Batch Error Continuation Option (1.4 section 9.1.3.2.30).
enum on_error { ON_ERROR_CONTINUE = 1, ON_ERROR_STOP = 2, ON_ERROR_UNDO = 3 };

struct batch {
    struct principal who;
    uint16_t version; // KMIP version, major << 8 | minor; 0 for REST
    enum on_error on_error;
    bool ordered;   // Batch Order Option
    struct uuid id; // of this message: looked up to learn the outcome of a write
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
    struct span doc;           // administration: JSON
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

// IPC frame kinds between fronts, web and engines: a batch, answered by replies.
enum { MODEL_FRAME_BATCH = 1 };

#endif
