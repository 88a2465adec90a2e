// SPDX-License-Identifier: Apache-2.0
//
// The cookie's name begins with "__Host-": a browser takes it from this host over TLS alone, and
// gives it to nobody else (RFC 6265bis section 4.1.3.2).
#include "web/signin.h"

#include <jansson.h>

#include "web/asker.h"
#include "web/doc.h"

#define SIGN_IN  "/api/v1/sessions"
#define SIGN_OUT "/api/v1/sessions/{id}"
#define WHO      "/api/v1/me"

enum { AS_MAX = 15 };

static void json_freep(json_t **json)
{
    json_decref(*json);
    *json = NULL;
}

static bool is_route(const struct route *route, const char *method, const char *path)
{
    return strcmp(route->method, method) == 0 && strcmp(route->path, path) == 0;
}

enum err signin_of(const struct api_call *call, const struct route_match *match,
                   const struct doc *doc, struct signin *ret)
{
    char as[AS_MAX + 1] = "cookie";
    bool local = call->who.kind == PRINCIPAL_LOCAL;
    *ret = (struct signin){0};
    if (call->csrf != NULL && call->csrf[0] != '\0') {
        ret->by_cookie = true;
        memcpy(ret->csrf, call->csrf, strlen(call->csrf) + 1);
    }
    if (is_route(match->route, "POST", SIGN_IN)) {
        TRY(doc_get_text(doc, "as", as, sizeof as));
        ret->cookie = !local && strcmp(as, "bearer") != 0;
    }
    ret->ends = is_route(match->route, "DELETE", SIGN_OUT) && strcmp(match->value, "current") == 0;
    ret->tells_who = is_route(match->route, "GET", WHO);
    return ERR_OK;
}

// Moves the secret of the new session out of the document, into the cookie.
static enum err move_session(json_t *root, struct answer *answer)
{
    char csrf[ASKER_CSRF_LEN + 1];
    const char *session = json_string_value(json_object_get(root, "session"));
    if (session == NULL || strlen(session) >= sizeof answer->session)
        FAIL(ERR_INTERNAL, "an engine's answer to a sign-in has no session");
    memcpy(answer->session, session, strlen(session) + 1);
    answer->cookie = ANSWER_SET_COOKIE;
    TRY(asker_csrf(span_str(session), csrf));
    if (json_object_set_new(root, "csrf", json_string(csrf)) != 0 ||
        json_object_del(root, "session") != 0)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return ERR_OK;
}

enum err signin_answer(const struct signin *signin, struct answer *answer, int status,
                       struct span doc)
{
    if (signin->ends && signin->by_cookie)
        answer->cookie = ANSWER_CLEAR_COOKIE;
    if (!signin->cookie && !(signin->tells_who && signin->by_cookie))
        return answer_document(answer, status, doc);
    CLEANUP(json_freep) json_t *root = json_loadb((const char *)doc.data, doc.len, 0, NULL);
    if (!json_is_object(root))
        FAIL(ERR_INTERNAL, "an engine's answer is no JSON object");
    if (signin->cookie)
        TRY(move_session(root, answer));
    else if (json_object_set_new(root, "csrf", json_string(signin->csrf)) != 0)
        FAIL(ERR_MEMORY, "no memory for an answer");
    return answer_json(answer, status, root);
}

void signin_refused(const struct signin *signin, struct answer *answer)
{
    if (signin->by_cookie && answer->status == 401)
        answer->cookie = ANSWER_CLEAR_COOKIE;
}
