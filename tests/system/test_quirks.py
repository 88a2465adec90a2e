# SPDX-License-Identifier: Apache-2.0
"""Quirks of HSM libraries that want a whole server to be seen; the table of all stands in tests/contract/hsm/test_quirks.c.
What verify says, what the traces hold, and how often a PIN is spent."""
import base64
import json
import subprocess

import pytest

import prepared
import tokens
from prepared import set_security
from server import served, soon_served, wait_for
from shim import Shim

NSS = tokens.LIBRARIES / "libsoftokn3.so"


def reboot(server):
    server.stop()
    prepared.drop_ram(server)
    server.start()
    soon_served(server)


def status(server):
    return server.json("hsm", "status")


def verify(server):
    return server.keyward("verify", program="hsmclient", check=False)


@pytest.fixture
def shimmed(kept, tmp_path):
    """shimmed(kind) gives a server that runs, with the shim before its token as .shim."""
    def make(kind="hsm"):
        server = kept(kind)
        server.shim = Shim(server.token, tmp_path / "shim")
        server.use_token(server.shim)
        server.start()
        soon_served(server)
        return server
    return make


# -- 4, 5 --
def test_no_session_and_no_process_is_kept_between_operations(shimmed):
    server = shimmed()
    server.keyward("verify", program="hsmclient")
    wait_for("hsmd to end", lambda: not server.processes("hsmd"))
    server.shim.set()
    assert served(server) and server.create_key()
    assert server.shim.calls() == 0  # serving needs no HSM


def test_health_is_a_real_decryption(shimmed):
    server = shimmed()
    server.shim.set("lost=C_Decrypt:1")
    assert status(server)["status"] == "down"
    assert served(server)
    server.shim.set("lost=C_Decrypt:1-")  # for one process only: a new one helps
    assert status(server)["status"] == "up"


# -- 10: adoption --
def test_a_key_is_adopted_from_initialize_to_reverse_migration(shimmed):
    server = shimmed("plain")
    server.shim.set("null=C_GenerateKey")
    refused = server.initialize(server.shim, check=False)
    assert refused.returncode == 8 and "HSM_ADOPT_KEY_LABEL" in refused.stderr
    set_security(server, HSM_ADOPT_KEY_LABEL="Premade HSM Root Key")
    none = server.initialize(server.shim, check=False)
    assert none.returncode == 8 and "Premade HSM Root Key" in none.stderr and served(server)
    server.token.generate_key("Premade HSM Root Key", "0a0b0c")
    server.initialize(server.shim)
    assert server.shim.calls("C_GenerateKey") == 0
    server.keys.update([server.create_key()])
    reboot(server)
    assert status(server)["status"] == "up"
    assert orphans(server) == []
    server.token.generate_key("Premade HSM Root Key", "0a0b0d")
    twin = verify(server)
    assert twin.returncode == 8 and "2 keys answer" in twin.stdout
    reboot(server)
    server.reverse_migrate(server.shim)
    assert len(server.token.keys()) == 2 and served(server)  # neither was ours to remove


@pytest.mark.parametrize("key,value", [("HSM_ADOPT_KEY_LABEL", "x" * 64), ("HSM_INIT_RESERVED", "x" * 512),
                                       ("HSM_ADOPT_KEY_ID", "01"), ("HSM_ADOPT_KEY_ID", "xyz1")])
def test_settings_that_make_no_sense_are_named(kept, key, value):
    server = kept("plain")
    set_security(server, **{key: value})
    if value == "xyz1":
        set_security(server, HSM_ADOPT_KEY_LABEL="k")
    server.start()
    refused = server.initialize(server.token, check=False)
    assert refused.returncode != 0 and key in refused.stderr


# -- a key that nobody gets --
def orphans(server):
    return json.loads(server.keyward("verify", "-o", "json", program="hsmclient").stdout)["orphans"]


@pytest.mark.parametrize("words,keys", [("lost=C_GetAttributeValue:1", 1),  # made, then the HSM is gone
                                        ("rv=C_GenerateKey:30:1", 0), ("kill=C_GenerateKey:1", 0),
                                        ("lie=insensitive rv=C_DestroyObject:30:1", 1)])
