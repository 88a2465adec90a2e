# SPDX-License-Identifier: Apache-2.0
"""Reports (contract H6): each as table, CSV and JSON, by the command line and over HTTPS, to whom they may be told and to nobody
else, page by page without a row lost or told twice. Time is made to pass by dating back what a stopped server has stored."""
import collections
import csv
import datetime
import io
import sqlite3
import subprocess
import time

import pytest
from people import PASSWORD, local, make, sign_in, wait_for_port
from server import Server, wait_for

DAY = 86400
NAMES = ["entitlement", "quiet-endpoints", "expiring", "never-rotated", "activity"]
FORMULA = "=HYPERLINK(1)"  # a wallet may have this name


def day(days):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def change_store(server, statement, uid, number):
    """Changes one row of the stopped server's store."""
    with sqlite3.connect(server.root / "var/lib/keyward/store.db") as db:
        assert db.execute(statement, (number, bytes.fromhex(uid.replace("-", "")))).rowcount == 1
    db.close()


def make_older(server, uid, days):
    change_store(server, "UPDATE object SET initial_date = initial_date - ? WHERE id = ?", uid, days * DAY)


def make_quiet(server, uid, days):
    for noted in (server.root / "var/lib/keyward/seen").iterdir():  # it would be taken into the store at the start
        noted.unlink()
    change_store(server, "INSERT OR REPLACE INTO node_seen (time, endpoint) VALUES (?, ?)", uid, int(time.time()) - days * DAY)


def make_key(server, name, **more):
    status, made = local(server, "POST", "/keys", name=name, **more)
    assert status == 201, made
    return made["id"]


