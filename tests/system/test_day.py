# SPDX-License-Identifier: Apache-2.0
"""A day of administration, as docs/ADMINISTRATION.md tells it: every command of the page runs here, section by section, on one
server, typed at a terminal, each person in a home of their own with nothing of the server but its CA's certificate.

What stands below a command must be shown, line after line, `…` for anything. A command fails if and only if a line of what is to be
shown begins with `keyward: `, or is the last line of a Python error."""
import base64
import hashlib
import hmac
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import time

import pytest
import tokens
from log_server import Authority, LogServer, MailServer
from server import PASSPHRASE, PROGRAMS, TOP, Server, free_port, wait_for, write_private

PAGE = TOP / "docs" / "ADMINISTRATION.md"
FAILS = re.compile(r"keyward: |[\w.]*(?:Error|Failure)\b")
ROLES = {"ana": "system", "ken": "key", "aud": "audit"}
SECONDS = 120


# -- the page --

class Step:
    def __init__(self, who, command, line):
        self.who, self.command, self.line, self.shows = who, command, line, []


def sections():
    """title → steps; a block that names a file is a step that writes it."""
    found, title, block = {}, None, None
    for number, line in enumerate(PAGE.read_text().splitlines(), 1):
        typed = re.match(r"(\w+)[$#] (.*)$", line)
        if line.startswith("```"):
            info = line[3:].split()
            block = None if block else info or ["text"]
            if block and len(info) == 2:
                found[title].append(Step("dee", None, info[1]))
        elif block is None and line.startswith("## "):
            title = line[3:]
            found[title] = []
        elif block == ["console"] and typed:
            found[title].append(Step(typed[1], typed[2], number))
        elif block == ["console"]:
            found[title][-1].shows.append(line)
        elif block and len(block) == 2:
            found[title][-1].shows.append(line)
    return found


SECTIONS = sections()


def words(text):
    return " ".join(text.split())


def pattern(line):
    """Blanks do not count; `…` is anything."""
    return re.compile(".*".join(re.escape(words(part)) for part in line.split("…")).replace(r"\ ", " "))


def missing(shows, output):
    """The first line that is not shown in its turn, or None."""
    lines = iter([words(line) for line in output.splitlines()])
    for line in shows:
        if words(line) == "…":
            continue
        wanted = pattern(line)
        if not any(wanted.fullmatch(shown) or wanted.match(shown) for shown in lines):
            return line
    return None


def mails_about(day, text):
    return [mail for mail in day.mail.mails() if text in mail.get_content()]


# -- people --

