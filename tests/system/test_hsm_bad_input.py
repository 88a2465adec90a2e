# SPDX-License-Identifier: Apache-2.0
"""What an administrator can get wrong about an HSM: each is refused with a message that names the thing and the next step, and
the server is as it was and serves (contract B3, B4, B11 to B13)."""
import os
import pathlib
import subprocess

import pytest

import prepared
import shim
import tokens
from prepared import root_of_trust, set_security
from root import needs_root
from server import PASSPHRASE, wait_for, write_private

SLOT, LIBRARY = "could not get slot for hsm", "could not load pkcs#11 library"


@pytest.fixture
def plain(kept):
    server = kept("plain")
    server.start()
    return server


def initialize(server, pin=None, passphrase=PASSPHRASE, vendor=None, label=None):
    return server.keyward("hsm", "initialize", "--vendor", vendor or server.vendor,
                          "--token-label", server.token.label if label is None else label,
                          "--credential-file", server.secret_file("pin", server.token.pin if pin is None else pin),
                          "--recovery-passphrase-file", server.secret_file("recovery", passphrase), check=False)


def use_library(server, path):
    write_private(server.root / prepared.HSM_CONF, f'VENDOR_NAME="{server.vendor}"\nPKCS11_LIB_LOC="{path}"\n')


def refused(server, attempt, statuses, *words):
    """Runs attempt(); it must fail with one of the statuses, say the words, and leave all as it was."""
    before, on_token = root_of_trust(server), server.token.objects()
    done = attempt()
    text = (done.stdout + done.stderr).lower()
    assert done.returncode in statuses, (done.returncode, text)
    assert not [word for word in words if word.lower() not in text], text
    assert root_of_trust(server) == before
    assert server.token.objects() == on_token
    assert server.json("hsm", "status")["type"] == "None"
    assert all(server.fetch(uid) == key for uid, key in server.keys.items())


def test_a_wrong_pin(plain):
    refused(plain, lambda: initialize(plain, pin="0000bad"), [8], "CKR_PIN_INCORRECT", plain.token.label)


def test_a_wrong_passphrase_never_reaches_the_hsm(plain, tmp_path):
    before = shim.Shim(plain.token, tmp_path / "shim")
    plain.use_token(before)
    refused(plain, lambda: initialize(plain, passphrase="not the passphrase 9"), [3], "recovery passphrase")
    assert before.calls("C_GenerateKey") == 0


# -- libraries --
def make_text(where):
    path = where / "text.so"
    path.write_text("not a library\n")
    return path


def make_thirty_two_bit(where):
    path = where / "old.so"
    path.write_bytes(b"\x7fELF\x01\x01\x01" + bytes(57))
    return path


def make_directory(where):
    path = where / "directory.so"
    path.mkdir()
    return path


def make_fifo(where):
    path = where / "fifo.so"
    os.mkfifo(path)
    return path


def make_open_to_all(where):
    path = where / "open.so"
    path.write_bytes(pathlib.Path("/usr/lib/softhsm/libsofthsm2.so").read_bytes())
    path.chmod(0o777)
    return path


@pytest.mark.parametrize("make, words", [
    (lambda where: where / "missing.so", ["no such file"]),
    (make_text, ["elf"]),
    (make_thirty_two_bit, ["64-bit"]),
    (make_directory, ["regular file"]),
    (make_fifo, ["regular file"]),
    (make_open_to_all, ["chmod"]),
    (lambda where: "/usr/lib/x86_64-linux-gnu/libcrypt.so.1", ["C_GetFunctionList"]),
    (lambda where: "/bin/true", []),
    (lambda where: shim.bad_library("no-symbol"), ["C_GetFunctionList"]),
    (lambda where: shim.bad_library("no-list"), []),
    (lambda where: shim.bad_library("refuses"), ["CKR_GENERAL_ERROR"]),
    (lambda where: shim.bad_library("needs"), ["missing_library_function"]),
], ids=["missing", "text", "32-bit", "directory", "fifo", "writable", "no-module", "program", "no-symbol", "no-list", "refuses", "needs"])
def test_a_library_that_is_none(plain, tmp_path, make, words):
    path = make(tmp_path)
    use_library(plain, path)
    refused(plain, lambda: initialize(plain), [8], LIBRARY, str(path), *words)


