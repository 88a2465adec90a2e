# SPDX-License-Identifier: Apache-2.0
"""Whoever steals the disk gets no key and no name (contract A1, A5, INV-4): objects with known bytes and names are stored, then
every file of the root is searched for them in every encoding."""
import base64
import hashlib
import os
import pathlib
import shutil

import pytest
from kmip.core import enums
from kmip.pie import objects
from people import local as ask

MARK = "Zq7Umbrella"


def encodings(secret):
    """The ways in which bytes could lie in a file."""
    reverse = secret[::-1]
    for plain in (secret, reverse):
        yield plain
        yield plain.hex().encode()
        yield plain.hex().upper().encode()
        yield plain.decode("latin-1").encode("utf-16-le")
        yield plain.decode("latin-1").encode("utf-16-be")
        # Base64 at each of the three alignments, without the ends that neighbours decide.
        for pad in range(3):
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                yield encode(b"\0" * pad + plain)[4 if pad else 0:-4]


def find_in_root(root, secrets):
    """[(path, name of the secret)] for every secret found in any file or file name below root."""
    needles = [(name, code) for name, secret in secrets.items() for code in encodings(secret) if len(code) > 7]
    assert {name for name, _ in needles} == {*secrets}
    found = []
    for path in pathlib.Path(root).rglob("*"):
        where = str(path.relative_to(root)).encode()
        data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found += [(str(path), name) for name, code in needles if code in data or code in where]
    return found


def store_marked_objects(server):
    """Objects of every kind with bytes, names and attributes that can be recognized."""
    secrets = {}
    with server.client("Zq7UmbrellaEndpoint") as client:
        for number in range(8):
            key = hashlib.sha256(b"key %d" % number).digest()
            secrets[f"key {number}"] = key
            secrets[f"name {number}"] = f"{MARK}-key-{number}".encode()
            client.register(objects.SymmetricKey(enums.CryptographicAlgorithm.AES, 256, key,
                                                 name=f"{MARK}-key-{number}"))
        for number in range(4):
            word = f"{MARK}-password-{number}-correct-horse".encode()
            secrets[f"secret {number}"] = word
            client.register(objects.SecretData(word, enums.SecretDataType.PASSWORD, name=f"{MARK}-secret-{number}"))
            secrets[f"secret name {number}"] = f"{MARK}-secret-{number}".encode()
        opaque = hashlib.sha512(b"opaque").digest()
        secrets["opaque"] = opaque
        client.register(objects.OpaqueObject(opaque, enums.OpaqueDataType.NONE, name=f"{MARK}-opaque"))
        uid = client.create(enums.CryptographicAlgorithm.AES, 256, name=f"{MARK}-made")
        secrets["made key"] = client.get(uid).value
        secrets["made name"] = f"{MARK}-made".encode()
        destroyed = hashlib.sha256(b"destroyed").digest()
        secrets["destroyed key"] = destroyed
        client.destroy(client.register(objects.SymmetricKey(enums.CryptographicAlgorithm.AES, 256, destroyed)))
    secrets["endpoint name"] = b"Zq7UmbrellaEndpoint"
    return secrets


def store_marked_people(server):
    """People with names, addresses, passwords, sessions and links that can be recognized."""
    words = {"name": "zq7umbrella-user", "full_name": f"{MARK} Person", "email": f"{MARK}@example.org"}
    password = f"{MARK}-password-of-a-person"
    server.keyward("user", "create", words["name"], "--full-name", words["full_name"], "--email", words["email"],
                   "--password-file", server.secret_file("user", password))
    status, session = ask(server, "POST", "/sessions", user=words["name"], password=password)
    assert status == 201
    link = server.json("setup-link", "create")
    server.keyward("user-group", "create", f"{MARK}-people")
    server.keyward("user-group", "add", f"{MARK}-people", words["name"])
    made = server.json("user", "reset-password", words["name"])["password"]
    return {f"user {k}": v.encode() for k, v in {**words, "password": password, "session": session["session"][4:],
                                                 "link": link["token"][4:], "group": f"{MARK}-people", "made": made}.items()}


