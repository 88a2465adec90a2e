// SPDX-License-Identifier: Apache-2.0
// A KMIP load generator: one thread, epoll, mutual TLS, closed loop (each connection has one
// request outstanding and sends the next when the answer has come). It prints one JSON object with
// what it saw. Invariants: every request sent is counted, as an operation or as an error, since
// after the last second the answers still outstanding are waited for; requests are built once and
// only a number in the name is patched; nothing is allocated per operation (but by OpenSSL, for a
// new connection). Session resumption is never used. The server's certificate must lead to --ca;
// its name is not compared, since the generator runs against loopback ports.
#include "load.h"
#include "measure.h"
#include "message.h"

#include <getopt.h>
#include <openssl/err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage_text[] =
    "usage: kmipload --port PORT --ca FILE --cert FILE --key FILE [options]\n"
    "  --host ADDRESS       numeric address (127.0.0.1)\n"
    "  --mode MODE          get, get-newconn or create (get)\n"
    "  --connections N      connections at once (8)\n"
    "  --seconds S          how long to send requests (3)\n"
    "  --requests R         send R requests instead\n"
    "  --uid UID            object to get\n"
    "  --setup              create and activate an AES-256 key first, and get that\n"
    "  --version 1.MINOR    KMIP version, 1.0 to 1.4 (1.4)\n"
    "  --server-pid PID     also report CPU of this process and its descendants\n"
    "Prints one JSON object; exit status 1 when an operation failed, 2 for wrong use.\n";

static void refuse(const char *what, const char *value)
{
    fprintf(stderr, "kmipload: %s \"%s\"; see kmipload --help\n", what, value);
    exit(2);
}

static long number(const char *option, const char *text, long max)
{
    char *end = NULL;
    long v = strtol(text, &end, 10);

    if (*text == '\0' || *end != '\0' || v < 1 || v > max) {
        fprintf(stderr, "kmipload: --%s takes a number from 1 to %ld, not \"%s\"\n", option, max,
                text);
        exit(2);
    }
    return v;
}

static double seconds(const char *text)
{
    char *end = NULL;
    double v = strtod(text, &end);

    if (*text == '\0' || *end != '\0' || !(v > 0) || v > 86400) {
        refuse("--seconds takes a number above 0, not", text);
    }
    return v;
}

static enum load_mode mode(const char *text)
{
    if (strcmp(text, "get") == 0) {
        return LOAD_GET;
    }
    if (strcmp(text, "get-newconn") == 0) {
        return LOAD_GET_NEWCONN;
    }
    if (strcmp(text, "create") != 0) {
        refuse("there is no mode", text);
    }
    return LOAD_CREATE;
}

static int minor_version(const char *text)
{
    if (strncmp(text, "1.", 2) != 0 || text[2] < '0' || text[2] > '4' || text[3] != '\0') {
        refuse("--version takes 1.0 to 1.4, not", text);
    }
    return text[2] - '0';
}

enum choice {
    OPTION_HOST = 256,
    OPTION_PORT,
    OPTION_CA,
    OPTION_CERT,
    OPTION_KEY,
    OPTION_CONNECTIONS,
    OPTION_SECONDS,
    OPTION_REQUESTS,
    OPTION_MODE,
    OPTION_UID,
    OPTION_SETUP,
    OPTION_VERSION,
    OPTION_SERVER_PID,
    OPTION_HELP
};

