# SPDX-License-Identifier: Apache-2.0
"""The timeline of a key: its dates for whoever may see the key, who did what and when for whoever may read the audit trail."""
from kmip.core import enums

import people
from server import wait_for

AES = enums.CryptographicAlgorithm.AES


def timeline(shown):
    """[(event, by, kind)] of what is past."""
    return [(row["event"], row["by"], row["by_kind"]) for row in shown["timeline"] if not row["planned"]]


def wait_for_events(server, uid, *wanted):
    """The timeline once it has these: reads are covered by an anchor within a second or so."""
    def look():
        rows = timeline(server.json("key", "show", uid))
        return rows if all(one in rows for one in wanted) else None
    return wait_for(f"the events {wanted}", look)


def test_who_created_fetched_exported_and_destroyed_a_key_is_told(web):
    with web.client("maker") as maker:
        uid = maker.create(AES, 256, name="told")
        maker.get(uid)
    web.keyward("wallet", "create", "shared")
    web.keyward("wallet", "add", "shared", uid)
    web.enroll("other")
    web.keyward("wallet", "grant", "shared", "--endpoint", "other", "--access", "read-only")
    with web.client("other") as other:
        for _ in range(3):
            other.get(uid)
    web.keyward("key", "activate", uid)
    web.keyward("key", "export", uid, "--format", "raw", "--reason", "to see it in the timeline")
    rows = wait_for_events(web, uid, ("created here", "maker", "endpoint"), ("fetched last", "maker", "endpoint"),
                           ("fetched last", "other", "endpoint"), ("activated", "uid 0", "local"), ("exported", "uid 0", "local"))
    assert [row[0] for row in rows].count("fetched last") == 2  # the last one of each
    assert rows[0][0] == "created here"
    shown = web.json("key", "show", uid)
    assert [row["time"] for row in shown["timeline"]] == sorted(row["time"] for row in shown["timeline"])
    assert shown["trail_since"] <= shown["created"]
    new = web.json("key", "re-key", uid)["id"]
    wait_for_events(web, uid, ("re-keyed", "uid 0", "local"))
    assert ("created here", "uid 0", "local") in wait_for_events(web, new)
    web.keyward("key", "revoke", new, "--reason", "superseded")
    web.keyward("key", "destroy", new, "--confirm", new)
    rows = wait_for_events(web, new, ("destroyed", "uid 0", "local"), ("deactivated", "uid 0", "local"))
    assert [row[0] for row in rows if row[0] in ("destroyed", "revoked")] == ["destroyed"]  # each is told once


def test_only_who_may_read_the_trail_is_told_who(web):
    with web.client("maker") as maker:
        uid = maker.create(AES, 256, name="seen")
        maker.get(uid)
    wait_for_events(web, uid, ("fetched last", "maker", "endpoint"))
    for name, roles, told in (("keys", ["key"], False), ("both", ["key", "audit"], True)):
        people.make(web, name, roles=roles)
        status, shown = people.sign_in(web, name).call("GET", f"/keys/{uid}")
        assert status == 200 and (shown["trail_since"] is not None) == told
        assert (("fetched last", "maker", "endpoint") in timeline(shown)) == told
        assert ("created here", "maker" if told else None, "endpoint" if told else None) in timeline(shown)
    people.make(web, "auditor", roles=["audit"])
    assert people.sign_in(web, "auditor").call("GET", f"/keys/{uid}")[0] == 404  # the trail opens no key


def test_a_person_is_told_by_name(web):
    people.make(web, "alice", roles=["key"])
    status, made = people.sign_in(web, "alice").call("POST", "/keys", name="hers")
    assert status == 201
    assert ("created here", "alice", "user") in wait_for_events(web, made["id"], ("created here", "alice", "user"))


def test_a_look_at_a_key_is_no_fetch_and_a_fetch_changes_no_tag(web):
    with web.client("maker") as maker:
        uid = maker.create(AES, 256, name="tagged")
        maker.get(uid)
        people.make(web, "tagger", roles=["key", "audit"])
        person = people.sign_in(web, "tagger")
        first = person.ask("GET", f"/api/v1/keys/{uid}")
        maker.get(uid)
        wait_for_events(web, uid, ("fetched last", "maker", "endpoint"))
        again = person.ask("GET", f"/api/v1/keys/{uid}")
        assert first.headers["etag"] == again.headers["etag"]
        assert not any(by == "tagger" for _, by, _ in timeline(again.json()))
        answer = person.ask("POST", f"/api/v1/keys/{uid}:activate", {}, {"If-Match": first.headers["etag"]})
        assert answer.status == 200, answer.body
