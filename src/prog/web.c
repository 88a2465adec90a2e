// SPDX-License-Identifier: Apache-2.0
//
// keyward-web: REST over the local socket and over TLS. Started by the supervisor alone, over
// descriptor 3.
#include <getopt.h>

#include "base/log.h"
#include "proc/proc.h"
#include "web/serve.h"

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"root", required_argument, NULL, 'r'},
        {"index", required_argument, NULL, 'i'},
        {NULL, 0, NULL, 0},
    };
    const char *root = "/";
    log_setup("web", LOG_LEVEL_INFO);
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (c == 'r')
            root = optarg;
        else if (c != 'i')
            return 2;
    }
    enum err err = serve_run(root);
    if (err == ERR_OK)
        return 0;
    log_error("web_ended", err);
    proc_failed(err);
    return err_info(err)->exit_status;
}
