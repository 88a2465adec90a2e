// SPDX-License-Identifier: Apache-2.0
//
// Records: the place behind a batch is told to the writer only when the peer's kernel has taken all
// of it and the connection still stood RESEND_MS later. What a peer had taken but not yet read when
// it died is sent again: after a broken connection the courier goes back to where it was then. So a
// record may arrive twice, and none is left out.
#include "courier/deliver.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "courier/smtp.h"
#include "courier/syslog.h"
#include "model/model.h"

enum {
    ASK_MS = 30000,
    IDLE_MS = 1000,       // between two looks when there is nothing
    BACKOFF_MIN_MS = 500, // after a failure, doubled each time
    BACKOFF_MAX_MS = 60000,
    RESEND_MS = 3000,
    TELL_MS = 1000, // between two reports of progress
    PLACE_MAX = 2048,
    FRAMES_MAX = 4 * 1024 * 1024,
    HOST_MAX = 64
};

struct courier {
    int control;
    struct ipc *reader, *writer;
    uint64_t asked;
    char host[HOST_MAX + 1];
    int backoff_ms;
    int64_t not_before; // monotonic: no delivery before this
    int64_t config;     // by which the last one was tried: a new one is tried at once
    bool told_error;
    // forwarding
    struct stream *stream;
    char place[PLACE_MAX + 1]; // sent up to here, "" where the writer's cursor is
    char safe[PLACE_MAX + 1];  // taken by the peer so long ago that it has read it
    char taken[PLACE_MAX + 1]; // taken by the peer at `taken_ms`
    int64_t taken_ms, told_ms;
    char told[PLACE_MAX + 1];
};

static void json_freep(json_t **json)
{
    json_decref(*json);
    *json = NULL;
}

static const char *text_of(const json_t *doc, const char *name)
{
    const char *text = json_string_value(json_object_get(doc, name));
    return text == NULL ? "" : text;
}

static int64_t number_of(const json_t *doc, const char *name)
{
    return json_integer_value(json_object_get(doc, name));
}

enum err courier_new(int control_fd, struct courier **ret)
{
    struct courier *courier = calloc(1, sizeof *courier);
    if (courier == NULL)
        FAIL(ERR_MEMORY, "no memory for a courier");
    courier->control = control_fd;
    if (gethostname(courier->host, HOST_MAX) != 0 || courier->host[0] == '\0')
        (void)snprintf(courier->host, sizeof courier->host, "localhost");
    *ret = courier;
    return ERR_OK;
}

void courier_free(struct courier *courier)
{
    if (courier == NULL)
        return;
    stream_free(courier->stream);
    free(courier);
}

void courier_set_channels(struct courier *courier, struct ipc *reader, struct ipc *writer)
{
    courier->reader = reader;
    courier->writer = writer;
}

// ---- the engines ----

// *ret_answer borrows from the channel until the next call.
static enum err call(struct courier *c, struct ipc *ipc, json_t *ask, struct span *ret_answer)
{
    struct ipc_frame answer;
    char *text = ask == NULL ? NULL : json_dumps(ask, JSON_COMPACT);
    json_decref(ask);
    if (text == NULL)
        FAIL(ERR_MEMORY, "no memory to ask an engine");
    struct ipc_frame frame = {
        .kind = MODEL_FRAME_COURIER, .id = ++c->asked, .body = span_str(text)};
    enum err err = ipc == NULL ? ERR_UNAVAILABLE : ipc_call(ipc, &frame, ASK_MS, &answer);
    free(text);
    TRY(err);
    TRY(ipc_check(&answer));
    *ret_answer = answer.body;
    return ERR_OK;
}

// The document, and what lies behind its NUL.
static enum err take_answer(struct span answer, json_t **ret, struct span *ret_secret)
{
    const uint8_t *end = memchr(answer.data, '\0', answer.len);
    size_t len = end == NULL ? answer.len : (size_t)(end - answer.data);
    *ret_secret = end == NULL ? span_of(NULL, 0) : span_of(end + 1, answer.len - len - 1);
    *ret = json_loadb((const char *)answer.data, len, 0, NULL);
    if (*ret == NULL)
        FAIL(ERR_MESSAGE, "an engine answered with what is no document");
    return ERR_OK;
}

static enum err tell(struct courier *c, json_t *report)
{
    struct span answer;
    return call(c, c->writer, report, &answer);
}

// ---- failures ----

