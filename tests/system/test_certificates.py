# SPDX-License-Identifier: Apache-2.0
"""Certificates on a whole server: each is replaced while clients go on, what was signed outside is checked, and a change of the
authority keeps everybody until it is over. One server for all tests."""
import json
import pathlib
import socket
import ssl
import subprocess

import pytest
from kmip.core import enums
from kmip.core.exceptions import OperationFailure
from kmip.pie.exceptions import KmipOperationFailure

from server import Server, wait_for, write_private

AES = enums.CryptographicAlgorithm.AES
NO_MESSAGE = bytes(64)  # answered to whoever gets through the handshake


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("certificates") / "server")
    made.setup()
    yield made
    made.remove()


def openssl(*arguments, **more):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True, timeout=60, **more).stdout


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """An authority outside: .sign(csr, extensions) gives certificate and root as one PEM text."""
    where = tmp_path_factory.mktemp("outside")

    class Outside:
        def __init__(self):
            openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", where / "root.key",
                    "-out", where / "root.pem", "-days", 30, "-subj", "/CN=Outside Root", "-addext",
                    "keyUsage=critical,keyCertSign,cRLSign")
            self.root = (where / "root.pem").read_text()

        def sign(self, csr, extensions, days=20):
            (where / "csr.pem").write_text(csr)
            (where / "ext").write_text("subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n" + "\n".join(extensions))
            return openssl("x509", "-req", "-in", where / "csr.pem", "-CA", where / "root.pem", "-CAkey", where / "root.key",
                           "-days", days, "-extfile", where / "ext") + self.root
    return Outside()


def pem_file(server, text):
    return write_private(server.root / "chain.pem", text)


def shown(server, name="client", trust=None):
    """The certificate (DER) that a new connection of an endpoint meets."""
    where = server.enroll(name)
    context = ssl.create_default_context(cafile=trust or where / "ca.pem")
    context.check_hostname = False
    context.load_cert_chain(where / "cert.pem", where / "key.pem")
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain:
        with context.wrap_socket(plain) as tls:
            return tls.getpeercert(binary_form=True)


def first_certificate(pem):
    return ssl.PEM_cert_to_DER_cert(pem[:pem.index("-----END CERTIFICATE-----") + 25] + "\n")


def wait_until_shown(server, pem, **more):
    wanted = first_certificate(pem)
    wait_for("the new certificate to be shown", lambda: shown(server, **more) == wanted)


def refused(call, *arguments):
    with pytest.raises((KmipOperationFailure, OperationFailure)):
        call(*arguments)


def failure(server, *arguments):
    done = server.keyward(*arguments, check=False)
    assert done.returncode != 0, done.stdout
    return done.stderr


def test_connections_go_on_while_the_servers_certificate_rotates(server):
    with server.client() as one, server.client() as two:
        uid = one.create(AES, 256)
        for names in ("localhost,127.0.0.1", "localhost,127.0.0.1,kv2.example"):
            pem = server.json("certificate", "rotate", "server", "--names", names)["certificate"]
            wait_until_shown(server, pem)
            assert one.get(uid).value == two.get(uid).value
    with server.client() as fresh:
        assert fresh.get(uid)
    assert "kv2.example" in server.json("certificate", "show", "server")["names"]
    server.restart()
    assert first_certificate(pem) == shown(server)


def test_the_authority_changes_while_both_are_trusted(server):
    for name in ("stays", "moves"):
        server.enroll(name)
    with server.client("stays") as stays, server.client("moves") as moves:
        uid = stays.create(AES, 256)
        server.keyward("ca", "rotate")
        assert stays.get(uid)
        new = server.root / "clients" / "moved"
        server.keyward("endpoint", "rotate", "moves", "--out", new)
        assert (new / "ca.pem").read_text().count("BEGIN CERTIFICATE") == 2
        names = [row["name"] for row in server.json("ca", "status")["endpoints"]]
        assert "stays" in names and "moves" not in names
        wait_for("the new authority to be trusted", lambda: shown_or_none(server, "moved"))
        assert len(server.fetch(moves.create(AES, 256), "moved")) == 32
        assert "endpoints have no certificate of the new authority" in failure(server, "ca", "finish")
        server.kill("front")
        server.kill("writer")
        wait_for("the server to serve again", lambda: shown_or_none(server, "stays"))
        # Without a writer that is told instead.
        wait_for("the refusal", lambda: "already" in failure(server, "ca", "cancel"))
        done = server.json("ca", "finish", "--force")
        assert done["finished"] and done["endpoints_cut_off"] >= 1
    with server.client("moved") as moved:
        assert moved.create(AES, 256)
    wait_for("the old authority to be refused", lambda: not shown_or_none(server, "stays", verify=False))
    assert server.json("endpoint", "show", "stays")["state"] == "registered"