def certificate(where, days):
    """One that ends within so many days, as PEM."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=stored", "-days", str(days), "-keyout",
                    where / "key.pem", "-out", where / "cert.pem"], check=True, capture_output=True)
    return (where / "cert.pem").read_text()


def make_objects(server, where):
    """What is old, what was rotated, what ends soon: {name: identifier}."""
    made = {name: make_key(server, name, owner="db1", wallet="payroll") for name in ("old", "rotated", "young")}
    made["ends"] = make_key(server, "ends", owner="db2", deactivation_date=day(20.5))
    made["ends-late"] = make_key(server, "ends-late", deactivation_date=day(200))
    status, new = local(server, "POST", f"/keys/{made['rotated']}:re-key")
    assert status == 200, new
    made["new"] = next(link["id"] for link in local(server, "GET", f"/keys/{made['rotated']}")[1]["links"])
    status, stored = local(server, "POST", "/keys:import", format="pem", material=certificate(where, 10), name="stored", owner="db1")
    assert status == 201, stored
    made["stored"] = stored["keys"][0]["id"]
    return made


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("reports") / "root")
    try:
        server.setup(https=True)
        for name in ("db1", "db2", "never"):
            server.enroll(name)
        for name in ("db1", "db2"):
            server.create_key(name)
        server.keyward("endpoint-group", "create", "rac")
        server.keyward("endpoint-group", "add", "rac", "db2")
        for wallet in ("payroll", "empty"):
            server.keyward("wallet", "create", wallet)
        assert local(server, "POST", "/wallets", name="w", description=FORMULA)[0] == 201
        server.keyward("wallet", "grant", "payroll", "--endpoint", "db1", "--access", "read-only")
        server.keyward("wallet", "grant", "payroll", "--endpoint-group", "rac", "--access", "read-modify", "--manage")
        server.keyward("endpoint", "update", "db1", "--default-wallet", "w")
        for name in ("db1", "db2"):
            wait_for("the time of the last request", lambda n=name: server.json("endpoint", "show", n)["last_seen"])
        quiet = server.json("endpoint", "show", "db2")["id"]
        server.keys = make_objects(server, tmp_path_factory.mktemp("certificate"))
        server.stop()
        make_quiet(server, quiet, 40)
        for name, days in (("old", 400), ("rotated", 500), ("new", 370)):
            make_older(server, server.keys[name], days)
        with open(server.root / "etc/keyward/keywardd.conf", "a") as conf:
            conf.write('WEB_REQUESTS_PER_SECOND="100000"\n')  # what a machine is quick enough for
        server.start()
        wait_for_port(server)
        server.people = {role: make(server, f"is-{role}", roles=[role]) for role in ("system", "key", "audit")}
        server.people["plain"] = make(server, "is-plain")
        server.keyward("wallet", "grant", "payroll", "--user", "is-plain", "--access", "read-only")
        assert local(server, "POST", "/password-policy:set", password_days=60)[0] == 200
        for label, days in (("soon", 5), ("later", 365)):
            status, token = server.people["plain"].call("POST", "/tokens", label=label, days=days)
            assert status == 201, token
        wait_for("a token that has less than five days", lambda: report(server, "expiring", "--days", "6", "--of", "token")[0]["days_left"] == 4)
        server.begun = time_of_trail(server)
        yield server
    finally:
        server.remove()


def time_of_trail(server):
    """The time of the next record; what was recorded until now lies before it."""
    return records(server)[-1]["time"]


def records(server, query=""):
    found, cursor = [], ""
    while cursor is not None:
        status, page = local(server, "GET", f"/audit?limit=1000{query}{cursor}")
        assert status == 200, page
        found += page["records"]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    return found


def report(server, name, *more):
    return server.json("report", name, *more)["rows"]


def ask(person, name, query=""):
    status, document = person.call("GET", f"/reports/{name}{query}")
    assert status == 200, document
    return document["rows"]


def as_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


def refused(server, *command):
    """(exit status, what was said) of a command that must fail."""
    done = server.keyward("report", *command, check=False)
    assert done.returncode != 0, done.stdout
    return done.returncode, done.stderr


# ---- what all have ----

def cell(value):
    text = "" if value is None else "yes" if value is True else "no" if value is False else \
        ", ".join(value) if isinstance(value, list) else str(value)
    return "'" + text if isinstance(value, str) and text[:1] in tuple("=+-@") else text


def whose(served, name):
    """(somebody it is told to in whole, what makes it stand still while it is told)"""
    return (served.people["audit"], ("--until", served.begun)) if name == "activity" else (served.people["key"], ())


@pytest.mark.parametrize("name", NAMES)
def test_each_report_as_table_csv_and_json_by_command_and_over_https(served, name):
    person, more = whose(served, name)
    rows = report(served, name, *more)
    assert rows and len({tuple(row) for row in rows}) == 1, "all rows have the same columns"
    table = served.keyward("report", name, *more, "-o", "table").stdout.splitlines()
    assert len(table) == len(rows) + 1 and table[0] == table[0].upper()
    assert as_csv(served.keyward("report", name, *more, "-o", "csv").stdout) == [{k: cell(v) for k, v in row.items()} for row in rows]
    query = f"?until={served.begun}" if more else ""
    told = ask(person, name, query)
    answer = person.ask("GET", f"/api/v1/reports/{name}{query}", headers={"Accept": "text/csv"})
    assert answer.status == 200 and answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert as_csv(answer.body.decode()) == [{k: cell(v) for k, v in row.items()} for row in told]


@pytest.mark.parametrize("accept, kind", [
    ("text/csv", "text/csv"), ("text/html, text/csv;q=0.5, */*", "text/csv"), ("TEXT/CSV", "text/csv"), ("*/*", "application/json"),
    ("application/json, text/csv", "application/json"), ("text/html", "application/json"), ("", "application/json")])
def test_a_list_is_csv_for_whom_that_will_do_first(served, accept, kind):
    answer = served.people["key"].ask("GET", "/api/v1/wallets?limit=1", headers={"Accept": accept})
    assert answer.status == 200 and answer.headers["content-type"].split(";")[0] == kind
    assert 'rel="next"' in answer.headers["link"], "so that csv goes on, too"


def test_what_is_no_list_stays_json(served):
    answer = served.people["key"].ask("GET", "/api/v1/wallets/payroll", headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "application/json"
    answer = served.people["key"].ask("GET", "/api/v1/audit", headers={"Accept": "text/csv"})
    assert answer.status == 403 and answer.problem == "not-permitted"


def test_no_cell_becomes_a_formula(served):
    rows = as_csv(served.people["key"].ask("GET", "/api/v1/wallets", headers={"Accept": "text/csv"}).body.decode())
    assert {row["description"] for row in rows if row["name"] == "w"} == {"'" + FORMULA}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "activity"])
def test_pages_lose_and_double_nothing(served, name):
    whole, paged, path = ask(served.people["key"], name, "?limit=1000"), [], f"/api/v1/reports/{name}?limit=1"
    while path:
        answer = served.people["key"].ask("GET", path)
        assert answer.status == 200 and len(answer.json()["rows"]) <= 1, answer.body
        paged += answer.json()["rows"]
        path = answer.headers["link"].split(">")[0].lstrip("<") if answer.json()["next_cursor"] else None
    assert len(whole) > 1 and paged == whole


@pytest.mark.parametrize("name", NAMES)
def test_a_cursor_of_another_report_is_refused(served, name):
    other = NAMES[NAMES.index(name) - 1]
    cursor = whose(served, other)[0].call("GET", f"/reports/{other}?limit=1")[1]["next_cursor"]
    for wrong in (cursor, "x", "0190a5b2-4d1c-7f00-8a10-5e0c6a7b9d21", cursor[:-1], cursor + "0"):
        code, said = refused(served, name, "--cursor", wrong)
        assert code == 2 and "leave it out for the first page" in said, said
    status, problem = whose(served, name)[0].call("GET", f"/reports/{name}?cursor={cursor}")
    assert status == 400 and problem["changed"] is False, problem


@pytest.mark.parametrize("name", ["quiet-endpoints", "expiring", "never-rotated"])
@pytest.mark.parametrize("days", ["0", "-1", "36501", "99999999999999999999", "ten", "1.5"])
def test_days_that_are_none_are_refused(served, name, days):
    code, said = refused(served, name, "--days", days)
    assert code == 2 and "days" in said, said


# ---- entitlement ----

def of(rows, kind, name):
    keys = ("wallet", "access", "manage", "by", "group", "objects")
    return [tuple(row[k] for k in keys) for row in rows if (row["kind"], row["name"]) == (kind, name)]


def test_entitlement_tells_who_reaches_what_and_by_what(served):
    rows = report(served, "entitlement")
    assert of(rows, "endpoint", "db1") == [
        (None, "owner", False, "owner", None, 6), ("payroll", "read-only", False, "grant", None, 4),
        ("w", "create", False, "default-wallet", None, 0)]
    assert of(rows, "endpoint", "db2") == [
        (None, "owner", False, "owner", None, 2), ("payroll", "read-modify", True, "group", "rac", 4)]
    assert of(rows, "endpoint_group", "rac") == [("payroll", "read-modify", True, "grant", None, 4)]
    assert of(rows, "user", "is-plain") == [("payroll", "read-only", False, "grant", None, 4)]
    assert of(rows, "endpoint", "never") == [] and not [row for row in rows if row["wallet"] == "empty"]


def test_entitlement_by_wallet_and_by_whom(served):
    assert {(r["kind"], r["name"]) for r in report(served, "entitlement", "--wallet", "payroll")} == {
        ("endpoint", "db1"), ("endpoint", "db2"), ("endpoint_group", "rac"), ("user", "is-plain")}
    assert report(served, "entitlement", "--wallet", "empty") == []
    for option, name, count in (("--endpoint", "db2", 2), ("--endpoint-group", "rac", 1), ("--user", "is-plain", 1)):
        rows = report(served, "entitlement", option, name)
        assert len(rows) == count and {row["name"] for row in rows} == {name}
    assert len(report(served, "entitlement", "--endpoint", "db2", "--wallet", "payroll")) == 1
    for what in ("--wallet", "--endpoint", "--endpoint-group", "--user", "--user-group"):
        code, said = refused(served, "entitlement", what, "nobody-has-it")
        assert code == 5 and "nobody-has-it" in said, said
    code, said = refused(served, "entitlement", "--endpoint", "db1", "--user", "is-plain")
    assert code == 2 and "give one of" in said


def test_entitlement_is_told_as_the_access_verbs_tell_it(served):
    people = served.people
    everything = ask(people["key"], "entitlement")
    assert {row["kind"] for row in everything} == {"endpoint", "endpoint_group", "user"}
    assert {row["kind"] for row in ask(people["system"], "entitlement")} == {"endpoint", "endpoint_group"}
    own = [row for row in everything if row["name"] == "is-plain"]
    assert own and ask(people["plain"], "entitlement") == own
    assert ask(people["audit"], "entitlement") == []
    status, problem = people["system"].call("GET", "/reports/entitlement?user=is-plain")
    assert status == 403 and "Key Administrator" in problem["detail"]
    for query in ("endpoint=db1", "endpoint_group=rac", "user=is-key", "wallet=w"):
        status, problem = people["plain"].call("GET", f"/reports/entitlement?{query}")
        assert status == 404 and problem["detail"].startswith("there is no "), problem
        if query != "wallet=w":
            unknown = query.split("=")[0] + "=nobody-has-it"
            other = people["plain"].call("GET", f"/reports/entitlement?{unknown}")[1]["detail"]
            assert problem["detail"] == other.replace("nobody-has-it", query.split("=")[1]), "what is out of sight is not there"
    assert ask(people["plain"], "entitlement", "?wallet=payroll") == own


def test_who_manages_an_endpoint_is_told_of_it(served):
    manager = make(served, "manages-db1")
    assert local(served, "POST", "/users/manages-db1:grant-privilege", privilege="manage-endpoint", endpoint="db1")[0] == 200
    assert {row["name"] for row in ask(manager, "entitlement")} == {"db1"}
    assert manager.call("GET", "/reports/entitlement?endpoint=db2")[0] == 404
    assert {row["name"] for row in ask(manager, "quiet-endpoints", "?days=1")} == set()
    assert manager.call("GET", "/reports/quiet-endpoints?endpoint=db2")[0] == 404


def test_entitlement_goes_on_within_one_that_reaches_many(served):
    server = served
    wallets = [f"many-{i}" for i in range(30)]
    for name in wallets:
        assert local(server, "POST", "/wallets", name=name)[0] == 201
        assert local(server, "POST", f"/wallets/{name}:grant", endpoint="never", access="read-only")[0] == 200
    rows, cursor = [], ""
    while cursor is not None:
        status, page = server.people["key"].call("GET", f"/reports/entitlement?endpoint=never&limit=7{cursor}")
        assert status == 200 and len(page["rows"]) <= 7, page
        rows += page["rows"]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
        if len(rows) == 14:  # what has gone meanwhile is not told, and nothing else is lost
            gone = sorted(set(wallets) - {row["wallet"] for row in rows})[0]
            assert local(server, "POST", f"/wallets/{gone}:delete")[0] == 200
    assert sorted(row["wallet"] for row in rows) == sorted(set(wallets) - {gone})
    for name in set(wallets) - {gone}:
        assert local(server, "POST", f"/wallets/{name}:delete")[0] == 200


# ---- quiet endpoints ----

def test_quiet_endpoints_are_those_not_seen_for_some_days_or_never(served):
    rows = {row["name"]: row for row in report(served, "quiet-endpoints")}
    assert set(rows) == {"db2", "never"}
    assert rows["db2"]["quiet_days"] == 40 and rows["db2"]["last_seen"] and rows["db2"]["state"] == "enrolled"
    assert rows["never"]["last_seen"] is None and rows["never"]["quiet_days"] == 0
    assert [row["name"] for row in report(served, "quiet-endpoints", "--days", "41")] == ["never"]
    assert [row["name"] for row in report(served, "quiet-endpoints", "--never")] == ["never"]
    assert [row["name"] for row in report(served, "quiet-endpoints", "--endpoint", "db2")] == ["db2"]
    assert report(served, "quiet-endpoints", "--endpoint", "db1") == []
    code, said = refused(served, "quiet-endpoints", "--endpoint", "nobody-has-it")
    assert code == 5 and "nobody-has-it" in said


def test_quiet_endpoints_are_told_to_whom_endpoints_are_listed(served):
    for who in ("system", "key"):
        assert {row["name"] for row in ask(served.people[who], "quiet-endpoints")} == {"db2", "never"}
    assert served.people["plain"].call("GET", "/reports/quiet-endpoints")[1]["rows"] == []


# ---- expiring ----

def ends(rows):
    return {(row["kind"], row["name"], row["owner"]) for row in rows}


SOON = {("object", "ends", "db2"), ("object", "stored", "db1")}


def test_expiring_tells_keys_certificates_tokens_and_passwords(served):
    rows = report(served, "expiring")
    passwords = {("password", name, name) for name in (row["name"] for row in served.json("user", "list")["users"])}
    assert ends(rows) == SOON | {("token", "soon", "is-plain")} | passwords
    left = {row["name"]: row["days_left"] for row in rows}
    assert left["ends"] == 20 and left["stored"] == 9 and left["soon"] == 4 and left["is-plain"] == 59
    assert [row["type"] for row in rows if row["kind"] == "object"] == ["Symmetric Key", "Certificate"]
    assert ends(report(served, "expiring", "--days", "7")) == {("token", "soon", "is-plain")}


def test_expiring_tells_every_certificate_that_the_list_of_certificates_has(served):
    rows = report(served, "expiring", "--days", "36500", "--of", "certificate")
    listed = served.json("certificate", "list")["certificates"]
    assert [(r["kind"], r["name"], r["expires"]) for r in rows] == [(r["kind"], r["name"], r["not_after"]) for r in listed]
    assert {"authority", "server", "endpoint"} <= {row["kind"] for row in rows}


def test_expiring_by_filters(served):
    kinds = {"certificate": set(), "object": SOON, "token": {("token", "soon", "is-plain")}}
    for of_, wanted in kinds.items():
        assert ends(report(served, "expiring", "--of", of_)) == wanted
    assert report(served, "expiring", "--wallet", "payroll") == [] == report(served, "expiring", "--wallet", "payroll", "--of", "token")
    local(served, "POST", "/wallets/payroll:add", object=served.keys["ends"])
    assert ends(report(served, "expiring", "--wallet", "payroll")) == {("object", "ends", "db2")}
    local(served, "POST", "/wallets/payroll:remove", object=served.keys["ends"])
    assert ends(report(served, "expiring", "--endpoint", "db1", "--days", "36500")) == {("endpoint", "db1", None), ("object", "stored", "db1")}
    assert ends(report(served, "expiring", "--user", "is-plain")) == {("token", "soon", "is-plain"), ("password", "is-plain", "is-plain")}
    for what in ("--wallet", "--endpoint", "--user"):
        code, said = refused(served, "expiring", what, "nobody-has-it")
        assert code == 5 and "nobody-has-it" in said, said
    code, said = refused(served, "expiring", "--of", "everything")
    assert code == 2 and '"of" must be one of' in said


def test_expiring_is_told_to_each_as_far_as_it_is_his(served):
    people, everything = served.people, report(served, "expiring", "--days", "36500")

    def told(who):
        return ends(ask(people[who], "expiring", "?days=36500"))

    def of_kinds(*kinds):
        return {row for row in ends(everything) if row[0] in kinds}
    certificates = of_kinds("authority", "server", "endpoint")
    assert certificates and told("audit") == certificates | of_kinds("token", "password")
    assert told("system") == certificates | of_kinds("token", "password")
    assert told("key") == of_kinds("object") | {("password", "is-key", "is-key")}
    own = {("token", "soon", "is-plain"), ("token", "later", "is-plain"), ("password", "is-plain", "is-plain")}
    assert told("plain") == own, "nothing in its wallet ends"
    for query in ("endpoint=db1", "user=is-key", "wallet=w"):
        status, problem = people["plain"].call("GET", f"/reports/expiring?{query}")
        assert status == 404 and problem["detail"].startswith("there is no "), problem


def test_whose_access_is_held_is_told_nothing_of_keys(served):
    """A System Administrator has reset the password, and could sign in as the user."""
    first = "as the thief would choose"
    owner = make(served, "is-held")
    status, made = owner.call("POST", "/keys", name="of is-held", deactivation_date=day(30))
    assert status == 201, made
    assert [row["name"] for row in ask(owner, "expiring", "?of=object")] == ["of is-held"]
    assert [row["by"] for row in ask(owner, "entitlement")] == ["owner"]
    assert served.people["system"].call("POST", "/users/is-held:reset-password", password=first)[0] == 200
    thief = sign_in(served, "is-held", first)
    assert thief.call("POST", "/me:change-password", password=first, new_password=PASSWORD)[0] == 200
    for name in ("entitlement", "expiring", "never-rotated", "quiet-endpoints"):
        status, problem = thief.call("GET", f"/reports/{name}")
        assert status == 403 and "ask a Key Administrator to restore it" in problem["detail"], problem
    for role in ("system", "audit"):
        assert local(served, "POST", f"/roles/{role}:grant", user="is-held")[0] == 200
    assert ask(thief, "expiring", "?of=object") == []
    assert [row for row in ask(thief, "entitlement") if row["name"] == "is-held"] == []
    assert local(served, "POST", f"/keys/{made['id']}:destroy", confirm="of is-held")[0] == 200  # other tests count
    assert local(served, "POST", "/users/is-held:delete", reassign_to="is-key")[0] == 200


# ---- never rotated ----

def names(rows):
    return [row["id"] for row in rows]


def test_never_rotated_tells_old_keys_in_use_without_a_successor(served):
    rows, keys = report(served, "never-rotated"), served.keys
    assert names(rows) == [keys["old"], keys["new"]]
    assert [row["age_days"] for row in rows] == [400, 370]
    assert [row["replaces"] for row in rows] == [None, keys["rotated"]], "a key that replaced another one is as old as itself"
    assert all(row["wallets"] == ["payroll"] and row["owner"] == "db1" for row in rows)
    assert names(report(served, "never-rotated", "--days", "380")) == [keys["old"]]
    assert report(served, "never-rotated", "--days", "401") == []


def test_never_rotated_by_filters(served):
    keys = served.keys
    for option, name in (("--wallet", "payroll"), ("--endpoint", "db1")):
        assert names(report(served, "never-rotated", option, name)) == [keys["old"], keys["new"]]
    assert report(served, "never-rotated", "--endpoint", "db2") == [] == report(served, "never-rotated", "--wallet", "w")
    for what in ("--wallet", "--endpoint", "--user"):
        code, said = refused(served, "never-rotated", what, "nobody-has-it")
        assert code == 5 and "nobody-has-it" in said, said
    code, said = refused(served, "never-rotated", "--endpoint", "db1", "--user", "is-plain")
    assert code == 2 and "give one of" in said


def test_never_rotated_is_told_of_what_somebody_reaches(served):
    people, keys = served.people, served.keys
    assert names(ask(people["key"], "never-rotated")) == [keys["old"], keys["new"]]
    rows = ask(people["plain"], "never-rotated")
    assert names(rows) == [keys["old"], keys["new"]] and rows[0]["wallets"] == ["payroll"]
    for who in ("system", "audit"):
        assert ask(people[who], "never-rotated") == []
    for query in ("endpoint=db1", "user=is-key", "wallet=w"):
        status, problem = people["plain"].call("GET", f"/reports/never-rotated?{query}")
        assert status == 404 and problem["detail"].startswith("there is no "), problem


def test_a_key_that_is_used_no_more_is_not_told(served):
    uid = served.keys["young"]
    assert report(served, "never-rotated", "--days", "1") == report(served, "never-rotated")
    assert uid not in names(report(served, "never-rotated", "--days", "1"))
    assert local(served, "POST", f"/keys/{served.keys['new']}:activate")[0] == 200
    assert served.keys["new"] in names(report(served, "never-rotated"))
    assert local(served, "POST", f"/keys/{served.keys['new']}:revoke", reason="superseded")[0] == 200
    assert names(report(served, "never-rotated")) == [served.keys["old"]]


# ---- activity ----

def counted(server):
    """What the report should say of all until server.begun, from the list of records."""
    counts = collections.Counter()
    for record in records(server, f"&until={server.begun}"):
        if "principal" in record and record["outcome"] != "attempted":
            who = record["principal"]
            counts[who["kind"], who.get("name"), who["id"], record["verb"], record["outcome"] == "ERR_OK"] += 1
    return counts


def spread(rows):
    counts = collections.Counter()
    for row in rows:
        for name, allowed in (("allowed", True), ("refused", False)):
            counts[row["kind"], row["name"], row["id"], row["operation"], allowed] += row[name]
    return +counts


def test_activity_counts_what_the_trail_has(served):
    rows = report(served, "activity", "--until", served.begun)
    assert spread(rows) == counted(served)
    assert {("endpoint", "db1"), ("user", "is-plain")} <= {(row["kind"], row["name"]) for row in rows}
    assert all(row["first"] <= row["last"] < served.begun for row in rows)
    keys = [(row["kind"], row["id"], row["name"], row["operation"]) for row in rows]
    assert len(keys) == len(set(keys)), "the command adds up the pages"


def test_activity_in_small_pages_adds_up_to_the_same(served):
    auditor, query = served.people["audit"], f"?until={served.begun}"
    rows, paged, path = report(served, "activity", "--until", served.begun), [], f"/api/v1/reports/activity{query}&limit=1"
    assert spread(ask(auditor, "activity", query)) == spread(rows)
    while path:
        answer = auditor.ask("GET", path)
        assert answer.status == 200 and len(answer.json()["rows"]) <= 1, answer.body
        paged += answer.json()["rows"]
        path = answer.headers["link"].split(">")[0].lstrip("<") if answer.json()["next_cursor"] else None
    assert len(paged) > len(rows) and spread(paged) == spread(rows), "equal rows of several pages are to be added up"


def test_activity_by_who_by_operation_and_of_one(served):
    until = ("--until", served.begun)
    rows = report(served, "activity", *until)
    for by, dropped in (("who", ["operation"]), ("operation", ["kind", "name", "id"])):
        wanted = collections.Counter()
        for row in rows:
            kept = {**row, **dict.fromkeys(dropped)}
            wanted[kept["kind"], kept["name"], kept["id"], kept["operation"], True] += row["allowed"]
            wanted[kept["kind"], kept["name"], kept["id"], kept["operation"], False] += row["refused"]
        assert spread(report(served, "activity", "--by", by, *until)) == +wanted
    assert {row["name"] for row in report(served, "activity", "--who", "db1", *until)} == {"db1"}
    gets = report(served, "activity", "--operation", "Get", *until)
    assert {row["operation"] for row in gets} == {"Get"} and {row["name"] for row in gets} == {"db1", "db2"}
    assert report(served, "activity", "--who", "nobody-has-it", *until) == []
    assert report(served, "activity", "--since", "2001-01-01", "--until", "2001-02-01") == []


def test_activity_counts_refusals(served):
    assert served.people["plain"].call("GET", "/audit")[0] == 403
    rows = report(served, "activity", "--who", "is-plain", "--operation", "audit list")
    assert [(row["allowed"], row["refused"] > 0) for row in rows] == [(0, True)]


@pytest.mark.parametrize("since, until, why", [
    ("2026-02-01", "2026-01-01", "does not lie before"), ("2026-01-01", "2026-01-01", "does not lie before"),
    ("2300-01-01", None, "does not lie before"), ("yesterday", None, "is no time"), (None, "2026-13-01", "is no time")])
def test_activity_of_a_time_that_is_none_is_refused(served, since, until, why):
    more = [word for name, value in (("--since", since), ("--until", until)) if value for word in (name, value)]
    code, said = refused(served, "activity", *more)
    assert code == 2 and why in said, said


def test_activity_is_told_to_audit_managers(served):
    for who in ("system", "key", "plain"):
        status, problem = served.people[who].call("GET", "/reports/activity")
        assert status == 403, problem
    code, said = refused(served, "activity", "--by", "colour")
    assert code == 2 and '"by" must be one of' in said
