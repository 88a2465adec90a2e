# SPDX-License-Identifier: Apache-2.0
"""Fixtures: servers and tokens, each in a directory of its own, removed whatever happens."""
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]

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
    token = tokens.SoftHsm(tmp_path / "softhsm")
    yield token
    token.stop()


@pytest.fixture
def server(make_server):
    """A server without an HSM, set up and running."""
    made = make_server()
    made.setup()
    return made


@pytest.fixture
def hsm_server(make_server, softhsm):
    """A server whose root of trust is a SoftHSM token; `.token` is the token."""
    made = make_server()
    made.setup()
    made.use_token(softhsm)
    made.initialize(softhsm)
    made.token = softhsm
    return made
