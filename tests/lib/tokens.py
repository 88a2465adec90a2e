# SPDX-License-Identifier: Apache-2.0
"""PKCS#11 test tokens, each in a directory of its own, with one interface.

    with tokens.SoftHsm(tmp_path / "hsm") as token:      # or tokens.OpenCryptoki(…)
        token.run(["pkcs11-tool", …])                    # runs with token.env, in token's namespace
        token.generate_key("HSM Root Key", "00000001")
        token.hide(); …; token.show()

Every token has .library .label .pin .so_pin .env, .enter(command) (what to put before a command
that must see the token), .objects(), .generate_key(), .delete(), .change_pin(), .reset_pin(),
.flags(), .wrong_pin(), .hide(), .show() and .stop(). Each set-up also writes token.json to the
directory, so that the command `token` (beside this file) can go on with it.

SoftHSM never locks a PIN and needs no daemon: use it for most tests. openCryptoki's software token
locks after three wrong PINs and depends on a daemon; its paths are compiled in, so it lives in a
mount and IPC namespace held open by a sleeping process, and needs root. Its PINs have 4 to 8
characters. PINs go to the tools by environment or standard input, never as an argument.
"""
import argparse
import atexit
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

from root import needs_root

LIBRARIES = pathlib.Path("/usr/lib/x86_64-linux-gnu")


class TokenError(Exception):
    """A tool refused; the text is what it said."""


