# SPDX-License-Identifier: Apache-2.0
"""TTLV (KMIP 1.4 section 9.1), its XML encoding, and ways to write it wrongly on purpose.

decode() is strict: a wrong length, padding that is not zero, bytes left over, a value beyond its type are all Malformed, so
that whatever the server sends is checked on the way. encode() is not: a Raw stands for any bytes at any place.
"""
import datetime
import re
import struct
import xml.etree.ElementTree as ElementTree

from spec import (
    BIG_INTEGER, BOOLEAN, BYTE_STRING, DATE_TIME, DATE_TIME_EXTENDED, ENUMERATION, INTEGER, INTERVAL, LONG_INTEGER, SPEC,
    STRUCTURE, TEXT_STRING, plain)

FIXED = {INTEGER: 4, LONG_INTEGER: 8, ENUMERATION: 4, BOOLEAN: 8, DATE_TIME: 8, INTERVAL: 4, DATE_TIME_EXTENDED: 8}
XML_TYPES = {
    "Structure": STRUCTURE, "Integer": INTEGER, "LongInteger": LONG_INTEGER, "BigInteger": BIG_INTEGER,
    "Enumeration": ENUMERATION, "Boolean": BOOLEAN, "TextString": TEXT_STRING, "ByteString": BYTE_STRING,
    "DateTime": DATE_TIME, "Interval": INTERVAL, "DateTimeExtended": DATE_TIME_EXTENDED,
}
DEPTH = 64


class Malformed(Exception):
    """The bytes are not one TTLV item."""


class Raw(bytes):
    """Bytes that are written as they are, in the place of an item."""


class Item:
    """One TTLV item. `value` is a list of items for a structure, else int, bool, str or bytes."""

    __slots__ = ("tag", "type", "value")

    def __init__(self, tag, kind, value):
        self.tag, self.type, self.value = tag, kind, value

    @property
    def name(self):
        return SPEC.name(self.tag)

    def all(self, name):
        """The children called so."""
        tag = SPEC.tag(name).value
        return [child for child in self.value if child.tag == tag]

    def find(self, *path):
        """The first item below, by its names; None when there is none."""
        here = self
        for name in path:
            found = here.all(name)
            if not found:
                return None
            here = found[0]
        return here

    def get(self, *path):
        """The value of the first item below, by its names; None when there is none."""
        found = self.find(*path)
        return None if found is None else found.value

    def walk(self):
        """This item and all below it."""
        yield self
        if self.type == STRUCTURE:
            for child in self.value:
                yield from child.walk()

    def __eq__(self, other):
        return isinstance(other, Item) and (self.tag, self.type, self.value) == (other.tag, other.type, other.value)

    def __repr__(self):
        if self.type == STRUCTURE:
            return f"{self.name}{{{', '.join(map(repr, self.value))}}}"
        if self.type == ENUMERATION and self.tag in SPEC.by_value and SPEC.by_value[self.tag].enum:
            enum = SPEC.enums[plain(SPEC.by_value[self.tag].enum)]
            return f"{self.name}={enum.by_value.get(self.value, hex(self.value))}"
        if isinstance(self.value, bytes):
            return f"{self.name}={self.value.hex()}"
        return f"{self.name}={self.value!r}"


def item(name, value, kind=None, version=(1, 4)):
    """An item by its standard name; the type is the tag's (the first that fits the value), a list makes a structure."""
    tag = SPEC.tag(name)
    if kind is None:
        kind = guess(tag.types_in(version), value)
    if isinstance(value, str) and (kind == ENUMERATION or (kind == INTEGER and tag.enum)):
        value = SPEC.member(tag.enum, value)
    return Item(tag.value, kind, value)


def guess(types, value):
    fitting = {list: (STRUCTURE,), bool: (BOOLEAN,), bytes: (BYTE_STRING, BIG_INTEGER),
               str: (TEXT_STRING, ENUMERATION, INTEGER),
               int: (INTEGER, ENUMERATION, LONG_INTEGER, DATE_TIME, INTERVAL, BIG_INTEGER, DATE_TIME_EXTENDED)}[type(value)]
    if len(types) == 1:
        return types[0]
    for kind in types:
        if kind in fitting:
            return kind
    return types[0]


# ---- binary --------------------------------------------------------------------------------


def header(tag, kind, length):
    return tag.to_bytes(3, "big") + bytes([kind]) + struct.pack(">I", length)


