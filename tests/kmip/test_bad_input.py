# SPDX-License-Identifier: Apache-2.0
"""Bytes and messages that no honest client sends: refused with a reason, nothing changed, nobody else disturbed."""
import contextlib
import selectors
import socket
import time

import client as kmip
import pytest
import server as system
import ttlv
import watch
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from client import FAILED
from spec import BOOLEAN, BYTE_STRING, DATE_TIME, ENUMERATION, INTEGER, INTERVAL, SPEC, STRUCTURE, TEXT_STRING
from ttlv import Item, Raw, item

pytestmark = pytest.mark.usefixtures("unharmed")

QUERY = kmip.query("Query Operations")
MALFORMED = ("Invalid Message", "Codec Error", "Response Too Large", "Server Limit Exceeded")
INVALID = ("Invalid Field", "Invalid Message", "Invalid Attribute Value", "Invalid Attribute", "Numeric Range",
           "Invalid Data Type", "Missing Data", "Cryptographic Failure", "Key Format Type Not Supported",
           "Feature Not Supported", "Illegal Object Type", "Invalid Object Type", "Unknown Enumeration")


def refuse(client, data, *reasons):
    """Sends bytes (or an item); the answer must be one failed item with one of the reasons. An end of the connection in
    place of an answer is no answer."""
    response = client.exchange(Raw(data) if isinstance(data, bytes) else data)
    answer = response.items[0]
    assert len(response.items) == response.count == 1
    assert answer.status == FAILED, answer.node
    assert answer.reason_is(*reasons), answer.node
    assert answer.message, "the refusal says why"
    return answer


def raw(tag, kind, length, content=b""):
    """An item with a header as told, whatever its content."""
    return Raw(SPEC.tag(tag).value.to_bytes(3, "big") + bytes([kind]) + length.to_bytes(4, "big") + content)


def with_header(field, version=(1, 4)):
    return kmip.message(version, QUERY, headers=[field])


def with_payload(field, version=(1, 4)):
    return kmip.message(version, kmip.operation("Query", item("Query Function", "Query Operations"), field))


def nested(depth):
    """Query with structures nested so deep in all, in a place that is to be ignored."""
    inner = item("Extension Information", [])
    for _ in range(depth - 5):
        inner = item("Extension Information", [inner])
    extension = item("Message Extension", [item("Vendor Identification", "test"), item("Criticality Indicator", False),
                                           item("Vendor Extension", [inner])])
    batch_item = Item(QUERY.tag, QUERY.type, [*QUERY.value, extension])
    return kmip.message((1, 4), batch_item)


# ---- B-1, B-2: lengths that lie -------------------------------------------------------------


@pytest.mark.parametrize("length", ["ffffffff", "7ffffff8", "80000000", "00100008"])
def test_giant_message_is_refused_before_it_is_sent(connect, length):
    client = connect(deadline=watch.REQUEST - 10)
    client.send(bytes.fromhex("42007801" + length))
    try:
        answer = client.receive()
        assert answer.items[0].reason_is(*MALFORMED)
        client.read(1)
    except kmip.Closed:
        return
    raise AssertionError("the connection is kept open")


def test_peers_that_stop_are_closed_and_hold_up_nobody(endpoint):
    """A client that is silent before TLS, one that stops in a header, one that sends a byte a second: closed by the deadline
    of the handshake (10 s) or of the request (30 s), never later, while others are served. How late is counted by the looks that
    were in vain: while the machine stands still nobody is kept waiting."""
    silent = socket.create_connection((endpoint.host, endpoint.port))
    stopped, slow = endpoint.tls(), endpoint.tls()
    message = ttlv.encode(kmip.message((1, 4), QUERY))
    stopped.sendall(message[:5])
    watched = selectors.DefaultSelector()
    for one in (silent, stopped, slow):
        one.setblocking(False)
        watched.register(one, selectors.EVENT_READ)
    closed, looks, beside = {}, 0, 0
    while len(closed) < 3 and looks < watch.REQUEST + 10:
        watch.is_served(endpoint)
        with contextlib.suppress(OSError):
            if slow not in closed and looks < len(message) - 1:
                slow.send(message[looks:looks + 1])
        found = [key.fileobj for key, _ in watched.select(timeout=1.0) if ended(key.fileobj)]
        for one in found:
            closed[one] = looks
            watched.unregister(one)
        beside += not closed
        looks += not found
    for one in (silent, stopped, slow):
        one.close()
    assert beside, "nobody was served before the first was closed"
    assert closed.get(silent, 99) < watch.HANDSHAKE + 5 and closed.get(stopped, 99) < watch.REQUEST + 5, closed.values()
    assert closed.get(slow, 99) < watch.REQUEST + 5, closed.values()


