# SPDX-License-Identifier: Apache-2.0
"""What clients in the field send and what breaks them: each test claims one thing that a product depends on."""
import time

import client as kmip
import pytest
import watch
from client import FAILED, SUCCESS, Typed
from spec import (
    BIG_INTEGER, DATE_TIME, ENUMERATION, INTERVAL, LONG_INTEGER, SPEC, STRUCTURE, TEXT_STRING, plain)
from ttlv import Item, item

NOBODY = "there-is-no-such-object"
QUERY = kmip.query("Query Operations")


def tag_of(version):
    return f"{version[0]}.{version[1]}"


# ---- 1: nothing newer than the version asked ------------------------------------------------


def check_versions(node, version):
    """Every tag, type and enumeration below is one that the version has."""
    for one in node.walk():
        if one.tag not in SPEC.by_value:
            raise AssertionError(f"{one.tag:06x} is not a tag of KMIP")
        tag = SPEC.by_value[one.tag]
        assert tag.known_in(version), f"{one.name} is not in KMIP {tag_of(version)}"
        assert one.type in tag.types_in(version), f"{one.name} has type {one.type} in KMIP {tag_of(version)}"
        if one.type == ENUMERATION and tag.enum and tag.enum != "Tag":
            assert SPEC.enums[plain(tag.enum)].known_in(one.value, version), f"{one!r} is not in KMIP {tag_of(version)}"
        if one.name == "Attribute" and version < (2, 0):
            check_attribute(one, version)
        if one.name in ("Attributes", "New Attribute", "Current Attribute"):
            for child in one.value:
                check_attribute_name(child.name, version)


def check_attribute(one, version):
    name = one.get("Attribute Name")
    check_attribute_name(name, version)
    if plain(name) in SPEC.by_name:
        value, tag = one.find("Attribute Value"), SPEC.tag(name)
        assert value.type in tag.types_in(version), f"{name} has type {value.type}"
        if value.type == ENUMERATION and tag.enum:
            assert SPEC.enums[plain(tag.enum)].known_in(value.value, version), f"{name}={value.value}"


def check_attribute_name(name, version):
    if name in SPEC.attributes and name != "Attribute":
        cells = SPEC.attributes[name]
        first = kmip.VERSIONS[0] if not cells[3] else tuple(map(int, cells[3].split(".")))
        assert SPEC.tag(name).known_in(version) and first <= version, f"attribute {name} in KMIP {tag_of(version)}"


def test_answers_hold_only_what_their_version_has(connect, version):
    client = connect(version)
    own = kmip.key_attributes(f"gated-{tag_of(version)}") + [("x-own", "1")]
    functions = [name for value, name in SPEC.enums["queryfunction"].by_value.items()
                 if SPEC.enums["queryfunction"].known_in(value, version)]
    requests = [[kmip.create(version, own), kmip.get(), kmip.get_attributes(version), kmip.get_attribute_list(),
                 kmip.locate(version, [("Name", f"gated-{tag_of(version)}")])],
                [kmip.query(*functions)], [kmip.get(NOBODY)], [kmip.create(version, [])]]
    if version >= (1, 1):
        requests.append([kmip.discover_versions()])
    for request in requests:
        response = client.batch(*request)
        assert response.version == version
        check_versions(response.node, version)
    client.destroy(client.locate(("Name", f"gated-{tag_of(version)}"))[0])


def test_attributes_set_with_a_newer_version_are_hidden_from_an_older_one(connect):
    newest, oldest = connect((2, 1)), connect((1, 0))
    own = kmip.key_attributes() + [("Comment", "new"), ("Sensitive", True), ("Quantum Safe", False), ("Rotate Interval", 60),
                                   ("Protection Level", "High")]
    uid = newest.call(kmip.create((2, 1), own)).get("Unique Identifier")
    response = oldest.batch(kmip.get_attributes((1, 0), uid), kmip.get_attribute_list(uid))
    assert all(answer.ok for answer in response.items)
    check_versions(response.node, (1, 0))
    for name in kmip.attribute_names(response.items[1].payload):
        check_attribute_name(name, (1, 0))
    newest.destroy(uid)


