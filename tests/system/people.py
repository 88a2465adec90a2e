# SPDX-License-Identifier: Apache-2.0
"""People of a running server: made over the local socket, signed in over HTTPS."""
import time

from https import Connection, Local

PASSWORD = "correct horse battery staple"


def local(server, method, path, **document):
    """(status, document) of one request as the service's user."""
    with Local(server) as connection:
        answer = connection.ask(method, "/api/v1" + path, document if method == "POST" else None)
        return answer.status, answer.json()


class Person:
    """Somebody with a credential, on one HTTPS connection that is opened again when the server closes it."""

    def __init__(self, server, secret=None):
        self.server, self.secret, self.connection = server, secret, None

    def ask(self, method, path, body=None, headers=None):
        named = dict(headers or {})
        if self.secret:
            named["Authorization"] = f"Bearer {self.secret}"
        for _ in range(2):
            if self.connection is None:
                self.connection = Connection(self.server.web_port, self.server.root / "var/lib/keyward/tls/ca.crt")
            try:
                self.connection.send(b"")
                answer = self.connection.ask(method, path, body, named)
            except OSError:
                answer = None
            if answer is not None:
                return answer
            self.connection = None
        raise AssertionError(f"no answer to {method} {path}")

    def call(self, method, path, **document):
        """(status, document)"""
        answer = self.ask(method, "/api/v1" + path, document if method == "POST" else None)
        return answer.status, answer.json()


def sign_in(server, name, password=PASSWORD, **more):
    status, session = Person(server).call("POST", "/sessions", user=name, password=password, **{"as": "bearer"}, **more)
    assert status == 201, session
    return Person(server, session["session"])


def make(server, name, roles=(), privileges=()):
    """A user with a password of its own, roles (with the right to pass them on) and privileges, signed in. A set-up link is the
    way that hashes least; who is to have no role loses the link's again."""
    status, link = local(server, "POST", "/setup-links", roles=list(roles) or ["audit"])
    assert status == 201, link
    status, made = local(server, "POST", "/setup-links:use", name=name, token=link["token"], password=PASSWORD)
    assert status == 201, made
    if not roles:
        status, made = local(server, "POST", "/roles/audit:revoke", user=name)
        assert status == 200, made
    for privilege in privileges:
        status, done = local(server, "POST", f"/users/{name}:grant-privilege", privilege=privilege)
        assert status == 200, done
    return sign_in(server, name)


def wait_for_port(server, seconds=90):
    """The HTTPS port opens a moment after setup."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            Connection(server.web_port, server.root / "var/lib/keyward/tls/ca.crt").socket.close()
            return
        except OSError:
            assert time.monotonic() < deadline, "the HTTPS port did not open"
            time.sleep(0.05)
