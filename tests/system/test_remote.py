# SPDX-License-Identifier: Apache-2.0
"""The command line against a server at an address: sign in with a fingerprint, work as a user, sign out; what is not trusted
gets no password."""
import json
import os
import subprocess

import pytest
from server import PROGRAMS, Server, wait_for

PASSWORD = "correct horse battery staple"
TLS = "var/lib/keyward/tls"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A server with HTTPS, and "alice", who is Key Administrator."""
    server = Server(tmp_path_factory.mktemp("remote") / "server")
    try:
        server.setup(https=True)
        wait_for("the HTTPS port", lambda: "event=certificate_in_use" in server.log())
        first = server.secret_file("first", "the first of my passwords")
        server.json("user", "create", "alice", "--password-file", first)
        server.json("role", "grant", "key", "alice")
        # A password that an administrator chose is for one sign-in.
        alice = Person(server, tmp_path_factory.mktemp("first"))
        assert alice.login("--ca-file", server.root / TLS / "ca.crt", password=first).returncode == 0
        assert alice.run("wallet", "list").returncode == 4
        changed = alice.run("me", "change-password", "--password-file", first, "--new-password-file", alice.password)
        assert changed.returncode == 0, changed.stderr
        yield server
    finally:
        server.remove()


class Person:
    """Somebody at another machine: a home of his own, no root prefix."""

    def __init__(self, server, home):
        self.server, self.home = server, home
        self.address = f"https://localhost:{server.web_port}"
        self.password = server.secret_file("alice", PASSWORD)

    def run(self, *words, **more):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("KEYWARD_", "XDG_"))}
        return subprocess.run([PROGRAMS / "keyward", *map(str, words)], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, env={**environment, "HOME": str(self.home), **more})

    def login(self, *words, password=None):
        return self.run("login", self.address, "--user", "alice", "--password-file", password or self.password, *words)


@pytest.fixture
def person(place, tmp_path):
    return Person(place, tmp_path)


def fingerprint(server, name):
    shown = subprocess.run(["openssl", "x509", "-in", server.root / TLS / name, "-noout", "-fingerprint", "-sha256"],
                           capture_output=True, text=True, check=True).stdout
    return shown.strip().split("=")[1]


def test_who_signs_in_by_a_fingerprint_works_as_himself_until_he_signs_out(person):
    done = person.login("--fingerprint", "sha256:" + fingerprint(person.server, "server.crt"))
    assert done.returncode == 0, done.stderr
    assert "kws_" not in done.stdout + done.stderr
    files = person.home / ".config/keyward"
    assert {path.name for path in files.iterdir()} == {"default.conf", "default.ca.pem", "default.token"}
    assert {path.stat().st_mode & 0o777 for path in files.iterdir()} == {0o600} and files.stat().st_mode & 0o777 == 0o700
    assert json.loads(person.run("me", "show", "-o", "json").stdout)["name"] == "alice"
    assert person.run("wallet", "create", "of-alice").returncode == 0
    assert person.run("hsm", "initialize", "--credential-file", person.password, "--recovery-passphrase-file",
                      person.password).returncode == 4
    token = (files / "default.token").read_text()
    assert person.run("logout").returncode == 0
    assert not (files / "default.token").exists()
    again = person.run("wallet", "list")
    assert again.returncode == 3 and "keyward login" in again.stderr
    # The session has ended at the server, too.
    (files / "default.token").write_text(token)
    (files / "default.token").chmod(0o600)
    assert person.run("wallet", "list").returncode == 3


def test_a_server_that_is_not_the_one_meant_gets_no_password(person):
    wrong = person.login("--fingerprint", "00" * 32)
    assert wrong.returncode == 2 and "fingerprint" in wrong.stderr
    unknown = person.login()
    assert unknown.returncode == 7 and "not trusted" in unknown.stderr
    other = person.login("--ca-file", person.server.root / TLS / "server.key")
    assert other.returncode != 0
    assert not (person.home / ".config/keyward/default.token").exists()
    assert "session create" not in json.dumps(person.server.json("audit", "list", "--who", "alice", "--outcome", "ERR_OK",
                                                                 "--since", "2100-01-01T00:00:00Z"))


def test_a_sign_in_that_fails_leaves_the_profile_as_it_was(person):
    assert person.login("--ca-file", person.server.root / TLS / "ca.crt").returncode == 0
    files = person.home / ".config/keyward"
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    wrong = person.server.secret_file("wrong", "this is not the password")
    # To another address, with another authority: the token that is there must never go to that server.
    failed = person.run("login", f"https://127.0.0.1:{person.server.web_port}", "--user", "alice", "--password-file", wrong,
                        "--fingerprint", fingerprint(person.server, "server.crt"))
    assert failed.returncode != 0, failed.stdout
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before
    assert person.run("wallet", "list").returncode == 0


def test_a_first_sign_in_that_fails_leaves_nothing_and_the_way_is_told(person):
    wrong, ca = person.server.secret_file("wrong", "this is not the password"), person.server.root / TLS / "ca.crt"
    assert person.login("--ca-file", ca, password=wrong).returncode == 3
    assert not list((person.home / ".config/keyward").iterdir())
    done = person.run("wallet", "list")
    assert done.returncode == 7 and "keyward login https://HOST" in done.stderr


def test_a_key_is_named_by_its_name_where_one_has_it(person):
    assert person.login("--ca-file", person.server.root / TLS / "ca.crt").returncode == 0
    key = json.loads(person.run("key", "create", "one of its name", "-o", "json").stdout)
    assert json.loads(person.run("key", "show", "one of its name", "-o", "json").stdout)["id"] == key["id"]
    assert person.run("wallet", "create", "named").returncode == 0
    assert person.run("wallet", "add", "named", "one of its name").returncode == 0
    nobody = person.run("key", "show", "nobody's")
    assert nobody.returncode == 5 and "keyward key list" in nobody.stderr


def test_a_refusal_says_whose_right_it_is(person):
    assert person.login("--ca-file", person.server.root / TLS / "ca.crt").returncode == 0
    done = person.run("user", "create", "x", "-o", "table")
    assert done.returncode == 4 and "it takes System Administrator" in done.stderr and "keyward me show" in done.stderr
    done = person.run("setup-link", "create", "-o", "table")
    assert done.returncode == 4 and "on the server" in done.stderr
    key = json.loads(person.run("key", "create", "-o", "json").stdout)["id"]
    done = person.run("key", "revoke", key, "-o", "table")
    assert done.returncode == 2 and "next: keyward help key revoke" in done.stderr


def test_a_table_shows_what_lies_within_an_answer(place):
    shown = place.keyward("role", "list", "-o", "table").stdout
    assert "alice" in shown and "separation: no" in shown
    shown = place.keyward("rotate", "status", "-o", "table").stdout
    assert "data_keys" in shown and "objects" in shown
    shown = place.keyward("user", "show", "alice", "-o", "table").stdout
    assert "roles:" in shown and ".000Z" not in shown


def test_an_api_token_needs_no_sign_in(person, tmp_path):
    assert person.login("--ca-file", person.server.root / TLS / "ca.crt", "--profile", "kv1").returncode == 0
    made = person.run("token", "create", "backup job", "--scope", "key", "--profile", "kv1", "-o", "json")
    assert made.returncode == 0, made.stderr
    token = tmp_path / "token"
    token.write_text(json.loads(made.stdout)["token"])
    token.chmod(0o600)
    environment = {"KEYWARD_ADDR": person.address, "KEYWARD_CA_FILE": str(person.server.root / TLS / "ca.crt"),
                   "KEYWARD_TOKEN_FILE": str(token)}
    assert person.run("wallet", "list", **environment).returncode == 0
    token.chmod(0o644)
    assert person.run("wallet", "list", **environment).returncode != 0


@pytest.mark.parametrize("words, says", [
    (["login", "http://localhost", "--user", "x"], "https://"),
    (["login", "https://localhost"], "--user"),
    (["login", "https://localhost", "--user", "x", "--profile", "../x"], "profile"),
    (["wallet", "list", "--address", "https://localhost", "--root", "/"], "--root"),
    (["login", "https://localhost", "--user", "x", "--fingerprint", "0", "--ca-file", "x"], "not both"),
])
def test_wrong_usage_is_refused(person, words, says):
    done = person.run(*words)
    assert done.returncode == 2 and says in done.stderr, done.stderr


def test_a_machine_without_a_profile_means_its_own_server(person):
    done = person.run("wallet", "list")
    assert done.returncode == 7 and "keyward start" in done.stderr
