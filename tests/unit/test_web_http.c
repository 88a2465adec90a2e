// SPDX-License-Identifier: Apache-2.0
//
// web: requests are read strictly and in one way; an address that asks too much is held back and
// only it.
#include "web/http.h"
#include "web/rate.h"
#include "web/respond.h"

#include "tests/unit/check.h"

#define HEAD "GET /a?b=c HTTP/1.1\r\nHost: x\r\n"

static void a_request_is_read(void **state)
{
    (void)state;
    static const char text[] = "POST /api/v1/keys?dry_run=true HTTP/1.1\r\nHost: x\r\n"
                               "content-LENGTH: 2\r\nA:\t b c \r\n\r\n{}GET ";
    struct http_request request;
    size_t size = 0;
    OK(http_size(span_str(text), &size));
    assert_int_equal(size, strlen(text) - 4);
    OK(http_read(span_of(text, size), &request));
    assert_string_equal(request.method, "POST");
    assert_true(span_eq_str(request.path, "/api/v1/keys"));
    assert_true(span_eq_str(request.query, "dry_run=true"));
    assert_true(span_eq_str(request.body, "{}"));
    assert_true(span_eq_str(*http_header(&request, "a"), "b c"));
    assert_null(http_header(&request, "b"));
    assert_true(request.keep_alive);
}

static void a_part_of_a_request_waits_for_the_rest(void **state)
{
    (void)state;
    static const char text[] = HEAD "Content-Length: 3\r\n\r\nabc";
    for (size_t len = 0; len <= strlen(text); len++) {
        size_t size = 4711;
        OK(http_size(span_of(text, len), &size));
        assert_int_equal(size, len < strlen(text) - 3 ? 0 : strlen(text));
    }
}

static void the_connection_ends_when_the_client_says_so(void **state)
{
    (void)state;
    struct http_request request;
    OK(http_read(span_str(HEAD "Connection: close\r\n\r\n"), &request));
    assert_false(request.keep_alive);
    OK(http_read(span_str("GET / HTTP/1.0\r\n\r\n"), &request));
    assert_false(request.keep_alive);
}