def test_answer_has_the_version_of_its_request(connect, version):
    assert connect(version).batch(QUERY).version == version


def test_one_connection_serves_every_version(connect):
    client = connect()
    for version in [*kmip.VERSIONS, *reversed(kmip.VERSIONS)]:
        response = client.exchange(kmip.message(version, QUERY))
        assert response.version == version and response.items[0].ok


def test_object_type_is_given_only_by_operations_that_have_it(connect, version):
    """An additional field in an answer stops Percona's and MongoDB's clients."""
    client = connect(version)
    response = client.batch(kmip.create(version, kmip.key_attributes()), kmip.get_attributes(version, None, "State"),
                            kmip.activate(), kmip.revoke(), kmip.destroy())
    for answer in response.items:
        name = SPEC.enums["operation"].by_value[answer.operation]
        allowed = {cells[1] for cells in SPEC.operations[name] if cells[0] == "rsp"}
        assert {child.name for child in answer.payload.value} <= allowed


def test_no_attributes_stand_inside_a_key_value(connect, version):
    client = connect(version)
    uid = client.create(f"bare-{tag_of(version)}")
    value = client.call(kmip.get(uid)).find("Symmetric Key", "Key Block", "Key Value")
    assert [child.name for child in value.value] == ["Key Material"]
    client.destroy(uid)


# ---- 2: optional fields of the header ------------------------------------------------------


@pytest.mark.parametrize("header", [
    {"time_stamp": 1700000000}, {"maximum": 280000}, {"maximum": 65536, "time_stamp": 0}, {"ordered": True}, {"ordered": False},
    {"on_error": "Continue"}, {"headers": [item("Client Correlation Value", "client 1")]},
    {"headers": [item("Server Correlation Value", "server 1")]}, {"headers": [item("Attestation Capable Indicator", False)]},
    {"headers": [kmip.authentication("")]}, {"headers": [kmip.authentication("", "")]},
    {"headers": [kmip.authentication("someone", "something")]}, {"headers": [item("Asynchronous Indicator", False)]},
], ids=lambda header: ", ".join(f"{name}" if name != "headers" else repr(value[0])[:60] for name, value in header.items()))
def test_optional_header_field_is_accepted(connect, header):
    client = connect((1, 4))
    assert client.batch(QUERY, **header).items[0].ok
    if "headers" not in header or header["headers"][0].name == "Authentication":
        assert client.exchange(kmip.message((1, 0), QUERY, **header)).items[0].ok


def test_header_fields_newer_than_the_version_are_skipped(connect):
    response = connect((1, 0)).batch(QUERY, headers=[item("Client Correlation Value", "new")])
    assert response.items[0].ok
    check_versions(response.node, (1, 0))


def test_correlation_value_of_the_client_is_not_sent_back_to_it(connect):
    """KMIP 1.4 section 6.18: it stands in requests of a client; in an answer it would be the server's own request's."""
    for version in ((1, 4), (2, 1)):
        response = connect(version).batch(QUERY, headers=[item("Client Correlation Value", "mine")])
        assert response.header.get("Client Correlation Value") is None


def test_header_of_an_answer_has_time_and_count(connect, version):
    header = connect(version).batch(QUERY, QUERY).header
    assert abs(header.get("Time Stamp") - time.time()) < 60
    assert header.get("Batch Count") == 2


# ---- 3: custom attributes ------------------------------------------------------------------

CUSTOM = {
    "text": "räksmörgås", "empty text": "", "integer": -7, "long integer": Typed(LONG_INTEGER, 2 ** 40),
    "big integer": Typed(BIG_INTEGER, -2 ** 70), "enumeration": Typed(ENUMERATION, 0x80000001), "boolean": True,
    "bytes": b"\0\1\2", "date": Typed(DATE_TIME, 1700000000), "interval": Typed(INTERVAL, 3600),
}


