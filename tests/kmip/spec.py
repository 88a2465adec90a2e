# SPDX-License-Identifier: Apache-2.0
"""KMIP's vocabulary, read from the tables under spec/kmip.

Names are looked up however they are spelt: "Unique Identifier", "UniqueIdentifier" and "unique_identifier" are one, "3DES"
and "DES3" too. Nothing of the C side is used, so that a fault there cannot hide here.
"""
import pathlib
import re

TABLES = pathlib.Path(__file__).resolve().parents[2] / "spec" / "kmip"

STRUCTURE, INTEGER, LONG_INTEGER, BIG_INTEGER, ENUMERATION, BOOLEAN = 1, 2, 3, 4, 5, 6
TEXT_STRING, BYTE_STRING, DATE_TIME, INTERVAL, DATE_TIME_EXTENDED = 7, 8, 9, 10, 11
TYPES = {
    "Structure": STRUCTURE, "Integer": INTEGER, "Long Integer": LONG_INTEGER, "Big Integer": BIG_INTEGER,
    "Enumeration": ENUMERATION, "Boolean": BOOLEAN, "Text String": TEXT_STRING, "Byte String": BYTE_STRING,
    "Date-Time": DATE_TIME, "Interval": INTERVAL, "Date-Time Extended": DATE_TIME_EXTENDED,
}


def plain(name):
    """The spelling under which names are compared."""
    letters = re.sub(r"[^a-z0-9]", "", name.lower())
    digits = re.match(r"\d+", letters)
    return letters[digits.end():] + digits.group() if digits else letters


def rows(name):
    """Yields (section head or None, cells) for each row of a table."""
    section = None
    for line in (TABLES / name).read_text(encoding="utf-8").splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            section = [cell.strip() for cell in line[1:-1].split("|")]
            continue
        cells = [cell.strip() for cell in line.split("|")]
        yield section, cells + [""] * (6 - len(cells))


def version_of(text, default):
    """"1.4" as (1, 4)."""
    return tuple(int(part) for part in text.split(".")) if text else default


class Tag:
    """One row of tags.tbl: types before and since KMIP 2.0, the enumeration or mask, and the versions."""

    def __init__(self, cells):
        self.value = int(cells[0], 16)
        self.name = cells[1]
        before, _, after = cells[2].partition(";")
        self.types = [TYPES[t.strip()] for t in before.split(",")]
        after = re.sub(r"^\s*2\.0", "", after).strip()
        self.types_2 = [TYPES[t.strip()] for t in after.split(",")] if after else self.types
        self.enum = cells[3] or None
        self.first = version_of(cells[4], (1, 0))
        self.last = version_of(cells[5], (2, 1))

    def types_in(self, version):
        return self.types_2 if version >= (2, 0) else self.types

    def known_in(self, version):
        return self.first <= version <= self.last


class Enumeration:
    """Members by plain name and by value, with the versions that know them."""

    def __init__(self, name, kind):
        self.name, self.kind = name, kind
        self.by_name, self.by_value, self.versions = {}, {}, {}

    def add(self, cells):
        value = int(cells[0], 16)
        self.by_name.setdefault(plain(cells[1]), value)
        self.by_value.setdefault(value, cells[1])
        self.versions.setdefault(value, (version_of(cells[2], (1, 0)), version_of(cells[3], (2, 1))))

    def known_in(self, value, version):
        if value >= 0x80000000:
            return True
        first, last = self.versions.get(value, ((9, 9), (0, 0)))
        return first <= version <= last


class Spec:
    """Tags, enumerations, attributes and operations."""

    def __init__(self):
        self.tags = [Tag(cells) for _, cells in rows("tags.tbl")]
        self.by_value = {tag.value: tag for tag in self.tags}
        self.by_name = {plain(tag.name): tag for tag in self.tags}
        self.enums = {}
        for head, cells in rows("enums.tbl"):
            name = plain(head[0])
            self.enums.setdefault(name, Enumeration(head[0], head[1])).add(cells)
        tags = self.enums.setdefault("tag", Enumeration("Tag", "tag"))
        for tag in self.tags:
            tags.by_name[plain(tag.name)] = tag.value
            tags.by_value[tag.value] = tag.name
            tags.versions[tag.value] = (tag.first, tag.last)
        tags.kind = "tag"
        self.attributes = {cells[0]: cells for _, cells in rows("attributes.tbl")}
        self.operations = {}
        for head, cells in rows("operations.tbl"):
            self.operations.setdefault(head[0], []).append(cells)

    def tag(self, name):
        """The tag of a name or number."""
        if isinstance(name, int):
            return self.by_value[name]
        return self.by_name[plain(name)]

    def name(self, value):
        return self.by_value[value].name if value in self.by_value else f"{value:06x}"

    def member(self, enum, name):
        """The number of an enumeration's member, or of a mask's members separated by blanks."""
        if isinstance(name, int):
            return name
        if re.fullmatch(r"0x[0-9a-fA-F]+", name):
            return int(name, 16)
        found = self.enums[plain(enum)]
        if found.kind != "mask":
            return found.by_name[plain(name)]
        if plain(name) in found.by_name:
            return found.by_name[plain(name)]
        bits = 0
        for part in re.split(r"[\s|]+", name.strip()):
            bits |= int(part, 0) if re.fullmatch(r"0x[0-9a-fA-F]+|\d+", part) else found.by_name[plain(part)]
        return bits


SPEC = Spec()
