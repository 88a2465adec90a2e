# SPDX-License-Identifier: Apache-2.0
"""The audit trail of a running server, and of one that is down: signed heads, export and its verification without the server,
retention (contract H6)."""
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess

import pytest

from chaos import is_alive
from server import PROGRAMS, Server, wait_for


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One server for the tests of this module, with a few keys made and fetched."""
    server = Server(tmp_path_factory.mktemp("audit") / "server")
    server.setup()
    for _ in range(3):
        uid, _ = server.create_key()
        server.fetch(uid)  # the first Get of a key is a change: it is no longer fresh
    yield server
    server.remove()


def status(server):
    return server.json("audit", "status")


def public_key(server):
    return wait_for("the key that signs", lambda: status(server)["public_key"])


def verify_file(path, *more):
    """What somebody does who has the file and one program."""
    done = subprocess.run([PROGRAMS / "keyward-audit", "--file", path, *more], capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def export(server, path, *more):
    server.keyward("audit", "export", "--file", path, *more)
    return path


def test_a_trail_is_signed_and_verifies(shared):
    key = public_key(shared)
    answer = shared.json("audit", "verify", "--public-key", key)
    assert answer["sound"] and answer["public_key"] == key and answer["read_records"] >= 3
    wrong = shared.keyward("audit", "verify", "--public-key", "0" * 64, check=False)
    assert wrong.returncode == 1 and "nothing here is signed by the given public key" in wrong.stdout + wrong.stderr
    bad = shared.keyward("audit", "verify", "--public-key", "12", check=False)
    assert bad.returncode == 2 and "64 hexadecimal digits" in bad.stderr


@pytest.mark.parametrize("form", ["json", "csv"])
def test_an_exported_file_verifies_without_the_server_and_no_change_is_missed(shared, tmp_path, form):
    key = public_key(shared)
    path = export(shared, tmp_path / f"audit.{form}", "--format", form)
    code, verdict = verify_file(path, "--public-key", key)
    assert code == 0 and verdict["sound"] and verdict["first"] == 1 and verdict["read_records"] >= 3
    text = path.read_text()
    assert "Create" in text and "client" in text
    assert path.stat().st_mode & 0o777 == 0o600
    again = shared.keyward("audit", "export", "--file", path, check=False)
    assert again.returncode == 6 and "not overwritten" in again.stderr
    lines = text.splitlines(keepends=True)
    place = next(i for i, line in enumerate(lines) if "Create" in line)
    for name, changed in {"edit": lines[:place] + [lines[place].replace("Create", "Locate", 1)] + lines[place + 1:],
                          "delete": lines[:place] + lines[place + 1:],
                          "repeat": lines[:place] + [lines[place]] + lines[place:],
                          "swap": lines[:place] + [lines[place + 1], lines[place]] + lines[place + 2:],
                          "cut": lines[:-1]}.items():
        other = tmp_path / f"{form}-{name}"
        other.write_text("".join(changed))
        code, verdict = verify_file(other, "--public-key", key)
        assert code == 1 and not verdict["sound"] and verdict["what"], name
        if name in ("edit", "delete"):
            assert verdict["bad_line"] == place + 1


def test_a_file_signed_by_another_server_is_told_by_the_noted_key(shared, tmp_path):
    path = export(shared, tmp_path / "audit.jsonl")
    code, verdict = verify_file(path, "--public-key", "ab" * 32)
    assert code == 1 and "not signed by the given public key" in verdict["what"]


def test_the_trail_of_a_server_that_is_down_verifies_where_it_lies(kept):
    server = kept("plain")
    server.start()
    key = public_key(server)
    server.create_key()
    server.stop()
    done = server.keyward("audit", "verify", "--public-key", key, "-o", "json")
    verdict = json.loads(done.stdout)
    # The last record is a head: the writer signs when it stops.
    assert verdict["sound"] and verdict["signed_through"] == verdict["first"] + verdict["records"] - 1
    with sqlite3.connect(server.root / "var/lib/keyward/store.db") as db:
        db.execute("DROP TRIGGER node_audit_stays")
        db.execute("UPDATE node_audit SET time_ms = time_ms + 1 WHERE sequence = 4")
    db.close()
    done = server.keyward("audit", "verify", "-o", "json", check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["bad_sequence"] == 4 and "record 4 was changed" in done.stderr


@pytest.mark.parametrize("cut", ["the trail", "the trail and what is noted beside it"])
def test_a_trail_that_was_cut_without_the_key_is_found_when_the_store_is_open(kept, cut):
    """By the note of its last record; without that by the seal, until the server seals its next one."""
    server = kept("plain")
    server.start()
    public_key(server)
    server.create_key()
    server.stop()
    with sqlite3.connect(server.root / "var/lib/keyward/store.db") as db:
        last, mark = db.execute("SELECT sequence, mark FROM node_audit ORDER BY sequence DESC LIMIT 1").fetchone()
        # As the server would leave it, but for the seal, which takes the key.
        sequence = last - 3
        forged = bytes(8) + sequence.to_bytes(8, "big") + mark[16:]
        db.execute("DROP TRIGGER node_audit_remains")
        db.execute("UPDATE node_audit SET mark = ? WHERE sequence = ?", (forged, sequence))
        db.execute("DELETE FROM node_audit WHERE sequence > ?", (sequence,))
    db.close()
    assert json.loads(server.keyward("audit", "verify", "-o", "json").stdout)["sound"], "the chain itself is in order"
    if cut == "the trail":
        server.start()
        wait_for("the alert", lambda: older(server)[1])
        assert f"{sequence + 1}" in json.dumps(older(server)[0]), "the record stands where the trail was cut"
        return
    (server.root / "var/lib/keyward/audit/head").unlink()
    server.start()
    done = server.keyward("audit", "verify", "-o", "json", check=False)
    verdict = json.loads(done.stdout)
    assert done.returncode == 1 and verdict["bad_sequence"] == sequence
    assert verdict["what"] == f"the seal of record {sequence} is none of this server's keys'"


def test_purge_takes_only_what_was_exported_and_leaves_a_trail_that_verifies(kept, tmp_path):
    server = kept("plain")
    server.start()
    key = public_key(server)
    server.create_key()
    refused = server.keyward("audit", "purge", "--before", "2100-01-01", check=False)
    assert refused.returncode == 6 and "was exported" in refused.stderr
    server.restart()  # signs
    path = export(server, tmp_path / "audit.jsonl")
    server.keyward("audit", "confirm", "--file", path)
    exported = status(server)["exported_through"]
    assert exported > 5
    would = server.json("audit", "purge", "--before", "2100-01-01", "--dry-run")
    assert 0 < would["records"] and status(server)["first"] == 1
    done = server.json("audit", "purge", "--before", "2100-01-01")
    assert done["through"] <= exported and status(server)["first"] == done["through"] + 1
    answer = server.json("audit", "verify", "--public-key", key)
    assert answer["sound"] and answer["first"] == done["through"] + 1
    # What goes on is exported from there, and verifies.
    server.create_key()
    code, verdict = verify_file(export(server, tmp_path / "later.jsonl"), "--public-key", key)
    assert code == 0 and verdict["first"] == done["through"] + 1
    # A seal of no export of ours counts for nothing.
    body = tmp_path / "body"
    body.write_text(json.dumps({"seals": [path.read_text().splitlines()[-1].replace('"last":', '"last":9')]}))
    forged = server.keyward("api", "POST", "/audit:confirm", "--body-file", body, check=False)
    assert forged.returncode == 2 and "not one of this server's" in forged.stdout + forged.stderr
    server.stop()
    assert json.loads(server.keyward("audit", "verify", "-o", "json").stdout)["sound"]


def test_a_new_key_is_vouched_for_by_the_old_one(kept):
    server = kept("plain")
    server.start()
    old = public_key(server)
    new = server.json("audit", "rotate-key")["public_key"]
    assert new != old and status(server)["public_key"] == new
    server.create_key()
    for key in (old, new):
        assert server.json("audit", "verify", "--public-key", key)["sound"]


def test_changes_and_reads_stand_in_one_list_in_order_of_time(shared):
    records = shared.json("audit", "list", "--limit", "1000")["records"]
    times = [r["time"] for r in records]
    assert times == sorted(times)
    verbs = [r["verb"] for r in records]
    assert "Create" in verbs and "Get" in verbs and verbs.index("Create") < verbs.index("Get")
    get = next(r for r in records if r["verb"] == "Get" and "journal" in r)
    assert get["principal"]["name"] == "client"
    # Pages: no record twice, none missing.
    seen, cursor = [], []
    while True:
        page = shared.json("audit", "list", "--limit", "7", *cursor)
        seen += [(r.get("journal"), r["sequence"]) for r in page["records"]]
        if page["next_cursor"] is None or len(seen) > len(records):
            break
        cursor = ["--cursor", page["next_cursor"]]
    assert seen[:len(records)] == [(r.get("journal"), r["sequence"]) for r in records]
    bad = shared.keyward("audit", "list", "--cursor", "nonsense", check=False)
    assert bad.returncode == 2 and "cursor" in bad.stderr


STATE, HEAD = "var/lib/keyward", "var/lib/keyward/audit/head"


def put_store(server, where):
    """The store's files, and none beside them."""
    for path in (server.root / STATE).glob("store.db*"):
        path.unlink()
    for path in where.iterdir():
        shutil.copy2(path, server.root / STATE / path.name)


