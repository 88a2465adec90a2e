// SPDX-License-Identifier: Apache-2.0
//
// Private to `keyward hsm validate`: the guide's validation as a table of tests, each a table of
// steps. A step says what it did before it runs, and what it saw when it is done; the first that
// fails ends its test. Everything happens in throw-away servers below one directory.
#ifndef KW_CLI_VALIDATE_H
#define KW_CLI_VALIDATE_H

#include "base/secret.h"
#include "cli/state.h"

enum { VALIDATE_SERVERS = 3, VALIDATE_SAW_MAX = 4096, VALIDATE_ENV_MAX = 16 };

struct validate_server {
    struct cli cli;  // root and what a call of the API needs
    bool is_made;    // the directory is there
    uint32_t number; // key number after the last Initialize
    json_t *keys;    // ids of the keys made on it
};

struct validate {
    struct cli *cli;           // the command's own
    char base[4096];           // the directory that everything lies below
    char module[4096];         // full path of the library
    const char *label;         // NULL: the only token
    struct secret *credential; // of the token
    struct secret *phrase;     // recovery passphrase of every server
    struct validate_server servers[VALIDATE_SERVERS];
    json_t *report; // the whole document
    json_t *steps;  // of the test under way
    bool stopped;   // the PIN was refused, or a person interrupted: nothing more is tried
    size_t failed;  // steps
};

struct validate_step {
    const char *name;
    const char *did;
    enum err (*run)(struct validate *validate, struct validate_server *server, struct buf *saw);
    unsigned server; // which one
};

struct validate_test {
    const char *id;      // "standalone-1"
    const char *title;   // for people
    const char *section; // of the guide
    const struct validate_step *steps;
    size_t count;
    // Instead of steps: a test that tells its steps itself (validate_tell).
    void (*whole)(struct validate *validate);
};

// Notes a step in the report and says it on standard error. `result`: pass, fail, note, or skip
// for one that was not tried. A refused PIN stops the validation.
void validate_tell(struct validate *validate, const char *name, const char *did, const char *saw,
                   const char *result, enum err err, int64_t ms);

// validate_probe.c: the requirements of CG 5.2.2, by keyward-hsmd --probe in a root of its own.
void validate_probe(struct validate *validate);

// validate_server.c. The steps: what the guide has a person do, through the local API.
enum err validate_make(struct validate *validate, struct validate_server *server, struct buf *saw);
enum err validate_enable(struct validate *validate, struct validate_server *server,
                         struct buf *saw);
enum err validate_check_enabled(struct validate *validate, struct validate_server *server,
                                struct buf *saw);
enum err validate_use_keys(struct validate *validate, struct validate_server *server,
                           struct buf *saw);
enum err validate_restart(struct validate *validate, struct validate_server *server,
                          struct buf *saw);
enum err validate_reverse(struct validate *validate, struct validate_server *server,
                          struct buf *saw);
enum err validate_check_reversed(struct validate *validate, struct validate_server *server,
                                 struct buf *saw);
enum err validate_restart_without(struct validate *validate, struct validate_server *server,
                                  struct buf *saw);
enum err validate_numbers_differ(struct validate *validate, struct validate_server *server,
                                 struct buf *saw);

// Makes the directory of a server, or of a probe, with the files that name the library.
MUST_USE enum err validate_lay_out(struct validate *validate, struct validate_server *server,
                                   const char *name);

// Ends a server and removes its directory; its trace files are kept below --out.
MUST_USE enum err validate_remove(struct validate *validate, struct validate_server *server);

// validate_report.c
MUST_USE enum err validate_report_check(const struct cli *cli);
MUST_USE enum err validate_report_write(const struct cli *cli, const json_t *report);

#endif
