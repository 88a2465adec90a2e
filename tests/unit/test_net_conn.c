// SPDX-License-Identifier: Apache-2.0
//
// net/net.h over a local socket: clients that do not take their answers, or do not finish their
// requests.
#include "net/net.h"

#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/unit/check.h"

// A message is a digit and seven more bytes; of an 'L', so many that it never ends.
enum { MESSAGE = 8, LONG_MESSAGE = 512 * 1024, HELD = 1024 * 1024, CLIENTS = 12 };

struct rig {
    struct net *net;
    struct sockaddr_un name;
    socklen_t name_len;
    size_t answer_len;
    unsigned requests;
    bool fired;
};

static enum err size_of(void *data, struct span have, size_t *ret_size)
{
    (void)data;
    *ret_size = have.data[0] == 'L' ? LONG_MESSAGE : MESSAGE;
    return ERR_OK;
}

static void on_request(void *data, struct net_conn *conn, struct span message)
{
    struct rig *rig = data;
    (void)message;
    uint8_t *answer = calloc(1, rig->answer_len);
    assert_non_null(answer);
    rig->requests++;
    net_answer(conn, span_of(answer, rig->answer_len));
    free(answer);
}

static void on_gone(void *data, struct net_conn *conn)
{
    (void)data, (void)conn;
}

static void begin(struct rig *rig, size_t answer_len)
{
    static const struct net_handler handler = {
        .size = size_of, .request = on_request, .gone = on_gone};
    const struct net_config config = {.client = NET_CLIENT_ASKED,
                                      .connections = 100,
                                      .handshakes = 100,
                                      .per_address = 100,
                                      .request_bytes = LONG_MESSAGE,
                                      .answer_bytes = 4 * 1024 * 1024,
                                      .held_bytes = HELD,
                                      .handshake_ms = 60000,
                                      .request_ms = 60000,
                                      .idle_ms = 60000,
                                      .answer_ms = 60000};
    *rig = (struct rig){.name = {.sun_family = AF_UNIX}, .answer_len = answer_len};
    rig->name_len = sizeof rig->name;
    OK(net_new(&config, &handler, rig, &rig->net));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // A name that the kernel chooses.
    assert_int_equal(bind(fd, (struct sockaddr *)&rig->name, sizeof rig->name.sun_family), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&rig->name, &rig->name_len), 0);
    assert_int_equal(listen(fd, CLIENTS), 0);
    OK(net_listen(rig->net, fd));
}

static int join(struct rig *rig)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t before = net_count(rig->net);
    assert_int_equal(connect(fd, (struct sockaddr *)&rig->name, rig->name_len), 0);
    while (net_count(rig->net) == before)
        OK(net_turn(rig->net, true));
    return fd;
}

static void on_timer(evutil_socket_t fd, short what, void *data)
{
    (void)fd, (void)what;
    ((struct rig *)data)->fired = true;
}

// How often the loop wakes until a timer does.
static unsigned turns_of(struct rig *rig)
{
    static const struct timeval soon = {.tv_usec = 50 * 1000};
    unsigned turns = 0;
    rig->fired = false;
    OK(event_base_once(net_base(rig->net), -1, EV_TIMEOUT, on_timer, rig, &soon) == 0
           ? ERR_OK
           : ERR_INTERNAL);
    for (; !rig->fired; turns++)
        OK(net_turn(rig->net, true));
    return turns;
}

static void settle(struct rig *rig)
{
    while (turns_of(rig) > 8)
        continue;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

// Takes so many bytes; false when the connection ends before.
static bool takes(struct rig *rig, int fd, size_t wanted)
{
    static uint8_t bytes[64 * 1024];
    while (wanted > 0) {
        ssize_t got = recv(fd, bytes, sizeof bytes < wanted ? sizeof bytes : wanted, MSG_DONTWAIT);
        if (got == 0)
            return false;
        if (got > 0)
            wanted -= (size_t)got;
        else
            OK(net_turn(rig->net, true));
    }
    return true;
}

static bool is_open(int fd)
{
    uint8_t byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) != 0;
}

static void who_takes_no_answer_and_sends_on_does_not_keep_the_loop_awake(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig, HELD / 2);
    int fd = join(&rig);
    say(fd, "1-------2-------");
    while (rig.requests == 0)
        OK(net_turn(rig.net, true));
    say(fd, "3");
    assert_in_range(turns_of(&rig), 1, 8);
    assert_int_equal(rig.requests, 1);
    say(fd, "-------");
    assert_true(takes(&rig, fd, 3 * rig.answer_len));
    assert_int_equal(rig.requests, 3);
    (void)close(fd);
    net_free(rig.net);
}

