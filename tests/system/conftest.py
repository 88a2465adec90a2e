# SPDX-License-Identifier: Apache-2.0
"""Fixtures: servers and tokens, each in a directory of its own, removed whatever happens."""
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]

import people  # noqa: E402
import prepared  # noqa: E402
import tokens  # noqa: E402
from server import Server  # noqa: E402


@pytest.fixture
def make_server(tmp_path):
    """make_server(name, prefix=…) gives a server that is not set up yet; it is stopped and removed at the end."""
    made = []

    def make(name="server", prefix=()):
        server = Server(tmp_path / name, prefix)
        made.append(server)
        return server
    yield make
    for server in made:
        server.remove()


@pytest.fixture
def softhsm(tmp_path):
    # Too long to be found in a file by chance.
    token = tokens.SoftHsm(tmp_path / "softhsm", pin="zq7-pin-of-the-token")
    yield token
    token.stop()


@pytest.fixture
def server(make_server):
    """A server without an HSM, set up and running."""
    made = make_server()
    made.setup()
    return made


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    """A server without an HSM whose HTTPS port is open, for all tests of a file."""
    made = Server(tmp_path_factory.mktemp("web") / "server")
    try:
        made.setup(https=True)
        people.wait_for_port(made)
        yield made
    finally:
        made.remove()


@pytest.fixture
def hsm_server(make_server, softhsm):
    """A server whose root of trust is a SoftHSM token; `.token` is the token."""
    made = make_server()
    made.setup()
    made.use_token(softhsm)
    made.initialize(softhsm)
    made.token = softhsm
    return made


@pytest.fixture(scope="session")
def kept_servers(tmp_path_factory):
    """The servers that copies are made of, each made when it is first asked for."""
    where, made = tmp_path_factory.mktemp("kept"), {}

    def get(kind):
        if kind not in made:
            made[kind] = prepared.keep(where / kind, hsm=kind == "hsm")
        return made[kind]
    return get


@pytest.fixture
def kept(kept_servers, tmp_path):
    """kept("plain") or kept("hsm") gives a server with .token and .keys, in a root of its own. "plain" has a SoftHSM token in
    reach, "hsm" is rooted in it. It does not run yet, and is removed at the end."""
    made = []

    def make(kind):
        server = prepared.copy(kept_servers(kind), tmp_path / f"{kind}-{len(made)}")
        made.append(server)
        return server
    yield make
    for server in made:
        server.remove()
