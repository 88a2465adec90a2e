# SPDX-License-Identifier: Apache-2.0
"""The command line at the hands of servers that lie, of files that are in the way, and of terminals and descriptors that are
not what a program expects: it ends, says why, leaves no half file, and sends nothing to a terminal that the terminal obeys."""
import concurrent.futures
import contextlib
import datetime
import fcntl
import json
import os
import pty
import resource
import select
import signal
import socket
import ssl
import struct
import subprocess
import termios
import threading

import prepared
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from root import mount_ram
from server import PROGRAMS, write_private
from test_https import make_cert

EVIL = "a\x1b]0;owned\x07b\x9b31mc\x7fd\u202ee\u2066f\r\ng"
OBEYED = [chr(code) for code in (*range(0x20), *range(0x7f, 0xa0), 0x61c, 0x200e, 0x200f, *range(0x2028, 0x202f), *range(0x2066, 0x206a))
          if chr(code) != "\n"]


def command(*words):
    return [str(PROGRAMS / "keyward"), *map(str, words)]


def clean(**more):
    return {**{k: v for k, v in os.environ.items() if not k.startswith(("KEYWARD_", "XDG_"))}, **more}


def run(*words, **more):
    more = {"stdin": subprocess.DEVNULL, "env": clean(), **more}
    return subprocess.run(command(*words), capture_output=True, timeout=60, start_new_session=True, **more)


# ---- a server that lies (B-43) ----

class Hostile:
    """An HTTPS server that answers each request with `answer(connection)`."""

    def __init__(self, folder, made=None):
        self.cert, key = made or make_cert(folder, "hostile")
        self.seen, self.answer = [], None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.cert, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.token = write_private(folder / "token", "kwt_" + "0" * 64)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), raw:
                raw.settimeout(90)
                with self.context.wrap_socket(raw, server_side=True) as connection:
                    data = b""
                    while b"\r\n\r\n" not in data:
                        data += (more := connection.recv(65536))
                        if not more:
                            break
                    else:
                        self.seen.append(data)
                        self.answer(connection)

    def words(self, *words, host="localhost"):
        return [*words, "--address", f"https://{host}:{self.port}", "--ca-file", self.cert, "--api-token-file", self.token]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    made = Hostile(tmp_path_factory.mktemp("hostile"))
    yield made
    made.listener.close()


def http(body, status="200 OK", kind="application/json", length=None, more=""):
    data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(data) if length is None else length}\r\n{more}"
    return head.encode() + b"Connection: close\r\n\r\n" + data


def endless(head, piece):
    """As much as is taken; a client that takes a gigabyte has failed the test by its time."""
    def answer(connection):
        connection.sendall(head)
        for _ in range((1 << 30) // len(piece)):
            connection.sendall(piece)
    return answer


PROBLEM = {"type": "/problems/conflict", "title": "x", "status": 409, "detail": EVIL, "changed": False}
LIES = {
    "a body without end": (endless(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b"[" * 65536), 1, "longer than"),
    "headers without end": (endless(b"HTTP/1.1 200 OK\r\n", b"A: " + b"b" * 1000 + b"\r\n"), 1, "headers"),
    "answers without end that are none yet": (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), 1, "headers"),
    "a length that is more than comes": (http({"wallets": []}, length=1 << 40), 7, "broke"),
    "nothing": (b"", 7, "broke"),
    "no HTTP": (b"SSH-2.0-x\r\n\r\n", 7, "broke"),
    "HTTP/0.9": (b'{"wallets":[]}', 7, "broke"),
    "no JSON": (http(b"<html>\x1b[31m"), 1, "no JSON"),
    "a member twice": (http(b'{"wallets":[],"wallets":[]}'), 1, "no JSON"),
    "brackets without end": (http(b"[" * 1_000_000), 1, "no JSON"),
    "a redirection to another host": (http({"wallets": []}, "302 Found", more="Location: https://127.0.0.1:1/\r\n"), 1, "status 302"),
    "a redirection to a file": (http(b"", "301 Moved", more="Location: file:///etc/passwd\r\n"), 1, "status 301"),
    "a status of no meaning": (http({"wallets": []}, "999 x"), 1, "status 999"),
    "a problem that would rule the terminal": (http(PROBLEM, "409 x", "application/problem+json"), 6, "a?]0;owned"),
    "a problem that is none": (http(b'{"type":7,"detail":[],"changed":"x"}', "500 x", "application/problem+json"), 1, "status 500"),
}