static void who_says_that_nothing_more_comes_gets_the_answer_and_wakes_nobody(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig, HELD / 2);
    int fd = join(&rig);
    say(fd, "1-------");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    while (rig.requests == 0)
        OK(net_turn(rig.net, true));
    assert_in_range(turns_of(&rig), 1, 8);
    assert_true(takes(&rig, fd, rig.answer_len));
    assert_false(takes(&rig, fd, 1));
    assert_int_equal(net_count(rig.net), 0);
    (void)close(fd);
    net_free(rig.net);
}

// A request of which all but a little has been sent.
static void begin_long(struct rig *rig, int fd)
{
    static char bytes[LONG_MESSAGE / 2 - 16];
    memset(bytes, 'L', sizeof bytes);
    for (size_t put = 0; put < sizeof bytes;) {
        ssize_t some = send(fd, bytes + put, sizeof bytes - put, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (some > 0)
            put += (size_t)some;
        else
            OK(net_turn(rig->net, true));
    }
    settle(rig);
}

// Four fit. What holds little is left, however long it has been there.
static void of_requests_that_hold_too_much_the_oldest_go(void **state)
{
    struct rig rig;
    int fds[CLIENTS];
    (void)state;
    begin(&rig, MESSAGE);
    int small = join(&rig);
    say(small, "1---");
    settle(&rig);
    for (size_t i = 0; i < CLIENTS; i++) {
        fds[i] = join(&rig);
        begin_long(&rig, fds[i]);
    }
    assert_in_range(net_count(rig.net), 4, 5);
    for (size_t i = 0; i < CLIENTS; i++)
        assert_int_equal(is_open(fds[i]), i + net_count(rig.net) > CLIENTS);
    say(small, "----");
    assert_true(takes(&rig, small, MESSAGE));
    int another = join(&rig);
    say(another, "1-------");
    assert_true(takes(&rig, another, MESSAGE));
    for (size_t i = 0; i < CLIENTS; i++)
        (void)close(fds[i]);
    (void)close(small);
    (void)close(another);
    net_free(rig.net);
}

static void of_answers_that_nobody_takes_the_oldest_go(void **state)
{
    struct rig rig;
    int fds[CLIENTS];
    (void)state;
    begin(&rig, HELD * 3 / 4);
    for (size_t i = 0; i < CLIENTS; i++) {
        fds[i] = join(&rig);
        say(fds[i], "1-------");
        while (rig.requests == i)
            OK(net_turn(rig.net, true));
    }
    settle(&rig);
    assert_int_equal(net_count(rig.net), 1);
    assert_true(takes(&rig, fds[CLIENTS - 1], rig.answer_len));
    for (size_t i = 0; i < CLIENTS; i++)
        (void)close(fds[i]);
    net_free(rig.net);
}

// Alone it may be more than all together may hold.
static void an_answer_that_is_too_much_by_itself_ends_its_connection(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig, 3 * HELD);
    int fd = join(&rig);
    say(fd, "1-------");
    settle(&rig);
    assert_int_equal(net_count(rig.net), 0);
    (void)close(fd);
    fd = join(&rig);
    rig.answer_len = MESSAGE;
    say(fd, "1-------");
    assert_true(takes(&rig, fd, MESSAGE));
    (void)close(fd);
    net_free(rig.net);
}

static void a_stop_lets_answers_be_taken(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig, HELD / 2);
    int fd = join(&rig);
    int idle = join(&rig);
    say(fd, "1-------");
    while (rig.requests == 0)
        OK(net_turn(rig.net, true));
    net_stop(rig.net);
    assert_int_equal(net_count(rig.net), 1);
    assert_true(takes(&rig, fd, rig.answer_len));
    while (net_count(rig.net) > 0)
        OK(net_turn(rig.net, true));
    assert_false(is_open(idle));
    (void)close(fd);
    (void)close(idle);
    net_free(rig.net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_takes_no_answer_and_sends_on_does_not_keep_the_loop_awake),
        cmocka_unit_test(who_says_that_nothing_more_comes_gets_the_answer_and_wakes_nobody),
        cmocka_unit_test(of_requests_that_hold_too_much_the_oldest_go),
        cmocka_unit_test(of_answers_that_nobody_takes_the_oldest_go),
        cmocka_unit_test(an_answer_that_is_too_much_by_itself_ends_its_connection),
        cmocka_unit_test(a_stop_lets_answers_be_taken),
    };
    log_setup("test", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
