# SPDX-License-Identifier: Apache-2.0
"""The walls between the processes: what each binary links, how each process is confined, and that a killed one comes back
while the others go on serving (contract B13, ARCHITECTURE.md)."""
import errno
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from kmip.core import enums

import prepared
from https import Local
from root import needs_root
from server import PROGRAMS, Process, processes_below, wait_for
from shim import Shim

ROLES = ["courier", "front", "web", "reader", "writer", "admin", "people", "keeper"]


def needed(program):
    """The shared libraries that a binary asks for itself."""
    out = subprocess.run(["objdump", "-p", PROGRAMS / program], capture_output=True, text=True, check=True).stdout
    return {line.split()[1].split(".so")[0] for line in out.splitlines() if "NEEDED" in line}


def imports(program):
    out = subprocess.run(["nm", "-D", "--undefined-only", PROGRAMS / program], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1].split("@")[0] for line in out.splitlines()}


@pytest.mark.parametrize("program", ["keywardd", "keyward-courier", "keyward-front", "keyward-web", "keyward-engine", "keyward-keeper"])
def test_only_hsmd_can_load_a_library(program):
    assert not {"dlopen", "dlsym", "dlmopen"} & imports(program)


def test_hsmd_links_no_tls_and_no_sql():
    assert "dlopen" in imports("keyward-hsmd")
    assert not {"libssl", "libsqlite3"} & needed("keyward-hsmd")


@pytest.mark.parametrize("program", ["keyward-courier", "keyward-front", "keyward-web", "keyward-keeper", "keyward-hsmd", "keywardd"])
def test_only_engines_link_sql(program):
    assert "libsqlite3" not in needed(program)
    assert "libsqlite3" in needed("keyward-engine")


@pytest.mark.parametrize("program", ["keyward-engine", "keyward-keeper", "keyward-hsmd", "keywardd"])
def test_only_fronts_and_web_link_tls(program):
    assert "libssl" not in needed(program)
    assert "libssl" in needed("keyward-front") and "libssl" in needed("keyward-web")


@pytest.mark.parametrize("program", ["keyward-courier", "keyward-front", "keyward-web", "keyward-engine", "keyward-keeper", "keyward-hsmd",
                                     "keywardd"])
def test_binaries_are_hardened(program):
    text = subprocess.run(["readelf", "-hldW", PROGRAMS / program], capture_output=True, text=True, check=True).stdout
    assert "DYN (Position-Independent Executable file)" in text
    assert "BIND_NOW" in text or "Flags: NOW" in text
    assert "GNU_RELRO" in text
    stack = [line for line in text.splitlines() if "GNU_STACK" in line]
    assert stack and "RWE" not in stack[0]


@pytest.mark.parametrize("program", sorted(p.name for p in PROGRAMS.glob("keyward*") if p.is_file()))
def test_no_secret_is_built_in(program):
    text = subprocess.run(["strings", "-n", "6", PROGRAMS / program], capture_output=True, text=True, check=True).stdout
    # Headers of PEM stand alone; with a body behind them they would be a key.
    assert not re.search(r"-----BEGIN [A-Z ]+-----\n[A-Za-z0-9+/=]{16,}", text)


def test_every_process_is_confined(server):
    roles = {p.role for p in server.processes()}
    assert set(ROLES) <= roles
    for process in server.processes():
        # A front that was started when the server had been set up may not have come so far yet.
        wait_for(f"{process.role} to be confined", lambda: (process.status()["NoNewPrivs"], process.status()["Seccomp"]) == ("1", "2"))
        core = [line for line in open(f"/proc/{process.pid}/limits") if line.startswith("Max core file size")]
        assert core[0].split()[4:6] == ["0", "0"], process.role


def test_the_supervisor_gains_no_privileges_and_leaves_no_core(server):
    """It has no filter, since its children would inherit it, the vendor's library among them."""
    supervisor = Process(server.pid, 0, "keywardd", [])
    assert supervisor.status()["NoNewPrivs"] == "1"
    core = [line for line in open(f"/proc/{server.pid}/limits") if line.startswith("Max core file size")]
    assert core[0].split()[4:6] == ["0", "0"]


