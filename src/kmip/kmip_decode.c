// SPDX-License-Identifier: Apache-2.0
//
// Request messages: header, batch items, and what makes a message be refused as a whole. Until the
// header is read, call->version is the version of the refusal.
#include "kmip/kmip.h"
#include "kmip/kmip_payload.h"
#include "wire/limits.h"

// What an answer to a change takes at most, apart from texts that are echoed: with this much room a
// change is never executed and then answered with Response Too Large.
enum { ROOM_OF_HEADER = 160, ROOM_OF_ITEM = 320, ROOM_OF_MESSAGE = 256 };

struct header {
    struct kmip_reader in;
    struct kmip_call *call;
    uint16_t asked; // protocol version
    bool has_version;
    bool has_count;
    int32_t count;
};

// ---- header ----

typedef enum err header_fn(struct header *to, const struct ttlv *item);

static enum err take_version(struct header *to, const struct ttlv *item)
{
    struct span members;
    struct ttlv part;
    int32_t major;
    int32_t minor;
    TRY(ttlv_structure(item, &members));
    if (!ttlv_find(members, KMIP_TAG_PROTOCOL_VERSION_MAJOR, &part))
        FAIL(ERR_MESSAGE, "the protocol version has no major number");
    TRY(ttlv_integer(&part, &major));
    if (!ttlv_find(members, KMIP_TAG_PROTOCOL_VERSION_MINOR, &part))
        FAIL(ERR_MESSAGE, "the protocol version has no minor number");
    TRY(ttlv_integer(&part, &minor));
    to->has_version = true;
    // A number that does not fit is of no version; the nearest one is what is left to say.
    major = major < 0 ? 0 : major > 255 ? 255 : major;
    minor = minor < 0 ? 255 : minor > 255 ? 255 : minor;
    to->asked = KMIP_VERSION((unsigned)major, (unsigned)minor);
    to->call->version = kmip_version_nearest(to->asked);
    to->in.version = to->call->version;
    return ERR_OK;
}

static enum err take_maximum(struct header *to, const struct ttlv *item)
{
    int32_t maximum;
    TRY(ttlv_integer(item, &maximum));
    to->call->maximum = maximum > 0 ? maximum : 0;
    return ERR_OK;
}

// A Boolean in 1.x; in 2.x only Mandatory cannot be met.
static enum err take_asynchronous(struct header *to, const struct ttlv *item)
{
    int64_t wanted;
    (void)to;
    TRY(ttlv_number(item, &wanted));
    if ((item->type == TTLV_BOOLEAN && wanted != 0) ||
        (item->type == TTLV_ENUMERATION && wanted == KMIP_ASYNCHRONOUS_INDICATOR_MANDATORY))
        FAIL(ERR_FEATURE, "asynchronous operation is not supported");
    return ERR_OK;
}

static enum err take_on_error(struct header *to, const struct ttlv *item)
{
    uint32_t option;
    TRY(ttlv_enumeration(item, &option));
    if (option < ON_ERROR_CONTINUE || option > ON_ERROR_UNDO)
        FAIL(ERR_INVALID, "there is no batch error continuation option %u", option);
    to->call->batch.on_error = (enum on_error)option;
    return ERR_OK;
}

static enum err take_order(struct header *to, const struct ttlv *item)
{
    return ttlv_boolean(item, &to->call->batch.ordered);
}

static enum err take_count(struct header *to, const struct ttlv *item)
{
    TRY(ttlv_integer(item, &to->count));
    to->has_count = true;
    return ERR_OK;
}

// What the client says of itself must be well formed, but it is the certificate that counts.
static enum err take_authentication(struct header *to, const struct ttlv *item)
{
    struct span members;
    (void)to;
    return ttlv_structure(item, &members);
}

// All other fields (Time Stamp, attestation, correlation values, what later versions bring) change
// nothing.
static const struct {
    uint32_t tag;
    header_fn *take;
} header_rules[] = {
    {KMIP_TAG_PROTOCOL_VERSION, take_version},
    {KMIP_TAG_MAXIMUM_RESPONSE_SIZE, take_maximum},
    {KMIP_TAG_ASYNCHRONOUS_INDICATOR, take_asynchronous},
    {KMIP_TAG_AUTHENTICATION, take_authentication},
    {KMIP_TAG_BATCH_ERROR_CONTINUATION_OPTION, take_on_error},
    {KMIP_TAG_BATCH_ORDER_OPTION, take_order},
    {KMIP_TAG_BATCH_COUNT, take_count},
};

static enum err take_header_field(struct header *to, const struct ttlv *item)
{
    for (size_t i = 0; i < sizeof header_rules / sizeof *header_rules; i++) {
        if (header_rules[i].tag == item->tag)
            return header_rules[i].take(to, item);
    }
    return ERR_OK;
}

