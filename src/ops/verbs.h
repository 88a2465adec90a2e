// SPDX-License-Identifier: Apache-2.0
//
// Every operation that spec/api names, one function a file (or a small family of them).
#ifndef KW_OPS_VERBS_H
#define KW_OPS_VERBS_H

#include "ops/context.h"

#define DECLARE(run) op_function run;
API_RUNS(DECLARE)
#undef DECLARE

#endif