def test_a_library_that_ends_the_process_while_it_is_loaded(plain):
    use_library(plain, shim.bad_library("aborts"))
    refused(plain, lambda: initialize(plain), [8], "aborts.so")


def test_a_library_that_never_finishes_loading(plain):
    set_security(plain, HSM_TIMEOUT="1")
    use_library(plain, shim.bad_library("hangs"))
    refused(plain, lambda: initialize(plain), [8], "hangs.so")


def test_a_library_that_is_replaced_while_it_is_loaded(plain, tmp_path):
    """As by an update of the vendor's client at that moment: nothing is done with half of each, and the next try has the new one."""
    (tmp_path / "vendor").mkdir()
    library, update = tmp_path / "vendor/lib.so", tmp_path / "vendor/lib.so.new"
    library.write_bytes(shim.bad_library("gives-way").read_bytes())
    update.write_bytes(pathlib.Path(plain.token.library).read_bytes())
    use_library(plain, library)
    refused(plain, lambda: initialize(plain), [8], LIBRARY, str(library), "was replaced while it was loaded", "try again")
    assert not update.exists(), "the library was loaded once and no more"
    assert initialize(plain).returncode == 0


def left_behind():
    return [path.parent.name for path in pathlib.Path("/proc").glob("[0-9]*/comm")
            if path.exists() and path.read_text() == "kw-left-behind\n"]


def test_what_a_library_forks_ends_with_its_operation(plain):
    use_library(plain, shim.bad_library("forks"))
    refused(plain, lambda: initialize(plain), [8], "C_GetFunctionList")
    wait_for("the library's child to be gone", lambda: not left_behind())


