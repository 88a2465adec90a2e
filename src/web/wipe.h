// SPDX-License-Identifier: Apache-2.0
//
// An allocator that wipes what it frees. HTTP buffers and parsed JSON hold credentials and
// passphrases for a moment; libevent and jansson are told to use it, so that no copy of theirs
// outlives the request.
#ifndef KW_WEB_WIPE_H
#define KW_WEB_WIPE_H

// Once, before the first call to libevent or jansson.
void wipe_setup(void);

#endif
