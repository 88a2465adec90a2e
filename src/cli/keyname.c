// SPDX-License-Identifier: Apache-2.0
//
// Whatever has the form of an identifier is one; anything else is looked up as an exact Name, among
// what the one who asks can reach. Never a guess: two keys of one Name are told, none is taken.
#include "cli/keyname.h"

#include <stdio.h>

#include "base/rand.h"
#include "cli/client.h"

enum { LIST_PATH_MAX = 4096 };

// Which word behind the command is a key's identifier, or -1.
static int word_of_key(const struct command *command)
{
    bool in_path = command->path != NULL && strncmp(command->path, "/keys/{id}", 10) == 0;
    const char *wanted = in_path ? "id" : "object";
    const char *p = command->words == NULL ? "" : command->words;
    for (int i = 0; *p != '\0'; i++) {
        size_t len = strcspn(p, " ");
        if (len == strlen(wanted) && strncmp(p, wanted, len) == 0)
            return i;
        p += len + (p[len] == ' ');
    }
    return -1;
}

static enum err find(struct cli *cli, const char *name, json_t **ret)
{
    struct buf path CLEANUP(buf_done);
    buf_init(&path, LIST_PATH_MAX, false);
    TRY(buf_put_str(&path, "/keys?limit=2&name="));
    TRY(client_encode(&path, name));
    TRY(buf_put_u8(&path, 0));
    return client_call(cli, "GET", (const char *)path.data, NULL, NULL, ret);
}

enum err keyname_resolve(struct cli *cli)
{
    CLEANUP(json_freep) json_t *answer = NULL;
    struct uuid uuid;
    int word = word_of_key(cli->command);
    if (word < 0 || (size_t)word >= cli->name_count)
        return ERR_OK;
    const char *name = cli->names[word];
    if (name[0] == '\0' || uuid_parse(span_str(name), &uuid) == ERR_OK)
        return ERR_OK;
    TRY(find(cli, name, &answer));
    const json_t *keys = json_object_get(answer, "keys");
    const char *id = json_string_value(json_object_get(json_array_get(keys, 0), "id"));
    if (id == NULL)
        FAIL(ERR_NOT_FOUND,
             "you reach no key that has the identifier or the Name \"%.200s\": see \"keyward key "
             "list\"",
             name);
    if (json_array_size(keys) > 1)
        FAIL(ERR_CONFLICT,
             "several keys have the Name \"%.200s\": give the identifier of one (keyward key list "
             "--name)",
             name);
    (void)snprintf(cli->key_id, sizeof cli->key_id, "%s", id);
    cli->names[word] = cli->key_id;
    return ERR_OK;
}