class Person:
    def __init__(self, name, home):
        self.name, self.home, self.changes = name, home, 0
        self.password = f"{name} walks over hills and hills"
        self.next_password = None
        self.factor, self.factor_step = None, 0
        home.mkdir(mode=0o700)

    def new_password(self):
        if self.next_password is None:
            self.changes += 1
            self.next_password = f"{self.name} walks over {self.changes + 2} green hills"
        return self.next_password

    def code(self):
        """Of the second factor; each counts once, so one of the next step is taken each time. The first is of now, so that it is
        good for half a minute at least."""
        if self.factor is None:
            return ""
        self.factor_step = max(self.factor_step + 1, int(time.time()) // 30)
        mac = hmac.new(base64.b32decode(self.factor), struct.pack(">Q", self.factor_step), hashlib.sha1).digest()
        at = mac[-1] & 15
        return f"{(struct.unpack('>I', mac[at:at + 4])[0] & 0x7fffffff) % 1000000:06}"


class Day:
    def __init__(self, where):
        self.where, self.people, self.links, self.tokens = where, {}, {}, {}
        self.server = Server(where / "server")
        self.server.web_port = free_port()
        self.passphrase, self.new_passphrase = None, PASSPHRASE
        self.hsm = tokens.SoftHsm(where / "softhsm")
        self.hsm_pin = self.hsm.pin
        self.authority = Authority(where / "authority")
        self.log_server, self.mail = LogServer(where / "log", self.authority), MailServer(where / "mail", self.authority)
        self.stand_ins = [
            ("--web-listen '[::]:443'", f"--web-listen 127.0.0.1:{self.server.web_port} --kmip-listen 127.0.0.1:{self.server.port} "
                                        "--server-name localhost"),
            ("https://kv1.example.org", f"https://localhost:{self.server.web_port}"),
            ("--server kv1.example.org", f"--server localhost:{self.server.port}"),
            ("--names kv1.example.org", "--names kv1.example.org,localhost"),
            ("python3 ", "/usr/bin/python3 "),
            ("--vendor Acme --token-label TPA01", f"--vendor Acme --token-label {self.hsm.label}"),
            ("log.example.org", f"localhost --port {self.log_server.port} --server-ca-file authority.pem"),
            ("mail.example.org", f"localhost --port {self.mail.port} --server-ca-file authority.pem"),
        ]

    def person(self, name):
        if name not in self.people:
            person = Person(name, self.where / name)
            self.people[name] = person
            if name != "root":
                self.prepare(person)
        return self.people[name]

    def prepare(self, person):
        shutil.copy(self.server.root / "var/lib/keyward/tls/ca.crt", person.home / "ca.pem")
        shutil.copy(self.authority.where / "ca.pem", person.home / "authority.pem")
        write_private(person.home / "wrong", "this is not the password")
        write_private(person.home / "passphrase", "of a file")
        if person.name == "ken":
            write_private(person.home / "new-key.json", '{"name": "archive", "length": 256, "wallet": "payroll"}')
            subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                            person.home / "web.pem"], check=True, capture_output=True)
            (person.home / "web.pem").chmod(0o600)

    # -- a command at a terminal --
    def answer(self, person, prompt, command):
        """What a person types at a prompt."""
        renews = "passphrase change" in command
        answers = {
            "Secret of the set-up link: ": lambda: self.links[ROLES.get(person.name, "system")],
            "Password: ": lambda: person.password,
            "Re-enter Password: ": lambda: person.password,
            "New password: ": person.new_password,
            "Re-enter New password: ": person.new_password,
            "Code of the second factor (Enter where there is none): ": person.code,
            "Code: ": person.code,
            "One-time token: ": lambda: self.tokens[re.search(r"endpoint \w+ (\S+)", command)[1]],
            "HSM Credential: ": lambda: self.hsm_pin,
            "Re-enter HSM Credential: ": lambda: self.hsm_pin,
            "Recovery Passphrase: ": lambda: self.passphrase,
            "Old Recovery Passphrase: ": lambda: self.passphrase,
            "New Recovery Passphrase: ": lambda: self.new_passphrase if renews else self.passphrase,
            "Re-enter New Recovery Passphrase: ": lambda: self.new_passphrase if renews else self.passphrase,
        }
        return answers[prompt]() if prompt in answers else None

    def type(self, person, command):
        """(exit status, what was shown)"""
        for said, here in self.stand_ins:
            command = command.replace(said, here)
        environment = {"HOME": str(person.home), "PATH": f"{PROGRAMS}:/usr/bin:/bin:/usr/sbin", "TERM": "dumb", "LANG": "C.UTF-8"}
        if person.name == "root":
            environment["KEYWARD_ROOT"] = str(self.server.root)
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(person.home)
            os.umask(0o077)
            os.execve("/bin/bash", ["bash", "-o", "pipefail", "-c", command], environment)
        shown, answered, deadline = "", 0, time.monotonic() + SECONDS
        try:
            while True:
                assert time.monotonic() < deadline, f"{command}: no end\n{shown}"
                if not select.select([terminal], [], [], 1)[0]:
                    continue
                try:
                    chunk = os.read(terminal, 65536)
                except OSError:
                    chunk = b""
                if not chunk:
                    break
                shown += chunk.decode(errors="replace").replace("\r\n", "\n")
                prompt = shown[answered:].rsplit("\n", 1)[-1]
                typed = self.answer(person, prompt, command)
                if typed is not None:
                    answered = len(shown)
                    os.write(terminal, typed.encode() + b"\n")
        except AssertionError:
            os.kill(pid, signal.SIGKILL)
            raise
        finally:
            os.close(terminal)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return status, shown.replace(f"https://localhost:{self.server.web_port}", "https://kv1.example.org")

    # -- what passes from hand to hand --
    def remember(self, person, command, shown):
        made = re.search(r"^password: +(\S+)", shown, re.M)
        about = re.match(r"keyward user (?:create|reset-password) (\S+)", command)
        if made and about:
            self.person(about[1]).password = made[1]
        link = re.search(r"kwl_[0-9a-f]+", shown)
        if "setup-link create" in command:
            self.links[command.split("--roles ")[1]] = link[0]
        if "me change-password" in command:
            person.password, person.next_password = person.next_password, None
        if "passphrase change" in command:
            self.passphrase = self.new_passphrase
        factor = re.search(r"^secret: +(\S+)", shown, re.M)
        if factor:
            person.factor, person.factor_step = factor[1], 0
        if "reset-second-factor" in command:
            self.person(command.split()[-1]).factor = None
        one_time = re.search(r"^token: +([0-9a-f]{64})", shown, re.M)
        if one_time:
            self.tokens[re.search(r"endpoint \S+ (\S+)", command)[1]] = one_time[1]
        bearer = re.search(r"kwt_[0-9a-f]+", shown)
        if bearer:
            write_private(person.home / "token.header", f"Authorization: Bearer {bearer[0]}\n")
            write_private(person.home / "token", bearer[0])
        if command.endswith("> both.pem"):  # Ana hands it round
            for other in self.people.values():
                shutil.copy(person.home / "both.pem", other.home / "both.pem") if other is not person else None
        if "endpoint enroll" in command:
            self.paste_lines(person, command.split("--out ")[1].split()[0])

    def paste_lines(self, person, directory):
        """What a person pastes from README.txt: the lines from [client] on."""
        text = (person.home / directory / "README.txt").read_text()
        (person.home / ".pykmip").mkdir(exist_ok=True)
        lines = re.search(r"^\[client\]\n(?:\S.*\n)+", text, re.M)[0]
        (person.home / ".pykmip/pykmip.conf").write_text(lines)

    def before(self, person, command):
        if command == "keyward alert list":
            wait_for("the alert", lambda: "server_certificate" in [one["type"] for one in self.server.json("alert", "list")["alerts"]])
        if command.startswith("keyward hsm initialize") and self.passphrase is not None:
            self.server.use_token(self.hsm, vendor="Acme")
        if command.startswith("keyward alert silence"):
            wait_for("the mail", lambda: mails_about(self, "the server's certificate"))  # none comes of what is silenced
        if "@login.json" in command:
            write_private(person.home / "login.json", '{"user": "%s", "password": "%s"}' % (person.name, person.password))

    def run(self, step):
        person = self.person(step.who)
        if step.command is None:
            (person.home / step.line).write_text("\n".join(step.shows) + "\n")
            return
        self.before(person, step.command)
        status, shown = self.type(person, step.command)
        said = f"{PAGE.name}:{step.line}: {step.who}$ {step.command}\n{shown}\nexit status {status}"
        fails = any(FAILS.match(line) for line in step.shows)
        assert (status != 0) == fails, said
        assert missing(step.shows, shown) is None, f"{said}\nnot shown: {missing(step.shows, shown)}"
        if status == 0:
            self.remember(person, step.command, shown)
        if step.command.startswith("keyward setup --"):
            self.passphrase = (person.home / "phrase").read_text().strip()

    def end(self):
        self.server.remove()
        self.log_server.stop()
        self.mail.stop()
        self.hsm.stop()


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    made = Day(tmp_path_factory.mktemp("day"))
    try:
        made.log_server.start()
        made.mail.start()
        yield made
    finally:
        made.end()


