# SPDX-License-Identifier: Apache-2.0
"""The crash-point counter does what the kill tests believe it does (see sample.c for the counts)."""
import errno
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import built  # noqa: E402
import crashpoint  # noqa: E402
from root import needs_root, public_directory  # noqa: E402


@pytest.fixture
def place():
    with public_directory() as parent:  # one sample gives up root and must still get here
        yield fresh(parent / "place")


def fresh(directory):
    subprocess.run(["rm", "-rf", str(directory)], check=True)
    directory.mkdir()
    os.chmod(directory, 0o777)
    (directory / "key").write_text("old\n")
    return directory


def sample(mode, directory):
    return [built.find("crashpoint-sample"), mode, str(directory)]


def living(directory):
    """Processes of a sample on this directory, whoever their parent is."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except (NotADirectoryError, FileNotFoundError, ProcessLookupError):
            continue
        if os.fsencode(directory) in words:
            found.append(int(entry.name))
    return found


COUNTS = [
    ("rotate", ["openat", "write", "fsync", "rename", "fsync"]),
    ("nothing", []),
    ("mapped", ["openat", "write", "openat", "msync", "openat", "sendfile", "copy_file_range",
                "fallocate"]),
    ("names", ["mkdir", "mkdirat", "link", "symlink", "chmod", "chown", "unlink", "rmdir",
               "unlinkat"]),
    ("sealed", ["openat", "write", "fsync", "rename", "fsync"]),
    ("exec_thread", ["mkdir"]),
    ("sockets", []),
]


@pytest.mark.parametrize("mode,calls", COUNTS, ids=[c[0] for c in COUNTS])
def test_lists_exactly_the_state_changing_calls(place, mode, calls):
    points = crashpoint.count(sample(mode, place), roots=[place])
    assert [p.call for p in points] == calls
    assert [p.n for p in points] == list(range(1, len(calls) + 1))
    assert all(str(place) in p.place for p in points)


def test_counts_without_a_root_too(place):
    points = crashpoint.count(sample("rotate", place))
    assert [p.call for p in points] == COUNTS[0][1]


def test_a_root_elsewhere_counts_nothing(place):
    other = place.parent / "placebo"  # a name that "place" is a prefix of
    other.mkdir()
    assert crashpoint.count(sample("rotate", place), roots=[other]) == []


def test_places_are_seen_through_links(place, tmp_path):
    (tmp_path / "link").symlink_to(place)
    points = crashpoint.count(["touch", tmp_path / "link" / "f"], roots=[place])
    assert [(p.call, p.place) for p in points] == [("openat", str(place / "f"))]


def test_sockets_count_when_asked(place):
    points = crashpoint.count(sample("sockets", place), roots=[place], sockets=True)
    assert [p.call for p in points] == ["sendto", "sendmsg", "write"]


def test_one_counter_over_all_threads(place):
    points = crashpoint.count(sample("threads", place), roots=[place])
    assert [p.n for p in points] == list(range(1, 9))
    assert len({p.tid for p in points}) == 4


def test_one_counter_over_children_and_daemons(place):
    status, points, _ = crashpoint.run(sample("tree", place), roots=[place])
    assert status == 7, "the status is the command's"
    assert [os.path.basename(p.place) for p in points] == ["child", "parent", "daemon"]
    assert len({p.tid for p in points}) == 3


def test_follows_a_program_that_gives_up_root(place):
    needs_root("a program that gives up root")
    points = crashpoint.count(sample("dropped", place), roots=[place])
    assert [p.call for p in points] == COUNTS[0][1]


def test_works_for_a_tracer_without_privilege(place):
    needs_root("becoming another user")
    words = crashpoint.prefix(roots=[place], list_file=place / "list")
    done = subprocess.run(
        [*words, *sample("sealed", place)], user=65534, group=65534, extra_groups=[], timeout=60,
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    points, _ = crashpoint.read_list(place / "list")
    assert [p.call for p in points] == COUNTS[0][1]
    assert all(str(place) in p.place for p in points)


# What is on the disk after n of the five points of "rotate" have happened: (new, key).
STATES = [
    (None, "old\n"), ("", "old\n"), ("new\n", "old\n"), ("new\n", "old\n"),
    (None, "new\n"), (None, "new\n"),
]


def state(place):
    new = place / "new"
    return (new.read_text() if new.exists() else None, (place / "key").read_text())


@pytest.mark.parametrize("n", range(1, 6))
def test_kill_leaves_the_state_before_the_call(place, n):
    status, points, done = crashpoint.run(sample("rotate", place), "--kill", n, roots=[place])
    assert (status, len(points)) == (crashpoint.KILLED, n)
    assert f"before call {n}" in done.stderr
    assert state(place) == STATES[n - 1]
    assert living(place) == []


@pytest.mark.parametrize("n", range(1, 6))
def test_after_leaves_the_state_after_the_call(place, n):
    status, points, done = crashpoint.run(sample("rotate", place), "--after", n, roots=[place])
    assert (status, len(points)) == (crashpoint.KILLED, n)
    assert f"after call {n}" in done.stderr
    assert state(place) == STATES[n]
    assert living(place) == []


@pytest.mark.parametrize("option", ["--kill", "--after"])
@pytest.mark.parametrize("n", range(1, 9))
def test_threads_stop_together(place, option, n):
    status, _, _ = crashpoint.run(sample("threads", place), option, n, roots=[place])
    assert status == crashpoint.KILLED
    files = [f for f in place.iterdir() if f.name != "key"]
    written = sum(1 for f in files if f.read_text() == "t")
    assert len(files) + written == (n if option == "--after" else n - 1)


@pytest.mark.parametrize("n,made", [(1, set()), (2, {"child"}), (3, {"child", "parent"})])
def test_kill_reaches_daemons(place, n, made):
    status, _, _ = crashpoint.run(sample("tree", place), "--kill", n, roots=[place])
    assert status == crashpoint.KILLED
    assert {f.name for f in place.iterdir() if f.is_dir()} == made
    assert living(place) == []


@pytest.mark.parametrize("option", ["--kill", "--after"])
def test_no_survivor_among_processes_that_never_end(place, option):
    status, _, _ = crashpoint.run(sample("stay", place), option, 2, roots=[place], timeout=60)
    assert status == crashpoint.KILLED
    assert living(place) == []


def until(condition):
    """Waits for an event no one announces, with a deadline."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def staying(place):
    """A counter whose command has ended and left two processes behind."""
    server = crashpoint.Server(sample("stay", place), roots=[place])
    until(lambda: not pathlib.Path(f"/proc/{server.command_pid()}").exists())
    assert len(living(place)) == 3, "the counter itself and what was left behind"
    return server