static void what_can_be_read_in_two_ways_is_refused(void **state)
{
    (void)state;
    static const struct {
        enum err err;
        const char *text;
    } cases[] = {
        {ERR_MESSAGE, "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"},
        {ERR_MESSAGE, "GET / HTTP/1.1\nHost: x\n\n"},
        {ERR_MESSAGE, "GET / HTTP/1.1\r\nHost: x\n\r\n\r\n"},
        {ERR_MESSAGE, "GET / HTTP/1.1\r\nHost: x\rY: z\r\n\r\n"},
        {ERR_VERSION, "GET  / HTTP/1.1\r\nHost: x\r\n\r\n"},
        {ERR_VERSION, "GET / HTTP/1.1 \r\nHost: x\r\n\r\n"},
        {ERR_VERSION, "GET / HTTP/2.0\r\nHost: x\r\n\r\n"},
        {ERR_VERSION, "GET /\r\nHost: x\r\n\r\n"},
        {ERR_MESSAGE, "GET\r\n\r\n"},
        {ERR_MESSAGE, "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n"},
        {ERR_MESSAGE, "GET /# HTTP/1.1\r\nHost: x\r\n\r\n"},
        {ERR_MESSAGE, "GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n"},
        {ERR_MESSAGE, "GET / HTTP/1.1\r\n\r\n"},
        {ERR_MESSAGE, HEAD "Host: y\r\n\r\n"},
        {ERR_MESSAGE, HEAD "A: b\r\n c\r\n\r\n"},
        {ERR_MESSAGE, HEAD "A : b\r\n\r\n"},
        {ERR_MESSAGE, HEAD ": b\r\n\r\n"},
        {ERR_MESSAGE, HEAD "A\r\n\r\n"},
        {ERR_MESSAGE, HEAD "A: \x7f\r\n\r\n"},
        {ERR_MESSAGE, HEAD "Content-Length: 1\r\nContent-Length: 1\r\n\r\na"},
        {ERR_MESSAGE, HEAD "Content-Length: -1\r\n\r\na"},
        {ERR_MESSAGE, HEAD "Content-Length: 1,1\r\n\r\na"},
        {ERR_MESSAGE, HEAD "Content-Length:\r\n\r\na"},
        {ERR_MESSAGE, HEAD "Content-Length: 0x1\r\n\r\na"},
        {ERR_TOO_LARGE, HEAD "Content-Length: 1048577\r\n\r\na"},
        {ERR_TOO_LARGE, HEAD "Content-Length: 18446744073709551617\r\n\r\na"},
        {ERR_MESSAGE, HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {ERR_MESSAGE, HEAD "Transfer-Encoding: identity\r\n\r\n"},
        {ERR_MESSAGE, HEAD "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n"},
        {ERR_MESSAGE, HEAD "Cookie: a=b\r\nCookie: c=d\r\n\r\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t size;
        if (http_size(span_str(cases[i].text), &size) != cases[i].err)
            fail_msg("not refused as it should be: %s", cases[i].text);
    }
    static const char nul[] = HEAD "A: b\0c\r\n\r\n";
    size_t size;
    FAILS(ERR_MESSAGE, http_size(span_of(nul, sizeof nul - 1), &size));
}

static void a_head_has_a_limit(void **state)
{
    (void)state;
    struct buf text CLEANUP(buf_done);
    size_t size;
    buf_init(&text, 1 << 20, false);
    OK(buf_put_str(&text, HEAD "A: "));
    while (text.len < WEB_HEAD_BYTES)
        OK(buf_put_str(&text, "bbbbbbbbbbbbbbbb"));
    FAILS(ERR_MESSAGE, http_size(span_buf(&text), &size));
    buf_clear(&text);
    OK(buf_put_str(&text, HEAD));
    for (int i = 0; i < WEB_HEADERS; i++)
        OK(buf_put_str(&text, "A: b\r\n"));
    OK(buf_put_str(&text, "\r\n"));
    FAILS(ERR_MESSAGE, http_size(span_buf(&text), &size));
}

static struct in6_addr address(uint8_t last)
{
    return (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff, [15] = last}};
}

static void an_address_that_asks_too_much_is_held_back_and_no_other(void **state)
{
    (void)state;
    struct rate *rate = NULL;
    struct in6_addr one = address(1);
    struct in6_addr two = address(2);
    OK(rate_new(1, 60, &rate));
    for (int i = 0; i < WEB_REQUESTS_BURST; i++)
        assert_int_equal(rate_take(rate, &one, 1000), 0);
    assert_int_equal(rate_take(rate, &one, 1000), 2);
    assert_int_equal(rate_take(rate, &two, 1000), 0);
    assert_int_equal(rate_take(rate, &one, 2000), 0);
    assert_int_not_equal(rate_take(rate, &one, 2000), 0);
    rate_free(rate);
}

static void an_address_that_guesses_is_held_back(void **state)
{
    (void)state;
    struct rate *rate = NULL;
    struct in6_addr one = address(1);
    OK(rate_new(1000, 2, &rate));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rate_take(rate, &one, 1000), 0);
        rate_count_stranger(rate, &one, 1000);
    }
    assert_int_equal(rate_take(rate, &one, 1000), 31);
    assert_int_equal(rate_take(rate, &one, 31000), 0);
    rate_free(rate);
}

static void addresses_do_not_take_memory_without_end(void **state)
{
    (void)state;
    struct rate *rate = NULL;
    OK(rate_new(1, 1, &rate));
    for (uint32_t i = 1; i < 100000; i++) {
        struct in6_addr one = address(1);
        memcpy(&one.s6_addr[12], &i, 4);
        assert_int_equal(rate_take(rate, &one, 1000 + i), 0);
    }
    rate_free(rate);
}

static void an_answer_has_its_headers(void **state)
{
    (void)state;
    struct uuid id = {{0}};
    struct answer answer;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 1 << 16, false);
    answer_init(&answer, &id);
    OK(answer_problem(&answer, ERR_TOO_MANY, span_str("why"), true, span_of(NULL, 0)));
    OK(respond_write(&answer, false, &out));
    OK(buf_put_u8(&out, 0));
    const char *text = (const char *)out.data;
    assert_ptr_equal(strstr(text, "HTTP/1.1 429 Too Many Requests\r\n"), text);
    assert_non_null(strstr(text, "\r\nRetry-After: 60\r\n"));
    assert_non_null(strstr(text, "\r\nConnection: close\r\n"));
    assert_non_null(strstr(text, "\r\nStrict-Transport-Security: max-age=31536000\r\n"));
    assert_non_null(strstr(text, "\r\n\r\n{\"type\":\"/problems/too-many\""));
    answer_done(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_read),
        cmocka_unit_test(a_part_of_a_request_waits_for_the_rest),
        cmocka_unit_test(the_connection_ends_when_the_client_says_so),
        cmocka_unit_test(what_can_be_read_in_two_ways_is_refused),
        cmocka_unit_test(a_head_has_a_limit),
        cmocka_unit_test(an_address_that_asks_too_much_is_held_back_and_no_other),
        cmocka_unit_test(an_address_that_guesses_is_held_back),
        cmocka_unit_test(addresses_do_not_take_memory_without_end),
        cmocka_unit_test(an_answer_has_its_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
