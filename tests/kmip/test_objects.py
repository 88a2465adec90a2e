# SPDX-License-Identifier: Apache-2.0
"""Objects: their life cycle, their names, whose they are, and what is not given in clear."""
import time

import client as kmip
import pytest
import ttlv
from client import FAILED
from spec import ENUMERATION, INTEGER, SPEC, TEXT_STRING
from ttlv import Item, item

NOBODY = "there-is-no-such-object"
NOT_FOUND = ("Item Not Found", "Object Not Found")


# ---- 8: life cycle -------------------------------------------------------------------------


def test_pre_active_key_can_be_fetched(key):
    client, uid = key
    assert client.state(uid) == "Pre-Active"
    assert len(client.call(kmip.get(uid)).get("Symmetric Key", "Key Block", "Key Value", "Key Material")) == 32


def test_pre_active_key_can_be_revoked_and_destroyed(key):
    client, uid = key
    client.call(kmip.revoke(uid, "Cessation of Operation"))
    client.call(kmip.destroy(uid))


def test_pre_active_key_can_be_destroyed(key):
    client, uid = key
    client.call(kmip.destroy(uid))


def test_attributes_of_a_destroyed_object_can_be_read(key, some_version):
    client, uid = key
    client.call(kmip.destroy(uid))
    assert client.state(uid) == "Destroyed"
    assert "Destroy Date" in client.attributes(uid)
    answer = client.batch(kmip.get(uid)).items[0]
    assert answer.reason_is("Permission Denied" if some_version < (2, 0) else "Object Destroyed", *NOT_FOUND), answer.node


def test_active_key_must_be_revoked_before_it_is_destroyed(key, some_version):
    client, uid = key
    client.call(kmip.activate(uid))
    answer = client.batch(kmip.destroy(uid)).items[0]
    assert answer.reason_is("Permission Denied" if some_version < (2, 0) else "Wrong Key Lifecycle State"), answer.node
    assert client.state(uid) == "Active"


def test_compromised_key_says_why_and_when(key):
    client, uid = key
    client.call(kmip.activate(uid))
    client.call(kmip.revoke(uid, "Key Compromise", "it leaked", int(time.time()) - 60))
    found = client.attributes(uid, "State", "Revocation Reason", "Compromise Date", "Compromise Occurrence Date")
    assert found["State"] == [SPEC.member("State", "Compromised")]
    assert [part.value for part in found["Revocation Reason"][0]] == [
        SPEC.member("Revocation Reason Code", "Key Compromise"), "it leaked"]
    assert {"Compromise Date", "Compromise Occurrence Date"} <= set(found)


def test_key_with_an_activation_date_in_the_past_is_active(connect, some_version):
    client = connect(some_version)
    uid = client.create(attributes=[("Activation Date", int(time.time()) - 3600)])
    assert client.state(uid) == "Active"
    client.destroy(uid)


def test_second_activation_is_refused(key, some_version):
    client, uid = key
    client.call(kmip.activate(uid))
    answer = client.batch(kmip.activate(uid)).items[0]
    assert answer.reason_is("Permission Denied" if some_version < (2, 0) else "Wrong Key Lifecycle State"), answer.node


# ---- names ---------------------------------------------------------------------------------


def test_rekeyed_key_keeps_its_value_and_loses_its_name(connect, some_version):
    client = connect(some_version)
    uid = client.create(f"rekeyed {some_version}", active=True)
    new = client.call(kmip.rekey(uid, 3600)).get("Unique Identifier")
    assert new != uid and client.state(new) == "Pre-Active" and client.state(uid) == "Active"
    assert "Name" not in client.attributes(uid) and "Name" in client.attributes(new)
    assert "Link" in client.attributes(uid) and "Link" in client.attributes(new)
    values = [client.call(kmip.get(which)).get("Symmetric Key", "Key Block", "Key Value", "Key Material") for which in (uid, new)]
    assert values[0] != values[1]
    assert client.batch(kmip.rekey(uid)).items[0].status == FAILED


