// SPDX-License-Identifier: Apache-2.0
//
// How the write-ahead log reaches the disk. SQLite writes each page of a commit by two calls, a
// short header and the page; here they are gathered and leave in one, and a log that was emptied is
// laid out again as long as it was, so that the next commits overwrite blocks instead of adding
// them, which would make each fsync write the file's inode, too. Private to store/sqlite.
#ifndef KW_STORE_SQLITE_SQ_LOG_H
#define KW_STORE_SQLITE_SQ_LOG_H

#include "base/err.h"

struct sqlite3;

// Makes SQLite know this way of opening files, once for the process; *ret_name is what sqlite3_open
// wants to hear.
MUST_USE enum err sq_log_register(const char **ret_name);

// To be called for each transaction that ends without a commit: what it has gathered is forgotten.
void sq_log_drop(struct sqlite3 *db);

#endif
