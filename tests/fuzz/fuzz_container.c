// SPDX-License-Identifier: Apache-2.0
//
// Key files of strangers, by each of the readers. What is handed out stands within bounds.
#include "crypto/container.h"
#include "tests/fuzz/fuzz.h"

static enum err each(void *arg, const struct container_item *item)
{
    size_t *count = arg;
    PROMISE(++*count <= CONTAINER_ITEMS_MAX);
    PROMISE(item->der.len <= CONTAINER_FILE_MAX && item->name.len <= CONTAINER_NAME_MAX);
    PROMISE(item->name.len == 0 || span_is_utf8(item->name));
    return ERR_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static enum err (*const readers[])(struct span, struct span, container_each *,
                                       void *) = {container_pem, container_pkcs12, container_jks};
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        size_t count = 0;
        enum err err = readers[i](span_of(data, len), span_str("changeit"), each, &count);
        PROMISE(err != ERR_OK || count > 0);
        PROMISE(err != ERR_INTERNAL && err != ERR_MESSAGE);
    }
    return 0;
}
