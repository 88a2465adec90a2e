// SPDX-License-Identifier: Apache-2.0
//
// What a secret looks like is the server's business; that it is text and not empty is checked here.
#include "cli/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/term.h"

static enum err read_stdin(struct buf *out)
{
    for (;;) {
        uint8_t chunk[512];
        ssize_t got = read(STDIN_FILENO, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            FAIL(ERR_INVALID, "standard input could not be read: %s", strerror(errno));
        if (got == 0)
            return ERR_OK;
        enum err err = buf_put(out, span_of(chunk, (size_t)got));
        explicit_bzero(chunk, sizeof chunk);
        if (err == ERR_TOO_LARGE)
            FAIL(ERR_INVALID, "the secret on standard input is longer than %d bytes",
                 SECRET_FILE_MAX);
        TRY(err);
    }
}

static enum err read_source(const char *path, struct buf *out)
{
    if (strcmp(path, "-") == 0)
        return read_stdin(out);
    enum err err = file_read_private(AT_FDCWD, path, SECRET_FILE_MAX, out);
    if (err == ERR_NOT_FOUND)
        FAIL(ERR_INVALID, "there is no file \"%s\"", path);
    if (err == ERR_DAMAGED || err == ERR_IO || err == ERR_TOO_LARGE) {
        char reason[600];
        (void)snprintf(reason, sizeof reason, "%s", err_detail());
        FAIL(ERR_INVALID, "%s", reason);
    }
    return err;
}

enum err secrets_read(const char *path, struct secret **ret)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, SECRET_FILE_MAX + 1, true);
    TRY(read_source(path, &text));
    if (text.len > 0 && text.data[text.len - 1] == '\n')
        text.len--;
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    if (text.len == 0)
        FAIL(ERR_INVALID, "\"%s\" holds no secret: it is empty", name);
    if (!span_is_utf8(span_buf(&text)))
        FAIL(ERR_INVALID, "\"%s\" holds no secret: it is not text (UTF-8)", name);
    return secret_copy(span_buf(&text), ret);
}

static const char *prompt_of(const struct cli *cli, enum opt option)
{
    bool renews = ((cli->command->options) & BIT(OPT_NEW_RECOVERY_FILE)) != 0;
    if (option == OPT_CREDENTIAL_FILE)
        return "HSM Credential: ";
    if (option == OPT_NEW_RECOVERY_FILE)
        return "New Recovery Passphrase: ";
    if (option == OPT_TOKEN_FILE)
        return "Enrolment token: ";
    return renews ? "Old Recovery Passphrase: " : "Recovery Passphrase: ";
}

static enum err prompt(const struct cli *cli, enum opt option, struct secret **ret)
{
    if (!term_is_interactive())
        FAIL(ERR_INVALID,
             "there is no terminal to ask on: give --%s FILE (or - for standard input)",
             option_rows[option].name);
    CLEANUP(secret_freep) struct secret *first = NULL;
    CLEANUP(secret_freep) struct secret *again = NULL;
    const char *words = prompt_of(cli, option);
    TRY(term_ask_secret(words, &first));
    if ((cli->command->twice & BIT(option)) != 0) {
        char re_enter[64];
        (void)snprintf(re_enter, sizeof re_enter, "Re-enter %s", words);
        TRY(term_ask_secret(re_enter, &again));
        if (!secret_equal(secret_span(first), secret_span(again)))
            FAIL(ERR_INVALID, "the two entries differ: nothing was sent");
    }
    *ret = first;
    first = NULL;
    return ERR_OK;
}

static enum err check_stdin_once(const struct cli *cli)
{
    int count = 0;
    for (int i = 0; i < OPT_COUNT; i++) {
        bool file = option_rows[i].kind == FIELD_SECRET || i == OPT_BODY_FILE;
        count += file && cli->values[i] != NULL && strcmp(cli->values[i], "-") == 0;
    }
    if (count > 1)
        FAIL(ERR_INVALID, "only one of the options can be read from standard input");
    return ERR_OK;
}

static enum err collect(const struct cli *cli, struct client_secrets *secrets)
{
    for (int i = 0; i < OPT_COUNT; i++) {
        enum opt option = (enum opt)i;
        const char *path = cli->values[option];
        if (option_rows[option].kind != FIELD_SECRET ||
            (path == NULL && (cli->command->asks & BIT(option)) == 0))
            continue;
        struct secret *value = NULL;
        if (path != NULL)
            TRY(secrets_read(path, &value));
        else
            TRY(prompt(cli, option, &value));
        secrets->items[secrets->count++] = (struct client_secret){option_rows[option].field, value};
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

enum err secrets_write_new(int dir, const char *path, struct span bytes)
{
    CLEANUP(file_closep)
    int fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        FAIL(ERR_CONFLICT, "\"%s\" exists already and is not overwritten: move it away", path);
    if (fd < 0)
        return file_raise("create", path);
    enum err err = file_write_all(fd, bytes, path);
    if (err == ERR_OK && fsync(fd) != 0)
        err = file_raise("write", path);
    if (err != ERR_OK)
        (void)unlinkat(dir, path, 0);
    return err;
}
