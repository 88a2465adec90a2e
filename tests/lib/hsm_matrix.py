# SPDX-License-Identifier: Apache-2.0
"""The table of docs/HSM.md: what was measured on each token, one row a token, between two markers.

The tests of tests/system/test_tokens.py measure; each hands in what it found with note(). That must
be what the table says. With KEYWARD_HSM_MATRIX set to a directory the findings are kept there
instead, and scripts/hsm-matrix makes the table of them. Nothing in it depends on time.
"""
import json
import os
import pathlib

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "HSM.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
MECHANISMS = ("AES_CBC", "AES_CBC_PAD", "AES_GCM", "AES_ECB")

# name of a finding: heading of its column
COLUMNS = {
    "token": "token",
    "library": "library",
    **{name: name for name in MECHANISMS},
    "auto": "chosen by `auto`",
    "number_object": "key number object",
    "attributes": "attributes read back",
    "no_label": "found without a label",
    "same_id": "key with a CKA_ID in use",
    "extra_calls": "functions used beyond the 17",
    "life": "whole life",
}


def read():
    """{token: {finding: text}} as the document says."""
    text = DOCUMENT.read_text()
    table = text[text.index(BEGIN) + len(BEGIN):text.index(END)].strip().splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table]
    return {row[0]: dict(zip(COLUMNS, row)) for row in rows}


def write(rows):
    """Puts the table of {token: {finding: text}} into the document."""
    lines = ["| " + " | ".join(COLUMNS.values()) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(row.get(name, "not measured") for name in COLUMNS) + " |"
              for row in rows.values()]
    text = DOCUMENT.read_text()
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    DOCUMENT.write_text("\n".join([head + BEGIN, *lines, END + tail]))


def note(token, **findings):
    """What a test found on a token (a kind's name)."""
    kept = os.environ.get("KEYWARD_HSM_MATRIX")
    if kept is None:
        said = read().get(token, {})
        said = {name: said.get(name) for name in findings}
        assert said == findings, f"docs/HSM.md says otherwise of {token}: run scripts/hsm-matrix"
        return
    path = pathlib.Path(kept, f"{token}.json")
    before = json.loads(path.read_text()) if path.exists() else {"token": token}
    path.write_text(json.dumps({**before, **findings}))