def say(data):
    return lambda connection: connection.sendall(data)


def spoken(text):
    """Which characters of a text a terminal would obey."""
    return sorted({c for c in text if c in OBEYED})


@pytest.mark.parametrize("name", LIES)
def test_a_server_that_lies_is_told_by_name(hostile, name):
    lie, status, says = LIES[name]
    hostile.answer = lie if callable(lie) else say(lie)
    for words in (["wallet", "list", "-o", "table"], ["api", "GET", "/wallets"]):
        before = len(hostile.seen)
        done = run(*hostile.words(*words))
        text = done.stderr.decode()
        if words[0] == "wallet" or "JSON" not in says:  # "api" shows whatever it gets
            assert done.returncode == status and says in text, done.stderr
        assert len(hostile.seen) == before + 1, "no other request was made"
        assert spoken(text) == [] and b"kwt_" not in done.stdout + done.stderr
        assert words[0] == "api" or done.stdout == b""


def test_a_server_of_another_name_gets_no_request(hostile):
    before = len(hostile.seen)
    done = run(*hostile.words("wallet", "list", host="127.0.0.1"))
    assert done.returncode == 7 and b"not trusted" in done.stderr
    stranger = run("wallet", "list", "--address", f"https://localhost:{hostile.port}", "--api-token-file", hostile.token)
    assert stranger.returncode == 7 and b"not trusted" in stranger.stderr
    assert len(hostile.seen) == before


ROWS = {EVIL: EVIL, "wallets": [{"name": EVIL, "description": EVIL, EVIL: EVIL, "objects": [EVIL], "owner": {"name": EVIL, EVIL: True}}],
        "checks": [{"name": EVIL, "ok": False, "detail": EVIL, "fix": EVIL}], "nested": {EVIL: {EVIL: EVIL}}, "next_cursor": EVIL}


@pytest.mark.parametrize("words", [["wallet", "list"], ["wallet", "show", "x"], ["hsm", "status"], ["status"]], ids=" ".join)
@pytest.mark.parametrize("form", ["table", "json", "csv", "name"])
def test_what_a_server_names_things_does_nothing_to_the_terminal(hostile, words, form):
    hostile.answer = say(http(ROWS))
    done = run(*hostile.words(*words, "-o", form))
    assert spoken((done.stdout.replace(b"\r\n", b"\n") if form == "csv" else done.stdout).decode() + done.stderr.decode()) == []
    if form == "json":
        assert json.loads(done.stdout) == ROWS, "escaped, and the same"


