// SPDX-License-Identifier: Apache-2.0
//
// Types are derived from the codes' names, so that the table of errors stays the only list.
#include "base/problem.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

void problem_type(enum err code, char out[PROBLEM_TYPE_MAX])
{
    const char *name = err_info(code)->name + strlen("ERR_");
    bool hsm = strncmp(name, "HSM_", 4) == 0;
    int len = snprintf(out, PROBLEM_TYPE_MAX, "/problems/%s", hsm ? "hsm/" : "");
    name += hsm ? 4 : 0;
    for (; *name != '\0' && len < PROBLEM_TYPE_MAX - 1; name++)
        out[len++] = *name == '_' ? '-' : (char)tolower((unsigned char)*name);
    out[len] = '\0';
}

enum err problem_code(const char *type)
{
    for (int code = ERR_OK + 1; code < ERR_COUNT; code++) {
        char own[PROBLEM_TYPE_MAX];
        problem_type((enum err)code, own);
        if (strcmp(own, type) == 0)
            return (enum err)code;
    }
    return ERR_OK;
}
