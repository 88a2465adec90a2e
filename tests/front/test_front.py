# SPDX-License-Identifier: Apache-2.0
"""keyward-front between real TLS clients and a fake engine: identity, deadlines, dying engines, bad bytes.

The test plays the supervisor: it hands out the listening socket and the channels over descriptor 3.
"""
import array
import hashlib
import os
import pathlib
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "lib"), str(HERE.parent / "kmip")]

import built  # noqa: E402
import client as kmip  # noqa: E402
import roles  # noqa: E402

ATTACH, STOP, READY = 1, 2, 3
MESSAGE = "IIII400s"  # struct proc_message
# Of src/wire/limits.h, in seconds.
HANDSHAKE, ENGINE_WAIT, ENGINE_ANSWER = 10, 5, 60
READER, WRITER, LISTENER, TICKETS, MEMORY = map(roles.number, ("READER", "WRITER", "LISTENER", "TICKETS", "MEMORY"))
SHARED_BYTES = 2 * (2 * 64 + 64 * 1024)  # struct lane_memory


def openssl(*arguments, cwd):
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True)


def make_ca(directory, name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt", cwd=directory)


def make_cert(directory, name, ca, usage, days="2", key="ec"):
    algorithm = {"ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa1024": ["-newkey", "rsa:1024"]}
    openssl("req", *algorithm[key], "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr",
            cwd=directory)
    (directory / f"{name}.ext").write_text(f"extendedKeyUsage={usage}\nsubjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.crt", "-CAkey", f"{ca}.key", "-days", days,
            "-extfile", f"{name}.ext", "-out", f"{name}.crt", cwd=directory)


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certs")
    make_ca(directory, "ca")
    make_ca(directory, "stranger")
    make_cert(directory, "server", "ca", "serverAuth")
    make_cert(directory, "client", "ca", "clientAuth")
    make_cert(directory, "wrongca", "stranger", "clientAuth")
    make_cert(directory, "wronguse", "ca", "serverAuth")
    make_cert(directory, "expired", "ca", "clientAuth", days="-1")
    make_cert(directory, "weak", "ca", "clientAuth", key="rsa1024")
    return directory


class Front:
    """One keyward-front and the supervisor's end of its control channel."""

    def __init__(self, root, certs, key="server.key", **settings):
        (root / "etc/keyward").mkdir(parents=True)
        lines = "".join(f'{key}="{value}"\n' for key, value in settings.items())
        (root / "etc/keyward/keywardd.conf").write_text(lines)
        tls = root / "var/lib/keyward/tls"
        tls.mkdir(parents=True)
        for source, name in (("server.key", key), ("server.crt", "server.crt"), ("ca.crt", "ca.crt")):
            (tls / name).write_bytes((certs / source).read_bytes())
            (tls / name).chmod(0o600)
        self.certs, self.engines, self.root = certs, [], root
        self.log_path = root / "front.log"
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control = ours
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [built.find("keyward-front"), f"--root={root}", "--index=0"], stderr=log, stdin=subprocess.DEVNULL,
                # A sanitizer that looks for leaks makes calls that the front may not make.
                env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
                preexec_fn=lambda: os.dup2(theirs.fileno(), 3), pass_fds=(3,))
        theirs.close()
        ours.settimeout(60)
        assert struct.unpack(MESSAGE, ours.recv(1024))[0] == READY, self.log()
        self.attach(LISTENER, 0, self.listener.fileno())

    def log(self):
        return self.log_path.read_text()

    def attach(self, role, index, fd):
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))
        self.control.sendmsg([struct.pack(MESSAGE, ATTACH, role, index, 0, b"")], [rights])

    def engine(self, role, index=0, mode="answer"):
        ours, theirs = socket.socketpair()
        memory = os.memfd_create("channel")
        os.ftruncate(memory, SHARED_BYTES)
        process = subprocess.Popen([built.find("fake-engine"), mode], stdin=ours, stdout=memory)
        ours.close()
        self.attach(MEMORY, 0, memory)
        os.close(memory)
        self.attach(role, index, theirs.fileno())
        theirs.close()
        self.engines.append(process)
        return process

    def endpoint(self, name="client"):
        return kmip.Endpoint("127.0.0.1", self.port, self.certs / "ca.crt", self.certs / f"{name}.crt",
                             self.certs / f"{name}.key")

    def stop(self):
        self.control.send(struct.pack(MESSAGE, STOP, 0, 0, 0, b""))
        return self.process.wait(60)

    def remove(self):
        for process in [self.process, *self.engines]:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.control.close()
        self.listener.close()


