# SPDX-License-Identifier: Apache-2.0
"""Runs a command under the crash-point counter (tests/crash) and reads its list.

    points = crashpoint.count(command, roots=[directory])
    for n in range(1, len(points) + 1):
        crashpoint.run(command, "--kill", n, roots=[directory])   # then check, restart, check again

For a server: `with crashpoint.Server(command, roots=[…]) as server`, drive it by a client, and call
server.arm() and server.disarm() around the operation under test.
"""
import collections
import os
import signal
import subprocess
import tempfile
import time

import built

Point = collections.namedtuple("Point", "n tid comm call place")
KILLED = 137


def read_list(path):
    """Returns (points, events); events are pairs such as ("count", 35)."""
    points, events = [], []
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            if line.startswith("# "):
                name, number = line[2:].split()
                events.append((name, int(number)))
            elif line.endswith("\n"):
                n, tid, comm, call, place = line.rstrip("\n").split("\t")
                points.append(Point(int(n), int(tid), comm, call, place))
    return points, events


def prefix(*options, roots=(), sockets=False, list_file=None):
    """The words to put before a command."""
    words = [built.find("crashpoint"), *map(str, options)]
    for root in roots:
        words += ["--root", str(root)]
    if sockets:
        words.append("--sockets")
    if list_file is not None:
        words += ["--list", str(list_file)]
    return [*words, "--"]


def environment(env):
    """LeakSanitizer cannot work in a traced process and would make it fail at its end."""
    env = dict(os.environ if env is None else env)
    env["ASAN_OPTIONS"] = ":".join(filter(None, [env.get("ASAN_OPTIONS"), "detect_leaks=0"]))
    return env


def run(command, *options, roots=(), sockets=False, timeout=60, env=None, **popen):
    """Runs to the end. Returns (status, points, CompletedProcess)."""
    with tempfile.TemporaryDirectory() as scratch:
        list_file = os.path.join(scratch, "list")
        words = prefix(*options, roots=roots, sockets=sockets, list_file=list_file)
        done = subprocess.run(
            [*words, *map(str, command)],
            timeout=timeout, capture_output=True, text=True, check=False,
            env=environment(env), **popen,
        )
        points = read_list(list_file)[0] if os.path.exists(list_file) else []
    return done.returncode, points, done


def count(command, **options):
    """The points of one undisturbed run, which must succeed."""
    status, points, done = run(command, **options)
    if status != 0:
        raise RuntimeError(f"{command} ended with {status}: {done.stdout}{done.stderr}")
    return points


class Server:
    """A long-lived command under the counter, disarmed at first unless told. enter: words to put before all, such as those that
    go to a token's namespace."""

    def __init__(self, command, *options, roots=(), sockets=False, env=None, enter=(), disarmed=True, **popen):
        self.scratch = tempfile.TemporaryDirectory()
        self.list_file = os.path.join(self.scratch.name, "list")
        options = (["--disarmed"] if disarmed else []) + list(options)
        words = [*enter, *prefix(*options, roots=roots, sockets=sockets, list_file=self.list_file)]
        self.process = subprocess.Popen([*map(str, words), *map(str, command)], env=environment(env), **popen)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def events(self):
        return read_list(self.list_file)[1] if os.path.exists(self.list_file) else []

    def points(self):
        """The points since the start, over all armed spans."""
        return read_list(self.list_file)[0]

    def _signal(self, number, event):
        seen = sum(1 for name, _ in self.events() if name == event)
        self.process.send_signal(number)
        deadline = time.monotonic() + 90
        while True:
            values = [value for name, value in self.events() if name == event]
            if len(values) > seen:
                return values[-1]
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f'crashpoint did not say "{event}"')
            time.sleep(0.002)

    def command_pid(self):
        """The id of the command itself, once it runs."""
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            for name, value in self.events():
                if name == "start":
                    return value
            time.sleep(0.002)
        raise RuntimeError("crashpoint did not start the command")

    def arm(self):
        """Counts from 0 from now on; returns when that is true."""
        self.command_pid()
        self._signal(signal.SIGUSR1, "armed")

    def disarm(self):
        """Stops counting; returns the number of points since arm()."""
        return self._signal(signal.SIGUSR2, "count")

    def wait(self, timeout=60):
        return self.process.wait(timeout)

    def stop(self, timeout=60):
        """Asks the command to end; kills the whole tree if it does not."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()  # the kernel then kills what was traced
                self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        self.scratch.cleanup()
        return self.process.returncode
