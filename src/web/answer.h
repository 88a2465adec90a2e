// SPDX-License-Identifier: Apache-2.0
//
// What goes back: a JSON document, or a problem document (RFC 9457).
#ifndef KW_WEB_ANSWER_H
#define KW_WEB_ANSWER_H

#include "base/rand.h"
#include "web/limits.h"

enum { ANSWER_BYTES_MAX = WEB_ANSWER_BYTES };

struct answer {
    int status;               // of HTTP
    const char *content_type; // static text
    char allow[32];           // for 405, else ""
    unsigned retry_after_s;   // 0: not said
    char request_id[UUID_TEXT_LEN + 1];
    struct buf body; // secret: it may hold an enrolment token
};

void answer_init(struct answer *answer, const struct uuid *request_id);
void answer_done(struct answer *answer);

// 2xx with an engine's document, which is checked to be a JSON object; ERR_INTERNAL otherwise.
MUST_USE enum err answer_document(struct answer *answer, int status, struct span doc);

// A problem: type and title by the code, `detail` what the one who asked may read. `changed` false
// is said only when `unchanged`. `report`, a JSON object or empty, tells steps and checks of what
// failed.
MUST_USE enum err answer_problem(struct answer *answer, enum err code, struct span detail,
                                 bool unchanged, struct span report);

// For /readyz: the status document when it says "serving": true, else a problem (503) that tells
// why not.
MUST_USE enum err answer_readiness(struct answer *answer, struct span doc);

#endif
