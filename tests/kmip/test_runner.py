# SPDX-License-Identifier: Apache-2.0
"""The runner itself: the codec refuses what is wrong, the comparison forgives what it may and nothing else."""
import xml.etree.ElementTree as ElementTree

import client as kmip
import pytest
import ttlv
import vectors
from spec import SPEC, TEXT_STRING
from ttlv import Item, item

KEY = bytes(range(16))


def answer(*payload, status="Success", reason=None, header=()):
    why = [] if reason is None else [item("Result Reason", reason)]
    return item("Response Message", [
        item("Response Header", [kmip.protocol_version((1, 4)), item("Time Stamp", 1), *header, item("Batch Count", 1)]),
        item("Batch Item", [item("Operation", "Get Attributes"), item("Result Status", status), *why,
                            item("Response Payload", list(payload))])])


def agree(expected, given, sent=()):
    play = vectors.Play(None, None)
    play.sent = set(sent)
    try:
        play.compare_message(expected, given)
    except vectors.Mismatch:
        return False
    return True


UID = item("Unique Identifier", "1")
STATE = kmip.attribute_1("State", "Active")
NAME = kmip.attribute_1("Name", "key")


@pytest.mark.parametrize("bytes_in_hex", [
    "42006a02", "42006a0200000004", "42006a0200000004000000010000000142", "42006a02000000040000000100000001",
    "42006a02000000080000000000000001", "4200060600000008000000000000000200", "42006a0100000010" + "42006a020000000400000001",
    "420055070000000280810000" + "00000000", "42006a0c0000000400000001" + "00000000", "42002704" + "00000000",
], ids=["cut in the tag", "cut before the value", "bytes left over", "padding not zero", "integer of 8 bytes", "boolean 2",
        "structure longer than its content", "text not UTF-8", "type unknown", "big integer empty"])
def test_codec_refuses(bytes_in_hex):
    with pytest.raises(ttlv.Malformed):
        ttlv.decode(bytes.fromhex(bytes_in_hex))


@pytest.mark.parametrize("number", [0, 1, -1, 127, 128, -128, 2 ** 63 - 1, 2 ** 63, -2 ** 63, 2 ** 64, 2 ** 2047, -2 ** 200])
def test_codec_keeps_big_integers(number):
    made = item("Modulus", number)
    assert ttlv.decode(ttlv.encode(made)) == made
    assert len(ttlv.encode(made)) % 8 == 0


def test_codec_reads_what_it_writes():
    made = kmip.message((2, 1), kmip.create((2, 1), kmip.key_attributes("näme") + [("x-Custom", 7)]), maximum=1024)
    assert ttlv.decode(ttlv.encode(made)) == made
    assert ttlv.from_xml(ttlv.to_xml(made)) == made


def test_enumerations_are_read_from_the_xml_spelling():
    element = ElementTree.fromstring('<CryptographicAlgorithm type="Enumeration" value="DES3"/>')
    assert ttlv.from_xml(element).value == SPEC.member("Cryptographic Algorithm", "3DES")


def test_order_of_siblings_is_forgiven():
    assert agree(answer(UID, STATE, NAME), answer(UID, NAME, STATE))


def test_additional_attribute_is_forgiven():
    assert agree(answer(UID, STATE), answer(UID, STATE, NAME))


def test_missing_attribute_is_not_forgiven():
    assert not agree(answer(UID, STATE, NAME), answer(UID, STATE))


def test_other_value_is_not_forgiven():
    assert not agree(answer(UID, STATE), answer(UID, kmip.attribute_1("State", "Pre-Active")))


def test_other_status_and_reason_are_not_forgiven():
    failed = answer(status="Operation Failed", reason="Item Not Found")
    assert agree(failed, failed)
    assert not agree(failed, answer())
    assert not agree(failed, answer(status="Operation Failed", reason="Invalid Field"))


def test_further_items_are_not_forgiven():
    assert not agree(answer(UID), answer(UID, item("Object Type", "Symmetric Key")))
    assert not agree(answer(UID), answer(UID, header=[item("Client Correlation Value", "echo")]))


def test_key_material_is_forgiven_only_when_the_server_made_it():
    one, other = item("Key Material", KEY), item("Key Material", KEY[::-1])
    assert agree(answer(one), answer(other))
    assert not agree(answer(one), answer(other), sent=[KEY])


def test_variable_is_bound_once():
    variable = Item(SPEC.tag("Unique Identifier").value, TEXT_STRING, vectors.Variable("$UNIQUE_IDENTIFIER_0"))
    linked = Item(SPEC.tag("Linked Object Identifier").value, TEXT_STRING, vectors.Variable("$UNIQUE_IDENTIFIER_0"))
    assert agree(answer(variable, linked), answer(UID, item("Linked Object Identifier", "1")))
    assert not agree(answer(variable, linked), answer(UID, item("Linked Object Identifier", "2")))
