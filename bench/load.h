// SPDX-License-Identifier: Apache-2.0
// The load generator proper: what to send, and what came of it. kmipload.c turns a command line
// into a plan and a result into JSON.
#pragma once

#include "measure.h"
#include "message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { LOAD_CONNECTIONS_MAX = 20000, LOAD_TLS_MAX = 64 };

enum load_mode { LOAD_GET, LOAD_GET_NEWCONN, LOAD_CREATE };

struct load_plan {
    const char *host; // numeric IPv4 address
    uint16_t port;
    const char *ca, *cert, *key; // PEM files
    enum load_mode mode;
    size_t connections;
    double seconds;    // how long new requests are sent; ignored with `requests`
    uint64_t requests; // 0: by time
    const char *uid;   // object to get; NULL with `setup`
    bool setup;        // create and activate the object to get, before the clock starts
    int minor;         // KMIP version 1.`minor`
    pid_t server;      // 0: CPU of the server is not measured
};

struct load_result {
    struct measure_latency latency; // of the operations that succeeded
    uint64_t errors;
    double seconds; // from the first request to the last answer
    double own_cpu_us, server_cpu_us;
    char tls[LOAD_TLS_MAX], server_key[LOAD_TLS_MAX];
    char uid[MESSAGE_UID_MAX];          // the object got, empty for create
    char first_error[MESSAGE_TEXT_MAX]; // empty when there was none
};

// Runs the plan to its end; blocks for its duration. False when it could not start at all (files,
// connections, set-up), with the reason in ret_result->first_error; failed operations are counted
// in ret_result->errors instead. `ret_result` must be zeroed by the caller.
bool load_run(const struct load_plan *plan, struct load_result *ret_result);
