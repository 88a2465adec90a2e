// SPDX-License-Identifier: Apache-2.0
//
// The files by table. Invariant: nothing that is there already is overwritten.
#include "cli/package.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/kv.h"
#include "base/paths.h"
#include "base/secret.h"
#include "cli/client.h"
#include "cli/passphrase.h"
#include "cli/secrets.h"
#include "crypto/pki.h"

enum { PORT_DEFAULT = 5696, PORT_MAX = 65535, P12_MAX = 64 * 1024, PAGE_MAX = 16 * 1024 };
enum { P12_PASSWORD_GROUPS = 5 };

static const char *const files[] = {
    "key.pem", "cert.pem",   "ca.pem",        "client.pem", "client.p12", "client.p12.password",
    "ssl",     "README.txt", "okvclient.ora",
};

// A '#' line in the page is followed by lines to be pasted. %D directory, %H host, %P port, %N
// name.
static const char page[] =
    "Endpoint \"%N\" of the key server %H, KMIP port %P.\n"
    "\n"
    "key.pem              private key; it was made here, the server does not have it\n"
    "cert.pem, ca.pem     certificate, and that of the server's authority\n"
    "client.pem           key.pem and cert.pem in one file\n"
    "client.p12           the same as PKCS#12; its password is in client.p12.password\n"
    "okvclient.ora, ssl/  the layout of Oracle Key Vault's clients, which MySQL reads\n"
    "\n"
    "Keep all of it private: whoever has the key is this endpoint.\n"
    "\n"
    "# PyKMIP: ~/.pykmip/pykmip.conf\n"
    "[client]\n"
    "host=%H\n"
    "port=%P\n"
    "keyfile=%D/key.pem\n"
    "certfile=%D/cert.pem\n"
    "cert_reqs=CERT_REQUIRED\n"
    "ssl_version=PROTOCOL_TLS\n"
    "ca_certs=%D/ca.pem\n"
    "do_handshake_on_connect=True\n"
    "suppress_ragged_eofs=True\n"
    "\n"
    "# Ceph RADOS gateway: ceph.conf\n"
    "rgw crypt s3 kms backend = kmip\n"
    "rgw crypt kmip addr = %H:%P\n"
    "rgw crypt kmip ca path = %D/ca.pem\n"
    "rgw crypt kmip client cert = %D/cert.pem\n"
    "rgw crypt kmip client key = %D/key.pem\n"
    "\n"
    "# MongoDB Enterprise, Percona Server for MongoDB: mongod.conf\n"
    "security:\n"
    "  enableEncryption: true\n"
    "  kmip:\n"
    "    serverName: %H\n"
    "    port: %P\n"
    "    clientCertificateFile: %D/client.pem\n"
    "    serverCAFile: %D/ca.pem\n"
    "\n"
    "# Percona Server for MySQL: mysqld.my, beside mysqld\n"
    "{\"components\": \"file://component_keyring_kmip\"}\n"
    "# and component_keyring_kmip.cnf, in the plugin directory\n"
    "{\"server_addr\": \"%H\", \"server_port\": \"%P\", \"client_ca\": \"%D/cert.pem\", "
    "\"client_key\": \"%D/key.pem\", \"server_ca\": \"%D/ca.pem\"}\n"
    "\n"
    "# MySQL Enterprise keyring_okv: my.cnf\n"
    "[mysqld]\n"
    "early-plugin-load=keyring_okv.so\n"
    "keyring_okv_conf_dir=%D\n"
    "\n"
    "# pg_tde: in psql\n"
    "SELECT pg_tde_add_global_key_provider_kmip('keyward', '%H', %P, '%D/cert.pem', '%D/key.pem', "
    "'%D/ca.pem');\n"
    "\n"
    "# VMware vCenter: Configure, Key Providers, Add Standard Key Provider\n"
    "address %H, port %P; then Establish Trust, \"KMS certificate and private key\": upload "
    "cert.pem\n"
    "and key.pem, and trust the server's certificate\n";

enum err package_check(int dir, const char *shown)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (faccessat(dir, files[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            FAIL(ERR_CONFLICT,
                 "\"%s/%s\" exists already and is not overwritten: choose another directory", shown,
                 files[i]);
    }
    return ERR_OK;
}

static enum err take_port(const char *text, unsigned *ret)
{
    char *end = NULL;
    unsigned long port = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || port < 1 || port > PORT_MAX)
        FAIL(ERR_INVALID, "\"%.16s\" is no port", text);
    *ret = (unsigned)port;
    return ERR_OK;
}

