// SPDX-License-Identifier: Apache-2.0
//
// Sign in to a server at an address, and out again. A fingerprint is compared with every
// certificate that the server shows; the one that has it becomes what the profile trusts, so that
// nobody has to carry a CA's file to another machine. Without one, and without a CA's file, the
// server must be trusted by this machine already.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/kv.h"
#include "cli/client.h"
#include "cli/handlers.h"
#include "cli/output.h"
#include "cli/secrets.h"
#include "cli/target.h"
#include "cli/term.h"
#include "crypto/crypto.h"
#include "crypto/pki.h"

enum { PEM_MAX = 256 * 1024, CODE_MAX = 64 };

struct login {
    struct cli *cli;
    const char *address;
    const char *profile;
    struct buf ca; // what the profile is to trust; empty: what this machine trusts
};

// "5f:1c:…", with or without colons and "sha256:" before it.
static bool is_fingerprint(const char *text, const uint8_t hash[PKI_FINGERPRINT_LEN])
{
    static const char prefix[] = "sha256:";
    char hex[2 * PKI_FINGERPRINT_LEN + 1];
    size_t len = 0;
    if (strncasecmp(text, prefix, sizeof prefix - 1) == 0)
        text += sizeof prefix - 1;
    for (; *text != '\0' && len < sizeof hex - 1; text++) {
        if (*text != ':')
            hex[len++] = *text;
    }
    hex[len] = '\0';
    char own[2 * PKI_FINGERPRINT_LEN + 1];
    hex_text(span_of(hash, PKI_FINGERPRINT_LEN), own);
    return *text == '\0' && strcasecmp(hex, own) == 0;
}

// One certificate after the other, from BEGIN to END.
static struct span next_certificate(struct span *rest)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    static const char end[] = "-----END CERTIFICATE-----\n";
    const uint8_t *from = memmem(rest->data, rest->len, begin, sizeof begin - 1);
    const uint8_t *to =
        from == NULL ? NULL
                     : memmem(from, rest->len - (size_t)(from - rest->data), end, sizeof end - 1);
    if (to == NULL)
        return span_of(NULL, 0);
    to += sizeof end - 1;
    *rest = span_of(to, rest->len - (size_t)(to - rest->data));
    return span_of(from, (size_t)(to - from));
}

static enum err trust_by_fingerprint(struct login *login, const char *fingerprint)
{
    struct buf shown CLEANUP(buf_done);
    buf_init(&shown, PEM_MAX, false);
    TRY(http_peek(login->address, &shown));
    struct span rest = span_buf(&shown);
    for (struct span one; (one = next_certificate(&rest)).len > 0;) {
        uint8_t hash[PKI_FINGERPRINT_LEN];
        TRY(pki_fingerprint(one, hash));
        if (is_fingerprint(fingerprint, hash))
            return buf_put(&login->ca, one);
    }
    FAIL(ERR_INVALID,
         "no certificate that \"%s\" shows has this fingerprint: it is another server, or somebody "
         "stands between; compare with what \"keyward setup\" printed",
         login->address);
}

static enum err choose_trust(struct login *login)
{
    const struct cli *cli = login->cli;
    if (cli_has(cli, OPT_FINGERPRINT) && cli_has(cli, OPT_CA_FILE))
        FAIL(ERR_INVALID, "give --fingerprint or --ca-file, not both");
    if (cli_has(cli, OPT_FINGERPRINT))
        return trust_by_fingerprint(login, cli->values[OPT_FINGERPRINT]);
    if (cli_has(cli, OPT_CA_FILE))
        return file_read(AT_FDCWD, cli->values[OPT_CA_FILE], PEM_MAX, &login->ca);
    return ERR_OK;
}

// What is to be trusted, beside the profile that there may be: nothing of that changes before
// somebody has signed in, else its token would be shown to another server.
static enum err stage_trust(const struct login *login, char path[TARGET_PATH_MAX])
{
    char directory[TARGET_PATH_MAX];
    TRY(target_path("", "", directory));
    TRY(file_mkdirs(AT_FDCWD, directory));
    TRY(target_path(login->profile, ".login.pem", path));
    return file_write(AT_FDCWD, path, span_buf(&login->ca));
}

