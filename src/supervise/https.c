// SPDX-License-Identifier: Apache-2.0
//
// inotify tells of changed files; what changed does not matter, the pair is handed out anew, and
// the web process keeps the one before when key and certificate do not fit each other (as in the
// middle of a change of both).
#include "supervise/https.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/paths.h"
#include "supervise/listen.h"

#define PORT_DEFAULT "[::]:443"

// Says in a file, for the command line, whether the port is open, and if not, why.
static void tell(const struct children *all, const char *state, const char *what)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 2048, false);
    if (buf_printf(&text, "%s %s\n", state, what) != ERR_OK ||
        file_write(all->root_fd, PATH_WEB_STATE, span_buf(&text)) != ERR_OK)
        log_error("web_state_not_told", ERR_IO);
}

enum err https_init(struct https *https, const struct children *all, const struct kv *conf)
{
    const char *fallback = strcmp(all->root, "/") == 0 ? PORT_DEFAULT : "none";
    https->address = kv_get(conf, "WEB_LISTEN", fallback);
    if (strcmp(https->address, "none") == 0)
        https->address = NULL;
    TRY(file_remove(all->root_fd, PATH_WEB_STATE));
    if (https->address == NULL)
        tell(all, "none", "WEB_LISTEN is \"none\"");
    return ERR_OK;
}

bool https_waits(const struct https *https, const struct children *all)
{
    return https->address != NULL && all->https_listener < 0;
}

void https_open(struct https *https, struct children *all)
{
    if (!https_waits(https, all) || !file_exists(all->root_fd, PATH_TLS_CERT))
        return;
    enum err err = listen_tcp(https->address, &all->https_listener);
    if (err == ERR_OK) {
        log_event(LOG_LEVEL_INFO, "https_port_open address=%s", https->address);
        children_give_https(all);
        tell(all, "open", https->address);
        return;
    }
    if (!https->told_closed) {
        log_error("https_port_closed", err);
        tell(all, "closed", err_detail());
        https->told_closed = true;
    }
}
