# SPDX-License-Identifier: Apache-2.0
"""Every route tried by every role, by privileges, by a plain user, by tokens and by nobody (contract F2, H5).

The routes and who may use them come from the served OpenAPI description; what that comes to is worked out here a second time.
A request that was let in is one that is refused for its content: an unknown field, or a thing that does not exist, so that
nothing is changed.
"""
import contextlib
import json
import re
import sqlite3

import pytest
from people import PASSWORD, Person, local, make, sign_in, wait_for_port
from server import Server, wait_for

ROLES = {"system", "key", "audit"}
PRIVILEGES = {"monitor": "monitor", "create-endpoint": "create-endpoint", "create-group": "create-endpoint-group"}
# How somebody stands to a thing is found out only where the thing is known.
RELATIONS = {"manager", "owner", "reader", "modifier", "self"}
NOTHING = "00000000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("roles") / "root")
    try:
        server.setup(https=True)
        server.stop()
        with open(server.root / "etc/keyward/keywardd.conf", "a") as conf:
            conf.write('WEB_REQUESTS_PER_SECOND="100000"\nWEB_STRANGERS_PER_MINUTE="100000"\n')
        server.start()
        wait_for_port(server)
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="module")
def routes(people):
    """[(method, path with the names of things that do not exist, words of who may)]"""
    answer = people["user"][0].ask("GET", "/api/openapi.json")
    assert answer.status == 200, answer.body
    rows = []
    for path, methods in answer.json()["paths"].items():
        if path in ("/healthz", "/api/openapi.json"):
            continue  # told to everybody, whoever asks, by the web process itself
        for method, row in methods.items():
            rows.append((method.upper(), re.sub(r"\{(\w+)\}", NOTHING, path), set(row["x-keyward-by"])))
    assert len(rows) > 80
    return rows


@pytest.fixture(scope="module")
def people(served):
    """{who: (credential, words that hold for it)}"""
    def token(person, *scope):
        status, made = person.call("POST", "/tokens", label="for tests", scope=list(scope))
        assert status == 201, made
        return Person(served, made["token"])

    made = {role: (make(served, f"is-{role}", roles=[role]), {role}) for role in ROLES}
    privileged = make(served, "has-privileges", privileges=PRIVILEGES.values())
    for word, privilege in PRIVILEGES.items():
        made[word] = (token(privileged, privilege), {word})
    made["all privileges"] = (privileged, set(PRIVILEGES))
    made["all roles"] = (make(served, "is-all", roles=sorted(ROLES)), ROLES)
    made["user"] = (make(served, "is-plain"), set())
    made["token without scope"] = (token(made["all roles"][0]), set())
    made["token for audit"] = (token(made["all roles"][0], "audit"), {"audit"})
    return made


def let_in(person, method, path):
    """Whether a request got past the door: then it fails for what it asks."""
    answer = person.ask(method, path, None if method == "GET" else {"no_such_field": True})
    assert answer.status < 500 or answer.status == 503, f"{method} {path}: {answer.status} {answer.body[:300]}"
    if answer.status not in (401, 403):
        assert method == "GET" or answer.status >= 400, f"{method} {path} did something: {answer.body[:300]}"
        return True, answer.status
    return False, answer.status


def test_every_route_by_every_right(routes, people):
    wrong = []
    for who, (person, held) in people.items():
        for method, path, words in routes:
            may = bool(words & (held | RELATIONS | {"user", "anyone"}))
            got, status = let_in(person, method, path)
            if got != may or (not may and status != 403):
                wrong.append(f"{who}: {method} {path}: {status}, {'may' if may else 'may not'}")
    assert wrong == []


def test_every_route_by_nobody(served, routes):
    stranger, wrong = Person(served), []
    for method, path, words in routes:
        got, status = let_in(stranger, method, path)
        if got != ("anyone" in words) or (not got and status != 401):
            # Where a secret is the authority a wrong one is 401, too.
            if not ("anyone" in words and status == 401):
                wrong.append(f"{method} {path}: {status}")
    assert wrong == []


