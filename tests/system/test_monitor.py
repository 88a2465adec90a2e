# SPDX-License-Identifier: Apache-2.0
"""The look at the HSM that the server takes by itself: red within an interval, green by itself (contract B10, J6, F-40 to F-49)."""
import time

import pytest

import prepared
import tokens
from kmip.core import enums
from prepared import set_security
from server import wait_for
from shim import Shim, bad_library

INTERVAL = 10  # the shortest there is
SOON = 6 * INTERVAL  # a few looks may come late on a busy machine; where nothing is set the next one is in 300 s


def set_conf(server, **values):
    path = server.root / "etc/keyward/keywardd.conf"
    path.write_text(path.read_text() + "".join(f'{key}="{value}"\n' for key, value in values.items()))


@pytest.fixture
def watched(kept, tmp_path):
    """A server in HSM mode behind the shim, looked at every ten seconds, running and found well."""
    server = kept("hsm")
    server.shim = Shim(server.token, tmp_path / "shim")
    server.use_token(server.shim)
    set_conf(server, HSM_MONITOR_SECONDS=INTERVAL)
    server.start()
    wait_for("the keys to be served", lambda: is_served(server))
    wait_for("the first look", lambda: server.shim.calls("C_Decrypt"))
    return server


def is_served(server):
    try:
        with server.client() as client:
            return all(client.get(uid).value == key for uid, key in server.keys.items())
    except Exception:  # the port may still refuse or be closed
        return False


def alerts(server):
    return [a for a in server.json("alert", "list")["alerts"] if a["type"] == "hsm"]


def raised(server):
    """The alert, once there is one; nobody asks the HSM meanwhile."""
    return wait_for("an alert", lambda: alerts(server), SOON)[0]


def cleared(server):
    wait_for("no alert", lambda: not alerts(server), SOON)


def status(server):
    return server.json("hsm", "status")


def verbs(server):
    found, cursor = [], []
    while True:
        page = server.json("audit", "list", "--limit", "1000", *cursor)
        found += [record["verb"] for record in page["records"]]
        if page["next_cursor"] is None or len(page["records"]) < 1000:
            return found
        cursor = ["--cursor", page["next_cursor"]]


def test_red_within_an_interval_and_green_by_itself(watched):
    server = watched
    assert alerts(server) == []
    server.shim.set("rv=C_Decrypt:30:1")
    alert = raised(server)
    assert (alert["type"], alert["severity"]) == ("hsm", "critical")
    assert alert["message"].startswith("HSM configuration error. ") and "CKR_DEVICE_ERROR" in alert["message"]
    assert alert["since"]
    assert is_served(server)
    server.shim.set()
    cleared(server)
    assert [v for v in verbs(server) if v in ("alert raised", "alert cleared")] == ["alert raised", "alert cleared"]
    now = status(server)
    assert now["status"] == "up" and "problem" not in now and now["latency_ms"] >= 0 and now["checked_at"]


PROBLEMS = {
    "library_not_loaded": lambda server, tmp_path: use_library(server, tmp_path / "is-not-there.so"),
    "no_token": lambda server, tmp_path: server.token.hide(),
    "label_not_unique": lambda server, tmp_path: use_twins(server, tmp_path),
    "key_missing": lambda server, tmp_path: server.token.delete(*root_key(server)),
    "key_ambiguous": lambda server, tmp_path: server.token.generate_key(*root_key(server)),
    "blob_does_not_open": lambda server, tmp_path: replace_root_key(server),
    "timeout": lambda server, tmp_path: hang(server),
    "crash": lambda server, tmp_path: server.shim.set("crash=C_Decrypt:1"),
    "failed": lambda server, tmp_path: server.shim.set("rv=C_Decrypt:30:1"),
    "files": lambda server, tmp_path: (server.root / prepared.RESTORE).write_bytes(b"changed"),
}


def hang(server):
    set_security(server, HSM_TIMEOUT="2")
    server.shim.set("hang=C_Decrypt:1")


def use_library(server, path, instead=None):
    conf = server.root / prepared.HSM_CONF
    prepared.write_private(conf, conf.read_text().replace(str(instead or server.shim.library), str(path)))


