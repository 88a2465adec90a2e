// SPDX-License-Identifier: Apache-2.0
//
// Parameters from a JSON file, in the manner of the reference product's command line:
// --generate-json-input prints a form, --from-json takes it filled in. The form is
// {"service": {"category": NOUN, "action": VERB, "options": {FIELD: "#VALUE", …}}}; a plain object
// of fields is understood, too. Secrets do not stand in it: they keep files of their own.
#ifndef KW_CLI_INPUT_H
#define KW_CLI_INPUT_H

#include "cli/state.h"

enum { INPUT_MAX = 1024 * 1024 };

// Prints the form of the command.
MUST_USE enum err input_print_form(const struct cli *cli);

// Reads the file of --from-json into cli->input. ERR_INVALID for what is no form of this command, a
// field that it does not have, a secret, and a value that was not filled in.
MUST_USE enum err input_read(struct cli *cli);

// Takes out of the document what belongs into the address.
void input_keep_document(const struct command *command, json_t *doc);

#endif
