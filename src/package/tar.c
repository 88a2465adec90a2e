// SPDX-License-Identifier: Apache-2.0
//
// A member is a header block and its bytes, filled up to whole blocks; the end is two blocks of
// zeros. Numbers are octal text.
#include "package/tar.h"

#include <stdio.h>
#include <string.h>

struct header {
    char name[100];
    char mode[8], uid[8], gid[8];
    char size[12], mtime[12];
    char sum[8]; // of all bytes of the header, with blanks in this place
    char type;
    char link[100];
    char magic[6], version[2];
    char user[32], group[32];
    char device_major[8], device_minor[8];
    char prefix[155];
    char rest[12];
};

_Static_assert(sizeof(struct header) == TAR_BLOCK, "a header is a block");

static void set_sum(struct header *header)
{
    unsigned sum = 0;
    memset(header->sum, ' ', sizeof header->sum);
    const unsigned char *bytes = (const unsigned char *)header;
    for (size_t i = 0; i < sizeof *header; i++)
        sum += bytes[i];
    (void)snprintf(header->sum, sizeof header->sum, "%06o", sum);
    header->sum[7] = ' ';
}

enum err tar_put(struct buf *out, const char *path, struct span bytes, int64_t time)
{
    struct header header = {.type = '0'};
    size_t len = strlen(path);
    if (len == 0 || len > TAR_PATH_MAX)
        FAIL(ERR_INVALID, "a path in an archive has 1 to %d bytes", TAR_PATH_MAX);
    bool is_directory = path[len - 1] == '/';
    if (is_directory)
        header.type = '5';
    memcpy(header.name, path, len);
    memcpy(header.magic, "ustar", sizeof header.magic);
    memcpy(header.version, "00", sizeof header.version);
    (void)snprintf(header.mode, sizeof header.mode, "%07o", is_directory ? 0700U : 0600U);
    (void)snprintf(header.uid, sizeof header.uid, "%07o", 0U);
    (void)snprintf(header.gid, sizeof header.gid, "%07o", 0U);
    (void)snprintf(header.size, sizeof header.size, "%011o", (unsigned)bytes.len);
    (void)snprintf(header.mtime, sizeof header.mtime, "%011llo", (unsigned long long)time);
    set_sum(&header);
    TRY(buf_put(out, span_of(&header, sizeof header)));
    TRY(buf_put(out, bytes));
    size_t over = bytes.len % TAR_BLOCK;
    return over == 0 ? ERR_OK : buf_put_zeros(out, TAR_BLOCK - over);
}

enum err tar_end(struct buf *out)
{
    return buf_put_zeros(out, 2 * TAR_BLOCK);
}
