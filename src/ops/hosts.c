// SPDX-License-Identifier: Apache-2.0
//
// What of a name is refused here is what could never stand in a certificate; crypto/pki.c has the
// last word.
#include "ops/hosts.h"

enum { HOST_MAX = 253, HOSTS_TEXT_MAX = 64 * 1024 };

static enum err take_one(struct hosts *hosts, const char *field, const json_t *value)
{
    const char *host = json_string_value(value);
    size_t len = json_string_length(value);
    if (host == NULL || len == 0 || len > HOST_MAX || strlen(host) != len)
        FAIL(ERR_INVALID, "\"%s\" must hold host names or addresses", field);
    for (size_t i = 0; i < len; i++) {
        bool fits = (host[i] >= 'a' && host[i] <= 'z') || (host[i] >= 'A' && host[i] <= 'Z') ||
                    (host[i] >= '0' && host[i] <= '9') || strchr("-.:*", host[i]) != NULL;
        if (!fits)
            FAIL(ERR_INVALID, "\"%.64s\" is no host name or address", host);
    }
    if (hosts->count == PKI_HOSTS_MAX)
        FAIL(ERR_INVALID, "there are more than %d server names", PKI_HOSTS_MAX);
    hosts->names[hosts->count++] = host;
    return ERR_OK;
}

enum err hosts_take(const json_t *doc, const char *field, struct hosts *ret)
{
    size_t i;
    json_t *value;
    const json_t *list = json_object_get(doc, field);
    ret->count = 0;
    if (list != NULL && !json_is_array(list))
        FAIL(ERR_INVALID, "\"%s\" must be an array", field);
    json_array_foreach(list, i, value)
    {
        TRY(take_one(ret, field, value));
    }
    return ERR_OK;
}

enum err hosts_of(struct arena *arena, struct span cert_pem, struct hosts *ret)
{
    char *at = NULL;
    struct buf lines CLEANUP(buf_done);
    buf_init(&lines, HOSTS_TEXT_MAX, false);
    ret->count = 0;
    TRY(pki_hosts(cert_pem, &lines));
    TRY(arena_alloc(arena, lines.len + 1, 1, &at));
    memcpy(at, lines.data, lines.len);
    for (char *end; ret->count < PKI_HOSTS_MAX && (end = strchr(at, '\n')) != NULL; at = end + 1) {
        *end = '\0';
        ret->names[ret->count++] = at;
    }
    return ERR_OK;
}

json_t *hosts_json(const struct hosts *hosts)
{
    json_t *list = json_array();
    for (size_t i = 0; i < hosts->count; i++) {
        if (json_array_append_new(list, json_string(hosts->names[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}