def test_a_library_by_way_of_a_link_in_a_directory_that_all_may_write_to(plain, tmp_path):
    """Vendors' set-up scripts leave such directories behind: the library is used, and the trace says what is wrong."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    link = tmp_path / "open" / "vendor.so"
    link.symlink_to(tmp_path / "open" / "real.so")
    (tmp_path / "open" / "real.so").write_bytes(pathlib.Path(plain.token.library).read_bytes())
    use_library(plain, link)
    done = initialize(plain)
    assert done.returncode == 0, done.stderr
    traces = "".join(path.read_text() for path in (plain.root / "var/okv/log/hsm").glob("*-initialize-*"))
    assert "library_directory_writable" in traces and str(tmp_path / "open") in traces and "chmod o-w" in traces


def test_a_relative_library_path(plain):
    use_library(plain, "lib/libsofthsm2.so")
    refused(plain, lambda: initialize(plain), [2, 8], "PKCS11_LIB_LOC", "full path")


# -- tokens --
def test_two_tokens_of_one_label(plain):
    plain.token._init_token()
    before = root_of_trust(plain)
    done = initialize(plain)
    assert done.returncode == 8 and SLOT in done.stderr.lower() and plain.token.label in done.stderr
    assert root_of_trust(plain) == before
    assert all(plain.fetch(uid) == key for uid, key in plain.keys.items())


def test_several_tokens_and_no_label(plain):
    tokens.SoftHsm._init_token(_relabelled(plain.token, "other"))
    before = root_of_trust(plain)
    done = plain.keyward("hsm", "initialize", "--vendor", plain.vendor, "--credential-file",
                         plain.secret_file("pin", plain.token.pin), "--recovery-passphrase-file",
                         plain.secret_file("recovery", PASSPHRASE), check=False)
    text = done.stderr.lower()
    assert done.returncode == 8 and SLOT in text and '"other"' in text and "label" in text
    assert root_of_trust(plain) == before


def _relabelled(token, label):
    other = tokens.Token.load(token.directory)
    other.label = label
    return other


@pytest.mark.parametrize("label, words", [(" hsm-root", ["blank"]), ("hsm-roo", ["hsm-root"]), ("HSM-ROOT", ["hsm-root"]),
                                          ("x" * 33, ["32"]), ("hsm-root\nX", [])])
def test_labels_that_name_no_token(plain, label, words):
    refused(plain, lambda: initialize(plain, label=label), [2, 8], *words)


def test_a_label_padded_with_blanks_matches(plain):
    done = initialize(plain, label="hsm-root  ")
    assert done.returncode == 0, done.stderr
    assert plain.json("hsm", "status")["status"] == "up"


def test_a_label_of_32_bytes(kept):
    server = kept("plain")
    long = _relabelled(server.token, "label-of-thirty-two-bytes-to-fit")
    assert len(long.label) == 32
    long._init_token()
    server.start()
    assert initialize(server, label=long.label).returncode == 0


# -- vendors --
@pytest.mark.parametrize("vendor", ["Nobody", "../../x", "thales", ""])
def test_a_vendor_that_is_unknown(plain, vendor):
    refused(plain, lambda: initialize(plain, vendor=vendor or " "), [2], "vendor", "Thales")


@pytest.mark.parametrize("vendor, library", [("Thales", "/usr/safenet/lunaclient/lib/libCryptoki2_64.so"),
                                             ("Entrust", "/opt/nfast/toolkits/pkcs11/libcknfast.so"),
                                             ("Utimaco", "/opt/utimaco/lib/libcs_pkcs11_R2.so")])
def test_a_named_vendor_whose_client_is_not_installed(plain, vendor, library):
    refused(plain, lambda: initialize(plain, vendor=vendor), [8], LIBRARY, library)


# -- credentials --
@pytest.mark.parametrize("pin", ["", "x" * 80, "x" * 5000])
def test_a_credential_of_a_length_that_cannot_be(plain, tmp_path, pin):
    between = shim.Shim(plain.token, tmp_path / "shim")
    plain.use_token(between)
    refused(plain, lambda: initialize(plain, pin=pin), [1, 2], "credential")
    assert between.calls("C_Login") == 0


# SoftHSM itself takes PINs of up to 255 characters.
@pytest.mark.parametrize("pin", ["p" * 79, "$(reboot) \"quoted\" \\ ;'", "pässwörd-ß"])
def test_a_credential_reaches_the_hsm_byte_for_byte(kept, pin):
    server = kept("plain")
    server.token.change_pin(pin)
    server.start()
    done = initialize(server)
    assert done.returncode == 0, done.stderr
    server.restart()
    assert server.json("hsm", "status")["status"] == "up"


@pytest.mark.parametrize("contents", [b"1234pin\0more", b"1234pin\nmore\n"])
def test_a_credential_of_several_lines(plain, contents):
    path = plain.secret_file("odd", "")
    path.write_bytes(contents)
    refused(plain, lambda: plain.keyward("hsm", "initialize", "--vendor", plain.vendor, "--token-label", plain.token.label,
                                         "--credential-file", path, "--recovery-passphrase-file",
                                         plain.secret_file("recovery", PASSPHRASE), check=False), [1, 2, 8])


def test_a_credential_file_that_others_can_read(plain):
    path = plain.secret_file("open", plain.token.pin)
    path.chmod(0o644)
    refused(plain, lambda: plain.keyward("hsm", "initialize", "--vendor", plain.vendor, "--token-label", plain.token.label,
                                         "--credential-file", path, "--recovery-passphrase-file",
                                         plain.secret_file("recovery", PASSPHRASE), check=False),
            [1, 2, 4], str(path), "chmod")


# -- files by hand --
@pytest.mark.parametrize("line, words", [
    ("export LD_PRELOAD=/tmp/x.so", ["LD_PRELOAD"]), ("export LD_AUDIT=/tmp/x.so", ["LD_AUDIT"]),
    ("PATH=/tmp", ["PATH"]), ("OPENSSL_CONF=/tmp/x", ["OPENSSL_CONF"]), ("export SSLKEYLOGFILE=/tmp/x", ["SSLKEYLOGFILE"]),
    ("MALLOC_PERTURB_=1", ["MALLOC_PERTURB_"]), ("TZ=:/etc/shadow", ["TZ"]), ("IFS=x", ["IFS"]), ("no equals sign", []),
    ("LD_LIBRARY_PATH=lib", ["LD_LIBRARY_PATH"]), ("A=1\nA=2", ["A"]), ("A=" + "x" * (1 << 20), []), ('A="b', ["line"]),
    ("A=\0", ["line"])], ids=lambda value: "".join(value)[:16])
def test_an_environment_that_would_be_dangerous(plain, line, words):
    path = plain.root / prepared.HSM_ENV
    write_private(path, path.read_text() + line + "\n")
    refused(plain, lambda: initialize(plain), [1, 2], "okv_hsm_env", *words)


def test_other_variables_reach_the_library_and_no_other_process(plain):
    needs_root("the environment of a process that shows it to root alone")
    path = plain.root / prepared.HSM_ENV
    write_private(path, path.read_text() + "export ChrystokiConfigurationPath=/etc/luna\nexport LD_LIBRARY_PATH=/usr/lib\n")
    assert initialize(plain).returncode == 0
    for process in plain.processes():
        if process.role != "hsmd":
            assert b"ChrystokiConfigurationPath" not in pathlib.Path(f"/proc/{process.pid}/environ").read_bytes()


@pytest.mark.parametrize("text, words", [
    ('HSM_ENABLED=yes\n', ["HSM_ENABLED"]), ('HSM_ENABLED="1" "0"\n', ["line 1"]), ('HSM_ENABLED="0"\nHSM_ENABLED="0"\n', ["HSM_ENABLED"]),
    ('HSM_ENABLED="0\n', ["line 1"]), ('HSM_PROVIDER="5"\n', ["HSM_PROVIDER"]), ('HSM_ENABLED="0"\n$(reboot)\n', ["line 2"]),
    ('include other\n', ["line 1"]), ('HSM_TOKEN_LABEL=" x"\n', ["HSM_TOKEN_LABEL", "blank"]), ('A="\0"\n', ["line 1"]),
    ('HSM_TIMEOUT="0"\n', ["HSM_TIMEOUT"]), ('HSM_KEY_EXTRACTABLE="2"\n', ["HSM_KEY_EXTRACTABLE"]),
    ('HSM_MECHANISM="DES"\n', ["HSM_MECHANISM"]), ("#" * 70000 + "\n", []), ('\ufeffHSM_ENABLED="0"\n', ["line 1"]),
    ('HSM_ENABLED="$(reboot)"\n', ["HSM_ENABLED"]),
], ids=lambda value: "".join(value)[:20])
def test_an_okv_security_conf_that_cannot_be(plain, text, words):
    write_private(plain.root / prepared.CONF, text)
    refused(plain, lambda: initialize(plain), [1, 2], "okv_security.conf", *words)


@pytest.mark.parametrize("missing", ["--credential-file", "--recovery-passphrase-file"])
def test_a_secret_that_is_not_given(plain, missing):
    words = {"--vendor": plain.vendor, "--token-label": plain.token.label,
             "--credential-file": plain.secret_file("pin", plain.token.pin),
             "--recovery-passphrase-file": plain.secret_file("recovery", PASSPHRASE)}
    del words[missing]
    refused(plain, lambda: plain.keyward("hsm", "initialize", *[w for pair in words.items() for w in pair], check=False),
            [2], missing)


def test_reverse_migration_with_a_wrong_old_passphrase(kept):
    server = kept("hsm")
    server.start()
    before, on_token = root_of_trust(server), server.token.objects()
    done = server.reverse_migrate(server.token, check=False, old="not the passphrase 9")
    assert done.returncode == 3 and "recovery passphrase" in done.stderr.lower()
    assert root_of_trust(server) == before and server.token.objects() == on_token
    assert server.json("hsm", "status")["status"] == "up"


@pytest.mark.parametrize("new", ["", "short"])
def test_reverse_migration_to_a_passphrase_that_is_too_weak(kept, new):
    server = kept("hsm")
    server.start()
    before = root_of_trust(server)
    done = server.reverse_migrate(server.token, check=False, new=new)
    assert done.returncode in (1, 2) and ("recovery passphrase" in done.stderr.lower() or "secret-new" in done.stderr)
    assert root_of_trust(server) == before


def test_what_a_command_says_stands_in_its_json_too(plain):
    import json
    done = plain.keyward("hsm", "initialize", "--vendor", plain.vendor, "--token-label", "nowhere", "-o", "json",
                         "--credential-file", plain.secret_file("pin", plain.token.pin), "--recovery-passphrase-file",
                         plain.secret_file("recovery", PASSPHRASE), check=False)
    assert done.returncode == 8
    assert "nowhere" in json.dumps(json.loads(done.stdout or done.stderr))


def test_no_secret_stands_in_any_log(kept):
    server = kept("plain")
    server.start()
    pin = "1234pin-never-logged"
    initialize(server, pin=pin, passphrase="phrase-never-logged 5")
    initialize(server, pin=pin)
    server.token.change_pin(pin)
    assert initialize(server).returncode == 0
    found = subprocess.run(["grep", "-rlE", "never-logged", server.root / "var", server.root / "etc", server.root / "run"],
                           capture_output=True, text=True).stdout
    assert found == ""
