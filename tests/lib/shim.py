# SPDX-License-Identifier: Apache-2.0
"""Puts the PKCS#11 shim before a token and steers it.

    token = tokens.SoftHsm(tmp_path / "hsm")
    shim = Shim(token, tmp_path / "shim")        # has the interface of a token itself
    shim.set("rv=C_Decrypt:32:1", "nogcm")       # words as in shim_control.h; counts begin anew
    …
    assert shim.calls("C_Login") == 1
    shim.set()                                   # behaves again

The process that loads the library needs shim.env (KWSHIM_*, and what the token itself needs).
"""
import os
import pathlib
import shutil

import built
import tokens


def bad_library(name):
    """The path of a library that is no PKCS#11 module, see bad_library.c."""
    return pathlib.Path(built.find(f"keyward-test-bad-{name}.so"))


class Shim(tokens.Token):
    """The shim before a token, itself a token. owner is a user name as for SoftHsm."""

    kind = "shim"

    def __init__(self, token, directory, owner=None):
        self.token = token
        self.owner = owner
        self.directory = pathlib.Path(directory).resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.library = pathlib.Path(built.find("keyward-test-shim.so"))
        self.control = self.directory / "control"
        self.counts = self.directory / "control.counts"
        self.trace_file = self.directory / "trace"
        self.label, self.so_pin = token.label, token.so_pin
        self.env = {
            **token.env,
            "KWSHIM_MODULE": str(token.library),
            "KWSHIM_CONTROL": str(self.control),
            "KWSHIM_TRACE": str(self.trace_file),
        }
        self.set()

    @property
    def pin(self):
        return self.token.pin

    @pin.setter
    def pin(self, value):
        self.token.pin = value

    def save(self):
        self.token.save()

    def enter(self, command):
        return self.token.enter(command)

    def hide(self):
        self.token.hide()

    def show(self):
        self.token.show()

    def set(self, *words, keep_counts=False):
        """Replaces what is asked for, in one step; the counts and the trace begin anew."""
        if not keep_counts:
            for path in (self.counts, self.trace_file):
                path.write_bytes(b"")
        fresh = self.directory / "control.new"
        fresh.write_text("\n".join(words) + "\n")
        if self.owner is not None:
            for path in (self.directory, fresh, self.counts, self.trace_file):
                shutil.chown(path, self.owner)
        os.replace(fresh, self.control)

    def trace(self):
        """The functions called since set(), in order, over all processes."""
        lines = self.trace_file.read_text().splitlines()
        return [line for line in lines if not line.startswith("probe ")]

    def calls(self, function=None):
        """How often a function (or any) was called since set()."""
        names = self.trace()
        return len(names) if function is None else names.count(function)

    def probes(self):
        """What the hostile attempts came to: name -> errno, 0 done, None if it ended the process."""
        found = {}
        for line in self.trace_file.read_text().splitlines():
            words = line.split()
            if words and words[0] == "probe":
                found[words[1]] = int(words[2]) if len(words) > 2 else None
        return found