def ended(one):
    """True when the peer has closed; what it sent before is thrown away."""
    try:
        return one.recv(65536) == b""
    except (BlockingIOError, kmip.ssl.SSLWantReadError):
        return False
    except OSError:
        return True


def test_connection_closed_inside_a_message_leaves_nothing(endpoint, connect):
    before = set(connect().locate())
    data = ttlv.encode(kmip.message((1, 4), kmip.create((1, 4), kmip.key_attributes())))
    for cut in (1, 7, 8, 9, len(data) // 2, len(data) - 1):
        with endpoint.connect() as client:
            client.send(data[:cut])
    assert set(connect().locate()) == before


# ---- B-3, B-4, B-5: TTLV that is not TTLV ---------------------------------------------------

CREDENTIAL = "42000d02000000040000000100000000"
BAD_TTLV = {
    "text with padding that is not zero": with_payload(raw("Server Information", TEXT_STRING, 5, b"hello\0\0\1")),
    "text without padding": with_payload(raw("Server Information", TEXT_STRING, 7, b"message")),
    "structure shorter than its child": with_payload(raw("Server Information", STRUCTURE, 15, bytes.fromhex(CREDENTIAL))),
    "structure longer than what holds it": with_payload(raw("Server Information", STRUCTURE, 17, bytes.fromhex(CREDENTIAL))),
    "integer of 8 bytes": with_header(raw("Maximum Response Size", INTEGER, 8, bytes(8))),
    "boolean 2": with_header(raw("Batch Order Option", BOOLEAN, 8, bytes(7) + b"\2")),
    "enumeration of no bytes": with_header(raw("Batch Error Continuation Option", ENUMERATION, 0)),
    "date of 4 bytes": with_header(raw("Time Stamp", DATE_TIME, 4, bytes(8))),
    "big integer of 7 bytes": with_payload(raw("Modulus", 4, 7, bytes(8))),
    "big integer of no bytes": with_payload(raw("Modulus", 4, 0)),
    "type 0": with_payload(raw("Server Information", 0, 0)),
    "type 12": with_payload(raw("Server Information", 12, 8, bytes(8))),
    "type 255": with_payload(raw("Server Information", 255, 8, bytes(8))),
    "byte string of 2^31 bytes": with_payload(raw("Data", BYTE_STRING, 2 ** 31)),
    "byte string of 2^32-1 bytes": with_payload(raw("Data", BYTE_STRING, 2 ** 32 - 1)),
    "payload that is no structure": item("Request Message", [
        kmip.message((1, 4), QUERY).value[0],
        item("Batch Item", [item("Operation", "Query"), Item(SPEC.tag("Request Payload").value, INTEGER, 1)])]),
    "operation that is text": item("Request Message", [
        kmip.message((1, 4), QUERY).value[0],
        item("Batch Item", [Item(SPEC.tag("Operation").value, TEXT_STRING, "Query"), item("Request Payload", [])])]),
    "no header": item("Request Message", [QUERY]),
    "empty message": item("Request Message", []),
    "a response": item("Response Message", kmip.message((1, 4), QUERY).value),
    "message that is an integer": Item(SPEC.tag("Request Message").value, INTEGER, 1),
}


@pytest.mark.parametrize("what", BAD_TTLV)
def test_malformed_message_is_refused(connect, what):
    refuse(connect(), BAD_TTLV[what], *MALFORMED, "Invalid Field", "Invalid Data Type", "Missing Data")


def test_negative_interval_is_refused_or_read_as_its_bits(connect):
    """An Interval has no sign: its highest bit is a number of seconds, not a negative one."""
    client = connect()
    response = client.batch(kmip.operation("Query", item("Query Function", "Query Operations"),
                                           Item(SPEC.tag("Lease Time").value, INTERVAL, 0xFFFFFFFF)))
    assert response.items[0].ok or response.items[0].reason_is(*INVALID)


def test_bytes_after_a_message_are_the_next_message(connect):
    client = connect()
    client.send(ttlv.encode(kmip.message((1, 4), QUERY)) + bytes(8))
    assert client.receive().items[0].ok
    with pytest.raises(kmip.Closed):
        answer = client.receive()
        assert answer.items[0].reason_is(*MALFORMED)
        client.receive()


def test_ten_thousand_nested_structures_are_refused(connect):
    inner = b""
    for _ in range(10000):
        inner = bytes.fromhex("42000801") + len(inner).to_bytes(4, "big") + inner
    refuse(connect(), with_payload(Raw(inner)), *MALFORMED)


def test_nesting_of_32_is_read_and_of_33_refused(connect):
    assert connect().exchange(nested(32)).items[0].ok
    refuse(connect(), nested(33), *MALFORMED)


def test_more_items_than_the_limit_are_refused(connect):
    many = [item("Query Function", "Query Operations")] * 10001
    refuse(connect(), kmip.message((1, 4), kmip.operation("Query", *many)), *MALFORMED)


# ---- B-6, B-16: objects that are none -------------------------------------------------------

EC_INFINITY = bytes.fromhex("3019301306072a8648ce3d020106082a8648ce3d030107030200" + "00")
BAD_OBJECTS = {
    "AES key of no bytes": kmip.symmetric_key(b"", length=0),
    "AES-256 of one byte": kmip.symmetric_key(b"k", length=256),
    "AES of 17 bytes": kmip.symmetric_key(bytes(17)),
    "AES of negative length": kmip.symmetric_key(bytes(32), length=-8),
    "key of a format unknown": kmip.symmetric_key(bytes(32), form=0x7777),
    "RSA key that is no DER": kmip.asymmetric_key("Private Key", "PKCS#8", b"not a key", "RSA", 2048),
    "EC point at infinity": kmip.asymmetric_key("Public Key", "X.509", EC_INFINITY, "EC", 256),
    "certificate that is no DER": kmip.certificate(b"not a certificate"),
    "certificate cut short": kmip.certificate(bytes.fromhex("30820400")),
    "secret of no bytes": kmip.secret_data(b""),
    "key without a value": item("Symmetric Key", [item("Key Block", [
        item("Key Format Type", "Raw"), item("Cryptographic Algorithm", "AES"), item("Cryptographic Length", 256)])]),
    "key without a block": item("Symmetric Key", []),
    "transparent key without its key": kmip.symmetric_key([], length=256, form="Transparent Symmetric Key"),
}


@pytest.mark.parametrize("what", BAD_OBJECTS)
def test_object_that_cannot_be_one_is_refused(connect, what):
    client = connect()
    before = set(client.locate())
    answer = client.batch(kmip.register((1, 4), BAD_OBJECTS[what])).items[0]
    assert answer.reason_is(*INVALID, "Key Value Not Present"), answer.node
    assert set(client.locate()) == before


def test_public_key_off_its_curve_is_refused(connect):
    good = bytearray(watch.spki(watch.ec_key()))
    good[-1] ^= 1
    answer = connect().batch(kmip.register((1, 4), kmip.asymmetric_key("Public Key", "X.509", bytes(good), "EC", 256)))
    assert answer.items[0].reason_is(*INVALID), answer.items[0].node


def rsa_numbers(n, e):
    """An RSA public key of these numbers (PKCS#1)."""
    def integer(number):
        content = number.to_bytes(number.bit_length() // 8 + 1, "big")
        return b"\2\x82" + len(content).to_bytes(2, "big") + content
    inside = integer(n) + integer(e)
    return b"\x30\x82" + len(inside).to_bytes(2, "big") + inside


@pytest.mark.parametrize("n, e", [(1 << 2047, 65537), ((1 << 2047) + 1, 1), ((1 << 2047) + 1, 0), (15, 3)],
                         ids=["even modulus", "exponent 1", "exponent 0", "modulus of 4 bits"])
def test_rsa_key_of_impossible_numbers_is_refused(connect, n, e):
    asked = kmip.asymmetric_key("Public Key", "PKCS#1", rsa_numbers(n, e), "RSA", n.bit_length())
    answer = connect().batch(kmip.register((1, 4), asked)).items[0]
    assert answer.reason_is(*INVALID), answer.node


def test_rsa_private_key_of_equal_primes_is_refused(connect):
    key = watch.rsa_key().private_numbers()
    p = key.p
    d = pow(65537, -1, p * (p - 1))
    fields = [0, p * p, 65537, d, p, p, d % (p - 1), d % (p - 1), pow(p + 1, -1, p)]
    inside = b"".join(b"\2\x82" + (n.bit_length() // 8 + 1).to_bytes(2, "big") + n.to_bytes(n.bit_length() // 8 + 1, "big")
                      for n in fields)
    der = b"\x30\x82" + len(inside).to_bytes(2, "big") + inside
    answer = connect().batch(kmip.register((1, 4), kmip.asymmetric_key("Private Key", "PKCS#1", der, "RSA", 2048))).items[0]
    assert answer.reason_is(*INVALID), answer.node


def test_certificate_of_ten_thousand_extensions_is_answered(connect):
    """300 KB that a parser must look at; whatever it says, it says it (and `unharmed` looks at the rest)."""
    more = [x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.3.{number}"), b"\5\0") for number in range(10000)]
    client = connect()
    der = watch.certificate(watch.ec_key(), "many", more=more).public_bytes(serialization.Encoding.DER)
    answer = client.batch(kmip.register((1, 4), kmip.certificate(der))).items[0]
    assert answer.ok or answer.reason_is(*INVALID, "Response Too Large"), answer.node
    if answer.ok:
        client.destroy(answer.payload.get("Unique Identifier"))


def test_link_that_a_client_makes_up_is_a_word_alone(connect, other_endpoint):
    """A private key that is registered as the other half of a public key that it does not fit, and that is somebody else's:
    clients may say so, and reach nothing by it."""
    client, owner = connect(), connect(where=other_endpoint)
    theirs = owner.call(kmip.register((1, 4), kmip.asymmetric_key("Public Key", "X.509", watch.spki(watch.ec_key()), "EC", 256))).get(
        "Unique Identifier")
    before = owner.attributes(theirs)
    private = kmip.asymmetric_key("Private Key", "PKCS#8", watch.pkcs8(watch.ec_key()), "EC", 256)
    link = [item("Link Type", "Public Key Link"), item("Linked Object Identifier", theirs)]
    uid = client.call(kmip.register((1, 4), private, [("Link", link)])).get("Unique Identifier")
    answer = client.batch(kmip.rekey_pair(uid)).items[0]
    assert answer.reason_is(*INVALID, "Item Not Found", "Illegal Operation"), answer.node
    assert client.batch(kmip.get(theirs)).items[0].reason_is("Item Not Found")
    assert repr(owner.attributes(theirs)) == repr(before)
    client.destroy(uid)
    owner.destroy(theirs)


@pytest.mark.parametrize("change", [("Object Type", "Certificate"), ("Cryptographic Length", 128),
                                    ("Cryptographic Algorithm", "3DES")])
def test_object_that_contradicts_its_attributes_is_refused(connect, change):
    name, value = change
    kind = value if name == "Object Type" else "Symmetric Key"
    attributes = [] if name == "Object Type" else [change]
    answer = connect().batch(kmip.register((1, 4), kmip.symmetric_key(bytes(32)), attributes, kind)).items[0]
    assert answer.reason_is(*INVALID, "Illegal Operation", "Permission Denied"), answer.node


@pytest.mark.parametrize("attributes", [
    kmip.key_attributes(length=-8), kmip.key_attributes(length=0), kmip.key_attributes(length=257),
    kmip.key_attributes(length=2 ** 31 - 1), kmip.key_attributes(algorithm=0x12345), kmip.key_attributes(algorithm="RSA"),
    [("Cryptographic Length", 256)], [("Cryptographic Algorithm", "AES"), ("Cryptographic Algorithm", "3DES"),
                                      ("Cryptographic Length", 256)],
], ids=["length -8", "length 0", "length 257", "length 2^31-1", "algorithm unknown", "RSA as a symmetric key", "no algorithm",
        "two algorithms"])
def test_key_that_cannot_be_made_is_refused(connect, some_version, attributes):
    client = connect(some_version)
    before = set(client.locate())
    answer = client.batch(kmip.create(some_version, attributes)).items[0]
    assert answer.reason_is(*INVALID, "Attribute Single Valued", "Multi Valued Attribute",
                            "Unsupported Cryptographic Parameters"), answer.node
    assert set(client.locate()) == before


# ---- B-7: extensions and unknown tags -------------------------------------------------------


@pytest.mark.parametrize("critical", [True, False])
def test_critical_extension_is_refused_and_other_is_ignored(connect, critical):
    extension = item("Message Extension", [item("Vendor Identification", "nobody"), item("Criticality Indicator", critical),
                                           item("Vendor Extension", [])])
    answer = connect().batch(Item(QUERY.tag, QUERY.type, [*QUERY.value, extension])).items[0]
    assert answer.ok is not critical
    assert not critical or answer.reason_is("Feature Not Supported")


@pytest.mark.parametrize("tag", [0x540001, 0x54FFFF, 0x42FFFE, 0x41FFFF, 0x000000])
@pytest.mark.parametrize("place", ["header", "payload"])
def test_unknown_tag_is_skipped_or_refused(connect, tag, place):
    field = Item(tag, TEXT_STRING, "what is this")
    answer = connect().exchange(with_header(field) if place == "header" else with_payload(field)).items[0]
    if place == "header" and tag >= 0x540000:
        assert answer.ok, "a vendor's field in the header is skipped"
    assert answer.ok or answer.reason_is(*INVALID, "Unknown Tag"), answer.node


# ---- B-8: counts ----------------------------------------------------------------------------


@pytest.mark.parametrize("count", [-1, 0, 2, 2 ** 31 - 1])
def test_batch_count_that_lies_is_refused(connect, count):
    refuse(connect(), kmip.message((1, 4), QUERY, batch_count=count), *MALFORMED)


def test_missing_batch_count_is_refused(connect):
    refuse(connect(), kmip.message((1, 4), QUERY, drop_count=True), *MALFORMED, "Missing Data")


def test_one_item_said_and_two_sent_are_refused(connect):
    refuse(connect(), kmip.message((1, 4), QUERY, QUERY, batch_count=1), *MALFORMED)


def test_batch_of_256_is_run_and_of_257_refused(connect):
    answers = connect().batch(*[QUERY] * 256).items
    assert len(answers) == 256 and all(answer.ok for answer in answers)
    refuse(connect(), kmip.message((1, 4), *[QUERY] * 257), *MALFORMED)


# ---- B-10: versions -------------------------------------------------------------------------


@pytest.mark.parametrize("version", [(9, 9), (0, 0), (1, -1), (1, 5), (3, 0), (-2, 1), (2 ** 31 - 1, 0)])
def test_unknown_version_is_refused_and_the_known_ones_are_named(connect, version):
    answer = refuse(connect(), kmip.message(version, QUERY), "Invalid Message", "Unsupported Protocol Version")
    assert "1.0" in answer.message and "2.1" in answer.message


def test_version_missing_is_refused(connect):
    refuse(connect(), item("Request Message", [item("Request Header", [item("Batch Count", 1)]), QUERY]), *MALFORMED,
           "Missing Data")


@pytest.mark.parametrize("name", ["Set Attribute", "Login", "Ping", "Re-Provision"])
def test_operation_newer_than_the_version_is_refused(connect, name):
    answer = connect().batch(kmip.operation(name)).items[0]
    assert answer.reason_is("Operation Not Supported"), answer.node


@pytest.mark.parametrize("code", [0, 0x42, 0x7FFFFFFF, 0x80000001, 0xFFFFFFFF])
def test_unknown_operation_is_refused(connect, some_version, code):
    answer = connect(some_version).batch(kmip.operation(code)).items[0]
    assert answer.reason_is("Operation Not Supported", "Invalid Message", "Invalid Field"), answer.node


# ---- B-11: Maximum Response Size ------------------------------------------------------------


@pytest.mark.parametrize("maximum", [0, 1, -1, 255])
def test_answer_that_does_not_fit_is_refused_whole(connect, some_version, maximum):
    client = connect(some_version)
    answer = client.batch(kmip.query("Query Operations", "Query Objects"), maximum=maximum).items[0]
    assert answer.reason_is("Response Too Large"), answer.node


@pytest.mark.parametrize("maximum", [0, 1, -1, 64])
def test_change_whose_answer_does_not_fit_is_not_made(connect, maximum):
    client = connect()
    before = set(client.locate())
    answer = client.batch(kmip.create((1, 4), kmip.key_attributes()), maximum=maximum).items[0]
    assert answer.reason_is("Response Too Large"), answer.node
    assert set(client.locate()) == before


LARGE = 1000 * 1000


def registered(client, size):
    asked = kmip.register(client.version, kmip.opaque_object(bytes(size)), [("Name", f"large-{size}-{client.version}")])
    return client.call(asked).get("Unique Identifier")


@pytest.mark.parametrize("maximum, gets", [(4096, 1), (None, 5)])
def test_read_that_does_not_fit_beside_a_change_fails_alone(connect, some_version, maximum, gets):
    """What was changed is told as changed, on one message with more than the answer may hold."""
    client = connect(some_version)
    uid = registered(client, LARGE)
    batch = [kmip.create(some_version, kmip.key_attributes())] + [kmip.get(uid)] * gets
    more = {} if maximum is None else {"maximum": maximum}
    answers = client.batch(*batch, on_error="Continue", **more).items
    assert len(answers) == 1 + gets and answers[0].ok, answers[0].node
    assert answers[-1].reason_is("Response Too Large"), answers[-1].node
    if maximum is None:
        assert answers[1].ok and not answers[1].payload.get("Object Type") is None
    made = answers[0].payload.get("Unique Identifier")
    assert made in client.locate()
    before = set(client.locate())
    undone = client.batch(*batch, on_error="Undo", **more).items
    assert [answer.ok for answer in undone] == [False] * len(undone)
    assert set(client.locate()) == before
    for one in (made, uid):
        client.destroy(one)


def test_large_answers_leave_no_memory_behind(endpoint, server):
    """What a front took for them is the system's again when they are gone; what memory small ones have left is kept."""
    def ask_together(asked):
        with contextlib.ExitStack() as opened:
            clients = [opened.enter_context(endpoint.connect()) for _ in range(16)]
            for one in clients:
                one.send(ttlv.encode(kmip.message((1, 4), asked)))
            assert all(one.receive().items[0].ok for one in clients)
    with endpoint.connect() as owner:
        uid = registered(owner, LARGE)
        ask_together(QUERY)
        before = watch.memory_of_fronts(server.pid)
        ask_together(kmip.get(uid))
        owner.destroy(uid)
    system.wait_for("fronts as small as before", lambda: watch.memory_of_fronts(server.pid) - before < 2 * watch.MESSAGE_LIMIT)


def test_query_that_does_not_fit_beside_a_change_refuses_the_whole(connect):
    client = connect()
    before = set(client.locate())
    answers = client.batch(kmip.create((1, 4), kmip.key_attributes()), QUERY, maximum=1400).items
    assert all(answer.reason_is("Response Too Large") for answer in answers)
    assert set(client.locate()) == before


@pytest.mark.parametrize("maximum", [256, 300, 512, 1024, 280000])
def test_no_answer_is_longer_than_the_client_allows(connect, maximum):
    client = connect()
    client.send(ttlv.encode(kmip.message((1, 4), QUERY, maximum=maximum)))
    assert len(client.receive_bytes()) <= maximum


# ---- B-12: asynchronous ---------------------------------------------------------------------


def test_asynchronous_operation_is_refused_or_answered_at_once(connect):
    wanted = item("Asynchronous Indicator", True)
    answer = connect().batch(QUERY, headers=[wanted]).items[0]
    assert answer.ok or answer.reason_is("Feature Not Supported"), answer.node


@pytest.mark.parametrize("name", ["Poll", "Cancel"])
def test_correlation_value_of_nobody_is_refused(connect, name):
    answer = connect().batch(kmip.operation(name, item("Asynchronous Correlation Value", b"made up"))).items[0]
    assert answer.reason_is("Operation Not Supported", "Item Not Found", "Invalid Field"), answer.node


# ---- B-19: credentials ----------------------------------------------------------------------


def test_credential_does_not_change_who_one_is(connect, other_endpoint):
    uid = connect().create()
    thief = connect(where=other_endpoint)
    for user in ("client", "root", "admin", ""):
        answer = thief.batch(kmip.get(uid), headers=[kmip.authentication(user, "guess")]).items[0]
        assert answer.reason_is("Item Not Found", "Authentication Not Successful"), answer.node


def test_ten_thousand_passwords_in_a_row_make_nobody_else(connect, other_endpoint):
    """What a credential says is not looked at, so there is nothing to guess: who asks is the certificate's."""
    uid, thief = connect().create(), connect(where=other_endpoint)
    asked = [ttlv.encode(kmip.message((1, 4), kmip.get(uid), headers=[kmip.authentication("client", f"guess {number}")]))
             for number in range(100)]
    for _ in range(100):
        thief.send(b"".join(asked))
        assert all(thief.receive().items[0].reason_is("Item Not Found") for _ in asked)
    connect().destroy(uid)


@pytest.mark.parametrize("credential", [
    item("Authentication", []), item("Authentication", [item("Credential", [])]),
    item("Authentication", [item("Credential", [item("Credential Type", 0x80000009), item("Credential Value", [])])]),
    item("Authentication", [item("Credential", [item("Credential Type", "Ticket"), item("Credential Value", [
        item("Ticket", [item("Ticket Type", "Login"), item("Ticket Value", b"of another server")])])])]),
    item("Authentication", [item("Credential", [item("Credential Type", "Username and Password"),
                                                item("Credential Value", [item("Username", "x" * 100000)])])]),
], ids=["empty", "credential empty", "type unknown", "ticket", "user name of 100,000 bytes"])
def test_odd_credential_is_ignored_or_refused(connect, credential):
    answer = connect().batch(QUERY, headers=[credential]).items[0]
    assert answer.ok or answer.reason_is(*INVALID, "Authentication Not Successful"), answer.node


# ---- B-20: how bytes arrive -----------------------------------------------------------------


def test_two_and_a_half_requests_in_one_record_are_answered_in_order(connect):
    client = connect()
    data = [ttlv.encode(kmip.message((1, 4), Item(QUERY.tag, QUERY.type, [
        QUERY.value[0], item("Unique Batch Item ID", bytes([number])), QUERY.value[1]]))) for number in range(3)]
    client.send(data[0] + data[1] + data[2][:len(data[2]) // 2])
    assert [client.receive().items[0].batch_id for _ in range(2)] == [b"\0", b"\1"]
    client.send(data[2][len(data[2]) // 2:])
    assert client.receive().items[0].batch_id == b"\2"


def test_request_byte_by_byte_is_answered(connect):
    client = connect()
    for byte in ttlv.encode(kmip.message((1, 4), QUERY)):
        client.send(bytes([byte]))
    assert client.receive().items[0].ok


def test_forty_requests_ahead_of_the_first_answer_are_all_answered(connect):
    client = connect()
    client.send(ttlv.encode(kmip.message((1, 4), QUERY)) * 40)
    assert all(client.receive().items[0].ok for _ in range(40))


def test_client_that_does_not_read_is_not_buffered_for_without_end(endpoint, server):
    """The fronts stop reading a client that does not take its answers."""
    before = watch.memory_of_fronts(server.pid)
    one = endpoint.tls()
    one.setblocking(False)
    data, sent, full = ttlv.encode(kmip.message((1, 4), *[QUERY] * 100)), 0, False
    watched = selectors.DefaultSelector()
    watched.register(one, selectors.EVENT_WRITE)
    while sent < 64 * 1024 * 1024 and not full:
        if not watched.select(timeout=3.0):
            full = True
            break
        try:
            sent += one.send(data)
        except (BlockingIOError, kmip.ssl.SSLWantWriteError):
            continue
        except OSError:
            full = True
    grown = watch.memory_of_fronts(server.pid) - before
    one.close()
    assert full, f"{sent} bytes were taken from a client that reads no answer"
    assert grown < 48 * 1024 * 1024, f"{grown} bytes are held for a client that reads no answer"
