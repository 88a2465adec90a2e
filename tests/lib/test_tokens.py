# SPDX-License-Identifier: Apache-2.0
"""The test tokens behave as the tests that use them believe."""
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import tokens  # noqa: E402
from root import needs_root, public_directory  # noqa: E402

KINDS = [tokens.SoftHsm, tokens.OpenCryptoki]
both = pytest.mark.parametrize("kind", KINDS, ids=[k.kind for k in KINDS])


@both
def test_makes_and_lists_keys(tmp_path, kind):
    with kind(tmp_path / "t") as token:
        assert token.objects() == []
        token.generate_key("Root Key", "00000001")
        assert token.keys() == [{"class": "Secret Key", "label": "Root Key", "id": "00000001"}]
        token.generate_key("Root Key", "00000001")
        assert len(token.keys("Root Key")) == 2, "neither token keeps ids unique"
        token.delete("Root Key", "00000001")
        assert len(token.keys()) == 1


@both
def test_goes_away_and_comes_back(tmp_path, kind):
    with kind(tmp_path / "t") as token:
        token.generate_key("k", "01")
        token.hide()
        assert token.tool("--list-objects", check=False).returncode != 0
        token.show()
        assert len(token.keys("k")) == 1


@both
def test_changes_its_pin(tmp_path, kind):
    with kind(tmp_path / "t") as token:
        old = token.pin
        token.change_pin("new45678")
        assert token.tool("--list-objects", pin=old, check=False).returncode != 0
        assert token.objects() == []
        token.reset_pin("again567")
        assert token.objects() == []


@both
def test_two_tokens_of_one_label(tmp_path, kind):
    with kind(tmp_path / "t", copies=2) as token:
        slots = token.slots()
        assert len(slots) == 2
        token.generate_key("k", "01", slot=slots[1])
        assert [len(token.keys(slot=slot)) for slot in slots] == [0, 1]


@both
def test_a_leading_blank_belongs_to_the_label(tmp_path, kind):
    with kind(tmp_path / "t", label=" blank") as token:
        listing = token.run(["pkcs11-tool", "--module", token.library, "--list-token-slots"])
        assert "token label        :  blank" in listing.stdout
        assert len(token.slots()) == 1


def test_softhsm_never_locks(tmp_path):
    with tokens.SoftHsm(tmp_path / "t") as token:
        token.wrong_pin(5)
        assert token.objects() == []


def test_opencryptoki_locks_after_three_and_the_officer_unlocks(tmp_path):
    with tokens.OpenCryptoki(tmp_path / "t") as token:
        token.wrong_pin(2)
        assert "final user PIN try" in token.flags()
        token.wrong_pin(1)
        assert "user PIN locked" in token.flags()
        refused = token.tool("--list-objects", check=False)
        assert refused.returncode != 0 and "CKR_PIN_LOCKED" in refused.stderr
        token.reset_pin()
        assert token.objects() == []


def test_opencryptoki_tokens_do_not_meet(tmp_path):
    with tokens.OpenCryptoki(tmp_path / "a") as a, tokens.OpenCryptoki(tmp_path / "b") as b:
        a.generate_key("k", "01")
        b.wrong_pin(3)
        assert (len(a.keys()), b.daemon_pid() != a.daemon_pid()) == (1, True)
        b.reset_pin()
        assert b.keys() == []


def test_opencryptoki_keeps_its_keys_over_a_reboot(tmp_path):
    with tokens.OpenCryptoki(tmp_path / "t") as token:
        token.generate_key("k", "01")
        daemon = token.daemon_pid()
        token.reboot()
        assert token.daemon_pid() not in (None, daemon)
        assert [key["label"] for key in token.keys()] == ["k"]
        assert [key["label"] for key in tokens.Token.load(token.directory).keys()] == ["k"]


def test_opencryptoki_serves_a_named_user_only():
    with public_directory() as place, tokens.OpenCryptoki(place / "t", members=["nobody"]) as token:
        group = token.run(["stat", "-c", "%g", "/var/lib/opencryptoki"]).stdout.strip()
        for user, wanted in (("nobody", 0), ("daemon", 1)):
            done = token.run(
                ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups",
                 "pkcs11-tool", "--module", token.library, "--list-token-slots"], check=False)
            assert (done.returncode != 0) == (wanted != 0), done.stdout + done.stderr


def test_opencryptoki_refuses_a_long_pin(tmp_path):
    with pytest.raises(tokens.TokenError, match="4 to 8"):
        tokens.OpenCryptoki(tmp_path / "t", pin="123456789")


def test_softhsm_of_another_owner():
    needs_root("a token that somebody else owns")
    with public_directory() as place, tokens.SoftHsm(place / "t", owner="nobody") as token:
        token.generate_key("k", "01")
        done = subprocess.run(
            ["pkcs11-tool", "--module", token.library, "--token-label", token.label, "--login",
             "--pin", "env:TOKEN_PIN", "--list-objects"], user="nobody", group="nogroup",
            extra_groups=[], env={**token.env, "TOKEN_PIN": token.pin}, capture_output=True,
            text=True, check=True)
        assert "label:      k" in done.stdout


@pytest.mark.parametrize("kind", ["softhsm", "opencryptoki"])
def test_the_command(tmp_path, kind):
    if kind == "opencryptoki":
        needs_root("openCryptoki's namespaces")
    directory = str(tmp_path / "t")

    def token(*words, **options):
        return subprocess.run([HERE / "token", *words], capture_output=True, text=True, timeout=60,
                              check=True, **options).stdout

    token("start", kind, directory, "--label", "x")
    try:
        assert "TOKEN_LABEL=x" in token("env", directory)
        tokens.Token.load(directory).generate_key("k", "07")
        assert token("objects", directory) == "Secret Key\t07\tk\n"
        token("hide", directory)
        token("show", directory)
        token("change-pin", directory, input="new45678\n")
        assert token("objects", directory) == "Secret Key\t07\tk\n"
        assert token("run", directory, "echo", "here") == "here\n"
    finally:
        token("stop", directory)
