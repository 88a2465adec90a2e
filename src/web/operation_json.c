// SPDX-License-Identifier: Apache-2.0
//
// Events are numbered: the steps from 1, then the end.
#include "web/operation_json.h"

#include <time.h>

#include "base/clock.h"
#include "base/problem.h"

void operation_json_freep(json_t **json)
{
    json_decref(*json);
    *json = NULL;
}

void operation_view_init(struct operation_view *view, enum verb verb)
{
    struct uuid id = uuid_random(); // not to be guessed
    *view = (struct operation_view){.verb = verb, .started_s = clock_wall_s()};
    uuid_text(&id, view->id);
    view->steps = json_array();
}

void operation_view_done(struct operation_view *view)
{
    operation_json_freep(&view->steps);
    operation_json_freep(&view->result);
    operation_json_freep(&view->problem);
}

static json_t *load(struct span doc)
{
    return doc.len == 0 ? NULL : json_loadb((const char *)doc.data, doc.len, 0, NULL);
}

// Steps are only ever added: an answer that was overtaken by a later one changes nothing.
static void take(struct operation_view *view, const json_t *doc)
{
    const json_t *steps = json_object_get(doc, "steps");
    for (size_t i = json_array_size(view->steps); i < json_array_size(steps); i++)
        (void)json_array_append(view->steps, json_array_get(steps, i));
}

void operation_take_steps(struct operation_view *view, struct span doc)
{
    CLEANUP(operation_json_freep) json_t *root = load(doc);
    take(view, root);
}

enum err operation_asker(struct span doc, struct uuid *ret)
{
    CLEANUP(operation_json_freep) json_t *root = load(doc);
    const char *text = json_string_value(json_object_get(root, "user"));
    if (text == NULL || uuid_parse(span_str(text), ret) != ERR_OK)
        FAIL(ERR_INTERNAL, "an engine does not say who has asked");
    return ERR_OK;
}

static json_t *problem_of(enum err code, struct span detail, bool unsure)
{
    char type[PROBLEM_TYPE_MAX];
    const struct err_info *info = err_info(code);
    problem_type(code, type);
    json_t *text = span_is_utf8(detail) ? json_stringn((const char *)detail.data, detail.len)
                                        : json_string(info->text);
    json_t *root = json_pack("{s:s, s:s, s:i, s:o*}", "type", type, "title", info->text, "status",
                             info->http_status, "detail", text);
    if (!unsure)
        (void)json_object_set_new(root, "changed", json_false());
    return root;
}

void operation_end(struct operation_view *view, enum err status, const struct reply *reply)
{
    CLEANUP(operation_json_freep) json_t *root = reply == NULL ? NULL : load(reply->doc);
    enum err code = reply == NULL ? status : reply->status;
    view->finished_s = clock_wall_s();
    view->state = code == ERR_OK ? OPERATION_DONE : OPERATION_FAILED;
    take(view, root);
    if (code == ERR_OK) {
        view->result = root;
        root = NULL;
        return;
    }
    bool unsure = reply == NULL && (status == ERR_UNAVAILABLE || status == ERR_TIMEOUT);
    struct span words =
        unsure ? span_str("a process of the server ended, or did not answer in time: whether the "
                          "change was made is not known, look before you try again")
               : span_str(err_message(code));
    unsure = unsure || (reply != NULL && reply->unsure);
    view->problem = problem_of(code, reply != NULL ? reply->message : words, unsure);
    if (root != NULL)
        (void)json_object_set(view->problem, "report", root);
}

static json_t *time_of(int64_t seconds)
{
    char text[32];
    struct tm parts;
    time_t when = (time_t)seconds;
    if (seconds == 0 || gmtime_r(&when, &parts) == NULL)
        return json_null();
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return json_string(text);
}

json_t *operation_json(const struct operation_view *view)
{
    static const char *const states[] = {"running", "done", "failed"};
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:O, s:O?, s:O?}", "id", view->id, "verb",
                     verb_name(view->verb), "state", states[view->state], "started",
                     time_of(view->started_s), "finished", time_of(view->finished_s), "steps",
                     view->steps, "result", view->result, "problem", view->problem);
}

static int append(const char *text, size_t len, void *context)
{
    return buf_put(context, span_of(text, len)) == ERR_OK ? 0 : -1;
}

static enum err put_event(const char *event, size_t number, const json_t *data, struct buf *out)
{
    TRY(buf_printf(out, "id: %zu\nevent: %s\ndata: ", number, event));
    if (json_dump_callback(data, append, out, JSON_COMPACT) != 0)
        FAIL(ERR_MEMORY, "no memory for an event");
    return buf_put_str(out, "\n\n");
}

enum err operation_events(const struct operation_view *view, size_t told, struct buf *out,
                          size_t *ret_told, bool *ret_over)
{
    size_t steps = json_array_size(view->steps);
    for (size_t i = told; i < steps; i++)
        TRY(put_event("step", i + 1, json_array_get(view->steps, i), out));
    *ret_told = told > steps ? told : steps;
    *ret_over = view->state != OPERATION_RUNNING;
    if (*ret_over && told <= steps)
        TRY(view->state == OPERATION_DONE ? put_event("done", steps + 1, view->result, out)
                                          : put_event("error", steps + 1, view->problem, out));
    return ERR_OK;
}
