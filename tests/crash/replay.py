# SPDX-License-Identifier: Apache-2.0
"""Rebuilds, from the record of a run (record.h), the disks that a power cut could have left.

    disk = Disk({"/the/root": tree_of("/the/root")})   # as it was before the first recorded call
    disk.play(read_record(directory))                  # raises Unknown when a call cannot be replayed
    for image in disk.images(k):                       # the power went after call k
        image.write("/the/root")                       # image.name says what was kept and what lost

What a disk owes after a cut, and no more: the bytes of a file up to its last fsync or fdatasync, the names of a directory up to
the directory's last fsync; a rename is one step, wherever it goes. Everything after that is *pending*, and any of it may have
reached the disk. `images` makes, of the pending effects at the cut:
    none, all, every prefix, all but one, one alone, every subset when they are few,
    names without bytes (files empty, and files of full length full of zeros), bytes without names,
    the last write torn at a sector and at a page, with the others kept and lost.
`quiet` places (a function of the path) are left out of all that: they hold what was written when the power went. Calls on
`ignored` places are not played at all.
"""
import collections
import hashlib
import itertools
import os
import pathlib
import shutil
import stat

Call = collections.namedtuple("Call", "n tid comm call place result inode offset data args")
FEW = 4  # pending effects of which every subset is tried
TEARS = (512, 4096)


class Unknown(Exception):
    """A call that the replay does not understand, or a tree that came out different."""


def read_record(directory):
    """The calls in order. A file that ends in the middle of a line (everything was killed) gives what is whole."""
    directory, calls, at = pathlib.Path(directory), [], 0
    data = (directory / "data").read_bytes()
    for line in (directory / "calls").read_text(errors="surrogateescape").splitlines():
        n, tid, comm, call, place, result, inode, offset, size, args = line.split("\t")
        size = int(size)
        calls.append(Call(int(n), int(tid), comm, call, place, int(result), int(inode), int(offset), data[at:at + size],
                          tuple(int(a) for a in args.split(","))))
        at += size
    return calls


class Node:
    """An inode: kind is "file", "dir" or "link"; content its bytes, {name: id}, or target."""

    def __init__(self, kind, mode, content, inode=0):
        self.kind, self.mode, self.content, self.inode = kind, mode, content, inode
        self._digest = None

    def copy(self):
        content = self.content if self.kind == "link" else type(self.content)(self.content)
        return Node(self.kind, self.mode, content, self.inode)

    def digest(self):
        """Of what no longer changes: the nodes of an image."""
        if self._digest is None:
            what = bytes(self.content) if self.kind == "file" else os.fsencode(self.content)
            self._digest = hashlib.sha256(what).digest()
        return self._digest


def tree_of(top):
    """{relative path: Node} of what lies in a directory now; sockets and the like are left out."""
    top, found = pathlib.Path(top), {}
    for path in [top, *sorted(top.rglob("*"))]:
        try:
            what = path.lstat()
            if stat.S_ISDIR(what.st_mode):
                kind, content = "dir", None
            elif stat.S_ISLNK(what.st_mode):
                kind, content = "link", os.readlink(path)
            elif stat.S_ISREG(what.st_mode):
                kind, content = "file", bytearray(path.read_bytes())
            else:
                continue
        except FileNotFoundError:  # gone meanwhile
            continue
        found[str(path.relative_to(top))] = Node(kind, stat.S_IMODE(what.st_mode), content, what.st_ino)
    return found


# One thing that a call did. kind: data (where=id, at, data), size (where, at), mode (where, at), name (the ids and names of what
# goes: old = (dir, name) or None, new = (dir, name) or None, of node id where), sync (where; None for all).
Effect = collections.namedtuple("Effect", "n kind where at data old new path")