def big_integer(value):
    size = max(8, (value.bit_length() // 64 + 1) * 8)
    return value.to_bytes(size, "big", signed=True)


def body(node):
    kind, value = node.type, node.value
    if isinstance(value, Raw):
        return bytes(value)
    if kind == STRUCTURE:
        return b"".join(encode(child) for child in value)
    if kind == INTEGER:
        return struct.pack(">i", value)
    if kind in (ENUMERATION, INTERVAL):
        return struct.pack(">I", value)
    if kind in (LONG_INTEGER, DATE_TIME, DATE_TIME_EXTENDED):
        return struct.pack(">q", value)
    if kind == BIG_INTEGER:
        return big_integer(value)
    if kind == BOOLEAN:
        return struct.pack(">q", 1 if value else 0)
    if kind == TEXT_STRING:
        return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)
    return bytes(value)


def encode(node):
    """The bytes of an item; a Raw comes out as it is."""
    if isinstance(node, Raw):
        return bytes(node)
    content = body(node)
    return header(node.tag, node.type, len(content)) + content + bytes(-len(content) % 8)


def decode(data):
    """The one item that the bytes hold."""
    node, rest = decode_item(data, 0, len(data), 0)
    if rest != len(data):
        raise Malformed(f"{len(data) - rest} bytes after the message")
    return node


def decode_item(data, at, end, depth):
    if depth > DEPTH:
        raise Malformed("structures are nested too deep")
    if end - at < 8:
        raise Malformed(f"{end - at} bytes where an item should begin")
    tag, kind = int.from_bytes(data[at:at + 3], "big"), data[at + 3]
    length = int.from_bytes(data[at + 4:at + 8], "big")
    start, stop = at + 8, at + 8 + length
    padded = stop + -length % 8
    if padded > end:
        raise Malformed(f"item {tag:06x} of {length} bytes overruns what holds it")
    if any(data[stop:padded]):
        raise Malformed(f"padding of item {tag:06x} is not zero")
    if kind in FIXED and length != FIXED[kind]:
        raise Malformed(f"item {tag:06x} of type {kind} has length {length}")
    return Item(tag, kind, decode_value(data, tag, kind, start, stop, depth)), padded


def decode_value(data, tag, kind, start, stop, depth):
    content = data[start:stop]
    if kind == STRUCTURE:
        children = []
        while start < stop:
            child, start = decode_item(data, start, stop, depth + 1)
            children.append(child)
        return children
    if kind in (INTEGER, LONG_INTEGER, DATE_TIME, DATE_TIME_EXTENDED):
        return int.from_bytes(content, "big", signed=True)
    if kind in (ENUMERATION, INTERVAL):
        return int.from_bytes(content, "big")
    if kind == BIG_INTEGER:
        if not content or len(content) % 8:
            raise Malformed(f"big integer {tag:06x} has length {len(content)}")
        return int.from_bytes(content, "big", signed=True)
    if kind == BOOLEAN:
        number = int.from_bytes(content, "big")
        if number > 1:
            raise Malformed(f"boolean {tag:06x} is {number}")
        return bool(number)
    if kind == TEXT_STRING:
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed(f"text {tag:06x} is not UTF-8") from error
    if kind == BYTE_STRING:
        return content
    raise Malformed(f"item {tag:06x} has the unknown type {kind}")


# ---- XML (KMIP Profiles 1.4 section 5.4) ---------------------------------------------------


def from_xml(element, bind=lambda text, kind: text):
    """An item from its XML element. `bind` is shown each value and may give another object for it (a variable's value)."""
    return xml_item(element, bind, None)


def xml_item(element, bind, attribute):
    tag = SPEC.tag(element.tag)
    if "type" not in element.attrib or element.get("type") == "Structure":
        children, inside = [], None
        for child in element:
            if child.tag == "AttributeName":
                inside = child.get("value")
            children.append(xml_item(child, bind, inside))
        return Item(tag.value, STRUCTURE, children)
    kind = XML_TYPES[element.get("type")]
    enum = tag.enum
    if element.tag == "AttributeValue" and attribute and plain(attribute) in SPEC.by_name:
        enum = SPEC.tag(attribute).enum
    text = bind(element.get("value", ""), kind)
    return Item(tag.value, kind, xml_value(text, kind, enum))


def xml_value(text, kind, enum):
    if not isinstance(text, str):
        return text
    if kind == ENUMERATION:
        return SPEC.member(enum, text) if enum else int(text, 0)
    if kind == INTEGER:
        return int(text) if text.lstrip("-").isdigit() else SPEC.member(enum, text)
    if kind == BIG_INTEGER:
        return int.from_bytes(bytes.fromhex(text), "big", signed=True)
    if kind in (LONG_INTEGER, INTERVAL):
        return int(text, 0)
    if kind == BOOLEAN:
        return text == "true"
    if kind == BYTE_STRING:
        return bytes.fromhex(text)
    if kind == DATE_TIME:
        return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())
    return text


def to_xml(node):
    """The XML element of an item."""
    element = ElementTree.Element(re.sub(r"[^A-Za-z0-9]", "", node.name))
    if node.type == STRUCTURE:
        element.extend(to_xml(child) for child in node.value)
        return element
    element.set("type", next(name for name, kind in XML_TYPES.items() if kind == node.type))
    element.set("value", xml_text(node))
    return element


def xml_text(node):
    if node.type == BOOLEAN:
        return "true" if node.value else "false"
    if node.type == BYTE_STRING:
        return node.value.hex()
    if node.type == BIG_INTEGER:
        return big_integer(node.value).hex()
    if node.type == DATE_TIME:
        return datetime.datetime.fromtimestamp(node.value, datetime.timezone.utc).isoformat()
    if node.type == ENUMERATION:
        return f"0x{node.value:08x}"
    return str(node.value)