@pytest.fixture
def front(tmp_path, certs):
    made = Front(tmp_path, certs)
    yield made
    made.remove()


@pytest.fixture
def served(front):
    front.engine(READER, 0)
    front.engine(READER, 1)
    front.engine(WRITER)
    return front


def eventually(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not in {seconds} s: {what}"
        time.sleep(0.02)


@pytest.mark.parametrize("version", kmip.VERSIONS)
def test_a_get_is_answered_in_its_version(served, version):
    with served.endpoint().connect(version) as client:
        for _ in range(4):
            response = client.batch(kmip.operation("Get", kmip.uid_field("u-1")))
            assert response.version == version
            answer = response.items[0]
            assert answer.ok
            material = answer.payload.get("Symmetric Key", "Key Block", "Key Value", "Key Material")
            assert material[:4] == bytes([0xA5, 1, 2, 3])


def test_the_engine_learns_who_asks(served):
    der = ssl.PEM_cert_to_DER_cert((served.certs / "client.crt").read_text())
    with served.endpoint().connect((1, 4)) as client:
        told = client.attributes("u")
        assert told["x-fingerprint"] == [hashlib.sha256(der).hexdigest()]
        assert told["x-version"] == [0x0104]
        assert told["x-address"] == ["%s:%d" % client.socket.getsockname()]
        assert "Original Creation Date" in told
    with served.endpoint().connect((1, 0)) as client:
        assert "Original Creation Date" not in client.attributes("u")


def test_a_change_goes_to_the_writer(front):
    front.engine(WRITER)
    with front.endpoint().connect() as client:
        assert client.create("k") == "created"


def test_pipelined_requests_keep_their_order(served):
    with served.endpoint().connect() as client:
        uids = [f"u-{n}" for n in range(200)]
        data = b"".join(kmip.ttlv.encode(kmip.message((1, 4), kmip.operation("Get", kmip.uid_field(uid)))) for uid in uids)
        client.send(data)  # what the front does not read yet fits into the sockets
        assert [client.receive().items[0].payload.get("Unique Identifier") for _ in uids] == uids


def test_a_request_may_come_byte_by_byte(served):
    data = kmip.ttlv.encode(kmip.message((1, 4), kmip.operation("Get", kmip.uid_field("u"))))
    with served.endpoint().connect() as client:
        for n in range(len(data)):
            client.send(data[n:n + 1])
        assert client.receive().items[0].ok


def test_query_needs_no_engine(front):
    with front.endpoint().connect() as client:
        assert {"Get", "Create", "Locate"} <= client.operations()
        response = client.batch(kmip.operation("Discover Versions"))
        assert len(response.items[0].payload.all("Protocol Version")) == 7


@pytest.mark.parametrize("name", ["wrongca", "wronguse", "expired", "weak"])
def test_other_certificates_are_refused_in_words(served, name):
    made = kmip.context(served.certs / "ca.crt")
    made.set_ciphers("DEFAULT@SECLEVEL=0")
    made.load_cert_chain(served.certs / f"{name}.crt", served.certs / f"{name}.key")
    with pytest.raises((OSError, kmip.Closed)):
        client = kmip.Client(served.endpoint(), tls_context=made)
        client.batch(kmip.operation("Query", kmip.item("Query Function", "Query Operations")))
    eventually(lambda: "event=tls_refused" in served.log(), "a line about the refusal")
    assert 'reason="' in served.log()


def test_a_client_without_a_certificate_is_refused(served):
    with pytest.raises((OSError, kmip.Closed)):
        client = kmip.Client(served.endpoint(), tls_context=kmip.context(served.certs / "ca.crt"))
        client.batch(kmip.operation("Query", kmip.item("Query Function", "Query Operations")))
    eventually(lambda: "no certificate: the client showed none" in served.log(), "the reason in words")


def test_old_protocols_and_plain_text_are_refused(served):
    old = kmip.context(served.certs / "ca.crt", served.certs / "client.crt", served.certs / "client.key",
                       ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
    old.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.raises((OSError, ssl.SSLError)):
        kmip.Client(served.endpoint(), tls_context=old)
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
        try:
            while raw.recv(100):
                pass
        except ConnectionError:
            pass


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_resumed_connection_has_its_identity(served, most):
    made = kmip.context(served.certs / "ca.crt", served.certs / "client.crt", served.certs / "client.key", most=most)
    endpoint = served.endpoint()
    with kmip.Client(endpoint, tls_context=made) as first:
        fingerprint = first.attributes("u")["x-fingerprint"]
        session = first.socket.session
    raw = socket.create_connection(("127.0.0.1", served.port), timeout=60)
    resumed = made.wrap_socket(raw, server_hostname="127.0.0.1", session=session)
    assert resumed.session_reused
    second = object.__new__(kmip.Client)
    second.endpoint, second.version, second.socket = endpoint, (1, 4), resumed
    with second:
        assert second.attributes("u")["x-fingerprint"] == fingerprint


def resumes(front, made, session):
    with socket.create_connection(("127.0.0.1", front.port), timeout=60) as raw:
        with made.wrap_socket(raw, server_hostname="127.0.0.1", session=session) as resumed:
            return resumed.session_reused


@pytest.mark.parametrize("shared", [True, False])
def test_fronts_resume_what_another_began_when_they_share_keys(tmp_path, certs, shared):
    keys = os.memfd_create("tickets")
    os.write(keys, os.urandom(80))
    fronts = []
    try:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            fronts.append(Front(tmp_path / name, certs))
            if shared:
                fronts[-1].attach(TICKETS, 0, keys)
            fronts[-1].engine(READER)
        made = kmip.context(certs / "ca.crt", certs / "client.crt", certs / "client.key")
        with kmip.Client(fronts[0].endpoint(), tls_context=made) as client:
            client.attributes("u")
            session = client.socket.session
        assert resumes(fronts[0], made, session)
        assert resumes(fronts[1], made, session) == shared
    finally:
        os.close(keys)
        for front in fronts:
            front.remove()


def test_a_read_is_asked_again_when_its_engine_dies(front):
    front.engine(READER, 0, "die")
    with front.endpoint().connect() as client:
        client.send(kmip.ttlv.encode(kmip.message((1, 4), kmip.operation("Get", kmip.uid_field("u")))))
        eventually(lambda: "event=engine_gone" in front.log(), "the engine's end")
        front.engine(READER, 0)
        assert client.receive().items[0].ok


def test_a_change_whose_engine_dies_is_not_called_failed(front):
    front.engine(WRITER, 0, "die")
    with front.endpoint().connect() as client:
        answer = client.batch(kmip.create((1, 4), kmip.key_attributes("k"))).items[0]
        assert answer.reason_is("General Failure")
        assert "outcome is unknown" in answer.message


def test_without_engines_requests_wait_and_then_fail(front):
    with front.endpoint().connect() as client:
        started = time.monotonic()
        answer = client.batch(kmip.operation("Get", kmip.uid_field("u"))).items[0]
        assert answer.reason_is("General Failure")
        assert ENGINE_WAIT - 1 < time.monotonic() - started < ENGINE_ANSWER
        front.engine(READER)
        assert client.batch(kmip.operation("Get", kmip.uid_field("u"))).items[0].ok


def test_a_client_that_leaves_early_harms_nobody(front):
    front.engine(READER, 0, "mute")
    for _ in range(20):
        with front.endpoint().connect() as client:
            client.send(kmip.ttlv.encode(kmip.message((1, 4), kmip.operation("Get", kmip.uid_field("u")))))
    front.engine(READER, 0)
    with front.endpoint().connect() as client:
        assert client.batch(kmip.operation("Get", kmip.uid_field("u"))).items[0].ok


@pytest.mark.parametrize("data", [
    bytes.fromhex("42007801ffffffff"), bytes.fromhex("420078017ffffff8"), b"GET / HTTP/1.1\r\n\r\n", bytes(64),
    bytes.fromhex("4200780100000009") + bytes(16)])
def test_what_is_no_message_is_answered_and_closed(served, data):
    with served.endpoint().connect() as client:
        client.send(data)
        assert client.receive().items[0].reason_is("Invalid Message", "Response Too Large")
        with pytest.raises(kmip.Closed):
            client.read(1)
    with served.endpoint().connect() as client:
        assert client.batch(kmip.operation("Get", kmip.uid_field("u"))).items[0].ok


def test_a_malformed_message_does_not_end_the_connection(served):
    data = bytearray(kmip.ttlv.encode(kmip.message((1, 3), kmip.operation("Get", kmip.uid_field("u")))))
    data[-1] = 1  # padding
    with served.endpoint().connect() as client:
        response = client.exchange(kmip.Raw(bytes(data)))
        assert response.version == (1, 3)
        assert response.items[0].reason_is("Invalid Message")
        assert client.batch(kmip.operation("Get", kmip.uid_field("u"))).items[0].ok


def is_dropped(connection):
    try:
        return connection.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


@pytest.fixture
def made(tmp_path, certs):
    """made(NAME=value, …) gives a front with these settings and an engine."""
    fronts = []

    def make(**settings):
        fronts.append(Front(tmp_path, certs, **settings))
        fronts[-1].engine(READER)
        return fronts[-1]
    yield make
    for front in fronts:
        front.remove()


def test_silent_peers_do_not_keep_a_proper_one_out(made):
    served = made(KMIP_HANDSHAKE_SECONDS=3600)  # it is no deadline that makes room
    silent = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(700)]
    try:
        with served.endpoint().connect() as client:
            assert client.batch(kmip.operation("Get", kmip.uid_field("u"))).items[0].ok
        # No more than an address may have in its handshake is held.
        eventually(lambda: sum(map(is_dropped, silent)) >= 400, "the oldest being dropped")
    finally:
        for one in silent:
            one.close()


def ends_in(peer, seconds, began):
    """The peer ends the connection so long after `began`, and sooner than where nothing is configured. The latter counts by the
    looks that were in vain: while the machine stands still nobody is kept waiting."""
    peer.settimeout(0.1)
    looks = 0
    while True:
        try:
            assert not peer.recv(1)
            break
        except TimeoutError:
            looks += 1
            assert looks < HANDSHAKE / 0.1  # the least that is said
        except (ConnectionError, ssl.SSLError):
            break
    assert time.monotonic() - began > seconds - 0.5


@pytest.mark.parametrize("said", ["", "16030100c8010000c40303"], ids=["silent", "half a client hello"])
def test_a_peer_that_begins_no_tls_meets_the_handshake_deadline(made, said):
    hasty, began = made(KMIP_HANDSHAKE_SECONDS=1), time.monotonic()
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=60) as raw:
        raw.sendall(bytes.fromhex(said))
        ends_in(raw, 1, began)
    eventually(lambda: "no TLS handshake in time" in hasty.log(), "the reason")