def test_no_survivor_when_the_counter_itself_is_killed(place):
    with staying(place) as server:
        server.process.kill()
        server.wait()
        until(lambda: living(place) == [])


def test_no_survivor_when_the_counter_is_asked_to_end(place):
    with staying(place) as server:
        assert server.stop() == crashpoint.KILLED
        assert living(place) == []


@pytest.mark.parametrize(
    "n,what,error",
    [(1, "open", "ENOSPC"), (2, "write", "EIO"), (3, "fsync", "EIO"), (4, "rename", "EROFS"),
     (5, "fsync", "EDQUOT")],
)
@pytest.mark.parametrize("option", ["--fail", "--fail-from"])
def test_fail_returns_the_error_and_does_nothing(place, option, n, what, error):
    number = getattr(errno, error)
    status, _, done = crashpoint.run(
        sample("rotate", place), option, f"{n}:{error}", roots=[place]
    )
    assert status == 1
    assert done.stdout.split() == ["failed", what, str(number)]
    assert state(place) == STATES[n - 1]


def test_fail_inside_a_sandbox(place):
    status, _, done = crashpoint.run(sample("sealed", place), "--fail", "4:28", roots=[place])
    assert (status, done.stdout.split()) == (1, ["failed", "rename", "28"])


def ask(server, line):
    server.process.stdin.write(line + "\n")
    server.process.stdin.flush()
    return server.process.stdout.readline().strip()