def shared_rows(server):
    """What the store holds but for wrong tries and the node's own (its trail, alerts, who was seen when), which knocking moves."""
    with contextlib.closing(sqlite3.connect(f"file:{server.root}/var/lib/keyward/store.db?mode=ro", uri=True)) as store:
        tables = [row[0] for row in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert {"object", "account", "endpoint", "setting", "outcome"} <= set(tables)
        return {table: sorted(map(repr, store.execute(f"SELECT * FROM {table}")))
                for table in tables if table != "tries" and not table.startswith("node_")}


def test_ten_thousand_requests_of_nobody_change_nothing(served, routes):
    before, stranger, asked = shared_rows(served), Person(served), 0
    while asked < 10000:
        for method, path, _ in routes:
            answer = stranger.ask(method, path, None if method == "GET" else {"name": f"x{asked}", "token": "guessed", "user": "x"})
            assert answer.status >= 400 or method == "GET", f"{method} {path}: {answer.status} {answer.body[:300]}"
            asked += 1
    assert shared_rows(served) == before


def test_every_route_by_a_credential_that_does_not_count(served, routes):
    wrong = []
    for secret in ("kws_" + "0" * 64, "kwt_" + "0" * 64):
        person = Person(served, secret)
        for method, path, words in routes:
            got, status = let_in(person, method, path)
            if got or status != 401:
                wrong.append(f"{method} {path}: {status}")
    assert wrong == []


def test_a_locked_ended_or_deleted_user_is_refused_on_an_open_connection(served):
    for number, act in enumerate(("lock", "end-sessions", "delete")):
        person = make(served, f"gone-{number}")
        assert person.call("GET", "/me")[0] == 200
        assert local(served, "POST", f"/users/gone-{number}:{act}")[0] == 200
        assert person.call("GET", "/me")[0] == 401


def test_it_is_told_when_a_token_was_used_last(served, people):
    owner = people["user"][0]
    status, token = owner.call("POST", "/tokens", label="seen")
    assert status == 201, token

    def last_used():
        rows = owner.call("GET", "/tokens")[1]["tokens"]
        return next(row["last_used"] for row in rows if row["id"] == token["id"])
    assert last_used() is None
    assert Person(served, token["token"]).call("GET", "/me")[0] == 200
    wait_for("the time of the last use", last_used)


def test_a_role_that_is_taken_away_ends_with_the_next_request_on_an_open_connection(served):
    person = make(served, "lost-it", roles=["audit"])
    assert person.call("GET", "/audit")[0] == 200
    assert local(served, "POST", "/roles/audit:revoke", user="lost-it")[0] == 200
    assert person.call("GET", "/audit")[0] == 403


def test_nothing_but_changing_it_goes_with_a_password_that_somebody_else_set(served, routes):
    first = "a password by somebody else"
    assert local(served, "POST", "/users", name="new-one", password=first)[0] == 201
    assert local(served, "POST", "/roles/system:grant", user="new-one")[0] == 200
    person = sign_in(served, "new-one", first)
    open_to_it = {(m, p) for m, p, _ in routes if let_in(person, m, p)[0]}
    assert {path.removeprefix("/api/v1") for _, path in open_to_it} - {f"/sessions/{NOTHING}"} == {
        "/me", "/me:change-password", "/password-policy"}


def test_a_system_administrator_gets_at_no_keys_by_resetting_a_password(served, people):
    system, key = people["system"][0], people["key"][0]
    owner = make(served, "has-keys")
    status, made = owner.call("POST", "/keys", name="of has-keys", algorithm="AES", length=256)
    assert status == 201, made
    status, told = system.call("POST", "/users/has-keys:reset-password", password="as the thief would choose")
    assert (status, told["access_held"]) == (200, True), told
    thief = sign_in(served, "has-keys", "as the thief would choose")
    changed = thief.call("POST", "/me:change-password", password="as the thief would choose", new_password=PASSWORD)
    assert changed[0] == 200, changed
    for method, path, body in (("GET", "/keys", {}), ("GET", f"/keys/{made['id']}", {}), ("GET", "/wallets", {}),
                               ("GET", "/users/has-keys/objects", {}), ("POST", "/wallets", {"name": "loot"}),
                               ("POST", f"/keys/{made['id']}:export", {"reason": "loot"})):
        status, problem = thief.call(method, path, **body)
        assert status == 403 and "ask a Key Administrator to restore it" in problem["detail"], (path, problem)
    assert system.call("POST", "/users/has-keys:restore-access")[0] == 403
    assert system.call("POST", "/alert-types/access_held:configure", mail=True)[0] == 200  # is looked at now
    wait_for("the alert", lambda: any(row["name"] == "has-keys" for row in key.call("GET", "/alerts")[1]["alerts"]))
    assert key.call("POST", "/users/has-keys:restore-access")[0] == 200
    assert thief.call("GET", f"/keys/{made['id']}")[0] == 200


def test_every_refusal_stands_in_the_trail_with_the_users_name(served, people):
    plain = people["user"][0]
    assert plain.call("POST", "/users", name="never")[0] == 403
    assert plain.call("GET", "/audit")[0] == 403
    found, cursor = [], None
    auditor = people["audit"][0]
    while True:
        status, page = auditor.call("GET", "/audit?limit=1000" + (f"&cursor={cursor}" if cursor else ""))
        assert status == 200, page
        found += [r for r in page["records"] if "is-plain" in json.dumps(r)]
        cursor = page["next_cursor"]
        if not cursor:
            break
    refused = {r["verb"] for r in found if r["outcome"] != "ok"}
    assert "user create" in refused, found[-3:]
