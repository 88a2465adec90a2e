# SPDX-License-Identifier: Apache-2.0
"""The OASIS cases: those of passing.txt must agree, each as a test of its own.

KEYWARD_KMIP_VECTORS names the directory of the cases; without it this file is not collected. Cases that use an operation
which the server does not report are not tests here: a line at the end of the run counts them.
"""
import pytest
import ttlv
import vectors
from spec import BYTE_STRING, DATE_TIME

DIRECTORY = vectors.vectors_directory()
CASES = {case.name: case for case in vectors.cases(DIRECTORY)}


@pytest.fixture(scope="module")
def stage(enroll):
    """An endpoint of the cases alone: they count what they locate."""
    return enroll("vectors")


@pytest.mark.parametrize("name", vectors.passing())
def test_case_agrees_with_the_published_one(stage, name):
    assert name in CASES, f"{name} is not below {DIRECTORY}"
    fault = vectors.play(CASES[name], stage)
    assert fault is None, fault


def test_list_of_passing_cases_is_complete(stage, summary):
    """Every case that applies and agrees stands in passing.txt, so that it cannot be lost unseen."""
    chosen, missing = vectors.applicable(CASES.values(), stage)
    listed = set(vectors.passing())
    summary.append(f"OASIS cases: {len(chosen)} apply, {len(listed)} must agree; {vectors.not_applicable(missing)}")
    assert listed <= {case.name for case in chosen}, "cases are listed whose operations the server does not report"
    unlisted = [case for case in chosen if case.name not in listed]
    agreeing = [case.name for case in unlisted if vectors.play(case, stage) is None]
    assert not agreeing, f"these agree too: run vectors.py --update: {agreeing}"


def test_every_case_survives_the_codec():
    samples = {BYTE_STRING: b"sample", DATE_TIME: 1}
    for case in CASES.values():
        for pair in case.steps:
            for element in pair:
                made = ttlv.from_xml(element, lambda text, kind: samples.get(kind, "x") if text.startswith("$") else text)
                assert ttlv.decode(ttlv.encode(made)) == made, case.name
                assert ttlv.from_xml(ttlv.to_xml(made)) == made, case.name
