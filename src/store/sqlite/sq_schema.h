// SPDX-License-Identifier: Apache-2.0
//
// The schema's steps: schema_N.sql brings a file from version N-1 to N. Private to store/sqlite.
#ifndef KW_STORE_SQLITE_SQ_SCHEMA_H
#define KW_STORE_SQLITE_SQ_SCHEMA_H

#include "store/sqlite/sq_db.h"

// Texts of the steps, in order, ended by NULL (made from the .sql files by embed.py).
extern const char *const sq_schema_steps[];

// Brings the file to STORE_SCHEMA, one transaction a step. ERR_VERSION when it is newer.
MUST_USE enum err sq_schema_migrate(struct sq_db *db);

// For readers: ERR_NOT_FOUND when the file has no schema yet, ERR_VERSION when it has another one.
MUST_USE enum err sq_schema_check(struct sq_db *db);

#endif