static const struct option options[] = {
    {"host", required_argument, NULL, OPTION_HOST},
    {"port", required_argument, NULL, OPTION_PORT},
    {"ca", required_argument, NULL, OPTION_CA},
    {"cert", required_argument, NULL, OPTION_CERT},
    {"key", required_argument, NULL, OPTION_KEY},
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"requests", required_argument, NULL, OPTION_REQUESTS},
    {"mode", required_argument, NULL, OPTION_MODE},
    {"uid", required_argument, NULL, OPTION_UID},
    {"setup", no_argument, NULL, OPTION_SETUP},
    {"version", required_argument, NULL, OPTION_VERSION},
    {"server-pid", required_argument, NULL, OPTION_SERVER_PID},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static void take(struct load_plan *plan, int option, const char *value)
{
    switch (option) {
    case OPTION_HOST:
        plan->host = value;
        return;
    case OPTION_PORT:
        plan->port = (uint16_t)number("port", value, 65535);
        return;
    case OPTION_CA:
        plan->ca = value;
        return;
    case OPTION_CERT:
        plan->cert = value;
        return;
    case OPTION_KEY:
        plan->key = value;
        return;
    case OPTION_CONNECTIONS:
        plan->connections = (size_t)number("connections", value, LOAD_CONNECTIONS_MAX);
        return;
    case OPTION_SECONDS:
        plan->seconds = seconds(value);
        return;
    case OPTION_REQUESTS:
        plan->requests = (uint64_t)number("requests", value, 99999999);
        return;
    case OPTION_MODE:
        plan->mode = mode(value);
        return;
    case OPTION_UID:
        plan->uid = value;
        return;
    case OPTION_SETUP:
        plan->setup = true;
        return;
    case OPTION_VERSION:
        plan->minor = minor_version(value);
        return;
    case OPTION_SERVER_PID:
        plan->server = (pid_t)number("server-pid", value, 4194304);
        return;
    case OPTION_HELP:
        fputs(usage_text, stdout);
        exit(0);
    default:
        exit(2);
    }
}

static void check_complete(const struct load_plan *plan)
{
    if (plan->port == 0 || plan->ca == NULL || plan->cert == NULL || plan->key == NULL) {
        fputs("kmipload: --port, --ca, --cert and --key are needed\n", stderr);
        exit(2);
    }
    if (plan->mode != LOAD_CREATE && !plan->setup && plan->uid == NULL) {
        fputs("kmipload: a get needs --uid or --setup\n", stderr);
        exit(2);
    }
    if (plan->uid != NULL && strlen(plan->uid) >= MESSAGE_UID_MAX) {
        refuse("this is too long for --uid:", plan->uid);
    }
}

static void print_report(const struct load_plan *plan, const struct load_result *r)
{
    static const char *const modes[] = {"get", "get-newconn", "create"};
    double ops = r->latency.count > 0 ? (double)r->latency.count : 1;

    printf("{\"mode\": \"%s\", \"connections\": %zu, \"ops\": %llu, \"seconds\": %.3f, "
           "\"ops_per_s\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"errors\": %llu, "
           "\"own_cpu_us_per_op\": %.2f",
           modes[plan->mode], plan->connections, (unsigned long long)r->latency.count, r->seconds,
           (double)r->latency.count / r->seconds, measure_quantile_us(&r->latency, 500),
           measure_quantile_us(&r->latency, 990), (unsigned long long)r->errors,
           r->own_cpu_us / ops);
    if (plan->server != 0) {
        printf(", \"server_cpu_us_per_op\": %.2f", r->server_cpu_us / ops);
    }
    printf(", \"tls\": \"%s\", \"server_key\": \"%s\"", r->tls, r->server_key);
    if (r->uid[0] != '\0') {
        printf(", \"uid\": \"%s\"", r->uid);
    }
    if (r->first_error[0] != '\0') {
        printf(", \"first_error\": \"%s\"", r->first_error);
    }
    puts("}");
}

int main(int argc, char **argv)
{
    struct load_plan plan = {.host = "127.0.0.1", .connections = 8, .seconds = 3, .minor = 4};
    static struct load_result result;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        take(&plan, option, optarg);
    }
    if (optind < argc) {
        refuse("there is no use for the argument", argv[optind]);
    }
    check_complete(&plan);
    if (!load_run(&plan, &result)) {
        fprintf(stderr, "kmipload: %s\n", result.first_error);
        ERR_print_errors_fp(stderr);
        return 1;
    }
    print_report(&plan, &result);
    return result.errors == 0 ? 0 : 1;
}
