# SPDX-License-Identifier: Apache-2.0
"""Fixtures: one server for the whole run, endpoints on it, connections of them.

The server is the one that KMIP_HOST and its siblings name (as below scripts/with-server), else one is set up without an HSM.
"""
import os
import pathlib
import subprocess
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system"), str(HERE.parent / "lib")]

import client as kmip  # noqa: E402
import watch  # noqa: E402
from server import Server  # noqa: E402


# Cases live outside this repository; without them the rest still runs.
collect_ignore = [] if "KEYWARD_KMIP_VECTORS" in os.environ else ["test_vectors.py"]
SUMMARY = []


def pytest_configure(config):
    # PyKMIP warns of its own age, cryptography of the weak signatures that tests make.
    for kind in ("DeprecationWarning", "cryptography.utils.CryptographyDeprecationWarning"):
        config.addinivalue_line("filterwarnings", f"ignore::{kind}")


def pytest_terminal_summary(terminalreporter):
    if collect_ignore:
        SUMMARY.append("OASIS cases: not played, since KEYWARD_KMIP_VECTORS does not name their directory")
    for line in SUMMARY:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def summary():
    """Lines to show at the end of the run."""
    return SUMMARY


class Given:
    """A server that runs already; needs `keyward` in PATH and KEYWARD_ROOT to enroll further endpoints."""

    def __init__(self):
        self.first = kmip.Endpoint.from_environment()

    def endpoint(self, name, directory):
        if name == "client":
            return self.first
        out = directory / name
        subprocess.run(["keyward", "endpoint", "add", name, "--enroll", "--out", str(out), "--root",
                        os.environ["KEYWARD_ROOT"]], check=True, capture_output=True, timeout=150)
        return self.first.beside(out)

    @property
    def pid(self):
        return int(os.environ["KEYWARD_PID"])

    def log(self):
        path = pathlib.Path(os.environ["KEYWARD_ROOT"], "var/okv/log/keywardd.log")
        return path.read_text(errors="replace")

    def remove(self):
        """It is not ours to stop."""


class Own:
    """A server that was set up for this run."""

    def __init__(self, directory):
        self.server = Server(directory)
        self.server.setup()

    def endpoint(self, name, _directory):
        out = self.server.enroll(name)
        return kmip.Endpoint("127.0.0.1", self.server.port, out / "ca.pem", out / "cert.pem", out / "key.pem")

    @property
    def pid(self):
        return self.server.pid

    def log(self):
        return self.server.log()

    def remove(self):
        self.server.remove()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The server; `.endpoint(name, directory)` enrolls an endpoint on it."""
    if "KMIP_HOST" in os.environ:
        yield Given()
        return
    made = Own(tmp_path_factory.mktemp("keyward"))
    yield made
    made.remove()


@pytest.fixture(scope="session")
def enroll(server, tmp_path_factory):
    """enroll(name) gives the endpoint of that name, the same one each time."""
    directory, known = tmp_path_factory.mktemp("endpoints"), {}

    def give(name):
        if name not in known:
            known[name] = server.endpoint(name, directory)
        return known[name]
    return give


@pytest.fixture(scope="session")
def endpoint(enroll):
    return enroll("client")


@pytest.fixture(scope="session")
def other_endpoint(enroll):
    """A second endpoint, which owns nothing of the first."""
    return enroll("other")


@pytest.fixture
def connect(endpoint):
    """connect(version) opens a connection that is closed at the end of the test."""
    opened = []

    def make(version=(1, 4), where=None, **more):
        opened.append((where or endpoint).connect(version, **more))
        return opened[-1]
    yield make
    for one in opened:
        one.close()


@pytest.fixture(params=kmip.VERSIONS, ids=lambda version: f"{version[0]}.{version[1]}")
def version(request):
    """Every version that is served."""
    return request.param


@pytest.fixture(params=[(1, 0), (1, 4), (2, 0), (2, 1)], ids=lambda version: f"{version[0]}.{version[1]}")
def some_version(request):
    """The oldest and newest of each form."""
    return request.param


@pytest.fixture
def unharmed(server, endpoint):
    """After the test the same processes run, no front has grown by more than it may, and others are served."""
    with endpoint.connect() as client:
        client.operations()
    before, memory = watch.processes(server.pid), watch.memory_of_fronts(server.pid)
    yield
    watch.is_served(endpoint)
    after = watch.processes(server.pid)
    lost = [name for number, name in before.items() if number not in after and "--prove" not in name and "hsmd" not in name]
    assert not lost, f"these processes ended: {lost}"
    grown = watch.memory_of_fronts(server.pid) - memory
    assert grown < 4 * watch.MESSAGE_LIMIT, f"the fronts have grown by {grown} bytes"


@pytest.fixture
def key(connect, some_version):
    """(client, identifier) of a key that is gone after the test."""
    client = connect(some_version)
    uid = client.create(f"key-{some_version[0]}.{some_version[1]}-{time.monotonic_ns()}")
    yield client, uid
    if client.batch(kmip.get_attributes(some_version, uid, "State")).items[0].ok and "Destroyed" not in client.state(uid):
        client.destroy(uid)
