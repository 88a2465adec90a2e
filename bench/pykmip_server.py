#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs python3-pykmip's server as the yardstick: TLS 1.2, a free loopback port, a database of its own.

It prints "port PORT" once it can be connected to and ends on SIGTERM. Everything it writes (its
database, its log) stands in a temporary directory that is removed at the end. At its own log level,
which is the default here, it writes several lines for each request; --quiet has it log errors only.

The client's certificate needs clientAuth among its extended key usages; its common name is the
identity. Only that identity can use the objects it has made, so one client certificate must serve
a whole run.
"""

import argparse
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import types
import warnings


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ca", required=True, help="authority of the client certificates")
    parser.add_argument("--cert", required=True, help="server certificate")
    parser.add_argument("--key", required=True, help="server key")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--quiet", action="store_true", help="log errors only")
    return parser.parse_args()


def free_port():
    """A port nobody listens on now; PyKMIP cannot be told to choose one itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def build_server(arguments, port, state):
    # PyKMIP calls ssl.wrap_socket(), which Python 3.11 still has but warns about.
    warnings.simplefilter("ignore")
    from kmip.services.server import server as pykmip

    # Its handlers only raise a flag that is looked at after ten idle seconds; ours end it at once.
    pykmip.signal = types.SimpleNamespace(
        SIGINT=signal.SIGINT, SIGTERM=signal.SIGTERM, signal=lambda _number, _handler: None)
    policies = os.path.join(state, "policies")
    os.mkdir(policies)
    return pykmip.KmipServer(
        hostname="127.0.0.1", port=port, certificate_path=arguments.cert, key_path=arguments.key,
        ca_path=arguments.ca, auth_suite="TLS1.2", config_path=None,
        log_path=os.path.join(state, "server.log"), policy_path=policies,
        enable_tls_client_auth=True, logging_level="ERROR" if arguments.quiet else None,
        database_path=os.path.join(state, "pykmip.db"))


def serve(server, port):
    """Serves until SIGTERM. PyKMIP's own stop() waits ten seconds for each open connection."""
    server.start()
    # It queues only five waiting connections by itself, too few for a load of 64.
    server._socket.listen(128)
    server._socket.listen = lambda _backlog: None
    signal.signal(signal.SIGTERM, end)  # the policy monitor has put its own in place meanwhile
    print(f"port {port}", flush=True)
    server.serve()


def on_thread_error(error):
    """A client that closes first makes PyKMIP's session fail in shutdown(): not worth a trace."""
    if not issubclass(error.exc_type, OSError):
        threading.__excepthook__(error)


def end(_number, _frame):
    raise SystemExit(0)


def main():
    arguments = parse_arguments()
    state = tempfile.mkdtemp(prefix="bench-pykmip-")
    owner = os.getpid()
    port = arguments.port or free_port()
    server = None
    try:
        server = build_server(arguments, port, state)
        if arguments.quiet:
            logging.getLogger("kmip").setLevel(logging.ERROR)
        serve(server, port)
    finally:
        if os.getpid() == owner:
            shutil.rmtree(state, ignore_errors=True)
            if server is not None and hasattr(server, "policy_monitor"):
                server.policy_monitor.terminate()
                server.manager.shutdown()
            sys.stdout.flush()
            os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    threading.excepthook = on_thread_error
    main()
