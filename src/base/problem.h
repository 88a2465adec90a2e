// SPDX-License-Identifier: Apache-2.0
//
// The stable names that errors have in problem documents (RFC 9457, `type`): ERR_NOT_FOUND is
// "/problems/not-found", ERR_HSM_PIN is "/problems/hsm/pin". The web room writes them, the command
// line reads them back to choose its exit status.
#ifndef KW_BASE_PROBLEM_H
#define KW_BASE_PROBLEM_H

#include "base/err.h"

enum { PROBLEM_TYPE_MAX = 64 };

void problem_type(enum err code, char out[PROBLEM_TYPE_MAX]);

// The code of a type; ERR_OK when it is none of ours.
enum err problem_code(const char *type);

#endif
