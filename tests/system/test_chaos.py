# SPDX-License-Identifier: Apache-2.0
"""Processes are killed at random under load: what was acknowledged is served afterwards, with the right bytes and in the
right state, the audit trail is sound, and nothing is left over.

KEYWARD_CHAOS_SECONDS makes the run longer, KEYWARD_CHAOS_SEED repeats one's choices.
"""
import os
import time

import chaos
from root import needs_root
from server import wait_for

ROLES = {"front", "web", "reader", "writer", "admin", "people", "keeper"}


def settled(server):
    """Each role runs as often as at the start, and no process of one operation is left."""
    roles = [p.role for p in server.processes()]
    return ROLES <= set(roles) and "hsmd" not in roles and "prover" not in roles


def test_what_was_acknowledged_survives_kills_at_random(kept):
    seconds = float(os.environ.get("KEYWARD_CHAOS_SECONDS", "20"))
    seed = os.environ.get("KEYWARD_CHAOS_SEED", str(time.time_ns()))
    server = kept("hsm")
    server.start()
    where = server.enroll("chaos")
    endpoint = chaos.kmip.Endpoint("127.0.0.1", server.port, where / "ca.pem", where / "cert.pem", where / "key.pem")
    wait_for("the processes to settle", lambda: settled(server))
    count = len(server.processes())
    before = chaos.measure(server)
    wrong, figures = chaos.run(server, endpoint, seconds, seed, supervisor_every=min(30.0, seconds / 2), say=print)
    print(f"seed {seed}\n{figures}")
    assert not wrong, f"seed {seed}: " + "\n".join(wrong[:40])
    assert figures["answers"] > seconds, "there was no load to speak of"
    wait_for("the processes to settle", lambda: settled(server) and len(server.processes()) == count)
    assert server.json("audit", "verify")["sound"] is True
    for uid, key in server.keys.items():
        assert server.fetch(uid) == key
    after = chaos.measure(server)
    needs_root("the descriptors of a process that shows them to root alone; all else was looked at")
    assert after["supervisor"][1] <= before["supervisor"][1] + 2, f"the supervisor leaks descriptors: {before} {after}"
    assert after["supervisor"][0] <= before["supervisor"][0] * 1.5 + 1024, f"the supervisor grows: {before} {after}"