def test_an_idle_client_meets_the_idle_deadline(made):
    hasty, began = made(KMIP_IDLE_SECONDS=3), time.monotonic()
    with hasty.endpoint().connect() as client:
        assert client.batch(kmip.operation("Get", kmip.uid_field("u"))).items[0].ok
        ends_in(client.socket, 3, began)


def test_a_request_that_trickles_meets_its_own_deadline(made):
    """A byte now and then does not put the deadline off."""
    hasty = made(KMIP_REQUEST_SECONDS=1)
    data = kmip.ttlv.encode(kmip.message((1, 4), kmip.operation("Get", kmip.uid_field("u"))))
    with hasty.endpoint().connect() as client:
        client.socket.settimeout(0.2)
        with pytest.raises(kmip.Closed):
            for n in range(100):
                client.send(data[n:n + 1])
                try:
                    client.read(1)
                except TimeoutError:
                    pass
    eventually(lambda: "a request was begun and not finished in time" in hasty.log(), "the reason")


@pytest.mark.parametrize("value", ["0", "-1", "ten", "86401", ""])
def test_a_deadline_that_is_none_is_refused(tmp_path, certs, value):
    made = Front(tmp_path, certs)
    made.stop()
    made.remove()
    (tmp_path / "etc/keyward/keywardd.conf").write_text(f'KMIP_IDLE_SECONDS="{value}"\n')
    result = subprocess.run([built.find("keyward-front"), f"--root={tmp_path}"], capture_output=True, text=True, timeout=60)
    assert result.returncode != 0
    assert "KMIP_IDLE_SECONDS" in result.stderr and "from 1 to 86400" in result.stderr


