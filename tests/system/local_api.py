# SPDX-License-Identifier: Apache-2.0
"""The REST interface over a server's local socket."""
import http.client
import json
import socket


class LocalApi(http.client.HTTPConnection):
    """HTTP over the server's local socket."""

    def __init__(self, server):
        super().__init__("localhost", timeout=120)
        self.path = str(server.root / "run/keyward/api.sock")

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(server, method, path, **document):
    """(status, document) of one request below /api/v1."""
    api = LocalApi(server)
    body = json.dumps(document) if method == "POST" else None
    api.request(method, "/api/v1" + path, body, {"Content-Type": "application/json"} if body else {})
    answer = api.getresponse()
    text = answer.read()
    api.close()
    return answer.status, json.loads(text)
