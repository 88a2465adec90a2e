// SPDX-License-Identifier: Apache-2.0
// Reads the control file, keeps the counts and the trace. Nothing is cached between calls; the
// number of the present call is kept from enter to spoil, for each thread.
//
// The trace gets one function name a line and never an argument, so a PIN cannot reach it.
#include "shim_control.h"

#include "shim_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define CONTROL_MAX 4096
#define RECORD      12 // "%011lu\n"

static const char *const names[SHIM_CALLS] = {
#define PLAIN(name, min, parameters, arguments) [SHIM_##name] = #name,
#define HOOKED(name, min)                       [SHIM_##name] = #name,
#include "shim_calls.h"
    [SHIM_ANY] = "any",
};

static const bool minimal[SHIM_CALLS] = {
#define PLAIN(name, min, parameters, arguments) [SHIM_##name] = (min),
#define HOOKED(name, min)                       [SHIM_##name] = (min),
#include "shim_calls.h"
};

struct numbers {
    unsigned long one; // of this function
    unsigned long any; // of all
};

static _Thread_local struct numbers current;

static _Noreturn void refuse(const char *what, const char *detail)
{
    fprintf(stderr, "keyward-test-shim: %s \"%s\"\n", what, detail);
    abort();
}

struct control {
    char text[CONTROL_MAX];
    char *rest;
};

// A missing control file means no wishes.
static void control_open(struct control *c)
{
    const char *path = getenv("KWSHIM_CONTROL");
    ssize_t n = 0;
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, c->text, sizeof c->text - 1);
        close(fd);
    } else if (path != NULL && errno != ENOENT) {
        refuse("could not open the control file", path);
    }
    c->text[n > 0 ? n : 0] = '\0';
    c->rest = c->text;
}

// The next word, NULL at the end.
static char *control_next(struct control *c)
{
    for (;;) {
        c->rest += strspn(c->rest, " \t\n");
        if (*c->rest != '#') {
            break;
        }
        c->rest += strcspn(c->rest, "\n");
    }
    if (*c->rest == '\0') {
        return NULL;
    }
    char *word = c->rest;
    c->rest += strcspn(c->rest, " \t\n");
    if (*c->rest != '\0') {
        *c->rest++ = '\0';
    }
    return word;
}

bool shim_control_has(const char *word)
{
    struct control c;
    control_open(&c);
    for (char *w = control_next(&c); w != NULL; w = control_next(&c)) {
        if (strcmp(w, word) == 0) {
            return true;
        }
    }
    return false;
}

static unsigned long bump(int fd, enum shim_call call)
{
    char record[RECORD + 1] = "";
    unsigned long n = 0;
    off_t at = (off_t)call * RECORD;
    if (pread(fd, record, RECORD, at) == RECORD) {
        n = strtoul(record, NULL, 10);
    }
    n++;
    snprintf(record, sizeof record, "%011lu\n", n);
    if (pwrite(fd, record, RECORD, at) != RECORD) {
        refuse("could not write the counts of", names[call]);
    }
    return n;
}

// The file keeps a record for each function; the lock makes the counts right across processes.
static void count(enum shim_call call)
{
    char path[CONTROL_MAX];
    const char *control = getenv("KWSHIM_CONTROL");
    if (control == NULL) {
        return;
    }
    snprintf(path, sizeof path, "%s.counts", control);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        refuse("could not open the counts", path);
    }
    current = (struct numbers){.one = bump(fd, call), .any = bump(fd, SHIM_ANY)};
    close(fd);
}

