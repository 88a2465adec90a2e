// SPDX-License-Identifier: Apache-2.0
//
// Result Reasons by version.
#include "kmip/kmip_result.h"

#include "kmip/kmip_version.h"

// Where a version's own word differs from that of base/err_table.h. 1.x has Permission Denied for a
// wrong state in the profiles' cases and in the field; 2.0 has names for much of what 1.x lumps
// together.
static const struct {
    enum err code;
    uint16_t reason_1x;
    uint16_t reason_2x;
} own_words[] = {
    {ERR_STATE, KMIP_RESULT_REASON_PERMISSION_DENIED, KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE},
    {ERR_NOT_FOUND, KMIP_RESULT_REASON_ITEM_NOT_FOUND, KMIP_RESULT_REASON_OBJECT_NOT_FOUND},
    {ERR_INDEX, KMIP_RESULT_REASON_INDEX_OUT_OF_BOUNDS,
     KMIP_RESULT_REASON_ATTRIBUTE_INSTANCE_NOT_FOUND},
    {ERR_DESTROYED, KMIP_RESULT_REASON_PERMISSION_DENIED, KMIP_RESULT_REASON_OBJECT_DESTROYED},
    {ERR_READ_ONLY, KMIP_RESULT_REASON_PERMISSION_DENIED, KMIP_RESULT_REASON_ATTRIBUTE_READ_ONLY},
    {ERR_SINGLE_VALUED, KMIP_RESULT_REASON_INVALID_FIELD,
     KMIP_RESULT_REASON_ATTRIBUTE_SINGLE_VALUED},
    {ERR_NO_ATTRIBUTE, KMIP_RESULT_REASON_ITEM_NOT_FOUND, KMIP_RESULT_REASON_ATTRIBUTE_NOT_FOUND},
    {ERR_CONFLICT, KMIP_RESULT_REASON_INVALID_FIELD, KMIP_RESULT_REASON_NON_UNIQUE_NAME_ATTRIBUTE},
    {ERR_VERSION, KMIP_RESULT_REASON_INVALID_MESSAGE,
     KMIP_RESULT_REASON_UNSUPPORTED_PROTOCOL_VERSION},
};

static uint32_t wanted_reason(uint16_t version, enum err code)
{
    for (size_t i = 0; i < sizeof own_words / sizeof *own_words; i++) {
        if (own_words[i].code == code)
            return kmip_is_2x(version) ? own_words[i].reason_2x : own_words[i].reason_1x;
    }
    return (uint32_t)err_info(code)->kmip_reason;
}

uint32_t kmip_result_reason(uint16_t version, enum err code)
{
    uint32_t reason = wanted_reason(version, code);
    const struct kmip_enum_member *member = kmip_enum_member_find(KMIP_ENUM_RESULT_REASON, reason);
    if (member == NULL || !kmip_in_version(version, member->from, member->until))
        return KMIP_RESULT_REASON_GENERAL_FAILURE;
    return reason;
}
