# SPDX-License-Identifier: Apache-2.0
"""More PKCS#11 test tokens, with the interface of tokens.py. What makes each of them different:

- NssToken: NSS's softokn. It has no data objects, a key made under a CKA_ID in use replaces the one
  that had it, and it is initialized with parameters that p11-kit's proxy has to supply. The proxy's
  configuration is compiled in, so it lives in a mount namespace with an overlay on /etc.
- P11KitServer: SoftHSM behind p11-kit's server, through a socket. Of the ciphers only AES_ECB gets
  through. Hidden by ending the server, frozen by stopping its processes.
- CamlCrush: SoftHSM behind caml-crush, over TCP in a network namespace of its own, as a network HSM
  behind a cable. Hidden by cutting the cable; a GCM operation kills the connection.
- Tpm2: tpm2-pkcs11 on an emulated TPM (swtpm) behind its resource manager. It makes no AES key when
  asked by C_GenerateKey, so that one made by its own tool is to be adopted (.adopt). Optional: the
  packages of scripts/packages.txt's stage "tpm" may be missing (Tpm2.is_there()).

All of them need root. What runs is started in namespaces of processes, mounts and networks that end
with this process, however it ends, so that nothing is left over: no process, interface or mount.
"""
import atexit
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

import tokens
from root import needs_root
from tokens import LIBRARIES, TokenError, _await


class _Held:
    """A shell script in namespaces of its own, with everything that it starts. words are the
    options of unshare(1) beside those for processes. The script's first line of output means that
    it is ready; it ends when .stop() is called or this process ends."""

    def __init__(self, script, arguments, log, words=(), env=None):
        needs_root("a token's namespaces")
        self.log = pathlib.Path(log)
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", *words, "--pid", "--fork",
                 "--kill-child=KILL", "bash", "-euc", script, "held", *map(str, arguments)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=out,
                start_new_session=True, env={**os.environ, **(env or {})},
            )
        atexit.register(self.stop)
        try:
            if not self.process.stdout.readline():
                self.process.wait()
                raise TokenError(f"the set-up failed\n{self.log.read_text()}")
        except BaseException:
            self.stop()
            raise

    @property
    def inside(self):
        """The id of the shell, for nsenter(1)."""
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if len(children) != 1:
            raise TokenError(f"process {pid} has the children {children}")
        return children[0]

    def signal(self, number):
        os.killpg(self.process.pid, number)

    def stop(self):
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        atexit.unregister(self.stop)


# $1 is the token's directory, $2 what NSS is to be initialized with. The overlay's upper layer wants a file system that is
# none itself, hence the tmpfs.
NSS = r"""
D=$1 PARAMETERS=$2
mkdir -p "$D/layers" "$D/none"
mount -t tmpfs none "$D/layers"
mkdir "$D/layers/upper" "$D/layers/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$D/layers/upper,workdir=$D/layers/work" /etc
mount --bind "$D/none" /usr/share/p11-kit/modules
rm -rf /etc/pkcs11
mkdir -p /etc/pkcs11/modules
echo 'user-config: none' >/etc/pkcs11/pkcs11.conf
printf 'module: %s\nx-init-reserved: %s\n' /usr/lib/x86_64-linux-gnu/libsoftokn3.so "$PARAMETERS" \
    >/etc/pkcs11/modules/nss.module
echo ready
exec sleep infinity
"""


