// SPDX-License-Identifier: Apache-2.0
//
// The life of a child process: what it must do first (harden), and its talk with the supervisor
// over descriptor PROC_CONTROL_FD. The supervisor alone starts processes and makes the socket pairs
// between them; the list of pairs in proc/wiring.c is the data-flow diagram. When a child dies it
// is started again and its peers get a new descriptor for it: PROC_ATTACH.
#ifndef KW_PROC_PROC_H
#define KW_PROC_PROC_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { PROC_CONTROL_FD = 3, PROC_PEERS_MAX = 64, PROC_TICKETS_LEN = 80, PROC_LOCAL_KEY_LEN = 64 };

enum proc_role {
    ROLE_NONE,
    ROLE_SUPERVISOR,
    ROLE_FRONT,     // keyward-front: KMIP over TLS
    ROLE_WEB,       // keyward-web: REST over the local socket and over TLS
    ROLE_READER,    // keyward-engine --role reader
    ROLE_WRITER,    // keyward-engine --role writer: group commit
    ROLE_ADMIN,     // keyward-engine --role admin: slow work, root of trust
    ROLE_PEOPLE,    // keyward-engine --role people: sign-ins, which hash passwords
    ROLE_KEEPER,    // keyward-keeper
    ROLE_HSMD,      // keyward-hsmd: one operation, then gone
    ROLE_PROVER,    // keyward-keeper --prove: opens staged files in a fresh process, then gone
    ROLE_COURIER,   // keyward-courier: audit records to a log server, mail about alerts
    ROLE_LISTENER,  // not a process: a listening socket
    ROLE_TICKETS,   // not a process: a file of PROC_TICKETS_LEN bytes, the fronts' TLS ticket keys
    ROLE_IDENTITY,  // not a process: the files of a TLS identity, each as a message
    ROLE_LOCAL_KEY, // not a process: a file of PROC_LOCAL_KEY_LEN bytes of text, by which web knows
                    // who may speak for the local socket
    ROLE_MEMORY,    // not a process: memory that the channel of the next message crosses in
    ROLE_COUNT
};

// Indices of listeners that web gets, and of the files of an identity.
enum { PROC_LISTENER_LOCAL, PROC_LISTENER_TLS };
enum { PROC_IDENTITY_KEY, PROC_IDENTITY_CERT, PROC_IDENTITY_CA };

const char *proc_role_name(enum proc_role role);

enum proc_kind {
    PROC_ATTACH = 1, // to a child: here is your channel to (role, index); replaces an earlier one
    PROC_STOP,       // to a child: finish what is in hand, then exit 0
    PROC_READY,      // from a child: serving
    PROC_SPAWN, // from the keeper: start a fresh (role), killing the one there was; answered by
                // PROC_ATTACH
    PROC_KILL,  // from the keeper: kill (role) now
    PROC_FAILED // from a child that is about to end: why, in `detail`
};

enum { PROC_DETAIL_MAX = 400 };

struct proc_message {
    uint32_t kind; // enum proc_kind
    uint32_t role; // enum proc_role
    uint32_t index;
    uint32_t failed; // of an answer to PROC_SPAWN: 1 when it could not be started
    char detail[PROC_DETAIL_MAX];
};

// Waits at most timeout_ms (-1: for ever) for a message on the control channel. *ret_fd is -1 or a
// descriptor that the caller owns. ERR_TIMEOUT; ERR_UNAVAILABLE when the supervisor is gone: the
// child must then exit.
MUST_USE enum err proc_receive(int timeout_ms, struct proc_message *ret, int *ret_fd);
MUST_USE enum err proc_send(const struct proc_message *message);
MUST_USE enum err proc_ready(void);

// Tells why this process is about to end, for whoever starts the server. Without a supervisor
// nothing happens.
void proc_failed(enum err code);

// Asks for a fresh hsmd or prover and waits for its channel (descriptor, caller owns).
// ERR_UNAVAILABLE when it could not be started, ERR_TIMEOUT. Other control messages that arrive
// meanwhile are kept and handed out by the next proc_receive.
MUST_USE enum err proc_spawn(enum proc_role role, int timeout_ms, int *ret_fd);
MUST_USE enum err proc_kill(enum proc_role role);

// True when proc_receive would give a message at once that proc_spawn had to set aside: look before
// you sleep in poll.
bool proc_has_kept(void);

// What every process does before it reads a byte from outside: no core dump, not dumpable,
// no_new_privs, SIGPIPE ignored, umask 0077, dies with the supervisor. Does secret_setup.
MUST_USE enum err proc_harden(void);

// How far a process may reach into a tree of files.
enum proc_reach {
    PROC_REACH_NONE, // not at all
    PROC_REACH_READ, // read files and list directories
    PROC_REACH_OWN,  // and change them, but make nothing other than files and directories
    PROC_REACH_MOVE, // and move them between the trees that have this (Linux 5.19 and later)
    PROC_REACH_ALL   // whatever the file system would let it do
};

struct proc_tree {
    const char *path; // from the root prefix, or absolute
    enum proc_reach reach;
};

// Walls off all files but those below these directories, which must exist, for good (Landlock).
// Wants no_new_privs, so call it after proc_harden. A kernel without Landlock, or with one too old
// for what the trees ask, is logged and accepted.
MUST_USE enum err proc_wall_in(int root, const struct proc_tree *trees, size_t count);

// The other way round, for hsmd, whose library may need anything: every file of the machine can be
// reached but for these trees, each as its own `reach` says. One may lie within another; where one
// does not exist, what is made there later is walled off, too. What stands beside a tree is allowed
// by its name, so in the directories on the way to one nothing new can be made or listed; a file
// system that is mounted a second time elsewhere is a way round.
MUST_USE enum err proc_wall_off(int root, const struct proc_tree *trees, size_t count);

// Installs the role's seccomp allow-list (table in proc/seccomp.c): any other call ends the process
// (SIGSYS). Call after everything is opened; not for ROLE_HSMD before its library is loaded (its
// list is the loosest).
MUST_USE enum err proc_confine(enum proc_role role);

#endif
