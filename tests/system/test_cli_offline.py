# SPDX-License-Identifier: Apache-2.0
"""The command line without a server: help, usage errors, exit codes, refused secrets, a stopped server."""
import os
import pathlib
import pty
import re
import shlex
import select
import signal
import stat
import subprocess
import time

import pytest

from server import PROGRAMS, write_private

SECRET = "geheim-4711"


def keyward(*words, program="keyward", env=None, **more):
    more = {"stdin": subprocess.DEVNULL, **more}
    clean = {k: v for k, v in os.environ.items() if not k.startswith("KEYWARD_")}
    return subprocess.run([str(PROGRAMS / program), *map(str, words)], capture_output=True, text=True,
                          timeout=60, env={**clean, **(env or {})}, start_new_session=True, **more)


@pytest.fixture
def root(tmp_path):
    made = tmp_path / "root"
    made.mkdir(mode=0o700)
    return made


# -- help --

def test_help_goes_to_standard_output_with_examples_first():
    for words in (["help"], [], ["--help"], ["help", "hsm", "initialize"], ["hsm", "initialize", "--help"],
                  ["key", "list", "-h"]):
        done = keyward(*words)
        assert done.returncode == 0 and done.stderr == ""
        assert done.stdout.index("examples") < done.stdout.index("every command takes")


def test_every_command_has_help_and_every_example_is_accepted():
    listed = re.findall(r"^  (\S+(?: [a-z][a-z-]*)?)\s.*$", keyward("help", "all").stdout, re.M)
    assert len(listed) > 20
    for command in listed:
        done = keyward("help", *command.split())
        assert done.returncode == 0, command
        for example in re.findall(r"^  keyward (.*)$", done.stdout.split("usage")[0], re.M):
            shown = keyward(*shlex.split(example), "--help")
            assert shown.returncode == 0, f"{example}: {shown.stderr}"


def test_the_overview_names_every_command_on_one_screen():
    overview, every = keyward("help").stdout, keyward("help", "all").stdout.splitlines()
    words = set(re.findall(r"[a-z][a-z-]*", overview))
    for line in every:
        assert set(re.match(r"  ([a-z-]+(?: [a-z-]+)?)", line)[1].split()) <= words, line
    assert len(overview.splitlines()) < 75 and max(map(len, overview.splitlines())) <= 120


def test_a_bare_noun_lists_its_verbs():
    done = keyward("endpoint")
    assert done.returncode == 0
    assert all(verb in done.stdout for verb in ("add", "enroll", "list", "show"))


def test_exit_codes_are_documented():
    text = keyward("help", "exit-codes").stdout
    for code in (*range(10), 130):
        assert re.search(rf"^ *{code}  \w", text, re.M), code


def test_the_version_is_data():
    assert re.fullmatch(r"keyward \d+\.\d+\.\d+\n", keyward("version").stdout)
    assert keyward("--version").stdout == keyward("version").stdout


def test_the_manual_page_says_what_the_program_says(tmp_path):
    top = pathlib.Path(__file__).resolve().parents[2]
    subprocess.run([top / "scripts" / "gen-man", PROGRAMS / "keyward", tmp_path], check=True)
    page = (tmp_path / "keyward.1").read_text().replace("\\-", "-")
    commands = keyward("help", "all").stdout.splitlines()
    for line in commands:
        words = line.strip().split("  ")[0]
        assert f"keyward {words}" in page, words
    assert len(commands) > 40


# -- usage --