static void trace(enum shim_call call)
{
    char line[64];
    const char *path = getenv("KWSHIM_TRACE");
    if (path == NULL) {
        return;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int n = snprintf(line, sizeof line, "%s\n", names[call]);
    if (fd < 0 || write(fd, line, (size_t)n) != n) {
        refuse("could not write the trace", path);
    }
    close(fd);
}

// One word taken apart: verb=function[:value][:number[-]].
struct wish {
    const char *verb;
    const char *function;
    unsigned long value;
    bool now; // the number fits the present call
};

static bool number_fits(const char *text, unsigned long n)
{
    char *end = NULL;
    unsigned long wanted = strtoul(text, &end, 10);
    bool only = strcmp(end, "-") == 0;
    if (end == text || wanted == 0 || (*end != '\0' && !only)) {
        refuse("cannot read the number", text);
    }
    return only ? n == wanted : n >= wanted;
}

static const struct verb {
    const char *name;
    int base; // of the value, 0 if the verb has none
    bool numbered;
} verbs[] = {
    {"rv", 16, true},     {"hang", 0, true},    {"crash", 0, true},  {"abort", 0, true},
    {"kill", 0, true},    {"slow", 10, false},  {"print", 0, false}, {"probe", 0, true},
    {"garbage", 0, true}, {"length", 16, true}, {"lost", 0, true},   {"null", 0, false},
    {"flags", 16, false}, {"wait", 0, false},
};

static const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

static void check_plain(const char *word)
{
    static const char *const words[] = {
        "nodata",          "uniqueid",        "replaceid",
        "nogcm",           "nocbc",           "nocbcpad",
        "noecb",           "only17=null",     "only17=nosup",
        "gcm=luna",        "gcm=fips",        "gcm=cloudhsm",
        "gcm=short",       "gcm=strict",      "stale",
        "renumber",        "accelerator",     "noro",
        "reserved",        "policy=nshield",  "policy=noextract",
        "lie=extractable", "lie=insensitive",
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i], word) == 0) {
            return;
        }
    }
    refuse("cannot read in the control file", word);
}

static void check_function(const char *function)
{
    for (size_t i = 0; i < SHIM_CALLS; i++) {
        if (strcmp(names[i], function) == 0) {
            return;
        }
    }
    refuse("there is no function", function);
}

static const char *take_part(char **rest, const char *word)
{
    char *part = strsep(rest, ":");
    if (part == NULL || *part == '\0') {
        refuse("a part is missing after", word);
    }
    return part;
}

// False for a word without a verb, which is checked and left to shim_control_has.
static bool wish_parse(struct wish *ret_wish, char *word)
{
    char *equals = strchr(word, '=');
    char verb_name[16] = "";
    if (equals != NULL && (size_t)(equals - word) < sizeof verb_name) {
        memcpy(verb_name, word, (size_t)(equals - word));
    }
    const struct verb *verb = verb_find(verb_name);
    if (verb == NULL) {
        check_plain(word);
        return false;
    }
    char *rest = equals + 1;
    *ret_wish = (struct wish){.verb = verb->name, .function = take_part(&rest, word), .now = true};
    check_function(ret_wish->function);
    if (verb->base != 0) {
        ret_wish->value = strtoul(take_part(&rest, word), NULL, verb->base);
    }
    if (verb->numbered) {
        bool any = strcmp(ret_wish->function, names[SHIM_ANY]) == 0;
        ret_wish->now = number_fits(take_part(&rest, word), any ? current.any : current.one);
    }
    if (rest != NULL) {
        refuse("too many parts after", word);
    }
    return true;
}

// The next wish that concerns this call now.
static bool control_wish(struct control *c, enum shim_call call, struct wish *ret_wish)
{
    for (char *w = control_next(c); w != NULL; w = control_next(c)) {
        if (wish_parse(ret_wish, w) && ret_wish->now &&
            (strcmp(ret_wish->function, names[call]) == 0 ||
             strcmp(ret_wish->function, names[SHIM_ANY]) == 0)) {
            return true;
        }
    }
    return false;
}

static void junk(void)
{
    static const char text[] = "vendor: \x1b[31mdebug\xff\n{\"status\": \"ok\"}\n";
    if (write(STDOUT_FILENO, text, sizeof text - 1) < 0 ||
        write(STDERR_FILENO, text, sizeof text - 1) < 0) {
        return; // closed: then nobody is bothered
    }
}

