# SPDX-License-Identifier: Apache-2.0
"""Load on a server whose processes are killed at random, and a book of what was acknowledged.

Each worker keeps its own keys. A key's page holds its bytes and every state it may be in: an answer leaves one, an answer that
was lost leaves the state before and the one after, a refusal the one before. What the server says afterwards must stand in the book; a Destroy that was
acknowledged stays done, whatever is killed when.
"""
import os
import pathlib
import random
import signal
import ssl
import sys
import threading
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "kmip"))

import client as kmip  # noqa: E402
from server import processes_below, wait_for  # noqa: E402

VERSION = (1, 4)
ABSENT, NO_STATE = "absent", "Destroyed"
VICTIMS = ["front", "reader", "writer", "admin", "people", "keeper", "web", "courier", "hsmd"]
LOST = (kmip.Closed, OSError, ssl.SSLError, TimeoutError)
# {verb: (states it is allowed in, state after)}
CHANGES = {"activate": ({"Pre-Active"}, "Active"), "revoke": ({"Pre-Active", "Active"}, "Deactivated"),
           "destroy": ({"Pre-Active", "Deactivated"}, NO_STATE)}


class Page:
    """What is known of one key."""

    def __init__(self, name, material, states):
        self.name, self.material, self.states, self.uid = name, material, set(states), None