def _await(condition, what, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TokenError(f"{what} did not happen within {seconds} s")
        time.sleep(0.002)


class Token:
    """What all tokens have in common. Use a subclass."""

    kind = None
    library = None

    def __init__(self, directory, label="hsm-root", pin="1234pin", so_pin="sopin567"):
        self.directory = pathlib.Path(directory).resolve()
        self.label = label
        self.pin = pin
        self.so_pin = so_pin
        self.env = {}
        self.hidden = False
        self.directory.mkdir(parents=True, exist_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def enter(self, command):
        """The words that run command where the token can be seen."""
        return [str(word) for word in command]

    def run(self, command, check=True, env=None, **popen):
        """Runs command with the token's environment. Returns the CompletedProcess."""
        popen = {"capture_output": True, "text": True, "timeout": 60, **popen}
        done = subprocess.run(
            self.enter(command), env={**os.environ, **self.env, **(env or {})}, check=False, **popen
        )
        if check and done.returncode != 0:
            words = " ".join(map(str, command))
            raise TokenError(f"{words}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def tool(self, *options, login=True, pin=None, slot=None, **run):
        """Runs pkcs11-tool on this token (by label, or on a slot id)."""
        words = ["pkcs11-tool", "--module", self.library]
        words += ["--slot", slot] if slot is not None else ["--token-label", self.label]
        if login:
            words += ["--login", "--pin", "env:TOKEN_PIN"]
        env = {"TOKEN_PIN": self.pin if pin is None else pin}
        return self.run([*words, *options], env={**env, **run.pop("env", {})}, **run)

    def slots(self):
        """The slot ids whose token has this token's label (two for twins)."""
        found, slot = [], None
        for line in self.run(
            ["pkcs11-tool", "--module", self.library, "--list-token-slots"]
        ).stdout.splitlines():
            start = re.match(r"Slot \d+ \((0x[0-9a-f]+)\)", line)
            label = re.match(r"  token label\s*: (.*)", line)
            if start:
                slot = start.group(1)
            elif label and label.group(1).rstrip() == self.label.rstrip():
                found.append(slot)
        return found

    def flags(self):
        """The token's flags in pkcs11-tool's words, such as "final user PIN try"."""
        text = self.run(["pkcs11-tool", "--module", self.library, "--list-token-slots"]).stdout
        for part in re.split(r"(?m)^Slot ", text):
            if re.search(rf"token label\s*: {re.escape(self.label.rstrip())}\s*$", part, re.M):
                return re.search(r"token flags\s*: (.*)", part).group(1).split(", ")
        raise TokenError(f'no token labelled "{self.label}"\n{text}')

    def objects(self, slot=None, login=True):
        """All objects as dicts with class, label, id (hexadecimal, "" if none)."""
        found = []
        text = self.tool("--list-objects", slot=slot, login=login).stdout
        for line in text.splitlines():
            head = re.match(r"(\S.*?) [Oo]bject\b", line)
            field = re.match(r"\s+(label|ID):\s*(.*)", line)
            if head:
                found.append({"class": head.group(1), "label": "", "id": ""})
            elif field and found:
                value = field.group(2).strip("'") if field.group(1) == "label" else field.group(2)
                found[-1][field.group(1).lower()] = value
        return found

    def keys(self, label=None, slot=None):
        """The secret keys, or those of one label."""
        found = [o for o in self.objects(slot=slot) if o["class"] == "Secret Key"]
        return [o for o in found if label is None or o["label"] == label]

    def generate_key(self, label, hex_id, slot=None, extractable=False):
        """Makes an AES-256 key."""
        options = ["--keygen", "--key-type", "AES:32", "--label", label, "--id", hex_id]
        options += ["--sensitive"] + (["--extractable"] if extractable else [])
        self.tool(*options, slot=slot)

    def delete(self, label, hex_id=None, kind="secrkey", slot=None):
        """Deletes one object (kind: secrkey or data)."""
        options = ["--delete-object", "--type", kind, "--label", label]
        self.tool(*options, *(["--id", hex_id] if hex_id else []), slot=slot)

    def change_pin(self, new):
        """As the token's user would; .pin is the new one afterwards."""
        self.tool("--change-pin", "--new-pin", "env:TOKEN_NEW", env={"TOKEN_NEW": new})
        self.pin = new
        self.save()

    def reset_pin(self, new=None):
        """As the security officer would; also ends a lock."""
        new = self.pin if new is None else new
        self.tool("--login", "--login-type", "so", "--so-pin", "env:TOKEN_SO", "--init-pin",
                  "--new-pin", "env:TOKEN_NEW", login=False,
                  env={"TOKEN_SO": self.so_pin, "TOKEN_NEW": new})
        self.pin = new
        self.save()

    def wrong_pin(self, times=1):
        """Tries a wrong PIN; the token counts."""
        for _ in range(times):
            if self.tool("--list-objects", pin="wrong123", check=False).returncode == 0:
                raise TokenError("the token took a wrong PIN")

    def hide(self):
        """Takes the HSM away from processes that look for it from now on."""
        raise NotImplementedError

    def show(self):
        """Gives it back as it was."""
        raise NotImplementedError

    def stop(self):
        """Ends what was started; the files stay."""

    def state(self):
        """What token.json keeps."""
        names = ("kind", "label", "pin", "so_pin", "env", "hidden")
        return {**{n: getattr(self, n) for n in names}, "library": str(self.library)}

    def save(self):
        path = self.directory / "token.json"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            json.dump(self.state(), f, indent=1)

    @staticmethod
    def load(directory):
        """The token set up in a directory before, by whatever process."""
        directory = pathlib.Path(directory).resolve()
        state = json.loads((directory / "token.json").read_text())
        cls = {c.kind: c for c in (SoftHsm, OpenCryptoki)}[state.pop("kind")]
        token = cls.__new__(cls)
        token.directory = directory
        state.pop("library")
        for name, value in state.items():
            setattr(token, name, value)
        return token


class SoftHsm(Token):
    """SoftHSM in a directory. copies=2 makes two tokens of one label; owner (a user name) gets the
    files, for a server that does not run as root."""

    kind = "softhsm"
    library = pathlib.Path("/usr/lib/softhsm/libsofthsm2.so")

    def __init__(self, directory, copies=1, owner=None, **common):
        super().__init__(directory, **common)
        self.owner = owner
        self.tokens = self.directory / "tokens"
        self.env = {"SOFTHSM2_CONF": str(self.directory / "softhsm2.conf")}
        self.tokens.mkdir(mode=0o700)
        (self.directory / "softhsm2.conf").write_text(
            f"directories.tokendir = {self.tokens}\n"
            "objectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"
            "slots.mechanisms = ALL\nlibrary.reset_on_fork = false\n"
        )
        for _ in range(copies):
            self._init_token()
        self.own()
        self.save()

    # softhsm2-util takes PINs from arguments or a terminal only; pkcs11-tool takes them from the
    # environment and needs the slot that is still free.
    def _init_token(self):
        listing = self.run(["pkcs11-tool", "--module", self.library, "--list-slots"]).stdout
        free = None
        for part in re.split(r"(?m)^Slot ", listing)[1:]:
            if "uninitialized" in part:
                free = re.search(r"\((0x[0-9a-f]+)\)", part).group(1)
        if free is None:
            raise TokenError(f"SoftHSM shows no free slot\n{listing}")
        env = {"TOKEN_SO": self.so_pin, "TOKEN_NEW": self.pin}
        before = set(self.slots())
        self.tool("--init-token", "--label", self.label, "--so-pin", "env:TOKEN_SO",
                  slot=free, login=False, env=env)
        (slot,) = set(self.slots()) - before
        self.tool("--login", "--login-type", "so", "--so-pin", "env:TOKEN_SO", "--init-pin",
                  "--new-pin", "env:TOKEN_NEW", slot=slot, login=False, env=env)

    def own(self):
        """Gives all files to .owner; call again after a tool has written as root."""
        if self.owner is not None:
            shutil.chown(self.directory, self.owner)
            for here, folders, files in os.walk(self.directory):
                for name in folders + files:
                    shutil.chown(os.path.join(here, name), self.owner)

    def tool(self, *options, **run):
        done = super().tool(*options, **run)
        self.own()
        return done

    def hide(self):
        if not self.hidden:
            self.tokens.rename(self.directory / "tokens.away")
            self.tokens.mkdir(mode=0o700)
            self.own()
            self.hidden = True
            self.save()

    def show(self):
        if self.hidden:
            shutil.rmtree(self.tokens)
            (self.directory / "tokens.away").rename(self.tokens)
            self.hidden = False
            self.save()

    def state(self):
        return {**super().state(), "owner": self.owner}

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name == "directory":
            super().__setattr__("tokens", self.directory / "tokens")


# Runs in new mount and IPC namespaces; the binds make the compiled-in paths private. $1 is the
# token's directory, $2 the users to be named in group pkcs11, $3 the number of tokens. POSIX shared
# memory is no part of the IPC namespace, hence the tmpfs.
HOLDER = r"""
set -eu
D=$1 USERS=$2 COPIES=$3 O=/var/lib/opencryptoki
mkdir -p "$D/etc" "$D/lib" "$D/run/lock" "$D/log"
mkdir -p /var/log/opencryptoki
cp /etc/group "$D/group"
for u in $USERS; do sed -i "s/^pkcs11:.*[^:]\$/&,$u/; s/^pkcs11:.*:\$/&$u/" "$D/group"; done
mount --bind "$D/group" /etc/group
mount --bind "$D/etc" /etc/opencryptoki
mount --bind "$D/lib" $O
mount --bind "$D/log" /var/log/opencryptoki
mount --bind "$D/run" /run
mount -t tmpfs -o mode=1777 none /dev/shm
{
    echo 'version opencryptoki-3.1'
    printf 'slot 3\n{\nstdll = libpkcs11_sw.so\ntokname = swtok\n}\n'
    if [ "$COPIES" = 2 ]; then
        printf 'slot 5\n{\nstdll = libpkcs11_sw.so\ntokname = swtok2\n}\n'
    fi
} >/etc/opencryptoki/opencryptoki.conf
mkdir -p $O/swtok/TOK_OBJ $O/swtok2/TOK_OBJ
mkdir -p /run/lock/opencryptoki/swtok /run/lock/opencryptoki/swtok2
chown -R root:pkcs11 $O /run/lock/opencryptoki /var/log/opencryptoki
chmod -R 770 $O /run/lock/opencryptoki
chmod 755 "$D/run" "$D/run/lock" "$D/etc"
/usr/sbin/pkcsslotd
touch "$D/up"
exec sleep infinity
"""


class OpenCryptoki(Token):
    """openCryptoki's software token. copies=2 makes a second one of the same label; members are
    users who may use it (the library wants them named in group pkcs11)."""

    kind = "opencryptoki"
    library = LIBRARIES / "pkcs11" / "libopencryptoki.so"
    first_so_pin = "87654321"

    def __init__(self, directory, copies=1, members=(), **common):
        super().__init__(directory, **common)
        if not all(4 <= len(pin) <= 8 for pin in (self.pin, self.so_pin)):
            raise TokenError("openCryptoki's PINs have 4 to 8 characters")
        needs_root("openCryptoki's namespaces")
        self.members, self.copies = members, copies
        self.holder = 0
        try:
            self._hold()
            for slot in (3, 5)[:copies]:
                self._init_token(slot)
        except BaseException:
            self.stop()
            raise
        self.save()

    def _hold(self):
        """Makes the namespaces and starts the daemon in them."""
        log = open(self.directory / "setup.log", "wb")
        process = subprocess.Popen(
            ["unshare", "--mount", "--ipc", "--propagation", "private", "bash", "-c", HOLDER,
             "holder", str(self.directory), " ".join(self.members), str(self.copies)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )
        log.close()
        self.holder = process.pid
        self._process = process  # keeps it from being reaped elsewhere
        atexit.register(self.stop)
        _await(lambda: (self.directory / "up").exists() or process.poll() is not None,
               "the set-up of openCryptoki")
        if process.poll() is not None:
            raise TokenError((self.directory / "setup.log").read_text())
        self._await_daemon()

    def reboot(self):
        """As a power cut of its host: the files of the token stay, daemon, memory and locks do not."""
        self.stop(signal.SIGKILL)
        for name in ("up", "run/pkcsslotd.pid", "run/pkcsslotd.socket"):
            (self.directory / name).unlink(missing_ok=True)
        self._hold()
        self.save()

    def _init_token(self, number):
        slot = str(number)
        self.run(["pkcsconf", "-I", "-c", slot], input=f"{self.first_so_pin}\n{self.label}\n")
        self.run(["pkcsconf", "-P", "-c", slot],
                 input=f"{self.first_so_pin}\n{self.so_pin}\n{self.so_pin}\n")
        self.run(["pkcsconf", "-u", "-c", slot], input=f"{self.so_pin}\n{self.pin}\n{self.pin}\n")

    def enter(self, command):
        return ["nsenter", f"--target={self.holder}", "--mount", "--ipc", f"--wd={os.getcwd()}",
                "--", *map(str, command)]

    def daemon_pid(self):
        """The id of pkcsslotd, None if it does not run."""
        try:
            pid = int((self.directory / "run" / "pkcsslotd.pid").read_text())
            name, rest = pathlib.Path(f"/proc/{pid}/stat").read_text().split("(", 1)[1].rsplit(") ", 1)
        except (OSError, ValueError):
            return None
        return pid if name == "pkcsslotd" and rest[0] != "Z" else None  # dead, and not reaped yet

    def _await_daemon(self):
        """It writes its id once it listens."""
        _await(lambda: self.daemon_pid() is not None, "the start of pkcsslotd")

    def hide(self):
        pid = self.daemon_pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            _await(lambda: self.daemon_pid() is None, "the end of pkcsslotd")
        self.hidden = True
        self.save()

    def show(self):
        if self.daemon_pid() is None:
            self.run(["/usr/sbin/pkcsslotd"], capture_output=False, stdout=subprocess.DEVNULL,
                     stderr=subprocess.DEVNULL)
            self._await_daemon()
        self.hidden = False
        self.save()

    def freeze(self):
        """The daemon keeps its socket and answers no more."""
        os.kill(self.daemon_pid(), signal.SIGSTOP)

    def replace(self):
        """Ends a frozen daemon and starts another, as a service manager would. To let it go on is
        no use: a pkcsslotd whose waiting client has been killed meanwhile ends by itself."""
        pid = self.daemon_pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            _await(lambda: self.daemon_pid() is None, "the end of pkcsslotd")
        for name in ("pkcsslotd.pid", "pkcsslotd.socket"):
            (self.directory / "run" / name).unlink(missing_ok=True)
        self.show()

    def _holder_lives(self):
        try:
            words = pathlib.Path(f"/proc/{self.holder}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return words[:2] == [b"sleep", b"infinity"] or b"holder" in words

    def stop(self, how=signal.SIGTERM):
        pid = self.daemon_pid()
        if pid is not None:
            os.kill(pid, how)
            _await(lambda: self.daemon_pid() is None, "the end of pkcsslotd")
        if self.holder and self._holder_lives():
            os.kill(self.holder, signal.SIGKILL)
        if getattr(self, "_process", None) is not None:
            self._process.wait()
        self.holder = 0
        atexit.unregister(self.stop)

    def state(self):
        return {**super().state(), "holder": self.holder, "members": list(self.members), "copies": self.copies}


def main(argv):
    """The command `token`; see its --help."""
    parser = argparse.ArgumentParser(prog="token", description="sets up PKCS#11 test tokens")
    verbs = parser.add_subparsers(dest="verb", required=True)
    start = verbs.add_parser("start", help="make a token in DIR")
    start.add_argument("kind", choices=["softhsm", "opencryptoki"])
    start.add_argument("directory")
    start.add_argument("--label", default="hsm-root")
    start.add_argument("--pin", default="1234pin")
    start.add_argument("--so-pin", default="sopin567")
    start.add_argument("--copies", type=int, choices=[1, 2], default=1, help="tokens of one label")
    start.add_argument("--user", help="who else may use it, beside root")
    for verb, text in (("env", "print library, label and environment as shell assignments"),
                       ("objects", "list the objects"), ("hide", "take the HSM away"),
                       ("show", "give it back"), ("stop", "end what was started")):
        verbs.add_parser(verb, help=text).add_argument("directory")
    run = verbs.add_parser("run", help="run a command that can see the token")
    run.add_argument("directory")
    run.add_argument("command", nargs=argparse.REMAINDER)
    pin = verbs.add_parser("change-pin", help="change the PIN to the one on standard input")
    pin.add_argument("directory")
    return _verb(parser.parse_args(argv))


def _start(options):
    common = {n: getattr(options, n) for n in ("label", "pin", "so_pin", "copies")}
    if options.kind == "softhsm":
        return SoftHsm(options.directory, owner=options.user, **common)
    token = OpenCryptoki(options.directory, members=[options.user] if options.user else [], **common)
    atexit.unregister(token.stop)  # lives on until `token stop`
    token._process = None
    return token


def _verb(options):
    import shlex

    if options.verb == "start":
        _start(options)
        return 0
    token = Token.load(options.directory)
    if options.verb == "env":
        values = {"TOKEN_LIBRARY": str(token.library), "TOKEN_LABEL": token.label, **token.env}
        print("\n".join(f"export {k}={shlex.quote(v)}" for k, v in values.items()))
    elif options.verb == "objects":
        for o in token.objects():
            print(f"{o['class']}\t{o['id']}\t{o['label']}")
    elif options.verb == "run":
        return token.run(options.command, check=False, capture_output=False, timeout=None).returncode
    elif options.verb == "change-pin":
        token.change_pin(sys.stdin.readline().rstrip("\n"))
    else:
        getattr(token, options.verb)()
        token.save()
    return 0