def test_a_key_that_may_have_been_made_is_told_by_verify(shimmed, words, keys):
    server = shimmed("plain")
    server.shim.set(words)
    refused = server.initialize(server.shim, check=False)
    assert refused.returncode == 8 and served(server)
    assert len(server.token.keys()) == keys
    (orphan,) = orphans(server)
    assert orphan["key_number"] is None
    text = verify(server).stdout
    assert "a root key may have been left behind" in text and orphan["operation"] in text
    server.shim.set()
    server.initialize(server.shim)
    assert status(server)["key_number"] == 2 and orphans(server) == [orphan]
    reboot(server)


@pytest.mark.parametrize("words,first", [("rv=C_GenerateKey:d1:1", 2), ("null=C_GenerateKey", 2), ("lie=insensitive", 2),  # the number was taken
                                         ("rv=C_Login:a0:1", 1), ("rv=C_FindObjectsInit:30:1", 1), ("rv=C_Initialize:5:1", 1),
                                         ("rv=C_GetTokenInfo:e0:1", 1)])
def test_where_no_key_can_be_left_verify_tells_of_none(shimmed, words, first):
    server = shimmed("plain")
    server.shim.set(words)
    assert server.initialize(server.shim, check=False).returncode == 8
    assert server.token.keys() == [] and orphans(server) == []
    server.shim.set()
    for number in range(first, first + 3):
        server.initialize(server.shim)
        assert status(server)["key_number"] == number
        server.reverse_migrate(server.shim)
    assert orphans(server) == []


# -- 20: NSS, whose parameters come by pReserved --
def test_nss_itself_works_with_its_parameters_in_hsm_init_reserved(kept, tmp_path):
    server = kept("plain")
    pin = prepared.write_private(tmp_path / "pin", "1234pin")
    (tmp_path / "db").mkdir(mode=0o700)
    subprocess.run(["certutil", "-N", "-d", f"sql:{tmp_path}/db", "-f", pin], check=True)
    nss = tokens.Token(tmp_path / "nss", label="nss-root")
    nss.library, nss.env = NSS, {}
    server.use_token(nss)
    server.start()
    refused = server.initialize(nss, check=False)
    assert refused.returncode == 8 and "CKR_ARGUMENTS_BAD" in refused.stderr and "HSM_INIT_RESERVED" in refused.stderr
    set_security(server, HSM_INIT_RESERVED=f"configdir='sql:{tmp_path}/db' dbTokenDescription='nss-root'")
    server.initialize(nss)
    reboot(server)
    assert status(server)["status"] == "up" and verify(server).returncode == 0
    assert "HSM_INIT_RESERVED" in prepared.security(server)
    server.reverse_migrate(nss)
    server.initialize(nss)
    assert status(server)["key_number"] == 2


# -- what verify says --
@pytest.mark.parametrize("words,said", [
    ("rv=C_Login:a4:1", "CKR_PIN_LOCKED (0xa4)"), ("rv=C_Decrypt:30:1", "CKR_DEVICE_ERROR (0x30)"),
    ("rv=C_OpenSession:81000071:1", "the vendor's code 0x81000071"), ("hang=C_Decrypt:1", "C_Decrypt"),
    ("kill=C_FindObjects:1", "C_FindObjects"), ("rv=C_GetSlotList:5:1", "CKR_GENERAL_ERROR (0x5)"),
    ("rv=C_Initialize:2:1", "CKR_HOST_MEMORY (0x2)"), ("length=C_FindObjects:0:1", "no root key")])
def test_verify_is_a_list_that_names_the_code_and_the_fix(shimmed, words, said):
    server = shimmed()
    good = verify(server)
    assert good.returncode == 0 and " \u2714 " in good.stdout and " \u2716 " not in good.stdout
    assert 'HSM Root Key" 00000001' in good.stdout
    if words.startswith("hang"):
        set_security(server, HSM_TIMEOUT="2")
    server.shim.set(words)
    bad = verify(server)
    assert bad.returncode == 8
    (line,) = [line for line in bad.stdout.splitlines() if line.startswith(" \u2716 ")]
    assert said in line
    assert "     fix: " in bad.stdout
    document = json.loads(server.keyward("verify", "-o", "json", program="hsmclient", check=False).stdout)
    assert document["healthy"] is False and [c for c in document["checks"] if not c["ok"] and c["fix"]]


