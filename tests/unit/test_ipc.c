// SPDX-License-Identifier: Apache-2.0
//
// ipc/ipc.h: frames arrive whole and in order, a lying or closed peer is noticed, limits hold; over
// the socket, and in shared memory.
#include "ipc/ipc.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/check.h"

static void pair(struct ipc **a, struct ipc **b)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    OK(ipc_new(fds[0], a));
    OK(ipc_new(fds[1], b));
}

static void many_frames_leave_in_one_flush_and_arrive_in_order(void **state)
{
    (void)state;
    CLEANUP(ipc_freep) struct ipc *a = NULL;
    CLEANUP(ipc_freep) struct ipc *b = NULL;
    pair(&a, &b);
    for (uint64_t i = 0; i < 100; i++)
        OK(ipc_put(a, &(struct ipc_frame){.kind = 7, .id = i, .body = span_str("body")}));
    OK(ipc_flush(a));
    assert_int_equal(ipc_pending(a), 0);
    OK(ipc_fill(b));
    struct ipc_frame frame;
    for (uint64_t i = 0; i < 100; i++) {
        assert_true(ipc_next(b, &frame));
        assert_int_equal(frame.id, i);
        assert_int_equal(frame.kind, 7);
        assert_true(span_eq_str(frame.body, "body"));
    }
    assert_false(ipc_next(b, &frame));
}

static void a_large_frame_arrives_in_pieces(void **state)
{
    (void)state;
    CLEANUP(ipc_freep) struct ipc *a = NULL;
    CLEANUP(ipc_freep) struct ipc *b = NULL;
    pair(&a, &b);
    struct buf *body;
    OK(ipc_begin(a, 1, 0, 42, &body));
    OK(buf_put_zeros(body, IPC_FRAME_MAX - 8));
    OK(buf_put_u64(body, 99));
    OK(ipc_end(a));
    struct ipc_frame frame;
    while (!ipc_next(b, &frame)) {
        OK(ipc_flush(a));
        OK(ipc_fill(b));
    }
    assert_int_equal(frame.body.len, IPC_FRAME_MAX);
    assert_int_equal(frame.body.data[IPC_FRAME_MAX - 1], 99);
}

static void put_zeros(struct ipc *ipc, uint64_t id, size_t len)
{
    struct buf *body;
    OK(ipc_begin(ipc, 1, 0, id, &body));
    OK(buf_put_zeros(body, len));
    OK(ipc_end(ipc));
}

static void a_channel_that_nobody_empties_stays_whole(void **state)
{
    (void)state;
    enum { FRAMES = 12, BODY = 1000 * 1000 };
    CLEANUP(ipc_freep) struct ipc *a = NULL;
    CLEANUP(ipc_freep) struct ipc *b = NULL;
    pair(&a, &b);
    for (uint64_t i = 0; i < FRAMES; i++)
        put_zeros(a, i, BODY);
    for (size_t before = SIZE_MAX; ipc_pending(a) < before;) {
        before = ipc_pending(a);
        OK(ipc_flush(a));
        OK(ipc_fill(b));
    }
    assert_true(ipc_pending(a) > 0);
    for (uint64_t i = 0; i < FRAMES; i++) {
        struct ipc_frame frame;
        while (!ipc_next(b, &frame)) {
            OK(ipc_flush(a));
            OK(ipc_fill(b));
        }
        assert_int_equal(frame.id, i);
        assert_int_equal(frame.body.len, BODY);
    }
}

static void only_what_was_not_sent_fills_the_queue(void **state)
{
    (void)state;
    enum { BODY = 1024 * 1024 };
    CLEANUP(ipc_freep) struct ipc *a = NULL;
    CLEANUP(ipc_freep) struct ipc *b = NULL;
    pair(&a, &b);
    const int socket_takes = BODY / 8;
    assert_int_equal(
        setsockopt(ipc_fd(a), SOL_SOCKET, SO_SNDBUF, &socket_takes, sizeof socket_takes), 0);
    uint64_t taken = 0;
    // The queue never drains: there is always a frame that the socket has not taken whole.
    for (uint64_t id = 0; id < 2 * IPC_QUEUE_MAX / BODY; id++) {
        struct ipc_frame frame;
        put_zeros(a, id, BODY);
        while (ipc_pending(a) > BODY / 2) {
            OK(ipc_flush(a));
            OK(ipc_fill(b));
            while (ipc_next(b, &frame))
                assert_int_equal(frame.id, taken++);
        }
        assert_true(ipc_pending(a) > 0);
    }
    assert_true(taken > IPC_QUEUE_MAX / BODY);
}