def use_twins(server, tmp_path):
    twins = tokens.SoftHsm(tmp_path / "twins", copies=2, label=server.token.label, pin=server.token.pin)
    server.use_token(twins)


def root_key(server):
    key, = [o for o in server.token.objects() if o["label"].endswith("HSM Root Key")]
    return key["label"], key["id"]


def replace_root_key(server):
    label, number = root_key(server)
    server.token.delete(label, number)
    server.token.generate_key(label, number)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_each_problem_has_its_name(watched, tmp_path, problem):
    PROBLEMS[problem](watched, tmp_path)
    now = status(watched)
    assert (now["status"], now["type"], now.get("problem")) == ("down", "None", problem), now
    assert now["message"].startswith("HSM configuration error. ")
    assert wait_for("the alert", lambda: alerts(watched))[0]["problem"] == problem
    assert is_served(watched)


def test_a_hung_library_stays_in_its_process(kept):
    server = kept("hsm")
    set_security(server, HSM_TIMEOUT="2")
    server.start()
    wait_for("the keys to be served", lambda: is_served(server))
    use_library(server, bad_library("hangs"), server.token.library)
    assert status(server)["problem"] == "timeout"
    assert is_served(server)


def test_a_refused_pin_is_tried_once_by_the_monitor_across_restarts(watched):
    server = watched
    server.token.change_pin("5678abc")
    server.shim.set()
    alert = raised(server)
    assert alert["problem"] == "pin_refused" and server.shim.calls("C_Login") == 1
    server.kill("keeper")
    wait_for("a new keeper", lambda: server.processes("keeper"))
    passed = time.monotonic() + INTERVAL + 2
    wait_for("an interval to pass", lambda: time.monotonic() > passed)
    assert server.shim.calls("C_Login") == 1
    assert is_served(server)
    for _ in range(3):
        server.restart()
        assert status(server)["problem"] == "pin_refused"
    assert server.shim.calls("C_Login") == 1
    server.keyward("hsm", "set-credential", "--credential-file", server.secret_file("new-pin", server.token.pin))
    cleared(server)


def test_a_locked_pin_is_named(make_server, tmp_path):
    with tokens.OpenCryptoki(tmp_path / "opencryptoki") as token:
        server = make_server(prefix=token.enter([]))
        server.setup()
        server.use_token(token)
        server.initialize(token)
        token.wrong_pin(times=5)
        assert status(server)["problem"] == "pin_locked"
        assert status(server)["problem"] == "pin_locked"
        server.remove()


def test_keys_are_served_while_the_monitors_call_hangs(watched):
    server = watched
    set_security(server, HSM_TIMEOUT="15")
    server.shim.set("hang=C_Decrypt:1")
    wait_for("the monitor to hang", lambda: server.shim.calls("C_Decrypt"))
    hung = [p.pid for p in server.processes("hsmd")]
    answered = 0
    with server.client() as client:
        while {p.pid for p in server.processes("hsmd")} & set(hung) and answered < 200:
            for uid, key in server.keys.items():
                assert client.get(uid).value == key
                answered += 1
        assert answered >= 50
        client.create(enums.CryptographicAlgorithm.AES, 256)
    assert raised(server)["problem"] == "timeout"
    server.shim.set()
    cleared(server)


def test_an_operation_waits_for_the_monitor_and_then_runs(watched):
    server = watched
    server.shim.set("hang=C_Decrypt:1-")
    wait_for("the monitor to hang", lambda: server.shim.calls("C_Decrypt"))
    server.shim.set(keep_counts=True)
    server.keyward("rotate", "wallet-password")
    assert is_served(server) and status(server)["status"] == "up"


@pytest.mark.parametrize("value", ["9", "86401", "often", "-10", ""])
def test_an_interval_out_of_bounds_is_refused_by_name(kept, value):
    server = kept("plain")
    set_conf(server, HSM_MONITOR_SECONDS=value)
    started = server.start(check=False)
    assert started.returncode != 0
    assert "HSM_MONITOR_SECONDS" in server.log()


def test_without_an_hsm_there_is_no_look_and_no_alert(kept):
    server = kept("plain")
    set_conf(server, HSM_MONITOR_SECONDS=INTERVAL)
    server.start()
    wait_for("the keys to be served", lambda: is_served(server))
    assert alerts(server) == [] and "problem" not in status(server)
