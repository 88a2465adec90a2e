# SPDX-License-Identifier: Apache-2.0
"""Kills a server, fails its system calls, or cuts its power, at any point of an operation, and checks what is left.

The server runs under `crashpoint`, disarmed; the operation's span is armed. A power cut needs no run of its own: one run is
recorded (record.h), the disks that a cut could have left are made of the record (replay.py), and a server starts on each.

    with Bench("softhsm") as bench:                    # or "opencryptoki", or "none": no HSM
        operation = bench.operations["initialize"]
        problem = bench.attempt(operation, "kill", 17)
        record = bench.record(operation)
        for cut in record.cuts(): problem = bench.cut(record, cut)

The operations are those of operations.py, and so are the checks. All lies on a RAM file system: what must be durable is decided
by the order of the calls that are let go, not by a disk.
"""
import collections
import copy
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import operations
from operations import DONE, UNKNOWN, await_keys, check, need  # puts tests/lib and tests/system on the path

import crashpoint
import prepared
import replay
import tokens
from root import mount_ram, needs_root
from server import PROGRAMS, Server, free_port, processes_below, wait_for

MODES = {"kill": ("--kill", "{n}"), "EIO": ("--fail", "{n}:EIO"), "ENOSPC": ("--fail", "{n}:ENOSPC"),
         "from EIO": ("--fail-from", "{n}:EIO"), "from ENOSPC": ("--fail-from", "{n}:ENOSPC")}
# Names that differ from run to run: operation ids, times, the token's own file names.
VARYING = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27,}|\d{4}-\d\d-\d\dT\S*?\.log|\bOB[A-Za-z0-9]{6}\b|keyward-crash-\w+")


class SoftHsmSite:
    """Where servers with a SoftHSM token, or none, are made and copied."""

    def __init__(self, place):
        self.place, self.kept = place, {}

    def fresh(self, kind):
        if kind not in self.kept:
            self.kept[kind] = prepared.keep(self.place / f"kept-{kind}", hsm=kind == "hsm")
        shutil.rmtree(self.place / "run", ignore_errors=True)
        return prepared.copy(self.kept[kind], self.place / "run")

    def store(self, server):
        """(the token's files as the library names them, where they are)."""
        return str(server.token.tokens), server.token.tokens

    def put_store(self, server, write):
        write(server.token.tokens)

    def close(self):
        pass


class OpenCryptokiSite:
    """The same with one openCryptoki token, whose host reboots whenever its files are put back."""

    def __init__(self, place):
        self.place, self.kept = place, {}
        self.token = tokens.OpenCryptoki(place / "token")
        self.pin, self.files = self.token.pin, self.token.directory / "lib"
        shutil.copytree(self.files, place / "store-new")

    def _put(self, write):
        self.token.stop(signal.SIGKILL)
        write(self.files)
        self.token.reboot()

    def _copied(self, store):
        def write(files):
            shutil.rmtree(files)
            shutil.copytree(self.place / store, files)
        return write

    def _server(self, root):
        return Server(root, prefix=self.token.enter([]))

    def _keep(self, kind):
        self._put(self._copied("store-new"))
        self.token.pin = self.pin
        server = self._server(self.place / f"kept-{kind}")
        empty_ram(server)
        self.kept[kind] = prepared.fill(server, self.token, hsm=kind == "hsm")
        shutil.copytree(self.files, self.place / f"store-{kind}")

    def fresh(self, kind):
        if kind not in self.kept:
            self._keep(kind)
        self._put(self._copied(f"store-{kind}"))
        self.token.pin = self.pin
        root = self.place / "run"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(self.place / f"kept-{kind}", root, symlinks=True)
        server = prepared.own_port(self._server(root))
        server.token, server.keys = self.token, dict(self.kept[kind])
        return server

    def store(self, server):
        return "/var/lib/opencryptoki", self.files

    def put_store(self, server, write):
        self._put(write)
        server.prefix = self.token.enter([])

    def close(self):
        self.token.stop(signal.SIGKILL)


SITES = {"softhsm": SoftHsmSite, "opencryptoki": OpenCryptokiSite, "none": SoftHsmSite}


def is_ram(path):
    return "/mnt/okvram" in path


def is_ours(path):
    """What the test itself puts below the root."""
    return "/secret-" in path


def is_unread(path):
    """What no start reads: logs, the runtime directory, the shared index that SQLite makes anew. Their last state stands in
    every image, and two states that differ in them alone are one."""
    return "/var/okv/log" in path or "/run/keyward" in path or path.endswith("-shm")


def lives(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] not in "ZX"
    except OSError:
        return False


def empty_ram(server):
    prepared.drop_ram(server)
    (server.root / "mnt/okvram").mkdir(mode=0o700, parents=True)


def is_store(path):
    return any(f"/var/lib/keyward/{name}" in path for name in ("store.db", "audit/", "seen/"))


class NotBegun(Exception):
    """The server did not come up before anything was disturbed, or the operation's preparation failed: nothing was tried."""