class Image:
    """A disk as a cut may have left it."""

    def __init__(self, name, tree):
        self.name, self.tree = name, tree  # {top: {relative path: Node}}

    def digest(self, quiet=lambda path: False):
        total = hashlib.sha256()
        for top, tree in sorted(self.tree.items()):
            for path, node in sorted(tree.items()):
                whole = os.path.join(top, path)
                if quiet(whole):
                    continue
                total.update(repr((whole, node.kind, node.mode)).encode())
                if node.kind != "dir":
                    total.update(node.digest())
        return total.hexdigest()

    def write(self, top, to=None):
        """Makes the tree of top at its place, or elsewhere, in the stead of what is there."""
        to = pathlib.Path(to or top)
        shutil.rmtree(to, ignore_errors=True)
        for path, node in sorted(self.tree[top].items()):
            whole = to / path
            if node.kind == "dir":
                whole.mkdir(parents=True)
            elif node.kind == "link":
                os.symlink(node.content, whole)
            else:
                whole.write_bytes(node.content)
            if node.kind != "link":
                whole.chmod(node.mode)


class Disk:
    def __init__(self, trees, quiet=lambda path: False, ignored=lambda path: False):
        self.quiet, self.ignored = quiet, ignored
        self.nodes, self.tops, self.by_inode = {}, {}, {}
        self.effects = []
        self.ids = itertools.count(1)
        for top, tree in trees.items():
            self._base(top, tree)
        self.base = {number: node.copy() for number, node in self.nodes.items()}

    def _base(self, top, tree):
        ids = {}
        for path, node in sorted(tree.items()):
            number = next(self.ids)
            ids[path] = number
            self.nodes[number] = Node(node.kind, node.mode, {} if node.kind == "dir" else node.content, node.inode)
            self.by_inode[node.inode] = number
            if path == ".":
                self.tops[top] = number
            else:
                self.nodes[ids[os.path.dirname(path) or "."]].content[os.path.basename(path)] = number

    # -- what is visible --
    def _find(self, path):
        """(id of the directory, name, id or None) of a path below one of the tops; None when it is elsewhere."""
        for top, number in self.tops.items():
            if path == top:
                return None, "", number
            if path.startswith(top + "/"):
                *folders, name = path[len(top) + 1:].split("/")
                for folder in folders:
                    number = self.nodes[number].content.get(folder) if self.nodes[number].kind == "dir" else None
                    if number is None:
                        raise Unknown(f"there is no directory of {path}")
                return number, name, self.nodes[number].content.get(name)
        return None

    def _of_fd(self, call):
        """The id of what a descriptor means."""
        if call.inode in self.by_inode:
            return self.by_inode[call.inode]
        found = self._find(call.place)
        if found is None or found[2] is None:
            raise Unknown(f"{call.call} on {call.place}, which was never made")
        self.by_inode[call.inode] = found[2]
        return found[2]

    # -- playing --
    def play(self, calls):
        for call in calls:
            if call.result < 0 or call.place.startswith("socket:") or self.ignored(call.place):
                continue
            handler = getattr(self, "_" + HANDLERS.get(call.call, "unknown"))
            handler(call)

    def _add(self, call, kind, where, at=0, data=b"", old=None, new=None, path=None):
        if where is None and kind != "sync":
            return  # a socket, which no image holds
        effect = Effect(call.n, kind, where, at, data, old, new, path or call.place)
        self.effects.append(effect)
        if kind != "sync":
            apply(self.nodes, effect)

    def _unknown(self, call):
        raise Unknown(f"{call.call} on {call.place} cannot be replayed")

    def _new_node(self, kind, mode, content, inode=0):
        number = next(self.ids)
        self.nodes[number] = Node(kind, mode, content, inode)
        empty = "" if kind == "link" else type(content)()
        self.base[number] = Node(kind, mode, content if kind == "link" else empty, inode)
        if inode:
            self.by_inode[inode] = number
        return number

    def _open(self, call):
        flags = call.args[1 if call.call == "open" else 2]
        mode = call.args[2 if call.call == "open" else 3]
        found = self._find(call.place)
        if found is None:
            return
        folder, name, number = found
        if number is None:
            number = self._new_node("file", mode & 0o7777 & ~0o077, bytearray(), call.inode)
            self._add(call, "name", number, new=(folder, name))
        else:
            self.by_inode[call.inode] = number
            if flags & os.O_TRUNC and self.nodes[number].content:
                self._add(call, "size", number, 0)

    def _write(self, call):
        if call.result != len(call.data):
            raise Unknown(f"the record of {call.call} on {call.place} is incomplete")
        if call.data:
            self._add(call, "data", self._of_fd(call), call.offset, call.data)

    def _ftruncate(self, call):
        self._add(call, "size", self._of_fd(call), call.args[1])

    def _truncate(self, call):
        self._add(call, "size", self._find(call.place)[2], call.args[1])

    def _fallocate(self, call):
        number, end = self._of_fd(call), call.args[2] + call.args[3]
        if call.args[1] not in (0, 1):
            raise Unknown(f"fallocate of mode {call.args[1]} on {call.place}")
        if call.args[1] == 0 and len(self.nodes[number].content) < end:
            self._add(call, "size", number, end)

    def _sync(self, call):
        self._add(call, "sync", self._of_fd(call))

    def _sync_all(self, call):
        self._add(call, "sync", None)

    def _mkdir(self, call):
        folder, name, _ = self._find(call.place)
        mode = call.args[1 if call.call == "mkdir" else 2]
        self._add(call, "name", self._new_node("dir", mode & 0o7777 & ~0o077, {}), new=(folder, name))

    def _symlink(self, call):
        raise Unknown(f"the record does not say where {call.place} leads")

    def _unlink(self, call):
        folder, name, number = self._find(call.place)
        self._add(call, "name", number, old=(folder, name))

    def _rename(self, call):
        old_path, new_path = call.place.split(" -> ")
        old, new = self._find(old_path), self._find(new_path)
        if old is None or new is None:
            raise Unknown(f"a rename across the roots: {call.place}")
        self._add(call, "name", old[2], old=old[:2], new=new[:2], path=new_path)

    def _link(self, call):
        old, new = [self._find(path) for path in call.place.split(" -> ")]
        self._add(call, "name", old[2], new=new[:2])

    def _fchmod(self, call):
        self._add(call, "mode", self._of_fd(call), call.args[1] & 0o7777)

    def _chmod(self, call):
        mode = call.args[1 if call.call == "chmod" else 2]
        self._add(call, "mode", self._find(call.place)[2], mode & 0o7777)

    def _nothing(self, call):
        pass

    # -- what a cut may leave --
    def split(self, k):
        """(effects that are on the disk for sure when the power goes after call k, pending ones)."""
        sure, pending = [], []
        for effect in self.effects:
            if effect.n > k:
                break
            if effect.kind == "sync":
                kept = [e for e in pending if covers(effect.where, e)]
                sure += kept
                pending = [e for e in pending if e not in kept]
            elif self.quiet(effect.path):
                sure.append(effect)
            else:
                pending.append(effect)
        return sure, pending

    def image(self, effects, name):
        changed = touched(effects)
        nodes = {number: node.copy() if number in changed else node for number, node in self.base.items()}
        for effect in sorted(effects, key=lambda e: e.n):
            apply(nodes, effect)
        return Image(name, {top: dict(walk(nodes, number)) for top, number in self.tops.items()})

    def visible(self, k):
        """What programs see after call k: what a kill leaves."""
        return self.image([e for e in self.effects if e.n <= k and e.kind != "sync"], "visible")

    def images(self, k):
        """Every image of a cut after call k; equal ones may be among them."""
        sure, pending = self.split(k)
        for name, kept in choices(pending, k):
            yield self.image(sure + kept, name)


