// SPDX-License-Identifier: Apache-2.0
//
// Objects from and to the store. Invariants: material leaves only through object_release, but for
// certificates, which are no secret; what is sealed is bound to id, type and flags, attributes to
// the row's version too; a name is unique among one owner's objects that are not destroyed.
#include "ops/object.h"

#include "authz/authz.h"
#include "base/clock.h"
#include "ops/attributes.h"
#include "ops/index.h"
#include "ops/seal.h"

static enum err not_found(struct op *op, const char *why)
{
    op->detail = span_str(why);
    FAIL(ERR_NOT_FOUND, "there is no such object");
}

void object_note(struct op *op, const struct object *object)
{
    op->object = object->row.id;
    op->object_type = object->row.type;
}

static enum err text_of(struct op *op, const struct uuid *id, struct span *ret)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_text(id, text);
    return arena_copy(op->arena, span_of(text, UUID_TEXT_LEN), ret);
}

static enum err wanted_id(struct op *op, struct uuid *ret)
{
    if (op->request->uid.len == 0) {
        if (!op->has_placeholder)
            return not_found(op, "the ID placeholder is empty");
        *ret = op->placeholder;
        return ERR_OK;
    }
    if (uuid_parse(op->request->uid, ret) != ERR_OK)
        return not_found(op, "the identifier is not one of this server");
    return ERR_OK;
}

// How the one who asks stands to an object. Only for a stranger's does this cost a look into the
// store.
enum err object_relate(struct op *op, const struct store_object *row, enum authz_relation *ret)
{
    uint32_t access = 0;
    bool known = !uuid_is_zero(&op->who.id); // an endpoint or a user
    if (known && memcmp(&row->owner, &op->who.id, sizeof row->owner) == 0) {
        *ret = AUTHZ_OWN;
        return ERR_OK;
    }
    if (known)
        TRY(store_access_get(op->ops->set.store, &op->who.id, &row->id, &access));
    *ret = AUTHZ_OTHER;
    if ((access & GRANT_MODIFY) != 0)
        *ret = AUTHZ_WALLET_MODIFY;
    else if ((access & GRANT_READ) != 0)
        *ret = AUTHZ_WALLET_READ;
    return ERR_OK;
}

enum err object_get(struct op *op, struct object *ret)
{
    enum authz_relation relation;
    struct uuid id;
    memset(ret, 0, sizeof *ret);
    TRY(wanted_id(op, &id));
    enum err err = store_object_get(op->ops->set.store, &id, op->arena, &ret->row);
    if (err == ERR_NOT_FOUND)
        return not_found(op, "the store has no such object");
    TRY(err);
    ret->sealed_flags = ret->row.flags;
    ret->sealed_key = ret->row.key_id;
    object_note(op, ret);
    TRY(object_relate(op, &ret->row, &relation));
    struct authz_decision decision =
        authz_decide(&op->who, op->request->verb, relation, op->ops->set.service_uid);
    if (!decision.permit)
        return not_found(op, decision.why);
    return text_of(op, &id, &ret->uid);
}

static struct seal_bound bound_attrs(const struct store_object *row)
{
    return (struct seal_bound){
        .part = "attributes",
        .id = row->id,
        .version = row->version,
        .type = row->type,
        .flags = row->flags,
    };
}

static struct seal_bound bound_material(const struct store_object *row, uint32_t flags)
{
    return (struct seal_bound){
        .part = "material", .id = row->id, .type = row->type, .flags = flags};
}

enum err object_open_attrs(struct ops *ops, struct arena *arena, struct object *object)
{
    struct span plain;
    struct seal_bound bound = bound_attrs(&object->row);
    TRY(seal_open(ops, arena, &bound, &object->row.key_id, object->row.attributes, &plain));
    struct cursor in = cursor_of(plain);
    TRY(model_get_attrs(&in, arena, &object->attrs));
    return cursor_end(&in);
}

enum err object_get_attrs(struct op *op, struct object *ret)
{
    TRY(object_get(op, ret));
    return object_open_attrs(op->ops, op->arena, ret);
}

enum err object_init(struct op *op, uint32_t type, struct object *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->row = (struct store_object){
        .id = uuid_ordered(clock_wall_ms()),
        .version = 1,
        .type = type,
        .flags = OBJECT_EXTRACTABLE,
        .owner = op->who.id,
        .dates = {.initial = op->now, .last_change = op->now},
    };
    ret->data.type = type;
    return text_of(op, &ret->row.id, &ret->uid);
}

static enum err seal_attrs(struct op *op, struct object *object, struct uuid *ret_key_id)
{
    struct seal_bound bound = bound_attrs(&object->row);
    struct buf plain CLEANUP(buf_done);
    buf_init(&plain, IPC_FRAME_MAX, true);
    TRY(model_put_attrs(&plain, &object->attrs));
    return seal_close(op->ops, op->arena, &bound, span_buf(&plain), &object->row.attributes,
                      ret_key_id);
}

static enum err seal_material(struct op *op, struct object *object)
{
    struct uuid key_id;
    struct seal_bound bound = bound_material(&object->row, object->row.flags);
    struct buf plain CLEANUP(buf_done);
    buf_init(&plain, IPC_FRAME_MAX, true);
    TRY(model_put_object(&plain, &object->data));
    return seal_close(op->ops, op->arena, &bound, span_buf(&plain), &object->row.material, &key_id);
}