static enum err get_header(struct header *to, struct span members)
{
    struct cursor cursor = cursor_of(members);
    struct ttlv item;
    bool found;
    // The version first, wherever it stands: a refusal of the rest is written in it.
    if (ttlv_find(members, KMIP_TAG_PROTOCOL_VERSION, &item))
        TRY(take_version(to, &item));
    if (!to->has_version)
        FAIL(ERR_MESSAGE, "the request has no protocol version");
    for (;;) {
        TRY(ttlv_next(&cursor, &item, &found));
        if (!found)
            break;
        TRY(take_header_field(to, &item));
    }
    if (!to->has_count)
        FAIL(ERR_MESSAGE, "the request has no batch count");
    if (to->count < 1)
        FAIL(ERR_MESSAGE, "the batch count is %d", to->count);
    if (to->count > BATCH_MAX)
        FAIL(ERR_TOO_LARGE, "the batch count is %d, more than %d", to->count, BATCH_MAX);
    return ERR_OK;
}

// ---- batch items ----

// A critical extension must be understood, and none is (1.4 section 6.16).
static enum err check_extension(const struct ttlv *item)
{
    struct span members;
    struct ttlv part;
    bool critical = true;
    TRY(ttlv_structure(item, &members));
    if (!ttlv_find(members, KMIP_TAG_CRITICALITY_INDICATOR, &part))
        FAIL(ERR_MESSAGE, "a message extension does not say whether it is critical");
    TRY(ttlv_boolean(&part, &critical));
    if (critical)
        FAIL(ERR_FEATURE, "a critical message extension is not supported");
    return ERR_OK;
}

static enum err get_operation(const struct kmip_reader *in, struct span members,
                              struct kmip_item *item, struct request *request)
{
    const struct kmip_op_info *op;
    struct ttlv part;
    struct span payload;
    if (!ttlv_find(members, KMIP_TAG_OPERATION, &part))
        FAIL(ERR_MESSAGE, "a batch item has no operation");
    TRY(ttlv_enumeration(&part, &item->operation));
    if (ttlv_find(members, KMIP_TAG_MESSAGE_EXTENSION, &part))
        TRY(check_extension(&part));
    TRY(kmip_find_operation(in->version, item->operation, &op));
    if (!ttlv_find(members, KMIP_TAG_REQUEST_PAYLOAD, &part))
        FAIL(ERR_MESSAGE, "a batch item has no request payload");
    TRY(ttlv_structure(&part, &payload));
    return kmip_get_payload(in, op, payload, item, request);
}

static enum err get_item(const struct kmip_reader *in, const struct ttlv *batch_item,
                         struct kmip_item *item, struct request *request)
{
    struct span members;
    struct ttlv part;
    TRY(ttlv_structure(batch_item, &members));
    if (ttlv_find(members, KMIP_TAG_UNIQUE_BATCH_ITEM_ID, &part)) {
        TRY(ttlv_bytes(&part, &item->id));
        if (item->id.len > LIMIT_BATCH_ID)
            FAIL(ERR_TOO_LARGE, "a unique batch item id is longer than %d bytes", LIMIT_BATCH_ID);
        item->has_id = true;
    }
    return get_operation(in, members, item, request);
}

// Keeps the item in its place as one that fails.
static enum err refuse_item(struct arena *arena, enum err code, struct kmip_item *item,
                            struct request *request)
{
    item->status = code;
    TRY(arena_copy(arena, span_str(err_message(code)), &item->message));
    *request = (struct request){.verb = VERB_NONE, .maximum_items = -1};
    return ERR_OK;
}

static enum err get_items(const struct header *header, struct span members)
{
    struct kmip_call *call = header->call;
    struct arena *arena = header->in.arena;
    size_t count = (size_t)header->count;
    struct cursor cursor = cursor_of(members);
    struct kmip_item *items = NULL;
    struct request *requests = NULL;
    struct ttlv item;
    bool found;
    size_t at = 0;
    TRY(arena_alloc(arena, count, sizeof *items, &items));
    TRY(arena_alloc(arena, count, sizeof *requests, &requests));
    for (;;) {
        TRY(ttlv_next(&cursor, &item, &found));
        if (!found)
            break;
        if (item.tag != KMIP_TAG_BATCH_ITEM)
            continue;
        if (at == count)
            FAIL(ERR_MESSAGE, "the request has more batch items than it says");
        enum err code = get_item(&header->in, &item, &items[at], &requests[at]);
        if (code != ERR_OK)
            TRY(refuse_item(arena, code, &items[at], &requests[at]));
        at++;
    }
    if (at != count)
        FAIL(ERR_MESSAGE, "the request says %zu batch items and has %zu", count, at);
    call->items = items;
    call->batch.items = requests;
    call->batch.count = count;
    return ERR_OK;
}