class NssToken(tokens.Token):
    """NSS's softokn behind p11-kit's proxy. It has no security officer and never locks a PIN."""

    kind = "nss"
    library = LIBRARIES / "p11-kit-proxy.so"

    def __init__(self, directory, **common):
        super().__init__(directory, **common)
        self.database = self.directory / "db"
        self.database.mkdir(mode=0o700)
        self._certutil("-N", new=self.pin)
        self.parameters = f"configdir='sql:{self.database}' dbTokenDescription='{self.label}'"
        self.held = _Held(NSS, [self.directory, self.parameters], self.directory / "setup.log",
                          ["--mount", "--propagation", "private"])
        self.save()

    def _certutil(self, *options, old=None, new=None):
        words = ["certutil", *options, "-d", f"sql:{self.database}"]
        with tempfile.TemporaryDirectory(dir=self.directory) as here:
            for option, pin in (("-f", old if old is not None else new), ("-@", new)):
                if pin is None or (option == "-@" and old is None):
                    continue
                file = pathlib.Path(here, f"pin{option}")
                file.touch(mode=0o600)
                file.write_text(pin)
                words += [option, file]
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise TokenError(f"certutil: status {done.returncode}\n{done.stdout}{done.stderr}")

    def enter(self, command):
        return ["nsenter", f"--target={self.held.inside}", "--mount", f"--wd={os.getcwd()}", "--",
                *map(str, command)]

    def change_pin(self, new):
        self._certutil("-W", old=self.pin, new=new)
        self.pin = new
        self.save()

    def reset_pin(self, new=None):
        raise TokenError("NSS has no security officer")

    def hide(self):
        if not self.hidden:
            self.database.rename(self.directory / "db.away")
            self.hidden = True
            self.save()

    def show(self):
        if self.hidden:
            (self.directory / "db.away").rename(self.database)
            self.hidden = False
            self.save()

    def stop(self):
        if hasattr(self, "held"):
            self.held.stop()


class _BeforeSoftHsm(tokens.Token):
    """What carries calls to a SoftHSM token. The tools go to SoftHSM directly: what is told of the
    token is then no matter of the carrier. .run() goes through it."""

    def __init__(self, directory, **common):
        directory = pathlib.Path(directory).resolve()
        self.token = tokens.SoftHsm(directory / "softhsm", **common)
        super().__init__(directory, **common)
        # A socket's path is short, and a test's directory may not be.
        self.short = pathlib.Path(tempfile.mkdtemp(prefix="kw-"))
        atexit.register(shutil.rmtree, self.short, True)

    @property
    def pin(self):
        return self.token.pin

    @pin.setter
    def pin(self, value):
        self.token.pin = value

    def save(self):
        self.token.save()

    def tool(self, *options, **run):
        return self.token.tool(*options, **run)

    def slots(self):
        return self.token.slots()

    def flags(self):
        return self.token.flags()

    def stop(self):
        held = getattr(self, "held", None)
        if held is not None:
            held.stop()
        self.held = None
        shutil.rmtree(self.short, ignore_errors=True)


class P11KitServer(_BeforeSoftHsm):
    """SoftHSM behind p11-kit's server."""

    kind = "p11-kit-server"
    library = LIBRARIES / "pkcs11" / "p11-kit-client.so"

    def __init__(self, directory, **common):
        super().__init__(directory, **common)
        self.socket = self.short / "socket"
        self.env = {"P11_KIT_SERVER_ADDRESS": f"unix:path={self.socket}"}
        self.held = None
        try:
            self.show()
        except BaseException:
            self.stop()
            raise

    def hide(self):
        if self.held is not None:
            self.held.stop()
            self.held = None
            self.socket.unlink(missing_ok=True)
        self.hidden = True

    def show(self):
        if self.held is None:
            script = ('/usr/libexec/p11-kit/p11-kit-server --foreground --provider "$1" '
                      '--name "$2" pkcs11: >&2 & echo ready; wait')
            self.held = _Held(script, [self.token.library, self.socket],
                              self.directory / "server.log", env=self.token.env)
            _await(self.socket.exists, "the start of p11-kit-server")
        self.hidden = False

    def freeze(self):
        self.held.signal(signal.SIGSTOP)

    def thaw(self):
        self.held.signal(signal.SIGCONT)


CAML_CRUSH = r"""
netplex {
  controller {
    max_level = "warning";
    socket_directory = "%(short)s/netplex";
    logging { type = "stderr"; };
  };
  service {
    name = "PKCS#11 Filtering Proxy";
    conn_limit = 1;
    protocol { name = "rpc_pkcs11"; address { type = "internet"; bind = "%(address)s"; }; };
    processor { type = "rpc_pkcs11"; filter_config = "%(short)s/filter"; use_ssl = false; };
    workload_manager {
      type = "dynamic"; max_jobs_per_thread = 1; min_free_jobs_capacity = 1;
      max_free_jobs_capacity = 1; max_threads = 100;
    };
  }
}
"""


