#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of the fuzz targets: make_corpus.py DIRECTORY. The same seeds each time.

The requests are those of the test client, one of each kind in its 1.x and 2.x form, whole and as batches. What the fuzzer finds
is added to the corpus by hand, under a name that says what it was.
"""
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "kmip")]

import client as kmip  # noqa: E402
import p12  # noqa: E402
import ttlv  # noqa: E402


def requests():
    """(name, message) of each kind."""
    for version in ((1, 0), (1, 4), (2, 1)):
        tag = f"{version[0]}{version[1]}"
        attributes = kmip.key_attributes("seed") + [("x-ID", "seed"), ("Contact Information", "someone")]
        uid = "01234567-89ab-7cde-8f01-23456789abcd"
        items = {
            "create": kmip.create(version, attributes),
            "pair": kmip.create_key_pair(version, kmip.key_attributes(None, "RSA", 2048, "Sign Verify"),
                                         [("Name", "private")], [("Name", "public")]),
            "opaque": kmip.register(version, kmip.opaque_object(b"opaque"), attributes[3:]),
            "locate": kmip.locate(version, attributes[3:]),
            "get": kmip.get(uid),
            "attributes": kmip.get_attributes(version, uid, "State", "Name", "x-ID"),
            "list": kmip.operation("Get Attribute List", kmip.uid_field(uid)),
            "activate": kmip.activate(uid),
            "revoke": kmip.revoke(uid, "Cessation of Operation"),
            "destroy": kmip.destroy(uid),
            "query": kmip.query("Query Operations", "Query Objects", "Query Server Information"),
            "versions": kmip.discover_versions((1, 4), (1, 0)),
        }
        for name, item in items.items():
            yield f"{name}-{tag}", kmip.message(version, item, maximum=4096, headers=[kmip.authentication("", "")])
        yield f"batch-{tag}", kmip.message(version, *items.values(), on_error="Undo", ordered=True)


def model_records():
    """(name, bytes): a batch, replies, attributes, an object; written down here a second time, so that a change is seen."""
    attr = struct.pack(">IBBQ", 0x420028, 5, 4, 3)
    custom = struct.pack(">IBB", 0, 7, 9) + struct.pack(">I", 4) + b"x-ID" + struct.pack(">I", 1) + b"v"
    attrs = struct.pack(">H", 2) + attr + custom
    uid = struct.pack(">I", 1) + b"u"
    who = bytes([1]) + bytes(32) + bytes(4) + bytes(16) + bytes(4) + bytes(4)
    batch = b"\x01" + who + struct.pack(">HBB", 0x0104, 2, 0) + bytes(16) + struct.pack(">H", 1)
    batch += struct.pack(">HI", 8, 0b101) + uid + attrs
    replies = b"\x01" + struct.pack(">H", 1) + struct.pack(">HHI", 0, 8, 0b1010000) + struct.pack(">I", 1) + uid + attrs
    thing = b"\x01" + struct.pack(">I", 0b10011001) + struct.pack(">III", 2, 3, 256) + struct.pack(">I", 4) + b"\1\2\3\4"
    return [("batch", b"\0" + batch), ("replies", b"\1" + replies), ("attrs", b"\2\x01" + attrs), ("object", b"\3" + thing)]


def http_requests():
    """(name, message)"""
    post = b"POST /api/v1/wallets/a%20b:grant?dry_run=true HTTP/1.1\r\nHost: kv1.example\r\nContent-Type: application/json\r\n"
    return [("get", b"GET /healthz HTTP/1.1\r\nHost: localhost:8443\r\n\r\n"),
            ("post", post + b"Content-Length: 2\r\nCookie: __Host-keyward=0123\r\nX-Keyward-CSRF: 00\r\n\r\n{}"),
            ("old", b"GET /readyz HTTP/1.0\r\n\r\n"), ("two", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2),
            ("twice", post + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
            ("chunks", post + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
            ("folded", b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n")]


def server_files():
    """(name, bytes): wallets, and the beginnings of the server's other files."""
    for name, data in p12.files().items():
        yield f"wallet-{name}", b"\0" + data
    yield "autologin", b"\1KWSSO" + bytes([1, 3]) + bytes(16 + 32 + 24 + 32)
    yield "packed-wallet", b"\1" + struct.pack(">IIQ", 1, 1, 1700000000) + bytes(32)
    yield "security-conf", b'\4# a comment\nHSM_ENABLED="1"\nHSM_TOKEN_LABEL="a label"\nUNKNOWN=kept\n'
    yield "hsm-env", b'\4export A="b"\nexport LD_LIBRARY_PATH=/opt/lib\n'


def main():
    top = pathlib.Path(sys.argv[1])
    for target in ("ttlv", "request", "model", "http", "files"):
        (top / target).mkdir(parents=True, exist_ok=True)
    for name, message in requests():
        data = ttlv.encode(message)
        (top / "request" / name).write_bytes(data)
        if name.startswith(("create", "batch")):
            (top / "ttlv" / name).write_bytes(data)
    for name, data in model_records():
        (top / "model" / name).write_bytes(data)
    for name, data in http_requests():
        (top / "http" / name).write_bytes(data)
    for name, data in server_files():
        (top / "files" / name).write_bytes(data)


if __name__ == "__main__":
    main()
