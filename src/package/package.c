// SPDX-License-Identifier: Apache-2.0
//
// The files by table: each is a name and what makes its bytes, in memory that is wiped.
#include "package/package.h"

#include <stdlib.h>
#include <string.h>

#include "base/passphrase.h"
#include "crypto/pki.h"
#include "package/page.h"

enum { PORT_MAX = 65535, FILE_MAX = 256 * 1024, P12_PASSWORD_GROUPS = 5 };

struct making {
    const struct package *package;
    struct secret *password; // of client.p12
};

static enum err key(const struct making *making, struct buf *out)
{
    return buf_put(out, making->package->key);
}

static enum err cert(const struct making *making, struct buf *out)
{
    return buf_put(out, making->package->cert);
}

static enum err ca(const struct making *making, struct buf *out)
{
    return buf_put(out, making->package->ca);
}

static enum err key_and_cert(const struct making *making, struct buf *out)
{
    TRY(key(making, out));
    return cert(making, out);
}

static enum err pkcs12(const struct making *making, struct buf *out)
{
    const struct package *package = making->package;
    return pki_make_pkcs12(package->key, package->cert, package->ca, secret_span(making->password),
                           package->name, out);
}

static enum err password(const struct making *making, struct buf *out)
{
    return buf_put(out, secret_span(making->password));
}

static enum err okvclient(const struct making *making, struct buf *out)
{
    return page_okvclient(making->package, out);
}

static enum err readme(const struct making *making, struct buf *out)
{
    return page_write(making->package, out);
}

static const struct {
    const char *path;
    enum err (*write)(const struct making *making, struct buf *out); // NULL: a directory
} files[] = {
    {"key.pem", key},
    {"cert.pem", cert},
    {"ca.pem", ca},
    {"client.pem", key_and_cert},
    {"client.p12", pkcs12},
    {"client.p12.password", password},
    {"ssl/", NULL},
    {"ssl/CA.pem", ca},
    {"ssl/cert.pem", cert},
    {"ssl/key.pem", key},
    {"okvclient.ora", okvclient},
    {"README.txt", readme},
};

enum { FILES = sizeof files / sizeof *files };

const char *package_name(size_t index)
{
    return index < FILES ? files[index].path : NULL;
}

enum err package_make(const struct package *package, package_put put, void *context)
{
    CLEANUP(secret_freep) struct secret *chosen = NULL;
    TRY(passphrase_make(P12_PASSWORD_GROUPS, &chosen));
    const struct making making = {package, chosen};
    for (size_t i = 0; i < FILES; i++) {
        struct buf bytes CLEANUP(buf_done);
        buf_init(&bytes, FILE_MAX, true);
        if (files[i].write != NULL)
            TRY(files[i].write(&making, &bytes));
        TRY(put(context, files[i].path, span_buf(&bytes)));
    }
    return ERR_OK;
}

enum err package_take_port(struct span text, unsigned *ret)
{
    unsigned port = 0;
    for (size_t i = 0; i < text.len && i < 6; i++) {
        bool digit = text.data[i] >= '0' && text.data[i] <= '9';
        port = digit ? port * 10 + (text.data[i] - '0') : PORT_MAX + 1;
        if (port > PORT_MAX)
            break;
    }
    if (text.len > 5 || port < 1 || port > PORT_MAX)
        FAIL(ERR_INVALID, "\"%.*s\" is no port: give a number from 1 to %d",
             (int)(text.len < 16 ? text.len : 16), (const char *)text.data, PORT_MAX);
    *ret = port;
    return ERR_OK;
}

unsigned package_port_of(const char *address, unsigned fallback)
{
    unsigned port = fallback;
    const char *colon = strrchr(address, ':');
    return colon != NULL && package_take_port(span_str(colon + 1), &port) == ERR_OK ? port
                                                                                    : fallback;
}

static bool has_only(struct span text, const char *allowed)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\0' || strchr(allowed, text.data[i]) == NULL)
            return false;
    }
    return text.len > 0;
}

// Splits at the colon behind the host; *ret_port is empty when there is none.
static struct span split(struct span text, struct span *ret_port)
{
    const uint8_t *bracket = memrchr(text.data, ']', text.len);
    const uint8_t *colon = memrchr(text.data, ':', text.len);
    bool has_port = colon != NULL && (bracket == NULL || bracket < colon);
    size_t len = has_port ? (size_t)(colon - text.data) : text.len;
    *ret_port = has_port ? span_of(colon + 1, text.len - len - 1) : span_of(NULL, 0);
    return span_of(text.data, len);
}

enum err package_take_server(struct span text, struct package_server *ret)
{
    static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    struct package_server server = {.port = ret->port};
    struct span port = {NULL, 0};
    // The second test is for compilers, which cannot know that bytes have a place.
    struct span host = text.len > 0 && text.data != NULL ? split(text, &port) : text;
    bool bracketed = host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']';
    if (bracketed)
        host = span_of(host.data + 1, host.len - 2);
    if (host.len > PACKAGE_HOST_MAX ||
        !has_only(host, bracketed ? "0123456789abcdefABCDEF:." : name))
        FAIL(ERR_INVALID, "the server is given as HOST or HOST:PORT, an IPv6 address as [ADDRESS]");
    if (port.data != NULL)
        TRY(package_take_port(port, &server.port));
    memcpy(server.host, host.data, host.len);
    *ret = server;
    return ERR_OK;
}

enum err package_check_directory(struct span path)
{
    if (path.len == 0 || path.data[0] != '/' || path.len > PACKAGE_DIRECTORY_MAX)
        FAIL(ERR_INVALID,
             "the directory of the files is given with its full path, of at most %d bytes",
             PACKAGE_DIRECTORY_MAX);
    for (size_t i = 0; i < path.len; i++) {
        uint8_t c = path.data[i];
        if (c < 0x20 || c == 0x7f || strchr("\"'`\\#;%$", c) != NULL)
            FAIL(ERR_INVALID,
                 "the directory's path has a character that products do not read as it "
                 "is (one of \" ' ` \\ # ; %% $): choose another directory");
    }
    return span_is_utf8(path) ? ERR_OK : ERR_INVALID;
}
