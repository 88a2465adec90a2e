# SPDX-License-Identifier: Apache-2.0
"""Rotation of passphrase, wallet password, master key and data keys on a running server (INV-1, INV-2, INV-12, F-4)."""
import subprocess
import threading

import pytest

import prepared
from kmip.core import enums
from prepared import documented, root_of_trust
from server import PASSPHRASE, wait_for
from shim import Shim

NEW = "quite another passphrase 8"


def up(server):
    server.start()
    soon_served(server)
    return server


def served(server):
    with server.client() as client:
        return all(client.get(uid).value == key for uid, key in server.keys.items())


def soon_served(server):
    def there():
        try:
            return served(server)
        except Exception:  # the port may still refuse or be closed
            return False
    wait_for("the keys to be served", there)


def change_passphrase(server, old=PASSPHRASE, new=NEW, check=True):
    return server.keyward("passphrase", "change", "--recovery-passphrase-file", server.secret_file("old", old),
                          "--new-recovery-passphrase-file", server.secret_file("new", new), check=check)


def rotate(server, what, *more, check=True):
    return server.keyward("rotate", what, *more, check=check)


def rotate_master(server, passphrase=PASSPHRASE, check=True):
    return rotate(server, "master-key", "--recovery-passphrase-file", server.secret_file("phrase", passphrase), check=check)


def rotation(server):
    return server.json("rotate", "status")


def opens(server, path, passphrase):
    done = subprocess.run(["openssl", "pkcs12", "-in", server.root / path, "-nokeys", "-passin", "stdin"],
                          input=passphrase + "\n", capture_output=True, text=True)
    return done.returncode == 0


def reboot(server):
    server.stop()
    prepared.drop_ram(server)
    up(server)


class Load:
    """KMIP all the while: creates and reads; whatever fails is kept."""

    def __init__(self, server):
        self.server, self.failures, self.made = server, [], {}
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(n,)) for n in range(2)]
        server.enroll()

    def _run(self, number):
        try:
            with self.server.client() as client:
                while not self.stop.is_set():
                    uid = client.create(enums.CryptographicAlgorithm.AES, 256)
                    self.made[uid] = client.get(uid).value
                    for known, key in list(self.server.keys.items()):
                        if client.get(known).value != key:
                            self.failures.append(f"{known} has other bytes")
        except Exception as failure:  # an answer that was none
            self.failures.append(f"load {number}: {failure}")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_for("some load", lambda: len(self.made) > 4 or self.failures)
        return self

    def __exit__(self, *exc):
        before = len(self.made)
        wait_for("load afterwards", lambda: len(self.made) > before or self.failures)
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert self.failures == []
        self.server.keys = {**self.server.keys, **self.made}


@pytest.mark.parametrize("kind", ["plain", "hsm"])
def test_only_the_new_passphrase_opens_what_it_protects(kept, kind):
    server = up(kept(kind))
    wallet = prepared.RESTORE if kind == "hsm" else prepared.TDE
    before = root_of_trust(server)
    change_passphrase(server)
    assert opens(server, wallet, NEW) and not opens(server, wallet, PASSPHRASE)
    after = root_of_trust(server)
    assert {path for path in prepared.ALL if before[path] != after[path]} == {wallet}
    assert after["left over"] == []
    refused = change_passphrase(server, PASSPHRASE, "a third passphrase, long enough", check=False)
    assert refused.returncode == 3 and "recovery passphrase is wrong: give the one" in refused.stderr
    # No file anywhere below the root still opens with the old one.
    for path in server.root.rglob("*.p12"):
        assert not opens(server, path.relative_to(server.root), PASSPHRASE), path
    reboot(server)
    assert served(server)
    if kind == "hsm":
        assert server.reverse_migrate(server.token, check=False).returncode != 0
        server.reverse_migrate(server.token, old=NEW)
        assert served(server)


def test_the_passphrase_changes_with_the_hsm_away(kept):
    server = up(kept("hsm"))
    server.token.hide()
    change_passphrase(server)
    server.token.show()
    reboot(server)
    assert opens(server, prepared.RESTORE, NEW)


def test_a_refused_change_changes_nothing(kept):
    server = up(kept("plain"))
    before = root_of_trust(server)
    for old, new in ((NEW, NEW + "x"), (PASSPHRASE, "short"), (PASSPHRASE, PASSPHRASE)):
        assert change_passphrase(server, old, new, check=False).returncode != 0
    refused = rotate(server, "wallet-password", check=False)
    assert refused.returncode == 6 and "passphrase change" in refused.stderr
    assert rotate_master(server, NEW, check=False).returncode == 3
    assert root_of_trust(server) == before
    assert rotation(server)["master_key"] == 1


