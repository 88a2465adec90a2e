// SPDX-License-Identifier: Apache-2.0
//
// What a secret looks like is the server's business; that it is text and not empty is checked here.
#include "cli/secrets.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/base64.h"
#include "cli/term.h"

static enum err read_stdin(size_t max, struct buf *out)
{
    enum err err = file_read_fd(STDIN_FILENO, "standard input", out->limit, out);
    if (err == ERR_DAMAGED)
        FAIL(ERR_INVALID, "the secret on standard input is longer than %zu bytes", max);
    return err;
}

static enum err read_source(const char *path, size_t max, struct buf *out)
{
    enum err err =
        strcmp(path, "-") == 0 ? read_stdin(max, out) : file_read_private(AT_FDCWD, path, max, out);
    if (err == ERR_NOT_FOUND)
        FAIL(ERR_INVALID, "there is no file \"%s\"", path);
    if (err == ERR_DAMAGED || err == ERR_IO || err == ERR_TOO_LARGE) {
        char reason[600];
        (void)snprintf(reason, sizeof reason, "%s", err_detail());
        FAIL(ERR_INVALID, "%s", reason);
    }
    return err;
}

static enum err read_text(const char *path, size_t max, struct secret **ret)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, max + 1, true);
    TRY(read_source(path, max, &text));
    if (text.len > 0 && text.data[text.len - 1] == '\n')
        text.len--;
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    if (text.len == 0)
        FAIL(ERR_INVALID, "\"%s\" holds no secret: it is empty", name);
    if (!span_is_utf8(span_buf(&text)))
        FAIL(ERR_INVALID, "\"%s\" holds no secret: it is not text (UTF-8)", name);
    return secret_copy(span_buf(&text), ret);
}

enum err secrets_read(const char *path, struct secret **ret)
{
    return read_text(path, SECRET_FILE_MAX, ret);
}

// What is imported: any bytes, sent in base64; a text as it is when `encoded` says that it is what
// the server is to read.
static enum err read_material(const char *path, bool encoded, struct secret **ret)
{
    struct buf bytes CLEANUP(buf_done);
    struct buf text CLEANUP(buf_done);
    if (encoded)
        return read_text(path, MATERIAL_FILE_MAX, ret);
    buf_init(&bytes, MATERIAL_FILE_MAX + 1, true);
    buf_init(&text, 2 * MATERIAL_FILE_MAX, true);
    TRY(read_source(path, MATERIAL_FILE_MAX, &bytes));
    if (bytes.len == 0)
        FAIL(ERR_INVALID, "\"%s\" is empty", path);
    TRY(base64_put(&text, span_buf(&bytes)));
    return secret_copy(span_buf(&text), ret);
}

// "new_password" → "New password"; some have a name of their own.
static void prompt_of(const struct cli *cli, const struct use *use, char out[64])
{
    bool renews = commands_use(cli->command, OPT_NEW_RECOVERY_PASSPHRASE_FILE) != NULL;
    const char *words = NULL;
    if (strcmp(use->field, "credential") == 0)
        words = "HSM Credential";
    else if (strcmp(use->field, "new_recovery_passphrase") == 0)
        words = "New Recovery Passphrase";
    else if (strcmp(use->field, "recovery_passphrase") == 0)
        words = renews ? "Old Recovery Passphrase" : "Recovery Passphrase";
    else if (strcmp(use->field, "token") == 0)
        words = strcmp(cli->command->noun, "setup-link") == 0 ? "Secret of the set-up link"
                                                              : "One-time token";
    (void)snprintf(out, 64, "%.60s: ", words != NULL ? words : use->field);
    if (words != NULL)
        return;
    out[0] = (char)toupper((unsigned char)out[0]);
    for (char *p = out; *p != '\0'; p++)
        *p = *p == '_' ? ' ' : *p;
}

