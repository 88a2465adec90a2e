# SPDX-License-Identifier: Apache-2.0
"""The vendors' guides, followed step by step below a root prefix (contract B12). LG is a vendor's own integration guide for a
Luna HSM, CG the configuration guide; each step's comment names its section. The vendor's library is the shim or SoftHSM, laid
where the guide has the vendor's installer put it."""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess

import pytest

import prepared
from prepared import security, set_security
from root import needs_root
from server import PASSPHRASE, wait_for
from shim import Shim

LUNA = "/usr/safenet/lunaclient/lib/libCryptoki2_64.so"
BUILT_IN = [
    # vendor, HSM_PROVIDER, library, sections
    ("Thales", "1", LUNA),                                                # CG 4.1.4, 4.2.5
    ("Entrust", "2", "/opt/nfast/toolkits/pkcs11/libcknfast.so"),         # CG 4.1.4, 4.3.5
    ("Utimaco", "3", "/opt/utimaco/lib/libcs_pkcs11_R2.so"),              # CG 4.1.4, 4.4.4
]


class Appliance:
    """A server as the guides see it: a machine with paths, a console (the command line) and a token."""

    def __init__(self, server, token):
        self.server, self.token = server, token
        server.setup()

    def path(self, absolute):
        """A path of the guides on this machine."""
        return self.server.root / absolute.lstrip("/")

    def install(self, library):
        """The vendor's installer: the library at its documented path."""
        target = self.path(library)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.token.library, target)
        return target

    def vi(self, path, **values):
        """Edits KEY="value" lines of a file that is there; the last line of okv_hsm_env is added."""
        file = self.path(path)
        text = file.read_text()
        for key, value in values.items():
            text, found = re.subn(rf'(?m)^{key}=.*$', lambda _: f'{key}="{value}"', text)
            text += "" if found else f'{key}="{value}"\n'
        with open(file, "r+") as open_file:  # as an editor does: owner and mode stay
            open_file.truncate()
            open_file.write(text)

    def token_environment(self):
        """What the test token needs beside what the guide says."""
        self.vi("/usr/local/okv/hsm/generic/okv_hsm_env", **self.token.env)

    def initialize(self, *arguments, check=True, pin=None):
        s = self.server
        return s.keyward("hsm", "initialize", *arguments, "--credential-file", s.secret_file("pin", pin or self.token.pin),
                         "--recovery-passphrase-file", s.secret_file("recovery", PASSPHRASE), check=check)

    def set_credential(self, *arguments, check=True, pin=None):
        return self.server.keyward("hsm", "set-credential", *arguments, "--credential-file",
                                   self.server.secret_file("pin", pin or self.token.pin), check=check)

    def page(self):
        """The Hardware Security Module page."""
        return self.server.json("hsm", "status")

    def log_files(self):
        """ls -ltr /var/okv/log/hsm: the newest is the last."""
        return sorted(self.path("/var/okv/log/hsm").iterdir(), key=lambda p: p.stat().st_mtime_ns)

    def shell(self, command, check=True):
        """A line of a guide's transcript; paths that begin with / are the machine's own."""
        line = re.sub(r"(?<![\w.])/(?=usr/|mnt/|var/|opt/)", f"{self.server.root}/", command)
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        assert not check or done.returncode == 0, done
        return done

    def key(self):
        self.server.keys = getattr(self.server, "keys", {})
        self.server.keys.update([self.server.create_key()])

    def served(self):
        def fetched():
            try:
                return all(self.server.fetch(uid) == key for uid, key in self.server.keys.items())
            except Exception:  # the port may still refuse
                return False
        return wait_for("the keys to be served", fetched)


@pytest.fixture
def appliance(make_server, softhsm, tmp_path):
    return Appliance(make_server(), Shim(softhsm, tmp_path / "shim"))


def said(done):
    return (done.stdout + done.stderr).lower()