static bool may_try(struct courier *c, const json_t *config)
{
    int64_t since = number_of(config, "since");
    if (since != c->config) {
        c->config = since;
        c->backoff_ms = 0;
        c->not_before = 0;
    }
    return clock_mono_ms() >= c->not_before;
}

static void failed(struct courier *c)
{
    c->backoff_ms = c->backoff_ms == 0 ? BACKOFF_MIN_MS : 2 * c->backoff_ms;
    if (c->backoff_ms > BACKOFF_MAX_MS)
        c->backoff_ms = BACKOFF_MAX_MS;
    c->not_before = clock_mono_ms() + c->backoff_ms;
}

// ---- forwarding ----

static void copy_place(char out[PLACE_MAX + 1], const char *from)
{
    (void)snprintf(out, PLACE_MAX + 1, "%s", from);
}

static enum err connect_sink(struct courier *c, const json_t *config)
{
    bool tls = strcmp(text_of(config, "transport"), "tcp") != 0;
    const struct stream_target target = {.host = text_of(config, "host"),
                                         .port = (int)number_of(config, "port"),
                                         .tls = tls,
                                         .only_loopback = !tls,
                                         .ca = span_str(text_of(config, "ca"))};
    return c->stream != NULL ? ERR_OK : stream_open(&target, c->control, &c->stream);
}

static enum err send_records(struct courier *c, const json_t *config, const json_t *records)
{
    size_t i;
    json_t *record;
    struct buf frames CLEANUP(buf_done);
    buf_init(&frames, FRAMES_MAX, false);
    json_array_foreach(records, i, record)
    {
        TRY(syslog_frame(record, c->host, &frames));
    }
    TRY(connect_sink(c, config));
    TRY(stream_write(c->stream, span_buf(&frames)));
    return stream_settle(c->stream);
}

// What was taken long enough ago counts as read.
static void age(struct courier *c)
{
    if (c->taken[0] != '\0' && clock_mono_ms() - c->taken_ms >= RESEND_MS) {
        copy_place(c->safe, c->taken);
        c->taken[0] = '\0';
    }
}

static void note_taken(struct courier *c, const char *place)
{
    age(c);
    copy_place(c->place, place);
    if (c->taken[0] == '\0') {
        copy_place(c->taken, place);
        c->taken_ms = clock_mono_ms();
    }
}

static void drop_sink(struct courier *c)
{
    stream_freep(&c->stream);
    copy_place(c->place, c->safe);
    c->taken[0] = '\0';
}

static enum err tell_failure(struct courier *c, const char *what)
{
    char text[600];
    (void)snprintf(text, sizeof text, "%s", err_detail());
    failed(c);
    if (!c->told_error)
        log_event(LOG_LEVEL_WARN, "%s_failed reason=\"%s\"", what, text);
    c->told_error = true;
    return tell(c, json_pack("{s:s, s:s}", "tell", what, "error", text));
}

static enum err tell_progress(struct courier *c)
{
    int64_t now = clock_mono_ms();
    bool news = strcmp(c->safe, c->told) != 0;
    if (!c->told_error && (!news || now - c->told_ms < TELL_MS))
        return ERR_OK;
    json_t *place = news ? json_string(c->safe) : json_null();
    TRY(tell(c, json_pack("{s:s, s:o}", "tell", "syslog", "place", place)));
    if (c->told_error)
        log_event(LOG_LEVEL_INFO, "syslog_delivers");
    copy_place(c->told, c->safe);
    c->told_ms = now;
    c->told_error = false;
    c->backoff_ms = 0;
    return ERR_OK;
}

// A connection that has gone while nothing was sent takes what was on it along.
static bool is_gone(struct courier *c)
{
    return c->stream != NULL && !stream_is_open(c->stream);
}

enum err courier_forward(struct courier *c, int *ret_wait_ms)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    struct span bytes;
    struct span none;
    *ret_wait_ms = IDLE_MS;
    if (c->reader == NULL || c->writer == NULL)
        return ERR_OK;
    if (is_gone(c))
        drop_sink(c);
    TRY(call(c, c->reader, json_pack("{s:s, s:s}", "ask", "syslog", "place", c->place), &bytes));
    TRY(take_answer(bytes, &answer, &none));
    const json_t *config = json_object_get(answer, "config");
    const json_t *records = json_object_get(answer, "records");
    if (!json_is_object(config)) {
        stream_freep(&c->stream);
        c->place[0] = c->safe[0] = c->taken[0] = c->told[0] = '\0';
        return ERR_OK;
    }
    int64_t known = c->config;
    if (!may_try(c, config))
        return ERR_OK;
    if (known != 0 && known != c->config) {
        // Another target, or another beginning: from the writer's cursor.
        stream_freep(&c->stream);
        c->place[0] = c->safe[0] = c->taken[0] = c->told[0] = '\0';
        *ret_wait_ms = 0;
        return ERR_OK;
    }
    if (json_array_size(records) > 0) {
        enum err err = send_records(c, config, records);
        if (err == ERR_CANCELED)
            return err;
        if (err != ERR_OK) {
            drop_sink(c);
            return tell_failure(c, "syslog");
        }
        *ret_wait_ms = 0;
    }
    note_taken(c, text_of(answer, "place"));
    return tell_progress(c);
}