@pytest.mark.parametrize("words, says", [
    (["kye", "list"], 'did you mean "key"'),
    (["hsm", "initialise"], 'did you mean "hsm initialize"'),
    (["nonsense"], "keyward help"),
    (["help", "nonsense"], "keyward help"),
    (["key", "show"], "wants ID"),
    (["key", "show", "a", "b"], '"b"'),
    (["key", "list", "--limit"], "wants a value"),
    (["key", "list", "--limit", "1", "--limit", "2"], "twice"),
    (["key", "list", "--lim", "1"], "--limit"),
    (["key", "list", "--nonsense"], '"--nonsense"'),
    (["key", "list", "--token-label", "x"], "does not take"),
    (["key", "list", "-o", "xml"], "table, json, csv or name"),
    (["key", "create", "x", "--length", "many"], "number"),
    (["api", "GET", "hsm"], "slash"),
    (["api", "GET", "/a b"], "blank"),
    (["endpoint", "add", "x", "--out", "d"], "--enroll"),
    (["endpoint", "add", "x", "--enroll"], "--out DIR"),
    (["setup", "--hsm", "luna"], "softhsm or none"),
])
def test_wrong_usage_is_status_2_and_says_what_to_do(root, words, says):
    done = keyward(*words, env={"KEYWARD_ROOT": str(root)})
    assert done.returncode == 2
    assert done.stdout == ""
    assert says in done.stderr


def test_long_and_odd_words_are_refused_in_one_short_line():
    for word in ("x" * 100_000, "\x1b[31mred", "a\nb"):
        done = keyward(word)
        assert done.returncode == 2
        assert len(done.stderr) < 300 and "\x1b" not in done.stderr


# -- secrets --

@pytest.mark.parametrize("option", ["credential", "recovery-passphrase", "new-recovery-passphrase", "token", "pin",
                                    "password", "passphrase"])
@pytest.mark.parametrize("form", ["--{} {}", "--{}={}"])
def test_a_secret_as_an_argument_is_refused_with_the_reason(option, form):
    done = keyward("hsm", "initialize", *form.format(option, SECRET).split())
    assert done.returncode == 2
    assert "refused" in done.stderr and "mode 0600" in done.stderr
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize("variable", ["KEYWARD_CREDENTIAL", "KEYWARD_RECOVERY_PASSPHRASE", "KEYWARD_PIN"])
def test_a_secret_in_the_environment_is_refused_with_the_reason(variable):
    done = keyward("hsm", "status", env={variable: SECRET})
    assert done.returncode == 2
    assert variable in done.stderr and "mode 0600" in done.stderr
    assert SECRET not in done.stdout + done.stderr


def set_credential(root, path, **more):
    return keyward("hsm", "set-credential", "--root", root, "--credential-file", path, **more)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604])
def test_a_secret_file_that_others_can_read_is_refused_naming_file_and_mode(root, tmp_path, mode):
    path = write_private(tmp_path / "pin", SECRET)
    path.chmod(mode)
    done = set_credential(root, path)
    assert done.returncode == 1
    assert str(path) in done.stderr and f"{mode:04o}" in done.stderr and "chmod 0600" in done.stderr
    assert SECRET not in done.stderr


def test_what_is_no_private_regular_file_is_refused_without_hanging(root, tmp_path):
    real = write_private(tmp_path / "real", SECRET)
    link, fifo, folder = tmp_path / "link", tmp_path / "fifo", tmp_path / "folder"
    link.symlink_to(real)
    os.mkfifo(fifo, 0o600)
    folder.mkdir(mode=0o700)
    empty = write_private(tmp_path / "empty", "")
    big = write_private(tmp_path / "big", "x" * 5000)
    for path in (link, fifo, folder, empty, big, tmp_path / "absent", "/dev/zero"):
        done = set_credential(root, path)
        assert done.returncode == 2, path
        assert str(path) in done.stderr


def test_a_secret_file_of_somebody_else_is_refused(root, tmp_path):
    path = write_private(tmp_path / "pin", SECRET)
    if os.geteuid() == 0:
        os.chown(path, 1, 1)
    else:
        path = pathlib.Path("/etc/shadow")
    done = set_credential(root, path)
    assert done.returncode in (1, 2) and str(path) in done.stderr
    assert os.geteuid() != 0 or "user 1" in done.stderr


def test_a_good_secret_file_and_standard_input_are_taken(root, tmp_path):
    path = write_private(tmp_path / "pin", SECRET + "\n")
    assert set_credential(root, path).returncode == 7
    assert set_credential(root, "-", stdin=None, input=SECRET).returncode == 7
    done = keyward("hsm", "initialize", "--root", root, "--credential-file", "-",
                   "--recovery-passphrase-file", "-", stdin=None, input=SECRET)
    assert done.returncode == 2 and "standard input" in done.stderr