def test_name_is_unique_among_the_endpoints_objects(connect, some_version):
    client, name = connect(some_version), f"unique-{some_version[0]}.{some_version[1]}"
    uid = client.create(name)
    answer = client.batch(kmip.create(some_version, kmip.key_attributes(name))).items[0]
    assert answer.reason_is("Invalid Field" if some_version < (2, 0) else "Non Unique Name Attribute"), answer.node
    assert client.locate(("Name", name)) == [uid]
    other = client.create()
    assert client.batch(kmip.add_attribute(some_version, other, "Name", name)).items[0].status == FAILED
    assert client.locate(("Name", name)) == [uid]
    for one in (uid, other):
        client.destroy(one)


def test_name_is_free_again_when_its_object_is_destroyed(connect):
    client = connect()
    client.destroy(client.create("free-again"))
    uid = client.create("free-again")
    assert uid in client.locate(("Name", "free-again"))
    client.destroy(uid)


@pytest.mark.parametrize("name", ["naïve-ключ-鍵-🔑", "a" * 255, "with blank", "x=1,y=2", "../../etc/passwd",
                                  "a\\b\"c'd", "%s%n"])
def test_name_in_any_script_is_kept_and_located(connect, some_version, name):
    client = connect(some_version)
    uid = client.create(name)
    assert client.locate(("Name", name)) == [uid]
    assert client.attributes(uid, "Name")["Name"][0][0].value == name
    client.destroy(uid)


BAD_NAMES = {
    "NUL inside": b"a\0b", "overlong NUL": b"a\xc0\x80", "lone surrogate": b"\xed\xa0\x80", "cut short": b"a\xe2\x82",
    "line break": b"x\r\n2030-01-01 event=alert fake", "terminal escape": b"\x1b]0;owned\x07", "empty": b"",
    "right-to-left override": "a\u202eb".encode(), "formula": b"=cmd|' /C calc'!A0", "1 MiB": b"n" * (1 << 20),
    "70,000 bytes": b"n" * 70000,
}


@pytest.mark.parametrize("what", BAD_NAMES)
def test_name_that_could_mislead_is_refused_or_only_data(connect, server, what):
    client = connect()
    value = [Item(SPEC.tag("Name Value").value, TEXT_STRING, BAD_NAMES[what]), item("Name Type", "Uninterpreted Text String")]
    try:
        answer = client.batch(kmip.create((1, 4), [*kmip.key_attributes(), kmip.attribute_1("Name", value)])).items[0]
    except kmip.Closed:
        assert what == "1 MiB"
        return
    if answer.ok:
        uid = answer.payload.get("Unique Identifier")
        assert client.attributes(uid, "Name")["Name"][0][0].value.encode() == BAD_NAMES[what]
        client.destroy(uid)
    else:
        assert answer.reason_is("Invalid Field", "Invalid Message", "Response Too Large"), answer.node
    assert what in ("right-to-left override", "formula") or not answer.ok
    assert "\x1b" not in server.log() and "\nx\r" not in server.log() and "\n2030-01-01" not in server.log()


# ---- other owners --------------------------------------------------------------------------



def at_once(endpoint, count, make):
    """Sends make(n) over as many connections, all before any answer is read; gives the answers."""
    clients = [endpoint.connect() for _ in range(count)]
    try:
        for number, client in enumerate(clients):
            client.send(ttlv.encode(kmip.message((1, 4), make(number))))
        return [client.receive().items[0] for client in clients]
    finally:
        for client in clients:
            client.close()


def test_forty_creates_of_one_name_at_once_make_one_object(endpoint, connect):
    answers = at_once(endpoint, 40, lambda _: kmip.create((1, 4), kmip.key_attributes("wanted-by-forty")))
    made = [answer.payload.get("Unique Identifier") for answer in answers if answer.ok]
    assert len(made) == 1 and connect().locate(("Name", "wanted-by-forty")) == made
    assert all(answer.ok or answer.reason_is("Invalid Field") for answer in answers)
    connect().destroy(made[0])


