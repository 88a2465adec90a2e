# SPDX-License-Identifier: Apache-2.0
"""Writes what campaign.py found into docs/RELIABILITY.md, between the markers: the numbers are made by the run."""
import pathlib
import re
import subprocess
import time

from campaign import Row, rows

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "RELIABILITY.md"
BEGIN, END = "<!-- crash: written by scripts/crash -->", "<!-- crash: end -->"
NAMES = {"softhsm": "SoftHSM", "opencryptoki": "openCryptoki", "none": "no HSM"}
MODES = ("kill", "EIO", "ENOSPC")
HEAD = """| operation | token | calls | kill | EIO | ENOSPC | power cut | spare | token lost | broken |
|---|---|---|---|---|---|---|---|---|---|"""


def version(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
    return f"{package} {done.stdout or 'of unknown version'}"


def share(run, wanted):
    return f"{run}" if run >= wanted else f"{run} of {wanted}"


class Sum:
    """What a row's lines come to."""

    def __init__(self, row):
        self.lines = [line for line in row.lines if "mode" in line and line["met"] != "not begun"]
        self.idle = sum(line.get("met") == "not begun" for line in row.lines)
        self.seconds = sum(line["seconds"] for line in self.lines)
        self.broken = [line for line in self.lines if line["problem"]]
        self.met = {mode: len({key for _, key in row.head["wanted"][mode]} & self._met(mode)) for mode in MODES} if row.lines else {}
        self.spare = sum(len({key for _, key in row.head["spare"][mode]} & self._met(mode)) for mode in MODES) if row.lines else 0
        self.cuts = len(self._met("power cut"))
        self.lost = sum(1 for line in self.lines if line.get("token_lost"))

    def _met(self, mode):
        return {line["met"] for line in self.lines if line["mode"] == mode}


def row_text(row, total):
    if not row.lines:
        return f"| {row.name} | {NAMES[row.token]} | not run | | | | | | | |"
    head = row.head
    cells = [f"{head['points'][mode]}: {share(total.met[mode], len(head['wanted'][mode]))}" for mode in MODES]
    cut = f"{head['cuts']}, {head['images']}: {share(total.cuts, head['distinct'])}"
    return (f"| {row.name} | {NAMES[row.token]} | {head['calls']} | {' | '.join(cells)} | {cut} | {total.spare} | "
            f"{total.lost} | {len(total.broken)} |")


def programs(begun):
    """Which programs and which seed each row was run with."""
    kinds = sorted({(row.head["commit"], row.head["seed"]) for row in begun})
    for commit, seed in kinds:
        those = [row for row in begun if (row.head["commit"], row.head["seed"]) == (commit, seed)]
        names = dict.fromkeys(row.name for row in those)
        what = "All" if len(kinds) == 1 else ", ".join(names)
        yield f"{what}: programs of commit {commit}, seed {seed}."


def text(results):
    found = [(row, Sum(row)) for row in (Row(results, token, name) for token, name in reversed(rows()))]
    begun = [row for row, _ in found if row.lines]
    runs = sum(len(total.lines) for _, total in found)
    broken = sum(len(total.broken) for _, total in found)
    minutes = sum(total.seconds for _, total in found) / 60
    idle = sum(total.idle for _, total in found)
    facts = [f"{runs} runs, {broken} broken, {minutes:.0f} minutes of work, waiting included.",
             *([f"Beside them {idle} did not begin: the server was not up in time, before anything was disturbed."] if idle else []),
             *programs(begun),
             f"{time.strftime('%Y-%m-%d', time.gmtime())}; {version('softhsm2')}, {version('opencryptoki')}, "
             f"{version('libsqlite3-0')}."]
    return "\n".join([*facts, "", HEAD, *(row_text(row, total) for row, total in found)])


def write(results):
    document = DOCUMENT.read_text()
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.S)
    assert pattern.search(document), f"{DOCUMENT} has lost its markers"
    DOCUMENT.write_text(pattern.sub(lambda _: f"{BEGIN}\n{text(results)}\n{END}", document))
