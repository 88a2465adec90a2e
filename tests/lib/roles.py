# SPDX-License-Identifier: Apache-2.0
"""The numbers of roles on a control channel, from src/proc/proc.h, for tests that play the supervisor."""
import pathlib
import re

HEADER = pathlib.Path(__file__).resolve().parents[2] / "src/proc/proc.h"


def number(name):
    """number("LISTENER"): of ROLE_LISTENER."""
    enum = re.search(r"enum proc_role \{(.*?)\};", HEADER.read_text(), re.S)[1]
    return re.findall(r"^\s*ROLE_(\w+)", enum, re.M).index(name)