def copy_store(server, where):
    where.mkdir()
    for path in (server.root / STATE).glob("store.db*"):
        shutil.copy2(path, where / path.name)


def older(server):
    """What is told of an older store: the records, the alerts."""
    records = server.json("audit", "list", "--verb", "older store found")["records"]
    return records, [a for a in server.json("alert", "list")["alerts"] if a["type"] == "store_older"]


def let_it_look(server):
    """The writer has looked once it has kept the end of the trail."""
    before = (server.root / HEAD).read_bytes() if (server.root / HEAD).exists() else b""
    server.create_key()
    wait_for("the end of the trail", lambda: (server.root / HEAD).exists() and (server.root / HEAD).read_bytes() != before)


def test_an_older_store_that_is_put_back_is_told_and_served(kept, tmp_path):
    server = kept("plain")
    server.start()
    server.create_key()
    server.stop()
    copy_store(server, tmp_path / "then")
    server.start()
    uid, _ = server.create_key()
    server.stop()
    put_store(server, tmp_path / "then")
    server.start()
    alert = wait_for("the alert", lambda: older(server)[1])[0]
    assert alert["severity"] == "critical" and "had come to record" in alert["message"] and "acknowledge" in alert["fix"]
    assert len(older(server)[0]) == 1 and server.json("audit", "verify")["sound"]
    doctor = server.keyward("doctor", check=False)
    assert doctor.returncode != 0 and "alert store_older" in doctor.stdout and "acknowledge" in doctor.stdout
    assert "older_store_found" in server.log()
    with server.client() as client, pytest.raises(Exception):
        client.get(uid)
    server.create_key()
    server.restart()  # told once
    let_it_look(server)
    assert len(older(server)[0]) == 1 and len(older(server)[1]) == 1
    server.keyward("alert", "acknowledge", alert["id"])
    wait_for("its end", lambda: not older(server)[1])


def test_stops_kills_and_a_file_that_was_removed_are_no_older_store(kept):
    server = kept("plain")
    server.start()
    let_it_look(server)
    server.restart()
    let_it_look(server)
    server.create_key()
    server.kill("writer")
    let_it_look(server)
    family = [server.pid, *(process.pid for process in server.processes())]
    server.create_key()
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for("the end of all", lambda: not any(is_alive(pid) for pid in family))
    server.start()
    let_it_look(server)
    server.stop()
    (server.root / HEAD).unlink()
    server.start()
    let_it_look(server)
    assert older(server) == ([], [])


def test_a_file_of_the_trails_end_that_was_changed_is_told_and_stops_nothing(kept):
    server = kept("plain")
    server.start()
    let_it_look(server)
    server.stop()
    path = server.root / HEAD
    assert path.stat().st_mode & 0o777 == 0o600
    changed = bytearray(path.read_bytes())
    changed[-1] ^= 1
    path.write_bytes(changed)
    server.start()
    alert = wait_for("the alert", lambda: older(server)[1])[0]
    assert HEAD in alert["message"]
    let_it_look(server)
    server.restart()
    let_it_look(server)
    assert len(older(server)[0]) == 1
