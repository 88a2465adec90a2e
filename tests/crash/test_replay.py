# SPDX-License-Identifier: Apache-2.0
"""The replay makes the disks that a power cut may leave, and finds what a program forgot to make safe."""
import os
import pathlib
import subprocess
import sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1] / "lib")]
import built  # noqa: E402
import crashpoint  # noqa: E402
import replay  # noqa: E402

TOP, O_CREAT = "/top", os.O_WRONLY | os.O_CREAT


class Program:
    """Calls written down as the counter would."""

    def __init__(self):
        self.calls, self.inodes = [], {"/top/key": 2, TOP: 1}

    def call(self, name, place, *args, data=b"", offset=0, result=None):
        inode = self.inodes.get(place, 0)
        result = len(data) if result is None else result
        self.calls.append(replay.Call(len(self.calls) + 1, 1, "test", name, place, result, inode, offset, data,
                                      (*args, *[0] * (6 - len(args)))))

    def create(self, place):
        self.inodes[place] = len(self.inodes) + 10
        self.call("openat", place, 0, 0, O_CREAT, 0o600, result=3)

    def write(self, place, data, offset=0):
        self.call("pwrite64", place, data=data, offset=offset)

    def sync(self, place):
        self.call("fsync", place)

    def rename(self, old, new):
        self.call("rename", f"{old} -> {new}")
        self.inodes[new] = self.inodes[old]

    def disk(self):
        nodes = {".": replay.Node("dir", 0o700, None, 1), "key": replay.Node("file", 0o600, bytearray(b"old"), 2)}
        disk = replay.Disk({TOP: nodes})
        disk.play(self.calls)
        return disk

    def left(self, k=None):
        """Every content of "key" that a cut after call k, the last by default, may leave."""
        found = set()
        for image in self.disk().images(k or len(self.calls)):
            node = image.tree[TOP].get("key")
            found.add(None if node is None else bytes(node.content))
        return found


def replaced(*left_out):
    """Replaces a file as it should be done, but for the steps left out."""
    program = Program()
    program.create("/top/key.new")
    program.write("/top/key.new", b"new")
    if "file" not in left_out:
        program.sync("/top/key.new")
    program.rename("/top/key.new", "/top/key")
    if "directory" not in left_out:
        program.sync(TOP)
    return program


def test_a_file_replaced_with_care_is_the_new_one_after_the_last_sync_and_one_of_both_before():
    program = replaced()
    assert program.left() == {b"new"}
    for k in range(1, len(program.calls)):
        assert program.left(k) <= {b"old", b"new"}


def test_without_the_files_fsync_the_new_name_may_hold_nothing():
    assert {b"", bytes(3)} <= replaced("file").left()


def test_without_the_directorys_fsync_the_old_file_may_come_back():
    assert b"old" in replaced("directory").left()


def test_a_write_is_torn_at_sectors_and_pages_until_it_is_synced():
    program = Program()
    program.write("/top/key", b"n" * 5000)
    lengths = {content.count(b"n") for content in program.left()}
    assert {0, 512, 4096, 5000, 5000 - 512, 5000 - 4096} <= lengths
    program.sync("/top/key")
    assert program.left() == {b"n" * 5000}


def test_writes_that_nobody_synced_are_kept_and_lost_one_by_one():
    program = Program()
    for i in range(6):
        program.write("/top/key", b"%d" % i, offset=i)
    left = program.left()
    assert {b"old", b"012345"} <= left
    assert {(b"012345"[:i] + b"old"[i:]) for i in range(1, 6)} <= left  # prefixes
    assert {b"0l2345", b"o1d"} <= left  # one lost, one alone


def test_a_call_that_failed_changes_nothing_and_one_that_is_unknown_is_refused():
    program = Program()
    program.call("unlinkat", "/top/nothing", result=-2)
    assert program.left() == {b"old"}
    program.call("copy_file_range", "/top/key", result=3)
    with pytest.raises(replay.Unknown, match="copy_file_range"):
        program.disk()


def test_quiet_places_are_kept_as_they_were_when_the_power_went():
    program = Program()
    program.create("/top/log")
    program.write("/top/log", b"line")
    nodes = {".": replay.Node("dir", 0o700, None, 1), "key": replay.Node("file", 0o600, bytearray(b"old"), 2)}
    disk = replay.Disk({TOP: nodes}, quiet=lambda path: path.endswith("/log"))
    disk.play(program.calls)
    assert {bytes(image.tree[TOP]["log"].content) for image in disk.images(2)} == {b"line"}


def test_the_replay_of_a_real_run_is_the_tree_it_left(tmp_path):
    place, record = tmp_path / "place", tmp_path / "record"
    place.mkdir()
    record.mkdir()
    (place / "key").write_text("old\n")
    before = replay.tree_of(place)
    status, _, _ = crashpoint.run([built.find("crashpoint-sample"), "rotate", place], "--record", record, roots=[place])
    calls = replay.read_record(record)
    assert status == 0 and [c.call for c in calls] == ["openat", "write", "fsync", "rename", "fsync"]
    assert calls[1].data == b"new\n" and calls[1].offset == 0
    disk = replay.Disk({str(place): before})
    disk.play(calls)
    image = disk.visible(5)
    image.write(str(place), tmp_path / "made")
    assert subprocess.run(["diff", "-r", place, tmp_path / "made"], check=False).returncode == 0
    assert {bytes(i.tree[str(place)]["key"].content) for i in disk.images(5)} == {b"new\n"}
    assert {bytes(i.tree[str(place)]["key"].content) for i in disk.images(4)} == {b"old\n", b"new\n"}
