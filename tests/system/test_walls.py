# SPDX-License-Identifier: Apache-2.0
"""The walls between the processes: what each binary links, how each process is confined, and that a killed one comes back
while the others go on serving (contract B13, ARCHITECTURE.md)."""
import os
import shutil
import signal
import subprocess
import tempfile

import pytest

from server import PROGRAMS, processes_below, wait_for

ROLES = ["front", "web", "reader", "writer", "admin", "keeper"]


def needed(program):
    """The shared libraries that a binary asks for itself."""
    out = subprocess.run(["objdump", "-p", PROGRAMS / program], capture_output=True, text=True, check=True).stdout
    return {line.split()[1].split(".so")[0] for line in out.splitlines() if "NEEDED" in line}


def imports(program):
    out = subprocess.run(["nm", "-D", "--undefined-only", PROGRAMS / program], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1].split("@")[0] for line in out.splitlines()}


@pytest.mark.parametrize("program", ["keywardd", "keyward-front", "keyward-web", "keyward-engine", "keyward-keeper"])
def test_only_hsmd_can_load_a_library(program):
    assert not {"dlopen", "dlsym", "dlmopen"} & imports(program)


def test_hsmd_links_no_tls_and_no_sql():
    assert "dlopen" in imports("keyward-hsmd")
    assert not {"libssl", "libsqlite3"} & needed("keyward-hsmd")


@pytest.mark.parametrize("program", ["keyward-front", "keyward-web", "keyward-keeper", "keyward-hsmd", "keywardd"])
def test_only_engines_link_sql(program):
    assert "libsqlite3" not in needed(program)
    assert "libsqlite3" in needed("keyward-engine")


@pytest.mark.parametrize("program", ["keyward-engine", "keyward-keeper", "keyward-web", "keyward-hsmd", "keywardd"])
def test_only_fronts_link_tls(program):
    assert "libssl" not in needed(program)
    assert "libssl" in needed("keyward-front")


@pytest.mark.parametrize("program", ["keyward-front", "keyward-web", "keyward-engine", "keyward-keeper", "keyward-hsmd", "keywardd"])
def test_binaries_are_hardened(program):
    text = subprocess.run(["readelf", "-hldW", PROGRAMS / program], capture_output=True, text=True, check=True).stdout
    assert "DYN (Position-Independent Executable file)" in text
    assert "BIND_NOW" in text or "Flags: NOW" in text
    assert "GNU_RELRO" in text
    stack = [line for line in text.splitlines() if "GNU_STACK" in line]
    assert stack and "RWE" not in stack[0]


def test_every_process_is_confined(server):
    roles = {p.role for p in server.processes()}
    assert set(ROLES) <= roles
    for process in server.processes():
        status = process.status()
        assert status["NoNewPrivs"] == "1", process.role
        assert status["Seccomp"] == "2", process.role
        core = [line for line in open(f"/proc/{process.pid}/limits") if line.startswith("Max core file size")]
        assert core[0].split()[4:6] == ["0", "0"], process.role


def test_no_secret_stands_in_arguments_or_environment(hsm_server):
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
    assert len(back) == 1 or role == "front"

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
