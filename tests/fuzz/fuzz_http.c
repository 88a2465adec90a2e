// SPDX-License-Identifier: Apache-2.0
//
// HTTP: what has a size can be read, at that size and at no other, and says what it says in one
// way; more bytes behind a request change nothing about it.
#include "tests/fuzz/fuzz.h"
#include "web/http.h"

static void check_whole(struct span have, size_t size)
{
    struct http_request request;
    PROMISE(http_read(span_of(have.data, size), &request) == ERR_OK);
    PROMISE(request.path.len > 0 && request.path.data[0] == '/');
    PROMISE(request.body.len == request.body_len && request.body_len <= WEB_BODY_BYTES);
    PROMISE(request.header_count <= WEB_HEADERS);
    PROMISE(http_header(&request, "Transfer-Encoding") == NULL);
    for (size_t i = 0; i < request.header_count; i++) {
        struct span value = request.headers[i].value;
        PROMISE(memchr(value.data, '\n', value.len) == NULL || value.len == 0);
    }
    PROMISE(http_read(span_of(have.data, size - 1), &request) != ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span have = span_of(data, len);
    size_t size = 0;
    size_t again = 0;
    enum err err = http_size(have, &size);
    PROMISE(size <= WEB_HEAD_BYTES + WEB_BODY_BYTES);
    if (err != ERR_OK || size == 0)
        return 0;
    if (size <= len)
        check_whole(have, size);
    for (size_t less = 1; less < len && less < 64; less++) {
        PROMISE(http_size(span_of(data, len - less), &again) == ERR_OK);
        PROMISE(again == size || again == 0);
    }
    return 0;
}
