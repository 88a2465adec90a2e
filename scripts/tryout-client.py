#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tryout-client.py create|fetch HOST PORT DIR [UID]: uses a key of the try-out server with PyKMIP's client.

DIR is an enrolled endpoint's directory (key.pem, cert.pem, ca.pem). `create` makes, activates, fetches and locates an
AES-256 key and prints its identifier; `fetch` gets it again. The key itself is not printed, only a digest of it.
"""
import hashlib
import logging
import sys

from kmip.core import enums
from kmip.core.attributes import Name
from kmip.core.factories.attributes import AttributeFactory
from kmip.pie.client import ProxyKmipClient


# PyKMIP logs that it has no configuration file of its own; it is told everything here.
logging.disable(logging.WARNING)


def connect(host, port, directory):
    return ProxyKmipClient(
        hostname=host, port=int(port), cert=f"{directory}/cert.pem", key=f"{directory}/key.pem",
        ca=f"{directory}/ca.pem", kmip_version=enums.KMIPVersion.KMIP_1_4)


def show(client, uid):
    key = client.get(uid)
    digest = hashlib.sha256(key.value).hexdigest()[:16]
    print(f"fetched {uid}: {key.cryptographic_algorithm.name}-{key.cryptographic_length}, "
          f"SHA-256 of the key starts with {digest}")


def create(client):
    name = "tryout-key"
    uid = client.create(enums.CryptographicAlgorithm.AES, 256, name=name)
    print(f"created {uid}")
    client.activate(uid)
    print(f"activated {uid}")
    show(client, uid)
    wanted = AttributeFactory().create_attribute(
        enums.AttributeType.NAME, Name.create(name, enums.NameType.UNINTERPRETED_TEXT_STRING))
    found = client.locate(attributes=[wanted])
    if found != [uid]:
        sys.exit(f"located {found} by name, expected [{uid}]")
    print(f"located {uid} by the name \"{name}\"")


def main():
    if len(sys.argv) < 5 or sys.argv[1] not in ("create", "fetch"):
        sys.exit(__doc__)
    with connect(*sys.argv[2:5]) as client:
        if sys.argv[1] == "create":
            create(client)
        else:
            show(client, sys.argv[5])


if __name__ == "__main__":
    main()
