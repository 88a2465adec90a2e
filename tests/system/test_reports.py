# SPDX-License-Identifier: Apache-2.0
"""Reports (contract H6): each as table, CSV and JSON, by the command line and over HTTPS, to whom they may be told and to nobody
else, page by page without a row lost or told twice. Time is made to pass by dating back what a stopped server has stored."""
import csv
import io
import sqlite3
import time

import pytest
from people import Person, local, make, wait_for_port
from server import Server, wait_for

DAY = 86400
NAMES = ["entitlement", "quiet-endpoints"]
FORMULA = "=HYPERLINK(1)"  # a wallet may have this name


def date_back(server, sql, *values):
    """Changes the stopped server's store."""
    with sqlite3.connect(server.root / "var/lib/keyward/store.db") as db:
        db.execute(sql, values)
    db.close()


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
        server.stop()
        date_back(server, "UPDATE node_seen SET time = time - ? WHERE endpoint = ?", 40 * DAY, bytes.fromhex(quiet.replace("-", "")))
        server.start()
        wait_for_port(server)
        server.people = {role: make(server, f"is-{role}", roles=[role]) for role in ("system", "key", "audit")}
        server.people["plain"] = make(server, "is-plain")
        server.keyward("wallet", "grant", "payroll", "--user", "is-plain", "--access", "read-only")
        yield server
    finally:
        server.remove()


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


@pytest.mark.parametrize("name", NAMES)
def test_each_report_as_table_csv_and_json_by_command_and_over_https(served, name):
    auditor = served.people["audit"] if name == "activity" else served.people["system"]
    rows = report(served, name)
    assert rows and len({tuple(row) for row in rows}) == 1, "all rows have the same columns"
    table = served.keyward("report", name, "-o", "table").stdout.splitlines()
    assert len(table) == len(rows) + 1 and table[0] == table[0].upper()
    if name == "activity":
        return  # what is told grows with the telling: its own test compares
    assert as_csv(served.keyward("report", name, "-o", "csv").stdout) == [{k: cell(v) for k, v in row.items()} for row in rows]
    told = ask(auditor, name)
    answer = auditor.ask("GET", f"/api/v1/reports/{name}", headers={"Accept": "text/csv"})
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


@pytest.mark.parametrize("name", NAMES)
def test_pages_lose_and_double_nothing(served, name):
    person = served.people["audit"] if name == "activity" else served.people["key"]
    whole, paged, path = ask(person, name, "?limit=1000"), [], f"/api/v1/reports/{name}?limit=1"
    for _ in range(100):
        answer = person.ask("GET", path)
        assert answer.status == 200, answer.body
        paged += answer.json()["rows"]
        if answer.json()["next_cursor"] is None:
            break
        path = answer.headers["link"].split(">")[0].lstrip("<")
    if name == "activity":
        return
    assert len(whole) > 1 and paged == whole


@pytest.mark.parametrize("name", NAMES)
def test_a_cursor_of_another_report_is_refused(served, name):
    other = NAMES[NAMES.index(name) - 1]
    person = served.people["audit"] if other == "activity" else served.people["key"]
    cursor = person.call("GET", f"/reports/{other}?limit=1")[1]["next_cursor"]
    for wrong in (cursor, "x", "0190a5b2-4d1c-7f00-8a10-5e0c6a7b9d21", cursor[:-1], cursor + "0"):
        code, said = refused(served, name, "--cursor", wrong)
        assert code == 2 and "leave it out for the first page" in said, said
    status, problem = served.people["audit" if name == "activity" else "key"].call("GET", f"/reports/{name}?cursor={cursor}")
    assert status == 422 or status == 400, problem


@pytest.mark.parametrize("name", ["quiet-endpoints"])
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
        (None, "owner", False, "owner", None, 1), ("payroll", "read-only", False, "grant", None, 0),
        ("w", "create", False, "default-wallet", None, 0)]
    assert of(rows, "endpoint", "db2") == [
        (None, "owner", False, "owner", None, 1), ("payroll", "read-modify", True, "group", "rac", 0)]
    assert of(rows, "endpoint_group", "rac") == [("payroll", "read-modify", True, "grant", None, 0)]
    assert of(rows, "user", "is-plain") == [("payroll", "read-only", False, "grant", None, 0)]
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
