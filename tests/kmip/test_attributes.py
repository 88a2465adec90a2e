# SPDX-License-Identifier: Apache-2.0
"""Which attribute a client may add, modify, delete or set when it makes the object: every row of spec/kmip/attributes.tbl."""
import client as kmip
import pytest
import watch
from spec import BOOLEAN, BYTE_STRING, DATE_TIME, ENUMERATION, INTEGER, INTERVAL, SPEC, STRUCTURE, TEXT_STRING, version_of
from ttlv import item

VERSIONS = [(1, 4), (2, 1)]
READ_ONLY = ("Attribute Read Only", "Read Only Attribute")
# Refused for reasons beside the table: the object's kind or state, or that the attribute is there once already.
OTHER = ("Invalid Field", "Permission Denied", "Wrong Key Lifecycle State", "Attribute Single Valued", "Invalid Attribute",
         "Multi Valued Attribute", "Unsupported Attribute", "Invalid Attribute Value", "Feature Not Supported",
         "Attribute Not Found", "Item Not Found", "Attribute Instance Not Found", "Invalid Message")
STRUCTURES = {
    "Name": kmip.name_value("sample"),
    "Link": [item("Link Type", "Next Link"), item("Linked Object Identifier", "1")],
    "Cryptographic Parameters": [item("Block Cipher Mode", "CBC")],
    "Application Specific Information": [item("Application Namespace", "ns"), item("Application Data", "data")],
    "Alternative Name": [item("Alternative Name Value", "alt"), item("Alternative Name Type", "URI")],
    "Digest": [item("Hashing Algorithm", "SHA-256"), item("Digest Value", bytes(32)), item("Key Format Type", "Raw")],
    "Usage Limits": [item("Usage Limits Total", 10), item("Usage Limits Unit", "Byte")],
    "Revocation Reason": [item("Revocation Reason Code", "Unspecified")],
    "Key Value Location": [item("Key Value Location Value", "here"), item("Key Value Location Type", "URI")],
    "Random Number Generator": [item("RNG Algorithm", "Unspecified")],
    "Cryptographic Domain Parameters": [item("Recommended Curve", "P-256")],
    "Rotate Name": [item("Rotate Name Value", "r"), item("Rotate Name Type", "Uninterpreted Text String")],
}
VALUES = {INTEGER: 1, ENUMERATION: 1, BOOLEAN: True, TEXT_STRING: "sample", BYTE_STRING: b"sample", DATE_TIME: 4000000000,
          INTERVAL: 60}


def rows(version):
    """(name, flags) of the attributes that a version has and that a symmetric key may have."""
    for name, cells in SPEC.attributes.items():
        first, last = version_of(cells[3], (1, 0)), version_of(cells[4], (2, 1))
        tag = SPEC.tag(name)
        if name in ("Custom Attribute", "Attribute") or not (first <= version <= last and tag.known_in(version)):
            continue
        kinds = cells[2].split()
        if "sym" in kinds or (kinds[0] == "all" and "-sym" not in kinds):
            yield name, set(cells[1].split())


def sample(name, version):
    """(value, whether there is one): of the attribute's own type."""
    kind = SPEC.tag(name).types_in(version)[0]
    if kind == STRUCTURE:
        return STRUCTURES.get(name), name in STRUCTURES
    return VALUES.get(kind), kind in VALUES


CASES = [pytest.param(version, name, flags, id=f"{version[0]}.{version[1]}-{name}")
         for version in VERSIONS for name, flags in rows(version) if sample(name, version)[1]]


@pytest.fixture
def key(connect):
    made = []

    def make(version):
        client = connect(version)
        made.append((client, client.create()))
        return made[-1]
    yield make
    for client, uid in made:
        client.destroy(uid)


def check_refused(answer, version):
    wanted = ("Permission Denied", "Invalid Field", "Illegal Operation") if version < (2, 0) else READ_ONLY
    assert not answer.ok, answer.node
    assert answer.reason_is(*wanted), answer.node


@pytest.mark.parametrize("version, name, flags", CASES)
def test_client_changes_what_the_table_lets_it_and_nothing_else(key, version, name, flags):
    client, uid = key(version)
    value, _ = sample(name, version)
    before = client.attributes(uid, name)
    answer = client.batch(kmip.add_attribute(version, uid, name, value)).items[0]
    if "add" not in flags:
        check_absent_right(answer, flags, version)
        assert client.attributes(uid, name) == before
    elif answer.ok:
        assert value_in(client.attributes(uid, name)[name], value)
    else:
        assert answer.reason_is(*OTHER), answer.node
    before = client.attributes(uid, name)
    answer = client.batch(kmip.modify_attribute(version, uid, name, value)).items[0]
    if "modify" not in flags:
        check_absent_right(answer, flags, version)
        assert client.attributes(uid, name) == before
    else:
        assert answer.ok or answer.reason_is(*OTHER), answer.node
    before = client.attributes(uid, name)
    answer = client.batch(kmip.delete_attribute(version, uid, name)).items[0]
    if "delete" not in flags:
        assert not answer.ok, answer.node
        assert client.attributes(uid, name) == before
    else:
        assert answer.ok or answer.reason_is(*OTHER), answer.node


