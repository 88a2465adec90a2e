# SPDX-License-Identifier: Apache-2.0
"""Who may connect: an enrolled endpoint's certificate over TLS 1.2 or 1.3, nobody else."""
import socket
import ssl
import subprocess
import threading
import warnings

import client as kmip
import pytest
import watch
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

pytestmark = pytest.mark.usefixtures("unharmed")
REFUSED = (ssl.SSLError, kmip.Closed, ConnectionError)


def is_served(endpoint, **more):
    with endpoint.connect(**more) as client:
        return client.batch(kmip.query("Query Operations")).items[0].ok


def is_refused(endpoint, **more):
    """True when the handshake fails, or (TLS 1.3 tells the client later) the first read after it."""
    try:
        return not is_served(endpoint, **more)
    except REFUSED:
        return True


@pytest.mark.parametrize("protocol", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_enrolled_endpoint_is_served(endpoint, protocol):
    made = kmip.context(endpoint.ca, endpoint.cert, endpoint.key, protocol, protocol)
    assert is_served(endpoint, tls_context=made)


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
                                   "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE+AESGCM"])
def test_common_suites_of_tls_1_2_are_served(endpoint, suite):
    made = kmip.context(endpoint.ca, endpoint.cert, endpoint.key, most=ssl.TLSVersion.TLSv1_2)
    made.set_ciphers(suite + ":ECDHE-ECDSA-AES128-GCM-SHA256")
    assert is_served(endpoint, tls_context=made)