# After call n the power goes; acknowledged: the client had its answer by then; again: the operation is then done once more.
Cut = collections.namedtuple("Cut", "n image acknowledged again")


class Record:
    """One recorded run of an operation: its calls, the server as it was, and what the disk may hold at any instant."""

    def __init__(self, operation, server, disk, calls, store):
        self.operation, self.server, self.disk, self.calls, self.store = operation, server, disk, calls, store
        self.begin = self.end = self.answered = 0  # numbers of calls
        self._effects = None

    def span(self):
        """The calls on files of the span, as a counted run numbers them from 1."""
        return [c for c in self.calls if self.begin < c.n <= self.end and not c.place.startswith("socket:")]

    def effects_of(self, call):
        if self._effects is None:
            self._effects = collections.defaultdict(list)
            for effect in self.disk.effects:
                self._effects[effect.n].append(effect)
        return self._effects[call.n]

    def state(self, n):
        """What a kill after call n leaves to be read, as one word."""
        return self.disk.visible(n).digest(is_unread)

    def cuts(self):
        """Every cut that leaves something of its own: an image that is possible before and after the answer counts as after,
        where more is asked of it. `again` falls on the first image of each state of the files that are not the store's: whether
        the operation can be carried out once more depends on them."""
        found, top = collections.OrderedDict(), str(self.server.root)
        points = {e.n for e in self.disk.effects if e.path.startswith(top) and not self.disk.quiet(e.path)}
        points = sorted({n for n in points if self.begin < n <= self.end} | {self.begin, self.answered, self.end})
        self.image_count, roots = 0, set()
        for n in points:
            for image in self.disk.images(n):
                self.image_count += 1
                word, acknowledged = image.digest(lambda path: is_unread(path) or is_ram(path)), n >= self.answered
                if word in found and (found[word].acknowledged or not acknowledged):
                    continue
                root = image.digest(lambda path: is_unread(path) or is_ram(path) or is_store(path))
                again = root not in roots or word in found and found[word].again
                roots.add(root)
                found[word] = Cut(n, image, acknowledged, again)
        self.cut_count = len(points)
        return list(found.values())