def test_a_stop_waits_for_the_request_in_hand(front):
    front.engine(READER, 0, "mute")
    with front.endpoint().connect() as client:
        client.send(kmip.ttlv.encode(kmip.message((1, 4), kmip.operation("Get", kmip.uid_field("u")))))
        other = front.endpoint().connect()
        front.control.send(struct.pack(MESSAGE, STOP, 0, 0, 0, b""))
        with pytest.raises(kmip.Closed):
            other.read(1)  # idle: closed at once
        front.engines[0].kill()
        front.engine(READER, 0)
        assert client.receive().items[0].ok
        assert front.process.wait(60) == 0


def test_a_stop_lets_an_answer_be_taken(front):
    front.engine(READER, 0, "big")
    made = kmip.context(front.certs / "ca.crt", front.certs / "client.crt", front.certs / "client.key")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that it stays with the front
    raw.settimeout(60)
    raw.connect(("127.0.0.1", front.port))
    client = object.__new__(kmip.Client)
    client.endpoint, client.version, client.socket = front.endpoint(), (1, 4), made.wrap_socket(raw, server_hostname="127.0.0.1")
    with client, front.endpoint().connect() as idle:
        client.send(kmip.ttlv.encode(kmip.message((1, 4), kmip.operation("Get", kmip.uid_field("u")))))
        head = client.read(8)
        front.control.send(struct.pack(MESSAGE, STOP, 0, 0, 0, b""))
        with pytest.raises(kmip.Closed):
            idle.read(1)
        assert len(client.read(int.from_bytes(head[4:], "big"))) > 3 * 1024 * 1024
    assert front.process.wait(60) == 0


