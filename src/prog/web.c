// SPDX-License-Identifier: Apache-2.0
//
// keyward-web: REST over the local socket. Started by the supervisor alone, over descriptor 3.
#include "base/log.h"
#include "web/serve.h"

int main(void)
{
    log_setup("web", LOG_LEVEL_INFO);
    enum err err = serve_run();
    if (err == ERR_OK)
        return 0;
    log_error("web_ended", err);
    return err_info(err)->exit_status;
}
