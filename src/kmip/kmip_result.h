// SPDX-License-Identifier: Apache-2.0
//
// Result Reasons: what an error code is called in each version.
#ifndef KW_KMIP_KMIP_RESULT_H
#define KW_KMIP_KMIP_RESULT_H

#include "base/err.h"
#include <stdint.h>

// The Result Reason of `code`: that of base/err_table.h, or the more telling one that 2.0 brought;
// General Failure where the version has neither.
uint32_t kmip_result_reason(uint16_t version, enum err code);

#endif
