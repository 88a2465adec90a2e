#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the steps of scripts/test in order and adds up what passed and failed.

A step is a command and a way to count it: a gate counts as one test by its exit status, meson and pytest report theirs. A
step that fails without naming a failed test counts as one failure. What was skipped is shown with the reasons before the
last line, "N passed, N failed".
"""
import collections
import json
import os
import pathlib
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

TOP = pathlib.Path(__file__).resolve().parent.parent
OUT = TOP / "build" / "results"
SANITIZED = TOP / "build" / "sanitized"
RELEASE = TOP / "build" / "release"
SKIPPED = collections.Counter()  # by reason


def sources(*folders):
    return sorted(str(p.relative_to(TOP)) for f in folders for p in (TOP / f).rglob("*.[ch]"))


def run(command, **more):
    return subprocess.run(command, cwd=TOP, **more).returncode


def gate(command):
    """One test: the command's exit status."""
    def count():
        return (1, 0) if run(command) == 0 else (0, 1)
    return count


def build_sanitized():
    if not (SANITIZED / "build.ninja").exists():
        code = run(["meson", "setup", str(SANITIZED), "-Db_sanitize=address,undefined", "-Db_lundef=false",
                    "--buildtype=debugoptimized"], stdout=subprocess.DEVNULL)
        if code != 0:
            return 0, 1
    return (1, 0) if run(["ninja", "-C", str(SANITIZED), "--quiet"]) == 0 else (0, 1)


def meson_tests():
    """All but the suites of the test tools, which are a step of their own."""
    log = SANITIZED / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    # A test's own deadline is for one that hangs; a machine that is busy or stands still is none.
    run(["meson", "test", "-C", str(SANITIZED), "--no-rebuild", "--print-errorlogs", "--num-processes", "2", "--timeout-multiplier", "4",
         "--no-suite", "crash", "--no-suite", "lib"])
    if not log.exists():
        return 0, 1
    results = [json.loads(line)["result"] for line in log.read_text().splitlines()]
    passed = results.count("OK")
    return passed, len(results) - passed


def pytest(*paths, build=RELEASE, workers=0):
    """The tests of these files, with the programs of this build; a file's tests stay together on one of the workers."""
    side_by_side = ["-n", str(workers), "--dist", "loadfile"] if workers else []
    environment = {**os.environ, "KEYWARD_BUILD": str(build), "KEYWARD_PROGRAMS": str(build / "src" / "prog")}

    def count():
        report = OUT / (paths[0].replace("/", "-") + ".xml")
        report.unlink(missing_ok=True)
        code = run(["/usr/bin/python3", "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider",
                    f"--junitxml={report}", *side_by_side, *paths], env=environment)
        if not report.exists():
            return 0, 1
        suite = ElementTree.parse(report).getroot().find("testsuite")
        SKIPPED.update(skip.get("message") for skip in suite.iter("skipped"))
        tests, failures, errors, skipped = (int(suite.get(k)) for k in ("tests", "failures", "errors", "skipped"))
        failed = failures + errors
        if code != 0 and failed == 0:
            failed = 1
        return tests - failures - errors - skipped, failed
    return count


def steps():
    return [
        ("format", gate(["clang-format-14", "--dry-run", "--Werror", *sources("src", "tests", "bench")])),
        ("includes", gate(["scripts/check-includes"])),
        ("calls", gate(["scripts/check-calls"])),
        ("sizes", gate(["scripts/check-size"])),
        ("documents", gate(["scripts/check-docs"])),
        ("spec tables", gate(["scripts/gen-kmip", "--check"])),
        ("api tables", gate(["scripts/gen-api", "--check"])),
        ("release build", gate(["scripts/build"])),
        ("cppcheck", gate(["scripts/check-static", "cppcheck"])),
        ("clang-tidy", gate(["scripts/check-static", "clang-tidy"])),
        ("sanitized build", build_sanitized),
        ("unit and contract tests", meson_tests),
        ("test tools", pytest("tests/crash/test_crashpoint.py", "tests/crash/test_replay.py", "tests/lib", build=SANITIZED)),
        ("fuzz sample", gate(["scripts/fuzz", "10"])),
        ("system tests", pytest("tests/system", workers=2)),
        ("KMIP tests", pytest("tests/kmip")),
        ("crash sample", pytest("tests/crash/test_operations.py")),
    ]


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[1:]
    if wanted == ["--list"]:
        print("\n".join(name for name, _ in steps()))
        return 0
    unknown = set(wanted) - {name for name, _ in steps()}
    if unknown:
        print(f"scripts/test: there is no step {sorted(unknown)}; see scripts/test --list", file=sys.stderr)
        return 2
    passed = failed = 0
    for name, count in steps():
        if wanted and name not in wanted:
            continue
        print(f"== {name}", flush=True)
        start = time.monotonic()
        more, less = count()
        passed, failed = passed + more, failed + less
        print(f"== {name}: {more} passed, {less} failed, {time.monotonic() - start:.0f} s", flush=True)
    for reason, number in sorted(SKIPPED.items()):
        print(f"{number} skipped: {reason}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.exit(main())