def check_absent_right(answer, flags, version):
    """The server's own attributes are read only; those that a client may set once are refused for one reason or another."""
    if flags & {"set", "add", "modify", "delete"}:
        assert answer.reason_is(*READ_ONLY, *OTHER), answer.node
    else:
        check_refused(answer, version)


def value_in(found, value):
    return value in found or (isinstance(value, list) and any(set(map(repr, value)) <= set(map(repr, one)) for one in found))


@pytest.mark.parametrize("version, name, flags", [case for case in CASES if not case.values[2] & {"set"}])
def test_servers_own_attribute_cannot_be_set_at_create(connect, version, name, flags):
    client = connect(version)
    before = set(client.locate())
    value, _ = sample(name, version)
    answer = client.batch(kmip.create(version, [*kmip.key_attributes(), (name, value)])).items[0]
    assert not answer.ok, f"{name} ({flags}) was set by a client: {answer.node}"
    assert set(client.locate()) == before


def test_set_attribute_follows_the_same_rules(connect):
    client = connect((2, 1))
    if "Set Attribute" not in client.operations():
        answer = client.batch(kmip.set_attribute("1", "State", "Active")).items[0]
        assert answer.reason_is("Operation Not Supported"), answer.node
        return
    uid = client.create()
    for name, value in (("State", "Active"), ("Unique Identifier", "2"), ("Initial Date", 1), ("Never Extractable", True)):
        check_refused(client.batch(kmip.set_attribute(uid, name, value)).items[0], (2, 1))
    client.call(kmip.set_attribute(uid, "Comment", "mine"))
    assert client.attributes(uid, "Comment") == {"Comment": ["mine"]}
    client.destroy(uid)


def test_single_valued_attribute_is_not_added_twice(key):
    for version, words in (((1, 4), ("Invalid Field", "Permission Denied", "Illegal Operation")),
                           ((2, 1), ("Attribute Single Valued",))):
        client, uid = key(version)
        client.call(kmip.add_attribute(version, uid, "Contact Information", "one"))
        answer = client.batch(kmip.add_attribute(version, uid, "Contact Information", "two")).items[0]
        assert answer.reason_is(*words), answer.node
        assert client.attributes(uid, "Contact Information") == {"Contact Information": ["one"]}


def test_value_of_another_type_is_refused(key):
    for version in VERSIONS:
        client, uid = key(version)
        wrong = kmip.Typed(BYTE_STRING, b"bytes")
        answer = client.batch(kmip.add_attribute(version, uid, "Contact Information", wrong)).items[0]
        assert answer.reason_is("Invalid Field", "Invalid Data Type", "Invalid Message", "Invalid Attribute Value"), answer.node


def test_attribute_of_an_object_that_is_not_there_is_not_added(connect):
    for version in VERSIONS:
        answer = connect(version).batch(kmip.add_attribute(version, "nobody", "x-a", "b")).items[0]
        assert answer.reason_is("Item Not Found", "Object Not Found"), answer.node


def test_attribute_that_it_has_not_is_not_modified_or_deleted(key):
    for version in VERSIONS:
        client, uid = key(version)
        for asked in (kmip.modify_attribute(version, uid, "x-none", "v"), kmip.delete_attribute(version, uid, "x-none"),
                      kmip.delete_attribute(version, uid, "Contact Information")):
            answer = client.batch(asked).items[0]
            assert answer.reason_is("Item Not Found", "Attribute Not Found", "Invalid Field",
                                    "Attribute Instance Not Found"), answer.node


def test_change_moves_the_last_change_date_and_reading_does_not(key):
    client, uid = key((1, 4))
    first = client.attributes(uid, "Last Change Date")
    client.call(kmip.get(uid))
    assert client.attributes(uid, "Last Change Date") == first
    client.call(kmip.add_attribute((1, 4), uid, "x-later", 1))
    assert client.attributes(uid, "Last Change Date")["Last Change Date"][0] >= first["Last Change Date"][0]


@pytest.mark.parametrize("kind", ["certificate", "public key", "secret data", "opaque object"])
def test_every_object_has_the_attributes_that_all_have(connect, some_version, kind):
    client, pair = connect(some_version), watch.ec_key()
    der = watch.certificate(pair, "all").public_bytes(watch.serialization.Encoding.DER)
    made = {"certificate": kmip.certificate(der), "secret data": kmip.secret_data(b"s"),
            "public key": kmip.asymmetric_key("Public Key", "X.509", watch.spki(pair), "ECDSA", 256),
            "opaque object": kmip.opaque_object(b"o")}[kind]
    uid = client.call(kmip.register(some_version, made)).get("Unique Identifier")
    wanted = {"Unique Identifier", "Object Type", "State", "Initial Date", "Last Change Date", "Digest"}
    assert set(client.attributes(uid, *wanted)) == wanted
    assert wanted - {"Digest"} <= set(client.attributes(uid))
    client.destroy(uid)