static void wait_ms(unsigned long ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR) {
        continue;
    }
}

static void wait_for_leave(const struct wish *wish)
{
    char word[64];
    (void)snprintf(word, sizeof word, "%s=%s", wish->verb, wish->function);
    while (shim_control_has(word)) {
        wait_ms(5);
    }
}

static _Noreturn void die_by(int signal_number)
{
    signal(signal_number, SIG_DFL);
    raise(signal_number);
    _exit(99);
}

// What ends or delays a call but does not answer it.
static void act(const struct wish *wish)
{
    if (strcmp(wish->verb, "slow") == 0) {
        wait_ms(wish->value);
    } else if (strcmp(wish->verb, "wait") == 0) {
        wait_for_leave(wish);
    } else if (strcmp(wish->verb, "print") == 0) {
        junk();
    } else if (strcmp(wish->verb, "probe") == 0) {
        shim_probe();
    } else if (strcmp(wish->verb, "crash") == 0) {
        die_by(SIGSEGV);
    } else if (strcmp(wish->verb, "abort") == 0) {
        abort();
    } else if (strcmp(wish->verb, "kill") == 0) {
        die_by(SIGKILL);
    } else if (strcmp(wish->verb, "hang") == 0) {
        for (;;) {
            pause();
        }
    }
}

bool shim_control_wishes(const char *verb, enum shim_call call, unsigned long *ret_value)
{
    struct control c;
    struct wish wish;
    control_open(&c);
    while (control_wish(&c, call, &wish)) {
        if (strcmp(wish.verb, verb) == 0) {
            *ret_value = wish.value;
            return true;
        }
    }
    return false;
}

// A device that is gone for this process: what a library answers by itself it goes on answering.
static bool lost;

static bool answers_when_lost(enum shim_call call)
{
    return call == SHIM_C_Initialize || call == SHIM_C_Finalize || call == SHIM_C_GetSlotList ||
           call == SHIM_C_GetFunctionList || call == SHIM_C_GetTokenInfo ||
           call == SHIM_C_GetSessionInfo;
}

bool shim_control_enter(enum shim_call call, ck_rv_t *ret_rv)
{
    struct control c;
    struct wish wish;
    bool answered = false;
    count(call);
    trace(call);
    control_open(&c);
    while (control_wish(&c, call, &wish)) {
        act(&wish);
        if (strcmp(wish.verb, "rv") == 0) {
            *ret_rv = wish.value;
            answered = true;
        }
        lost = lost || strcmp(wish.verb, "lost") == 0;
    }
    lost = lost && call != SHIM_C_Finalize;
    if (lost && !answers_when_lost(call)) {
        *ret_rv = CKR_DEVICE_ERROR;
        answered = true;
    }
    if (!answered && !minimal[call] && shim_control_has("only17=nosup")) {
        *ret_rv = CKR_FUNCTION_NOT_SUPPORTED;
        answered = true;
    }
    return answered;
}

void shim_control_spoil(enum shim_call call, unsigned char *out, unsigned long *out_len)
{
    struct control c;
    struct wish wish;
    if (out == NULL || out_len == NULL) {
        return; // a question for the size
    }
    control_open(&c);
    while (control_wish(&c, call, &wish)) {
        if (strcmp(wish.verb, "garbage") == 0) {
            for (unsigned long i = 0; i < *out_len; i++) {
                out[i] ^= 0x5a;
            }
        } else if (strcmp(wish.verb, "length") == 0) {
            *out_len = wish.value;
        }
    }
}

void shim_control_miscount(enum shim_call call, unsigned long *count)
{
    unsigned long told = 0;
    if (count != NULL && shim_control_wishes("length", call, &told)) {
        *count = told;
    }
}
