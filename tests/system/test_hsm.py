# SPDX-License-Identifier: Apache-2.0
"""The HSM operations as their administrator meets them, on SoftHSM and openCryptoki (contract A1 to A4, B2 to B6, B8, B9)."""
import concurrent.futures
import json
import os
import re
import subprocess
import time

import pytest

import prepared
import tokens
from prepared import documented, root_of_trust, security, set_security
from server import PASSPHRASE, PROGRAMS, served, soon_served, wait_for, write_private
from shim import Shim

NEW = "another passphrase, much longer 8"


@pytest.fixture(params=["softhsm", "opencryptoki"])
def beside(request, make_server, tmp_path, kept):
    """A server without an HSM and a token that it can reach, of each kind."""
    if request.param == "softhsm":
        server = kept("plain")
        server.start()
        yield server
        return
    with tokens.OpenCryptoki(tmp_path / "opencryptoki") as token:
        server = make_server(prefix=token.enter([]))
        server.setup()
        server.use_token(token)
        server.token, server.keys = token, dict([server.create_key()])
        yield server
        server.remove()


def up(server):
    server.start()
    soon_served(server)
    return server


def hsm_status(server):
    return server.json("hsm", "status")


def hsmclient(server, *arguments, check=False):
    return server.keyward(*arguments, check=check, program="hsmclient")


def set_credential(server, pin=None, check=True, **more):
    words = [word for key, value in more.items() for word in (f"--{key.replace('_', '-')}", value)]
    return server.keyward("hsm", "set-credential", "--credential-file", server.secret_file("new-pin", pin or server.token.pin),
                          *words, check=check)


def reboot(server, between=lambda: None):
    """Stops the server, empties the RAM file system and starts it with nobody at hand."""
    server.stop()
    ram = f"{server.root}/mnt/okvram"
    subprocess.run([*server.prefix, "sh", "-c", 'test ! -d "$1" || find -H "$1" -mindepth 1 -delete', "sh", ram], check=True)
    between()
    server.start()


def ram_files(server):
    """{name below mnt/okvram: mode}, seen where the server runs."""
    out = subprocess.run([*server.prefix, "find", "-H", f"{server.root}/mnt/okvram", "-type", "f", "-printf", "%P %m\n"],
                         capture_output=True, text=True, check=True).stdout
    return dict(line.rsplit(" ", 1) for line in out.splitlines())


def traces(server):
    return sorted(p.name for p in (server.root / "var/okv/log/hsm").iterdir())


def said(done):
    return (done.stdout + done.stderr).lower()


# -- initialize and reverse migrate --
def test_three_cycles_give_key_numbers_one_to_three(beside):
    for number in (1, 2, 3):
        beside.initialize(beside.token)
        status = hsm_status(beside)
        assert (status["status"], status["key_number"]) == ("up", number)
        assert documented(beside) == prepared.WITH_HSM
        assert ram_files(beside) and set(ram_files(beside).values()) == {"600"}
        assert security(beside)["HSM_ENABLED"] == "1" and security(beside)["HSM_TOKEN_LABEL"] == beside.token.label
        beside.keys.update([beside.create_key()])
        beside.reverse_migrate(beside.token)
        status = hsm_status(beside)
        assert (status["status"], status["type"]) == ("down", "None")
        assert documented(beside) == prepared.WITHOUT_HSM
        assert ram_files(beside) == {}
        assert security(beside)["HSM_ENABLED"] == "0"
        beside.keys.update([beside.create_key()])
        assert prepared.wrong_modes(beside) == []
    on_token = beside.token.objects()
    roots = sorted(o["id"] for o in on_token if re.fullmatch(r"OKV \S.* HSM Root Key", o["label"]))
    assert roots == ["00000001", "00000002", "00000003"]
    assert len([o for o in on_token if re.fullmatch(r"OKV \S.* HSM Key Number", o["label"])]) == 1
    assert len(on_token) == 4
    beside.token.hide()
    beside.restart()
    soon_served(beside)


