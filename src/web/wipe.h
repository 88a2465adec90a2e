// SPDX-License-Identifier: Apache-2.0
//
// An allocator that wipes what it frees. Parsed JSON holds credentials and passphrases for a
// moment; jansson is told to use it, so that no copy of its outlives the request.
#ifndef KW_WEB_WIPE_H
#define KW_WEB_WIPE_H

// Once, before the first call to jansson.
void wipe_setup(void);

#endif