@pytest.mark.parametrize("step", [kmip.activate, kmip.destroy])
def test_forty_equal_steps_of_one_object_at_once_succeed_once(endpoint, connect, step):
    client = connect()
    uid = client.create()
    answers = at_once(endpoint, 40, lambda _: step(uid))
    assert [answer.ok for answer in answers].count(True) == 1
    assert client.state(uid) == ("Active" if step is kmip.activate else "Destroyed")


def test_steps_in_any_order_at_once_leave_a_legal_state(endpoint, connect):
    """Activate, Revoke and Destroy race; what each was told agrees with the state in the end."""
    client = connect()
    for _ in range(10):
        uid = client.create()
        steps = [kmip.activate(uid), kmip.revoke(uid), kmip.destroy(uid)]
        answers = at_once(endpoint, 12, lambda number, steps=steps: steps[number % 3])
        destroyed = any(answer.ok for answer in answers[2::3])
        assert [answer.ok for answer in answers[2::3]].count(True) <= 1
        assert (client.state(uid) == "Destroyed") is destroyed
        assert destroyed or client.state(uid) in ("Active", "Deactivated")


def test_destroyed_key_is_not_given_to_anybody_afterwards(endpoint, connect):
    """A reader that had the key in use must not serve it once Destroy was answered."""
    client = connect()
    readers = [endpoint.connect() for _ in range(8)]
    try:
        for _ in range(10):
            uid = client.create()
            assert all(reader.batch(kmip.get(uid)).items[0].ok for reader in readers)
            client.call(kmip.destroy(uid))
            assert not any(reader.batch(kmip.get(uid)).items[0].ok for reader in readers)
    finally:
        for reader in readers:
            reader.close()


def test_change_is_seen_by_everybody_as_soon_as_it_is_answered(endpoint, connect):
    client = connect()
    readers = [endpoint.connect() for _ in range(8)]
    try:
        uid = client.create()
        for number in range(20):
            client.call(kmip.add_attribute((1, 4), uid, f"x-{number}", number))
            assert all(reader.attributes(uid, f"x-{number}") == {f"x-{number}": [number]} for reader in readers)
        client.destroy(uid)
    finally:
        for reader in readers:
            reader.close()


ODD_UIDS = ["*", "", "../../etc/passwd", "1' OR '1'='1", "u" * 65536, "0", "-1", "%00", "wallet", "ключ"]


@pytest.mark.parametrize("make", [
    kmip.get, kmip.activate, kmip.destroy, kmip.get_attribute_list, kmip.revoke,
    lambda uid: kmip.get_attributes((1, 4), uid), lambda uid: kmip.add_attribute((1, 4), uid, "x-a", "b"),
    lambda uid: kmip.modify_attribute((1, 4), uid, "Name", "stolen"), lambda uid: kmip.delete_attribute((1, 4), uid, "Name"),
], ids=["Get", "Activate", "Destroy", "Get Attribute List", "Revoke", "Get Attributes", "Add Attribute", "Modify Attribute",
        "Delete Attribute"])
def test_object_of_another_endpoint_looks_like_none(connect, other_endpoint, make):
    owner, thief = connect(), connect(where=other_endpoint)
    uid = owner.create("mine-alone-" + str(time.monotonic_ns()))
    theirs, none = thief.batch(make(uid)).items[0], thief.batch(make(NOBODY)).items[0]
    assert theirs.reason_is(*NOT_FOUND), theirs.node
    assert (theirs.reason, theirs.message.replace(uid, NOBODY)) == (none.reason, none.message)
    assert owner.state(uid) == "Pre-Active"
    owner.destroy(uid)


def test_other_endpoints_objects_are_not_located(connect, other_endpoint):
    owner, thief = connect(), connect(where=other_endpoint)
    uid = owner.create("not-to-be-located")
    assert uid not in thief.locate() and thief.locate(("Name", "not-to-be-located")) == []
    assert thief.locate(("Unique Identifier", uid)) == []
    owner.destroy(uid)


def test_two_endpoints_may_each_have_the_same_name(connect, other_endpoint):
    clients = connect(), connect(where=other_endpoint)
    uids = [client.create("the-same-name") for client in clients]
    for client, uid in zip(clients, uids):
        assert client.locate(("Name", "the-same-name")) == [uid]
        client.destroy(uid)