def on_terminal(words, columns=80, env=None):
    """(status, what came) of a command whose standard output and error are a terminal."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(PROGRAMS / "keyward", command(*words), env or clean())
    text = b""
    os.set_blocking(fd, True)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with contextlib.suppress(OSError):
        while select.select([fd], [], [], 30)[0] and (more := os.read(fd, 65536)):
            text += more
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("words", [["wallet", "list"], ["api", "GET", "/wallets"]], ids=" ".join)
def test_a_terminal_gets_nothing_that_it_obeys(hostile, words):
    for body in (http(ROWS), http(EVIL.encode(), kind="text/plain")):
        hostile.answer = say(body)
        _, text = on_terminal(hostile.words(*words))
        assert text and spoken(text) == []


def test_a_certificate_that_is_not_valid_yet_is_named(tmp_path):
    """As any is on a machine whose clock stands at 1970."""
    key, name, now = ec.generate_private_key(ec.SECP256R1()), x509.Name([]), datetime.datetime.utcnow()
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
            .not_valid_before(now + datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False).sign(key, hashes.SHA256()))
    (tmp_path / "crt").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    early = Hostile(tmp_path, (tmp_path / "crt", tmp_path / "key"))
    done = run(*early.words("wallet", "list"))
    early.listener.close()
    assert done.returncode == 7 and b"not yet valid" in done.stderr and early.seen == []


# ---- files that are written (B-44) ----

@pytest.fixture(scope="module")
def server(kept_servers, tmp_path_factory):
    """A server with one more key, `.key`, of which `.value` is the value."""
    made = prepared.copy(kept_servers("plain"), tmp_path_factory.mktemp("cli") / "root")
    made.start()
    made.key, made.value = next(iter(made.keys.items()))
    yield made
    made.remove()


def writers(server):
    """Each command that writes a file, but for the file."""
    where = ["--root", server.root]
    export = ["key", "export", server.key, "--reason", "a test", *where, "--out"]
    return {"key export": export, "audit export": ["audit", "export", *where, "--file"],
            "endpoint package": ["endpoint", "package", "boxed", "--token-file", token_of(server), *where, "--out"]}


def token_of(server):
    path = server.root / "secret-boxed"
    if not path.exists():
        server.secret_file("boxed", server.json("endpoint", "add", "boxed")["token"])
    return path


@pytest.mark.parametrize("name", ["key export", "audit export", "endpoint package"])
def test_a_file_that_is_written_is_new_private_and_whole_or_not_there(server, tmp_path, name):
    words = writers(server)[name]
    (tmp_path / "there").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "to-one").symlink_to(tmp_path / "there")
    for file in ("there", "link", "to-one", "."):
        done = run(*words, tmp_path / file)
        assert done.returncode == 6 and b"not overwritten" in done.stderr, file
    for path in (tmp_path / "absent/x", "/sys/x", "/proc/x", tmp_path / ("x" * 300), tmp_path / "there/x", "x" * 5000):
        done = run(*words, path)
        assert done.returncode in (1, 2, 4, 5) and str(path)[:40].encode() in done.stderr or b"is longer than" in done.stderr, (path, done.stderr)
    for limit in (0, 10):
        done = run(*words, tmp_path / "cut", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        assert done.returncode == 1 and b"the file may not grow" in done.stderr, done.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"there", "link", "to-one"}
    assert (tmp_path / "there").read_text() == "mine" and server.value not in done.stdout + done.stderr
    done = run(*words, tmp_path / "new", umask=0)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600 and (tmp_path / "new").stat().st_size > 0


@pytest.fixture
def full_disk(tmp_path):
    """A directory on a disk that has room for names alone."""
    place = tmp_path / "full"
    place.mkdir()
    mount_ram(place, "4k")
    (place / "filler").write_bytes(b"x" * 4096)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_on_a_full_disk_no_half_file_stays(server, full_disk):
    for words in writers(server).values():
        done = run(*words, full_disk / "new")
        assert done.returncode == 1 and b"no space left" in done.stderr, done.stderr
        assert server.value not in done.stdout + done.stderr
    out = run("endpoint", "enroll", "boxed", "--root", server.root, "--token-file", token_of(server), "--out", full_disk)
    assert out.returncode == 1 and b"no space left" in out.stderr, out.stderr
    assert [p.name for p in full_disk.iterdir()] == ["filler"]


def test_of_many_that_write_one_file_at_once_one_does(server, tmp_path):
    words = [*writers(server)["key export"], tmp_path / "one"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: run(*words), range(8)))
    assert sorted(d.returncode for d in done) == [0] + [6] * 7
    assert (tmp_path / "one").read_bytes() == server.value


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_leaves_no_half_file(hostile, tmp_path, number):
    asked = threading.Event()

    def stall(connection):
        asked.set()
        connection.recv(1)
    for words in (["key", "export", "x", "--reason", "r", "--out"], ["audit", "export", "--file"],
                  ["endpoint", "package", "x", "--token-file", hostile.token, "--out"]):
        asked.clear()
        hostile.answer = stall
        process = subprocess.Popen(command(*hostile.words(*words, tmp_path / "new")), env=clean(), stderr=subprocess.PIPE,
                                   preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))  # shells ignore it for what runs behind
        try:
            assert asked.wait(90)
            assert words[0] == "key" or (tmp_path / "new").exists()
            process.send_signal(number)
            assert process.wait(90) == -number
        finally:
            process.kill()
            process.communicate()
        assert list(tmp_path.iterdir()) == []


def test_an_interrupt_at_a_prompt_leaves_no_file(tmp_path):
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(PROGRAMS / "keyward", command("endpoint", "package", "x", "--root", tmp_path, "--out", tmp_path / "new"), clean())
    text = b""
    while b"One-time token: " not in text:
        text += os.read(fd, 4096)
    assert (tmp_path / "new").exists()
    os.write(fd, b"\x03")
    with contextlib.suppress(OSError):
        while os.read(fd, 4096):
            pass
    os.close(fd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    assert list(tmp_path.iterdir()) == []


# ---- descriptors, terminals, words (B-45) ----

@pytest.mark.parametrize("words", [["version"], ["help"], ["help", "all"], ["wallet", "list"], ["api", "GET", "/wallets"], ["status"],
                                   ["key", "list", "-o", "csv"], ["completion", "bash"], ["wallet", "create", "--generate-json-input"]],
                         ids=" ".join)
def test_output_that_nobody_takes_is_an_error_and_no_signal(server, words):
    if words[0] in ("wallet", "key", "api", "status"):
        words = [*words, "--root", server.root]
    read, write = os.pipe()
    os.close(read)
    with open("/dev/full", "wb") as full, open(write, "wb") as broken:
        for more in ({"stdout": full}, {"stdout": broken}, {"preexec_fn": lambda: os.close(1)}):
            done = subprocess.run(command(*words), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=clean(), timeout=60, **more)
            assert done.returncode == 1 and b"standard output" in done.stderr, (more, done)


def test_without_standard_descriptors_no_file_is_taken_for_one(server, tmp_path):
    """A file that is opened must not become the standard output or error of a program that was started without."""
    words = writers(server)["key export"]
    for closed in ((0,), (1,), (2,), (0, 1, 2)):
        done = subprocess.run(command(*words, tmp_path / "key"), env=clean(), timeout=60, preexec_fn=lambda: [os.close(fd) for fd in closed])
        assert done.returncode == (1 if 1 in closed else 0), closed
        assert (tmp_path / "key").read_bytes() == server.value
        again = subprocess.run(command(*words, tmp_path / "key"), env=clean(), timeout=60, preexec_fn=lambda: [os.close(fd) for fd in closed])
        assert again.returncode == 6 and (tmp_path / "key").read_bytes() == server.value
        (tmp_path / "key").unlink()
    done = run("hsm", "set-credential", "--root", server.root, "--credential-file", "-", stdin=None, preexec_fn=lambda: os.close(0))
    assert done.returncode == 2 and b'could not read "standard input"' in done.stderr


def test_neither_width_nor_language_changes_what_is_said(server):
    shown = [on_terminal(["wallet", "list", "--root", server.root], columns=columns, env=clean(LANG=language, LC_ALL=language, TERM=term))
             for columns, language, term in ((80, "C", "xterm"), (1, "C", "dumb"), (0, "xx", ""), (80, "tr_TR.UTF-8", "../../x"))]
    assert shown[0][0] == 0 and all(one == shown[0] for one in shown)


def test_words_of_any_length_and_form_are_words(server):
    where = ["--root", server.root]
    for word in ("x" * 131_000, "x" * 3000, "\u202ex", "a\nb", "\x1b[31m", "..", "%00", "a/b", "-", "$(reboot)"):
        done = run("wallet", "show", word, *where)
        assert done.returncode in (2, 5) and done.stdout in (b"",) or b"/problems/" in done.stdout, word
        assert len(done.stderr) < 1500 and spoken(done.stderr.decode()) == [], word
    assert run("wallet", "create", "w", "--description", "x" * 131_000, *where).returncode == 2
    assert run("wallet", "show", *where, "--", "--description").returncode == 5, "a word behind -- is no option"
    assert run("wallet", "list", *where, "-o", "json", "-o", "json").returncode == 2
