# SPDX-License-Identifier: Apache-2.0
"""keyward hsm validate: the guide's validation against any library, in throw-away servers (contract G1, standalone part)."""
import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

import tokens
from server import PROGRAMS, wait_for, write_private
from shim import Shim, bad_library

TESTS = ["requirements", "standalone-1", "standalone-2"]


class Validation:
    """One run of the command; .report is the JSON report."""

    def __init__(self, where, token, *arguments, pin=None, library=None):
        self.out = where / "report"
        pin_file = write_private(where / "pin", pin or token.pin)
        env = [word for name, value in token.env.items() for word in ("--env", f"{name}={value}")]
        self.done = subprocess.run(
            [PROGRAMS / "keyward", "hsm", "validate", "--module", library or token.library, "--token-label", token.label,
             "--credential-file", pin_file, "--out", self.out, *env, *arguments],
            capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
        self.status = self.done.returncode
        path = self.out / "report.json"
        self.report = json.loads(path.read_text()) if path.exists() else None

    def test(self, name):
        (found,) = [test for test in self.report["tests"] if test["test"] == name]
        return found

    def steps(self, result, test=None):
        """{step: what was seen} of one result."""
        tests = self.report["tests"] if test is None else [self.test(test)]
        return {step["step"]: step["saw"] for t in tests for step in t["steps"] if step["result"] == result}

    def text(self):
        return (self.out / "report.txt").read_text()


def left_behind(where):
    """Directories of throw-away servers, and processes that serve one."""
    left = [str(p) for p in where.rglob("keyward-validate-*")]
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"{where}/".encode() in (entry / "cmdline").read_bytes():
                left.append((entry / "cmdline").read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return left


@pytest.fixture
def shim(softhsm, tmp_path):
    return Shim(softhsm, tmp_path / "shim")


def test_a_library_that_does_what_the_guide_asks_passes(tmp_path):
    token = tokens.SoftHsm(tmp_path / "softhsm", label="<b>&'partition")
    run = Validation(tmp_path, token)
    assert run.status == 0, run.done.stderr
    assert run.report["passed"] is True and [t["test"] for t in run.report["tests"]] == TESTS
    assert all(t["passed"] for t in run.report["tests"])
    assert not run.steps("fail") and not run.steps("skip")
    assert "all 17 are there" in run.steps("pass")["functions"]
    # Test 1 uses numbers 1 to 3 in turn on one server, test 2 the next three on three.
    enabled = [s["saw"] for t in run.report["tests"][1:] for s in t["steps"] if s["step"].startswith("enable")]
    assert [int(re.search(r"number (\d+)", saw).group(1)) for saw in enabled] == [1, 2, 3, 4, 5, 6]
    on_token = [o["label"] for o in token.objects()]
    assert len([label for label in on_token if "Root Key" in label]) == 6
    assert not [label for label in on_token if "validation" in label]
    assert run.done.stdout == run.text() and "PASSED" in run.text()
    html = (run.out / "report.html").read_text()
    assert "&lt;b&gt;&amp;&#39;partition" in html and "<b>" not in html
    assert not re.search(r"(?i)src=|href=|<script", html)
    traces = list((run.out / "traces").iterdir())
    assert [t for t in traces if "-probe-" in t.name] and [t for t in traces if "-initialize-" in t.name]
    for path in [*traces, *run.out.glob("report.*")]:
        assert token.pin not in path.read_text(errors="replace"), path
        assert path.stat().st_mode & 0o777 == 0o600
    assert left_behind(tmp_path) == []


def test_a_library_with_the_17_functions_alone_passes(shim, tmp_path):
    shim.set("only17=null", "nogcm", "nodata")
    run = Validation(tmp_path, shim)
    assert run.status == 0, run.done.stdout
    notes = run.steps("note")
    assert "AES_GCM: CKR_MECHANISM_INVALID" in notes["mechanisms"] and "AES_CBC: works" in notes["mechanisms"]
    assert "no data objects" in notes["key number"]
    assert "left on the token" in notes["clean-up"]
    assert "does without C_CreateObject" in run.steps("pass")["functions"]


@pytest.mark.parametrize("fault, step, why", [
    ("crash=C_Decrypt:1", "mechanisms", r"crashed in C_Decrypt: signal 11"),
    ("crash=C_Initialize:1", "load", r"crashed in C_Initialize"),
    ("kill=C_Login:1", "login", r"crashed in C_Login: signal 9"),
    ("hang=C_FindObjects:1", "root key", r"C_FindObjects did not come back within 10 s"),
    ("rv=C_GenerateKey:54:1", "root key", r"C_GenerateKey gave CKR_FUNCTION_NOT_SUPPORTED"),
    ("rv=C_Initialize:30:1", "load", r"C_Initialize gave CKR_DEVICE_ERROR"),
    ("garbage=C_Decrypt:1", "round trip", r"what came back is not what went in"),
])
def test_the_report_says_which_step_failed_and_why(shim, tmp_path, fault, step, why):
    shim.set(fault)
    run = Validation(tmp_path, shim)
    assert run.status == 8 and "did not pass" in run.done.stderr
    assert run.report["passed"] is False
    assert list(run.steps("fail", "requirements")) == [step]
    assert re.search(why, run.steps("fail", "requirements")[step])
    # The same fault shows where a server needs the library; what follows it is not tried.
    for test in TESTS[1:]:
        assert len(run.steps("fail", test)) == 1 and list(run.steps("fail", test))[0].startswith("enable")
        assert run.steps("skip", test) and run.test(test)["passed"] is False
    assert "NOT PASSED" in run.text()
    assert left_behind(tmp_path) == []


def test_a_refused_pin_is_tried_once(shim, tmp_path):
    run = Validation(tmp_path, shim, pin="0000bad")
    assert run.status == 8
    assert "CKR_PIN_INCORRECT" in run.steps("fail")["login"]
    assert shim.calls("C_Login") == 1
    assert not run.steps("pass", "standalone-1") and not run.steps("pass", "standalone-2")


@pytest.mark.parametrize("kind, why", [("no-symbol", "no C_GetFunctionList"), ("aborts", "signal 6"), ("no-list", "no list")])
def test_a_library_that_is_none_is_told(softhsm, tmp_path, kind, why):
    run = Validation(tmp_path, softhsm, library=bad_library(kind))
    assert run.status == 8
    assert why in run.steps("fail", "requirements")["load"]


def test_a_token_label_that_is_not_there_is_told(softhsm, tmp_path):
    softhsm.label = "elsewhere"
    run = Validation(tmp_path, softhsm)
    assert run.status == 8
    assert "Could Not Get Slot for HSM" in run.steps("fail", "requirements")["token"]
    assert "hsm-root" in run.steps("fail", "requirements")["token"]


def test_a_variable_that_would_load_code_is_refused(softhsm, tmp_path):
    run = Validation(tmp_path, softhsm, "--env", "LD_PRELOAD=/tmp/evil.so")
    assert run.status == 8
    assert "LD_PRELOAD" in run.steps("fail", "requirements")["environment"]


def test_a_report_is_not_overwritten(softhsm, tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report/report.html").write_text("mine")
    run = Validation(tmp_path, softhsm)
    assert run.status == 6 and "report.html" in run.done.stderr
    assert (tmp_path / "report/report.html").read_text() == "mine"
    assert left_behind(tmp_path) == []


def test_without_out_nothing_is_written_and_json_goes_to_standard_output(softhsm, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run([PROGRAMS / "keyward", "hsm", "validate", "--module", bad_library("no-symbol"), "-o", "json",
                           "--credential-file", write_private(tmp_path / "pin", softhsm.pin)],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=scratch,
                          env={**os.environ, "TMPDIR": str(scratch)})
    assert done.returncode == 8 and json.loads(done.stdout)["passed"] is False
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("arguments, status, why", [
    ([], 2, "--module"),
    (["--module", "/nonexistent/lib.so"], 8, "Could Not Load PKCS#11 Library"),
    (["--module", "/usr/lib/softhsm/libsofthsm2.so", "--root", "/tmp"], 2, "--root"),
    (["--module", "/usr/lib/softhsm/libsofthsm2.so", "--env", "nonsense"], 2, "NAME=VALUE"),
    (["--module", "/usr/lib/softhsm/libsofthsm2.so"], 2, "--credential-file"),
])
def test_wrong_arguments_are_told(arguments, status, why):
    done = subprocess.run([PROGRAMS / "keyward", "hsm", "validate", *arguments], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, start_new_session=True)
    assert done.returncode == status and why in done.stderr


def test_an_interrupted_validation_cleans_up_and_reports(softhsm, tmp_path):
    out = tmp_path / "report"
    env = [word for name, value in softhsm.env.items() for word in ("--env", f"{name}={value}")]
    process = subprocess.Popen([PROGRAMS / "keyward", "hsm", "validate", "--module", softhsm.library, "--out", out,
                                "--credential-file", write_private(tmp_path / "pin", softhsm.pin), *env],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    wait_for("a server to serve", lambda: list(tmp_path.glob("report/keyward-validate-*/server1/run/keyward/api.sock")))
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1 and "interrupted" in said
    assert json.loads((out / "report.json").read_text())["passed"] is False
    assert left_behind(tmp_path) == []