def test_it_starts_unattended_after_a_reboot(beside):
    beside.initialize(beside.token)
    beside.keys.update([beside.create_key()])
    reboot(beside)
    soon_served(beside)
    assert hsm_status(beside)["status"] == "up"
    assert documented(beside) == prepared.WITH_HSM
    assert prepared.wrong_modes(beside) == []


def test_with_the_hsm_away_it_says_so_refuses_keys_and_opens_by_itself(beside):
    beside.initialize(beside.token)
    reboot(beside, beside.token.hide)
    assert hsm_status(beside)["status"] == "down"
    assert "slot" in json.dumps(hsm_status(beside)).lower() or "library" in json.dumps(hsm_status(beside)).lower()
    assert beside.keyward("status", check=False).stdout
    with pytest.raises(Exception, match="(?i)locked|hsm|slot|library"):
        beside.fetch(next(iter(beside.keys)))
    beside.token.show()
    soon_served(beside)
    assert hsm_status(beside)["status"] == "up"


def test_the_status_names_the_token_and_its_maker(kept):
    server = up(kept("hsm"))
    status = json.dumps(hsm_status(server))
    assert server.token.label in status and "SoftHSM" in status


def test_the_new_passphrase_counts_after_reverse_migration(kept):
    server = up(kept("hsm"))
    server.reverse_migrate(server.token, new=NEW)
    assert opens(server, prepared.TDE, NEW) and not opens(server, prepared.TDE, PASSPHRASE)
    assert served(server)
    refused = server.initialize(server.token, check=False)
    assert refused.returncode == 3 and "passphrase" in said(refused)
    server.initialize(server.token, passphrase=NEW)
    assert hsm_status(server)["key_number"] == 2 and served(server)


def test_reverse_migration_can_be_forbidden(kept):
    server = kept("hsm")
    set_security(server, HSM_REVERSE_MIGRATE_ENABLED="0")
    up(server)
    before = root_of_trust(server)
    refused = server.reverse_migrate(server.token, check=False)
    assert refused.returncode != 0 and "hsm_reverse_migrate_enabled" in said(refused)
    assert root_of_trust(server) == before and served(server)


def test_reverse_migration_wants_the_hsm(kept):
    server = up(kept("hsm"))
    server.token.hide()
    before = root_of_trust(server)
    refused = server.reverse_migrate(server.token, check=False)
    assert refused.returncode == 8 and "slot" in said(refused)
    assert root_of_trust(server) == before and served(server)


def test_a_second_initialize_is_refused(kept):
    server = up(kept("hsm"))
    before, on_token = root_of_trust(server), server.token.objects()
    refused = server.initialize(server.token, check=False)
    assert refused.returncode != 0 and "reverse" in said(refused)
    assert root_of_trust(server) == before and server.token.objects() == on_token


@pytest.mark.parametrize("extractable", ["0", "1"])
def test_the_root_key_is_extractable_only_when_configured(kept, extractable):
    server = kept("plain")
    set_security(server, HSM_KEY_EXTRACTABLE=extractable)
    server.start()
    said = server.initialize(server.token).stdout
    assert ("can be extracted" in said, "root_key_extractable" in server.log()) == (extractable == "1",) * 2
    listing = server.token.tool("--list-objects", "--type", "secrkey").stdout
    access = re.search(r"Access:\s*(.*)", listing).group(1)
    assert ("never extractable" in access) == (extractable == "0")
    assert ("extractable" in access.replace("never extractable", "")) == (extractable == "1")
    assert "sensitive" in access
    assert security(server)["HSM_KEY_EXTRACTABLE"] == extractable