def test_a_luna_hsm_by_its_vendors_guide(appliance):
    needs_root("the environment of a process that shows it to root alone")
    a = appliance
    # LG "Configure Luna HSM", CG 4.5.2: the client is installed.
    a.install(LUNA)
    # LG step 5: cd /usr/local/okv/hsm/generic. The three files are there.
    generic = a.path("/usr/local/okv/hsm/generic")
    assert {"okv_hsm.conf", "okv_hsm_env", "okv_hsm_mid_upgrade"} <= {p.name for p in generic.iterdir()}
    # LG step 6, CG 4.5.3, 5.3.1: okv_hsm.conf has the three parameters, to be filled in.
    conf = "/usr/local/okv/hsm/generic/okv_hsm.conf"
    assert re.findall(r'(?m)^(\w+)=""$', a.path(conf).read_text()) == ["VENDOR_NAME", "PKCS11_LIB_LOC", "PRESERVED_FILES"]
    a.vi(conf, VENDOR_NAME="Thales_Luna", PKCS11_LIB_LOC=LUNA,
         PRESERVED_FILES=f"/usr/safenet/lunaclient:/etc/Chrystoki.conf:{LUNA}")
    # LG step 7, CG 4.5.4, 5.3.2: okv_hsm_env.
    env = "/usr/local/okv/hsm/generic/okv_hsm_env"
    assert '#EXAMPLE_ENV_VAR_NAME="EXAMPLE_ENV_VAR_VALUE"' in a.path(env).read_text()
    a.vi(env, ChrystokiConfigurationPath="/etc")
    a.token_environment()
    # LG step 8, CG 4.5.5, 5.3.3: okv_hsm_mid_upgrade, below the line that marks what may be changed.
    script = a.path("/usr/local/okv/hsm/generic/okv_hsm_mid_upgrade")
    above, below = script.read_text().split("# Do not make changes above this line\n")
    assert "exit ${DBFW_PM_NO_CHANGE_REQUIRED}" in below and os.access(script, os.X_OK)
    lines = below.splitlines()[0] + '\nlogger -t "${LOGTAG}" -p "${LOGDEBUG}" "Adding hsmusers group"\nexit ${DBFW_PM_CHANGED}\n'
    script.write_text(above + "# Do not make changes above this line\n" + lines)
    subprocess.run(["bash", "-n", script], check=True)
    # LG step 9: reboot.
    a.server.restart()
    a.key()
    # LG step 14, CG 2.1 step 3: a red arrow, Type None.
    assert (a.page()["status"], a.page()["type"]) == ("down", "None")
    # LG steps 15 to 18, CG 2.1 steps 4 to 9: Initialize with the vendor of okv_hsm.conf and a token label.
    a.token.set("wait=C_Initialize")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        initialize = pool.submit(a.initialize, "--vendor", "Thales_Luna", "--token-label", a.token.label)
        environment = wait_for("the library's environment", lambda: environment_of_hsmd(a.server))
        a.token.set()
        done = initialize.result()
    assert "deprecated" not in said(done)
    assert environment["ChrystokiConfigurationPath"] == "/etc"
    # LG step 19: a green arrow and the partition's details; CG 3.3 step 2: label, manufacturer, firmware.
    page = a.page()
    assert (page["status"], page["type"]) == ("up", a.token.label)
    assert page["manufacturer"] and page["firmware"]
    assert security(a.server)["HSM_PROVIDER"] == "4" and security(a.server)["HSM_ENABLED"] == "1"
    # LG step 20, CG 4.4.5: the key on the partition.
    labels = [o["label"] for o in a.token.objects()]
    assert [label for label in labels if re.fullmatch(r"OKV \S+ HSM Root Key", label)]
    # CG 2.1 step 11, 5.4.1: the log files of the initialization, with the key number.
    initialized = [p for p in a.log_files() if "initialize" in p.name]
    assert any(f"root_key_made number={page['key_number']} " in p.read_text() for p in initialized)
    # CG 5.4.1: after a restart with nobody present it serves.
    a.server.restart()
    a.served()


def environment_of_hsmd(server):
    """The environment of a running keyward-hsmd that has one, or None."""
    for process in server.processes("hsmd"):
        try:
            text = pathlib.Path(f"/proc/{process.pid}/environ").read_bytes().decode()
        except OSError:
            continue
        found = dict(pair.split("=", 1) for pair in text.split("\0") if "=" in pair)
        if "ChrystokiConfigurationPath" in found:
            return found
    return None


