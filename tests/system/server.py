# SPDX-License-Identifier: Apache-2.0
"""A Keyward server of a test: its root, its command line, its processes, clients of its KMIP port.

The programs are those of the release build, or of the directory that KEYWARD_PROGRAMS names.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time

from kmip.core import enums
from kmip.pie.client import ProxyKmipClient

from ports import free_port

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = pathlib.Path(os.environ.get("KEYWARD_PROGRAMS", TOP / "build" / "release" / "src" / "prog"))
PASSPHRASE = "correct horse battery staple 7"


def wait_for(what, condition, seconds=90.0):
    """Polls until condition() is true and returns its value; fails with `what` at the deadline, which is no claim of how long it
    takes: a machine may stand still for a while, or be busy with something else."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.005)


def served(server):
    """Whether each key that the server was given is there with its bytes."""
    return all(server.fetch(uid) == key for uid, key in server.keys.items())


def soon_served(server):
    def there():
        try:
            return served(server)
        except Exception:  # the port may still refuse or be closed
            return False
    wait_for("the keys to be served", there)


def write_private(path, text):
    """Whole at every instant, since several may write one at once."""
    path = pathlib.Path(path)
    new = path.with_name(f"{path.name}.{threading.get_ident()}")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
        f.write(text)
    return new.replace(path)


class Process:
    def __init__(self, pid, parent, name, arguments):
        self.pid, self.parent, self.name, self.arguments = pid, parent, name, arguments

    @property
    def role(self):
        for argument in self.arguments:
            if argument.startswith("--role="):
                return argument[7:]
        return self.name.removeprefix("keyward-")

    def status(self):
        lines = pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def processes_below(pid):
    """Every living descendant of a process."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
            arguments = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:
            continue
        fields = stat.rsplit(") ", 1)[1].split()
        if fields[0] != "Z" and arguments:
            found.append(Process(int(entry.name), int(fields[1]), os.path.basename(arguments[0]), arguments))
    family, grown = {pid}, True
    while grown:
        more = {p.pid for p in found if p.parent in family} - family
        family |= more
        grown = bool(more)
    return [p for p in found if p.pid in family and p.pid != pid]


class Server:
    """One server in a root of its own. `prefix` goes before every command that must share the HSM's namespace."""

    def __init__(self, root, prefix=()):
        self.root = pathlib.Path(root)
        self.root.mkdir(mode=0o700, exist_ok=True)
        self.prefix = list(prefix)
        self.port = free_port()
        self.passphrase_file = write_private(self.root / "passphrase", PASSPHRASE)

    # -- command line --
    def keyward(self, *arguments, check=True, program="keyward", **more):
        command = [*self.prefix, str(PROGRAMS / program), *map(str, arguments), "--root", str(self.root)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=150, stdin=subprocess.DEVNULL, **more)
        if check:
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}\n{self.log()[-3000:]}"
        return done

    def json(self, *arguments, **more):
        return json.loads(self.keyward(*arguments, "-o", "json", **more).stdout)

    def setup(self, hsm="none", https=False):
        """`https`: serve the REST API on a port, too, which is `web_port` from then on."""
        self.web_port = free_port() if https else None
        web = f"127.0.0.1:{self.web_port}" if https else "none"
        return self.keyward("setup", "--kmip-listen", f"127.0.0.1:{self.port}", "--web-listen", web, "--server-name",
                            "localhost", "--server-name", "127.0.0.1", "--recovery-passphrase-file",
                            self.passphrase_file, "--hsm", hsm, "--yes")

    def start(self, check=True):
        return self.keyward("start", check=check)

    def stop(self):
        return self.keyward("stop")

    def restart(self):
        return self.keyward("restart")

    def log(self):
        path = self.root / "var/okv/log/keywardd.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # -- HSM --
    def use_token(self, token, vendor="Test HSM"):
        """Lays out okv_hsm.conf and okv_hsm_env for a test token, as an administrator would."""
        generic = self.root / "usr/local/okv/hsm/generic"
        generic.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(generic / "okv_hsm.conf",
                      f'VENDOR_NAME="{vendor}"\nPKCS11_LIB_LOC="{token.library}"\nPRESERVED_FILES="{token.library}"\n')
        write_private(generic / "okv_hsm_env", "".join(f'export {k}="{v}"\n' for k, v in token.env.items()))
        self.vendor = vendor

    def secret_file(self, name, text):
        return write_private(self.root / f"secret-{name}", text)

    def initialize(self, token, check=True, label=None, passphrase=PASSPHRASE):
        arguments = ["hsm", "initialize", "--vendor", self.vendor, "--token-label", label or token.label,
                     "--credential-file", self.secret_file("pin", token.pin),
                     "--recovery-passphrase-file", self.secret_file("recovery", passphrase)]
        return self.keyward(*arguments, check=check)

    def reverse_migrate(self, token, check=True, old=PASSPHRASE, new=PASSPHRASE):
        return self.keyward("hsm", "reverse-migrate", "--credential-file", self.secret_file("pin", token.pin),
                            "--recovery-passphrase-file", self.secret_file("old", old),
                            "--new-recovery-passphrase-file", self.secret_file("new", new), check=check)

    # -- processes --
    @property
    def pid(self):
        return int((self.root / "run/keyward/keywardd.pid").read_text())

    def processes(self, role=None):
        return [p for p in processes_below(self.pid) if role in (None, p.role)]

    def kill(self, role, number=signal.SIGKILL):
        victims = self.processes(role)
        assert victims, f"there is no process of role {role}"
        for victim in victims:
            os.kill(victim.pid, number)
        return victims

    def remove(self):
        try:
            pid = self.pid
        except (OSError, ValueError):
            pid = 0
        self.keyward("stop", check=False)
        if pid and os.path.exists(f"/proc/{pid}"):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        ram = self.root / "mnt/okvram"
        if ram.is_symlink() and os.readlink(ram).startswith("/dev/shm/"):
            shutil.rmtree(os.readlink(ram), ignore_errors=True)
        shutil.rmtree(self.root, ignore_errors=True)

    # -- KMIP --
    def enroll(self, name="client"):
        out = self.root / "clients" / name
        out.parent.mkdir(exist_ok=True, mode=0o700)
        if not out.exists():
            self.keyward("endpoint", "add", name, "--enroll", "--out", out)
        return out

    def client(self, name="client", version=enums.KMIPVersion.KMIP_1_4):
        """PyKMIP's client of an enrolled endpoint; use it in a with statement."""
        where = self.enroll(name)
        return ProxyKmipClient(hostname="127.0.0.1", port=self.port, cert=str(where / "cert.pem"),
                               key=str(where / "key.pem"), ca=str(where / "ca.pem"), kmip_version=version)

    def create_key(self, name="client", **more):
        with self.client(name) as client:
            uid = client.create(enums.CryptographicAlgorithm.AES, 256, **more)
            return uid, client.get(uid).value

    def fetch(self, uid, name="client"):
        with self.client(name) as client:
            return client.get(uid).value