def test_a_root_key_that_can_be_extracted_raises_an_alert_until_another_is_in_force(kept):
    def alerts():
        return [alert for alert in server.json("alert", "list")["alerts"] if alert["type"] == "hsm_root_key"]
    server = kept("plain")
    set_security(server, HSM_KEY_EXTRACTABLE="1")
    server.start()
    server.initialize(server.token)
    (alert,) = wait_for("an alert", alerts)
    assert (alert["severity"], alert["problem"]) == ("medium", "extractable")
    assert 'HSM_KEY_EXTRACTABLE="0"' in alert["message"]
    server.restart()  # what is known is not what the operation said, but what the HSM says at each check
    wait_for("the HSM to be asked", lambda: server.json("hsm", "status")["status"] == "up")
    assert len(alerts()) == 1
    server.reverse_migrate(server.token)
    set_security(server, HSM_KEY_EXTRACTABLE="0")
    server.restart()
    server.initialize(server.token)
    wait_for("the end of the alert", lambda: not alerts())


def test_two_servers_share_one_hsm_without_sharing_a_key(kept, tmp_path):
    one, two = kept("plain"), kept("plain")
    two.use_token(one.token)
    for server in (one, two):
        server.start()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda server: server.initialize(one.token), (one, two)))
    assert [d.returncode for d in done] == [0, 0]
    numbers = {hsm_status(server)["key_number"] for server in (one, two)}
    assert len(numbers) == 2
    for server in (one, two):
        reboot(server)
        soon_served(server)


# -- files --
def opens(server, path, passphrase):
    """Whether OpenSSL opens a wallet with a passphrase."""
    done = subprocess.run(["openssl", "pkcs12", "-in", server.root / path, "-nokeys", "-passin", "stdin"],
                          input=passphrase + "\n", capture_output=True, text=True)
    return done.returncode == 0


def test_openssl_opens_the_wallets_that_are_under_the_passphrase(kept):
    plain, hsm = kept("plain"), kept("hsm")
    assert opens(plain, prepared.TDE, PASSPHRASE) and not opens(plain, prepared.TDE, NEW)
    assert opens(hsm, prepared.RESTORE, PASSPHRASE)
    assert not opens(hsm, prepared.TDE, PASSPHRASE)


def test_comments_and_unknown_keys_of_okv_security_conf_survive(kept):
    server = kept("plain")
    mine = '# asked for by the auditors\nSITE_NAME="Umbrella 7"\n\n'
    path = server.root / prepared.CONF
    prepared.write_private(path, mine + 'HSM_ENABLED="0"\n# the end\n')
    server.start()
    server.initialize(server.token)
    assert path.read_text().startswith(mine) and "# the end\n" in path.read_text()
    server.reverse_migrate(server.token)
    assert path.read_text().startswith(mine) and "# the end\n" in path.read_text()


def test_lines_that_end_as_on_windows_count(kept):
    server = kept("plain")
    write_private(server.root / prepared.CONF, f'# by hand\r\nHSM_TOKEN_LABEL="{server.token.label}"\r\nHSM_REVERSE_MIGRATE_ENABLED="0"\r\n')
    server.start()
    server.initialize(server.token)
    assert server.reverse_migrate(server.token, check=False).returncode != 0
    assert server.json("hsm", "status")["reverse_migrate_enabled"] is False


def test_two_administrators_at_once_end_with_one_operation_done(kept):
    """One is done; the others are told that one is under way, or that the server is HSM-enabled already."""
    server = kept("plain")
    server.start()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: server.initialize(server.token, check=False), range(3)))
    assert sorted(d.returncode for d in done) == [0, 6, 6], done
    assert all("under way" in d.stderr or "HSM-enabled already" in d.stderr for d in done if d.returncode)
    assert server.json("hsm", "status")["key_number"] == 1
    assert len([o for o in server.token.keys() if o["label"].endswith("HSM Root Key")]) == 1


def test_an_older_okv_security_conf_without_some_keys_works(kept):
    server = kept("hsm")
    set_security(server, HSM_PROVIDER=None, HSM_TOKEN_LABEL=None, HSM_REVERSE_MIGRATE_ENABLED=None, HSM_KEY_EXTRACTABLE=None)
    assert hsm_status(up(server))["status"] == "up"
    server.reverse_migrate(server.token)


def test_a_hand_edit_of_the_label_counts_at_the_next_start(kept):
    server = kept("hsm")
    set_security(server, HSM_TOKEN_LABEL="elsewhere")
    server.start()
    status = hsm_status(server)
    assert status["status"] == "down" and "elsewhere" in json.dumps(status)
    set_security(server, HSM_TOKEN_LABEL=server.token.label)
    soon_served(server)