def value_of(value):
    return value.value if isinstance(value, Typed) else value


@pytest.mark.parametrize("kind", CUSTOM)
def test_custom_attribute_of_any_type_is_kept_and_located(connect, some_version, kind):
    client, value = connect(some_version), CUSTOM[kind]
    name, other = f"x-{kind}", f"x-later-{kind}"
    made = client.create(attributes=[(name, value)])
    registered = client.call(kmip.register(some_version, kmip.secret_data(b"secret"), [(name, value)])).get("Unique Identifier")
    client.call(kmip.add_attribute(some_version, made, other, value))
    for uid, names in ((made, (name, other)), (registered, (name,))):
        assert client.attributes(uid, *names) == {one: [value_of(value)] for one in names}
        assert set(names) <= set(kmip.attribute_names(client.call(kmip.get_attribute_list(uid))))
    assert set(client.locate((name, value))) == {made, registered}
    assert client.locate((other, value)) == [made]
    for uid in (made, registered):
        client.destroy(uid)


def test_custom_attribute_that_is_a_structure_is_kept(connect):
    client = connect()
    inside = [item("Name Value", "inner"), item("Cryptographic Length", 5)]
    uid = client.create(attributes=[("x-structure", Typed(STRUCTURE, inside))])
    assert client.attributes(uid, "x-structure")["x-structure"] == [inside]
    client.destroy(uid)


def test_sixteen_custom_attributes_at_create_are_all_kept(connect):
    client = connect((1, 2))
    own = [(f"x-NETAPP-{number}", f"value {number}") for number in range(16)]
    uid = client.create(attributes=own)
    given = client.attributes(uid)
    assert all(given[name] == [value] for name, value in own)
    client.destroy(uid)


def test_custom_attribute_may_have_several_values_with_indices(connect):
    client = connect()
    uid = client.create(attributes=[("x-many", "one", 0), ("x-many", "two", 1)])
    payload = client.call(kmip.get_attributes((1, 4), uid, "x-many"))
    indices = [(one.get("Attribute Index"), one.get("Attribute Value")) for one in payload.all("Attribute")]
    assert [value for _, value in indices] == ["one", "two"] and indices[1][0] == 1 and indices[0][0] in (None, 0)
    client.destroy(uid)


def test_vcenter_adds_its_attributes_in_one_batch(connect):
    client = connect((1, 1))
    uid = client.create(algorithm="AES", usage=12)
    names = ["x-Product_Version", "x-Vendor", "x-Product"]
    response = client.batch(*[kmip.add_attribute((1, 1), uid, name, "VMware") for name in names])
    for answer, name in zip(response.items, names):
        assert answer.payload.get("Attribute", "Attribute Name") == name
    asked = [*names, "x-Identifier", "x-Component", "x-Name", "State"]
    assert set(client.attributes(uid, *asked)) == {*names, "State"}
    client.destroy(uid)


def test_vendor_attribute_of_2_x_is_read_back_by_the_same_vendor_and_name(connect):
    client = connect((2, 1))
    uid = client.create(attributes=[("acme.Serial", "77")])
    assert client.attributes(uid, "acme.Serial") == {"acme-Serial": ["77"]}
    assert client.locate(("acme.Serial", "77")) == [uid]
    client.destroy(uid)


def test_custom_attribute_crosses_versions(connect):
    """What a 1.x client called x-Name is the 2.x attribute Name of the vendor x, and the other way round."""
    old, new = connect((1, 4)), connect((2, 1))
    uid = old.create(attributes=[("x-Crossing", "here")])
    assert new.attributes(uid, "x-Crossing") == {"x-Crossing": ["here"]}
    assert new.locate(("x-Crossing", "here")) == [uid]
    old.destroy(uid)


# ---- 5: Locate never hands out too much -----------------------------------------------------


