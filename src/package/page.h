// SPDX-License-Identifier: Apache-2.0
//
// README.txt: what the files are, and the lines to be pasted into each product's configuration.
#ifndef KW_PACKAGE_PAGE_H
#define KW_PACKAGE_PAGE_H

#include "package/package.h"

// Appends the page, or okvclient.ora.
MUST_USE enum err page_write(const struct package *package, struct buf *out);
MUST_USE enum err page_okvclient(const struct package *package, struct buf *out);

#endif