# -- traces --
def secret_forms(pin):
    raw = pin.encode()
    return {raw, raw.hex().encode(), raw.hex().upper().encode(), base64.b64encode(raw).rstrip(b"="),
            base64.urlsafe_b64encode(raw).rstrip(b"="), raw[::-1], " ".join(f"{b:02x}" for b in raw).encode()}


def test_each_operation_leaves_a_trace_that_holds_no_secret(shimmed):
    server = shimmed("plain")
    pin, wrong = "Kw-S3cret.pin", "Wr0ng-PIN-of-somebody"
    server.token.change_pin(pin)
    server.shim.set("print=C_Login")
    server.initialize(server.shim)
    verify(server)
    server.keyward("hsm", "set-credential", "--credential-file", server.secret_file("wrong", wrong), check=False)
    server.keyward("hsm", "set-credential", "--credential-file", server.secret_file("pin", pin))
    status(server)
    server.stop()
    prepared.drop_ram(server)
    server.start()
    soon_served(server)
    server.reverse_migrate(server.shim)
    files = list((server.root / "var/okv/log/hsm").iterdir())
    names = " ".join(f.name for f in files)
    for operation in ("initialize", "verify", "set_credential", "open_wallet", "prove", "reverse_migrate", "monitor"):
        assert f"-{operation}-" in names, operation
    everything = b"".join(f.read_bytes() for f in files) + server.log().encode()
    assert b"pkcs11_call function=C_Login" in everything
    for form in secret_forms(pin) | secret_forms(wrong):
        assert form not in everything
    assert all(f.stat().st_mode & 0o777 == 0o600 for f in files)


# -- how often a PIN is spent: the table of docs/HSM.md, "Logins" --
def test_a_login_is_spent_as_seldom_as_documented(shimmed):
    server = shimmed("plain")
    shim = server.shim

    def spent(act):
        shim.set()
        act()
        return shim.calls("C_Login")
    pin = server.secret_file("pin", server.token.pin)
    logins = {"initialize": spent(lambda: server.initialize(shim))}
    logins["status"] = spent(lambda: status(server))
    logins["verify"] = spent(lambda: verify(server))
    # The wallet is found in the RAM file system; the first HSM check comes by itself right after.
    logins["crash"] = spent(lambda: (server.kill("keeper"), wait_for("the HSM check", lambda: shim.calls("C_Decrypt"))))
    soon_served(server)
    logins["restart"] = spent(lambda: (server.restart(), soon_served(server)))
    logins["reboot"] = spent(lambda: reboot(server))
    logins["set-credential"] = spent(lambda: server.keyward("hsm", "set-credential", "--credential-file", pin))
    wrong = server.secret_file("wrong", "0000bad")
    logins["wrong credential"] = spent(lambda: server.keyward("hsm", "set-credential", "--credential-file", wrong, check=False))
    logins["serving"] = spent(lambda: served(server))
    logins["reverse-migrate"] = spent(lambda: server.reverse_migrate(shim))
    assert logins == {"initialize": 3, "status": 1, "verify": 2, "crash": 1, "restart": 1, "reboot": 1,
                      "set-credential": 2, "wrong credential": 1, "serving": 0, "reverse-migrate": 1}


def test_a_wrong_pin_is_spent_once_for_all_that_follows(shimmed):
    server = shimmed()
    server.token.change_pin("5678abc")
    server.shim.set()
    assert "CKR_PIN_INCORRECT (0xa0)" in verify(server).stdout
    for _ in range(3):
        verify(server)
        status(server)
    server.kill("keeper")
    soon_served(server)
    server.restart()
    assert "refused the stored credential" in status(server)["reason"]
    assert server.shim.calls("C_Login") == 1
