// SPDX-License-Identifier: Apache-2.0
//
// net/engines.h: what a front asks of an engine that stalls, or dies.
#include "net/engines.h"

#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "tests/unit/check.h"

enum { KIND = 7, BODY = 1024 * 1024 };

struct rig {
    struct event_base *base;
    struct engines *engines;
    struct ipc *writer; // the other end
    unsigned answered;
    unsigned lost;
};

static enum err on_ask(void *data, void *asker, struct buf *body)
{
    (void)data;
    return buf_put_zeros(body, *(const size_t *)asker);
}

static void on_answered(void *data, void *asker, const struct ipc_frame *answer)
{
    struct rig *rig = data;
    (void)asker;
    assert_int_equal(answer->status, ERR_OK);
    rig->answered++;
}

static void on_lost(void *data, void *asker, enum err code, bool maybe_done)
{
    struct rig *rig = data;
    (void)asker, (void)code, (void)maybe_done;
    rig->lost++;
}

static void begin(struct rig *rig)
{
    static const struct engines_handler handler = {on_ask, on_answered, on_lost};
    int fds[2];
    int memory = -1;
    *rig = (struct rig){.base = event_base_new()};
    OK(engines_new(rig->base, KIND, &handler, rig, &rig->engines));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    OK(ipc_make_memory(&memory));
    OK(ipc_new(fds[1], &rig->writer));
    OK(ipc_share(rig->writer, memory, false));
    OK(engines_attach(rig->engines, true, 0, fds[0], memory));
    (void)close(memory);
}

static void end(struct rig *rig)
{
    engines_free(rig->engines);
    event_base_free(rig->base);
    ipc_free(rig->writer);
}

static void turn(struct rig *rig)
{
    (void)engines_may_sleep(rig->engines);
    assert_true(event_base_loop(rig->base, EVLOOP_NONBLOCK) >= 0);
    engines_turn(rig->engines, clock_mono_ms());
}

static enum err ask(struct rig *rig, size_t *len)
{
    struct question *question;
    return engines_ask(rig->engines, true, len, &question);
}

// The writer answers what has come, shortly the first, the others with so many bytes.
static unsigned answer(struct rig *rig, size_t rest)
{
    static const uint8_t zeros[BODY];
    struct ipc_frame frame;
    unsigned count = 0;
    OK(ipc_fill(rig->writer));
    for (; ipc_next(rig->writer, &frame); count++)
        OK(ipc_answer(rig->writer, &frame, ERR_OK, span_of(zeros, count == 0 ? 4 : rest)));
    OK(ipc_flush(rig->writer));
    return count;
}

static void what_a_stalled_engine_has_no_room_for_may_be_tried_again(void **state)
{
    (void)state;
    struct rig rig;
    size_t large = BODY;
    size_t small = 10;
    unsigned asked = 0;
    enum err err;
    begin(&rig);
    while ((err = ask(&rig, &large)) == ERR_OK)
        asked++;
    assert_true(asked > IPC_QUEUE_MAX / BODY / 2);
    FAILS(ERR_UNAVAILABLE, err);
    FAILS(ERR_UNAVAILABLE, ask(&rig, &small));
    assert_string_equal(err_message(ERR_UNAVAILABLE), "too many requests are under way, try again");
    // What was taken is asked and answered, and then there is room again.
    while (rig.answered < asked) {
        turn(&rig);
        (void)answer(&rig, 4);
    }
    OK(ask(&rig, &small));
    while (rig.answered == asked) {
        turn(&rig);
        (void)answer(&rig, 4);
    }
    assert_int_equal(rig.lost, 0);
    end(&rig);
}

static void what_a_writer_answered_before_it_died_counts(void **state)
{
    (void)state;
    struct rig rig;
    size_t small = 10;
    begin(&rig);
    OK(ask(&rig, &small));
    OK(ask(&rig, &small));
    while (answer(&rig, BODY) == 0)
        turn(&rig);
    // The second answer has not gone whole: it waited for room.
    assert_true(ipc_pending(rig.writer) > 0);
    ipc_freep(&rig.writer);
    while (rig.answered + rig.lost < 2)
        turn(&rig);
    assert_int_equal(rig.answered, 1);
    assert_int_equal(rig.lost, 1);
    end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_stalled_engine_has_no_room_for_may_be_tried_again),
        cmocka_unit_test(what_a_writer_answered_before_it_died_counts),
    };
    log_setup("test", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