@pytest.mark.parametrize("words, most", [(["api", "POST", "/wallets", "--body-file", "-"], 1024 * 1024),
                                         (["hsm", "set-credential", "--credential-file", "-"], 1024)])
def test_standard_input_is_read_to_its_limit_and_no_further(root, words, most):
    assert keyward(*words, "--root", root, stdin=None, input="x" * most).returncode == 7
    done = keyward(*words, "--root", root, stdin=None, input="x" * (most + 2))
    assert done.returncode in (1, 2) and "standard input" in done.stderr and str(most) in done.stderr


def test_without_a_terminal_a_missing_secret_names_its_option(root):
    done = keyward("hsm", "set-credential", "--root", root)
    assert done.returncode == 2 and "--credential-file" in done.stderr
    done = keyward("setup", "--root", root)
    assert done.returncode == 2 and "--recovery-passphrase-out" in done.stderr
    assert list(root.iterdir()) == [], "a refused setup leaves nothing behind"


class Terminal:
    """keyward on a terminal of its own."""

    def __init__(self, *words):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            for name in [n for n in os.environ if n.startswith("KEYWARD_")]:
                del os.environ[name]
            os.execv(PROGRAMS / "keyward", ["keyward", *map(str, words)])
        self.text = ""

    def read(self, until=None, seconds=90):
        deadline = time.monotonic() + seconds
        while until is None or until not in self.text:
            left = deadline - time.monotonic()
            assert left > 0, f"waited in vain for {until!r}: {self.text!r}"
            if not select.select([self.fd], [], [], left)[0]:
                continue
            try:
                chunk = os.read(self.fd, 4096)
            except OSError:
                break
            if not chunk:
                break
            self.text += chunk.decode()
        return self.text

    def say(self, prompt, answer):
        self.read(until=prompt)
        self.text = ""
        os.write(self.fd, answer)

    def status(self):
        self.read()
        os.close(self.fd)
        return os.waitpid(self.pid, 0)[1]


def test_a_prompt_asks_twice_without_echo(root):
    terminal = Terminal("hsm", "set-credential", "--root", root)
    terminal.say("HSM Credential: ", f"{SECRET}\n".encode())
    terminal.say("Re-enter HSM Credential: ", f"{SECRET}\n".encode())
    status = terminal.status()
    assert os.waitstatus_to_exitcode(status) == 7
    assert SECRET not in terminal.text and "not running" in terminal.text


def test_two_entries_that_differ_are_refused(root):
    terminal = Terminal("hsm", "set-credential", "--root", root)
    terminal.say("HSM Credential: ", b"one\n")
    terminal.say("Re-enter HSM Credential: ", b"two\n")
    assert os.waitstatus_to_exitcode(terminal.status()) == 2
    assert "differ" in terminal.text


def test_an_interrupt_at_a_prompt_ends_with_130(root):
    terminal = Terminal("hsm", "set-credential", "--root", root)
    terminal.say("HSM Credential: ", b"\x03")
    assert os.waitstatus_to_exitcode(terminal.status()) == 128 + signal.SIGINT


# -- a stopped server --

def test_the_status_of_a_stopped_server_is_7_and_says_how_to_start_it(root):
    done = keyward("status", "--root", root)
    assert done.returncode == 7
    assert '"running": false' in done.stdout
    assert f"keyward start --root {root}" in done.stderr
    done = keyward("status", "--root", root, "-o", "table")
    assert done.returncode == 7 and re.search(r"^running:\s+no$", done.stdout, re.M)


def test_a_root_that_does_not_exist_is_7_and_is_not_made(tmp_path):
    absent = tmp_path / "absent"
    for words in (["status"], ["start"], ["hsm", "status"], ["key", "list"]):
        done = keyward(*words, "--root", absent)
        assert done.returncode == 7, words
        assert str(absent) in done.stderr
    assert not absent.exists()