@pytest.mark.parametrize("protocol", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_older_tls_is_refused(endpoint, protocol):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made = kmip.context(endpoint.ca, endpoint.cert, endpoint.key, protocol, protocol)
        made.set_ciphers("ALL:@SECLEVEL=0")
    assert is_refused(endpoint, tls_context=made)


@pytest.mark.parametrize("suite", ["AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "NULL", "aNULL", "CAMELLIA"])
def test_weak_suites_are_refused(endpoint, suite):
    made = kmip.context(endpoint.ca, endpoint.cert, endpoint.key, most=ssl.TLSVersion.TLSv1_2)
    made.set_ciphers(f"{suite}:@SECLEVEL=0")
    assert is_refused(endpoint, tls_context=made)


@pytest.mark.parametrize("protocol", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_without_certificate_is_refused(endpoint, protocol):
    assert is_refused(endpoint, tls_context=kmip.context(endpoint.ca, least=protocol, most=protocol))


ODD = {"not valid yet": {"begins": 3600, "ends": 7200}, "for no use in particular": {"usage": None},
       "name with a NUL": {"subject": "client\0.example"}, "name of all": {"subject": "*"}, "subject of 4,000 bytes": {"subject": x509.Name([
           x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "u" * 64) for _ in range(60)])}}


def stranger(kind, endpoint, directory):
    """An endpoint whose certificate the server must not accept."""
    own, key = watch.load(endpoint.cert), watch.ec_key()
    authority = watch.load(endpoint.ca)
    fake_key = watch.ec_key()
    fake = watch.certificate(fake_key, authority.subject, authority=True, usage=None)
    signed = {"issuer": fake.subject, "issuer_key": fake_key}
    if kind == "other authority of the same name":
        chain = [watch.certificate(key, own.subject, **signed), fake]
    elif kind == "other authority, expired":
        chain = [watch.certificate(key, own.subject, begins=-7200, ends=-3600, **signed), fake]
    elif kind == "signed by itself":
        chain = [watch.certificate(key, own.subject)]
    elif kind == "signed by an endpoint":
        chain = [watch.certificate(key, own.subject, issuer=own.subject, issuer_key=watch.load_key(endpoint.key)), own]
    elif kind == "for servers only, signed by itself":
        chain = [watch.certificate(key, own.subject, usage=ExtendedKeyUsageOID.SERVER_AUTH)]
    elif kind == "signed with SHA-1":
        chain = [watch.certificate(key, own.subject, digest=hashes.SHA1(), **signed), fake]
    elif kind == "RSA of 1024 bits":
        key = watch.rsa_key(1024)
        chain = [watch.certificate(key, own.subject, **signed), fake]
    elif kind == "chain of 20":
        chain = long_chain(key, own.subject, fake, fake_key)
    elif kind == "signed with MD5":
        fake_key = watch.rsa_key()
        fake = watch.certificate(fake_key, authority.subject, authority=True, usage=None)
        chain = [watch.certificate(key, own.subject, fake.subject, fake_key, digest=hashes.MD5()), fake]
    elif kind in ODD:
        chain = [watch.certificate(key, **{"subject": own.subject, **signed, **ODD[kind]}), fake]
    elif kind == "name that the authority may not give":
        only = x509.NameConstraints([x509.DNSName("elsewhere.example")], None)
        fake = watch.certificate(fake_key, authority.subject, authority=True, usage=None, more=[only])
        chain = [watch.certificate(key, own.subject, **signed, more=[x509.SubjectAlternativeName([x509.DNSName("localhost")])]), fake]
    else:
        chain = [watch.certificate(key, "", **signed), fake]
    return watch.imposter(endpoint, *watch.write_pem(directory, "stranger", key, *chain))


def long_chain(key, subject, root, root_key):
    chain, issuer, issuer_key = [root], root.subject, root_key
    for number in range(18):
        middle_key = watch.ec_key()
        chain.insert(0, watch.certificate(middle_key, f"middle {number}", issuer, issuer_key, usage=None, authority=True))
        issuer, issuer_key = chain[0].subject, middle_key
    return [watch.certificate(key, subject, issuer, issuer_key), *chain]


@pytest.mark.parametrize("kind", [
    "other authority of the same name", "other authority, expired", "signed by itself", "signed by an endpoint",
    "for servers only, signed by itself", "signed with SHA-1", "RSA of 1024 bits", "chain of 20", "empty subject",
    "signed with MD5", "name that the authority may not give", *ODD])
def test_stranger_is_refused(endpoint, tmp_path, kind):
    one = stranger(kind, endpoint, tmp_path)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.set_ciphers("DEFAULT:@SECLEVEL=0")
    made.load_verify_locations(one.ca)
    made.load_cert_chain(one.cert, one.key)
    assert is_refused(one, tls_context=made)


def test_plain_bytes_are_refused(endpoint):
    for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes.fromhex("42007801000000080000000000000000"),
                 b"\x80\x2e\x01\x03\x01"):
        with socket.create_connection((endpoint.host, endpoint.port), timeout=15) as one:
            one.sendall(data)
            assert b"HTTP" not in read_to_the_end(one)


def read_to_the_end(one):
    data = b""
    try:
        while part := one.recv(4096):
            data += part
    except ConnectionError:
        pass
    return data


@pytest.mark.parametrize("protocol", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_resumed_session_is_still_the_same_endpoint(endpoint, protocol):
    """Clients that connect for each request resume; who they are is looked up again all the same. Which process takes a
    connection is chance, so several are made."""
    made = kmip.context(endpoint.ca, endpoint.cert, endpoint.key, protocol, protocol)
    with endpoint.connect(tls_context=made) as client:
        uid = client.create()
        session = client.socket.session
    resumed = 0
    for _ in range(32):
        with socket.create_connection((endpoint.host, endpoint.port), timeout=15) as raw:
            with made.wrap_socket(raw, server_hostname=endpoint.host, session=session) as client.socket:
                resumed += client.socket.session_reused
                assert client.state(uid) == "Pre-Active"
    assert resumed
    with endpoint.connect() as client:
        client.destroy(uid)


def s_client(endpoint, *options, text="", until=""):
    """What `openssl s_client` says when it is told `text`, up to `until` or the end."""
    command = ["stdbuf", "-oL", "openssl", "s_client", "-connect", f"{endpoint.host}:{endpoint.port}", "-CAfile", endpoint.ca, "-cert",
               endpoint.cert, "-key", endpoint.key, *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        guard = threading.Timer(20, process.kill)
        guard.start()
        process.stdin.write(text.encode())
        process.stdin.flush()
        said = ""
        for line in process.stdout:
            said += line.decode(errors="replace")
            if until in said:
                break
        process.kill()
        guard.cancel()
    return said


def test_renegotiation_is_refused(endpoint):
    assert "no renegotiation" in s_client(endpoint, "-tls1_2", text="R\n", until="no renegotiation")


def test_tickets_allow_no_early_data(endpoint):
    assert "Max Early Data: 0" in s_client(endpoint, "-tls1_3", until="Max Early Data: ")


def test_server_shows_a_certificate_for_its_name_and_address(endpoint):
    made = kmip.context(endpoint.ca, endpoint.cert, endpoint.key)
    for name in ("localhost", "127.0.0.1"):
        with socket.create_connection((endpoint.host, endpoint.port), timeout=15) as raw:
            with made.wrap_socket(raw, server_hostname=name) as one:
                assert one.getpeercert()["subjectAltName"]


def test_connection_goes_on_after_a_refused_request(connect):
    client = connect()
    assert not client.batch(kmip.get("there-is-no-such-object")).items[0].ok
    assert client.batch(kmip.query("Query Operations")).items[0].ok


def test_hundred_connections_are_served_side_by_side(endpoint):
    clients = [endpoint.connect() for _ in range(100)]
    try:
        for client in clients:
            client.send(kmip.ttlv.encode(kmip.message((1, 4), kmip.query("Query Operations"))))
        assert all(client.receive().items[0].ok for client in clients)
    finally:
        for client in clients:
            client.close()