HANDLERS = {
    "open": "open", "openat": "open", "write": "write", "pwrite64": "write", "writev": "write", "pwritev": "write",
    "pwritev2": "write", "ftruncate": "ftruncate", "truncate": "truncate", "fallocate": "fallocate", "fsync": "sync",
    "fdatasync": "sync", "sync": "sync_all", "syncfs": "sync_all", "mkdir": "mkdir", "mkdirat": "mkdir", "symlink": "symlink",
    "symlinkat": "symlink", "unlink": "unlink", "unlinkat": "unlink", "rmdir": "unlink", "rename": "rename",
    "renameat": "rename", "renameat2": "rename", "link": "link", "linkat": "link", "fchmod": "fchmod", "chmod": "chmod",
    "fchmodat": "chmod", "chown": "nothing", "fchown": "nothing", "lchown": "nothing", "fchownat": "nothing",
    "sync_file_range": "nothing", "msync": "nothing",
}


def covers(where, effect):
    """Whether a sync of this node (None: of all) puts the effect on the disk."""
    if where is None:
        return True
    if effect.kind == "name":
        return where in [place[0] for place in (effect.old, effect.new) if place]
    return effect.where == where


def touched(effects):
    """The ids of the nodes that apply would change."""
    found = {effect.where for effect in effects}
    for effect in effects:
        if effect.kind == "name":
            found.update(place[0] for place in (effect.old, effect.new) if place)
    return found


