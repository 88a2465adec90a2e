// SPDX-License-Identifier: Apache-2.0
//
// A managed object in the hands of an operation: its row, its opened attributes, and the ways it
// comes from the store and goes back. An object that does not exist and one that belongs to
// somebody else are the same answer.
#ifndef KW_OPS_OBJECT_H
#define KW_OPS_OBJECT_H

#include "authz/authz.h"
#include "ops/context.h"
#include "ops/lifecycle.h"

// store_object.flags
enum object_flag {
    OBJECT_SENSITIVE = 1,
    OBJECT_EXTRACTABLE = 2,
    OBJECT_ALWAYS_SENSITIVE = 4,
    OBJECT_NEVER_EXTRACTABLE = 8,
    OBJECT_SERVED = 16 // its material was given to a client: Fresh is false
};

struct object {
    struct store_object row;
    struct attrs attrs;      // what is sealed in the row: all but dates, flags, type, identifier
    struct object_data data; // substance of a new object; empty after object_get
    struct span uid;         // text
    uint32_t sealed_flags;   // what the material is bound to as long as it is not sealed anew
    struct uuid sealed_key;
};

// The object that the request names (or the ID Placeholder), if its principal may use the request's
// verb on it. Attributes stay sealed. ERR_NOT_FOUND for every reason why not.
MUST_USE enum err object_get(struct op *op, struct object *ret);

// How the one who asks stands to an object.
MUST_USE enum err object_relate(struct op *op, const struct store_object *row,
                                enum authz_relation *ret);

// The same with the attributes opened.
MUST_USE enum err object_get_attrs(struct op *op, struct object *ret);

// A new object of `type`, owned by whoever asks: identifier, dates, default flags.
MUST_USE enum err object_init(struct op *op, uint32_t type, struct object *ret);

// Seals `data` and `attrs` and stores the new object, in its endpoint's default wallet, too.
// ERR_CONFLICT when its name is taken.
MUST_USE enum err object_put(struct op *op, struct object *object);

// Stores what was changed: last change date, state, sealed attributes, index values; when flags
// were changed, the material is sealed again.
MUST_USE enum err object_update(struct op *op, struct object *object);

// Seals a row of store_object_get under the newest data key, whoever owns it; nothing else about it
// changes. ERR_DAMAGED when it cannot be opened; then nothing was written.
MUST_USE enum err object_reseal(struct op *op, const struct store_object *row);

// Opens attributes of a row that came from store_object_find.
MUST_USE enum err object_open_attrs(struct ops *ops, struct arena *arena, struct object *object);

// Clear bytes for the one who asked: the only way out. ERR_SENSITIVE, ERR_NOT_EXTRACTABLE,
// ERR_DESTROYED.
MUST_USE enum err object_release(struct op *op, const struct object *object,
                                 struct object_data *ret);

// The bytes (DER) of a living certificate, which is no secret, in the arena: for reports, not for
// whoever asked. ERR_NOT_FOUND for anything else.
MUST_USE enum err object_certificate(struct op *op, const struct uuid *id, struct span *ret);

// Notes that the material was given to a client, if that is not noted yet. A reader cannot:
// ERR_TO_WRITER, unless the batch is final. Neither state nor Last Change Date change.
MUST_USE enum err object_note_served(struct op *op, struct object *object);

// Tells the audit trail and the ID Placeholder which object this is about.
void object_note(struct op *op, const struct object *object);

#endif