# -- credential --
def test_set_credential_after_the_pin_was_changed(beside):
    beside.initialize(beside.token)
    beside.token.change_pin("5678abc")
    before = root_of_trust(beside)
    wrong = set_credential(beside, "0000bad", check=False)
    assert wrong.returncode == 8 and "ckr_pin_incorrect" in said(wrong)
    assert root_of_trust(beside) == before
    if beside.token.kind == "opencryptoki":  # it counts, and locks at three
        assert "final user PIN try" not in beside.token.flags()
    set_credential(beside)
    assert root_of_trust(beside)[prepared.CREDENTIAL] != before[prepared.CREDENTIAL]
    reboot(beside)
    soon_served(beside)
    assert hsm_status(beside)["status"] == "up"


def test_a_token_label_is_taken_up_later(kept):
    server = kept("plain")
    server.start()
    server.keyward("hsm", "initialize", "--vendor", server.vendor, "--credential-file",
                   server.secret_file("pin", server.token.pin), "--recovery-passphrase-file",
                   server.secret_file("recovery", PASSPHRASE))
    assert security(server).get("HSM_TOKEN_LABEL", "") == ""
    set_credential(server, token_label=server.token.label)
    assert security(server)["HSM_TOKEN_LABEL"] == server.token.label
    server.token._init_token()  # a second token of the label: only the label made it ambiguous
    assert hsmclient(server, "verify").returncode == 8


def test_a_wrong_label_or_vendor_leaves_credential_label_and_vendor_in_force(kept):
    server = up(kept("hsm"))
    before = root_of_trust(server)
    label = set_credential(server, check=False, token_label="nowhere")
    assert label.returncode == 8 and "nowhere" in said(label)
    vendor = set_credential(server, check=False, vendor="Nobody")
    assert vendor.returncode == 2 and "nobody" in said(vendor) and "thales" in said(vendor)
    library = set_credential(server, check=False, vendor="Thales")
    assert library.returncode == 8 and "/usr/safenet/lunaclient/lib/libcryptoki2_64.so" in said(library)
    assert root_of_trust(server) == before
    reboot(server)
    soon_served(server)


def test_without_an_hsm_set_credential_prepares_for_a_restore(kept):
    server = kept("plain")
    server.start()
    before = root_of_trust(server)
    wrong = set_credential(server, "0000bad", check=False, vendor=server.vendor, token_label=server.token.label)
    assert wrong.returncode == 8
    assert root_of_trust(server) == before
    set_credential(server, vendor=server.vendor, token_label=server.token.label)
    assert security(server)["HSM_ENABLED"] == "0" and security(server)["HSM_TOKEN_LABEL"] == server.token.label
    assert documented(server) - prepared.WITHOUT_HSM
    assert served(server)
    server.restart()
    soon_served(server)


# -- hsmclient --
def test_hsmclient_verify_tells_why(kept):
    server = up(kept("hsm"))
    assert hsmclient(server, "verify", check=True)
    assert json.loads(hsmclient(server, "verify", "-o", "json").stdout)
    server.token.hide()
    away = hsmclient(server, "verify")
    assert away.returncode == 8 and "could not get slot for hsm" in said(away)
    server.token.show()
    (root,) = server.token.keys()
    seen = len(traces(server))
    server.token.delete(root["label"], root["id"])
    gone = hsmclient(server, "verify")
    assert gone.returncode == 8 and "root" in said(gone) and "1" in said(gone)
    assert len(traces(server)) > seen and served(server)


def test_hsmclient_verify_without_an_hsm_says_so(kept):
    server = kept("plain")
    server.start()
    assert json.loads(hsmclient(server, "verify", "-o", "json", check=True).stdout)["hsm_enabled"] is False
    (server.root / prepared.AUTOLOGIN).unlink()
    done = hsmclient(server, "verify")
    assert done.returncode == 8 and "cwallet.sso" in said(done) and "open_wallet" in said(done)