// ---- the message ----

// The one operation that is answered whatever version the header claims.
static bool only_discovers(const struct kmip_call *call)
{
    return call->batch.count == 1 && call->items[0].operation == KMIP_OPERATION_DISCOVER_VERSIONS;
}

static enum err check_version(const struct header *header)
{
    char served[KMIP_VERSIONS_TEXT];
    if (kmip_version_is_served(header->asked) || only_discovers(header->call))
        return ERR_OK;
    header->call->items = NULL;
    header->call->batch.count = 0;
    kmip_versions_text(served);
    FAIL(ERR_VERSION, "protocol version %u.%u is not supported; this server speaks %s",
         header->asked >> 8u, header->asked & 0xffu, served);
}

static size_t echo_of(const struct request *request)
{
    size_t room = 0;
    for (size_t i = 0; i < request->attrs.count; i++)
        room += request->attrs.items[i].name.len + request->attrs.items[i].bytes.len;
    return room;
}

// What this room answers by itself is known now.
static enum err add_own(const struct kmip_call *call, size_t i, size_t *room)
{
    static const struct reply none = {.status = ERR_OK, .located_items = -1};
    enum verb verb = call->batch.items[i].verb;
    struct buf payload CLEANUP(buf_done);
    buf_init(&payload, LIMIT_ANSWER, false);
    if (verb != VERB_QUERY && verb != VERB_DISCOVER_VERSIONS)
        return ERR_OK;
    TRY(kmip_put_payload(&payload, call->version, &call->items[i], &none, true));
    *room += payload.len;
    return ERR_OK;
}

// The answer to a change must fit, since it cannot be taken back for want of room; so what else is
// asked of the same message may take what is left.
static enum err check_room(struct kmip_call *call)
{
    size_t room = ROOM_OF_HEADER;
    size_t limit = LIMIT_ANSWER;
    if (!kmip_writes(call))
        return ERR_OK;
    if (call->maximum >= 0 && (uint64_t)call->maximum < limit)
        limit = (size_t)call->maximum;
    for (size_t i = 0; i < call->batch.count; i++) {
        const struct request *request = &call->batch.items[i];
        room += ROOM_OF_ITEM + ROOM_OF_MESSAGE + call->items[i].id.len + request->uid.len +
                (verb_writes(request->verb) ? echo_of(request) : 0);
        TRY(add_own(call, i, &room));
    }
    if (limit <= room)
        FAIL(ERR_TOO_LARGE, "the maximum response size %zu is too small for the answer", limit);
    call->batch.room = (uint32_t)(limit - room);
    return ERR_OK;
}

static enum err get_message(struct header *header, struct span message)
{
    struct ttlv whole;
    struct ttlv part;
    struct span members;
    struct span fields;
    // Only what is inside the structure is looked at before everything is checked.
    if (!ttlv_find(message, KMIP_TAG_REQUEST_MESSAGE, &whole))
        FAIL(ERR_MESSAGE, "the message is no request");
    TRY(ttlv_structure(&whole, &members));
    if (!ttlv_find(members, KMIP_TAG_REQUEST_HEADER, &part))
        FAIL(ERR_MESSAGE, "the request has no header");
    TRY(ttlv_structure(&part, &fields));
    if (ttlv_find(fields, KMIP_TAG_PROTOCOL_VERSION, &part))
        TRY(take_version(header, &part));
    TRY(ttlv_check(message));
    if (whole.value.len + TTLV_HEADER != message.len)
        FAIL(ERR_MESSAGE, "bytes follow the request");
    TRY(get_header(header, fields));
    TRY(get_items(header, members));
    return check_version(header);
}

enum err kmip_decode(struct span message, struct arena *arena, struct kmip_call *call)
{
    *call = (struct kmip_call){.version = KMIP_VERSION_FIRST, .maximum = -1};
    call->batch.on_error = ON_ERROR_STOP;
    struct header header = {.in = {arena, KMIP_VERSION_FIRST}, .call = call};
    TRY(get_message(&header, message));
    call->batch.version = call->version;
    return check_room(call);
}

bool kmip_needs_engine(const struct kmip_call *call)
{
    for (size_t i = 0; i < call->batch.count; i++) {
        enum verb verb = call->batch.items[i].verb;
        if (verb != VERB_NONE && verb != VERB_QUERY && verb != VERB_DISCOVER_VERSIONS)
            return true;
    }
    return false;
}

bool kmip_writes(const struct kmip_call *call)
{
    for (size_t i = 0; i < call->batch.count; i++) {
        if (verb_writes(call->batch.items[i].verb))
            return true;
    }
    return false;
}
