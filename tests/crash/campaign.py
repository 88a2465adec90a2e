# SPDX-License-Identifier: Apache-2.0
"""The whole crash proof: every operation on every token, killed, failed and cut at every point, as `scripts/crash --all` runs it.

A row is one operation on one token. Its results are lines of JSON in one file, each written when its run has ended, so that an
interrupted campaign goes on where it was; a row whose programs are others than before begins anew. What is to be run is settled
by the shortest undisturbed run that was seen, since the server's other business comes into the longer ones: it stands in the
row's first line, and in another where a later process has seen a shorter one. report.py makes the table.
"""
import json
import pathlib
import random
import subprocess
import time

from bench import Bench, NotBegun, fingerprint
from plan import Run, keys, plan, retarget

HERE = pathlib.Path(__file__).resolve().parent
TOKENS = ("softhsm", "opencryptoki", "none")
SPARE = 0.05  # share of the points that another one stands for and that are tried all the same
RECORDS = 3
TRIES = 4     # to meet the point that was planned
ROUNDS = 4    # of as many tries, for what was not met


def rows():
    """Every (token, operation), what is quickly run first."""
    from operations import WITH_HSM, WITHOUT_HSM
    return [(token, name) for name in reversed(WITH_HSM) for token in TOKENS if token != "none" or name in WITHOUT_HSM]


class Row:
    """One row's file and what it holds; programs: lines of other programs than these are forgotten, unless it is None."""

    def __init__(self, results, token, name, programs=None):
        self.token, self.name, self.programs = token, name, programs
        self.path = pathlib.Path(results) / f"{token}-{name}.jsonl"
        self.lines = self._read()

    def _read(self):
        if not self.path.exists():
            return []
        lines = [json.loads(line) for line in self.path.read_text().splitlines() if line.endswith("}")]
        return lines if lines and self.programs in (None, lines[0].get("programs")) else []

    def add(self, **line):
        with open(self.path, "a" if self.lines else "w") as f:
            f.write(json.dumps(line) + "\n")
        self.lines.append(line)

    def done(self):
        """What need not be run again: (mode, key of the point that was met) and ("power cut", name of the image)."""
        return {(line["mode"], line["met"]) for line in self.lines if "mode" in line}

    @property
    def head(self):
        return [line for line in self.lines if "wanted" in line][-1]


def commit():
    """The last commit that changed what is built."""
    done = subprocess.run(["git", "log", "-1", "--format=%h", "--", ":/src", ":/spec"], cwd=HERE, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def begin(row, record, cuts, seed):
    """Writes what there is, and what is to be run."""
    runs, dice = plan(record), random.Random(f"{seed} {row.token} {row.name}")
    wanted = {mode: [[run.n, run.key] for run in runs if run.mode == mode and not run.spare] for mode in ("kill", "EIO", "ENOSPC")}
    spare = {mode: [[run.n, run.key] for run in runs if run.mode == mode and run.spare and dice.random() < SPARE] for mode in wanted}
    row.add(programs=fingerprint(), commit=commit(), seed=seed, calls=len(record.span()), wanted=wanted, spare=spare,
            points={mode: sum(run.mode == mode for run in runs) for mode in wanted}, cuts=record.cut_count,
            images=record.image_count, distinct=len(cuts))


def jobs_of(row, cuts, modes):
    """What is to be run, in an order by chance: whatever share is run is a sample. modes: these only, unless it is empty."""
    runs = [Run(mode, n, key, spare) for spare, sort in ((False, "wanted"), (True, "spare")) for mode in row.head[sort]
            for n, key in row.head[sort][mode] if mode in (modes or row.head[sort])]
    jobs = runs + (cuts if not modes or "power cut" in modes else [])
    random.Random(f"{row.head['seed']} {row.token} {row.name}").shuffle(jobs)
    return jobs


def typical(bench, operation):
    """The shortest of a few records: the server's other business comes into some of them, and not into the runs to come."""
    return min((bench.record(operation) for _ in range(RECORDS)), key=lambda record: len(record.span()))


def run_row(results, token, name, modes, seed, until, say=print):
    """Runs what is left of a row, or as much as it can until a time of time.monotonic(). Returns whether all has been run."""
    row = Row(results, token, name, fingerprint())
    with Bench(token, library=token != "none") as bench:
        record = typical(bench, bench.operations[name])
        cuts = record.cuts()
        if not row.lines or len(record.span()) < row.head["calls"]:
            begin(row, record, cuts, seed)
        for job in jobs_of(row, cuts, modes) * ROUNDS:
            if time.monotonic() > until:
                return False
            work = run_points(bench, record, row, job) if isinstance(job, Run) else run_cut(bench, record, row, job)
            for line in work:
                row.add(**line)
                if line["problem"]:
                    say(f"BROKEN {token}: {line['problem']}", flush=True)
    return True


def timed(attempt):
    """The beginnings of a result's line. What is broken is run once more: what is broken stays broken."""
    began = time.monotonic()
    line = {"problem": attempt()}
    if line["problem"]:
        try:
            line["twice"] = attempt()
        except NotBegun as failure:
            line["twice"] = str(failure)
    return {**line, "seconds": round(time.monotonic() - began, 2)}


def run_points(bench, record, row, run):
    """Runs until the point has been met, a few times at most; a line for each."""
    n = run.n
    for _ in range(TRIES):
        if (run.mode, run.key) in row.done():
            return
        try:
            line = timed(lambda: bench.attempt(record.operation, run.mode, n))
        except NotBegun as failure:
            yield {"mode": run.mode, "n": n, "met": "not begun", "problem": "", "why": str(failure), "seconds": 0}
            continue
        met = keys(bench.points[:n])
        yield {"mode": run.mode, "n": n, "met": met[-1] if len(met) == n else "not reached", "spare": run.spare,
               "token_lost": bench.token_lost, **line}
        n = retarget(run.key, keys(bench.points), n)


def run_cut(bench, record, row, cut):
    """Another record of the same operation has other images; a row has as many as its plan's."""
    if sum(mode == "power cut" for mode, _ in row.done()) >= row.head["distinct"]:
        return
    after = [key for call, key in zip(record.span(), keys(record.span())) if call.n <= cut.n][-1:] or ["the beginning"]
    name = f"{after[0]}: {cut.image.name}"  # like a point's key: numbers differ from record to record
    if ("power cut", name) not in row.done():
        line = timed(lambda: bench.cut(record, cut))
        yield {"mode": "power cut", "n": cut.n, "met": name, "acknowledged": cut.acknowledged, "again": cut.again,
               "token_lost": bench.token_lost, **line}
