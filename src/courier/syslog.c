// SPDX-License-Identifier: Apache-2.0
//
// The structured data carries what the record says, field by field, so that nobody has to parse the
// text; the record's hash is among it, so that what arrived here can be held against the trail.
#include "courier/syslog.h"

enum { FACILITY = 13, CRITICAL = 2, ERROR = 3, WARNING = 4, NOTICE = 5, INFORMATIONAL = 6 };

// RFC 5612 sets this enterprise number aside for documents; ours has none.
#define SD_ID "keyward@32473"

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

static int severity_of(const json_t *record)
{
    const char *verb = text_of(record, "verb");
    const char *outcome = text_of(record, "outcome");
    if (strcmp(verb, "alert raised") == 0)
        return CRITICAL;
    if (strcmp(verb, "alert cleared") == 0)
        return NOTICE;
    bool plain =
        outcome[0] == '\0' || strcmp(outcome, "ERR_OK") == 0 || strcmp(outcome, "attempted") == 0;
    return plain ? INFORMATIONAL : WARNING;
}

// MSGID is at most 32 printable characters without blanks.
static enum err put_word(struct buf *out, const char *text)
{
    size_t len = 0;
    for (; len < 32 && text[len] != '\0'; len++) {
        bool good = text[len] > ' ' && text[len] < 0x7f;
        TRY(buf_put_u8(out, good ? (uint8_t)text[len] : '-'));
    }
    return len == 0 ? buf_put_u8(out, '-') : ERR_OK;
}

// Section 6.3.3: a quote, a backslash and a closing bracket are escaped.
static enum err put_param(struct buf *out, const char *name, const char *value)
{
    if (value[0] == '\0')
        return ERR_OK;
    TRY(buf_printf(out, " %s=\"", name));
    for (; *value != '\0'; value++) {
        if (strchr("\"\\]", *value) != NULL)
            TRY(buf_put_u8(out, '\\'));
        TRY(buf_put_u8(out, (unsigned char)*value < ' ' ? ' ' : (uint8_t)*value));
    }
    return buf_put_u8(out, '"');
}

static enum err put_number(struct buf *out, const char *name, const json_t *value)
{
    return json_is_integer(value)
               ? buf_printf(out, " %s=\"%lld\"", name, (long long)json_integer_value(value))
               : ERR_OK;
}

static enum err put_data(struct buf *out, const json_t *record)
{
    const json_t *who = json_object_get(record, "principal");
    TRY(buf_put_str(out, "[" SD_ID));
    TRY(put_number(out, "sequence", json_object_get(record, "sequence")));
    TRY(put_number(out, "journal", json_object_get(record, "journal")));
    TRY(put_param(out, "outcome", text_of(record, "outcome")));
    TRY(put_param(out, "whoKind", text_of(who, "kind")));
    TRY(put_param(out, "whoId", text_of(who, "id")));
    TRY(put_param(out, "who", text_of(who, "name")));
    TRY(put_number(out, "uid", json_object_get(who, "uid")));
    TRY(put_param(out, "address", text_of(who, "address")));
    TRY(put_param(out, "object", text_of(record, "object")));
    TRY(put_param(out, "recordHash", text_of(record, "record_hash")));
    TRY(put_param(out, "signature", text_of(record, "signature")));
    return buf_put_u8(out, ']');
}

// The text is UTF-8, which a byte order mark says (section 6.4). No line ends in it.
static enum err put_text(struct buf *out, const json_t *record)
{
    size_t from = out->len;
    const json_t *who = json_object_get(record, "principal");
    TRY(buf_printf(out, " \xef\xbb\xbf%s", text_of(record, "verb")));
    if (text_of(record, "outcome")[0] != '\0')
        TRY(buf_printf(out, " %s", text_of(record, "outcome")));
    if (text_of(who, "name")[0] != '\0')
        TRY(buf_printf(out, " by %s", text_of(who, "name")));
    if (text_of(record, "detail")[0] != '\0')
        TRY(buf_printf(out, ": %s", text_of(record, "detail")));
    for (; from < out->len; from++) {
        if (out->data[from] < ' ')
            out->data[from] = ' ';
    }
    return ERR_OK;
}

enum err syslog_frame(const json_t *record, const char *host, struct buf *out)
{
    struct buf message CLEANUP(buf_done);
    buf_init(&message, SYSLOG_MESSAGE_MAX, false);
    TRY(buf_printf(&message, "<%d>1 %s ", FACILITY * 8 + severity_of(record),
                   text_of(record, "time")));
    TRY(buf_put_str(&message, host));
    TRY(buf_put_str(&message, " keyward - "));
    TRY(put_word(&message, text_of(record, "verb")));
    TRY(buf_put_u8(&message, ' '));
    TRY(put_data(&message, record));
    TRY(put_text(&message, record));
    TRY(buf_printf(out, "%zu ", message.len));
    return buf_put(out, span_buf(&message));
}
