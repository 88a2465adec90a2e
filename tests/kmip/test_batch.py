# SPDX-License-Identifier: Apache-2.0
"""Batches: order, the ID Placeholder, Unique Batch Item IDs, and what a failure does to the rest (KMIP 1.4 section 4, 6.13)."""
import client as kmip
import pytest
import ttlv
from client import FAILED, SUCCESS, UNDONE


NOBODY = "there-is-no-such-object"


def wanted(version, name=None):
    return kmip.create(version, kmip.key_attributes(name))


def failing(version):
    return kmip.create(version, kmip.key_attributes(length=257))


def made_by(response):
    return [answer.payload.get("Unique Identifier") for answer in response.items if answer.status == SUCCESS]


def test_id_placeholder_names_the_object_just_made(connect, version):
    response = connect(version).batch(wanted(version), kmip.activate(), kmip.get(),
                                      kmip.get_attributes(version, None, "State"))
    assert [answer.status for answer in response.items] == [SUCCESS] * 4
    uids = {answer.payload.get("Unique Identifier") for answer in response.items}
    assert len(uids) == 1
    assert kmip.read_attributes(response.items[3].payload)["State"] == [2]


def test_id_placeholder_names_the_one_object_located(connect, version):
    client = connect(version)
    name = f"placeholder-{version[0]}.{version[1]}"
    uid = client.create(name)
    response = client.batch(kmip.locate(version, [("Name", name)]), kmip.get())
    assert response.items[1].payload.get("Unique Identifier") == uid
    client.destroy(uid)


def test_id_placeholder_is_not_set_by_several_located_objects(connect):
    client = connect()
    uids = [client.create(attributes=[("Object Group", "placeholder-two")]) for _ in range(2)]
    response = client.batch(kmip.locate((1, 4), [("Object Group", "placeholder-two")]), kmip.get())
    assert set(uids) == {child.value for child in response.items[0].payload.all("Unique Identifier")}
    assert response.items[1].status == FAILED
    for uid in uids:
        client.destroy(uid)


def test_id_placeholder_in_the_first_item_is_refused(connect, some_version):
    for asked in (kmip.get(), kmip.activate(), kmip.destroy(), kmip.get_attributes(some_version)):
        answer = connect(some_version).batch(asked).items[0]
        assert answer.reason_is("Item Not Found", "Object Not Found", "Invalid Message", "Missing Data",
                                "Invalid Field"), answer.node


def test_id_placeholder_does_not_outlive_its_batch(connect):
    client = connect()
    client.create()
    assert client.batch(kmip.get()).items[0].status == FAILED


def test_failed_item_does_not_set_the_id_placeholder(connect):
    response = connect().batch(wanted((1, 4)), kmip.get(NOBODY), kmip.get(), on_error="Continue")
    assert [answer.status for answer in response.items] == [SUCCESS, FAILED, SUCCESS]
    assert response.items[2].payload.get("Unique Identifier") == made_by(response)[0]


def test_ids_of_items_are_given_back_in_order(connect, version):
    ids = [b"\0", b"second", b"\xff" * 16]
    response = connect(version).batch(*[kmip.query("Query Operations")] * 3, ids=ids)
    assert [answer.batch_id for answer in response.items] == ids
    assert response.count == 3


def test_item_without_id_is_answered_without(connect):
    response = connect().batch(kmip.query("Query Operations"))
    assert response.items[0].batch_id is None


def test_stop_is_the_default_and_leaves_what_was_done(connect, some_version):
    client = connect(some_version)
    for option in (None, "Stop"):
        response = client.batch(wanted(some_version), failing(some_version), wanted(some_version), on_error=option)
        statuses = [answer.status for answer in response.items]
        assert statuses[:2] == [SUCCESS, FAILED]
        assert statuses[2:] in ([], [FAILED])
        uid = made_by(response)[0]
        assert client.state(uid) == "Pre-Active"
        client.destroy(uid)


def test_continue_runs_the_rest(connect, some_version):
    client = connect(some_version)
    response = client.batch(wanted(some_version), failing(some_version), wanted(some_version), on_error="Continue")
    assert [answer.status for answer in response.items] == [SUCCESS, FAILED, SUCCESS]
    for uid in made_by(response):
        client.destroy(uid)


