// SPDX-License-Identifier: Apache-2.0
//
// A keyward-hsmd in the hands of a hostile library: answers the keeper's requests as the variable
// HOSTILE says. It lets HSM_OPEN pass and then lies, unless the word begins with "open-".
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rand.h"
#include "hsm/hsm_wire.h"
#include "ipc/ipc.h"
#include "proc/proc.h"

enum { WAIT_MS = 10000 };

static enum err wait_for_request(struct ipc *keeper, struct ipc_frame *ret)
{
    while (!ipc_next(keeper, ret)) {
        struct pollfd fd = {.fd = ipc_fd(keeper), .events = POLLIN};
        if (poll(&fd, 1, -1) > 0)
            TRY(ipc_fill(keeper));
    }
    return ERR_OK;
}

static enum err note(struct ipc *keeper, const char *text, size_t len)
{
    struct ipc_frame frame = {.kind = HSM_NOTE, .body = span_of(text, len)};
    TRY(ipc_put(keeper, &frame));
    return ipc_flush_wait(keeper, WAIT_MS);
}

static enum err answer(struct ipc *keeper, const struct ipc_frame *ask, uint16_t status,
                       struct span body)
{
    struct ipc_frame frame = {.kind = ask->kind, .status = status, .id = ask->id, .body = body};
    TRY(ipc_put(keeper, &frame));
    return ipc_flush_wait(keeper, WAIT_MS);
}

static enum err answer_random(struct ipc *keeper, const struct ipc_frame *ask)
{
    uint8_t bytes[512];
    rand_bytes(bytes, sizeof bytes);
    return answer(keeper, ask, 0, span_of(bytes, bytes[0] * 2));
}

// A text of 4 GiB, or of more than there is.
static enum err answer_long(struct ipc *keeper, const struct ipc_frame *ask)
{
    uint8_t bytes[600];
    memset(bytes, 0xff, sizeof bytes);
    return answer(keeper, ask, 0, span_of(bytes, sizeof bytes));
}

static enum err answer_sealed_too_long(struct ipc *keeper, const struct ipc_frame *ask)
{
    struct buf body CLEANUP(buf_done);
    uint8_t bytes[HSM_SEALED_MAX + 1] = {0};
    buf_init(&body, 4096, false);
    TRY(buf_put_var(&body, span_str("AES_CBC")));
    TRY(buf_put_var(&body, span_of(bytes, sizeof bytes)));
    return answer(keeper, ask, 0, span_buf(&body));
}

static enum err raw(struct ipc *keeper, const char *bytes, size_t len)
{
    if (write(ipc_fd(keeper), bytes, len) < 0)
        return ERR_OK;
    return ERR_OK;
}

static enum err flood(struct ipc *keeper)
{
    for (;;)
        TRY(note(keeper, "C_Login\n\x1b[31m", 12));
}

// Frames that are neither note nor answer, without an end.
static enum err flood_with(struct ipc *keeper, uint16_t kind, uint64_t id, size_t len)
{
    static uint8_t bytes[1 << 20];
    const struct ipc_frame frame = {.kind = kind, .id = id, .body = span_of(bytes, len)};
    for (;;) {
        TRY(ipc_put(keeper, &frame));
        TRY(ipc_flush_wait(keeper, WAIT_MS));
    }
}

static enum err misbehave(const char *how, struct ipc *keeper, const struct ipc_frame *ask)
{
    if (strcmp(how, "random") == 0)
        return answer_random(keeper, ask);
    if (strcmp(how, "long") == 0)
        return answer_long(keeper, ask);
    if (strcmp(how, "sealed") == 0)
        return answer_sealed_too_long(keeper, ask);
    if (strcmp(how, "empty") == 0)
        return answer(keeper, ask, 0, span_of(NULL, 0));
    if (strcmp(how, "status") == 0)
        return answer(keeper, ask, 0xfffe, span_str("\x1b]0;gotcha\x07"));
    if (strcmp(how, "flood") == 0)
        return flood(keeper);
    if (strcmp(how, "flood-crash") == 0)
        return flood_with(keeper, HSM_CRASH, 0, 4);
    if (strcmp(how, "flood-unknown") == 0)
        return flood_with(keeper, 0xfffe, ask->id + 1, 0);
    if (strcmp(how, "flood-large") == 0)
        return flood_with(keeper, 0xfffe, ask->id + 1, 1 << 20);
    if (strcmp(how, "giant") == 0)
        return raw(keeper, "\xff\xff\xff\xff\0\1\0\0\0\0\0\0\0\0\0\1", 16);
    if (strcmp(how, "exit") == 0)
        exit(0);
    (void)pause();
    return ERR_OK;
}

static enum err serve(struct ipc *keeper, const char *how)
{
    bool from_start = strncmp(how, "open-", 5) == 0;
    if (from_start)
        how += 5;
    for (;;) {
        struct ipc_frame ask;
        TRY(wait_for_request(keeper, &ask));
        if (ask.kind == HSM_OPEN && !from_start)
            TRY(answer(keeper, &ask, 0, span_of(NULL, 0)));
        else if (strcmp(how, "goodbye") == 0 && ask.kind != HSM_CLOSE)
            TRY(answer(keeper, &ask, 0, span_of(NULL, 0)));
        else if (strcmp(how, "goodbye") == 0)
            TRY(flood_with(keeper, HSM_CRASH, 0, 1 << 20));
        else
            TRY(misbehave(how, keeper, &ask));
    }
}

int main(void)
{
    struct proc_message message;
    int fd = -1;
    struct ipc *keeper = NULL;
    const char *how = getenv("HOSTILE");
    if (how == NULL || proc_receive(WAIT_MS, &message, &fd) != ERR_OK ||
        ipc_new(fd, &keeper) != ERR_OK)
        return 1;
    return serve(keeper, how) == ERR_OK ? 0 : 1;
}
