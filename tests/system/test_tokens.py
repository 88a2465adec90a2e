# SPDX-License-Identifier: Apache-2.0
"""The whole life of a server on every PKCS#11 library at hand (contract B2, B5, B6, B8, B9, B12), and what docs/HSM.md says of each."""
import json
import re
import subprocess
import threading

import pytest

import more_tokens
from server import wait_for


@pytest.fixture(params=more_tokens.ALL, ids=lambda kind: kind.kind)
def token(request, tmp_path):
    with request.param(tmp_path / "token") as made:
        yield made


@pytest.fixture
def beside(make_server, token):
    """A server without an HSM that runs where the token can be seen."""
    server = make_server(prefix=token.enter([]))
    server.setup()
    server.use_token(token)
    server.token, server.keys = token, dict([server.create_key()])
    yield server
    server.remove()


class Clients:
    """Fetches a key without a pause while the block runs; ends with what went wrong."""

    def __init__(self, server):
        self.server, self.fetched, self.failed = server, 0, []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        uid, key = next(iter(self.server.keys.items()))
        while not self.ending.is_set():
            try:
                assert self.server.fetch(uid) == key
                self.fetched += 1
            except Exception as problem:
                self.failed.append(repr(problem))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()
        assert self.fetched and not self.failed, (self.fetched, self.failed[:3])


def served(server):
    return all(server.fetch(uid) == key for uid, key in server.keys.items())


def soon_served(server):
    def there():
        try:
            return served(server)
        except Exception:
            return False
    wait_for("the keys to be served", there, 60)


def status(server):
    return server.json("hsm", "status")


def reboot(server, between=lambda: None):
    """Stops the server, empties the RAM file system and starts it with nobody at hand."""
    server.stop()
    between()
    ram = f"{server.root}/mnt/okvram"
    subprocess.run([*server.prefix, "sh", "-c", 'test ! -d "$1" || find -H "$1" -mindepth 1 -delete', "sh", ram], check=True)
    server.start()


def three_cycles(server):
    for number in (1, 2, 3):
        with Clients(server):
            server.initialize(server.token)
            assert (status(server)["status"], status(server)["key_number"]) == ("up", number)
            server.keys.update([server.create_key()])
            if number < 3:
                server.reverse_migrate(server.token)
                assert status(server)["type"] == "None"
    roots = [o for o in server.token.objects() if re.fullmatch(r"OKV \S.* HSM Root Key", o["label"])]
    assert sorted(o["id"] for o in roots) == ["00000001", "00000002", "00000003"]


def a_new_pin(server):
    server.token.change_pin("5678abc")
    assert server.keyward("hsm", "verify", check=False).returncode == 8
    with Clients(server):
        server.keyward("hsm", "set-credential", "--credential-file", server.secret_file("pin", server.token.pin))
        server.keyward("verify", program="hsmclient")


def away_and_back(server):
    with Clients(server):
        server.token.hide()
        away = server.keyward("verify", program="hsmclient", check=False)
        assert away.returncode == 8 and away.stderr.strip()
    reboot(server)
    assert status(server)["status"] == "down"
    with pytest.raises(Exception, match="(?i)locked|hsm|slot|library"):
        server.fetch(next(iter(server.keys)))
    server.token.show()
    soon_served(server)
    assert status(server)["status"] == "up"


def test_the_whole_life(beside):
    three_cycles(beside)
    reboot(beside)
    soon_served(beside)
    a_new_pin(beside)
    away_and_back(beside)
    beside.reverse_migrate(beside.token)
    beside.token.hide()
    beside.restart()
    assert served(beside)