@pytest.mark.parametrize("vendor, provider, library", BUILT_IN)
def test_a_built_in_vendor(appliance, vendor, provider, library):
    a = appliance
    # CG 4.2.1, 4.3.1, 4.4.1: the library lies where the vendor's installer puts it.
    target = a.install(library)
    if vendor == "Utimaco":
        # CG 4.4.1 step 8: mode of the library, and step 6 of its configuration.
        config = a.path("/etc/utimaco/cs_pkcs11_R2.cfg")
        config.parent.mkdir(parents=True)
        config.write_text("Device = 10.0.0.1\n")
        config.chmod(0o640)
        target.chmod(0o440)
    if vendor == "Entrust":
        # CG 4.3.4 step 10: the library reads its own file.
        a.path("/opt/nfast/cknfastrc").write_text("CKNFAST_NO_ACCELERATOR_SLOTS=1\nCKNFAST_OVERRIDE_SECURITY_ASSURANCES=none\n")
    a.token_environment()
    a.key()
    # CG 2.1 steps 4 to 9. The notice that these vendors' built-in settings are deprecated.
    done = a.initialize("--vendor", vendor, "--token-label", a.token.label)
    assert "deprecated" in said(done) and vendor.lower() in said(done)
    assert a.page()["status"] == "up" and a.page()["type"] == a.token.label
    # CG 4.2.5, 4.3.5, 4.4.4: the provider's number.
    assert security(a.server)["HSM_PROVIDER"] == provider
    # CG 4.4.5: what the token holds, attribute by attribute.
    listing = a.token.tool("--list-objects").stdout
    assert re.search(r"Data object.*\n\s+label:\s+'OKV \S+ HSM Key Number'", listing)
    assert re.search(r"Secret Key Object; AES length 32\n\s+label:\s+OKV \S+ HSM Root Key\n\s+ID:\s+00000001\n", listing)
    assert "sensitive" in listing and "never extractable" in listing
    # CG 2.1 step 11: the newest log files: the initialization's, and those of its proof in a fresh process.
    kinds = [re.search(r"Z-(\w+)-", p.name).group(1) for p in a.log_files()]
    assert [kind for kind in kinds if kind not in ("prove", "monitor")][-1] == "initialize"
    # CG 5.4.1: the server starts unattended.
    a.server.restart()
    a.served()
    # CG 4.1.2 step 4: hsmclient verify by its path, and the newest log file after it.
    verify = a.shell("/usr/local/okv/hsm/bin/hsmclient verify; cd /var/okv/log/hsm; ls -ltrh | tail -1")
    assert "verify" in verify.stdout.splitlines()[-1]
    # CG 2.4.1, 5.4.7: Reverse Migrate; a red arrow; the server starts without the HSM.
    a.server.reverse_migrate(a.token)
    assert (a.page()["status"], a.page()["type"]) == ("down", "None")
    target.unlink()
    a.server.restart()
    a.served()


def test_a_provider_set_by_hand_is_the_vendor(appliance):
    a = appliance
    a.install(LUNA)
    a.token_environment()
    # CG 4.2.5: HSM_PROVIDER="1" in okv_security.conf, by hand.
    a.vi("/usr/local/okv/etc/okv_security.conf", HSM_PROVIDER="1")
    done = a.initialize("--token-label", a.token.label)
    assert "deprecated" in said(done)
    assert a.page()["status"] == "up" and a.page()["vendor"] == "Thales"


def test_the_library_of_the_minimum_client_is_a_link(appliance):
    a = appliance
    # LG "Standalone Cloud HSM service using minimum client package" steps 2 to 8.
    a.install("/usr/safenet/lunaclient/libs/64/libCryptoki2.so")
    a.path("/usr/safenet/lunaclient/lib").mkdir()
    a.path(LUNA).symlink_to("/usr/safenet/lunaclient/libs/64/libCryptoki2.so")
    a.token_environment()
    a.initialize("--vendor", "Thales", "--token-label", a.token.label)
    assert a.page()["status"] == "up"


