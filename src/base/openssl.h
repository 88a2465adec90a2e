// SPDX-License-Identifier: Apache-2.0
//
// OpenSSL's <openssl/err.h>, which has a type named as one of our errors, ERR_STATE. Include this
// before any other header of OpenSSL: inside, the type goes by another name; afterwards ERR_STATE
// is ours again.
#ifndef KW_BASE_OPENSSL_H
#define KW_BASE_OPENSSL_H

#include "base/err.h"

#define ERR_STATE OPENSSL_ERR_STATE
#include <openssl/err.h>
#undef ERR_STATE

#endif
