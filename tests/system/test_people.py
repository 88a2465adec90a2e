# SPDX-License-Identifier: Apache-2.0
"""People on a running server: the first administrator, sign-in and its counter, what is left at rest.

Over the local socket every request is root's or the service's; what sessions may do is tried over HTTPS and in unit tests.
"""
import concurrent.futures
import json

import prepared
import pytest
from people import PASSWORD
from people import local as ask
from server import PASSPHRASE


@pytest.fixture(scope="module")
def people(kept_servers, tmp_path_factory):
    """A server with one administrator, "first", who was made by a set-up link."""
    server = prepared.copy(kept_servers("plain"), tmp_path_factory.mktemp("people") / "root")
    server.start()
    link = server.json("setup-link", "create")
    status, made = ask(server, "POST", "/setup-links:use", name="first", token=link["token"], password=PASSWORD)
    assert status == 201, made
    assert {row["role"] for row in made["roles"]} == {"system", "key", "audit"}
    yield server
    server.remove()


def test_a_link_makes_the_first_administrator_once(people):
    status, problem = ask(people, "POST", "/setup-links:use", name="second", token="kwl_" + "0" * 64, password=PASSWORD)
    assert (status, problem["type"]) == (401, "/problems/authentication")
    assert people.json("role", "list")["roles"][0]["holders"] == [{"name": "first", "forward": True, "state": "active"}]


def test_a_password_makes_a_session(people):
    status, session = ask(people, "POST", "/sessions", user=" FIRST", password=PASSWORD)
    assert status == 201 and session["session"].startswith("kws_") and session["user"] == "first", session
    assert people.json("user", "show", "first")["last_seen"]
    wrong, unknown = (ask(people, "POST", "/sessions", user=user, password="not this") for user in ("first", "nobody"))
    assert wrong[0] == unknown[0] == 401
    assert wrong[1]["detail"] == unknown[1]["detail"]


def test_parallel_sign_ins_are_counted_exactly_and_lock(people):
    people.json("user", "create", "target", "--password-file", people.secret_file("target", PASSWORD))
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: ask(people, "POST", "/sessions", user="target", password="wrong")[0], range(200)))
    assert answers.count(401) == 5 and answers.count(429) == 195
    assert ask(people, "POST", "/sessions", user="Target ", password=PASSWORD)[0] == 429
    shown = people.json("user", "show", "target")
    assert shown["wrong_tries"] == 201 and shown["locked_until"]
    people.keyward("user", "unlock", "target")
    assert ask(people, "POST", "/sessions", user="target", password=PASSWORD)[0] == 201


def test_the_trail_tells_who_tried(people):
    status, _ = ask(people, "POST", "/sessions", user="my-secret-password", password="wrong")
    assert status == 401
    records, cursor = [], None
    while True:
        page = people.json("audit", "list", "--limit", "1000", *(["--cursor", cursor] if cursor else []))
        records, cursor = records + page["records"], page["next_cursor"]
        if not cursor:
            break
    tries = [r for r in records if r["verb"] == "session create"]
    assert any('user "first"' in r.get("detail", "") for r in tries)
    assert not any("my-secret-password" in json.dumps(r) for r in records)


def test_a_role_comes_back_by_the_recovery_passphrase(people):
    status, problem = ask(people, "POST", "/roles/audit:recover", user="target", recovery_passphrase="wrong wrong wrong")
    assert (status, problem["type"]) == (422, "/problems/passphrase")
    status, user = ask(people, "POST", "/roles/audit:recover", user="target", recovery_passphrase=PASSPHRASE)
    assert status == 200 and user["roles"] == [{"role": "audit", "forward": True}], user
