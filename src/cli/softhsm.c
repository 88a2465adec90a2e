// SPDX-License-Identifier: Apache-2.0
//
// softhsm2-util takes PINs as arguments, which everybody can read, or from a terminal: it gets a
// pseudo-terminal of ours. Each answer is written only when the prompt is there and the echo is
// off, since switching it off throws away what was typed before.
#include "cli/softhsm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/kv.h"
#include "base/passphrase.h"
#include "base/paths.h"
#include "cli/secrets.h"

#define UTILITY "/usr/bin/softhsm2-util"
// Outside the server's own directory, which is walled off from PKCS#11 libraries.
#define DIR_NAME "var/lib/keyward-softhsm"
#define TOKENS   DIR_NAME "/tokens"
#define CONF     DIR_NAME "/softhsm2.conf"
#define PIN_FILE DIR_NAME "/pin"
#define SO_FILE  DIR_NAME "/so_pin"
#define MARK     DIR_NAME "/made"

enum { TALK_MS = 20000, TALK_BYTES = 8192, PATH_BYTES = 4096, PIN_GROUPS = 4, STEP_MS = 10 };

enum err softhsm_check(void)
{
    if (access(SOFTHSM_LIBRARY, R_OK) == 0 && access(UTILITY, X_OK) == 0)
        return ERR_OK;
    FAIL(ERR_UNAVAILABLE,
         "SoftHSM is not installed (\"%s\", \"%s\"): run \"apt install softhsm2\", or use "
         "--hsm none",
         SOFTHSM_LIBRARY, UTILITY);
}

// One conversation: what the tool says, and how far it has been looked at.
struct talk {
    int terminal;
    pid_t pid;
    int64_t deadline;
    char heard[TALK_BYTES];
    size_t len;
    size_t seen;
};

static void end_talk(struct talk *talk)
{
    if (talk->pid > 0) {
        (void)kill(talk->pid, SIGKILL);
        (void)waitpid(talk->pid, NULL, 0);
    }
    talk->pid = 0;
    file_closep(&talk->terminal);
}

// Reads what is there, waiting at most STEP_MS. False when the tool has closed its end.
static bool hear(struct talk *talk)
{
    struct pollfd poll_fd = {.fd = talk->terminal, .events = POLLIN};
    if (poll(&poll_fd, 1, STEP_MS) <= 0)
        return true;
    if (talk->len == TALK_BYTES - 1)
        return false;
    ssize_t got = read(talk->terminal, talk->heard + talk->len, TALK_BYTES - 1 - talk->len);
    if (got <= 0)
        return got < 0 && errno == EINTR;
    talk->len += (size_t)got;
    talk->heard[talk->len] = '\0';
    return true;
}

static bool echo_is_off(const struct talk *talk)
{
    struct termios state;
    return tcgetattr(talk->terminal, &state) == 0 && (state.c_lflag & (tcflag_t)ECHO) == 0;
}

// Waits for `prompt` and answers it.
static enum err answer(struct talk *talk, const char *prompt, const struct secret *pin)
{
    for (;;) {
        const char *at = strcasestr(talk->heard + talk->seen, prompt);
        if (at != NULL && echo_is_off(talk)) {
            talk->seen = talk->len;
            TRY(file_write_all(talk->terminal, secret_span(pin), "the terminal of softhsm2-util"));
            return file_write_all(talk->terminal, span_str("\n"), "the terminal of softhsm2-util");
        }
        if (!hear(talk) || clock_mono_ms() > talk->deadline)
            FAIL(ERR_HSM_FAILED, "softhsm2-util did not ask for \"%s\": it said \"%.300s\"", prompt,
                 talk->heard);
    }
}

static enum err await_end(struct talk *talk)
{
    int status = 0;
    while (hear(talk) && clock_mono_ms() <= talk->deadline)
        continue;
    if (clock_mono_ms() > talk->deadline)
        FAIL(ERR_HSM_TIMEOUT, "softhsm2-util did not end in time");
    pid_t pid = talk->pid;
    talk->pid = 0;
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        FAIL(ERR_HSM_FAILED, "softhsm2-util could not make the token: it said \"%.300s\"",
             talk->heard);
    return ERR_OK;
}

