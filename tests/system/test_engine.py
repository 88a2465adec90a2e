# SPDX-License-Identifier: Apache-2.0
"""keyward-engine, mostly alone on the control channel that the supervisor would give it: what its peers send it and are told,
and when it stops."""
import array
import os
import socket
import sqlite3
import struct
import subprocess
import threading

import pytest

import roles
from people import local
from server import PROGRAMS

MESSAGE = "=IIII400s"  # struct proc_message
ATTACH, STOP, READY = 1, 2, 3
HEADER = struct.Struct(">IHHQ")  # length of the body, kind, status, id: ipc/ipc.c
UNKNOWN = 999


class Engine:
    def __init__(self, root, role):
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(60)
        self.process = subprocess.Popen([PROGRAMS / "keyward-engine", "--role", role, "--root", root, "--index", "0"],
                                        pass_fds=[3], preexec_fn=lambda: os.dup2(theirs.fileno(), 3, inheritable=True))
        theirs.close()

    def wait_ready(self):
        assert struct.unpack(MESSAGE, self.control.recv(1024))[0] == READY

    def attach(self, role):
        """The other end of a channel to a process of this role."""
        ours, theirs = socket.socketpair()
        with theirs:
            self.control.sendmsg([struct.pack(MESSAGE, ATTACH, roles.number(role), 0, 0, b"")],
                                 [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))])
        ours.settimeout(60)
        return ours

    def stop(self):
        self.control.send(struct.pack(MESSAGE, STOP, 0, 0, 0, b""))
        return self.process.wait(30)


@pytest.fixture
def start(tmp_path):
    """start(role): an engine on a root of its own."""
    made = []

    def start_one(role):
        made.append(Engine(tmp_path, role))
        return made[-1]
    yield start_one
    for engine in made:
        engine.process.kill()
        engine.process.wait()
        engine.control.close()


def take(stream, length):
    data = stream.read(length)
    assert len(data) == length, "the channel was closed"
    return data


def test_who_is_told_to_stop_while_there_is_no_store_has_not_failed(start):
    assert start("reader").stop() == 0


def test_a_peer_may_send_faster_than_an_engine_works(start):
    """Megabytes of frames wait in the engine and in the socket: each is answered, and the channel stands."""
    count, body = 8000, bytes(1000)
    start("writer").wait_ready()
    engine = start("people")
    engine.wait_ready()
    frames = b"".join(HEADER.pack(len(body), UNKNOWN, 0, number) + body for number in range(count))
    with engine.attach("WEB") as web, web.makefile("rb") as answers:
        sender = threading.Thread(target=web.sendall, args=(frames,))
        sender.start()
        for number in range(count):
            length, kind, _, answered = HEADER.unpack(take(answers, HEADER.size))
            assert (kind, answered) == (1, number)
            assert take(answers, length) == b"an engine takes no message of kind 999"
        sender.join()
        assert engine.stop() == 0


def test_what_was_taken_back_for_certain_is_told_though_the_engine_ends(kept):
    server = kept("plain")
    server.start()
    assert local(server, "POST", "/wallets", name="first")[0] == 201
    with sqlite3.connect(server.root / "var/lib/keyward/store.db") as db:
        db.execute("ALTER TABLE node_audit RENAME TO elsewhere")
    db.close()
    status, problem = local(server, "POST", "/wallets", name="second")
    assert status == 500 and "could not read or write its files" in problem["detail"]
    assert server.log().count("event=turn_failed") >= 1
