# SPDX-License-Identifier: Apache-2.0
"""Finds what meson built, for tests that run programs.

The build directory is $KEYWARD_BUILD, or `build` at the top of the source tree. A missing program
is an error, never a skipped test.
"""
import functools
import os
import pathlib

SOURCE = pathlib.Path(__file__).resolve().parents[2]


def directory():
    return pathlib.Path(os.environ.get("KEYWARD_BUILD", SOURCE / "build"))


@functools.lru_cache(maxsize=None)
def find(name):
    """The absolute path of the built file called name (a program or a library)."""
    for here, folders, files in os.walk(directory()):
        folders[:] = [f for f in folders if not f.endswith(".p") and not f.startswith("meson-")]
        if name in files:
            return os.path.join(here, name)
    raise FileNotFoundError(
        f'"{name}" is not in the build directory "{directory()}"; '
        "set KEYWARD_BUILD to it and run ninja there"
    )