@pytest.mark.parametrize("words", [["hsm", "status"], ["hsm", "verify"], ["key", "list"], ["audit", "list"],
                                   ["api", "GET", "/hsm"], ["endpoint", "list"]])
def test_every_call_of_a_stopped_server_is_7_with_nothing_on_standard_output(root, words):
    done = keyward(*words, "--root", root)
    assert done.returncode == 7
    assert done.stdout == "" and "keyward start" in done.stderr


def test_the_server_of_another_user_is_4(root):
    (root / "run").mkdir()
    program = os.open(PROGRAMS / "keyward", os.O_RDONLY)
    if os.geteuid() != 0:
        root.chmod(0)
    more = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    for words in (["status"], ["key", "list"], ["stop"]):
        done = subprocess.run([f"/proc/self/fd/{program}", *words, "--root", str(root)], pass_fds=[program], cwd="/",
                              capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, **more)
        assert done.returncode == 4 and "another user" in done.stderr
    os.close(program)
    root.chmod(0o700)


def test_stop_never_signals_a_process_that_does_not_hold_the_lock(root):
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        (root / "run/keyward").mkdir(parents=True)
        (root / "run/keyward/keywardd.pid").write_text(f"{sleeper.pid}\n")
        done = keyward("stop", "--root", root)
        assert done.returncode == 0 and "not running" in done.stderr
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_hsmclient_says_that_the_server_is_not_running(root):
    for word in ("verify", "open_wallet"):
        done = keyward(word, "--root", root, program="hsmclient")
        assert done.returncode == 7 and "not running" in done.stderr
    assert keyward(program="hsmclient").returncode == 2
    assert keyward("verify_all", program="hsmclient").returncode == 2
    assert keyward("--help", program="hsmclient").returncode == 0


def test_enrolment_overwrites_nothing_and_leaves_nothing(root, tmp_path):
    token = write_private(tmp_path / "token", "0" * 64)
    out = tmp_path / "out"
    enroll = ["endpoint", "enroll", "db1", "--root", root, "--token-file", token, "--out", out]
    assert keyward(*enroll).returncode == 7
    assert list(out.iterdir()) == [] and stat.S_IMODE(out.stat().st_mode) == 0o700
    for name in ("key.pem", "cert.pem", "ca.pem"):
        (out / name).write_text("mine")
        done = keyward(*enroll)
        assert done.returncode == 6 and name in done.stderr
        assert (out / name).read_text() == "mine" and len(list(out.iterdir())) == 1
        (out / name).unlink()
    (out / "key.pem").symlink_to(tmp_path / "elsewhere")
    assert keyward(*enroll).returncode == 6
    assert not (tmp_path / "elsewhere").exists()


def test_standard_output_that_is_full_or_closed_is_an_error(root):
    with open("/dev/full", "w") as full:
        done = subprocess.run([str(PROGRAMS / "keyward"), "status", "--root", str(root)], stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode != 0 and "standard output" in done.stderr


# -- completion --

@pytest.mark.parametrize("words, found", [
    (["wal"], {"wallet"}),
    (["wallet", "gr"], {"grant"}),
    (["wallet", "grant", "--acc"], {"--access"}),
    (["status", "--roo"], {"--root"}),
    (["nonsense", ""], set()),
])
def test_words_are_completed_from_the_table_of_commands(words, found):
    assert set(keyward("__complete", *words).stdout.split()) == found


def test_each_noun_is_offered_once():
    nouns = keyward("__complete", "").stdout.split()
    assert len(nouns) == len(set(nouns)) and {"setup", "hsm", "wallet"} <= set(nouns)


def test_the_shells_script_asks_the_program(tmp_path):
    script = keyward("completion", "bash").stdout
    (tmp_path / "words").write_text(script + 'COMP_WORDS=(keyward wallet gr); COMP_CWORD=2; _keyward; echo "$COMPREPLY"\n')
    done = subprocess.run(["bash", tmp_path / "words"], capture_output=True, text=True, timeout=60,
                          env={"PATH": f"{PROGRAMS}:/usr/bin:/bin"})
    assert done.stdout == "grant\n"
    assert keyward("completion", "tcsh").returncode == 2
