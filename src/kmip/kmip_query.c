// SPDX-License-Identifier: Apache-2.0
//
// Answers of Query and Discover Versions, from the tables: an operation, object type or member is
// named only to a client whose version has it.
#include "kmip/kmip_query.h"

#include "kmip/kmip_payload.h"
#include "kmip/kmip_version.h"
#include "wire/ttlv.h"

static enum err put_operations(struct buf *out, uint16_t version)
{
    for (size_t i = 0; i < KMIP_OP_TABLE_COUNT; i++) {
        const struct kmip_op_info *op = &kmip_op_table[i];
        if (kmip_operation_is_served(op->code) && kmip_in_version(version, op->from, op->until))
            TRY(ttlv_put_enumeration(out, KMIP_TAG_OPERATION, op->code));
    }
    return ERR_OK;
}

static enum err put_objects(struct buf *out, uint16_t version)
{
    static const uint32_t types[] = {
        KMIP_OBJECT_TYPE_CERTIFICATE, KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
        KMIP_OBJECT_TYPE_PUBLIC_KEY,  KMIP_OBJECT_TYPE_PRIVATE_KEY,
        KMIP_OBJECT_TYPE_SECRET_DATA, KMIP_OBJECT_TYPE_OPAQUE_OBJECT,
    };
    (void)version;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        TRY(ttlv_put_enumeration(out, KMIP_TAG_OBJECT_TYPE, types[i]));
    return ERR_OK;
}

static enum err put_server(struct buf *out, uint16_t version)
{
    size_t at;
    TRY(ttlv_put_text(out, KMIP_TAG_VENDOR_IDENTIFICATION, span_str("Keyward")));
    // In 1.x what stands in Server Information is the vendor's own, and strict clients trip over
    // it.
    if (!kmip_is_2x(version))
        return ERR_OK;
    TRY(ttlv_begin(out, KMIP_TAG_SERVER_INFORMATION, &at));
    TRY(ttlv_put_text(out, KMIP_TAG_SERVER_VERSION, span_str(KEYWARD_VERSION)));
    TRY(ttlv_put_text(out, KMIP_TAG_PRODUCT_NAME, span_str("Keyward")));
    ttlv_end(out, at);
    return ERR_OK;
}

static enum err put_capabilities(struct buf *out, uint16_t version)
{
    static const struct {
        uint32_t tag;
        bool has;
    } capabilities[] = {
        {KMIP_TAG_STREAMING_CAPABILITY, false},     {KMIP_TAG_ASYNCHRONOUS_CAPABILITY, false},
        {KMIP_TAG_ATTESTATION_CAPABILITY, false},   {KMIP_TAG_BATCH_UNDO_CAPABILITY, true},
        {KMIP_TAG_BATCH_CONTINUE_CAPABILITY, true},
    };
    size_t at;
    TRY(ttlv_begin(out, KMIP_TAG_CAPABILITY_INFORMATION, &at));
    for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++) {
        const struct kmip_tag_info *info = kmip_tag_find(capabilities[i].tag);
        if (info != NULL && kmip_in_version(version, info->from, info->until))
            TRY(ttlv_put_boolean(out, capabilities[i].tag, capabilities[i].has));
    }
    ttlv_end(out, at);
    return ERR_OK;
}

static enum err put_random(struct buf *out, uint16_t version)
{
    size_t at;
    (void)version;
    TRY(ttlv_begin(out, KMIP_TAG_RNG_PARAMETERS, &at));
    TRY(ttlv_put_enumeration(out, KMIP_TAG_RNG_ALGORITHM, KMIP_RNG_ALGORITHM_UNSPECIFIED));
    ttlv_end(out, at);
    return ERR_OK;
}

// Functions without a row have nothing to tell: no application namespaces, extensions, attestation,
// validations, registration methods and profiles.
static const struct {
    uint32_t function;
    enum err (*put)(struct buf *out, uint16_t version);
} functions_told[] = {
    {KMIP_QUERY_FUNCTION_QUERY_OPERATIONS, put_operations},
    {KMIP_QUERY_FUNCTION_QUERY_OBJECTS, put_objects},
    {KMIP_QUERY_FUNCTION_QUERY_SERVER_INFORMATION, put_server},
    {KMIP_QUERY_FUNCTION_QUERY_RNGS, put_random},
    {KMIP_QUERY_FUNCTION_QUERY_CAPABILITIES, put_capabilities},
};

enum err kmip_put_query(struct buf *out, uint16_t version, uint64_t functions)
{
    for (size_t i = 0; i < sizeof functions_told / sizeof *functions_told; i++) {
        uint32_t function = functions_told[i].function;
        const struct kmip_enum_member *member =
            kmip_enum_member_find(KMIP_ENUM_QUERY_FUNCTION, function);
        bool known = member != NULL && kmip_in_version(version, member->from, member->until);
        if (known && (functions & 1ull << function) != 0)
            TRY(functions_told[i].put(out, version));
    }
    return ERR_OK;
}

enum err kmip_put_version(struct buf *out, uint16_t version)
{
    size_t at;
    TRY(ttlv_begin(out, KMIP_TAG_PROTOCOL_VERSION, &at));
    TRY(ttlv_put_integer(out, KMIP_TAG_PROTOCOL_VERSION_MAJOR, version >> 8));
    TRY(ttlv_put_integer(out, KMIP_TAG_PROTOCOL_VERSION_MINOR, version & 0xff));
    ttlv_end(out, at);
    return ERR_OK;
}

static bool is_offered(const struct kmip_item *item, uint16_t version)
{
    for (size_t i = 0; i < item->version_count; i++) {
        if (item->versions[i] == version)
            return true;
    }
    return item->version_count == 0;
}

enum err kmip_put_versions(struct buf *out, const struct kmip_item *item)
{
    for (size_t i = 0; i < kmip_version_count; i++) {
        if (is_offered(item, kmip_versions[i]))
            TRY(kmip_put_version(out, kmip_versions[i]));
    }
    return ERR_OK;
}