def test_a_new_wallet_password_while_keys_are_served(kept):
    server = up(kept("hsm"))
    before, number = root_of_trust(server), server.json("hsm", "status")["key_number"]
    with Load(server):
        rotate(server, "wallet-password")
    after = root_of_trust(server)
    assert {path for path in prepared.ALL if before[path] != after[path]} == {prepared.TDE, prepared.PASSWORD}
    assert documented(server) == prepared.WITH_HSM and after["left over"] == []
    assert server.json("hsm", "status")["key_number"] == number
    assert len(server.token.keys()) == 1
    reboot(server)
    assert served(server) and server.json("hsm", "status")["status"] == "up"


@pytest.mark.parametrize("kind", ["plain", "hsm"])
def test_a_new_master_key_while_keys_are_served(kept, kind):
    server = up(kept(kind))
    before = rotation(server)["master_key"]
    with Load(server):
        rotate_master(server)
        status = rotation(server)
        assert status["master_key"] == before + 1
        assert {key["master_key"] for key in status["data_keys"]} == {before + 1}
    reboot(server)
    assert served(server)
    assert server.json("audit", "verify")["sound"]


def test_data_keys_are_wrapped_again_when_the_process_died_in_between(kept):
    server = up(kept("plain"))
    for number in range(2, 5):
        # The admin engine that was killed is refused by name until the next one serves.
        wait_for("the admin engine to rotate", lambda: rotate_master(server, check=False).returncode == 0)
        server.kill("admin")
        wait_for("data keys under the new master key",
                 lambda: {key["master_key"] for key in rotation(server)["data_keys"]} == {number})
    assert served(server)


def rotated(server):
    return rotation(server)["data_key_rotation"]["state"] != "running"


def test_data_keys_rotate_while_keys_are_served(kept):
    server = up(kept("hsm"))
    with server.client() as client:
        for number in range(300):
            uid = client.create(enums.CryptographicAlgorithm.AES, 256, name=f"object {number}")
            if number % 50 == 0:
                server.keys[uid] = client.get(uid).value
    old = {key["id"] for key in rotation(server)["data_keys"] if key["purpose"] == "objects"}
    with Load(server):
        rotate(server, "data-keys")
        wait_for("the rotation to end", lambda: rotated(server))
    status = rotation(server)
    now = {key["id"] for key in status["data_keys"] if key["purpose"] == "objects"}
    assert status["data_key_rotation"]["state"] == "done" and len(now) == 1 and not now & old
    assert status["data_key_rotation"]["objects_total"] >= 300
    reboot(server)
    assert served(server)
    with server.client() as client:
        assert len(client.locate()) >= 300
    server.keyward("endpoint", "add", "later", "--enroll", "--out", server.root / "clients" / "later")
    records = server.json("audit", "list", "--limit", "1000")["records"]
    assert any(r["verb"] == "data keys rotated" for r in records)
    assert not [r for r in records if r.get("telling") == "sealed"]
    assert server.json("audit", "verify")["sound"]


def test_a_rotation_goes_on_after_every_kill(kept):
    server = up(kept("plain"))
    with server.client() as client:
        for number in range(800):
            uid = client.create(enums.CryptographicAlgorithm.AES, 256)
            if number % 100 == 0:
                server.keys[uid] = client.get(uid).value
    kills = 0
    for _ in range(10):  # one that ended before it was killed shows nothing
        rotate(server, "data-keys")
        while not rotated(server) and kills < 12:
            killed = {process.pid for process in server.kill("writer")}
            wait_for("a new writer", lambda: {process.pid for process in server.processes("writer")} - killed)
            kills += 1
        if kills > 0:
            break
    assert kills > 0
    wait_for("the new writer's answer", lambda: rotate(server, "data-keys", check=False).returncode in (0, 6))
    wait_for("the rotation to end", lambda: rotated(server))
    status = rotation(server)
    assert status["data_key_rotation"]["state"] == "done"
    assert len([key for key in status["data_keys"] if key["purpose"] == "objects"]) == 1
    soon_served(server)
    reboot(server)
    assert served(server)


def test_a_refused_credential_rotates_nothing_and_is_tried_once(kept, tmp_path):
    server = kept("hsm")
    shim = Shim(server.token, tmp_path / "shim")
    server.use_token(shim)
    up(server)
    server.token.change_pin("5678abc")
    before = root_of_trust(server)
    shim.set()
    for _ in range(5):
        assert rotate(server, "wallet-password", check=False).returncode == 8
    assert shim.calls("C_Login") <= 1
    assert root_of_trust(server) == before
    assert served(server)