// The port of KMIP_LISTEN ("ADDR:PORT"); the usual one when the server is not here.
static unsigned own_port(struct cli *cli)
{
    CLEANUP(kv_freep) struct kv *conf = NULL;
    unsigned port = PORT_DEFAULT;
    if (client_open_root(cli) != ERR_OK || kv_load(cli->root_fd, PATH_CONF, &conf) != ERR_OK)
        return port;
    const char *colon = strrchr(kv_get(conf, "KMIP_LISTEN", ""), ':');
    if (colon != NULL && take_port(colon + 1, &port) != ERR_OK)
        return PORT_DEFAULT;
    return port;
}

static enum err check_host(const char *host)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  ".-_:[]";
    if (*host == '\0' || host[strspn(host, allowed)] != '\0')
        FAIL(ERR_INVALID, "--server wants HOST or HOST:PORT");
    return ERR_OK;
}

enum err package_find_server(struct cli *cli, struct package_server *ret)
{
    const char *given = cli->values[OPT_SERVER];
    *ret = (struct package_server){.port = own_port(cli)};
    if (given == NULL) {
        if (gethostname(ret->host, sizeof ret->host - 1) != 0)
            return file_raise("read", "the host's name");
        return check_host(ret->host);
    }
    const char *colon = strrchr(given, ':');
    bool has_port = colon != NULL && strchr(colon, ']') == NULL;
    size_t len = has_port ? (size_t)(colon - given) : strlen(given);
    if (len > PACKAGE_HOST_MAX)
        FAIL(ERR_INVALID, "--server wants HOST or HOST:PORT");
    memcpy(ret->host, given, len);
    if (has_port)
        TRY(take_port(colon + 1, &ret->port));
    return check_host(ret->host);
}

// The page with its places filled in.
static enum err fill_page(const char *shown, const struct package_server *server, const char *name,
                          struct buf *out)
{
    for (const char *p = page; *p != '\0'; p++) {
        if (*p != '%') {
            TRY(buf_put_u8(out, (uint8_t)*p));
            continue;
        }
        switch (*++p) {
        case 'D':
            TRY(buf_put_str(out, shown));
            break;
        case 'H':
            TRY(buf_put_str(out, server->host));
            break;
        case 'P':
            TRY(buf_printf(out, "%u", server->port));
            break;
        default:
            TRY(buf_put_str(out, name));
        }
    }
    return ERR_OK;
}

static enum err write_p12(int dir, const char *name, struct span key, struct span cert,
                          struct span ca)
{
    CLEANUP(secret_freep) struct secret *password = NULL;
    struct buf der CLEANUP(buf_done);
    buf_init(&der, P12_MAX, true);
    TRY(passphrase_make(P12_PASSWORD_GROUPS, &password));
    TRY(pki_make_pkcs12(key, cert, ca, secret_span(password), name, &der));
    TRY(secrets_write_new(dir, "client.p12.password", secret_span(password)));
    return secrets_write_new(dir, "client.p12", span_buf(&der));
}

static enum err write_okv(int dir, const struct package_server *server, struct span key,
                          struct span cert, struct span ca)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 1024, false);
    TRY(file_mkdirs(dir, "ssl"));
    TRY(secrets_write_new(dir, "ssl/CA.pem", ca));
    TRY(secrets_write_new(dir, "ssl/cert.pem", cert));
    TRY(secrets_write_new(dir, "ssl/key.pem", key));
    TRY(buf_printf(&text, "SERVER=%s:%u\nSTANDBY_SERVER=%s:%u\n", server->host, server->port,
                   server->host, server->port));
    return secrets_write_new(dir, "okvclient.ora", span_buf(&text));
}

enum err package_write(int dir, const char *shown, const struct package_server *server,
                       const char *name, struct span key, struct span cert, struct span ca)
{
    char full[4096];
    struct buf both CLEANUP(buf_done);
    struct buf text CLEANUP(buf_done);
    buf_init(&both, P12_MAX, true);
    buf_init(&text, PAGE_MAX * 4, false);
    char here[4096] = "";
    if (shown[0] != '/' && getcwd(here, sizeof here) == NULL)
        FAIL(ERR_INVALID, "the current directory has no name: give --out with a full path");
    int len = snprintf(full, sizeof full, "%s%s%s", here, here[0] != '\0' ? "/" : "", shown);
    if (len < 0 || (size_t)len >= sizeof full)
        FAIL(ERR_INVALID, "the path given by --out is too long");
    TRY(buf_put(&both, key));
    TRY(buf_put(&both, cert));
    TRY(secrets_write_new(dir, "client.pem", span_buf(&both)));
    TRY(write_p12(dir, name, key, cert, ca));
    TRY(write_okv(dir, server, key, cert, ca));
    TRY(fill_page(full, server, name, &text));
    return secrets_write_new(dir, "README.txt", span_buf(&text));
}
