# SPDX-License-Identifier: Apache-2.0
"""Endpoints and wallets on a whole server: what an administrator changes holds from the next request on, on connections that
are open; PyKMIP is the client."""
import csv
import io
import re
import socket
import subprocess

import pytest
from kmip.core import enums
from kmip.core.exceptions import OperationFailure
from kmip.core.factories.attributes import AttributeFactory
from kmip.pie.client import ProxyKmipClient
from kmip.pie.exceptions import KmipOperationFailure

from chaos import kmip
from server import wait_for

NOT_FOUND = enums.ResultReason.ITEM_NOT_FOUND


def refused(call, *arguments, **more):
    """The reason with which a call is refused."""
    with pytest.raises((KmipOperationFailure, OperationFailure)) as failure:
        call(*arguments, **more)
    return failure.value.reason


def names(texts):
    factory = AttributeFactory()
    return [factory.create_attribute(enums.AttributeType.NAME, text) for text in texts]


@pytest.fixture
def shared(server):
    """(server, identifier): a key of "owner" in the wallet "w"; "reader" is enrolled and has no grant yet."""
    with server.client("owner") as owner:
        uid = owner.create(enums.CryptographicAlgorithm.AES, 256, name="shared")
    server.enroll("reader")
    server.keyward("wallet", "create", "w")
    server.keyward("wallet", "add", "w", uid)
    return server, uid


def test_a_wallet_shares_a_key_until_the_grant_is_revoked_on_an_open_connection(shared):
    server, uid = shared
    with server.client("owner") as owner, server.client("reader") as reader:
        key = owner.get(uid).value
        assert refused(reader.get, uid) == NOT_FOUND
        assert reader.locate(attributes=names(["shared"])) == []
        server.keyward("wallet", "grant", "w", "--endpoint", "reader", "--access", "read-only")
        assert reader.get(uid).value == key
        assert reader.locate(attributes=names(["shared"])) == [uid]
        assert reader.locate() == [uid]
        assert refused(reader.activate, uid) == NOT_FOUND
        server.keyward("wallet", "revoke", "w", "--endpoint", "reader")
        assert refused(reader.get, uid) == NOT_FOUND
        assert reader.locate() == []
        server.keyward("wallet", "grant", "w", "--endpoint", "reader", "--access", "read-modify")
        reader.activate(uid)
        server.keyward("wallet", "remove", "w", uid)
        assert refused(reader.get, uid) == NOT_FOUND
        assert owner.get(uid).value == key


def test_a_group_shares_its_grants_and_a_default_wallet_takes_what_is_created(shared):
    server, uid = shared
    server.keyward("endpoint-group", "create", "g")
    server.keyward("wallet", "grant", "w", "--endpoint-group", "g", "--access", "read-only", "--manage")
    server.keyward("endpoint", "update", "owner", "--default-wallet", "w")
    with server.client("owner") as owner, server.client("reader") as reader:
        second = owner.create(enums.CryptographicAlgorithm.AES, 256)
        assert refused(reader.get, second) == NOT_FOUND
        server.keyward("endpoint-group", "add", "g", "reader")
        assert reader.get(second).value == owner.get(second).value
        assert sorted(reader.locate()) == sorted([uid, second])
        access = server.json("key", "access", second)["access"]
        assert [(row["name"], row["access"]) for row in access] == [("owner", "owner"), ("reader", "read-only")]
        assert access[1]["wallet"] == "w" and access[1]["group"] == "g"
        assert {row["id"] for row in server.json("endpoint", "objects", "reader")["keys"]} == {uid, second}
        assert server.json("wallet", "show", "w")["grants"] == [
            {"kind": "endpoint_group", "name": "g", "access": "read-only", "manage": True}]
        server.keyward("endpoint-group", "remove", "g", "reader")
        assert refused(reader.get, second) == NOT_FOUND


def test_every_operation_of_a_stranger_ends_in_not_found(shared):
    server, uid = shared
    with server.client("reader") as stranger:
        calls = [
            (stranger.get, {}), (stranger.get_attributes, {}), (stranger.get_attribute_list, {}), (stranger.activate, {}),
            (stranger.destroy, {}), (stranger.delete_attribute, {"attribute_name": "Name", "attribute_index": 0}),
            (stranger.modify_attribute, {"attribute": names(["stolen"])[0]}),
        ]
        for call, more in calls:
            assert refused(call, uid, **more) == NOT_FOUND, call
        assert refused(stranger.revoke, enums.RevocationReasonCode.KEY_COMPROMISE, uid) == NOT_FOUND
    with server.client("owner") as owner:
        assert owner.get(uid)


def test_suspending_and_deleting_refuse_the_next_request_of_an_open_connection(server):
    with server.client("one") as one, server.client("two"):
        uid = one.create(enums.CryptographicAlgorithm.AES, 256)
        server.keyward("endpoint", "suspend", "one")
        assert refused(one.get, uid) == enums.ResultReason.AUTHENTICATION_NOT_SUCCESSFUL
        server.keyward("endpoint", "resume", "one")
        assert one.get(uid)
        assert server.keyward("endpoint", "delete", "one", check=False).returncode == 6
        server.keyward("endpoint", "delete", "one", "--reassign-to", "two")
        assert refused(one.get, uid) == enums.ResultReason.AUTHENTICATION_NOT_SUCCESSFUL
    assert len(server.fetch(uid, "two")) == 32
    assert "one" not in server.keyward("endpoint", "list", "-o", "name").stdout.split()


