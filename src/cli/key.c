// SPDX-License-Identifier: Apache-2.0
//
// `keyward key export`: with --out the value goes to a private file, byte by byte as another
// program reads it, and only what it is to the terminal.
#include <fcntl.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/file.h"
#include "cli/handlers.h"
#include "cli/output.h"
#include "cli/run.h"
#include "cli/secrets.h"

static enum err take_material(const json_t *answer, struct buf *out)
{
    const json_t *material = json_object_get(answer, "material");
    const char *encoding = json_string_value(json_object_get(answer, "encoding"));
    if (!json_is_string(material) || encoding == NULL)
        FAIL(ERR_INTERNAL, "the server's answer lacks the value");
    struct span text =
        span_of((const uint8_t *)json_string_value(material), json_string_length(material));
    return strcmp(encoding, "base64") == 0 ? base64_take(text, out) : buf_put(out, text);
}

static enum err fetch(struct cli *cli, int fd, const char *out, json_t **ret_answer)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    struct buf material CLEANUP(buf_done);
    buf_init(&material, 2 * MATERIAL_FILE_MAX, true);
    TRY(run_call(cli, &answer));
    TRY(take_material(answer, &material));
    TRY(file_write_all(fd, span_buf(&material), out));
    (void)json_object_del(answer, "material");
    if (json_object_set_new(answer, "encoding", json_string("file")) != 0 ||
        json_object_set_new(answer, "file", json_string(out)) != 0)
        FAIL(ERR_MEMORY, "no memory for an answer");
    *ret_answer = answer;
    answer = NULL;
    return ERR_OK;
}

enum err key_export(struct cli *cli)
{
    const char *out = cli->values[OPT_OUT];
    CLEANUP(json_freep) json_t *answer = NULL;
    int fd = -1;
    if (out == NULL)
        return run_command(cli);
    // First: a value that has left and cannot be kept is in the trail for nothing.
    TRY(secrets_create(AT_FDCWD, out, &fd));
    TRY(secrets_finish(&fd, fetch(cli, fd, out, &answer)));
    return output_document(cli, answer);
}