def test_the_prover_is_confined(kept, tmp_path):
    """It lives while staged files are opened, which the HSM can draw out."""
    server = kept("plain")
    shim = Shim(server.token, tmp_path / "shim")
    server.use_token(shim)
    server.start()
    shim.set("slow=C_Decrypt:2000")
    seen = []

    def look():
        for process in processes_below(server.pid):
            if "--prove" in process.arguments:
                try:
                    seen.append(process.status())
                except OSError:  # it has ended meanwhile
                    continue
        return any((status["NoNewPrivs"], status["Seccomp"]) == ("1", "2") for status in seen)
    with ThreadPoolExecutor(1) as pool:
        for _ in range(5):  # while the machine stands still one may live unseen
            initialized = pool.submit(server.initialize, shim)
            wait_for("a confined prover", lambda: look() or initialized.done())
            initialized.result()
            if look():
                break
            server.reverse_migrate(shim)
    assert look()


def test_keys_lie_in_locked_memory(server):
    uid, _ = server.create_key()
    server.fetch(uid)
    for role in ("keeper", "reader", "writer"):
        locked = [int(process.status()["VmLck"].split()[0]) for process in server.processes(role)]
        assert any(locked), f"{role} holds keys"
    assert "keys_not_locked" not in server.log()


# What the vendor's library finds when it opens it, as root or not: EACCES, or 0 for what it may.
SHUT = [prepared.TDE, prepared.CREDENTIAL, prepared.PASSWORD, prepared.RESTORE, prepared.RECORD, prepared.STORE,
        "usr/local/okv/tde", "usr/local/okv/hsm/wallet", "usr/local/okv/hsm/restore", "mnt/okvram", "mnt/okvram/cwallet.sso",
        "mnt/okvram/ewallet.p12", "var/lib/keyward", "var/lib/keyward/tls/server.key", "var/lib/keyward/audit", "run/keyward",
        "run/keyward/api.header", "run/keyward/keywardd.pid", "var/okv/log/keywardd.log", prepared.CONF, prepared.HSM_CONF, prepared.HSM_ENV,
        "etc/keyward/keywardd.conf"]


def test_a_library_reaches_no_wallet_no_store_and_no_key(kept, tmp_path):
    server = kept("hsm")
    shim = Shim(server.token, tmp_path / "shim")
    beside = server.root / "opt"
    beside.mkdir()
    (beside / "vendor.conf").write_text("x")
    readable = ["etc/keyward/vendor.conf", "usr/local/okv/hsm/generic/vendor.conf"]
    for path in readable:
        (server.root / path).write_text("x")
    paths = [*SHUT, *readable, "opt/vendor.conf", "var/okv/log/hsm"]
    shim.env["KWSHIM_FILES"] = ":".join(str(server.root / path) for path in paths) + ":/etc/passwd:/dev/null"
    server.use_token(shim)
    server.start()
    ram = server.root / "mnt/okvram"
    wait_for("the wallet in RAM", lambda: (ram / "cwallet.sso").exists())
    assert ram.is_symlink(), "the test wants the place in RAM to be elsewhere"
    for act in (lambda: server.keyward("verify", program="hsmclient"), lambda: server.json("hsm", "status"),
                lambda: server.keyward("hsm", "set-credential", "--credential-file", server.secret_file("pin", shim.pin))):
        shim.set("probe=C_Initialize:1-")
        act()
        found = shim.probes()
        there = {path: (found[f"read:{server.root / path}"], found[f"write:{server.root / path}"]) for path in paths}
        missing = [path for path in SHUT if not (server.root / path).exists()]
        assert missing == [], "a path that is not there shows nothing"
        assert {path: there[path] for path in SHUT} == {path: (errno.EACCES, errno.EACCES) if not (server.root / path).is_dir()
                                                        else (errno.EACCES, errno.EISDIR) for path in SHUT}
        assert {path: there[path] for path in readable} == dict.fromkeys(readable, (0, errno.EACCES))
        assert there["opt/vendor.conf"] == (0, 0) and there["var/okv/log/hsm"] == (0, errno.EISDIR)
        assert (found["read:/etc/passwd"], found["write:/dev/null"]) == (0, 0)
        # Nor does it see into the processes that hold keys, signal them or slow them down.
        assert found["read-parent"] == errno.EACCES
        assert {found[what] for what in ("trace-parent", "signal-parent", "own-parent", "slow-parent", "run")} == {errno.EPERM}
        assert (found["no-new-privs"], found["seccomp"], found["dumpable"]) == (1, 2, 0)
    assert "no_landlock" not in server.log()