def test_a_saved_ticket_opens_nothing_to_a_suspended_endpoint(server):
    where = server.enroll("saved")
    endpoint = kmip.Endpoint("127.0.0.1", server.port, where / "ca.pem", where / "cert.pem", where / "key.pem")
    made = kmip.context(endpoint.ca, endpoint.cert, endpoint.key)
    with endpoint.connect(tls_context=made) as client:
        uid = client.create()
        session = client.socket.session
    server.keyward("endpoint", "suspend", "saved")
    reused = 0
    for _ in range(8):  # which process takes a connection is chance
        with socket.create_connection((endpoint.host, endpoint.port), timeout=15) as raw, \
                made.wrap_socket(raw, server_hostname=endpoint.host, session=session) as client.socket:
            reused += client.socket.session_reused
            with pytest.raises((kmip.Refused, kmip.Closed)):
                client.state(uid)
    assert reused


def test_rotating_keeps_the_old_certificate_for_a_while_and_re_enrolling_does_not(server):
    uid, key = server.create_key("app")
    old, new, third = (server.root / "clients" / name for name in ("app", "app-new", "app-third"))
    server.keyward("endpoint", "rotate", "app", "--out", new, "--keep-old", "3600")
    assert server.fetch(uid, "app") == server.fetch(uid, "app-new") == key
    token = server.json("endpoint", "re-enroll", "app")["token"]
    assert server.fetch(uid, "app-new") == key
    server.keyward("endpoint", "enroll", "app", "--token-file", server.secret_file("token", token), "--out", third)
    assert server.fetch(uid, "app-third") == key
    for name in (old.name, new.name):
        with server.client(name) as client:
            assert refused(client.get, uid) == enums.ResultReason.AUTHENTICATION_NOT_SUCCESSFUL


def test_tokens_are_refused_after_five_wrong_ones(server):
    token = server.json("endpoint", "add", "guessed")["token"]
    for i in range(5):
        done = server.keyward("endpoint", "enroll", "guessed", "--token-file", server.secret_file("token", "f" * 64),
                              "--out", server.root / f"out-{i}", check=False)
        assert done.returncode == 3, done.stderr
    done = server.keyward("endpoint", "enroll", "guessed", "--token-file", server.secret_file("token", token),
                          "--out", server.root / "out", check=False)
    assert done.returncode != 0 and "wait" in done.stderr


def test_the_last_sight_of_an_endpoint_is_told(server):
    server.enroll("app")
    assert server.json("endpoint", "show", "app")["last_seen"] is None
    with server.client("app") as client:
        client.locate()
    wait_for("the time of the last request", lambda: server.json("endpoint", "show", "app")["last_seen"])


def test_the_trail_names_what_was_granted(shared):
    server, _ = shared
    server.keyward("wallet", "grant", "w", "--endpoint", "reader", "--access", "read-only")
    records = server.json("audit", "list", "--limit", "1000")["records"]
    grant = [record for record in records if record["verb"] == "wallet grant"]
    assert len(grant) == 1 and "reader" in grant[0]["detail"]
    assert server.json("audit", "verify")["sound"] is True


def test_the_package_holds_what_clients_read_and_all_of_it_is_private(server):
    out = server.root / "clients" / "pack"
    server.keyward("endpoint", "add", "pack", "--enroll", "--out", out, "--server", f"127.0.0.1:{server.port}")
    assert {str(path.relative_to(out)) for path in out.rglob("*")} == {
        "key.pem", "cert.pem", "ca.pem", "client.pem", "client.p12", "client.p12.password", "okvclient.ora", "ssl", "ssl/CA.pem",
        "ssl/cert.pem", "ssl/key.pem", "README.txt"}
    assert {path.stat().st_mode & 0o777 for path in out.rglob("*") if path.is_file()} == {0o600}
    assert (out / "ssl").stat().st_mode & 0o777 == 0o700
    lines = (out / "okvclient.ora").read_text().split()
    assert lines[0] == f"SERVER=127.0.0.1:{server.port}"
    text = subprocess.run(["openssl", "pkcs12", "-in", out / "client.p12", "-passin", f"file:{out / 'client.p12.password'}",
                           "-nodes"], capture_output=True, text=True, check=True).stdout
    assert text.count("BEGIN CERTIFICATE") == 2 and text.count("PRIVATE KEY") == 2
    # The lines for PyKMIP work as they are.
    page = (out / "README.txt").read_text()
    conf = server.root / "pykmip.conf"
    conf.write_text(re.search(r"\[client\]\n(?:.+\n)+", page).group())
    with ProxyKmipClient(config="client", config_file=str(conf)) as client:
        assert client.locate() == []
    again = server.keyward("endpoint", "rotate", "pack", "--out", out, check=False)
    assert again.returncode == 6 and "not overwritten" in again.stderr


def test_a_server_name_that_is_none_is_refused(server):
    for wrong in ("a b", "", "host:0", "host:port", "host:70000", "x\"y"):
        done = server.keyward("endpoint", "add", "w", "--enroll", "--out", server.root / "w", "--server", wrong, check=False)
        assert done.returncode == 2, wrong
    assert not (server.root / "w").exists()


def test_a_list_is_told_as_csv_that_no_spreadsheet_takes_for_a_formula(server):
    server.keyward("wallet", "create", "quoted", "--description", '=1+1, "so"')
    text = server.keyward("wallet", "list", "-o", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["description"] for row in rows if row["name"] == "quoted"] == ["'=1+1, \"so\""]