class Bench:
    """A place for servers, those set up once and the copy that runs. library: the PKCS#11 library's own writes to its token are
    points, too."""

    def __init__(self, token="softhsm", library=False):
        if token == "opencryptoki":
            needs_root("openCryptoki's namespaces")
        self.token, self.library = token, library
        self.operations = operations.WITHOUT_HSM if token == "none" else operations.WITH_HSM
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="keyward-crash-", dir="/dev/shm" if token != "opencryptoki" else None))
        if token == "opencryptoki":
            mount_ram(self.place)  # openCryptoki's namespace has another /dev/shm
        self.site = SITES[token](self.place)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.site.close()
        if self.token == "opencryptoki":
            subprocess.run(["umount", "--lazy", self.place], check=True)
        shutil.rmtree(self.place, ignore_errors=True)

    def _traced(self, server, log, *options, library, **more):
        roots = [server.root] + ([self.site.store(server)[0]] if library else [])
        command = [PROGRAMS / "keywardd", "--foreground", "--root", server.root]
        return crashpoint.Server(command, *options, roots=roots, enter=server.prefix, stdout=log, stderr=log, **more)

    def _span(self, operation, server, *options):
        """Runs the operation under the counter. Returns (points, what act() told)."""
        with open(self.place / "server.log", "wb") as log, self._traced(server, log, *options, library=self.library) as traced:
            try:
                await_keys(server, server.keys)
                operation.before(server)
                traced.arm()
            except Exception as failure:
                raise NotBegun(f"{failure}; {(self.place / 'server.log').read_text()[-2000:]}") from failure
            outcome = operation.act(server)
            try:
                traced.disarm()
            except RuntimeError:  # all were killed
                traced.wait()
            return traced.points(), outcome

    def count(self, operation):
        """The points of an undisturbed run, which must succeed."""
        server = self._fresh(operation)
        points, outcome = self._span(operation, server)
        need(outcome == DONE, f"{operation.name} fails undisturbed: {(self.place / 'server.log').read_text()[-2000:]}")
        return points

    def attempt(self, operation, mode, n, power_cut=None):
        """One run, disturbed at point n. Returns what is broken, "" when nothing is. A power cut empties the RAM files too.
        self.points are those that the run came to, self.token_lost tells that its library damaged the token for good."""
        self.points, self.token_lost = [], False
        server = self._fresh(operation)
        power_cut = n % 2 == 0 if power_cut is None else power_cut
        try:
            self.points, outcome = self._span(operation, server, *[word.format(n=n) for word in MODES[mode]])
            if power_cut:
                empty_ram(server)
            self.token_lost = self._in_library(server, n) and not operations.token_lives(server)
            if self.token_lost:
                operations.check_without_token(server)
            else:
                check(operation, server, outcome)
            return ""
        except NotBegun:
            raise
        except Exception as broken:
            return f"{operation.name} {mode} {n}{' without RAM' if power_cut else ''}: {broken}"
        finally:
            self._put_away(server)

    def _in_library(self, server, n):
        """Whether point n was a write of the PKCS#11 library to its token."""
        return self.library and any(p.place.startswith(self.site.store(server)[0]) for p in self.points[n - 1:n])

    def _fresh(self, operation):
        """The RAM directory is as if a RAM file system were mounted there, so that writes to it are points below the root."""
        server = self.site.fresh(operation.kind)
        empty_ram(server)
        return server

    def _put_away(self, server):
        """Ends the server; how does not matter any more."""
        try:
            pid = server.pid
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return
        if str(server.root).encode() not in words:
            return
        family = [pid, *(process.pid for process in processes_below(pid))]
        for one in family:
            try:
                os.kill(one, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_for("the end of the server", lambda: not any(lives(one) for one in family))

    # -- power cuts --
    def record(self, operation):
        """Runs the operation once, undisturbed, and records it from the server's start on."""
        server = self._fresh(operation)
        seen, files = self.site.store(server)
        where = self.place / "record"
        shutil.rmtree(where, ignore_errors=True)
        where.mkdir()
        root = replay.tree_of(server.root)

        def calls_so_far():
            return (where / "calls").read_bytes().count(b"\n")

        with open(self.place / "server.log", "wb") as log, self._traced(
                server, log, "--record", where, library=True, sockets=True, disarmed=False) as traced:
            await_keys(server, server.keys)
            operation.before(server)
            begin, store = calls_so_far(), replay.tree_of(files)
            server.note_answer = lambda: setattr(server, "answered_at", calls_so_far())
            outcome = operation.act(server)
            end = calls_so_far()
            traced.stop()
        need(outcome == DONE, f"{operation.name} fails undisturbed: {(self.place / 'server.log').read_text()[-2000:]}")
        calls = replay.read_record(where)
        disk = replay.Disk({str(server.root): root, seen: store}, ignored=is_ours,
                           quiet=lambda path: is_unread(path) or is_ram(path) or path.startswith(seen))
        disk.play(c for c in calls if c.n > begin or not c.place.startswith(seen))
        made = Record(operation, server, disk, calls, seen)
        made.begin, made.end = begin, end
        made.answered = answer(calls, getattr(server, "answered_at", end))
        self._compare(made)
        return made

    def _compare(self, record):
        """The replay of everything is the tree that is there: else it proves nothing."""
        now, root = replay.tree_of(record.server.root), str(record.server.root)
        played = record.disk.visible(record.calls[-1].n).tree[root]

        def content(tree):
            return {path: (node.kind, bytes(node.content) if node.kind == "file" else None) for path, node in tree.items()
                    if not is_ours(f"{root}/{path}") and not is_unread(f"{root}/{path}")}
        now, played = content(now), content(played)
        wrong = sorted(path for path in {*now, *played} if now.get(path) != played.get(path))
        need(not wrong, f"the replay of {record.operation.name} differs from the run in {wrong[:8]}")

    def cut(self, record, cut):
        """Starts a server on one image. Returns what is broken, "" when nothing is. self.token_lost tells that the library was about
        to write its token, and that what stood there is none."""
        image, acknowledged, self.token_lost = cut.image, cut.acknowledged, False
        server = copy.copy(record.server)
        server.keys, server.prefix = dict(server.keys), server.token.enter([])
        if not acknowledged and hasattr(server, "made"):
            server.made = None
        try:
            image.write(str(server.root))
            server.port = free_port()  # that of the recorded run may be somebody else's by now
            prepared.own_port(server)
            empty_ram(server)
            self._put_store(record, server, image)
            self.token_lost = self.token != "none" and not operations.token_lives(server)
            if self.token_lost:
                operations.check_without_token(server)
            else:
                check(record.operation, server, DONE if acknowledged else UNKNOWN, cut.again)
            return ""
        except Exception as broken:
            return f"{record.operation.name} power cut after call {cut.n}, {image.name}{', acknowledged' if acknowledged else ''}: {broken}"
        finally:
            self._put_away(server)

    def _put_store(self, record, server, image):
        _, files = self.site.store(server)
        now = {path: node.content for path, node in replay.tree_of(files).items() if node.kind == "file"}
        then = {path: node.content for path, node in image.tree[record.store].items() if node.kind == "file"}
        if now != then:
            self.site.put_store(server, lambda to: image.write(record.store, to))


def answer(calls, until):
    """The number of the call by which the answer left: the last send to a client before it was heard. A cut before it may owe
    nothing to anybody."""
    sends = [c.n for c in calls if c.n <= until and c.place.startswith("socket:") and
             c.comm in ("keyward-front", "keyward-web")]
    return sends[-1] if sends else until


def likeness(call):
    """What a call has in common with the same call of another run."""
    return call.call, VARYING.sub("*", call.place)


def fingerprint():
    """The programs under test, as one word."""
    total = hashlib.sha256()
    for path in sorted(p for p in pathlib.Path(PROGRAMS).iterdir() if p.is_file()):
        total.update(path.read_bytes())
    return total.hexdigest()[:12]