@pytest.mark.parametrize("title", [title for title, steps in SECTIONS.items() if steps])
def test_what_the_page_shows_is_what_is_seen(day, title):
    for step in SECTIONS[title]:
        day.run(step)


# -- what the page cannot show --

def fetched(day):
    status, shown = day.type(day.people["dee"], "python3 -W ignore fetch.py")
    return status == 0 and "32 bytes" in shown


@pytest.mark.parametrize("role", ["front", "reader", "writer", "keeper", "web", "people"])
def test_a_process_that_is_killed_is_there_again(day, role):
    killed = {victim.pid for victim in day.server.kill(role)}
    wait_for(f"another {role}", lambda: {p.pid for p in day.server.processes(role)} - killed)
    wait_for("the key", lambda: fetched(day))
    wait_for("the interface", lambda: day.type(day.people["ana"], "keyward me show")[0] == 0)


def test_the_records_of_the_day_reached_the_log_server(day):
    wait_for("an administrator's record", lambda: any(data.get("who") == "sam" for data, _ in day.log_server.messages()))


def test_the_mail_arrived(day):
    assert mails_about(day, "the server's certificate")[0].to == ["ops@example.org"]


def test_the_trail_of_the_day_is_whole(day):
    verdict = day.server.json("audit", "verify")
    assert verdict["sound"] and verdict["records"] > 100