def apply(nodes, effect):
    """Does it to the nodes. What it builds on may be lost: then it does what it still can."""
    node = nodes[effect.where]
    if effect.kind == "data":
        missing = effect.at - len(node.content)
        if missing > 0:
            node.content.extend(bytes(missing))
        node.content[effect.at:effect.at + len(effect.data)] = effect.data
    elif effect.kind == "size":
        del node.content[effect.at:]
        node.content.extend(bytes(effect.at - len(node.content)))
    elif effect.kind == "mode":
        node.mode = effect.at
    else:
        if effect.old and nodes[effect.old[0]].content.get(effect.old[1]) == effect.where:
            del nodes[effect.old[0]].content[effect.old[1]]
        if effect.new:
            nodes[effect.new[0]].content[effect.new[1]] = effect.where


def walk(nodes, number, path="."):
    yield path, nodes[number]
    if nodes[number].kind == "dir":
        for name, below in nodes[number].content.items():
            yield from walk(nodes, below, name if path == "." else f"{path}/{name}")


def zeros(effect):
    return effect._replace(data=bytes(len(effect.data))) if effect.kind == "data" else effect


def choices(pending, k):
    """(name, effects kept) of a cut's pending effects."""
    yield "none", []
    yield "all", pending
    for j in range(1, len(pending)):
        yield f"first {j} of {len(pending)}", pending[:j]
    for i in range(len(pending)):
        yield f"without {i + 1} of {len(pending)}", pending[:i] + pending[i + 1:]
        yield f"only {i + 1} of {len(pending)}", [pending[i]]
    if len(pending) <= FEW:
        for bits in itertools.product((False, True), repeat=len(pending)):
            yield "subset " + "".join(str(int(b)) for b in bits), [e for e, b in zip(pending, bits) if b]
    names = [e for e in pending if e.kind == "name"]
    yield "names only", names
    yield "names and zeros", [zeros(e) for e in pending]
    yield "bytes only", [e for e in pending if e.kind != "name"]
    if pending and pending[-1].n == k and pending[-1].kind == "data":
        yield from torn(pending)


def torn(pending):
    last = pending[-1]
    ends = {end for size in TEARS for end in (size, (len(last.data) - 1) // size * size)}
    for end in sorted(end for end in ends if 0 < end < len(last.data)):
        head, tail = last._replace(data=last.data[:end]), last._replace(at=last.at + end, data=last.data[end:])
        yield f"torn at {end}", pending[:-1] + [head]
        yield f"torn at {end} alone", [head]
        yield f"torn before {end}", pending[:-1] + [tail]