static enum err prompt(const struct cli *cli, const struct use *use, struct secret **ret)
{
    if (!term_is_interactive())
        FAIL(ERR_INVALID,
             "there is no terminal to ask on: give --%s FILE (or - for standard input)",
             option_rows[use->option].name);
    CLEANUP(secret_freep) struct secret *first = NULL;
    CLEANUP(secret_freep) struct secret *again = NULL;
    char words[64];
    prompt_of(cli, use, words);
    TRY(term_ask_secret(words, &first));
    if ((use->flags & USE_TWICE) != 0) {
        char re_enter[80];
        (void)snprintf(re_enter, sizeof re_enter, "Re-enter %s", words);
        TRY(term_ask_secret(re_enter, &again));
        if (!secret_equal(secret_span(first), secret_span(again)))
            FAIL(ERR_INVALID, "the two entries differ: nothing was sent");
    }
    *ret = first;
    first = NULL;
    return ERR_OK;
}

static bool is_stdin(const struct cli *cli, enum opt option)
{
    return cli->values[option] != NULL && strcmp(cli->values[option], "-") == 0;
}

static enum err check_stdin_once(const struct cli *cli)
{
    int count = is_stdin(cli, OPT_BODY_FILE) + is_stdin(cli, OPT_FROM_JSON);
    for (const struct use *use = cli->command->uses; use != NULL && use->field != NULL; use++)
        count += use->kind == FIELD_SECRET && is_stdin(cli, use->option);
    if (count > 1)
        FAIL(ERR_INVALID, "only one of the options can be read from standard input");
    return ERR_OK;
}

static enum err collect(const struct cli *cli, struct client_secrets *secrets)
{
    for (const struct use *use = cli->command->uses; use != NULL && use->field != NULL; use++) {
        const char *path = cli->values[use->option];
        if (use->kind != FIELD_SECRET || (path == NULL && (use->flags & USE_ASKED) == 0))
            continue;
        struct secret *value = NULL;
        if (path != NULL && strcmp(use->field, SECRETS_MATERIAL) == 0)
            TRY(read_material(path, cli->values[OPT_ENCODING] != NULL, &value));
        else if (path != NULL)
            TRY(read_text(path, use->limit, &value));
        else
            TRY(prompt(cli, use, &value));
        secrets->items[secrets->count++] = (struct client_secret){use->field, value};
    }
    return ERR_OK;
}

enum err secrets_collect(const struct cli *cli, struct client_secrets *ret)
{
    *ret = (struct client_secrets){.count = 0};
    TRY(check_stdin_once(cli));
    enum err err = collect(cli, ret);
    if (err != ERR_OK)
        client_secrets_done(ret);
    return err;
}

// The file that is being made. When the program is told to end meanwhile, no half of it stays.
static struct {
    int dir;
    char path[PATH_MAX];
    struct sigaction before[3];
} made = {.dir = -1};

static const int ends[] = {SIGINT, SIGTERM, SIGHUP};

static void stop_watching(void)
{
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        (void)sigaction(ends[i], &made.before[i], NULL);
}

static void on_end(int number)
{
    (void)unlinkat(made.dir, made.path, 0);
    stop_watching();
    (void)raise(number);
}

static void watch(void)
{
    struct sigaction end = {.sa_handler = on_end};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        (void)sigaction(ends[i], &end, &made.before[i]);
}

enum err secrets_create(int dir, const char *path, int *ret_fd)
{
    if (strlen(path) >= sizeof made.path)
        FAIL(ERR_INVALID, "the name of the file to be written is longer than %d bytes", PATH_MAX);
    int fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        FAIL(ERR_CONFLICT, "\"%s\" exists already and is not overwritten: move it away", path);
    if (fd < 0 && errno == ENOENT)
        FAIL(ERR_NOT_FOUND, "\"%s\" cannot be made: its directory does not exist, make that first",
             path);
    if (fd < 0)
        return file_raise("create", path);
    made.dir = dir;
    (void)snprintf(made.path, sizeof made.path, "%s", path);
    watch();
    *ret_fd = fd;
    return ERR_OK;
}

enum err secrets_finish(int *fd, enum err err)
{
    if (err == ERR_OK && fsync(*fd) != 0)
        err = file_raise("write", made.path);
    if (err != ERR_OK)
        (void)unlinkat(made.dir, made.path, 0);
    stop_watching();
    file_closep(fd);
    return err;
}

enum err secrets_write_new(int dir, const char *path, struct span bytes)
{
    int fd = -1;
    TRY(secrets_create(dir, path, &fd));
    return secrets_finish(&fd, file_write_all(fd, bytes, path));
}