@pytest.mark.parametrize("name, value", [
    ("x-unknown", "anything"), ("Description", "nothing like it"), ("Object Group", "no such group"),
    ("Unique Identifier", NOBODY), ("Digest", [item("Hashing Algorithm", "SHA-256"), item("Digest Value", bytes(32))]),
    ("Cryptographic Length", 77), ("Contact Information", "nobody"), ("Lease Time", 1),
    ("Link", [item("Link Type", "Private Key Link"), item("Linked Object Identifier", NOBODY)]),
], ids=lambda one: one if isinstance(one, str) else "")
def test_filter_that_matches_nothing_finds_nothing(key, some_version, name, value):
    client, uid = key
    if not SPEC.by_name.get(plain(name), SPEC.tags[0]).known_in(some_version):
        name, value = "x-unknown", "anything"
    answer = client.batch(kmip.locate(some_version, [(name, value)])).items[0]
    assert not answer.ok or uid not in [child.value for child in answer.payload.all("Unique Identifier")]
    assert not answer.ok or not answer.payload.all("Unique Identifier")


def test_filter_with_an_unknown_name_finds_nothing(key, some_version):
    client, _ = key
    if some_version < (2, 0):
        unknown = kmip.attribute_1("No Such Attribute", "x")
    else:
        unknown = item("Attribute", [item("Vendor Identification", "nobody"), item("Attribute Name", "none"),
                                     item("Attribute Value", "x", TEXT_STRING)])
    answer = client.batch(kmip.locate(some_version, [unknown])).items[0]
    assert not answer.ok or not answer.payload.all("Unique Identifier")


def test_filter_inside_a_template_attribute_is_not_ignored(connect):
    """FortiGate's form: Locate{Maximum Items, Template-Attribute{…}}. Served as meant, or refused; never the first key."""
    client = connect((1, 0))
    one, other = client.create("fortigate-1"), client.create("fortigate-2")
    for name, uid in (("fortigate-1", one), ("fortigate-2", other), ("fortigate-3", None)):
        asked = kmip.operation("Locate", item("Maximum Items", 1),
                               kmip.attributes_field((1, 0), [("Name", name)]))
        answer = client.batch(asked).items[0]
        assert not answer.ok or [child.value for child in answer.payload.all("Unique Identifier")] == ([uid] if uid else [])
    for uid in (one, other):
        client.destroy(uid)


def test_all_filters_must_match(key, some_version):
    client, uid = key
    name = client.attributes(uid, "Name")["Name"][0][0].value
    assert client.locate(("Name", name), ("Object Type", "Symmetric Key"), ("Cryptographic Algorithm", "AES")) == [uid]
    assert client.locate(("Name", name), ("Object Type", "Certificate")) == []


def test_locate_pages_through_its_answer_without_gap_or_double(connect):
    client = connect((1, 4))
    uids = {client.create(attributes=[("Object Group", "pages")]) for _ in range(7)}
    pages = [client.locate(("Object Group", "pages"), maximum=3, offset=offset) for offset in (0, 3, 6, 9)]
    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert {uid for page in pages for uid in page} == uids
    for uid in uids:
        client.destroy(uid)


def test_located_items_counts_all_that_match(connect):
    client = connect((2, 1))
    uids = {client.create(attributes=[("Object Group", "counted")]) for _ in range(4)}
    payload = client.call(kmip.locate((2, 1), [("Object Group", "counted")], maximum=2))
    assert len(payload.all("Unique Identifier")) == 2 and payload.get("Located Items") in (None, 4)
    for uid in uids:
        client.destroy(uid)


def test_locate_by_a_range_of_dates(connect):
    client = connect()
    uid, now = client.create(attributes=[("Object Group", "dated")]), int(time.time())
    group = ("Object Group", "dated")
    assert client.locate(group, ("Initial Date", now - 100), ("Initial Date", now + 100)) == [uid]
    assert client.locate(group, ("Initial Date", now - 200), ("Initial Date", now - 100)) == []
    assert client.locate(group, ("Initial Date", now + 100), ("Initial Date", now + 200)) == []
    client.destroy(uid)