def test_a_library_changes_no_mode_no_owner_and_no_time_of_the_servers_files(kept, tmp_path):
    """By no path, and by no descriptor either, since it opens none of them; of its own files it may (openCryptoki does)."""
    server = kept("hsm")
    shim = Shim(server.token, tmp_path / "shim")
    own = server.root / "opt"
    own.mkdir()
    (own / "token.db").write_text("x")
    paths = [server.root, *(server.root / path for path in SHUT)]
    shim.env["KWSHIM_CHANGE"] = ":".join(map(str, [*paths, own / "token.db"]))
    server.use_token(shim)
    server.start()
    wait_for("the wallet in RAM", lambda: (server.root / "mnt/okvram/cwallet.sso").exists())

    def looks():
        return {path: (found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns > 0, os.listxattr(path))
                for path in paths for found in [os.stat(path)]}
    before = looks()
    shim.set("probe=C_Initialize:1-")
    server.keyward("verify", program="hsmclient")
    found = shim.probes()
    assert looks() == before
    assert {path: found[f"path:{path}"] for path in paths} == dict.fromkeys(paths, errno.EPERM)
    assert {path: found[f"descriptor:{path}"] for path in paths} == dict.fromkeys(paths, errno.EACCES)
    assert found["inherited"] == errno.EBADF
    assert (found[f"path:{own / 'token.db'}"], found[f"descriptor:{own / 'token.db'}"]) == (errno.EPERM, 0)
    assert stat.S_IMODE((own / "token.db").stat().st_mode) == 0o777
    server.restart()  # a wallet of another mode would have kept it locked
    wait_for("the wallet to open", lambda: server.json("hsm", "status")["status"] == "up")


def test_the_local_socket_wants_what_a_library_cannot_read(server):
    """The library runs as the same user, so that the kernel's word on who connects is not enough."""
    header = server.root / "run/keyward/api.header"
    assert stat.S_IMODE(header.stat().st_mode) == 0o600
    with Local(server) as local:
        assert local.ask("GET", "/api/v1/endpoints").status == 200
        local.shown = b""
        refused = local.ask("GET", "/api/v1/endpoints")
        assert refused.status == 401 and "run/keyward/api.header" in refused.json()["detail"]
        assert local.ask("POST", "/api/v1/sessions", {"name": "x", "password": "y"}).status == 401, "not even to sign in"
    old = header.read_text()
    server.kill("web")  # the next one asks for the same
    wait_for("the server", lambda: server.keyward("status", check=False).returncode == 0)
    assert header.read_text() == old
    server.restart()
    assert header.read_text() != old and server.keyward("endpoint", "list").returncode == 0
    with Local(server) as local:
        local.shown = old.replace("\n", "\r\n").encode()
        assert "read" in local.ask("GET", "/api/v1/endpoints").json()["detail"]
    server.stop()
    assert not header.exists()


def test_a_library_that_is_loaded_first_finds_no_place_in_ram(kept, tmp_path):
    """A child of the library may outlive its operation: what Initialize writes to RAM is out of its reach, too."""
    server = kept("plain")
    shim = Shim(server.token, tmp_path / "shim")
    server.use_token(shim)
    server.start()
    assert not (server.root / "mnt/okvram").exists()
    shim.env["KWSHIM_FILES"] = str(server.root / "mnt/okvram")
    server.use_token(shim)
    shim.set("probe=C_Initialize:1-")
    server.initialize(shim)
    assert shim.probes()[f"read:{server.root / 'mnt/okvram'}"] == errno.EACCES