# $1 is the daemon's configuration, $2 a file that appears when the cable has been laid.
CAML_CRUSH_HOLDER = r"""
ip link set lo up
echo ready
until [ -e "$2" ]; do read -rt 0.05 <> <(:) || :; done
pkcs11proxyd -fg -conf "$1" >&2 &
wait
"""


class CamlCrush(_BeforeSoftHsm):
    """SoftHSM behind caml-crush, at the other end of a cable."""

    kind = "caml-crush"
    library = LIBRARIES / "caml-crush" / "libp11clienttcp.so"
    port = 4444

    def __init__(self, directory, **common):
        super().__init__(directory, **common)
        self.held = None
        self.near = self.far = None
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self):
        laid = self.short / "laid"
        self.held = _Held(CAML_CRUSH_HOLDER, [self.short / "conf", laid],
                          self.directory / "server.log", ["--net"], env=self.token.env)
        self._lay_cable()
        address = f"{self.address}:{self.port}"
        (self.short / "netplex").mkdir()
        (self.short / "filter").write_text(
            f'debug = 0\nmodules = [("hsm", "{self.token.library}")]\nlog_subchannel = filter\n')
        (self.short / "conf").write_text(
            CAML_CRUSH % {"short": self.short, "address": address})
        self.env = {"PKCS11PROXY_LIBNAME": "hsm", "PKCS11PROXY_SOCKET_PATH": address}
        laid.touch()
        _await(self.answers, "the start of pkcs11proxyd")

    def _ip(self, *words, inside=False):
        enter = ["nsenter", f"--target={self.held.inside}", "--net", "--"] if inside else []
        done = subprocess.run([*enter, "ip", *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise TokenError(f"ip {' '.join(words)}: {done.stderr}")
        return done.stdout

    # Names and addresses are chosen at random and looked at afterwards, since other tests may run
    # beside. 198.18.0.0/15 is for such networks (RFC 2544).
    def _lay_cable(self):
        while self.near is None:
            name = f"kw{random.randrange(16 ** 8):08x}"
            base = random.randrange(2 ** 15) * 4
            network = f"198.{18 + (base >> 16)}.{base >> 8 & 255}."
            near, far = (f"{network}{(base & 255) + i}" for i in (1, 2))
            self._ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b",
                     "netns", self.held.inside)
            self._ip("addr", "add", f"{near}/30", "dev", f"{name}a")
            if len(self._ip("-o", "addr", "show", "to", f"{near}/30").splitlines()) > 1:
                self._ip("link", "del", f"{name}a")
                continue
            self.near, self.far, self.address = f"{name}a", f"{name}b", far
        self._ip("addr", "add", f"{far}/30", "dev", self.far, inside=True)
        self._ip("link", "set", self.far, "up", inside=True)
        self._ip("link", "set", self.near, "up")

    # The kernel would take the cable away with the namespace, but in its own time.
    def stop(self):
        if self.near is not None and getattr(self, "held", None) is not None:
            self._ip("link", "del", self.near)
            self.near = None
        super().stop()

    def answers(self):
        """Whether the daemon takes a connection."""
        try:
            with socket.create_connection((self.address, self.port), timeout=1):
                return True
        except OSError:
            return False

    def hide(self):
        self._ip("link", "set", self.near, "down")
        self.hidden = True

    def show(self):
        self._ip("link", "set", self.near, "up")
        _await(self.answers, "the mending of the cable")
        self.hidden = False

    def freeze(self):
        """The HSM keeps its connections and answers no more."""
        self.held.signal(signal.SIGSTOP)

    def thaw(self):
        self.held.signal(signal.SIGCONT)

    def unplug(self):
        """The cable is cut where this end does not see it: what is sent is lost."""
        self._ip("link", "set", self.far, "down", inside=True)

    def plug(self):
        self._ip("link", "set", self.far, "up", inside=True)
        _await(self.answers, "the mending of the cable")


# $1 is the token's directory, $2 a directory with a short path for the bus's socket.
TPM2 = r"""
D=$1 S=$2
ip link set lo up
swtpm socket --tpm2 --tpmstate dir="$D/state" --server type=tcp,bindaddr=127.0.0.1,port=2321,disconnect=no \
    --ctrl type=tcp,bindaddr=127.0.0.1,port=2322 --flags not-need-init,startup-clear >&2 &
dbus-daemon --session --nofork --nosyslog --address="unix:path=$S/bus" >&2 &
until [ -S "$S/bus" ]; do read -rt 0.05 <> <(:) || :; done
until (exec 9<>/dev/tcp/127.0.0.1/2322) 2>&-; do read -rt 0.05 <> <(:) || :; done
tpm2-abrmd --session --allow-root --tcti=swtpm:host=127.0.0.1,port=2321 >&2 &
until tpm2_getrandom -Q 4 -o /dev/null 2>&-; do read -rt 0.05 <> <(:) || :; done
echo ready
wait
"""


class Tpm2(tokens.Token):
    """tpm2-pkcs11. .adopt are the settings by which Keyward takes the key that was made for it."""

    kind = "tpm2"
    library = LIBRARIES / "pkcs11" / "libtpm2_pkcs11.so"
    adopt = {"HSM_ADOPT_KEY_LABEL": "Premade HSM Root Key"}

    @classmethod
    def is_there(cls):
        """Whether the packages are installed."""
        programs = ("swtpm", "swtpm_setup", "tpm2_ptool", "tpm2-abrmd", "dbus-daemon")
        return cls.library.exists() and all(shutil.which(program) for program in programs)

    def __init__(self, directory, **common):
        super().__init__(directory, **common)
        self.short = pathlib.Path(tempfile.mkdtemp(prefix="kw-"))
        atexit.register(shutil.rmtree, self.short, True)
        self.held = None
        for name in ("state", "store"):
            (self.directory / name).mkdir(mode=0o700)
        manager = "tabrmd:bus_type=session"
        self.env = {"TPM2_PKCS11_STORE": str(self.directory / "store"),
                    "TPM2_PKCS11_TCTI": manager, "TPM2_PKCS11_LOG_LEVEL": "0",
                    "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.short}/bus"}
        try:
            self.run(["swtpm_setup", "--tpm2", "--tpmstate", self.directory / "state",
                      "--createek", "--overwrite"])
            self.show()
            self._ptool("init")
            self._ptool("addtoken", "--pid=1", f"--label={self.label}", "--userpin=$TOKEN_PIN",
                        "--sopin=$TOKEN_SO")
            self._ptool("addkey", "--algorithm=aes256", f"--label={self.label}",
                        "--userpin=$TOKEN_PIN", "--id=00000001",
                        f"--key-label={self.adopt['HSM_ADOPT_KEY_LABEL']}")
        except BaseException:
            self.stop()
            raise
        self.save()

    # The tool takes PINs from arguments only; they are put in where no other process sees them.
    def _ptool(self, *words):
        program = shutil.which("tpm2_ptool")
        code = ("import os, runpy, sys; sys.argv[:] = [os.path.expandvars(w) for w in sys.argv[1:]]; "
                "runpy.run_path(sys.argv[0], run_name='__main__')")
        self.run([sys.executable, "-c", code, program, *words, f"--path={self.directory / 'store'}"],
                 env={"TPM2TOOLS_TCTI": self.env["TPM2_PKCS11_TCTI"], "TOKEN_PIN": self.pin,
                      "TOKEN_SO": self.so_pin})

    # A TPM that loses its power without notice counts that as a wrong try, and locks after three.
    def hide(self):
        if self.held is not None:
            self.run(["tpm2_shutdown", "--clear"],
                     env={"TPM2TOOLS_TCTI": self.env["TPM2_PKCS11_TCTI"]})
            self.held.stop()
            self.held = None
            (self.short / "bus").unlink(missing_ok=True)
        self.hidden = True

    def show(self):
        if self.held is None:
            self.held = _Held(TPM2, [self.directory, self.short], self.directory / "tpm.log",
                              ["--net"],
                              env={**self.env, "TPM2TOOLS_TCTI": self.env["TPM2_PKCS11_TCTI"]})
        self.hidden = False

    def freeze(self):
        self.held.signal(signal.SIGSTOP)

    def thaw(self):
        self.held.signal(signal.SIGCONT)

    def stop(self):
        held = getattr(self, "held", None)
        if held is not None:
            held.stop()
        self.held = None
        shutil.rmtree(self.short, ignore_errors=True)


ALL = (tokens.SoftHsm, tokens.OpenCryptoki, NssToken, P11KitServer, CamlCrush)