def shown_or_none(server, name, verify=True):
    """What `shown` gives, None when the handshake, or a request after it, is refused. Not `verify`: the client takes any
    server, so that the server has to refuse it."""
    where = server.root / "clients" / name
    context = ssl.create_default_context(cafile=where / "ca.pem")
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    context.load_cert_chain(where / "cert.pem", where / "key.pem")
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as plain:
            with context.wrap_socket(plain) as tls:
                tls.sendall(NO_MESSAGE)
                return tls.getpeercert(binary_form=True) if tls.recv(1) else None
    except TimeoutError:
        raise
    except OSError:
        return None


def test_why_a_client_cannot_connect_is_told(server, tmp_path):
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert,
            "-subj", "/CN=nobody\\nknows me", "-days", 2)
    def connect(*arguments):
        subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", *map(str, arguments)],
                       input="", capture_output=True, text=True, timeout=60)
    connect()
    connect("-cert", cert, "-key", key)
    connect("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        plain.recv(100)
    assert shown_or_none(server, "stays") is None
    assert shown_or_none(server, "stays", verify=False) is None

    def told():
        rows = server.json("endpoint", "tls-failures")["failures"]
        reasons = " | ".join(row["reason"] for row in rows)
        words = ("no certificate", "self-signed", "TLS 1.1", "HTTP", "does not know the authority", "does not trust")
        return rows if all(word in reasons for word in words) else None
    rows = wait_for("all the reasons", told)
    stranger = next(row for row in rows if "self-signed" in row["reason"])
    assert "nobody" in stranger["subject"] and len(stranger["fingerprint"]) == 64 and stranger["endpoint"] is None
    assert all(row["address"] == "127.0.0.1" and row["count"] >= 1 for row in rows)
    last = server.json("endpoint", "show", "stays")["last_tls_failure"]
    assert "unknown CA" in last["reason"] and last["subject"] == "CN=stays"
    assert server.json("endpoint", "show", "moves")["last_tls_failure"] is None


def test_an_authority_signed_outside_takes_over(server, outside):
    csr = server.json("ca", "request", "--common-name", "Keyward below Outside")["csr"]
    assert server.json("ca", "request")["csr"] == csr
    plain = outside.sign(csr, ["basicConstraints=critical,CA:FALSE"])
    assert "is no authority's" in failure(server, "ca", "install", "--certificate-file", pem_file(server, plain))
    good = outside.sign(csr, ["basicConstraints=critical,CA:TRUE,pathlen:0", "keyUsage=critical,keyCertSign,cRLSign"])
    alone = good.replace(outside.root, "")
    assert "Outside Root" in failure(server, "ca", "install", "--certificate-file", pem_file(server, alone))
    server.keyward("ca", "install", "--certificate-file", pem_file(server, good))
    server.keyward("ca", "finish", "--force")
    trust = server.json("ca", "show")["trust"]
    assert trust.count("BEGIN CERTIFICATE") == 2
    name = "below-outside"
    out = server.enroll(name)
    openssl("verify", "-CAfile", out / "ca.pem", out / "cert.pem")
    wait_for("an endpoint below the new authority to be served", lambda: shown_or_none(server, name))
    # A certificate of whoever stands above is not one of ours.
    key, request = server.root / "stranger.key", server.root / "stranger.csr"
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request,
            "-subj", "/CN=below-outside")
    stranger = server.root / "clients" / "stranger"
    stranger.mkdir(mode=0o700)
    (stranger / "cert.pem").write_text(outside.sign(request.read_text(), ["extendedKeyUsage=clientAuth"]))
    (stranger / "key.pem").write_text(key.read_text())
    (stranger / "ca.pem").write_text((out / "ca.pem").read_text())
    assert shown_or_none(server, "stranger") is None