static enum err begin_talk(const char *conf_variable, struct talk *talk)
{
    const char *const argv[] = {UTILITY, "--init-token", "--free", "--label", SOFTHSM_LABEL, NULL};
    const char *const envp[] = {conf_variable, "LC_ALL=C", NULL};
    *talk = (struct talk){.terminal = -1, .deadline = clock_mono_ms() + TALK_MS};
    talk->pid = forkpty(&talk->terminal, NULL, NULL, NULL);
    if (talk->pid < 0)
        FAIL(ERR_UNAVAILABLE, "a pseudo-terminal could not be made: %s", strerror(errno));
    if (talk->pid == 0) {
        (void)execve(UTILITY, (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)envp);
        _exit(127);
    }
    return ERR_OK;
}

static enum err init_token(const char *root, const struct secret *so_pin, const struct secret *pin)
{
    char variable[PATH_BYTES];
    (void)snprintf(variable, sizeof variable, "SOFTHSM2_CONF=%s/%s", root, CONF);
    CLEANUP(end_talk) struct talk talk;
    TRY(begin_talk(variable, &talk));
    TRY(answer(&talk, "enter SO PIN:", so_pin));
    TRY(answer(&talk, "enter SO PIN:", so_pin));
    TRY(answer(&talk, "enter user PIN:", pin));
    TRY(answer(&talk, "enter user PIN:", pin));
    return await_end(&talk);
}

// A PIN file: read back when an earlier run has made it.
static enum err keep_pin(int root_fd, const char *path, struct secret **ret)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 256, true);
    if (file_exists(root_fd, path)) {
        TRY(file_read_private(root_fd, path, 128, &text));
        return secret_copy(span_buf(&text), ret);
    }
    TRY(passphrase_make(PIN_GROUPS, ret));
    return file_write(root_fd, path, secret_span(*ret));
}

static enum err write_settings(int root_fd, const char *root)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 3 * PATH_BYTES, false);
    TRY(buf_printf(&text,
                   "directories.tokendir = %s/%s\nobjectstore.backend = file\n"
                   "log.level = ERROR\nslots.removable = false\n",
                   root, TOKENS));
    TRY(file_write(root_fd, CONF, span_buf(&text)));
    buf_clear(&text);
    TRY(buf_printf(&text,
                   "# The try-out token below this root. Not for keys that matter.\n"
                   "SOFTHSM2_CONF=\"%s/%s\"\n",
                   root, CONF));
    TRY(file_write(root_fd, PATH_HSM_ENV, span_buf(&text)));
    buf_clear(&text);
    TRY(buf_printf(&text, "VENDOR_NAME=\"%s\"\nPKCS11_LIB_LOC=\"%s\"\n", SOFTHSM_VENDOR,
                   SOFTHSM_LIBRARY));
    return file_write(root_fd, PATH_HSM_CONF, span_buf(&text));
}

// Settings that somebody else has written are left alone.
static enum err check_settings(int root_fd)
{
    CLEANUP(kv_freep) struct kv *kv = NULL;
    TRY(kv_load(root_fd, PATH_HSM_CONF, &kv));
    const char *vendor = kv_get(kv, "VENDOR_NAME", SOFTHSM_VENDOR);
    if (vendor[0] != '\0' && strcmp(vendor, SOFTHSM_VENDOR) != 0)
        FAIL(ERR_WRONG_STATE, "\"%s\" names the vendor \"%.64s\": a try-out token would replace it",
             PATH_HSM_CONF, vendor);
    return ERR_OK;
}

enum err softhsm_make(int root_fd, const char *root, struct secret **ret_pin)
{
    CLEANUP(secret_freep) struct secret *so_pin = NULL;
    CLEANUP(secret_freep) struct secret *pin = NULL;
    TRY(softhsm_check());
    TRY(check_settings(root_fd));
    TRY(file_mkdirs(root_fd, TOKENS));
    TRY(file_mkdirs(root_fd, PATH_GENERIC_DIR));
    TRY(keep_pin(root_fd, SO_FILE, &so_pin));
    TRY(keep_pin(root_fd, PIN_FILE, &pin));
    TRY(write_settings(root_fd, root));
    if (!file_exists(root_fd, MARK)) {
        // A token half made by a run that was interrupted would be a twin of the same label.
        TRY(file_remove_tree(root_fd, TOKENS));
        TRY(file_mkdirs(root_fd, TOKENS));
        TRY(init_token(root, so_pin, pin));
        TRY(file_write(root_fd, MARK, span_str("done\n")));
    }
    *ret_pin = pin;
    pin = NULL;
    return ERR_OK;
}
