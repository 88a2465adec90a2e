# SPDX-License-Identifier: Apache-2.0
"""Which of an operation's runs are needed to have tried them all (docs/RELIABILITY.md argues why).

A killed process leaves what files and token hold, and nothing else: two points between which no call changed anything that is
ever read leave the same, and one of them is run, the later one. A failed call matters by itself: each call that did something,
or asked for its safety, is failed. Of calls that did nothing (a directory that is there already, a file that is not) or that
only wrote what is never read (a log), one is failed of those that are made alike between two changes.

    for run in plan(record): …      # Run(mode, n, key, spare)

Two runs of a server are not equal call by call: several processes write at once. So a point is known by its key, "the third
write to this file", and looked for where the run before met it (retarget).
"""
import collections

from bench import is_unread, likeness

# n: the point's number in the recorded run; spare: another run stands for this point, it is only tried as a proof of that
Run = collections.namedtuple("Run", "mode n key spare")

# Calls that take room, or promise it: a full disk shows in these.
TAKES_ROOM = {"write", "pwrite64", "writev", "pwritev", "pwritev2", "open", "openat", "creat", "rename", "renameat", "renameat2",
              "mkdir", "mkdirat", "link", "linkat", "symlink", "symlinkat", "mknod", "mknodat", "ftruncate", "truncate",
              "fallocate", "fsync", "fdatasync", "syncfs", "copy_file_range", "sendfile", "setxattr", "fsetxattr", "lsetxattr"}


def plan(record):
    span = record.span()
    before = [record.state(n) for n in [record.begin] + [call.n for call in span[:-1]]]
    alike = {"kill": before, "EIO": [fail_class(record, call, state) for call, state in zip(span, before)]}
    alike["ENOSPC"] = [word if call.call in TAKES_ROOM else None for call, word in zip(span, alike["EIO"])]
    return [run for mode, words in alike.items() for run in chosen(mode, words, span)]


def fail_class(record, call, state):
    """Equal for points of which one is enough."""
    changes = any(e.n == call.n and not is_unread(e.path) for e in record.effects_of(call))
    return call.n if changes else (state, call.comm, likeness(call) if call.result >= 0 else call.call, call.result < 0)


def chosen(mode, words, span):
    """A Run for each point; the last one of those alike is no spare. A point without a word cannot fail that way."""
    last, names = {word: i for i, word in enumerate(words)}, keys(span)
    return [Run(mode, i + 1, names[i], last[word] != i) for i, word in enumerate(words) if word is not None]


def keys(points):
    """The key of each point: what it does, where, and for the how manieth time."""
    seen, found = collections.Counter(), []
    for point in points:
        what = " ".join(likeness(point))
        seen[what] += 1
        found.append(f"{what} #{seen[what]}")
    return found


def retarget(key, met, n):
    """Where to look for the point next, after a run whose points up to n had the keys `met`."""
    if key in met:
        return met.index(key) + 1
    return n + 1