static void a_frame_beyond_the_limit_is_not_sent(void **state)
{
    (void)state;
    CLEANUP(ipc_freep) struct ipc *a = NULL;
    CLEANUP(ipc_freep) struct ipc *b = NULL;
    pair(&a, &b);
    struct buf *body;
    OK(ipc_begin(a, 1, 0, 1, &body));
    OK(buf_put_zeros(body, IPC_FRAME_MAX + 1));
    FAILS(ERR_TOO_LARGE, ipc_end(a));
    assert_int_equal(ipc_pending(a), 0);
}

static void a_peer_that_announces_a_giant_is_dropped(void **state)
{
    (void)state;
    int fds[2];
    CLEANUP(ipc_freep) struct ipc *b = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    OK(ipc_new(fds[1], &b));
    static const uint8_t lie[16] = {0xff, 0xff, 0xff, 0xff};
    assert_int_equal(write(fds[0], lie, sizeof lie), sizeof lie);
    OK(ipc_fill(b));
    struct ipc_frame frame;
    assert_false(ipc_next(b, &frame));
    FAILS(ERR_UNAVAILABLE, ipc_fill(b));
    (void)close(fds[0]);
}

static void a_closed_peer_is_noticed(void **state)
{
    (void)state;
    CLEANUP(ipc_freep) struct ipc *a = NULL;
    struct ipc *b = NULL;
    pair(&a, &b);
    ipc_free(b);
    FAILS(ERR_UNAVAILABLE, ipc_fill(a));
    FAILS(ERR_UNAVAILABLE, ipc_put(a, &(struct ipc_frame){.kind = 1}));
}

static void a_call_times_out_when_nobody_answers(void **state)
{
    (void)state;
    CLEANUP(ipc_freep) struct ipc *a = NULL;
    CLEANUP(ipc_freep) struct ipc *b = NULL;
    pair(&a, &b);
    struct ipc_frame answer;
    FAILS(ERR_TIMEOUT, ipc_call(a, &(struct ipc_frame){.kind = 1, .id = 1}, 20, &answer));
}

static void an_answer_carries_its_error(void **state)
{
    (void)state;
    CLEANUP(ipc_freep) struct ipc *a = NULL;
    CLEANUP(ipc_freep) struct ipc *b = NULL;
    pair(&a, &b);
    struct ipc_frame ask = {.kind = 3, .id = 5};
    enum err raised = err_raise(ERR_LOCKED, __FILE__, __LINE__, "the HSM is away");
    OK(ipc_answer(b, &ask, raised, (struct span){NULL, 0}));
    OK(ipc_flush(b));
    struct ipc_frame answer;
    OK(ipc_call(a, &ask, 1000, &answer));
    FAILS(ERR_LOCKED, ipc_check(&answer));
    assert_string_equal(err_detail(), "the HSM is away");
}

static void an_answer_carries_its_own_error_and_not_anothers(void **state)
{
    (void)state;
    CLEANUP(ipc_freep) struct ipc *a = NULL;
    CLEANUP(ipc_freep) struct ipc *b = NULL;
    pair(&a, &b);
    struct ipc_frame ask = {.kind = 3, .id = 5};
    (void)err_raise(ERR_NOT_FOUND, __FILE__, __LINE__, "there is no key \"of somebody else\"");
    OK(ipc_answer(b, &ask, ERR_NOT_FOUND, span_str("there is no key \"mine\"")));
    OK(ipc_flush(b));
    struct ipc_frame answer;
    OK(ipc_call(a, &ask, 1000, &answer));
    FAILS(ERR_NOT_FOUND, ipc_check(&answer));
    assert_string_equal(err_detail(), "there is no key \"mine\"");
}

// ---- in shared memory ----

// The test's own view of the memory: two lanes, each beginning with the producer's counter, and the
// consumer's one cache line later.
struct view {
    uint8_t *bytes;
    size_t len;
};

static void view_done(struct view *view)
{
    if (view->bytes != NULL)
        (void)munmap(view->bytes, view->len);
}