// ---- mail ----

static enum smtp_security security_of(const json_t *config)
{
    const char *word = text_of(config, "security");
    if (strcmp(word, "tls") == 0)
        return SMTP_TLS;
    return strcmp(word, "none") == 0 ? SMTP_PLAIN : SMTP_STARTTLS;
}

enum { RECIPIENTS_MAX = 32 };

static enum err send_one(struct courier *c, const json_t *config, struct span password,
                         const json_t *mail)
{
    char subject[160];
    char text[4096];
    char date[64];
    const char *to[RECIPIENTS_MAX];
    struct tm tm;
    time_t now = time(NULL);
    const json_t *list = json_object_get(mail, "to");
    size_t count = json_array_size(list) < RECIPIENTS_MAX ? json_array_size(list) : RECIPIENTS_MAX;
    for (size_t i = 0; i < count; i++)
        to[i] = json_string_value(json_array_get(list, i));
    (void)snprintf(subject, sizeof subject, "Keyward on %s: %s (%s)", c->host,
                   text_of(mail, "type"), text_of(mail, "severity"));
    (void)snprintf(text, sizeof text,
                   "%s\n\nType:     %s\nSeverity: %s\nSince:    %s\nServer:   %s\n\n"
                   "keyward alert list shows all alerts in force.\n",
                   text_of(mail, "text"), text_of(mail, "type"), text_of(mail, "severity"),
                   text_of(mail, "since"), c->host);
    if (gmtime_r(&now, &tm) == NULL ||
        strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", &tm) == 0)
        FAIL(ERR_INTERNAL, "there is no date");
    const struct smtp_server server = {.host = text_of(config, "host"),
                                       .port = (int)number_of(config, "port"),
                                       .security = security_of(config),
                                       .ca = span_str(text_of(config, "ca")),
                                       .user = text_of(config, "user"),
                                       .password = password,
                                       .from = text_of(config, "from"),
                                       .name = c->host};
    const struct smtp_mail out = {.id = text_of(mail, "id"),
                                  .to = to,
                                  .to_count = count,
                                  .subject = subject,
                                  .text = text,
                                  .date = date};
    return smtp_send(&server, &out, c->control);
}

// Each mail is told as sent before the next goes out.
static enum err send_mails(struct courier *c, const json_t *config, struct span password,
                           const json_t *mails)
{
    size_t i;
    json_t *mail;
    json_array_foreach(mails, i, mail)
    {
        TRY(send_one(c, config, password, mail));
        TRY(tell(c, json_pack("{s:s, s:[s]}", "tell", "mail", "sent", text_of(mail, "id"))));
        log_event(LOG_LEVEL_INFO, "mail_sent type=%s", text_of(mail, "type"));
        c->told_error = false;
        c->backoff_ms = 0;
    }
    return ERR_OK;
}

enum err courier_mail(struct courier *c, int *ret_wait_ms)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    CLEANUP(secret_freep) struct secret *password = NULL;
    struct span bytes;
    struct span clear;
    *ret_wait_ms = IDLE_MS;
    if (c->reader == NULL || c->writer == NULL)
        return ERR_OK;
    TRY(call(c, c->reader, json_pack("{s:s}", "ask", "mail"), &bytes));
    TRY(take_answer(bytes, &answer, &clear));
    const json_t *config = json_object_get(answer, "config");
    const json_t *mails = json_object_get(answer, "mails");
    if (!json_is_object(config) || json_array_size(mails) == 0 || !may_try(c, config))
        return ERR_OK;
    if (clear.len > 0)
        TRY(secret_copy(clear, &password));
    struct span secret = password == NULL ? span_of("", 0) : secret_span(password);
    enum err err = send_mails(c, config, secret, mails);
    if (err == ERR_OK || err == ERR_CANCELED)
        return err;
    return tell_failure(c, "mail");
}
