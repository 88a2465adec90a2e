// SPDX-License-Identifier: Apache-2.0
// Parses the command line. Everything is checked here, so that the tracer starts with numbers in
// range and roots that exist.
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: crashpoint [option]… [--] COMMAND [ARGUMENT]…\n"
    "counts the state-changing system calls of COMMAND and of all its threads and children\n"
    "  --list FILE          append a line per call: number, thread, name, call, place (tabs)\n"
    "  --record DIR         write what each call did, with its bytes, to DIR/calls and DIR/data\n"
    "  --kill N             kill all traced processes before call N happens\n"
    "  --after N            kill them right after call N\n"
    "  --fail N:ERRNO       call N fails with ERRNO (name or number) and does not happen\n"
    "  --fail-from N:ERRNO  so do all later calls\n"
    "  --short N            call N (write, pwrite64) writes half of its bytes\n"
    "  --root DIR           count only files and directories under DIR (may be repeated)\n"
    "  --sockets            count connect and what is sent or written on sockets too\n"
    "  --arm-on FILE        begin to count once FILE exists\n"
    "  --disarmed           begin to count at SIGUSR1\n"
    "SIGUSR1 starts counting from 0, SIGUSR2 stops it and lists the total; SIGTERM, SIGINT and\n"
    "SIGHUP are passed on to COMMAND. The status is COMMAND's, or 137 if all were killed.\n";

enum {
    OPT_LIST = 1,
    OPT_RECORD,
    OPT_KILL,
    OPT_AFTER,
    OPT_FAIL,
    OPT_FAIL_FROM,
    OPT_SHORT,
    OPT_ROOT,
    OPT_SOCKETS,
    OPT_ARM_ON,
    OPT_DISARMED,
    OPT_HELP
};

static const struct option long_options[] = {
    {"list", required_argument, NULL, OPT_LIST},
    {"record", required_argument, NULL, OPT_RECORD},
    {"kill", required_argument, NULL, OPT_KILL},
    {"after", required_argument, NULL, OPT_AFTER},
    {"fail", required_argument, NULL, OPT_FAIL},
    {"fail-from", required_argument, NULL, OPT_FAIL_FROM},
    {"short", required_argument, NULL, OPT_SHORT},
    {"root", required_argument, NULL, OPT_ROOT},
    {"sockets", no_argument, NULL, OPT_SOCKETS},
    {"arm-on", required_argument, NULL, OPT_ARM_ON},
    {"disarmed", no_argument, NULL, OPT_DISARMED},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static _Noreturn void refuse(const char *what, const char *value)
{
    fprintf(stderr, "crashpoint: %s \"%s\"; see crashpoint --help\n", what, value);
    exit(2);
}

static long parse_number(const char *text, const char **ret_rest)
{
    char *end = NULL;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (end == text || errno != 0 || n < 1) {
        refuse("expected a number from 1 in", text);
    }
    *ret_rest = end;
    return n;
}

static int parse_errno(const char *text)
{
    for (int e = 1; e < 134; e++) {
        const char *name = strerrorname_np(e);
        if (name != NULL && strcmp(name, text) == 0) {
            return e;
        }
    }
    const char *rest = NULL;
    long n = parse_number(text, &rest);
    if (*rest != '\0' || n > 4095) {
        refuse("unknown error", text);
    }
    return (int)n;
}

static void set_mode(struct options *o, enum options_mode mode, const char *value)
{
    const char *rest = NULL;
    if (o->mode != MODE_COUNT) {
        refuse("only one of --kill, --after, --fail, --fail-from, --short is possible, not also",
               value);
    }
    o->mode = mode;
    o->target = parse_number(value, &rest);
    bool with_error = mode == MODE_FAIL || mode == MODE_FAIL_FROM;
    if (with_error && *rest == ':') {
        o->error = parse_errno(rest + 1);
    } else if (with_error || *rest != '\0') {
        refuse("cannot read", value);
    }
}

static void add_root(struct options *o, const char *dir)
{
    if (o->scope.root_count == POINT_ROOTS_MAX) {
        refuse("too many roots at", dir);
    }
    char *real = realpath(dir, NULL); // lives as long as the process
    if (real == NULL) {
        refuse("no such root directory", dir);
    }
    o->scope.roots[o->scope.root_count++] = strcmp(real, "/") == 0 ? "" : real;
}

static void set_option(struct options *o, int opt, const char *value)
{
    static const enum options_mode modes[] = {[OPT_KILL] = MODE_KILL,
                                              [OPT_AFTER] = MODE_AFTER,
                                              [OPT_FAIL] = MODE_FAIL,
                                              [OPT_FAIL_FROM] = MODE_FAIL_FROM,
                                              [OPT_SHORT] = MODE_SHORT};
    switch (opt) {
    case OPT_LIST:
        o->list = value;
        break;
    case OPT_RECORD:
        o->record = value;
        break;
    case OPT_ROOT:
        add_root(o, value);
        break;
    case OPT_SOCKETS:
        o->scope.sockets = true;
        break;
    case OPT_ARM_ON:
        o->arm_file = value;
        o->disarmed = true;
        break;
    case OPT_DISARMED:
        o->disarmed = true;
        break;
    case OPT_HELP:
        fputs(usage, stdout);
        exit(0);
    case '?':
        exit(2);
    default:
        set_mode(o, modes[opt], value);
        break;
    }
}

void options_parse(struct options *ret_options, int argc, char **argv)
{
    *ret_options = (struct options){.mode = MODE_COUNT};
    int opt;
    while ((opt = getopt_long(argc, argv, "+", long_options, NULL)) != -1) {
        set_option(ret_options, opt, optarg);
    }
    if (optind >= argc) {
        refuse("a command is missing after", argv[argc - 1]);
    }
    ret_options->command = &argv[optind];
}