def test_undo_takes_back_what_was_done(connect, some_version):
    client = connect(some_version)
    before = set(client.locate())
    response = client.batch(wanted(some_version), failing(some_version), wanted(some_version), on_error="Undo")
    statuses = [answer.status for answer in response.items]
    assert statuses[:2] == [UNDONE, FAILED] and SUCCESS not in statuses
    assert set(client.locate()) == before


def test_undo_takes_back_a_change_of_an_object(connect):
    client = connect()
    uid = client.create()
    response = client.batch(kmip.activate(uid), kmip.add_attribute((1, 4), uid, "x-undone", 1), kmip.get(NOBODY),
                            on_error="Undo")
    assert [answer.status for answer in response.items] == [UNDONE, UNDONE, FAILED]
    assert client.state(uid) == "Pre-Active"
    assert "x-undone" not in client.attributes(uid)
    client.destroy(uid)


def test_failed_item_names_its_operation(connect, version):
    """Clients that read a batch by operation cannot place an answer without one."""
    answer = connect(version).batch(kmip.get(NOBODY)).items[0]
    assert answer.status == FAILED
    assert answer.operation == kmip.SPEC.member("Operation", "Get")


@pytest.mark.parametrize("option", ["Stop", "Continue", "Undo"])
def test_256_creates_of_which_one_fails_follow_the_option(connect, option):
    client = connect()
    before = set(client.locate())
    items = [wanted((1, 4)) for _ in range(256)]
    items[199] = failing((1, 4))
    response = client.batch(*items, on_error=option)
    assert response.items[199].status == FAILED
    expected = {"Stop": 199, "Continue": 255, "Undo": 0}[option]
    assert len(made_by(response)) == expected
    after = set(client.locate())
    assert after - before == set(made_by(response))
    for uid in after - before:
        client.call(kmip.destroy(uid))


def test_batch_order_is_kept_whether_asked_or_not(connect):
    client = connect()
    for ordered in (None, False, True):
        response = client.batch(wanted((1, 4)), kmip.activate(), kmip.revoke(), kmip.destroy(), ordered=ordered)
        assert [answer.status for answer in response.items] == [SUCCESS] * 4


def test_item_that_is_not_understood_fails_alone(connect):
    response = connect().batch(kmip.query("Query Operations"), kmip.operation(0x7FFF), kmip.query("Query Objects"),
                               on_error="Continue")
    assert [answer.status for answer in response.items] == [SUCCESS, FAILED, SUCCESS]


def test_read_after_write_in_one_batch_sees_the_write(connect):
    client = connect()
    response = client.batch(wanted((1, 4), "seen-in-its-batch"), kmip.locate((1, 4), [("Name", "seen-in-its-batch")]))
    assert response.items[1].payload.get("Unique Identifier") == made_by(response)[0]
    client.destroy(made_by(response)[0])


def test_storage_arrays_batch_of_four_is_answered(connect):
    """Query, Locate by two custom attributes (one an Integer), Get and Get Attributes by the ID Placeholder."""
    client = connect((1, 0))
    own = [("x-ResourceID", "resource-7"), ("x-SystemID", 70000)]
    made = client.call(kmip.register((1, 0), kmip.opaque_object(b"wrapped"), own)).get("Unique Identifier")
    response = client.batch(kmip.query("Query Operations"), kmip.locate((1, 0), own), kmip.get(),
                            kmip.get_attributes((1, 0), None, "x-ResourceID", "x-SystemID"))
    assert [answer.status for answer in response.items] == [SUCCESS] * 4
    assert response.items[2].payload.get("Opaque Object", "Opaque Data Value") == b"wrapped"
    assert kmip.read_attributes(response.items[3].payload) == {"x-ResourceID": ["resource-7"], "x-SystemID": [70000]}
    client.destroy(made)


def test_answers_to_a_batch_fit_the_client(connect):
    """A batch whose answers are too long together is refused whole, nothing is cut."""
    client = connect()
    uid = client.create(usage="Encrypt Decrypt")
    client.send(ttlv.encode(kmip.message((1, 4), *[kmip.get_attributes((1, 4), uid)] * 64, maximum=4096)))
    data = client.receive_bytes()
    assert len(data) <= 4096
    assert kmip.Response(ttlv.decode(data)).items[0].reason_is("Response Too Large")
    client.destroy(uid)