class Worker(threading.Thread):
    """A client that creates, registers, reads, activates, revokes and destroys, one connection at a time."""

    def __init__(self, endpoint, number, seed, until):
        super().__init__(name=f"worker-{number}", daemon=True)
        self.endpoint, self.number, self.until = endpoint, number, until
        self.random = random.Random(seed)
        self.pages, self.alive, self.wrong, self.count, self.lost = [], [], [], 0, 0
        self.longest, self.answered = 0.0, time.monotonic()
        self.connection = None

    def run(self):
        try:
            while time.monotonic() < self.until:
                self.step()
        except Exception as error:  # shown with the findings
            self.wrong.append(f"{self.name}: {type(error).__name__}: {error}")
        self.disconnect()

    def disconnect(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def call(self, operation):
        """The payload, or None when no answer came; a refusal is raised."""
        try:
            if self.connection is None:
                self.connection = self.endpoint.connect(VERSION, deadline=40)
            answer = self.connection.batch(operation).items[0]
        except LOST:
            self.disconnect()
            self.lost += 1
            time.sleep(0.01)
            return None
        now = time.monotonic()
        self.longest, self.answered = max(self.longest, now - self.answered), now
        self.count += 1
        if answer.ok:
            return answer.payload
        raise kmip.Refused(answer)

    def step(self):
        if len(self.alive) < 12 or self.random.random() < 0.2:
            return self.make()
        page = self.random.choice(self.pages if self.random.random() < 0.2 else self.alive)
        if page.states == {NO_STATE} and page in self.alive:
            self.alive.remove(page)
        if page.uid is None:
            return None
        if self.random.random() < 0.5:
            return self.read(page)
        return self.change(page, self.random.choice(sorted(CHANGES)))

    def make(self):
        name = f"chaos-{self.number}-{len(self.pages)}"
        material = self.random.randbytes(32) if self.random.random() < 0.5 else None
        if material is None:
            asked = kmip.create(VERSION, kmip.key_attributes(name))
        else:
            asked = kmip.register(VERSION, kmip.symmetric_key(material),
                                  [("Cryptographic Usage Mask", "Encrypt Decrypt"), ("Name", name)])
        page = Page(name, material, {ABSENT, "Pre-Active"})
        self.pages.append(page)
        try:
            payload = self.call(asked)
        except kmip.Refused as refused:
            if not unknown(refused):
                page.states = {ABSENT}
            if not transient(refused):
                self.wrong.append(f"make {name}: {refused}")
            return
        if payload is not None:
            page.uid, page.states = payload.get("Unique Identifier"), {"Pre-Active"}
            self.alive.append(page)

    def read(self, page):
        try:
            payload = self.call(kmip.get(page.uid))
        except kmip.Refused as refused:
            self.judge_refusal(page, refused)
            return
        if payload is None:
            return
        if page.states == {NO_STATE}:
            self.wrong.append(f"{page.name} was destroyed and is served")
        got = payload.get("Symmetric Key", "Key Block", "Key Value", "Key Material")
        if page.material is None:
            page.material = got
        elif got != page.material:
            self.wrong.append(f"{page.name} has other bytes than before")

    def judge_refusal(self, page, refused):
        if transient(refused) or NO_STATE in page.states:
            return
        self.wrong.append(f"{page.name} {sorted(page.states)}: {refused}")

    def change(self, page, verb):
        before, after = CHANGES[verb]
        asked = kmip.revoke(page.uid, "Cessation of Operation") if verb == "revoke" else getattr(kmip, verb)(page.uid)
        allowed = page.states & before
        try:
            payload = self.call(asked)
        except kmip.Refused as refused:
            if allowed == page.states and not transient(refused):
                self.wrong.append(f"{verb} {page.name} {sorted(page.states)}: {refused}")
            elif allowed and unknown(refused):
                page.states |= {after}
            return
        if payload is not None:
            if not allowed:
                self.wrong.append(f"{verb} of {page.name} {sorted(page.states)} was acknowledged")
            page.states = {after}
        elif allowed:
            page.states |= {after}


def unknown(refused):
    return "outcome is unknown" in (refused.message or "")


def transient(refused):
    """A refusal that a killed process explains."""
    text = refused.message or ""
    return unknown(refused) or any(word in text for word in (
        "locked", "unavailable", "not available", "try again", "is gone", "did not answer", "busy", "in time", "service"))


class Killer(threading.Thread):
    """kill -9 of a random process, now and then of the supervisor, which is then started again."""

    def __init__(self, server, seed, until, supervisor_every):
        super().__init__(name="killer", daemon=True)
        self.server, self.until, self.random = server, until, random.Random(seed)
        self.every, self.kills, self.wrong, self.starts = supervisor_every, {}, [], []

    def run(self):
        due = time.monotonic() + self.every
        while time.monotonic() < self.until:
            time.sleep(self.random.uniform(0.2, 2.0))
            try:
                if time.monotonic() > due:
                    self.kill_supervisor()
                    due = time.monotonic() + self.every
                else:
                    self.kill_child()
            except Exception as error:  # shown with the findings
                self.wrong.append(f"killer: {type(error).__name__}: {error}")

    def count(self, role):
        self.kills[role] = self.kills.get(role, 0) + 1

    def kill_child(self):
        role = self.random.choice(VICTIMS)
        victims = self.server.processes(role)
        # It lives for one operation: wait for the next.
        deadline = time.monotonic() + (1.0 if role == "hsmd" else 0.0)
        while not victims and time.monotonic() < deadline:
            victims = self.server.processes(role)
        if victims:
            victim = self.random.choice(victims)
            try:
                os.kill(victim.pid, signal.SIGKILL)
                self.count(role)
            except ProcessLookupError:
                pass

    def kill_supervisor(self):
        pid = self.server.pid
        children = [p.pid for p in processes_below(pid)]
        os.kill(pid, signal.SIGKILL)
        self.count("supervisor")
        wait_for("the children to end with the supervisor",
                 lambda: not [p for p in [pid, *children] if is_alive(p)])
        before = time.monotonic()
        done = self.server.start(check=False)
        self.starts.append(time.monotonic() - before)
        if done.returncode != 0:
            self.wrong.append(f"start after kill -9 of the supervisor: {done.returncode}\n{done.stdout}{done.stderr}")


class Asker(threading.Thread):
    """The command line and the HSM are used meanwhile: what is answered must be an answer."""

    def __init__(self, server, seed, until):
        super().__init__(name="asker", daemon=True)
        self.server, self.until, self.random, self.wrong = server, until, random.Random(seed), []
        self.codes = {}

    def run(self):
        while time.monotonic() < self.until:
            words = self.random.choice([("status",), ("key", "list"), ("hsm", "verify"), ("hsm", "status"), ("audit", "verify"),
                                        ("endpoint", "list")])
            done = self.server.keyward(*words, check=False)
            self.codes[(words, done.returncode)] = self.codes.get((words, done.returncode), 0) + 1
            if done.returncode < 0:
                self.wrong.append(f"keyward {' '.join(words)} ended by signal {-done.returncode}")
            if words == ("audit", "verify") and ("not sound" in done.stdout or '"sound": false' in done.stdout):
                self.wrong.append(f"audit verify: {done.stdout}{done.stderr}")
            time.sleep(0.2)


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False


def measure(server):
    """{role: [resident KiB, open descriptors]} of the supervisor and the biggest of each role."""
    found = {}
    rows = [("supervisor", server.pid)] + [(p.role, p.pid) for p in server.processes()]
    for role, pid in rows:
        try:
            lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
            kib = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
            fds = len(os.listdir(f"/proc/{pid}/fd"))
        except (OSError, StopIteration):
            continue
        found[role] = [max(a, b) for a, b in zip(found.get(role, [0, 0]), [kib, fds])]
    return found


def judge(endpoint, workers):
    """Compares every page with what the server says now; gives what is wrong."""
    wrong = []
    with endpoint.connect(VERSION) as client:
        for page in [page for worker in workers for page in worker.pages]:
            if page.uid is None:
                found = client.locate(("Name", page.name))
                if len(found) > 1:
                    wrong.append(f"{page.name} is there {len(found)} times")
                if not found:
                    continue
                page.uid, page.states = found[0], page.states - {ABSENT}
            wrong += judge_page(client, page)
    return wrong


def judge_page(client, page):
    try:
        state = client.state(page.uid)
    except kmip.Refused as refused:
        return [] if NO_STATE in page.states else [f"{page.name} {sorted(page.states)} is lost: {refused}"]
    if state not in page.states:
        return [f"{page.name} is {state}, not {sorted(page.states)}"]
    try:
        got = client.call(kmip.get(page.uid)).get("Symmetric Key", "Key Block", "Key Value", "Key Material")
    except kmip.Refused as refused:
        return [] if state == NO_STATE else [f"{page.name} ({state}) is not served: {refused}"]
    if state == NO_STATE:
        return [f"{page.name} is destroyed and served"]
    return [] if page.material in (None, got) else [f"{page.name} has other bytes"]


def run(server, endpoint, seconds, seed, workers=3, supervisor_every=30.0, say=lambda line: None):
    """Load and kills for so many seconds, then the reckoning. Gives (findings, figures)."""
    until = time.monotonic() + seconds
    crowd = [Worker(endpoint, n, f"{seed}-{n}", until) for n in range(workers)]
    killer, asker = Killer(server, f"{seed}-k", until, supervisor_every), Asker(server, f"{seed}-a", until)
    threads = [*crowd, killer, asker]
    for thread in threads:
        thread.start()
    while time.monotonic() < until:
        time.sleep(min(30.0, max(0.0, until - time.monotonic()) + 0.01))
        try:
            say(f"{int(until - time.monotonic())} s left; {sum(w.count for w in crowd)} answers, {measure(server)}")
        except (OSError, ValueError):
            pass
    for thread in threads:
        thread.join(120)
    wrong = [f for thread in threads for f in thread.wrong]
    wrong += [f"{thread.name} hangs" for thread in threads if thread.is_alive()]
    wait_for("the server to serve again", lambda: works(endpoint))
    wrong += judge(endpoint, crowd)
    figures = {"answers": sum(w.count for w in crowd), "lost": sum(w.lost for w in crowd),
               "keys": sum(len(w.pages) for w in crowd), "kills": killer.kills, "starts": [round(s, 2) for s in killer.starts],
               "longest gap": round(max(w.longest for w in crowd), 2), "asked": asker.codes}
    return wrong, figures


def works(endpoint):
    try:
        with endpoint.connect(VERSION) as client:
            client.create()
        return True
    except (kmip.Refused, *LOST):
        return False
