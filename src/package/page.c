// SPDX-License-Identifier: Apache-2.0
//
// A text with places: %D directory, %H host, %P port, %A host and port in one, %N name, %K where
// the key was made. A line that begins with "# " is followed by lines to be pasted, up to the next.
#include "package/page.h"

#include <string.h>

static const char page[] =
    "Endpoint \"%N\" of the key server %H, KMIP port %P.\n"
    "\n"
    "key.pem              private key; %K\n"
    "cert.pem, ca.pem     certificate, and that of the server's authority\n"
    "client.pem           key.pem and cert.pem in one file\n"
    "client.p12           the same as PKCS#12; its password is in client.p12.password\n"
    "okvclient.ora, ssl/  the layout of Oracle Key Vault's clients, which MySQL reads\n"
    "\n"
    "Keep all of it private: whoever has the key is this endpoint. The lines below name the files\n"
    "where they belong, in %D; the user that the product runs as\n"
    "must be able to read them.\n"
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
    "# Ceph RADOS gateway: ceph.conf, in the section of the gateway where it has one\n"
    "[client]\n"
    "rgw crypt s3 kms backend = kmip\n"
    "rgw crypt kmip addr = %A\n"
    "rgw crypt kmip ca path = %D/ca.pem\n"
    "rgw crypt kmip client cert = %D/cert.pem\n"
    "rgw crypt kmip client key = %D/key.pem\n"
    "\n"
    "# MongoDB Enterprise, Percona Server for MongoDB: mongod.conf\n"
    "security:\n"
    "  enableEncryption: true\n"
    "  kmip:\n"
    "    serverName: \"%H\"\n"
    "    port: %P\n"
    "    clientCertificateFile: \"%D/client.pem\"\n"
    "    serverCAFile: \"%D/ca.pem\"\n"
    "\n"
    "# Percona Server for MySQL: mysqld.my, beside mysqld\n"
    "{\"components\": \"file://component_keyring_kmip\"}\n"
    "\n"
    "# Percona Server for MySQL: component_keyring_kmip.cnf, in the plugin directory\n"
    "{\"server_addr\": \"%H\", \"server_port\": \"%P\", \"client_ca\": \"%D/cert.pem\", "
    "\"client_key\": \"%D/key.pem\", \"server_ca\": \"%D/ca.pem\"}\n"
    "\n"
    "# MySQL Enterprise keyring_okv: my.cnf\n"
    "[mysqld]\n"
    "early-plugin-load=keyring_okv.so\n"
    "keyring_okv_conf_dir=%D\n"
    "\n"
    "# PostgreSQL with pg_tde: in psql (by name, since the order differs between releases)\n"
    "SELECT pg_tde_add_global_key_provider_kmip(provider_name => 'keyward', kmip_host => '%H',\n"
    "    kmip_port => %P, kmip_cert_path => '%D/cert.pem',\n"
    "    kmip_key_path => '%D/key.pem', kmip_ca_path => '%D/ca.pem');\n"
    "\n"
    "# VMware vCenter: Configure, Key Providers, Add Standard Key Provider\n"
    "address %H, port %P; then Establish Trust, \"KMS certificate and private key\": upload\n"
    "cert.pem and key.pem, and trust the server's certificate\n";

static const char *key_words(const struct package *package)
{
    return package->made_by_server ? "the server made it for this package and has not kept it"
                                   : "it was made here, the server does not have it";
}

static enum err put_address(const struct package_server *server, struct buf *out)
{
    bool is_ipv6 = strchr(server->host, ':') != NULL;
    return buf_printf(out, is_ipv6 ? "[%s]:%u" : "%s:%u", server->host, server->port);
}

static enum err put_place(const struct package *package, char place, struct buf *out)
{
    switch (place) {
    case 'D':
        return buf_put_str(out, package->directory);
    case 'H':
        return buf_put_str(out, package->server.host);
    case 'P':
        return buf_printf(out, "%u", package->server.port);
    case 'A':
        return put_address(&package->server, out);
    case 'K':
        return buf_put_str(out, key_words(package));
    default:
        return buf_put_str(out, package->name);
    }
}

enum err page_write(const struct package *package, struct buf *out)
{
    for (const char *p = page; *p != '\0'; p++) {
        if (*p == '%')
            TRY(put_place(package, *++p, out));
        else
            TRY(buf_put_u8(out, (uint8_t)*p));
    }
    return ERR_OK;
}

enum err page_okvclient(const struct package *package, struct buf *out)
{
    TRY(buf_put_str(out, "SERVER="));
    TRY(put_address(&package->server, out));
    TRY(buf_put_str(out, "\nSTANDBY_SERVER="));
    TRY(put_address(&package->server, out));
    return buf_put_u8(out, '\n');
}
