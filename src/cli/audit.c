// SPDX-License-Identifier: Apache-2.0
//
// `keyward audit verify`, `export` and `confirm`. A file, and the trail of a server that is down,
// are verified by the program keyward-audit, which knows the trail's format; here is only its
// answer shown.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/handlers.h"
#include "cli/output.h"
#include "cli/run.h"
#include "cli/secrets.h"
#include "cli/service.h"
#include "cli/target.h"
#include "cli/term.h"

enum { VERDICT_MAX = 64 * 1024, PROGRAM_MAX = 4096, SEALS_AT_ONCE = 200, SEAL_MAX = 1024 };

// ---- verification without a server ----

static enum err read_all(int fd, struct buf *out)
{
    for (;;) {
        TRY(buf_reserve(out, 4096));
        ssize_t got = read(fd, out->data + out->len, out->cap - out->len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return file_raise("read", "the answer of keyward-audit");
        if (got == 0)
            return ERR_OK;
        out->len += (size_t)got;
    }
}

static enum err run_verifier(const char *const *argv, struct buf *out)
{
    int both[2];
    int status = 0;
    if (pipe2(both, O_CLOEXEC) != 0)
        return file_raise("make", "a pipe");
    pid_t pid = fork();
    if (pid == 0) {
        if (dup2(both[1], STDOUT_FILENO) >= 0)
            (void)execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    (void)close(both[1]);
    enum err err = pid < 0 ? file_raise("start", argv[0]) : read_all(both[0], out);
    (void)close(both[0]);
    if (pid > 0 && waitpid(pid, &status, 0) == pid && out->len == 0 && err == ERR_OK)
        FAIL(ERR_DAMAGED, "it could not be verified: see above");
    return err;
}

// `what` is --root or --file.
static enum err verify_offline(struct cli *cli, const char *what, const char *path)
{
    char program[PROGRAM_MAX];
    const char *key = cli->values[OPT_PUBLIC_KEY];
    struct buf text CLEANUP(buf_done);
    CLEANUP(json_freep) json_t *verdict = NULL;
    buf_init(&text, VERDICT_MAX, false);
    TRY(service_find("keyward-audit", program, sizeof program));
    const char *const argv[] = {program, what, path, key == NULL ? NULL : "--public-key",
                                key,     NULL};
    TRY(run_verifier(argv, &text));
    verdict = json_loadb((const char *)text.data, text.len, 0, NULL);
    if (verdict == NULL)
        FAIL(ERR_INTERNAL, "keyward-audit gave no verdict");
    TRY(output_document(cli, verdict));
    if (!json_is_true(json_object_get(verdict, "sound")))
        FAIL(ERR_DAMAGED, "\"%s\" is not in order: %s", path,
             json_string_value(json_object_get(verdict, "what")));
    if (key == NULL)
        term_say("signed by the key above: compare it with the one that you have noted of `keyward "
                 "audit status`, or give --public-key");
    return ERR_OK;
}

enum err audit_verify(struct cli *cli)
{
    pid_t pid = 0;
    if (cli->values[OPT_FILE] != NULL)
        return verify_offline(cli, "--file", cli->values[OPT_FILE]);
    if (target_is_remote(cli) && !cli_has(cli, OPT_ROOT))
        return run_command(cli);
    TRY(client_open_root(cli));
    if (service_is_running(cli->root_fd, &pid))
        return run_command(cli);
    term_say("the server is down: its trail is verified where it lies");
    return verify_offline(cli, "--root", cli->root);
}

// ---- export ----

static enum err need_file(const struct cli *cli, const char **ret)
{
    *ret = cli->values[OPT_FILE];
    if (*ret == NULL)
        FAIL(ERR_INVALID, "give --file FILE");
    return ERR_OK;
}

// Asks for block after block and writes each.
static enum err write_blocks(struct cli *cli, int fd, const char *path, unsigned *ret_blocks)
{
    CLEANUP(json_freep) json_t *doc = NULL;
    TRY(run_document(cli, &doc));
    for (bool more = true; more; ++*ret_blocks) {
        CLEANUP(json_freep) json_t *answer = NULL;
        TRY(client_call(cli, "POST", "/audit:export", doc, NULL, &answer));
        const json_t *text = json_object_get(answer, "text");
        json_t *next = json_object_get(answer, "next_cursor");
        if (!json_is_string(text))
            FAIL(ERR_INTERNAL, "the server's answer lacks the field \"text\"");
        TRY(file_write_all(fd, span_of(json_string_value(text), json_string_length(text)), path));
        more = json_is_string(next);
        if (more && json_object_set(doc, "cursor", next) != 0)
            FAIL(ERR_MEMORY, "no memory for a document");
    }
    return ERR_OK;
}

enum err audit_export(struct cli *cli)
{
    const char *path = NULL;
    unsigned blocks = 0;
    TRY(need_file(cli, &path));
    int fd = -1;
    TRY(secrets_create(AT_FDCWD, path, &fd));
    TRY(secrets_finish(&fd, write_blocks(cli, fd, path, &blocks)));
    return verify_offline(cli, "--file", path);
}

// ---- confirm ----

static bool is_seal(const char *line)
{
    return strncmp(line, "seal,", 5) == 0 || strncmp(line, "{\"row\":\"seal\",", 14) == 0;
}

static enum err send_seals(struct cli *cli, json_t *seals, json_t **answer)
{
    CLEANUP(json_freep) json_t *doc = json_object();
    if (json_object_set(doc, "seals", seals) != 0)
        FAIL(ERR_MEMORY, "no memory for a document");
    json_freep(answer);
    TRY(client_call(cli, "POST", "/audit:confirm", doc, NULL, answer));
    return json_array_clear(seals) == 0 ? ERR_OK : ERR_MEMORY;
}

static enum err send_file(struct cli *cli, FILE *in, json_t **answer)
{
    CLEANUP(json_freep) json_t *seals = json_array();
    char *line = NULL;
    size_t room = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK && getline(&line, &room, in) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (is_seal(line) && json_array_append_new(seals, json_string(line)) != 0)
            err = ERR_MEMORY;
        if (err == ERR_OK && json_array_size(seals) == SEALS_AT_ONCE)
            err = send_seals(cli, seals, answer);
    }
    free(line);
    TRY(err);
    return json_array_size(seals) > 0 ? send_seals(cli, seals, answer) : ERR_OK;
}

enum err audit_confirm(struct cli *cli)
{
    const char *path = NULL;
    CLEANUP(json_freep) json_t *answer = NULL;
    TRY(need_file(cli, &path));
    TRY(verify_offline(cli, "--file", path));
    FILE *in = fopen(path, "re");
    if (in == NULL)
        return file_raise("open", path);
    enum err err = send_file(cli, in, &answer);
    (void)fclose(in);
    TRY(err);
    return output_document(cli, answer);
}
