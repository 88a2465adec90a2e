// SPDX-License-Identifier: Apache-2.0
//
// Invariant: whatever way the program ends while a secret is typed, the terminal echoes again.
#include "cli/term.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

enum { ANSWER_MAX = 1024, LINE_MAX_BYTES = 4096 };

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
enum { SIGNALS = sizeof signals / sizeof *signals };

static int asked_tty = -1;
static struct termios before;
static struct sigaction handled[SIGNALS]; // what was done about each before

bool term_is_interactive(void)
{
    CLEANUP(file_closep) int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    return tty >= 0 && isatty(STDERR_FILENO) == 1;
}

static void on_interrupt(int number)
{
    (void)tcsetattr(asked_tty, TCSAFLUSH, &before);
    (void)!write(asked_tty, "\n", 1);
    for (size_t i = 0; i < SIGNALS; i++) {
        void (*earlier)(int) = handled[i].sa_handler;
        if (signals[i] == number && earlier != SIG_DFL && earlier != SIG_IGN)
            earlier(number); // a file that is being made goes
    }
    _exit(128 + number);
}

static enum err read_line(int tty, struct buf *line)
{
    for (;;) {
        uint8_t c;
        ssize_t got = read(tty, &c, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            FAIL(ERR_INVALID, "nothing was typed");
        if (c == '\n')
            return ERR_OK;
        TRY(buf_put_u8(line, c));
    }
}

static enum err ask(const char *prompt, bool echo, struct buf *line)
{
    CLEANUP(file_closep) int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0 || tcgetattr(tty, &before) != 0)
        FAIL(ERR_INVALID, "there is no terminal to ask on");
    struct termios quiet = before;
    if (!echo)
        quiet.c_lflag &= ~(tcflag_t)ECHO;
    asked_tty = tty;
    struct sigaction restore = {.sa_handler = on_interrupt};
    for (size_t i = 0; i < SIGNALS; i++)
        (void)sigaction(signals[i], &restore, &handled[i]);
    (void)tcsetattr(tty, TCSAFLUSH, &quiet);
    enum err err = file_write_all(tty, span_str(prompt), "the terminal");
    if (err == ERR_OK)
        err = read_line(tty, line);
    (void)tcsetattr(tty, TCSAFLUSH, &before);
    for (size_t i = 0; i < SIGNALS; i++)
        (void)sigaction(signals[i], &handled[i], NULL);
    if (!echo)
        (void)!write(tty, "\n", 1);
    return err;
}

enum err term_ask_secret(const char *prompt, struct secret **ret)
{
    struct buf line CLEANUP(buf_done);
    buf_init(&line, ANSWER_MAX, true);
    TRY(ask(prompt, false, &line));
    if (line.len == 0)
        FAIL(ERR_INVALID, "nothing was typed");
    return secret_copy(span_buf(&line), ret);
}

enum err term_ask(const char *prompt, char *out, size_t room)
{
    struct buf line CLEANUP(buf_done);
    buf_init(&line, room - 1, false);
    TRY(ask(prompt, true, &line));
    memcpy(out, line.data != NULL ? line.data : (const uint8_t *)"", line.len);
    out[line.len] = '\0';
    return ERR_OK;
}

void term_clean(const char *text, char *out, size_t room)
{
    size_t len = 0;
    size_t left = strlen(text);
    while (left > 0 && len + 1 < room) {
        size_t control = *text == '\n' ? 0 : span_control_len(span_of(text, left));
        size_t step = control > 0 ? control : 1;
        out[len++] = control > 0 ? '?' : *text;
        text += step;
        left -= step;
    }
    out[len] = '\0';
}

enum err term_put(const void *bytes, size_t len, struct buf *out)
{
    const uint8_t *from = bytes;
    for (size_t i = 0; i < len;) {
        bool kept = from[i] == '\n' || from[i] == '\t';
        size_t control = kept ? 0 : span_control_len(span_of(from + i, len - i));
        TRY(buf_put_u8(out, control > 0 ? '?' : from[i]));
        i += control > 0 ? control : 1;
    }
    return ERR_OK;
}

static void say(const char *before_text, const char *after, const char *fmt, va_list args)
{
    char raw[LINE_MAX_BYTES];
    char clean[LINE_MAX_BYTES];
    (void)vsnprintf(raw, sizeof raw, fmt, args);
    term_clean(raw, clean, sizeof clean);
    (void)fprintf(stderr, "%s%s%s\n", before_text, clean, after);
}

void term_step(bool done, int64_t started_ms, const char *fmt, ...)
{
    char took[32] = "";
    if (started_ms != 0)
        (void)snprintf(took, sizeof took, " (%.1f s)",
                       (double)(clock_mono_ms() - started_ms) / 1000);
    va_list args;
    va_start(args, fmt);
    say(done ? " ✔ " : " ✖ ", took, fmt, args);
    va_end(args);
}

void term_say(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say("", "", fmt, args);
    va_end(args);
}
