// SPDX-License-Identifier: Apache-2.0
//
// Commands that are more than a row of the table. Each returns ERR_OK, or an error whose detail is
// what the person at the terminal reads and whose exit status is the program's.
#ifndef KW_CLI_HANDLERS_H
#define KW_CLI_HANDLERS_H

#include "base/err.h"

struct cli;

MUST_USE enum err setup_run(struct cli *cli);
MUST_USE enum err service_start(struct cli *cli);
MUST_USE enum err service_stop(struct cli *cli);
MUST_USE enum err service_restart(struct cli *cli);
MUST_USE enum err service_status(struct cli *cli);
MUST_USE enum err doctor_run(struct cli *cli);
MUST_USE enum err endpoint_add(struct cli *cli);
MUST_USE enum err endpoint_enroll(struct cli *cli);
MUST_USE enum err endpoint_rotate(struct cli *cli);
MUST_USE enum err endpoint_package(struct cli *cli);
MUST_USE enum err key_export(struct cli *cli);
MUST_USE enum err hsm_initialize(struct cli *cli);
MUST_USE enum err hsm_reverse_migrate(struct cli *cli);
MUST_USE enum err audit_verify(struct cli *cli);
MUST_USE enum err audit_export(struct cli *cli);
MUST_USE enum err audit_confirm(struct cli *cli);
MUST_USE enum err report_run(struct cli *cli);
MUST_USE enum err validate_run(struct cli *cli);
MUST_USE enum err api_run(struct cli *cli);
MUST_USE enum err completion_run(struct cli *cli); // prints the shell's script
MUST_USE enum err login_run(struct cli *cli);
MUST_USE enum err logout_run(struct cli *cli);
MUST_USE enum err help_run(struct cli *cli);
MUST_USE enum err help_version(struct cli *cli);

#endif
