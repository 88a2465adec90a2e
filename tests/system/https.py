# SPDX-License-Identifier: Apache-2.0
"""Speaks HTTP to a server's HTTPS port, byte by byte where a test wants that: no library mends what the test breaks."""
import json
import os
import re
import socket
import ssl

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
                               "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
}


class Answer:
    def __init__(self, head, body):
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {}
        for line in lines[1:]:
            name, value = line.split(":", 1)
            assert name.lower() not in self.headers, f"{name} twice"
            self.headers[name.lower()] = value.strip()
        self.body = body

    def json(self):
        return json.loads(self.body)

    @property
    def problem(self):
        """The last part of a problem's type."""
        assert self.headers["content-type"] == "application/problem+json", self.body
        return self.json()["type"].removeprefix("/problems/")


class Connection:
    """One TLS connection; `ask` may be called again and again."""

    def __init__(self, port, ca, cert=None, key=None, context=None):
        if context is None:
            context = ssl.create_default_context(cafile=str(ca))
        if cert:
            context.load_cert_chain(cert, key)
        self.raw = socket.create_connection(("127.0.0.1", port), timeout=90)
        self.socket = context.wrap_socket(self.raw, server_hostname="localhost")
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def read(self):
        """The next answer; None when the server has closed the connection."""
        while b"\r\n\r\n" not in self.rest:
            try:
                more = self.socket.recv(65536)
            except (ConnectionResetError, ssl.SSLError):
                more = b""
            if not more:
                return None
            self.rest += more
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        length = int(re.search(rb"(?i)\r\ncontent-length: (\d+)", head)[1])
        while len(self.rest) < length:
            self.rest += self.socket.recv(65536)
        body, self.rest = self.rest[:length], self.rest[length:]
        return Answer(head, body)

    def ask(self, method, path, body=None, headers=None):
        self.send(request(method, path, body, headers))
        return self.read()


def request(method, path, body=None, headers=None):
    named = {"Host": "localhost", **(headers or {})}
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    if body is not None:
        named.setdefault("Content-Type", "application/json")
        named.setdefault("Content-Length", str(len(data)))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items() if value is not None)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def local_header(server):
    """The header that stands in run/keyward/api.header, as a line."""
    return (server.root / "run/keyward/api.header").read_bytes().replace(b"\n", b"\r\n")


class Local(Connection):
    """The same over the local socket, as the service's user."""

    def __init__(self, server):
        self.rest = b""
        self.shown = local_header(server)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(90)
        folder = os.open(server.root / "run/keyward", os.O_RDONLY)  # its path may be too long for a socket's name
        try:
            self.socket.connect(f"/proc/self/fd/{folder}/api.sock")
        finally:
            os.close(folder)

    def send(self, data):
        """What begins a request shows who may; in whatever else is sent nothing is changed."""
        line, end, rest = data.partition(b"\r\n")
        super().send(line + end + self.shown + rest if line.endswith(b" HTTP/1.1") and end else data)