def test_no_secret_stands_in_arguments_or_environment(hsm_server):
    needs_root("the environment of a process that shows it to root alone")
    secrets = [hsm_server.token.pin.encode(), hsm_server.passphrase_file.read_bytes()]
    for process in hsm_server.processes():
        for name in ("cmdline", "environ"):
            bytes_there = open(f"/proc/{process.pid}/{name}", "rb").read()
            assert not [s for s in secrets if s in bytes_there], (process.role, name)


@pytest.mark.parametrize("role", ROLES)
def test_a_killed_process_comes_back_and_the_others_serve(server, role):
    uid, key = server.create_key()
    before = {p.pid: p.role for p in server.processes()}
    victims = {p.pid for p in server.kill(role)}
    back = wait_for(f"a new {role}", lambda: [p for p in server.processes(role) if p.pid not in victims])
    assert len(back) == 1 or role in ("front", "courier")

    def fetched():
        try:
            return server.fetch(uid) == key
        except Exception:  # the connection may have been cut by the death of a front
            return False
    wait_for("the key to be served again", fetched)
    alive = {p.pid for p in server.processes()}
    assert {pid for pid, r in before.items() if r != role} <= alive, "another process died as well"


def test_reads_go_on_while_the_writer_is_dead(server):
    uid, key = server.create_key()
    with server.client() as client:
        server.kill("writer")
        assert client.get(uid).value == key


def fresh(server, uid):
    """KMIP's Fresh, and nothing else of the object."""
    with server.client() as client:
        _, (attribute,) = client.get_attributes(uid, ["Fresh"])
        return attribute.attribute_value.value


def make_key(server):
    with server.client() as client:
        return client.create(enums.CryptographicAlgorithm.AES, 256)


def test_the_first_get_ends_freshness_for_good_and_later_ones_write_nothing(server):
    uid = make_key(server)
    assert fresh(server, uid) is True
    key = server.fetch(uid)
    assert fresh(server, uid) is False
    server.restart()
    assert fresh(server, uid) is False and server.fetch(uid) == key
    # Stopped, the writer cannot have been asked.
    (writer,) = server.kill("writer", signal.SIGSTOP)
    try:
        assert server.fetch(uid) == key
    finally:
        os.kill(writer.pid, signal.SIGCONT)


def test_a_key_that_was_never_served_is_served_while_the_writer_is_dead(server):
    server.enroll()
    for _ in range(3):
        uid = make_key(server)
        with server.client() as client:
            server.kill("writer")
            assert len(client.get(uid).value) == 32
        wait_for("a new writer", lambda: server.processes("writer"))
        wait_for("it to write", lambda: make_key(server))


def test_children_die_with_the_supervisor(server):
    children = [p.pid for p in server.processes()]
    os.kill(server.pid, signal.SIGKILL)
    wait_for("all children to be gone", lambda: not [p for p in children if os.path.exists(f"/proc/{p}")])
    server.start()
    assert server.create_key()


def test_no_process_can_be_read_or_changed_by_its_own_user():
    """The kernel gives the files below /proc of an undumpable process to root, whoever it runs as."""
    user = {} if os.getuid() != 0 else {"user": 65534, "group": 65534, "extra_groups": []}
    top = tempfile.mkdtemp(prefix="keyward-", dir="/tmp")
    root = f"{top}/root"
    os.mkdir(root, 0o700)
    # The build may lie where another user does not get to.
    os.mkdir(f"{top}/programs")
    for program in PROGRAMS.glob("keyward*"):
        if program.is_file():
            shutil.copy(program, f"{top}/programs")
    if user:
        os.chmod(top, 0o755)
        os.chmod(f"{top}/programs", 0o755)
        os.chown(root, 65534, 65534)

    def keyward(*words):
        return subprocess.run([f"{top}/programs/keyward", *words, "--root", root], capture_output=True, text=True, timeout=60, **user)
    try:
        started = keyward("start")
        assert started.returncode == 0, started.stderr
        pid = int(open(f"{root}/run/keyward/keywardd.pid").read())
        family = [pid, *(p.pid for p in processes_below(pid))]
        assert len(family) > 5
        assert {p: os.stat(f"/proc/{p}/mem").st_uid for p in family} == {p: 0 for p in family}
    finally:
        keyward("stop")
        shutil.rmtree(top)