// The files of the profile. The token of before goes first, the new one comes last: whenever this
// ends early nobody is signed in.
static enum err write_profile(const struct login *login, struct span token)
{
    CLEANUP(kv_freep) struct kv *conf = NULL;
    struct buf text CLEANUP(buf_done);
    char path[TARGET_PATH_MAX];
    char token_path[TARGET_PATH_MAX];
    buf_init(&text, KV_FILE_LIMIT, false);
    TRY(target_path(login->profile, ".token", token_path));
    TRY(file_remove(AT_FDCWD, token_path));
    TRY(kv_parse(span_str(""), "profile", &conf));
    TRY(kv_set(conf, "ADDRESS", login->address));
    TRY(kv_text(conf, &text));
    TRY(target_path(login->profile, ".conf", path));
    TRY(file_write(AT_FDCWD, path, span_buf(&text)));
    TRY(target_path(login->profile, ".ca.pem", path));
    TRY(login->ca.len > 0 ? file_write(AT_FDCWD, path, span_buf(&login->ca))
                          : file_remove(AT_FDCWD, path));
    return file_write(AT_FDCWD, token_path, token);
}

static enum err take_session(struct login *login, json_t *answer)
{
    const json_t *session = json_object_get(answer, "session");
    if (!json_is_string(session))
        FAIL(ERR_INTERNAL, "the server's answer lacks the field \"session\"");
    TRY(write_profile(login, span_of(json_string_value(session), json_string_length(session))));
    (void)json_object_del(answer, "session");
    (void)json_object_del(answer, "csrf");
    return ERR_OK;
}

// At a terminal the password is asked for, and then the code, since nobody is told beforehand who
// has a second factor.
static enum err ask_code(const struct cli *cli, struct client_secrets *secrets)
{
    char code[CODE_MAX];
    struct secret *value = NULL;
    if (cli_has(cli, OPT_PASSWORD_FILE) || cli_has(cli, OPT_CODE_FILE) || !term_is_interactive())
        return ERR_OK;
    TRY(term_ask("Code of the second factor (Enter where there is none): ", code, sizeof code));
    if (code[0] == '\0')
        return ERR_OK;
    TRY(secret_copy(span_str(code), &value));
    secrets->items[secrets->count++] = (struct client_secret){"code", value};
    return ERR_OK;
}

static enum err sign_in(struct login *login)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    struct client_secrets secrets;
    struct cli *cli = login->cli;
    CLEANUP(json_freep)
    json_t *doc = json_pack("{s:s, s:s}", "user", cli->values[OPT_USER], "as", "bearer");
    if (doc == NULL)
        FAIL(ERR_INVALID, "the user's name is not text (UTF-8)");
    TRY(secrets_collect(cli, &secrets));
    enum err err = ask_code(cli, &secrets);
    if (err == ERR_OK)
        err = client_call(cli, "POST", "/sessions", doc, &secrets, &answer);
    client_secrets_done(&secrets);
    TRY(err);
    TRY(take_session(login, answer));
    term_step(true, 0, "Signed in to %s as %s; other commands now go there (profile \"%s\")",
              login->address, cli->values[OPT_USER], login->profile);
    if (json_is_true(json_object_get(answer, "must_change_password")))
        term_say("next: keyward me change-password   (nothing else is allowed before)");
    return output_document(cli, answer);
}

static enum err log_in(struct login *login)
{
    char staged[TARGET_PATH_MAX];
    TRY(target_profile(login->cli, &login->profile));
    TRY(choose_trust(login));
    TRY(stage_trust(login, staged));
    enum err err =
        http_open_remote(login->address, login->ca.len > 0 ? staged : NULL, &login->cli->http);
    if (err == ERR_OK)
        err = sign_in(login);
    (void)unlink(staged);
    return err;
}

enum err login_run(struct cli *cli)
{
    struct login login = {.cli = cli, .address = cli->names[0]};
    if (!cli_has(cli, OPT_USER))
        FAIL(ERR_INVALID, "who signs in? give --user NAME");
    buf_init(&login.ca, PEM_MAX, false);
    enum err err = log_in(&login);
    buf_done(&login.ca);
    return err;
}

enum err logout_run(struct cli *cli)
{
    const char *profile = NULL;
    CLEANUP(json_freep) json_t *answer = NULL;
    char path[TARGET_PATH_MAX];
    TRY(target_profile(cli, &profile));
    TRY(target_path(profile, ".token", path));
    if (access(path, F_OK) != 0)
        FAIL(ERR_AUTHENTICATION, "you are not signed in (profile \"%s\")", profile);
    enum err err = client_call(cli, "DELETE", "/sessions/current", NULL, NULL, &answer);
    // A session that has ended by itself needs no end.
    if (err != ERR_OK && err != ERR_AUTHENTICATION)
        return err;
    TRY(file_remove(AT_FDCWD, path));
    term_step(true, 0, "Signed out (profile \"%s\")", profile);
    return ERR_OK;
}