static void shared_pair(struct ipc **a, struct ipc **b, struct view *ret_view)
{
    int memory = -1;
    struct stat st;
    pair(a, b);
    OK(ipc_make_memory(&memory));
    OK(ipc_share(*a, memory, true));
    OK(ipc_share(*b, memory, false));
    assert_int_equal(fstat(memory, &st), 0);
    assert_int_not_equal(ftruncate(memory, 0), 0);
    ret_view->len = (size_t)st.st_size;
    ret_view->bytes = mmap(NULL, ret_view->len, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    assert_ptr_not_equal(ret_view->bytes, MAP_FAILED);
    (void)close(memory);
}

static bool is_rung(struct ipc *ipc)
{
    struct pollfd fd = {.fd = ipc_fd(ipc), .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

static void put_bytes(struct ipc *ipc, uint64_t id, size_t len)
{
    struct buf *body;
    OK(ipc_begin(ipc, 1, 0, id, &body));
    OK(buf_put_zeros(body, len));
    OK(ipc_end(ipc));
}

static void frames_cross_in_memory_and_ring_only_for_a_sleeper(void **state)
{
    (void)state;
    CLEANUP(ipc_freep) struct ipc *a = NULL;
    CLEANUP(ipc_freep) struct ipc *b = NULL;
    struct view view CLEANUP(view_done) = {0};
    struct ipc_frame frame;
    shared_pair(&a, &b, &view);
    for (uint64_t i = 0; i < 3; i++) {
        assert_false(ipc_ready(b));
        ipc_sleep(b, i == 1);
        put_bytes(a, i, 10);
        OK(ipc_flush(a));
        assert_int_equal(ipc_pending(a), 0);
        assert_true(ipc_ready(b));
        assert_int_equal(is_rung(b), i == 1);
        OK(i == 1 ? ipc_fill(b) : ipc_take(b));
        assert_true(ipc_next(b, &frame));
        assert_int_equal(frame.id, i);
        assert_false(is_rung(b));
    }
    // The other way, too.
    OK(ipc_answer(b, &frame, ERR_OK, span_str("yes")));
    OK(ipc_flush(b));
    OK(ipc_take(a));
    assert_true(ipc_next(a, &frame));
    assert_true(span_eq_str(frame.body, "yes"));
}

static void what_was_taken_is_wiped_from_the_memory(void **state)
{
    (void)state;
    CLEANUP(ipc_freep) struct ipc *a = NULL;
    CLEANUP(ipc_freep) struct ipc *b = NULL;
    struct view view CLEANUP(view_done) = {0};
    static const char secret[] = "the bytes of a key";
    shared_pair(&a, &b, &view);
    OK(ipc_put(a, &(struct ipc_frame){.kind = 1, .body = span_str(secret)}));
    OK(ipc_flush(a));
    assert_non_null(memmem(view.bytes, view.len, secret, strlen(secret)));
    OK(ipc_take(b));
    assert_null(memmem(view.bytes, view.len, secret, strlen(secret)));
}

static void whoever_waits_for_room_is_rung_when_there_is_some(void **state)
{
    (void)state;
    CLEANUP(ipc_freep) struct ipc *a = NULL;
    CLEANUP(ipc_freep) struct ipc *b = NULL;
    struct view view CLEANUP(view_done) = {0};
    struct ipc_frame frame;
    int turns = 0;
    shared_pair(&a, &b, &view);
    put_bytes(a, 7, IPC_FRAME_MAX);
    OK(ipc_flush(a));
    assert_true(ipc_pending(a) > 0);
    assert_false(ipc_wants_socket(a));
    FAILS(ERR_TIMEOUT, ipc_flush_wait(a, 10));
    while (!ipc_next(b, &frame)) {
        OK(ipc_take(b));
        assert_int_equal(is_rung(a), ipc_pending(a) > 0);
        if (ipc_pending(a) > 0)
            OK(ipc_fill(a));
        OK(ipc_flush(a));
        turns++;
    }
    assert_int_equal(frame.body.len, IPC_FRAME_MAX);
    assert_true(turns > 1);
}

static void a_counter_that_lies_ends_the_channel(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        CLEANUP(ipc_freep) struct ipc *a = NULL;
        CLEANUP(ipc_freep) struct ipc *b = NULL;
        struct view view CLEANUP(view_done) = {0};
        shared_pair(&a, &b, &view);
        // Of the lane from `a`: more put than it holds, or more taken than was put.
        memset(view.bytes + (i == 0 ? 0 : 64), 0x7f, sizeof(uint32_t));
        put_bytes(a, 1, 10);
        if (i == 0)
            FAILS(ERR_UNAVAILABLE, ipc_take(b));
        else
            FAILS(ERR_UNAVAILABLE, ipc_flush(a));
        FAILS(ERR_UNAVAILABLE, i == 0 ? ipc_take(b) : ipc_flush(a));
    }
}

static void what_a_peer_put_before_it_went_counts(void **state)
{
    (void)state;
    CLEANUP(ipc_freep) struct ipc *a = NULL;
    CLEANUP(ipc_freep) struct ipc *b = NULL;
    struct view view CLEANUP(view_done) = {0};
    struct ipc_frame frame;
    shared_pair(&a, &b, &view);
    put_bytes(a, 5, 10);
    OK(ipc_flush(a));
    ipc_freep(&a);
    OK(ipc_fill(b));
    assert_true(ipc_next(b, &frame));
    FAILS(ERR_UNAVAILABLE, ipc_fill(b));
}

// It waited for room, for bytes, or for both: nobody hears the bell any more.
static void what_a_peer_put_before_it_went_counts_though_it_waited(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        CLEANUP(ipc_freep) struct ipc *a = NULL;
        CLEANUP(ipc_freep) struct ipc *b = NULL;
        struct view view CLEANUP(view_done) = {0};
        struct ipc_frame frame;
        bool for_room = i != 1;
        shared_pair(&a, &b, &view);
        put_bytes(a, 5, 10);
        if (for_room)
            put_bytes(a, 6, IPC_FRAME_MAX);
        OK(ipc_flush(a));
        assert_int_equal(ipc_pending(a) > 0, for_room);
        ipc_sleep(a, i != 0);
        ipc_freep(&a);
        put_bytes(b, 7, 10);
        OK(ipc_flush(b));
        OK(i == 2 ? ipc_fill(b) : ipc_take(b));
        assert_true(ipc_next(b, &frame));
        assert_int_equal(frame.id, 5);
        assert_false(ipc_next(b, &frame));
        FAILS(ERR_UNAVAILABLE, ipc_fill(b));
    }
}

static void memory_of_another_size_is_refused(void **state)
{
    (void)state;
    CLEANUP(ipc_freep) struct ipc *a = NULL;
    CLEANUP(ipc_freep) struct ipc *b = NULL;
    int fd = memfd_create("short", MFD_CLOEXEC);
    pair(&a, &b);
    assert_int_equal(ftruncate(fd, 4096), 0);
    FAILS(ERR_INTERNAL, ipc_share(a, fd, true));
    FAILS(ERR_INTERNAL, ipc_share(b, -1, false));
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_frames_leave_in_one_flush_and_arrive_in_order),
        cmocka_unit_test(a_large_frame_arrives_in_pieces),
        cmocka_unit_test(a_channel_that_nobody_empties_stays_whole),
        cmocka_unit_test(only_what_was_not_sent_fills_the_queue),
        cmocka_unit_test(a_frame_beyond_the_limit_is_not_sent),
        cmocka_unit_test(a_peer_that_announces_a_giant_is_dropped),
        cmocka_unit_test(a_closed_peer_is_noticed),
        cmocka_unit_test(a_call_times_out_when_nobody_answers),
        cmocka_unit_test(an_answer_carries_its_error),
        cmocka_unit_test(an_answer_carries_its_own_error_and_not_anothers),
        cmocka_unit_test(frames_cross_in_memory_and_ring_only_for_a_sleeper),
        cmocka_unit_test(what_was_taken_is_wiped_from_the_memory),
        cmocka_unit_test(whoever_waits_for_room_is_rung_when_there_is_some),
        cmocka_unit_test(a_counter_that_lies_ends_the_channel),
        cmocka_unit_test(what_a_peer_put_before_it_went_counts),
        cmocka_unit_test(what_a_peer_put_before_it_went_counts_though_it_waited),
        cmocka_unit_test(memory_of_another_size_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
