# SPDX-License-Identifier: Apache-2.0
"""keyward-web alone, on the control channel that the supervisor would give it: HTTP that is not strict is refused, and the
process, confined as in a server, lives on."""
import array
import json
import os
import re
import socket
import struct
import subprocess

import pytest

import roles

from server import PROGRAMS

MESSAGE = "=IIII400s"  # struct proc_message
ATTACH, STOP, READY = 1, 2, 3
LISTENER, LOCAL_KEY = map(roles.number, ("LISTENER", "LOCAL_KEY"))
KEY = b"6b" * 32
SHOWN = b"X-Keyward-Local: " + KEY + b"\r\n"


class Web:
    def __init__(self, folder):
        self.path = str(folder / "api.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen(1024)
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(60)
        self.log = open(folder / "log", "w+")
        self.process = subprocess.Popen([str(PROGRAMS / "keyward-web")], stderr=self.log, pass_fds=[3],
                                        preexec_fn=lambda: os.dup2(theirs.fileno(), 3, inheritable=True))
        theirs.close()
        with os.fdopen(os.memfd_create("local key"), "w+b") as key:
            key.write(KEY)
            key.flush()
            self.give(LOCAL_KEY, key.fileno())
        self.give(LISTENER, listener.fileno())
        listener.close()
        assert struct.unpack(MESSAGE, self.control.recv(1024))[0] == READY

    def give(self, role, fd):
        self.control.sendmsg([struct.pack(MESSAGE, ATTACH, role, 0, 0, b"")],
                             [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])

    def connect(self):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(60)
        client.connect(self.path)
        return client

    def ask(self, request, shown=SHOWN):
        """Status, head and body of the answer; the connection stays open only as long as it takes. shown: goes into the head."""
        line, end, rest = request.partition(b"\r\n")
        with self.connect() as client:
            client.sendall(line + end + shown + rest if line.endswith(b" HTTP/1.1") else request)
            data = b""
            while b"\r\n\r\n" not in data:
                more = client.recv(65536)
                assert more, f"closed after {data!r}"
                data += more
            head, body = data.split(b"\r\n\r\n", 1)
            length = re.search(rb"(?i)content-length: (\d+)", head)
            while length and len(body) < int(length[1]):
                body += client.recv(65536)
            return int(head.split()[1]), head.decode(), body

    def stop(self):
        self.control.send(struct.pack(MESSAGE, STOP, 0, 0, 0, b""))
        return self.process.wait(60)


@pytest.fixture
def web(tmp_path):
    made = Web(tmp_path)
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.wait()
    made.control.close()
    made.log.close()


def post(body, *headers):
    lines = ["POST /api/v1/keys HTTP/1.1", "Host: x", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


JSON = "Content-Type: application/json"

REFUSED = {
    "a length twice": (post(b"{}", JSON, "Content-Length: 2", "Content-Length: 3"), 400),
    "a host twice": (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "chunks": (post(b"2\r\n{}\r\n0\r\n\r\n", JSON, "Transfer-Encoding: chunked"), 400),
    "chunks and a length": (post(b"0\r\n\r\n", JSON, "Transfer-Encoding: chunked", "Content-Length: 5"), 400),
    "packed content": (post(b"{}", JSON, "Content-Encoding: gzip", "Content-Length: 2"), 415),
    "a form": (post(b"a=1", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 3"), 415),
    "JSON under another name": (post(b"{}", "Content-Type: text/plain", "Content-Length: 2"), 415),
    "no type": (post(b"{}", "Content-Length: 2"), 415),
    "chunks twice": (post(b"0\r\n\r\n", JSON, "Transfer-Encoding: chunked, chunked"), 400),
    "a chunk of any size": (post(b"FFFFFFFFFFFFFFFF\r\n", JSON, "Transfer-Encoding: chunked"), 400),
    "chunks by a hidden header": (post(b"{}", JSON, "Transfer-Encoding : chunked", "Content-Length: 2"), 400),
    "a folded header": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400),
    "bare line feeds": (b"GET /healthz HTTP/1.1\nHost: x\n\n", 400),
    "a bare carriage return": (b"GET /healthz HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", 400),
    "a NUL": (b"GET /healthz HTTP/1.1\r\nHost: x\0\r\n\r\n", 400),
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    "a signed length": (post(b"{}", JSON, "Content-Length: +2"), 400),
    "two lengths in one": (post(b"{}", JSON, "Content-Length: 2, 2"), 400),
    "an endless length": (post(b"{}", JSON, "Content-Length: 99999999999999999999999999"), 413),
    "a wait for permission": (post(b"", JSON, "Content-Length: 2", "Expect: 100-continue"), 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/3": (b"GET /healthz HTTP/3.0\r\nHost: x\r\n\r\n", 400),
    "a star": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "an address of 64 KiB": (b"GET /" + b"a" * 65536 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "an encoded control character": (b"GET /api/v1/keys/%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "an address with a raw byte": (b"GET /api/v1/keys/\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a method of 32 letters": (b"A" * 32 + b" /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "PROPFIND": (b"PROPFIND /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "CONNECT": (b"CONNECT evil:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a member twice": (post(b'{"a":1,"a":2}', JSON, "Content-Length: 13"), 400),
    "an absolute address": (b"GET http://evil/healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a fragment": (b"GET /healthz#x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "an unknown parameter": (b"GET /api/v1/keys?fields=material HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a body too long": (post(b"", JSON, "Content-Length: 1048577"), 413),
    "headers too long": (b"GET /healthz HTTP/1.1\r\nA: " + b"x" * 20000 + b"\r\n\r\n", 400),
    "too many headers": (b"GET /healthz HTTP/1.1\r\n" + b"A: b\r\n" * 100 + b"\r\n", 400),
    "HTTP/0.9": (b"GET /healthz\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x00\xa5\x01\r\n\r\n", 400),
    "a method in small letters": (b"get /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "TRACE": (b"TRACE /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "PUT": (b"PUT /api/v1/keys HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405),
    "no such address": (b"GET /api/v2/keys HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "a path that climbs": (b"GET /api/v1/keys/../../healthz HTTP/1.1\r\nHost: x\r\n\r\n", 404),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_strict_is_refused_and_the_process_lives_on(web, name):
    request, status = REFUSED[name]
    got, head, body = web.ask(request)
    assert got == status, head
    if "problem+json" in head:
        problem = json.loads(body)
        assert problem["status"] == status and problem["changed"] is False and problem["request_id"] in head
    assert web.ask(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200
    assert web.process.poll() is None


SHOWN_WRONGLY = {"nothing": b"", "another key": SHOWN.replace(b"6b6b", b"6b6c"), "a part of it": SHOWN[:-4] + b"\r\n",
                 "too much": SHOWN[:-2] + b"6\r\n", "no value": b"X-Keyward-Local:\r\n"}


@pytest.mark.parametrize("name", SHOWN_WRONGLY)
def test_over_the_local_socket_a_request_shows_that_its_sender_can_read_the_server_s_files(web, name):
    status, _, body = web.ask(post(b"{}", JSON, "Content-Length: 2"), SHOWN_WRONGLY[name])
    problem = json.loads(body)
    assert (status, problem["type"]) == (401, "/problems/authentication")
    assert "run/keyward/api.header" in problem["detail"]
    assert web.ask(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", SHOWN_WRONGLY[name])[0] == 200, "of health anybody may ask"


def test_without_its_engine_a_request_is_answered_503_at_once(web):
    status, head, body = web.ask(post(b"{}", JSON, "Content-Length: 2"))
    assert status == 503 and json.loads(body)["type"] == "/problems/unavailable"


def test_clients_that_say_nothing_hold_nobody_up(web):
    silent = [web.connect() for _ in range(200)]
    half = web.connect()
    half.sendall(b"POST /api/v1/keys HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    assert web.ask(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200
    for client in [*silent, half]:
        client.close()
    assert web.ask(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200


def test_no_other_site_is_let_in(web):
    _, head, _ = web.ask(b"OPTIONS /api/v1/keys HTTP/1.1\r\nHost: x\r\nOrigin: http://evil\r\n\r\n")
    assert "access-control" not in head.lower()


def test_it_stops_when_told_and_when_the_supervisor_is_gone(tmp_path):
    for folder, end in ((tmp_path / "a", Web.stop), (tmp_path / "b", lambda w: (w.control.close(), w.process.wait(60))[1])):
        folder.mkdir()
        web = Web(folder)
        status = end(web)
        assert status == 0 or folder.name == "b"
        web.log.close()