def test_a_console_certificate_signed_outside_is_installed_and_removed(server, outside):
    csr = server.json("certificate", "request", "console", "--names", "console.example")["csr"]
    chain = outside.sign(csr, ["subjectAltName=DNS:console.example", "extendedKeyUsage=serverAuth", "basicConstraints=CA:FALSE"])
    answer = server.json("certificate", "install", "console", "--certificate-file", pem_file(server, chain))
    assert answer["names"] == ["console.example"] and not answer["own"]
    assert (server.root / "var/lib/keyward/tls/console.crt").read_text().count("BEGIN") == 1
    assert "no request is waiting" in failure(server, "certificate", "install", "console", "--certificate-file",
                                              pem_file(server, chain))
    key = server.root / "own.key"
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    key.chmod(0o600)
    assert "another key" in failure(server, "certificate", "install", "console", "--certificate-file", pem_file(server, chain),
                                    "--private-key-file", key)
    assert server.json("certificate", "remove", "console")["shared"]
    assert not (server.root / "var/lib/keyward/tls/console.key").exists()


def test_a_certificate_is_installed_with_its_own_large_key(server, outside):
    key, csr = server.root / "rsa.key", server.root / "rsa.csr"
    openssl("req", "-new", "-newkey", "rsa:4096", "-nodes", "-keyout", key, "-out", csr, "-subj", "/CN=console.example")
    key.chmod(0o600)
    chain = outside.sign(csr.read_text(), ["subjectAltName=DNS:console.example", "extendedKeyUsage=serverAuth", "basicConstraints=CA:FALSE"])
    answer = server.json("certificate", "install", "console", "--certificate-file", pem_file(server, chain), "--private-key-file", key)
    assert answer["names"] == ["console.example"] and not answer["own"]
    server.keyward("certificate", "remove", "console")
    write_private(key, "x" * 16385)
    assert "larger than 16384 bytes" in failure(server, "certificate", "install", "console", "--certificate-file",
                                                pem_file(server, chain), "--private-key-file", key)


def test_bad_certificates_are_refused_by_name(server):
    garbage = pem_file(server, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    server.keyward("certificate", "request", "console")
    assert "cannot be read" in failure(server, "certificate", "install", "console", "--certificate-file", garbage)
    assert "no certificate" in failure(server, "certificate", "install", "console", "--certificate-file", pem_file(server, "x"))
    assert "more than" in failure(server, "certificate", "install", "console", "--certificate-file", pem_file(server, "A" * 100000))


def test_revoked_certificates_are_listed_and_refused_at_once(server):
    with server.client("gone") as gone:
        uid = gone.create(AES, 256)
        cert = server.root / "clients/gone/cert.pem"
        serial = openssl("x509", "-in", cert, "-noout", "-serial").strip().split("=")[1]
        assert len(serial) == 32
        gone.destroy(uid)
        server.keyward("endpoint", "delete", "gone")
        refused(gone.get, uid)
    listed = server.json("crl")["crls"][0]
    path = server.root / "crl.pem"
    path.write_text(listed["crl"])
    assert serial in openssl("crl", "-in", path, "-noout", "-text")
    out = server.enroll("below-outside")
    with pytest.raises(subprocess.CalledProcessError) as verified:
        openssl("verify", "-crl_check", "-CAfile", out / "ca.pem", "-CRLfile", path, cert)
    assert "certificate revoked" in verified.value.stderr + verified.value.stdout


def test_what_expires_is_listed(server):
    rows = server.json("certificate", "list")["certificates"]
    kinds = [row["kind"] for row in rows]
    assert {"authority", "server", "endpoint"} <= set(kinds)
    assert all(row["days_left"] > 0 for row in rows)
    server.keyward("certificate", "set-validity", "--endpoint-days", "3")
    server.enroll("short")
    names = {row["name"] for row in server.json("certificate", "list", "--within-days", "5")["certificates"]}
    assert "short" in names and "client" not in names


def test_every_step_is_in_the_audit_trail(server):
    verbs = json.dumps(server.json("audit", "list", "--limit", "1000"))
    for verb in ("ca rotate", "ca finish", "ca request", "ca install", "certificate rotate", "certificate install"):
        assert f'"{verb}"' in verbs, verb


def test_no_private_key_is_left_beside_the_two(server):
    tls = pathlib.Path(server.root / "var/lib/keyward/tls")
    assert sorted(p.name for p in tls.iterdir()) == ["ca.crt", "server.crt", "server.key"]