def test_hsmclient_open_wallet_opens_after_a_start_that_could_not(kept):
    server = kept("hsm")
    server.token.change_pin("5678abc")
    server.start()
    wait_for("the refusal of the credential", lambda: "refused the stored credential" in hsm_status(server)["reason"])
    refused = hsmclient(server, "open_wallet")
    assert refused.returncode == 8
    server.token.change_pin("1234pin")
    hsmclient(server, "open_wallet", "--credential-file", server.secret_file("pin", server.token.pin), check=True)
    assert served(server)


def test_the_recovery_passphrase_opens_the_wallet_when_the_hsm_is_lost(kept):
    server = kept("hsm")
    server.token.hide()
    server.start()
    wrong = hsmclient(server, "open_wallet", "--recovery-passphrase-file", server.secret_file("wrong", NEW))
    assert wrong.returncode == 3 and "keyward passphrase change" in said(wrong)
    hsmclient(server, "open_wallet", "--recovery-passphrase-file", server.secret_file("right", PASSPHRASE), check=True)
    assert served(server)


def test_hsmclient_pre_restore_keeps_a_tried_credential_only(kept):
    server = kept("plain")
    set_security(server, HSM_PROVIDER="4", HSM_TOKEN_LABEL="hsm-root")
    server.start()
    before = root_of_trust(server)
    wrong = hsmclient(server, "pre_restore", "--credential-file", server.secret_file("pin", "0000bad"))
    assert wrong.returncode == 8 and root_of_trust(server) == before
    hsmclient(server, "pre_restore", "--credential-file", server.secret_file("pin", server.token.pin), check=True)
    assert documented(server) - prepared.WITHOUT_HSM and served(server)


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["verify", "--nonsense"]])
def test_hsmclient_tells_how_it_is_used(kept, arguments):
    done = subprocess.run([PROGRAMS / "hsmclient", *arguments], capture_output=True, text=True)
    assert done.returncode == 2 and ("verify" in done.stderr or "--nonsense" in done.stderr)


# -- an HSM that misbehaves --
@pytest.fixture
def behind_shim(kept, tmp_path):
    """A server in HSM mode whose library is the shim before its token; it does not run yet."""
    server = kept("hsm")
    server.shim = Shim(server.token, tmp_path / "shim")
    server.use_token(server.shim)
    return server


def test_a_wrong_pin_is_tried_once(behind_shim):
    server = behind_shim
    server.token.change_pin("5678abc")
    server.shim.set()
    server.start()
    wait_for("the refusal", lambda: server.shim.calls("C_Login") == 1)
    for _ in range(20):
        reboot(server)
        assert "refused the stored credential" in hsm_status(server)["reason"]
    server.kill("keeper")
    # Before the new keeper is there this is told as not available.
    wait_for("the new keeper's refusal", lambda: server.keyward("hsm", "verify", check=False).returncode == 8)
    assert server.shim.calls("C_Login") == 1
    set_credential(server)
    assert served(server)
    reboot(server)
    soon_served(server)
    assert hsm_status(server)["status"] == "up"


@pytest.mark.parametrize("call", ["C_Decrypt", "C_FindObjects", "C_Initialize"])
def test_a_frozen_hsm_holds_up_its_operation_only(behind_shim, call):
    server = up(behind_shim)
    set_security(server, HSM_TIMEOUT="3")
    for _ in range(5):  # on a machine that is busy, or stands still, a call may end before anything else is done
        server.shim.set(f"hang={call}:1")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            verify = pool.submit(hsmclient, server, "verify")
            wait_for("the call to hang", lambda: server.shim.calls(call))
            hung = {p.pid for p in server.processes("hsmd")}
            rounds = 0
            while not verify.done():
                assert served(server)
                rounds += not verify.done()
        assert verify.result().returncode == 8 and call.lower() in said(verify.result())
        assert not [pid for pid in hung if os.path.exists(f"/proc/{pid}")]
        if hung and rounds > 1:
            break
    assert hung and rounds > 1, "keys were served only once the call had ended"
    set_security(server, HSM_TIMEOUT=None)
    server.shim.set()
    hsmclient(server, "verify", check=True)