// Says which name is taken, where there is only one.
static enum err name_taken(const struct object *object)
{
    struct span name = attributes_name(&object->attrs);
    if (name.len == 0)
        FAIL(ERR_CONFLICT, "another object has this name already");
    FAIL(ERR_CONFLICT, "name \"%.*s\" exists already; choose another one",
         (int)(name.len > 256 ? 256 : name.len), (const char *)name.data);
}

enum err object_put(struct op *op, struct object *object)
{
    struct store_index *index = NULL;
    size_t count = 0;
    object->row.state = lifecycle_state_at(&object->row.dates, op->now);
    TRY(seal_attrs(op, object, &object->row.key_id));
    TRY(seal_material(op, object));
    TRY(index_build(op, object, &index, &count));
    enum err err = store_object_put(op->ops->set.store, &object->row, index, count);
    if (err == ERR_CONFLICT)
        return name_taken(object);
    TRY(err);
    if (!uuid_is_zero(&op->default_wallet))
        TRY(store_member_put(op->ops->set.store, &op->default_wallet, &object->row.id));
    object_note(op, object);
    return ERR_OK;
}

// The substance, opened under the flags and the key that it was sealed with.
static enum err open_material(struct op *op, const struct object *object, struct object_data *ret)
{
    struct span plain;
    struct seal_bound bound = bound_material(&object->row, object->sealed_flags);
    TRY(seal_open(op->ops, op->arena, &bound, &object->sealed_key, object->row.material, &plain));
    struct cursor in = cursor_of(plain);
    TRY(model_get_object(&in, op->arena, ret));
    return cursor_end(&in);
}

// Attributes and material share one key and one set of flags: when either changes, the material is
// sealed anew.
static enum err follow_material(struct op *op, struct object *object)
{
    const struct uuid *key = &object->row.key_id;
    bool same_key = memcmp(&object->sealed_key, key, sizeof *key) == 0;
    if (object->row.material.len == 0 || (same_key && object->sealed_flags == object->row.flags))
        return ERR_OK;
    TRY(open_material(op, object, &object->data));
    return seal_material(op, object);
}

static enum err put_back(struct op *op, struct object *object)
{
    struct store_index *index = NULL;
    size_t count = 0;
    // The attributes are bound to the version that the row will have.
    object->row.version++;
    enum err err = seal_attrs(op, object, &object->row.key_id);
    object->row.version--;
    TRY(err);
    TRY(follow_material(op, object));
    TRY(index_build(op, object, &index, &count));
    err = store_object_update(op->ops->set.store, &object->row, index, count);
    return err == ERR_CONFLICT ? name_taken(object) : err;
}

enum err object_update(struct op *op, struct object *object)
{
    object->row.dates.last_change = op->now;
    object->row.state = lifecycle_state_at(&object->row.dates, op->now);
    return put_back(op, object);
}

enum err object_note_served(struct op *op, struct object *object)
{
    if ((object->row.flags & OBJECT_SERVED) != 0)
        return ERR_OK;
    if (op->ops->set.role == OPS_READER) {
        if (op->batch->final)
            return ERR_OK;
        FAIL(ERR_TO_WRITER, "the object is served for the first time");
    }
    TRY(object_open_attrs(op->ops, op->arena, object));
    for (size_t i = 0; i < object->attrs.count; i++) {
        if (object->attrs.items[i].tag == KMIP_TAG_FRESH)
            object->attrs.items[i].number = 0;
    }
    object->row.flags |= OBJECT_SERVED;
    return put_back(op, object);
}

enum err object_reseal(struct op *op, const struct store_object *row)
{
    struct object object = {.row = *row, .sealed_flags = row->flags, .sealed_key = row->key_id};
    TRY(object_open_attrs(op->ops, op->arena, &object));
    return put_back(op, &object);
}

enum err object_release(struct op *op, const struct object *object, struct object_data *ret)
{
    const struct store_object *row = &object->row;
    if (lifecycle_is_destroyed(lifecycle_state_at(&row->dates, op->now)))
        FAIL(ERR_DESTROYED, "the object is destroyed");
    if ((row->flags & OBJECT_SENSITIVE) != 0)
        FAIL(ERR_SENSITIVE, "the object is sensitive; it leaves the server only wrapped");
    if ((row->flags & OBJECT_EXTRACTABLE) == 0)
        FAIL(ERR_NOT_EXTRACTABLE, "the object may not be extracted");
    return open_material(op, object, ret);
}

enum err object_certificate(struct op *op, const struct uuid *id, struct span *ret)
{
    struct object object = {.uid = span_str("")};
    struct object_data data;
    TRY(store_object_get(op->ops->set.store, id, op->arena, &object.row));
    object.sealed_flags = object.row.flags;
    object.sealed_key = object.row.key_id;
    if (object.row.type != KMIP_OBJECT_TYPE_CERTIFICATE || object.row.material.len == 0)
        FAIL(ERR_NOT_FOUND, "the object is no certificate, or is destroyed");
    TRY(open_material(op, &object, &data));
    *ret = data.material;
    return ERR_OK;
}
