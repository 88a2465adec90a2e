// SPDX-License-Identifier: Apache-2.0
//
// What goes back: a JSON document, or a problem document (RFC 9457).
#ifndef KW_WEB_ANSWER_H
#define KW_WEB_ANSWER_H

#include "base/rand.h"
#include "web/limits.h"

enum { ANSWER_BYTES_MAX = WEB_ANSWER_BYTES };

// The cookie of a session: left alone, set, or taken away.
enum answer_cookie { ANSWER_KEEP_COOKIE, ANSWER_SET_COOKIE, ANSWER_CLEAR_COOKIE };

enum { ANSWER_ETAG_MAX = 80, ANSWER_LINK_MAX = 1024, ANSWER_SESSION_MAX = 256 };

struct json_t;

struct answer {
    int status;               // of HTTP
    const char *content_type; // static text
    char allow[32];           // for 405, else ""
    unsigned retry_after_s;   // 0: not said
    char request_id[UUID_TEXT_LEN + 1];
    enum answer_cookie cookie;
    char session[ANSWER_SESSION_MAX + 1]; // what to set it to; wiped by answer_done
    char etag[ANSWER_ETAG_MAX + 1];
    char link[ANSWER_LINK_MAX + 1];     // address of the next page
    char location[ANSWER_LINK_MAX + 1]; // of what was begun
    bool open;                          // parts of the body will follow, until the stream ends
    struct buf body;                    // secret: it may hold an enrolment token
};

void answer_init(struct answer *answer, const struct uuid *request_id);
void answer_done(struct answer *answer);

// 2xx with an engine's document, which is checked to be a JSON object; ERR_INTERNAL otherwise.
MUST_USE enum err answer_document(struct answer *answer, int status, struct span doc);

// The rows of an engine's list as comma-separated values.
MUST_USE enum err answer_csv(struct answer *answer, struct span doc);

// The same as answer_document with a document in jansson's form.
MUST_USE enum err answer_json(struct answer *answer, int status, const struct json_t *doc);

// An engine's bytes as they are, of a media type (static text).
MUST_USE enum err answer_bytes(struct answer *answer, int status, const char *media,
                               struct span bytes);

// The member "text" of an engine's document as OpenMetrics text.
MUST_USE enum err answer_text(struct answer *answer, struct span doc);

// A problem: type and title by the code, `detail` what the one who asked may read. `changed` false
// is said only when `unchanged`. `report`, a JSON object or empty, tells steps and checks of what
// failed.
MUST_USE enum err answer_problem(struct answer *answer, enum err code, struct span detail,
                                 bool unchanged, struct span report);

// Sets `link` to `page` with the "next_cursor" of a list's document behind it, if there is one.
MUST_USE enum err answer_link(struct answer *answer, const char *page, struct span doc);

// For /readyz: the status document when it says "serving": true, else a problem (503) that tells
// why not.
MUST_USE enum err answer_readiness(struct answer *answer, struct span doc);

#endif