@pytest.mark.parametrize("fault", ["crash=C_Decrypt:1", "abort=C_FindObjects:1", "kill=C_Login:1", "rv=C_Decrypt:30:1",
                                   "garbage=C_Decrypt:1", "length=C_Decrypt:ffffffff:1"])
def test_a_library_that_fails_harms_its_operation_only(behind_shim, fault):
    server = up(behind_shim)
    before = {p.pid for p in server.processes() if p.role != "hsmd"}
    server.shim.set(fault)
    failed = hsmclient(server, "verify")
    assert failed.returncode == 8 or (failed.returncode == 1 and "garbage" in fault), failed
    assert failed.stderr.strip() and served(server)
    server.shim.set()
    hsmclient(server, "verify", check=True)
    assert {p.pid for p in server.processes() if p.role != "hsmd"} == before


def test_what_the_library_prints_goes_to_the_trace_alone(behind_shim):
    server = up(behind_shim)
    server.shim.set("print=C_Login", "print=C_Initialize")
    json.loads(hsmclient(server, "verify", "-o", "json", check=True).stdout)


def test_a_start_with_a_frozen_hsm_is_quick_and_opens_by_itself(behind_shim):
    server = behind_shim
    set_security(server, HSM_TIMEOUT="2")
    server.shim.set("hang=C_Initialize:1")
    began = time.monotonic()
    server.start()
    assert time.monotonic() - began < 60, "the start waited for the HSM"
    assert hsm_status(server)["status"] == "down"
    server.shim.set()
    soon_served(server)


@pytest.mark.parametrize("fault", ["rv=C_GenerateKey:31:1", "hang=C_Encrypt:1", "crash=C_GenerateKey:1", "garbage=C_Decrypt:1",
                                   "rv=C_Login:a4:1"])
def test_an_initialize_that_the_hsm_fails_changes_nothing(kept, tmp_path, fault):
    server = kept("plain")
    shim = Shim(server.token, tmp_path / "shim")
    server.use_token(shim)
    set_security(server, HSM_TIMEOUT="2")
    server.start()
    before = root_of_trust(server)
    shim.set(fault)
    failed = server.initialize(shim, check=False)
    assert failed.returncode in (1, 8) and failed.stderr.strip()
    assert root_of_trust(server) == before and served(server)
    assert hsm_status(server)["type"] == "None"
    shim.set()
    server.initialize(shim)
    server.keys.update([server.create_key()])
    reboot(server)
    soon_served(server)


def test_a_token_without_data_objects_will_do(kept, tmp_path):
    server = kept("plain")
    shim = Shim(server.token, tmp_path / "shim")
    server.use_token(shim)
    server.start()
    shim.set("nodata")
    server.initialize(shim)
    reboot(server)
    soon_served(server)


# -- dry runs --
def test_dry_runs_change_nothing(kept):
    server = kept("plain")
    server.start()
    before, on_token = root_of_trust(server), server.token.objects()
    secrets = ["--credential-file", server.secret_file("pin", server.token.pin)]
    recovery = ["--recovery-passphrase-file", server.secret_file("recovery", PASSPHRASE)]
    which = ["--vendor", server.vendor, "--token-label", server.token.label]
    server.keyward("hsm", "initialize", "--dry-run", *which, *secrets, *recovery)
    server.keyward("hsm", "set-credential", "--dry-run", *which, *secrets)
    assert root_of_trust(server) == before and server.token.objects() == on_token
    server.initialize(server.token)
    before, on_token = root_of_trust(server), server.token.objects()
    server.keyward("hsm", "set-credential", "--dry-run", *secrets)
    server.keyward("hsm", "reverse-migrate", "--dry-run", *secrets, *recovery,
                   "--new-recovery-passphrase-file", server.secret_file("new", NEW))
    assert root_of_trust(server) == before and server.token.objects() == on_token
