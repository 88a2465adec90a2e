// SPDX-License-Identifier: Apache-2.0
//
// When the HTTPS port is opened and given. What cannot be done is tried again with each turn of the
// main loop, and told of once.
#include "supervise/https.h"

#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/paths.h"
#include "supervise/listen.h"

#define PORT_DEFAULT "[::]:443"

enum err https_init(struct https *https, const struct children *all, const struct kv *conf)
{
    const char *fallback = strcmp(all->root, "/") == 0 ? PORT_DEFAULT : "none";
    https->address = kv_get(conf, "WEB_LISTEN", fallback);
    if (strcmp(https->address, "none") == 0)
        https->address = NULL;
    TRY(file_remove(all->root_fd, PATH_WEB_STATE));
    if (https->address == NULL)
        listen_tell(all->root_fd, PATH_WEB_STATE, "none", "WEB_LISTEN is \"none\"");
    return ERR_OK;
}

bool https_waits(const struct https *https, const struct children *all)
{
    return https->address != NULL && (all->https_listener < 0 || children_lack_https(all));
}

static enum err open_and_give(const struct https *https, struct children *all)
{
    if (all->https_listener < 0) {
        TRY(listen_tcp(https->address, &all->https_listener));
        log_event(LOG_LEVEL_INFO, "https_port_open address=%s", https->address);
    }
    return children_give_https(all);
}

// The certificate is there before its key is (ops/tlsfile.h).
static bool may_open(const struct children *all)
{
    return all->https_listener >= 0 ||
           (file_exists(all->root_fd, PATH_TLS_CERT) && file_exists(all->root_fd, PATH_TLS_KEY));
}

void https_open(struct https *https, struct children *all)
{
    if (!https_waits(https, all) || !may_open(all))
        return;
    enum err err = open_and_give(https, all);
    if (err == ERR_OK) {
        https->told_closed = false;
        listen_tell(all->root_fd, PATH_WEB_STATE, "open", https->address);
        return;
    }
    if (!https->told_closed) {
        log_error("https_port_closed", err);
        listen_tell(all->root_fd, PATH_WEB_STATE, "closed", err_detail());
        https->told_closed = true;
    }
}
