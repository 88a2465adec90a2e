# SPDX-License-Identifier: Apache-2.0
"""What only root can do in a test: said once, so that any user can run all tests and read which did not run and why.

    needs_root("a file that somebody else owns")    # first thing in a test, a fixture or a token
    mount_ram(place, "12m")                         # needs root by itself
    with public_directory() as place: …             # where another user gets to
"""
import contextlib
import ctypes
import os
import pathlib
import subprocess
import tempfile
import unittest

CLONE_NEWNS = 0x20000


def needs_root(what):
    """Whoever is not root gets no further; pytest then counts the test as skipped and shows the reason."""
    if os.geteuid() != 0:
        raise unittest.SkipTest(f"needs root: {what}")


@contextlib.contextmanager
def public_directory():
    """A directory that all users may enter. Those of pytest they may not, and whoever starts pytest beside shuts them again."""
    with tempfile.TemporaryDirectory(prefix="keyward-", dir="/tmp") as made:
        os.chmod(made, 0o755)
        yield pathlib.Path(made)


def mount_ram(place, size="50%"):
    """A RAM file system that only this process and those it starts see. The caller unmounts it."""
    needs_root("a file system of its own")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "cannot make a mount namespace")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", str(place)], check=True)