@pytest.mark.parametrize("asked", [{"maximum": 2 ** 31 - 1}, {"maximum": 0}, {"maximum": -1}, {"offset": 2 ** 31 - 1},
                                   {"offset": -1}, {"mask": 0}, {"mask": -1}], ids=str)
def test_locate_with_numbers_at_the_edge_is_answered(key, some_version, asked):
    client, uid = key
    name = client.attributes(uid, "Name")["Name"][0][0].value
    answer = client.batch(kmip.locate(some_version, [("Name", name)], **asked)).items[0]
    assert answer.status == (SUCCESS if answer.payload else FAILED)
    if answer.ok:
        assert {child.value for child in answer.payload.all("Unique Identifier")} <= {uid}


@pytest.mark.parametrize("count", [1000, 10000])
def test_locate_with_many_conditions_is_answered(connect, count):
    answer = connect().batch(kmip.locate((1, 4), [(f"x-{number}", "v") for number in range(count)])).items[0]
    assert not answer.ok or not answer.payload.all("Unique Identifier")


def test_locate_from_a_later_to_an_earlier_date_finds_nothing_or_is_refused(key, some_version):
    client, uid = key
    dates = [("Initial Date", 2 ** 40), ("Initial Date", 0)]
    answer = client.batch(kmip.locate(some_version, dates)).items[0]
    assert not answer.ok or {child.value for child in answer.payload.all("Unique Identifier")} <= {uid}


def test_locate_with_an_offset_that_is_no_integer_is_refused(connect):
    wide = Item(SPEC.tag("Offset Items").value, LONG_INTEGER, 2 ** 63 - 1)
    answer = connect((2, 1)).batch(kmip.operation("Locate", wide)).items[0]
    assert answer.status == FAILED, answer.node


# ---- 6, 7, 13: attributes of 1.x -----------------------------------------------------------


def test_attribute_index_zero_at_create_is_accepted(connect):
    client = connect((1, 1))
    own = [kmip.attribute_1(name, value, 0) for name, value in kmip.key_attributes("indexed")]
    uid = client.call(kmip.create((1, 1), own)).get("Unique Identifier")
    assert client.locate(("Name", "indexed")) == [uid]
    client.destroy(uid)


def test_attribute_index_may_stand_after_the_value(connect):
    client = connect((1, 0))
    own = [kmip.attribute_1(name, value, 0, index_last=True) for name, value in kmip.key_attributes("index-last")]
    uid = client.call(kmip.create((1, 0), own)).get("Unique Identifier")
    assert client.locate(("Name", "index-last")) == [uid]
    client.destroy(uid)


def test_attribute_is_added_modified_deleted_and_answered_with(connect):
    client = connect((1, 2))
    uid = client.create("old-name")
    changed = client.call(kmip.modify_attribute((1, 2), uid, "Name", "new-name"))
    assert changed.get("Attribute", "Attribute Name") == "Name"
    assert client.locate(("Name", "new-name")) == [uid] and client.locate(("Name", "old-name")) == []
    added = client.call(kmip.add_attribute((1, 2), uid, "Contact Information", "operator"))
    assert added.get("Attribute", "Attribute Value") == "operator"
    removed = client.call(kmip.delete_attribute((1, 2), uid, "Contact Information"))
    assert removed.get("Attribute", "Attribute Name") == "Contact Information"
    assert "Contact Information" not in client.attributes(uid)
    client.destroy(uid)


def test_indices_of_names_stay_when_one_is_deleted(connect):
    client = connect()
    uid = client.create("index-a")
    for name in ("index-b", "index-c"):
        client.call(kmip.add_attribute((1, 4), uid, "Name", name))
    client.call(kmip.delete_attribute((1, 4), uid, "Name", 1))
    found = client.call(kmip.get_attributes((1, 4), uid, "Name")).all("Attribute")
    assert [(one.get("Attribute Index") or 0, one.get("Attribute Value", "Name Value")) for one in found] == [
        (0, "index-a"), (2, "index-c")]
    client.call(kmip.modify_attribute((1, 4), uid, "Name", "index-d", 2))
    assert client.locate(("Name", "index-d")) == [uid]
    answer = client.batch(kmip.modify_attribute((1, 4), uid, "Name", "index-e", 7)).items[0]
    assert answer.reason_is("Index Out of Bounds", "Item Not Found", "Invalid Field"), answer.node
    client.destroy(uid)