def test_a_failed_initialize_leaves_the_page_red(appliance):
    a = appliance
    a.token_environment()
    # CG 4.1.4: the library is not where it should be; the path that was looked at is told.
    for vendor, _, library in BUILT_IN:
        done = a.initialize("--vendor", vendor, check=False)
        assert done.returncode == 8 and "could not load pkcs#11 library" in said(done) and library.lower() in said(done)
    # CG 2.1 after step 11: status and Type as before, the reason in the newest log file.
    assert (a.page()["status"], a.page()["type"]) == ("down", "None")
    assert "Could Not Load PKCS#11 Library" in a.log_files()[-1].read_text()
    # CG 4.1.3: a token label that is not there.
    a.install(LUNA)
    done = a.initialize("--vendor", "Thales", "--token-label", "nonexistent", check=False)
    assert done.returncode == 8 and "could not get slot for hsm" in said(done)
    assert "Could Not Get Slot for HSM" in a.log_files()[-1].read_text()
    # CG 2.1 step 8: names with leading spaces are not supported.
    done = a.initialize("--vendor", "Thales", "--token-label", " TPA01", check=False)
    assert done.returncode == 8 and "blank" in said(done)
    # CG 2.1 step 6: a credential of 79 characters may be, one of 80 may not. 79 reach the token, which refuses this one.
    done = a.initialize("--vendor", "Thales", "--token-label", a.token.label, check=False, pin="x" * 79)
    assert done.returncode == 8 and "ckr_pin" in said(done)
    done = a.initialize("--vendor", "Thales", "--token-label", a.token.label, check=False, pin="x" * 80)
    assert done.returncode != 0 and "79" in said(done)
    assert a.page()["type"] == "None"


def test_reverse_migration_is_switched_off_and_on_by_hand(appliance):
    a = appliance
    a.install(LUNA)
    a.token_environment()
    a.initialize("--vendor", "Thales", "--token-label", a.token.label)
    conf = "/usr/local/okv/etc/okv_security.conf"
    assert a.page()["reverse_migrate_enabled"] is True
    # CG 2.5 steps 6 and 7: the file is edited, nothing is restarted; the button is gone.
    a.vi(conf, HSM_REVERSE_MIGRATE_ENABLED="0")
    assert a.page()["reverse_migrate_enabled"] is False
    refused = a.server.reverse_migrate(a.token, check=False)
    assert refused.returncode != 0 and "hsm_reverse_migrate_enabled" in said(refused)
    assert a.page()["status"] == "up"
    # CG 2.5 note: "1" brings it back.
    a.vi(conf, HSM_REVERSE_MIGRATE_ENABLED="1")
    assert a.page()["reverse_migrate_enabled"] is True
    a.server.reverse_migrate(a.token)
    assert security(a.server)["HSM_ENABLED"] == "0"


@pytest.mark.parametrize("extractable", ["0", "1"])
def test_the_root_key_is_made_extractable_by_a_hand_edit(appliance, extractable):
    a = appliance
    a.install(LUNA)
    a.token_environment()
    # Contract A4: HSM_KEY_EXTRACTABLE.
    assert security(a.server)["HSM_KEY_EXTRACTABLE"] == "0"
    a.vi("/usr/local/okv/etc/okv_security.conf", HSM_KEY_EXTRACTABLE=extractable)
    a.initialize("--vendor", "Thales", "--token-label", a.token.label)
    access = re.search(r"Access:\s*(.*)", a.token.tool("--list-objects", "--type", "secrkey").stdout).group(1)
    assert ("never extractable" in access) == (extractable == "0")
    assert security(a.server)["HSM_KEY_EXTRACTABLE"] == extractable


def test_a_token_label_is_taken_up_later(appliance):
    a = appliance
    a.install(LUNA)
    a.token_environment()
    a.initialize("--vendor", "Thales")
    a.key()
    # CG 3.3 step 2c: the label stands under Type.
    label = a.page()["type"]
    assert security(a.server)["HSM_TOKEN_LABEL"] == ""
    # CG 3.3 step 2d; a wrong value first: everything is as it was.
    before = prepared.root_of_trust(a.server)
    wrong = a.set_credential("--vendor", "Thales", "--token-label", "myPartition1", check=False)
    assert wrong.returncode == 8 and prepared.root_of_trust(a.server) == before
    a.set_credential("--vendor", "Thales", "--token-label", label)
    assert security(a.server)["HSM_TOKEN_LABEL"] == label and a.page()["status"] == "up"
    a.server.restart()
    a.served()


def test_a_changed_partition_password_is_set_again(appliance):
    a = appliance
    a.install(LUNA)
    a.token_environment()
    a.initialize("--vendor", "Thales", "--token-label", a.token.label)
    a.key()
    # LG step 19 note, CG 2.1 note, 4.2.2: the password is changed on the HSM, then set on the server before it restarts.
    a.token.token.change_pin("5678abc")
    a.set_credential("--token-label", a.token.label)
    a.server.restart()
    a.served()


