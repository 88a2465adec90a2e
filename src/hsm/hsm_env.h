// SPDX-License-Identifier: Apache-2.0
//
// okv_hsm_env: the environment in which the vendor's library is loaded (contract B12). The
// supervisor gives it to keyward-hsmd at each start, and nothing else; no other process sees it.
//
// The file is data, not a script. What would load code into the process before the vendor's
// library, or make libc or OpenSSL read or write files of somebody's choice, is refused by name:
// every LD_ variable but LD_LIBRARY_PATH, MALLOC_*, GCONV_PATH, OPENSSL_CONF, PATH and the rest of
// the table in hsm_env.c.
#ifndef KW_HSM_HSM_ENV_H
#define KW_HSM_HSM_ENV_H

#include "base/err.h"

// The environment as execve(2) wants it: "NAME=value" strings, then NULL; caller frees. An absent
// file gives an empty environment. ERR_CONFIG names the file and the variable. Reads one small
// file.
MUST_USE enum err hsm_env_load(int root, char ***ret_env);
void hsm_env_free(char **env);
void hsm_env_freep(char ***env);

#endif
