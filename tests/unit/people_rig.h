// SPDX-License-Identifier: Apache-2.0
//
// People in one process, on the rig of whole operations: asking as somebody, signing in, accounts.
// Passwords are hashed in no time here, and checked as they are; base/pwhash.h has tests of its
// own.
#ifndef KW_TESTS_PEOPLE_RIG_H
#define KW_TESTS_PEOPLE_RIG_H

#include <stdarg.h>

#include "base/clock.h"
#include "base/pwhash.h"
#include "ops/account.h"
#include "ops/context.h"
#include "tests/unit/ops_rig.h"

// ---- in place of base/pwhash.c ----
static unsigned hashed; // how many times

enum err pwhash_make(struct span password, uint8_t ret[PWHASH_LEN])
{
    hashed++;
    memset(ret, 1, PWHASH_LEN);
    crypto_sha256(password, ret + 25);
    return ERR_OK;
}

enum err pwhash_check(struct span password, struct span record, bool *ret_same)
{
    uint8_t want[PWHASH_LEN];
    OK(pwhash_make(password, want));
    *ret_same = span_eq(record, span_of(want, sizeof want));
    return ERR_OK;
}

bool pwhash_is_old(struct span record)
{
    return record.len == PWHASH_LEN && record.data[0] == 2;
}

#define PASSWORD "correct horse battery staple"
#define CHANGED  "another horse, another battery"

// ---- asking ----

struct person {
    struct principal who;
    char secret[128]; // of the session or token
};

RIG struct principal local = {.kind = PRINCIPAL_LOCAL, .uid = 0};
RIG struct span once_key; // "Idempotency-Key" of what is asked
RIG struct principal nobody = {.kind = PRINCIPAL_NOBODY, .address = {(const uint8_t *)"::1", 3}};

// In `doc` an apostrophe stands for a quotation mark. Secrets follow as name, value … NULL.
RIG enum err ask(struct principal who, enum verb verb, const char *doc, ...)
{
    static char text[8192];
    struct request request = {.verb = verb, .once = once_key};
    va_list args;
    (void)snprintf(text, sizeof text, "%s", doc);
    for (char *p = text; *p != '\0'; p++)
        *p = *p == '\'' ? '"' : *p;
    request.doc = span_str(text);
    va_start(args, doc);
    for (const char *name = va_arg(args, const char *); name != NULL;
         name = va_arg(args, const char *)) {
        const char *value = va_arg(args, const char *);
        request.secrets[request.secret_count++] =
            (struct named_secret){span_str(name), span_str(value)};
    }
    va_end(args);
    return run_as(who, &request);
}

RIG bool answers(const char *text)
{
    char want[512];
    (void)snprintf(want, sizeof want, "%s", text);
    for (char *p = want; *p != '\0'; p++)
        *p = *p == '\'' ? '"' : *p;
    return memmem(rig.reply.doc.data, rig.reply.doc.len, want, strlen(want)) != NULL;
}

RIG bool says(const char *text)
{
    return memmem(rig.reply.message.data, rig.reply.message.len, text, strlen(text)) != NULL;
}

RIG struct person bearer(enum credential_kind kind, const char *member)
{
    struct person person = {.who = {.kind = PRINCIPAL_USER, .credential = kind}};
    (void)snprintf(person.secret, sizeof person.secret, "%s", answer_text(member));
    crypto_sha256(span_str(person.secret), person.who.fingerprint);
    return person;
}

RIG enum err sign_in_as(const char *name, const char *password)
{
    char doc[512];
    (void)snprintf(doc, sizeof doc, "{'user':'%s'}", name);
    return ask(nobody, VERB_SESSION_CREATE, doc, "password", password, NULL);
}

RIG struct person sign_in(const char *name)
{
    OK(sign_in_as(name, PASSWORD));
    return bearer(CREDENTIAL_SESSION, "session");
}

// An account that has signed in and chosen its password.
RIG struct person make_user(const char *name)
{
    char doc[256];
    (void)snprintf(doc, sizeof doc, "{'name':'%s'}", name);
    OK(ask(local, VERB_USER_CREATE, doc, NULL));
    char first[64];
    (void)snprintf(first, sizeof first, "%s", answer_text("password"));
    OK(sign_in_as(name, first));
    struct person person = bearer(CREDENTIAL_SESSION, "session");
    OK(ask(person.who, VERB_ME_CHANGE_PASSWORD, "{}", "password", first, "new_password", PASSWORD,
           NULL));
    return person;
}

RIG struct person make_holder(const char *name, const char *role, bool forward)
{
    char doc[256];
    struct person person = make_user(name);
    (void)snprintf(doc, sizeof doc, "{'role':'%s','user':'%s','forward':%s}", role, name,
                   forward ? "true" : "false");
    OK(ask(local, VERB_ROLE_GRANT, doc, NULL));
    return person;
}

#endif