@pytest.mark.parametrize("uid", ODD_UIDS, ids=lambda uid: uid[:20] or "empty")
def test_odd_identifier_is_not_found(connect, some_version, uid):
    answer = connect(some_version).batch(kmip.get(uid)).items[0]
    assert answer.reason_is(*NOT_FOUND, "Invalid Field", "Missing Data", "Invalid Message"), answer.node


def test_identifier_as_an_enumeration_or_integer_of_2_x_is_answered(connect):
    client = connect((2, 1))
    uid = client.create()
    by_number = kmip.operation("Get", Item(SPEC.tag("Unique Identifier").value, INTEGER, 1))
    placeholder = kmip.operation("Get", Item(SPEC.tag("Unique Identifier").value, ENUMERATION,
                                             SPEC.member("Unique Identifier", "ID Placeholder")))
    assert client.batch(by_number).items[0].status == FAILED
    response = client.batch(kmip.create((2, 1), kmip.key_attributes()), placeholder)
    other = response.items[0].payload.get("Unique Identifier")
    assert response.items[1].ok and response.items[1].payload.get("Unique Identifier") == other
    for one in (uid, other):
        client.destroy(one)


# ---- B-15: no clear bytes in place of wrapped ones ------------------------------------------


@pytest.mark.parametrize("kind", ["itself", "nobody's", "another owner's", "revoked", "not for wrapping", "unknown method", "two wrappings",
                                  "a wrapping without a key"])
def test_key_that_cannot_be_wrapped_is_not_given_in_clear(connect, other_endpoint, kind):
    client, material = connect(), bytes(range(100, 132))
    uid = client.call(kmip.register((1, 4), kmip.symmetric_key(material), [
        ("Cryptographic Usage Mask", "Encrypt Decrypt")])).get("Unique Identifier")
    wrapper = {"itself": uid, "nobody's": NOBODY}.get(kind)
    if kind == "another owner's":
        wrapper = connect(where=other_endpoint).create(usage="Wrap Key", active=True)
    elif kind == "revoked":
        wrapper = client.create(usage="Wrap Key", active=True)
        client.call(kmip.revoke(wrapper, "Key Compromise"))
    elif wrapper is None:
        wrapper = client.create(usage="Encrypt" if kind == "not for wrapping" else "Wrap Key", active=True)
    method = 0x80000009 if kind == "unknown method" else "Encrypt"
    asked = kmip.get(uid, wrapping=kmip.wrapping_specification(wrapper, method))
    if kind == "two wrappings":
        asked.value[-1].value.append(kmip.wrapping_specification(wrapper, method))
    elif kind == "a wrapping without a key":
        asked = kmip.get(uid, wrapping=item("Key Wrapping Specification", [item("Wrapping Method", "Encrypt")]))
    client.send(ttlv.encode(kmip.message((1, 4), asked)))
    data = client.receive_bytes()
    assert material not in data
    assert kmip.Response(ttlv.decode(data)).items[0].status == FAILED
    client.destroy(uid)


def test_sensitive_key_is_not_given_in_clear(connect):
    client = connect((2, 1))
    for own, word in (([("Sensitive", True)], "Sensitive"), ([("Extractable", False)], "Not Extractable")):
        uid = client.create(attributes=own)
        answer = client.batch(kmip.get(uid)).items[0]
        assert answer.reason_is(word), answer.node
        client.destroy(uid)


def test_flags_only_get_stricter(connect):
    client = connect((2, 1))
    uid = client.create(attributes=[("Sensitive", True), ("Extractable", False)])
    for name, value in (("Sensitive", False), ("Extractable", True)):
        assert client.batch(kmip.modify_attribute((2, 1), uid, name, value)).items[0].status == FAILED
        assert client.batch(kmip.add_attribute((2, 1), uid, name, value)).items[0].status == FAILED
        assert client.batch(kmip.delete_attribute((2, 1), uid, name)).items[0].status == FAILED
        assert client.attributes(uid, name) == {name: [not value]}
    client.destroy(uid)
