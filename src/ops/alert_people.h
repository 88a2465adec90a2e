// SPDX-License-Identifier: Apache-2.0
//
// The checks of alert_check.c's table that are about people.
#ifndef KW_OPS_ALERT_PEOPLE_H
#define KW_OPS_ALERT_PEOPLE_H

#include "ops/alert.h"

MUST_USE enum err alert_people_passwords(struct alert_watch *watch);
MUST_USE enum err alert_people_held(struct alert_watch *watch);
MUST_USE enum err alert_people_lockout(struct alert_watch *watch);
MUST_USE enum err alert_people_spray(struct alert_watch *watch);
MUST_USE enum err alert_people_sign_ins(struct alert_watch *watch);

#endif