def test_operation_policy_name_is_accepted_and_given_back(connect):
    for version in ((1, 0), (1, 2), (1, 4)):
        client = connect(version)
        uid = client.create(attributes=[("Operation Policy Name", "default")])
        assert client.attributes(uid, "Operation Policy Name") == {"Operation Policy Name": ["default"]}
        client.destroy(uid)


def test_attribute_that_is_not_set_is_left_out_of_the_answer(connect, some_version):
    client = connect(some_version)
    uid = client.create()
    assert set(client.attributes(uid, "State", "Contact Information", "x-never-set")) == {"State"}
    client.destroy(uid)


def test_attribute_asked_for_twice_is_given_once(connect, some_version):
    client = connect(some_version)
    uid = client.create()
    assert len(client.attributes(uid, "State", "State")["State"]) == 1
    client.destroy(uid)


@pytest.mark.parametrize("usage", [0, None])
def test_usage_mask_may_be_nothing(connect, some_version, usage):
    client = connect(some_version)
    own = [] if usage is None else [("Cryptographic Usage Mask", usage)]
    uid = client.call(kmip.register(some_version, kmip.secret_data(b"S" * 96, "Seed", "Raw"), own)).get("Unique Identifier")
    assert client.call(kmip.get(uid)).get("Secret Data", "Key Block", "Key Value", "Key Material") == b"S" * 96
    client.destroy(uid)


@pytest.mark.parametrize("kind", [0x80000001, 0x8FFFFFFF])
def test_extension_enumerations_are_kept(connect, some_version, kind):
    client = connect(some_version)
    made = client.call(kmip.register(some_version, kmip.opaque_object(b"opaque", kind))).get("Unique Identifier")
    assert client.call(kmip.get(made)).get("Opaque Object", "Opaque Data Type") == kind
    client.destroy(made)


# ---- 12: versions --------------------------------------------------------------------------


@pytest.mark.parametrize("version", [*kmip.VERSIONS, (1, 9), (2, 9), (3, 0), (9, 9), (0, 0)], ids=tag_of)
def test_discover_versions_never_fails(connect, version):
    response = connect(version).batch(kmip.discover_versions())
    assert response.items[0].ok, response.items[0].node
    found = [(one.get("Protocol Version Major"), one.get("Protocol Version Minor"))
             for one in response.items[0].payload.all("Protocol Version")]
    assert found == sorted(kmip.VERSIONS, reverse=True), "newest first"


@pytest.mark.parametrize("offered, answered", [
    ([(1, 4), (1, 0)], [(1, 4), (1, 0)]), ([(1, 0), (1, 4)], [(1, 4), (1, 0)]), ([(9, 9)], []), ([(9, 9), (1, 2)], [(1, 2)]),
], ids=str)
def test_discover_versions_answers_with_what_both_have(connect, offered, answered):
    payload = connect((1, 1)).call(kmip.discover_versions(*offered))
    found = [(one.get("Protocol Version Major"), one.get("Protocol Version Minor")) for one in payload.all("Protocol Version")]
    assert sorted(found) == sorted(answered)


# ---- clients as they are -------------------------------------------------------------------


def test_query_of_six_functions_is_answered(connect):
    names = ["Query Operations", "Query Objects", "Query Server Information", "Query Application Namespaces",
             "Query Extension List", "Query Extension Map"]
    payload = connect((1, 2)).call(kmip.query(*names))
    assert payload.all("Operation") and payload.all("Object Type") and payload.get("Vendor Identification")


