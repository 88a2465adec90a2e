#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Plays OASIS KMIP test cases (XML files) as binary TTLV over TLS and compares answer with answer.

    vectors.py [-v] [CASE…]   plays the applicable cases (or those named) and says which agree
    vectors.py --update       the same, then rewrites passing.txt, the list of cases that must pass

The directory of the cases is KEYWARD_KMIP_VECTORS, the server that of KMIP_HOST, KMIP_PORT, KMIP_CA, KMIP_CERT and KMIP_KEY
(scripts/with-server sets them). A case applies when the server reports every operation that it uses at the case's version.

Forgiven are: the order of siblings, additional attributes, dates, message texts and names of the server, key material that
the server made, and what Query lists beyond the case. Nothing else: every status, reason and item has to agree.
"""
import hashlib
import os
import pathlib
import re
import sys
import time
import xml.etree.ElementTree as ElementTree

import client as kmip
import ttlv
from spec import BIG_INTEGER, BYTE_STRING, DATE_TIME, SPEC, STRUCTURE

PASSING = pathlib.Path(__file__).with_name("passing.txt")
# Texts that the server chooses and no client sent.
SERVER_TEXTS = {"Result Message", "Vendor Identification", "Server Correlation Value"}
OPTIONAL = {"Result Message", "Server Correlation Value"}
MAKING = {"Create", "Create Key Pair", "Register", "Re-key", "Re-key Key Pair", "Derive Key", "Certify", "Re-certify",
          "Create Split Key", "Join Split Key", "Import"}
NAMES = SPEC.enums["operation"].by_value


class Variable:
    """$NAME in a case, or $NOW with an offset."""

    def __init__(self, text):
        self.name, self.offset = text, 0
        match = re.fullmatch(r"(\$NOW)([+-]\d+)?", text)
        if match:
            self.name, self.offset = "$NOW", int(match.group(2) or 0)

    def __repr__(self):
        return self.name


class Mismatch(Exception):
    """What the server answered is not what the case says."""


class Case:
    """One file: a name such as "1.4/SKLC-M-1-14", its version and its pairs of request and response."""

    def __init__(self, path):
        self.path = path
        self.name = f"{path.parent.parent.name}/{path.stem}"
        messages = [element for element in ElementTree.parse(path).getroot()
                    if element.tag in ("RequestMessage", "ResponseMessage")]
        self.steps = list(zip(messages[::2], messages[1::2]))
        version = messages[0].find("RequestHeader/ProtocolVersion")
        self.version = tuple(int(version.find(f"ProtocolVersion{part}").get("value")) for part in ("Major", "Minor"))
        self.operations = {NAMES[SPEC.member("Operation", element.get("value"))]
                           for request, _ in self.steps for element in request.iterfind("BatchItem/Operation")}

    def before(self):
        """The case that leaves the objects which this one looks for; None for a case that makes its own."""
        number = re.fullmatch(r"(.*-)(\d+)(-\d+)", self.path.stem)
        if self.operations & MAKING or "Locate" not in self.operations or not number:
            return None
        path = self.path.with_name(f"{number[1]}{int(number[2]) - 1}{number[3]}.xml")
        return Case(path) if path.exists() else None


def cases(directory):
    """Every case below a directory, in the order of their names."""
    paths = sorted(pathlib.Path(directory).glob("[12].*/*/*.xml"))
    return sorted((Case(path) for path in paths), key=lambda case: natural(case.name))


def natural(text):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def vectors_directory():
    return os.environ.get("KEYWARD_KMIP_VECTORS")


def passing():
    return [line for line in PASSING.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]


def applicable(all_cases, endpoint):
    """(cases that apply, {operation: cases that use it and which the server does not have})."""
    served, chosen, missing = {}, [], {}
    for case in all_cases:
        if case.version not in served:
            served[case.version] = operations_at(endpoint, case.version)
        lacking = case.operations - served[case.version]
        if not lacking:
            chosen.append(case)
        for name in lacking:
            missing.setdefault(name, []).append(case)
    return chosen, missing


def operations_at(endpoint, version):
    """What the server reports at a version; nothing where it does not speak it."""
    with endpoint.connect(version) as client:
        try:
            return client.operations()
        except kmip.Refused:
            return set()


def not_applicable(missing):
    """One line about the cases that are left out."""
    left = {case.name for those in missing.values() for case in those}
    each = ", ".join(f"{name} {len(those)}" for name, those in sorted(missing.items()))
    return f"not applicable: {len(left)} cases (operation {each})" if left else "not applicable: 0 cases"


# ---- playing -------------------------------------------------------------------------------


class Play:
    """One run of one case: the bound variables, and what the client has sent."""

    def __init__(self, case, endpoint):
        self.case, self.endpoint = case, endpoint
        self.bound = {"$NOW": int(time.time())}
        self.sent = set()
        self.made = []

    def run(self, trace=None):
        with self.endpoint.connect(self.case.version) as client:
            try:
                before = self.case.before()
                if before:
                    self.steps(client, before, trace)
                    self.bound = {"$NOW": int(time.time())}
                self.steps(client, self.case, trace)
            finally:
                self.clean_up(client)

    def steps(self, client, case, trace):
        for number, (request, response) in enumerate(case.steps):
            self.step(client, f"{case.path.stem} step {number}", request, response, trace)

    def step(self, client, where, request, response, trace):
        asked = ttlv.from_xml(request, self.fill)
        expected = ttlv.from_xml(response, variable)
        self.remember(asked)
        if trace:
            trace(f"> {asked}")
        answer = client.exchange(asked).node
        if trace:
            trace(f"< {answer}")
        self.note_objects(answer)
        try:
            self.compare_message(expected, answer)
        except Mismatch as fault:
            what = "+".join(element.get("value") for element in request.iterfind("BatchItem/Operation"))
            raise Mismatch(f"{where} ({what}): {fault}\n  case:   {expected}\n  server: {answer}") from fault

    def fill(self, text, kind):
        found = variable(text, kind)
        if not isinstance(found, Variable):
            return found
        if found.name not in self.bound:
            raise Mismatch(f"the case uses {found} before a value is known")
        return self.bound[found.name] + found.offset if kind == DATE_TIME else self.bound[found.name]

    def remember(self, asked):
        """Byte values of the client; what is not among them the server made."""
        for node in asked.walk():
            if node.type == BYTE_STRING:
                self.sent.add(node.value)
            elif node.type == BIG_INTEGER:
                self.sent.add(ttlv.big_integer(node.value))

    def is_sent(self, value):
        if value in self.sent:
            return True
        return any(hashlib.new(name, one).digest() == value for one in self.sent for name in ("sha1", "sha256", "sha512"))

    def note_objects(self, answer):
        for made in answer.all("Batch Item"):
            payload = made.find("Response Payload")
            if payload is not None and NAMES.get(made.get("Operation")) in MAKING:
                self.made += [child.value for child in payload.value if child.name.endswith("Unique Identifier")]

    def clean_up(self, client):
        """Destroys what the case left behind, so that the next finds what it expects. Refusals do not matter here."""
        try:
            for uid in self.made:
                client.batch(kmip.revoke(uid, "Cessation of Operation"))
                client.batch(kmip.destroy(uid))
        except (kmip.Closed, ttlv.Malformed, OSError):
            pass

    # ---- comparing ----

    def compare_message(self, expected, answer):
        self.compare(expected.find("Response Header"), answer.find("Response Header"), "header")
        wanted, given = expected.all("Batch Item"), answer.all("Batch Item")
        if len(wanted) != len(given):
            raise Mismatch(f"{len(given)} batch items, the case has {len(wanted)}")
        for one, other in zip(wanted, given):
            self.compare(one, other, "batch item")

    def compare(self, expected, answer, where):
        """Raises Mismatch unless the items agree; binds the variables that they meet."""
        if (expected.tag, expected.type) != (answer.tag, answer.type):
            raise Mismatch(f"{where}: {answer} instead of {expected}")
        if expected.type == STRUCTURE:
            self.compare_children(expected, answer, f"{where}/{expected.name}")
        else:
            self.compare_value(expected, answer, where)

    def compare_children(self, expected, answer, where):
        if expected.name == "Server Information":
            return
        left = list(answer.value)
        for child in expected.value:
            found = self.take(child, left)
            if found is not None:
                left.remove(found)
            elif child.name not in OPTIONAL:
                self.explain(child, left, where)
        for extra in left:
            if not self.may_be_extra(extra, expected, where):
                raise Mismatch(f"{where}: the answer has a further {extra!r}")

    def explain(self, child, left, where):
        """Raises the Mismatch for a child of the case that nothing in the answer agrees with."""
        alike = [one for one in left if one.tag == child.tag]
        if child.name == "Attribute":
            alike = [one for one in alike if one.get("Attribute Name") == child.get("Attribute Name")]
        if len(alike) == 1:
            self.compare(child, alike[0], where)
        raise Mismatch(f"{where}: no {child!r} in the answer")

    def take(self, child, left):
        """The first item left that agrees with a child of the case; bindings of those that do not are taken back."""
        for candidate in left:
            before = dict(self.bound)
            try:
                self.compare(child, candidate, "")
                return candidate
            except Mismatch:
                self.bound = before
        return None

    def may_be_extra(self, extra, parent, where):
        if extra.name in OPTIONAL:
            return True
        if parent.name == "Attributes" or (parent.name == "Response Payload" and extra.name in (
                "Attribute", "Attribute Name", "Attribute Reference")):
            return "Key Value" not in where
        return parent.name == "Response Payload" and self.is_query(parent) and extra.name in QUERY_LISTS

    @staticmethod
    def is_query(payload):
        return not payload.value or all(child.name in QUERY_LISTS for child in payload.value)

    def compare_value(self, expected, answer, where):
        wanted, given = expected.value, answer.value
        if isinstance(wanted, Variable):
            if expected.type == DATE_TIME:
                return
            if self.bound.setdefault(wanted.name, given) != given:
                raise Mismatch(f"{where}: {answer!r} instead of {wanted}, which is {self.bound[wanted.name]!r}")
            return
        if wanted == given or expected.type == DATE_TIME or expected.name in SERVER_TEXTS:
            return
        if expected.type == BYTE_STRING and self.made_by_server(expected):
            return
        if expected.type == BIG_INTEGER and not self.is_sent(ttlv.big_integer(wanted)):
            return
        raise Mismatch(f"{where}: {answer!r} instead of {expected!r}")

    def made_by_server(self, expected):
        """Key material and digests of it, and random data, are the server's unless the client has sent them before."""
        return expected.name in SERVER_MADE and not self.is_sent(expected.value)