def test_the_wallet_is_opened_by_hand(appliance):
    a = appliance
    a.install(LUNA)
    a.token_environment()
    a.initialize("--vendor", "Thales", "--token-label", a.token.label)
    a.key()
    # CG 4.1.5: the server was restarted while the HSM was away.
    a.server.stop()
    prepared.drop_ram(a.server)
    a.token.set("rv=C_OpenSession:30:1")
    a.server.start()
    refused = a.shell("cd /usr/local/okv/hsm/bin && ./hsmclient open_wallet", check=False)
    assert refused.returncode == 8 and "CKR_DEVICE_ERROR" in refused.stderr
    a.token.set()
    a.shell("cd /usr/local/okv/hsm/bin\n./hsmclient open_wallet")
    a.served()


def test_an_alert_is_looked_into(appliance):
    a = appliance
    a.install(LUNA)
    a.token_environment()
    a.initialize("--vendor", "Thales", "--token-label", a.token.label)
    # CG 4.1.2 step 2: a copy of the wallet in RAM.
    a.shell("mkdir -p -m 700 /var/lib/oracle\ncp /mnt/okvram/cwallet.sso /var/lib/oracle/cwallet_hsm_backup.sso")
    # CG 4.1.2 step 4: conflicting keys with the same ID; verify says so, and the newest log file is its own.
    (root,) = a.token.keys()
    a.token.token.generate_key(root["label"], root["id"])
    verify = a.shell("/usr/local/okv/hsm/bin/hsmclient verify", check=False)
    assert verify.returncode == 8
    assert re.search(r'2 keys answer to "OKV .* HSM Root Key" number 1', verify.stdout + verify.stderr)
    newest = a.shell("cd /var/okv/log/hsm\nls -ltrh | tail -1").stdout
    assert "verify" in newest
    assert a.page()["status"] == "down"


def test_the_files_that_the_guides_look_at(appliance):
    a = appliance
    a.install(LUNA)
    a.token_environment()
    before = set(a.path("/usr/local/okv/hsm/wallet").iterdir())
    assert before == set()
    a.initialize("--vendor", "Thales", "--token-label", a.token.label)
    # CG 4.1.6: names and modes in hsm/wallet and hsm/restore; HSM_ENABLED.
    listing = a.shell("ls -l /usr/local/okv/hsm/wallet").stdout
    assert re.findall(r"(?m)^(\S+).* (\S+)$", listing)[1:] == [("-rw-------", "cwallet.sso"), ("-rw-------", "enctdepwd")]
    listing = a.shell("ls -l /usr/local/okv/hsm/restore").stdout
    assert ("-rw-------", "ewallet.p12") in re.findall(r"(?m)^(\S+).* (\S+)$", listing)
    assert 'HSM_ENABLED="1"' in a.shell("cat /usr/local/okv/etc/okv_security.conf").stdout.splitlines()
    for path in a.path("/usr/local/okv").rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert stat.S_IMODE(path.stat().st_mode) in (0o600, 0o700), path


def test_pre_restore_keeps_the_credential_apart(appliance):
    a = appliance
    a.install(LUNA)
    a.token_environment()
    # LG "Restore" steps 4 to 6: Set Credential on a server that is not HSM-enabled prepares for a restore.
    set_security(a.server, HSM_PROVIDER="1", HSM_TOKEN_LABEL=a.token.label)
    pin = a.server.secret_file("pin", a.token.pin)
    a.shell(f"/usr/local/okv/hsm/bin/hsmclient pre_restore --credential-file {pin.name}".replace(pin.name, str(pin)))
    # CG 4.1.7 looks in hsm/wallet; the credential for a restore lies in hsm/restore here (docs/VENDORS.md).
    assert a.path("/usr/local/okv/hsm/restore/cwallet.sso").exists()
    assert not a.path("/usr/local/okv/hsm/wallet/cwallet.sso").exists()
    assert a.page()["status"] == "down"


def test_what_somebody_wrote_before_setup_stays(make_server):
    server = make_server()
    generic = server.root / "usr/local/okv/hsm/generic"
    generic.mkdir(parents=True, mode=0o700)
    mine = 'VENDOR_NAME="Mine"\nPKCS11_LIB_LOC="/opt/mine.so"\n'
    prepared.write_private(generic / "okv_hsm.conf", mine)
    server.setup()
    assert (generic / "okv_hsm.conf").read_text() == mine
    assert json.loads(server.keyward("hsm", "status", "-o", "json").stdout)["type"] == "None"
