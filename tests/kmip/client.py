# SPDX-License-Identifier: Apache-2.0
"""A KMIP client for tests: mutual TLS, every operation in its 1.x and 2.x form, and bytes that no honest client sends.

It shares no line with the server: the codec is tests/kmip/ttlv.py, the vocabulary spec/kmip. Each operation's function gives
the batch item of a request; Client.call() sends one and gives the payload of the answer or raises Refused.
"""
import datetime
import os
import socket
import ssl

import ttlv
from spec import (
    BOOLEAN, BYTE_STRING, DATE_TIME, INTEGER, SPEC, STRUCTURE, TEXT_STRING, plain)
from ttlv import Item, Malformed, Raw, item

VERSIONS = [(1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (2, 0), (2, 1)]
DEADLINE = 60.0
SUCCESS, FAILED, PENDING, UNDONE = 0, 1, 2, 3


class Closed(Exception):
    """The server ended the connection instead of answering."""


class Refused(Exception):
    """The server answered a batch item with Operation Failed (or Undone)."""

    def __init__(self, answer):
        self.status, self.reason, self.message = answer.status, answer.reason, answer.message
        names = SPEC.enums["resultreason"].by_value
        super().__init__(f"{names.get(answer.reason, answer.reason)}: {answer.message}")


class Answer:
    """One batch item of a response."""

    def __init__(self, node):
        self.node = node
        self.operation = node.get("Operation")
        self.status = node.get("Result Status")
        self.reason = node.get("Result Reason")
        self.message = node.get("Result Message")
        self.payload = node.find("Response Payload")
        self.batch_id = node.get("Unique Batch Item ID")

    @property
    def ok(self):
        return self.status == SUCCESS

    def reason_is(self, *names):
        return self.status != SUCCESS and self.reason in [SPEC.member("Result Reason", name) for name in names]


class Response:
    """A response message: its version and its items."""

    def __init__(self, node):
        self.node = node
        self.header = node.find("Response Header")
        self.version = (self.header.get("Protocol Version", "Protocol Version Major"),
                        self.header.get("Protocol Version", "Protocol Version Minor"))
        self.count = self.header.get("Batch Count")
        self.items = [Answer(child) for child in node.all("Batch Item")]


def context(ca, cert=None, key=None, least=ssl.TLSVersion.TLSv1_2, most=ssl.TLSVersion.TLSv1_3):
    """A TLS context that verifies the server and shows a client certificate when one is given."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version, made.maximum_version = least, most
    made.load_verify_locations(ca)
    if cert:
        made.load_cert_chain(cert, key or cert)
    return made


class Endpoint:
    """Where the server is and who we are there; made from the environment or from an enrolled directory."""

    def __init__(self, host, port, ca, cert, key):
        self.host, self.port, self.ca, self.cert, self.key = host, int(port), str(ca), str(cert), str(key)

    @classmethod
    def from_environment(cls):
        return cls(*(os.environ[name] for name in ("KMIP_HOST", "KMIP_PORT", "KMIP_CA", "KMIP_CERT", "KMIP_KEY")))

    def beside(self, directory):
        """Another endpoint of the same server, enrolled into a directory."""
        return Endpoint(self.host, self.port, f"{directory}/ca.pem", f"{directory}/cert.pem", f"{directory}/key.pem")

    def connect(self, version=(1, 4), **more):
        return Client(self, version, **more)

    def tls(self, made=None, deadline=DEADLINE):
        """A connected TLS socket."""
        made = made or context(self.ca, self.cert, self.key)
        raw = socket.create_connection((self.host, self.port), timeout=deadline)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            return made.wrap_socket(raw, server_hostname=self.host)
        except (OSError, ssl.SSLError):
            raw.close()
            raise


class Client:
    """One connection. Requests are answered in order, so several may be sent before the first answer is read."""

    def __init__(self, endpoint, version=(1, 4), tls_context=None, deadline=DEADLINE):
        self.endpoint, self.version = endpoint, version
        self.socket = endpoint.tls(tls_context, deadline)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    # ---- bytes ----

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (ConnectionError, ssl.SSLError) as error:
            raise Closed(str(error)) from error

    def read(self, count):
        """Exactly so many bytes; Closed when the connection ends before, TimeoutError after the deadline."""
        data = b""
        while len(data) < count:
            try:
                part = self.socket.recv(count - len(data))
            except (ConnectionError, ssl.SSLError) as error:
                if isinstance(error, TimeoutError):
                    raise
                raise Closed(str(error)) from error
            if not part:
                raise Closed(f"closed after {len(data)} of {count} bytes")
            data += part
        return data

    def receive_bytes(self):
        head = self.read(8)
        return head + self.read(int.from_bytes(head[4:], "big"))

    def receive(self):
        """The next response message, decoded strictly."""
        data = self.receive_bytes()
        node = ttlv.decode(data)
        if node.name != "Response Message":
            raise Malformed(f"the answer is a {node.name}")
        return Response(node)

    def exchange(self, data):
        """Sends bytes or an item, receives one response."""
        self.send(ttlv.encode(data))
        return self.receive()

    # ---- messages ----

    def batch(self, *operations, **header):
        """Sends a message of these batch items and gives the response; see message() for the header."""
        return self.exchange(message(self.version, *operations, **header))

    def call(self, operation, **header):
        """Sends one batch item and gives its answer's payload; raises Refused."""
        answer = self.batch(operation, **header).items[0]
        if not answer.ok:
            raise Refused(answer)
        return answer.payload

    # ---- what most tests need ----

    def create(self, name=None, algorithm="AES", length=256, usage="Encrypt Decrypt", attributes=(), active=False):
        wanted = key_attributes(name, algorithm, length, usage) + list(attributes)
        uid = self.call(create(self.version, wanted)).get("Unique Identifier")
        if active:
            self.call(activate(uid))
        return uid

    def attributes(self, uid, *names):
        """{name: [values]} of an object, structures as items' lists; all attributes when no name is given."""
        return read_attributes(self.call(get_attributes(self.version, uid, *names)))

    def state(self, uid):
        values = self.attributes(uid, "State")["State"]
        return SPEC.enums["state"].by_value[values[0]]

    def locate(self, *attributes, **more):
        payload = self.call(locate(self.version, attributes, **more))
        return [child.value for child in payload.all("Unique Identifier")]

    def destroy(self, uid):
        """Destroys an object whatever its state."""
        if self.state(uid) in ("Active",):
            self.call(revoke(uid, "Cessation of Operation"))
        self.call(destroy(uid))

    def operations(self):
        """Names of the operations the server reports at this version."""
        payload = self.call(query("Query Operations"))
        names = SPEC.enums["operation"].by_value
        return {names[child.value] for child in payload.all("Operation")}


def protocol_version(version):
    return item("Protocol Version", [item("Protocol Version Major", version[0]),
                                     item("Protocol Version Minor", version[1])])


def message(version, *operations, batch_count=None, on_error=None, ordered=None, maximum=None, headers=(), ids=None,
            time_stamp=None, drop_count=False):
    """A request message. `ids` gives Unique Batch Item IDs (made by themselves for more than one item, [] for none);
    `headers` are further header items, placed before the Batch Count."""
    fields = [protocol_version(version)]
    if maximum is not None:
        fields.append(item("Maximum Response Size", maximum))
    fields.extend(headers)
    if on_error is not None:
        fields.append(item("Batch Error Continuation Option", on_error))
    if ordered is not None:
        fields.append(item("Batch Order Option", ordered))
    if time_stamp is not None:
        fields.append(item("Time Stamp", time_stamp))
    if not drop_count:
        fields.append(item("Batch Count", len(operations) if batch_count is None else batch_count))
    if ids is None:
        ids = [n.to_bytes(4, "big") for n in range(len(operations))] if len(operations) > 1 else []
    items = []
    for number, operation in enumerate(operations):
        if isinstance(operation, Item) and number < len(ids):
            operation = with_id(operation, ids[number])
        items.append(operation)
    return item("Request Message", [item("Request Header", fields), *items])


def with_id(operation, identifier):
    fields = list(operation.value)
    fields.insert(1, item("Unique Batch Item ID", identifier))
    return Item(operation.tag, operation.type, fields)


def operation(name, *fields):
    """A batch item of any operation with any payload."""
    return item("Batch Item", [item("Operation", name),
                               item("Request Payload", [field for field in fields if field is not None])])


def authentication(user, password=None):
    secret = [] if password is None else [item("Password", password)]
    return item("Authentication", [item("Credential", [
        item("Credential Type", "Username and Password"), item("Credential Value", [item("Username", user), *secret])])])


# ---- attributes ----------------------------------------------------------------------------


class Typed:
    """A value with a type of its own, for custom attributes."""

    def __init__(self, kind, value):
        self.kind, self.value = kind, value


def attribute_type(value):
    if isinstance(value, Typed):
        return value.kind, value.value
    if isinstance(value, bool):
        return BOOLEAN, value
    if isinstance(value, int):
        return INTEGER, value
    if isinstance(value, bytes):
        return BYTE_STRING, value
    if isinstance(value, datetime.datetime):
        return DATE_TIME, int(value.timestamp())
    if isinstance(value, (list, tuple)):
        return STRUCTURE, list(value)
    return TEXT_STRING, value


def name_value(text):
    """The value of a Name attribute."""
    return [item("Name Value", text), item("Name Type", "Uninterpreted Text String")]


def attribute_value(name, value):
    """(type, value) of an attribute; names and enumerations may be given as text."""
    if plain(name) == "name" and isinstance(value, str):
        value = name_value(value)
    if isinstance(value, Typed):
        return value.kind, value.value
    if plain(name) in SPEC.by_name and plain(name) != "customattribute":
        made = item(name, value)
        return made.type, made.value
    return attribute_type(value)


def attribute_1(name, value, index=None, index_last=False):
    """KMIP 1.x: Attribute{Name, Index, Value}."""
    kind, content = attribute_value(name, value)
    fields = [item("Attribute Name", name)]
    made = Item(SPEC.tag("Attribute Value").value, kind, content)
    if index is not None:
        fields.append(item("Attribute Index", index))
    fields.insert(1 if index_last else len(fields), made)
    return item("Attribute", fields)


def vendor_of(name):
    """(vendor, attribute) of a custom name: "x-…" is the vendor x, "vendor.name" is both."""
    vendor, dot, rest = name.partition(".")
    if dot and not name.startswith(("x-", "y-")):
        return vendor, rest
    return (name[0], name[2:]) if name[1:2] == "-" else ("x", name)


def attribute_2(name, value, *_):
    """KMIP 2.x: the attribute's own tag, or Attribute{Vendor Identification, Name, Value} for a custom one."""
    kind, content = attribute_value(name, value)
    if plain(name) in SPEC.by_name:
        return Item(SPEC.tag(name).value, kind, content)
    vendor, short = vendor_of(name)
    return item("Attribute", [item("Vendor Identification", vendor), item("Attribute Name", short),
                              Item(SPEC.tag("Attribute Value").value, kind, content)])


def attribute(version, name, value, *index):
    return attribute_2(name, value) if version >= (2, 0) else attribute_1(name, value, *index)


def attributes_field(version, attributes, before="Template-Attribute", after="Attributes"):
    """The structure that holds attributes: a Template-Attribute, or since 2.0 Attributes."""
    made = [one if isinstance(one, (Item, Raw)) else attribute(version, *one) for one in attributes]
    return item(after if version >= (2, 0) else before, made)


def key_attributes(name=None, algorithm="AES", length=256, usage="Encrypt Decrypt"):
    made = [("Cryptographic Algorithm", algorithm), ("Cryptographic Length", length)]
    if usage is not None:
        made.append(("Cryptographic Usage Mask", usage))
    if name is not None:
        made.append(("Name", name))
    return made


def reference(version, name):
    """How an attribute is asked for: by Attribute Name, or since 2.0 by Attribute Reference."""
    if version < (2, 0):
        return item("Attribute Name", name)
    if plain(name) in SPEC.by_name:
        return item("Attribute Reference", SPEC.tag(name).value, ttlv.ENUMERATION)
    vendor, short = vendor_of(name)
    return item("Attribute Reference", [item("Vendor Identification", vendor), item("Attribute Name", short)])


def read_attributes(payload):
    """{name: [values in the order given]} of an answer in either form."""
    found = {}
    for one in payload.all("Attribute"):
        found.setdefault(one.get("Attribute Name"), []).append(one.get("Attribute Value"))
    holder = payload.find("Attributes")
    for one in holder.value if holder is not None else []:
        if one.name == "Attribute":
            key, value = f"{one.get('Vendor Identification')}-{one.get('Attribute Name')}", one.get("Attribute Value")
        else:
            key, value = one.name, one.value
        found.setdefault(key, []).append(value)
    return found


def attribute_names(payload):
    """Names of a Get Attribute List answer in either form."""
    names = [one.value for one in payload.all("Attribute Name")]
    for one in payload.all("Attribute Reference"):
        names.append(SPEC.name(one.value) if isinstance(one.value, int)
                     else f"{one.get('Vendor Identification')}-{one.get('Attribute Name')}")
    return names


# ---- operations ----------------------------------------------------------------------------


def uid_field(uid, name="Unique Identifier"):
    return None if uid is None else item(name, uid)


def create(version, attributes, object_type="Symmetric Key"):
    return operation("Create", item("Object Type", object_type), attributes_field(version, attributes))


def create_key_pair(version, common=(), private=(), public=()):
    fields = []
    for attributes, before, after in ((common, "Common Template-Attribute", "Common Attributes"),
                                      (private, "Private Key Template-Attribute", "Private Key Attributes"),
                                      (public, "Public Key Template-Attribute", "Public Key Attributes")):
        if attributes:
            fields.append(attributes_field(version, attributes, before, after))
    return operation("Create Key Pair", *fields)


def key_block(form, material, algorithm=None, length=None):
    """A Key Block. `material` is bytes or a list of items."""
    fields = [item("Key Format Type", form), item("Key Value", [item("Key Material", material)])]
    if algorithm is not None:
        fields.append(item("Cryptographic Algorithm", algorithm))
    if length is not None:
        fields.append(item("Cryptographic Length", length))
    return item("Key Block", fields)


def symmetric_key(material, algorithm="AES", length=None, form="Raw"):
    length = len(material) * 8 if length is None else length
    return item("Symmetric Key", [key_block(form, material, algorithm, length)])


def secret_data(material, kind="Password", form="Opaque"):
    return item("Secret Data", [item("Secret Data Type", kind), key_block(form, material)])


def opaque_object(data, kind=0x80000001):
    return item("Opaque Object", [item("Opaque Data Type", kind), item("Opaque Data Value", data)])


def certificate(der):
    return item("Certificate", [item("Certificate Type", "X.509"), item("Certificate Value", der)])


def asymmetric_key(name, form, material, algorithm, length):
    """A Private Key or Public Key object."""
    return item(name, [key_block(form, material, algorithm, length)])


def register(version, object_item, attributes=(), object_type=None):
    return operation("Register", item("Object Type", object_type or object_item.name),
                     attributes_field(version, attributes), object_item)


def get(uid=None, form=None, compression=None, wrapping=None):
    fields = [uid_field(uid)]
    if form is not None:
        fields.append(item("Key Format Type", form))
    if compression is not None:
        fields.append(item("Key Compression Type", compression))
    if wrapping is not None:
        fields.append(wrapping)
    return operation("Get", *fields)


def wrapping_specification(uid, method="Encrypt", mode="NISTKeyWrap", *more):
    return item("Key Wrapping Specification", [
        item("Wrapping Method", method),
        item("Encryption Key Information", [
            item("Unique Identifier", uid), item("Cryptographic Parameters", [item("Block Cipher Mode", mode)])]), *more])


def get_attributes(version, uid=None, *names):
    return operation("Get Attributes", uid_field(uid), *(reference(version, name) for name in names))


def get_attribute_list(uid=None):
    return operation("Get Attribute List", uid_field(uid))


def add_attribute(version, uid, name, value):
    if version >= (2, 0):
        return operation("Add Attribute", uid_field(uid), item("New Attribute", [attribute_2(name, value)]))
    return operation("Add Attribute", uid_field(uid), attribute_1(name, value))


def modify_attribute(version, uid, name, value, index=None, current=None):
    if version >= (2, 0):
        old = None if current is None else item("Current Attribute", [attribute_2(name, current)])
        return operation("Modify Attribute", uid_field(uid), old, item("New Attribute", [attribute_2(name, value)]))
    return operation("Modify Attribute", uid_field(uid), attribute_1(name, value, index))


def delete_attribute(version, uid, name, index=None, current=None):
    if version < (2, 0):
        place = None if index is None else item("Attribute Index", index)
        return operation("Delete Attribute", uid_field(uid), item("Attribute Name", name), place)
    if current is not None:
        return operation("Delete Attribute", uid_field(uid), item("Current Attribute", [attribute_2(name, current)]))
    return operation("Delete Attribute", uid_field(uid), reference(version, name))


def set_attribute(uid, name, value):
    return operation("Set Attribute", uid_field(uid), item("New Attribute", [attribute_2(name, value)]))


def locate(version, attributes=(), maximum=None, offset=None, mask=None):
    fields = []
    if maximum is not None:
        fields.append(item("Maximum Items", maximum))
    if offset is not None:
        fields.append(item("Offset Items", offset))
    if mask is not None:
        fields.append(item("Storage Status Mask", mask))
    if version >= (2, 0):
        fields.append(attributes_field(version, attributes))
    else:
        fields.extend(one if isinstance(one, (Item, Raw)) else attribute_1(*one) for one in attributes)
    return operation("Locate", *fields)


def activate(uid=None):
    return operation("Activate", uid_field(uid))


def revoke(uid=None, reason="Unspecified", text=None, occurred=None):
    why = [item("Revocation Reason Code", reason)]
    if text is not None:
        why.append(item("Revocation Message", text))
    when = None if occurred is None else item("Compromise Occurrence Date", occurred)
    return operation("Revoke", uid_field(uid), item("Revocation Reason", why), when)


def destroy(uid=None):
    return operation("Destroy", uid_field(uid))


def rekey(uid=None, offset=None):
    return operation("Re-key", uid_field(uid), None if offset is None else item("Offset", offset))


def rekey_pair(uid=None, offset=None):
    return operation("Re-key Key Pair", uid_field(uid, "Private Key Unique Identifier"),
                     None if offset is None else item("Offset", offset))


def query(*functions):
    return operation("Query", *(item("Query Function", function) for function in functions))


def discover_versions(*versions):
    return operation("Discover Versions", *(protocol_version(version) for version in versions))