QUERY_LISTS = {cells[1] for cells in SPEC.operations["Query"] if cells[0] == "rsp"}
SERVER_MADE = {"Key Material", "Digest Value", "Certificate Value"}


def variable(text, _kind):
    return Variable(text) if text.startswith("$") else text


def play(case, endpoint, trace=None):
    """None when the case agrees, else what does not."""
    try:
        Play(case, endpoint).run(trace)
    except (Mismatch, ttlv.Malformed, kmip.Closed, OSError) as fault:
        return f"{type(fault).__name__}: {fault}"
    return None


# ---- command -------------------------------------------------------------------------------


def main(arguments):
    directory = vectors_directory()
    if directory is None:
        sys.exit("vectors: set KEYWARD_KMIP_VECTORS to the directory of the cases")
    endpoint = kmip.Endpoint.from_environment()
    chosen, missing = applicable(cases(directory), endpoint)
    named = [argument for argument in arguments if not argument.startswith("-")]
    if named:
        chosen = [case for case in cases(directory) if case.name in named or case.path.stem in named]
    good = []
    for case in chosen:
        fault = play(case, endpoint, print if "-v" in arguments else None)
        print(f"{case.name}: {'agrees' if fault is None else fault}", flush=True)
        if fault is None:
            good.append(case.name)
    print(f"{len(good)} of {len(chosen)} cases agree; {not_applicable(missing)}")
    if "--update" in arguments and not named:
        head = "# The cases that must pass, kept by `vectors.py --update`.\n"
        PASSING.write_text(head + "".join(f"{name}\n" for name in good), encoding="utf-8")
    return 0 if len(good) == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