def test_a_stop_finishes_and_ends(served):
    with served.endpoint().connect() as client:
        assert client.batch(kmip.operation("Get", kmip.uid_field("u"))).items[0].ok
        assert served.stop() == 0
        with pytest.raises(kmip.Closed):
            client.read(1)


def test_the_front_ends_with_its_supervisor(served):
    served.control.close()
    assert served.process.wait(60) is not None


def test_a_key_that_others_may_read_is_refused(tmp_path, certs):
    made = Front(tmp_path, certs)
    made.stop()
    made.remove()
    (tmp_path / "var/lib/keyward/tls/server.key").chmod(0o644)
    result = subprocess.run([built.find("keyward-front"), f"--root={tmp_path}"], capture_output=True, text=True, timeout=60)
    assert result.returncode != 0
    assert "server.key" in result.stderr and "0600" in result.stderr


def test_a_key_that_is_not_yet_in_its_place_is_used(tmp_path, certs):
    made = Front(tmp_path, certs, key="server.key.next")
    made.engine(READER)
    with made.endpoint().connect() as client:
        assert client.batch(kmip.operation("Get", kmip.uid_field("u"))).items[0].ok
    made.remove()


def test_signals_of_the_pipe_kind_do_not_end_it(served):
    os.kill(served.process.pid, signal.SIGPIPE)
    with served.endpoint().connect() as client:
        assert client.batch(kmip.operation("Get", kmip.uid_field("u"))).items[0].ok
