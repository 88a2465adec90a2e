// SPDX-License-Identifier: Apache-2.0
//
// The supervisor's table of child processes: start, wire, notice a death, start again. A process
// that dies at once is started again after a growing pause. Nothing here reads a byte from a
// client.
#ifndef KW_SUPERVISE_CHILDREN_H
#define KW_SUPERVISE_CHILDREN_H

#include <poll.h>
#include <sys/types.h>

#include "proc/proc.h"

enum { CHILD_ARGS_MAX = 8 };

struct child {
    enum proc_role role;
    uint32_t index;
    pid_t pid;          // 0: not running
    int control;        // our end of its control channel, -1 when not running
    bool ready;         // has said PROC_READY since it was started
    bool has_https;     // web: was given the HTTPS port since it was started
    bool left_behind;   // was killed and is not gone
    bool one_shot;      // hsmd, prover: never started again
    int owner;          // of a one-shot: index of the child that asked for it
    int64_t started_ms; // monotonic
    int64_t restart_ms; // when to start it again, 0: not waiting
    uint32_t failures;  // deaths in a row within a second of the start
    uint32_t restarts;
    char why[PROC_DETAIL_MAX]; // what it last said about its end, "" when nothing
};

struct children {
    struct child items[PROC_PEERS_MAX];
    int count;
    const char *root; // absolute path of the root prefix
    int root_fd;
    const char *programs; // directory of the binaries
    int kmip_listener;    // -1 while closed
    int web_listener;     // of the local socket
    int https_listener;   // -1 while closed
    int ticket_keys;      // of TLS, for all fronts alike, so that each resumes what another began
    int local_key;        // of the local socket, for web
    bool stopping;
};

// Adds a child to the table; it is started by children_start_due.
MUST_USE enum err children_add(struct children *all, enum proc_role role, uint32_t index);

// Starts and wires every child whose time has come. Fronts wait until the KMIP listener is open.
void children_start_due(struct children *all);

// A web process runs that was not given the HTTPS port.
bool children_lack_https(const struct children *all);
// Hands it the certificate of the port, and the port, which is open.
MUST_USE enum err children_give_https(struct children *all);
// Hands certificates to the web process that has the port, and to the fronts, again.
void children_give_identity(struct children *all);

// Milliseconds until the next start is due, -1 when none is.
int children_wait_ms(const struct children *all);

// Reaps what has died; schedules restarts; ends the one-shots of a dead owner.
void children_reap(struct children *all);

// Handles what child `number` has to say on its control channel.
void children_hear(struct children *all, int number);

// All that are to run are running and have said that they are ready.
bool children_all_ready(const struct children *all);

// While the server starts: fails, with what the child said, once one has ended several times as
// soon as it was started.
MUST_USE enum err children_check_start(const struct children *all);

// Asks all to finish, fronts first, then kills what is left. Blocks for at most timeout_ms, and a
// moment more for each that outlives being killed.
void children_stop(struct children *all, int timeout_ms);

#endif
