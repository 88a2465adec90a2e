// SPDX-License-Identifier: Apache-2.0
//
// `keyward doctor`: is the server in order, and what is still to do? It asks what anybody could ask
// and draws no conclusion that the routes do not give; what one may not see is named, not guessed.
#include <stdio.h>

#include "cli/client.h"
#include "cli/handlers.h"
#include "cli/output.h"

enum { TEXT_MAX = 512, FIX_MAX = 160, SYSTEM_ADMINISTRATORS = 2 };
enum verdict { GOOD, WRONG, TO_DO }; // TO_DO: it works, and yet somebody should

struct doctor {
    struct cli *cli;
    json_t *checks;
    bool wrong;
};

static enum err add(struct doctor *self, enum verdict verdict, const char *check,
                    const char *detail, const char *fix)
{
    json_t *one = json_pack("{s:s, s:s, s:s}", "check", check, "detail", detail, "fix",
                            verdict == GOOD ? "" : fix);
    if (one != NULL && verdict != TO_DO)
        (void)json_object_set_new(one, "ok", json_boolean(verdict == GOOD));
    self->wrong = self->wrong || verdict == WRONG;
    if (one == NULL || json_array_append_new(self->checks, one) != 0)
        FAIL(ERR_MEMORY, "no memory for a check");
    return ERR_OK;
}

static const char *text_of(const json_t *doc, const char *field)
{
    const char *text = json_string_value(json_object_get(doc, field));
    return text == NULL ? "" : text;
}

static bool is(const json_t *doc, const char *field)
{
    return json_is_true(json_object_get(doc, field));
}

// *ret stays NULL where one may not ask, or where the answer is a refusal, which is told.
static enum err ask(struct doctor *self, const char *check, const char *method, const char *path,
                    json_t **ret)
{
    char why[TEXT_MAX];
    *ret = NULL;
    enum err err = client_call(self->cli, method, path, NULL, NULL, ret);
    if (err == ERR_OK)
        return ERR_OK;
    (void)snprintf(why, sizeof why, "%s", err_message(err));
    json_freep(&self->cli->problem);
    return add(self, err == ERR_NOT_PERMITTED ? TO_DO : WRONG, check, why,
               err == ERR_NOT_PERMITTED ? "ask somebody who may look" : "");
}

// Without an HSM nothing but this looks at the wallet that the recovery passphrase opens.
static enum err look_at_files(struct doctor *self)
{
    static const char check[] = "files of the root of trust";
    CLEANUP(json_freep) json_t *verdict = NULL;
    size_t i;
    json_t *one;
    TRY(ask(self, check, "POST", "/hsm:verify", &verdict));
    json_array_foreach(json_object_get(verdict, "checks"), i, one)
    {
        if (!is(one, "ok"))
            TRY(add(self, WRONG, text_of(one, "check"), text_of(one, "detail"),
                    text_of(one, "fix")));
    }
    return is(verdict, "healthy") ? add(self, GOOD, check, "", "") : ERR_OK;
}

static enum err look_at_hsm(struct doctor *self, bool enabled)
{
    CLEANUP(json_freep) json_t *hsm = NULL;
    char detail[TEXT_MAX];
    static const char check[] = "root of trust";
    if (!enabled) {
        TRY(look_at_files(self));
        return add(self, TO_DO, check, "no HSM: whoever reads the disk reads the keys",
                   "keyward hsm initialize --vendor NAME --token-label LABEL");
    }
    TRY(ask(self, check, "GET", "/hsm", &hsm));
    if (hsm == NULL)
        return ERR_OK;
    (void)snprintf(detail, sizeof detail, "the HSM is %s%s%s", text_of(hsm, "status"),
                   text_of(hsm, "message")[0] != '\0' ? ": " : "", text_of(hsm, "message"));
    return add(self, strcmp(text_of(hsm, "status"), "up") == 0 ? GOOD : WRONG, check, detail,
               "keyward hsm verify");
}

static enum err look_at_status(struct doctor *self)
{
    CLEANUP(json_freep) json_t *status = NULL;
    TRY(client_call(self->cli, "GET", "/status", NULL, NULL, &status));
    const char *reason = text_of(status, "reason");
    TRY(add(self, is(status, "serving") ? GOOD : WRONG, "keys are served", reason,
            strcmp(text_of(status, "state"), "open") == 0 ? "free space, then keyward doctor"
            : is(status, "hsm_enabled")                   ? "keyward hsm verify"
                                                          : "keyward setup, or see the log"));
    if (json_is_null(json_object_get(status, "hsm_enabled")))
        return ERR_OK; // not known: why stands above
    return look_at_hsm(self, is(status, "hsm_enabled"));
}

