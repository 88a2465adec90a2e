// SPDX-License-Identifier: Apache-2.0
//
// Result Reasons by version: 1.4 and 2.0 brought names for much that was lumped together before.
#include "kmip/kmip_result.h"

#include "kmip/kmip_version.h"

// The more telling reason of newer versions. Where the version lacks it, that of base/err_table.h
// or, for reasons that came later altogether, `before`.
static const struct {
    enum err code;
    uint16_t telling;
    uint16_t before; // 0: that of base/err_table.h
} newer[] = {
    {ERR_WRONG_STATE, KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE, 0},
    {ERR_DESTROYED, KMIP_RESULT_REASON_OBJECT_DESTROYED, 0},
    {ERR_NOT_FOUND, KMIP_RESULT_REASON_OBJECT_NOT_FOUND, 0},
    {ERR_INDEX, KMIP_RESULT_REASON_ATTRIBUTE_INSTANCE_NOT_FOUND, 0},
    {ERR_VERSION, KMIP_RESULT_REASON_UNSUPPORTED_PROTOCOL_VERSION, 0},
    {ERR_READ_ONLY, KMIP_RESULT_REASON_ATTRIBUTE_READ_ONLY, 0},
    {ERR_SINGLE_VALUED, KMIP_RESULT_REASON_ATTRIBUTE_SINGLE_VALUED, 0},
    {ERR_NO_ATTRIBUTE, KMIP_RESULT_REASON_ATTRIBUTE_NOT_FOUND, 0},
    {ERR_CONFLICT, KMIP_RESULT_REASON_NON_UNIQUE_NAME_ATTRIBUTE, 0},
    {ERR_SENSITIVE, KMIP_RESULT_REASON_SENSITIVE, KMIP_RESULT_REASON_PERMISSION_DENIED},
    {ERR_NOT_EXTRACTABLE, KMIP_RESULT_REASON_NOT_EXTRACTABLE, KMIP_RESULT_REASON_PERMISSION_DENIED},
};

static bool has(uint16_t version, uint32_t reason)
{
    const struct kmip_enum_member *member = kmip_enum_member_find(KMIP_ENUM_RESULT_REASON, reason);
    return member != NULL && kmip_in_version(version, member->from, member->until);
}

uint32_t kmip_result_reason(uint16_t version, enum err code)
{
    uint32_t reason = (uint32_t)err_info(code)->kmip_reason;
    for (size_t i = 0; i < sizeof newer / sizeof *newer; i++) {
        if (newer[i].code != code)
            continue;
        if (has(version, newer[i].telling))
            return newer[i].telling;
        reason = newer[i].before != 0 ? newer[i].before : reason;
    }
    return has(version, reason) ? reason : KMIP_RESULT_REASON_GENERAL_FAILURE;
}
