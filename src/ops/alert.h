// SPDX-License-Identifier: Apache-2.0
//
// Alerts: what a person should look after. The administration engine asks the keeper once a second
// how the HSM is, raises the alert and clears it by itself; both stand in the audit trail. The
// alerts in force lie in the node setting "alerts", so that they are told while nothing else works.
#ifndef KW_OPS_ALERT_H
#define KW_OPS_ALERT_H

#include "ops/context.h"

enum { ALERT_WATCH_MS = 1000 };

// The administration engine's housekeeping; *wait_ms is shortened to when the next is due.
MUST_USE enum err alert_idle(struct ops *ops, int *wait_ms);

#endif