static enum err look_at_alerts(struct doctor *self)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    size_t i;
    json_t *alert;
    TRY(ask(self, "alerts", "GET", "/alerts", &answer));
    json_array_foreach(json_object_get(answer, "alerts"), i, alert)
    {
        char check[FIX_MAX];
        const char *name = text_of(alert, "name");
        (void)snprintf(check, sizeof check, "alert %s%s%s", text_of(alert, "type"),
                       name[0] != '\0' ? " of " : "", name);
        bool noted = json_is_string(json_object_get(alert, "acknowledged"));
        TRY(add(self, noted ? TO_DO : WRONG, check, text_of(alert, "message"),
                text_of(alert, "fix")));
    }
    if (answer != NULL && json_array_size(json_object_get(answer, "alerts")) == 0)
        TRY(add(self, GOOD, "alerts", "none is in force", ""));
    return ERR_OK;
}

static enum err look_at_role(struct doctor *self, const json_t *role)
{
    char check[FIX_MAX];
    char fix[FIX_MAX];
    const char *name = text_of(role, "role");
    size_t count = json_array_size(json_object_get(role, "holders"));
    size_t wanted = strcmp(name, "system") == 0 ? SYSTEM_ADMINISTRATORS : 1;
    (void)snprintf(check, sizeof check, "role %s", name);
    (void)snprintf(fix, sizeof fix, "keyward setup-link create --roles %s", name);
    return add(self, count < wanted ? TO_DO : GOOD, check,
               count == 0       ? "nobody holds it"
               : count < wanted ? "one person holds it: who helps when that one is away?"
                                : "",
               fix);
}

static enum err look_at_roles(struct doctor *self)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    size_t i;
    json_t *role;
    TRY(ask(self, "roles", "GET", "/roles", &answer));
    json_array_foreach(json_object_get(answer, "roles"), i, role)
    {
        TRY(look_at_role(self, role));
    }
    return ERR_OK;
}

static enum err look_at_trail(struct doctor *self)
{
    CLEANUP(json_freep) json_t *audit = NULL;
    static const char check[] = "audit trail";
    TRY(ask(self, check, "GET", "/audit/status", &audit));
    if (audit == NULL)
        return ERR_OK;
    bool kept = json_integer_value(json_object_get(audit, "exported_through")) > 0;
    return add(self, kept ? GOOD : TO_DO, check, kept ? "" : "no export is in safe keeping yet",
               "keyward audit export --file FILE, then keyward audit confirm --file FILE");
}

// Alerts and records that stay on this host.
static enum err look_at_way_out(struct doctor *self, const char *check, const char *path,
                                const char *missing, const char *fix)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    TRY(ask(self, check, "GET", path, &answer));
    if (answer == NULL)
        return ERR_OK;
    const char *error = text_of(answer, "error");
    if (!is(answer, "enabled"))
        return add(self, TO_DO, check, missing, fix);
    return add(self, error[0] == '\0' ? GOOD : WRONG, check, error, fix);
}

static enum err look(struct doctor *self)
{
    TRY(look_at_status(self));
    TRY(look_at_alerts(self));
    TRY(look_at_roles(self));
    TRY(look_at_trail(self));
    TRY(look_at_way_out(self, "log server", "/syslog", "the trail lies on this host alone",
                        "keyward syslog set --host HOST"));
    return look_at_way_out(self, "mail", "/mail", "nobody gets mail about alerts",
                           "keyward mail set --host HOST --from FROM --to TO");
}

enum err doctor_run(struct cli *cli)
{
    CLEANUP(json_freep) json_t *doc = json_pack("{s:b, s:[]}", "healthy", 1, "checks");
    if (doc == NULL)
        FAIL(ERR_MEMORY, "no memory for an answer");
    struct doctor self = {cli, json_object_get(doc, "checks"), false};
    TRY(look(&self));
    (void)json_object_set_new(doc, "healthy", json_boolean(!self.wrong));
    TRY(output_document(cli, doc));
    if (self.wrong)
        FAIL(ERR_DAMAGED, "something is not in order: see above");
    return ERR_OK;
}