@pytest.mark.parametrize("running", [True, False])
def test_no_key_and_no_name_is_found_in_any_file(hsm_server, tmp_path, running):
    secrets = {**store_marked_objects(hsm_server), **store_marked_people(hsm_server)}
    secrets["PIN"] = hsm_server.token.pin.encode()
    secrets["passphrase"] = hsm_server.passphrase_file.read_bytes()
    if not running:
        hsm_server.stop()
    # What the test itself has put below the root is not the server's.
    for mine in [*hsm_server.root.glob("secret-*"), hsm_server.passphrase_file]:
        mine.unlink()
    names = {path: n for path in (hsm_server.root / "clients").rglob("*") for n in [path.name]}
    assert names
    clients = tmp_path / "clients-moved"
    os.rename(hsm_server.root / "clients", clients)
    assert find_in_root(hsm_server.root, secrets) == []


def test_what_administrators_are_told_holds_names_and_no_secret(hsm_server, tmp_path):
    """The trail as it is exported and listed, alerts, people, keys: no key, and nothing that somebody signs in with."""
    secrets = {**store_marked_objects(hsm_server), **store_marked_people(hsm_server)}
    names = {"endpoint name", *(n for n in secrets if n.startswith(("name ", "secret name ")) or n == "made name"),
             *(f"user {n}" for n in ("name", "full_name", "email", "group"))}
    (key,) = hsm_server.json("key", "list", "--name", f"{MARK}-key-0")["keys"]
    hsm_server.keyward("key", "export", key["id"], "--reason", "to look at it")
    told = tmp_path / "told"
    told.mkdir()
    for form in ("json", "csv"):
        hsm_server.keyward("audit", "export", "--format", form, "--file", told / f"trail.{form}")
        assert b"to look at it" in (told / f"trail.{form}").read_bytes()
    for number, words in enumerate([("audit", "list", "--limit", "1000"), ("alert", "list"), ("key", "list"), ("key", "show", key["id"]),
                                    ("user", "list"), ("endpoint", "list"), ("hsm", "status")]):
        (told / f"answer-{number}").write_text(hsm_server.keyward("-o", "json", *words).stdout)
    found = {name for _, name in find_in_root(told, secrets)}
    assert found & names and not found - names, found


def test_the_search_finds_what_is_there(tmp_path):
    """The search itself must be able to fail."""
    secret = b"0123456789>>>>????XYZ"
    assert len(set(encodings(secret))) == 2 * (5 + 3 * 2)
    for number, code in enumerate(encodings(secret)):
        (tmp_path / f"f{number}").write_bytes(b"noise" + code + b"noise")
        assert find_in_root(tmp_path, {"it": secret})
        (tmp_path / f"f{number}").unlink()


def test_no_file_of_the_root_is_open_to_others(hsm_server):
    store_marked_objects(hsm_server)
    wide = [str(p) for p in hsm_server.root.rglob("*") if not p.is_symlink() and p.stat().st_mode & 0o077]
    assert wide == []


def test_no_auto_login_wallet_is_on_disk_in_hsm_mode(hsm_server):
    assert not (hsm_server.root / "usr/local/okv/tde/cwallet.sso").exists()
    ram = hsm_server.root / "mnt/okvram"
    kind = os.popen(f"stat -f -L -c %T '{ram}'").read().strip()
    assert kind in ("tmpfs", "ramfs")


def test_a_copy_of_the_disk_without_the_hsm_opens_nothing(hsm_server, make_server, tmp_path):
    uid, _ = hsm_server.create_key()
    hsm_server.stop()
    hsm_server.token.hide()
    thief = make_server("thief")
    # What was in RAM is no part of the disk; its place goes by the server's id, which the copy has, too.
    shutil.rmtree(os.path.realpath(hsm_server.root / "mnt/okvram"))
    os.system(f"rm -rf '{thief.root}' && cp -a '{hsm_server.root}' '{thief.root}' && rm -f '{thief.root}/mnt/okvram'")
    thief.port = hsm_server.port
    thief.start()
    assert thief.json("hsm", "status", check=False).get("status") != "up"
    with pytest.raises(Exception):
        thief.fetch(uid)
