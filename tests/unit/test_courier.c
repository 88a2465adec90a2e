// SPDX-License-Identifier: Apache-2.0
//
// courier/syslog.h and courier/smtp.h: what leaves the server is well formed, whatever a record
// holds. The wire itself is tried in tests/system/test_courier.py.
#include "courier/smtp.h"
#include "courier/syslog.h"
#include "tests/unit/check.h"

static char *frame(const char *record)
{
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 65536, false);
    json_t *json = json_loads(record, 0, NULL);
    assert_non_null(json);
    OK(syslog_frame(json, "kv1", &out));
    json_decref(json);
    return strndup((const char *)out.data, out.len);
}

static void a_record_becomes_a_message_of_rfc_5424(void **state)
{
    (void)state;
    char *text = frame(
        "{\"sequence\":7,\"time\":\"2026-01-31T12:00:00.123Z\",\"verb\":\"Create\",\"outcome\":"
        "\"ERR_OK\",\"principal\":{\"kind\":\"endpoint\",\"id\":\"i\",\"name\":\"db\"},"
        "\"object\":\"o\",\"record_hash\":\"ab\"}");
    assert_string_equal(text,
                        "186 <110>1 2026-01-31T12:00:00.123Z kv1 keyward - Create [keyward@32473 "
                        "sequence=\"7\" outcome=\"ERR_OK\" whoKind=\"endpoint\" whoId=\"i\" "
                        "who=\"db\" object=\"o\" recordHash=\"ab\"] \xef\xbb\xbf"
                        "Create ERR_OK by db");
    free(text);
}

static void severity_tells_refusals_and_alerts(void **state)
{
    (void)state;
    static const struct {
        const char *verb, *outcome, *priority;
    } cases[] = {{"Get", "ERR_OK", "<110>"},
                 {"Get", "ERR_NOT_FOUND", "<108>"},
                 {"hsm initialize", "attempted", "<110>"},
                 {"alert raised", "ERR_OK", "<106>"},
                 {"alert cleared", "ERR_OK", "<109>"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char record[200];
        (void)snprintf(record, sizeof record, "{\"time\":\"t\",\"verb\":\"%s\",\"outcome\":\"%s\"}",
                       cases[i].verb, cases[i].outcome);
        char *text = frame(record);
        if (strstr(text, cases[i].priority) == NULL)
            fail_msg("%s", text);
        free(text);
    }
}

static void nothing_in_a_record_breaks_out_of_its_place(void **state)
{
    (void)state;
    char *text = frame("{\"time\":\"t\",\"verb\":\"a verb with\\nblanks and more than thirty-two "
                       "bytes\",\"outcome\":\"x\",\"principal\":{\"name\":\"a\\\"]\\\\ \\n<1>1\"},"
                       "\"detail\":\"one\\ntwo\"}");
    assert_null(strchr(text, '\n'));
    assert_non_null(strstr(text, " a-verb-with-blanks-and-more-than [keyward"));
    assert_non_null(strstr(text, "who=\"a\\\"\\]\\\\  <1>1\"]"));
    assert_non_null(strstr(text, "one two"));
    // The count is that of the bytes behind it.
    char *blank = NULL;
    unsigned long count = strtoul(text, &blank, 10);
    assert_int_equal(count, strlen(blank + 1));
    free(text);
}

static void a_mail_with_bad_addresses_is_not_begun(void **state)
{
    (void)state;
    static const char *const bad[] = {"",     "x",         "a@b\r\nRCPT TO:<c@d>", "a@b>", "a b@c",
                                      "<a@b", "\xc3\xa9@b"};
    const struct smtp_server server = {.host = "127.0.0.1",
                                       .port = 1, // nobody is asked
                                       .security = SMTP_PLAIN,
                                       .user = "",
                                       .from = "k@example.org",
                                       .name = "kv1"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct smtp_mail mail = {
            .id = "1", .to = &bad[i], .to_count = 1, .subject = "s", .text = "t", .date = "d"};
        FAILS(ERR_INVALID, smtp_send(&server, &mail, -1));
    }
}

static void without_tls_only_this_host_is_spoken_to(void **state)
{
    (void)state;
    struct stream *stream = NULL;
    const struct stream_target target = {
        .host = "192.0.2.1", .port = 601, .tls = false, .only_loopback = true};
    FAILS(ERR_NOT_PERMITTED, stream_open(&target, -1, &stream));
    assert_non_null(strstr(err_detail(), "another host"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_becomes_a_message_of_rfc_5424),
        cmocka_unit_test(severity_tells_refusals_and_alerts),
        cmocka_unit_test(nothing_in_a_record_breaks_out_of_its_place),
        cmocka_unit_test(a_mail_with_bad_addresses_is_not_begun),
        cmocka_unit_test(without_tls_only_this_host_is_spoken_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