def serve(place, *options):
    server = crashpoint.Server(
        sample("serve", place), *options, roots=[place],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    assert server.process.stdout.readline().startswith("ready")
    return server


def test_a_server_counts_only_while_armed(place):
    with serve(place) as server:
        assert ask(server, "a") == "ok 4"
        server.arm()
        assert ask(server, "b") == "ok 4"
        assert ask(server, "c") == "ok 4"
        assert server.disarm() == 4
        assert ask(server, "d") == "ok 4"
        assert [os.path.basename(p.place) for p in server.points()] == ["b", "b", "c", "c"]
        server.arm()
        assert ask(server, "e") == "ok 4"
        assert server.disarm() == 2


def test_a_server_arms_by_file(place, tmp_path):
    with serve(place, "--arm-on", tmp_path / "arm", "--fail-from", "3:EIO") as server:
        assert ask(server, "a") == "ok 4"
        (tmp_path / "arm").touch()
        assert ask(server, "b") == "ok 4"
        assert ask(server, "c") == f"error {errno.EIO}"
        assert ask(server, "d") == f"error {errno.EIO}"
    assert {f.name for f in place.iterdir()} == {"key", "a", "b"}


def test_a_single_failure_passes(place):
    with serve(place, "--fail", "2:EIO") as server:
        server.arm()
        assert ask(server, "a") == f"error {errno.EIO}"
        assert ask(server, "b") == "ok 4"


def test_short_write(place):
    with serve(place, "--short", "2") as server:
        server.arm()
        assert ask(server, "a") == "ok 2"
        assert (place / "a").read_text() == "da"


def test_a_server_is_killed_at_the_point(place):
    with serve(place, "--kill", 2) as server:
        assert ask(server, "a") == "ok 4"
        server.arm()
        assert ask(server, "b") == ""
        assert server.wait() == crashpoint.KILLED
        assert (place / "b").read_text() == ""
    assert living(place) == []


def test_job_control_and_signals_reach_the_program(place):
    with serve(place) as server:
        pid = server.command_pid()
        os.kill(pid, signal.SIGSTOP)
        stat = pathlib.Path(f"/proc/{pid}/stat")
        until(lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "t")
        os.kill(pid, signal.SIGCONT)
        assert ask(server, "a") == "ok 4"
        assert server.stop() == 128 + signal.SIGTERM


def test_every_write_of_a_busy_program_counts(place):
    assert len(crashpoint.count(sample("busy", place), roots=[place])) == 2001


def test_says_when_the_number_was_not_reached(place):
    status, _, done = crashpoint.run(sample("rotate", place), "--kill", 6, roots=[place])
    assert status == 0
    assert "call 6 was not reached, 5 counted" in done.stderr


@pytest.mark.parametrize(
    "options,message",
    [
        (["--kill", "0"], "expected a number from 1"),
        (["--kill", "x"], "expected a number from 1"),
        (["--kill", "3x"], "cannot read"),
        (["--fail", "3"], "cannot read"),
        (["--fail", "3:ENOTHING"], "expected a number from 1"),
        (["--fail", "3:5000"], "unknown error"),
        (["--kill", "1", "--after", "2"], "only one of"),
        (["--root", "/nonexistent"], "no such root directory"),
    ],
)
def test_refuses_a_wrong_command_line(options, message):
    done = subprocess.run(
        [built.find("crashpoint"), *options, "true"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert message in done.stderr


def test_a_command_that_does_not_exist():
    status, points, done = crashpoint.run(["/nonexistent/program"])
    assert (status, points) == (127, [])
    assert "could not run" in done.stderr
