// SPDX-License-Identifier: Apache-2.0
//
// Owners and modes of the directories that the files of contract A3 lie in. A file's own mode
// guards nothing where somebody else may rename what lies beside it.
#ifndef KW_KEYRING_PLACES_H
#define KW_KEYRING_PLACES_H

#include "base/err.h"

// Looks at all, with `hsm` at the place of the wallet in RAM, too. ERR_FILE_MODE names the first
// that is wrong; what is not there is not.
MUST_USE enum err places_check(int root, bool hsm);

// One by one, for whoever tells them all: numbers below places_count().
size_t places_count(void);
const char *places_path(size_t number);
MUST_USE enum err places_check_one(int root, size_t number);

#endif
