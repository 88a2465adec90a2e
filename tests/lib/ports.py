# SPDX-License-Identifier: Apache-2.0
"""Ports for servers that are started later: nobody else's then, either."""
import os
import pathlib
import random
import re
import socket

GIVEN = set()


def free_port():
    """A port that nobody has, that this process has given to nobody before, and that a test worker beside does not give. Nor is it
    one of those that the kernel gives to the clients' ends of connections: one of them may be taken before the server takes it,
    for as long as somebody's connection lasts."""
    first = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    workers = max(1, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    own = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0)
    while True:
        port = random.SystemRandom().randrange(first // 2 // workers, first // workers) * workers + own
        if port in GIVEN:
            continue
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        GIVEN.add(port)
        return port