def test_query_with_an_unknown_function_still_answers_the_rest(connect):
    answer = connect((1, 0)).batch(kmip.operation("Query", item("Query Function", 0x80000001),
                                                  item("Query Function", "Query Operations"))).items[0]
    assert answer.ok and answer.payload.all("Operation")


def test_query_lists_only_operations_that_are_served(connect, version):
    client = connect(version)
    for name in client.operations():
        answer = client.batch(kmip.operation(name)).items[0]
        assert not answer.reason_is("Operation Not Supported"), name


def test_life_of_a_mongodb_driver_key(endpoint):
    """libmongocrypt: 1.0, Register of 96 bytes of secret data, Activate, Get; a new connection for each."""
    with endpoint.connect((1, 0)) as client:
        uid = client.call(kmip.register((1, 0), kmip.secret_data(bytes(range(96)), "Seed", "Raw"),
                                        [("Cryptographic Usage Mask", 0)])).get("Unique Identifier")
    with endpoint.connect((1, 0)) as client:
        client.call(kmip.activate(uid))
    with endpoint.connect((1, 0)) as client:
        assert client.call(kmip.get(uid)).get("Secret Data", "Key Block", "Key Value", "Key Material") == bytes(range(96))
        client.destroy(uid)


def test_percona_gets_a_key_and_its_attributes_in_one_batch(connect):
    client = connect((1, 4))
    uid = client.call(kmip.register((1, 4), kmip.symmetric_key(bytes(32)), [("Name", "tde-1"), (
        "Cryptographic Usage Mask", "Encrypt Decrypt")])).get("Unique Identifier")
    assert client.locate(("Object Type", "Symmetric Key"), ("Name", "tde-1"), maximum=1, offset=0) == [uid]
    response = client.batch(kmip.get(uid), kmip.get_attributes((1, 4), uid, "State", "Name", "Operation Policy Name"),
                            maximum=1 << 20, time_stamp=int(time.time()))
    assert [answer.status for answer in response.items] == [SUCCESS] * 2
    client.destroy(uid)


def test_key_pair_without_usage_mask_is_made(connect, some_version):
    """Barbican and Veeam ask for RSA-2048 and nothing else."""
    client = connect(some_version)
    common = [("Cryptographic Algorithm", "RSA"), ("Cryptographic Length", 2048)]
    payload = client.call(kmip.create_key_pair(some_version, common))
    private, public = payload.get("Private Key Unique Identifier"), payload.get("Public Key Unique Identifier")
    for uid, kind, other in ((private, "Private Key", public), (public, "Public Key", private)):
        found = client.attributes(uid, "Object Type", "Link")
        assert found["Object Type"] == [SPEC.member("Object Type", kind)]
        assert other in [part.value for part in found["Link"][0]]
        assert client.call(kmip.get(uid)).find(kind, "Key Block")
        client.destroy(uid)


@pytest.mark.parametrize("kind", ["certificate", "private key", "public key", "secret", "opaque"])
def test_registered_object_comes_back_byte_for_byte(connect, some_version, kind):
    key = watch.ec_key()
    der = watch.certificate(key, "sample").public_bytes(watch.serialization.Encoding.DER)
    given = {"certificate": kmip.certificate(der),
             "private key": kmip.asymmetric_key("Private Key", "PKCS#8", watch.pkcs8(key), "ECDSA", 256),
             "public key": kmip.asymmetric_key("Public Key", "X.509", watch.spki(key), "ECDSA", 256),
             "secret": kmip.secret_data(b"pass phrase"), "opaque": kmip.opaque_object(b"bytes")}[kind]
    client = connect(some_version)
    uid = client.call(kmip.register(some_version, given)).get("Unique Identifier")
    assert client.call(kmip.get(uid)).find(given.name) == given
    client.destroy(uid)


def test_get_in_a_format_it_has_not_is_refused(key):
    client, uid = key
    answer = client.batch(kmip.get(uid, form="PKCS#1")).items[0]
    assert answer.reason_is("Key Format Type Not Supported"), answer.node
