// SPDX-License-Identifier: Apache-2.0
//
// Lists as comma-separated values (RFC 4180), from a JSON document as the REST interface answers.
// All cells stand in quotes. A text that a spreadsheet would take for a formula gets an apostrophe
// in front; control characters become question marks.
#ifndef KW_BASE_CSV_H
#define KW_BASE_CSV_H

#include <jansson.h>

#include "base/buf.h"

// The rows of a list's document: its first member that is an array, NULL when there is none.
const json_t *csv_rows_of(const json_t *doc);

// Appends a line with the names of all members that some row has, but those that are objects in
// each, then a line for each row. Nothing for no rows.
MUST_USE enum err csv_put(const json_t *rows, struct buf *out);

#endif
