# SPDX-License-Identifier: Apache-2.0
"""The package of an endpoint that the server makes for a one-time token: the same files as enrolment at the client gives, used
by PyKMIP as they are; the token is used up once, the key is nowhere but in the answer; every line to be pasted can be read."""
import configparser
import io
import json
import pathlib
import re
import subprocess
import tarfile
import threading

import pytest
import yaml
from kmip.core import enums
from kmip.pie.client import ProxyKmipClient
from kmip.pie.exceptions import KmipOperationFailure

import people
from https import HEADERS, Connection

FILES = {"key.pem", "cert.pem", "ca.pem", "client.pem", "client.p12", "client.p12.password", "okvclient.ora", "ssl", "ssl/CA.pem",
         "ssl/cert.pem", "ssl/key.pem", "README.txt"}


def add(server, name):
    return server.json("endpoint", "add", name)["token"]


def post(server, name, body, **headers):
    """What somebody without an account is answered over HTTPS."""
    with Connection(server.web_port, server.root / "var/lib/keyward/tls/ca.crt") as connection:
        return connection.ask("POST", f"/api/v1/endpoints/{name}:package", body, headers)


def package(server, name, token, *more, check=True):
    out = server.root / f"{name}.tar"
    done = server.keyward("endpoint", "package", name, "--token-file", server.secret_file("token", token), "--out", out, *more,
                          check=check)
    return out, done


def unpack(archive, directory):
    """As the page of the package says: with tar, by whoever owns the directory."""
    directory.mkdir(mode=0o700)
    subprocess.run(["tar", "-xf", archive, "-C", directory], check=True, capture_output=True)
    return directory


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def sections(directory):
    """The page's lines to be pasted, by the heading above them."""
    parts = re.split(r"^# (.+)\n", (directory / "README.txt").read_text(), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def section(directory, product):
    found = [text for heading, text in sections(directory).items() if heading.startswith(product)]
    assert len(found) == 1, product
    return found[0]


def pykmip(directory):
    """PyKMIP with the lines for it as they are."""
    conf = directory / "pykmip.conf"
    conf.write_text(section(directory, "PyKMIP"))
    return ProxyKmipClient(config="client", config_file=str(conf))


def test_the_server_makes_what_the_client_would_make(web):
    where = web.root / "clients" / "made"
    where.parent.mkdir(exist_ok=True)
    archive, done = package(web, "made", add(web, "made"), "--server", f"127.0.0.1:{web.port}", "--directory", where)
    assert archive.stat().st_mode & 0o777 == 0o600
    assert done.stdout == "" and "README.txt" in done.stderr
    unpack(archive, where)
    assert {str(path.relative_to(where)) for path in where.rglob("*")} == FILES
    assert {path.stat().st_mode & 0o777 for path in where.rglob("*") if path.is_file()} == {0o600}
    assert (where / "ssl").stat().st_mode & 0o777 == 0o700
    # Beside a directory that the client has made: the same kinds of the same files.
    web.keyward("endpoint", "add", "own", "--enroll", "--out", web.root / "clients" / "own", "--server", f"127.0.0.1:{web.port}")
    own = web.root / "clients" / "own"
    assert {str(path.relative_to(own)) for path in own.rglob("*")} == FILES
    kinds = [[openssl("pkey", "-in", one / "key.pem", "-noout", "-text").split("priv:")[0],
              re.sub(r"(?s)Serial Number.*?Signature|Not (Before|After).*?\n|pub:.*?ASN1|Identifier: *\n.*?\n|Signature Value.*", "",
                     openssl("x509", "-in", one / "cert.pem", "-noout", "-text")).replace("CN = own", "CN = made"),
              re.sub(r"(?s)localKeyID: .*?\n|-----BEGIN.*?-----END", "", openssl(
                  "pkcs12", "-in", one / "client.p12", "-passin", f"file:{one / 'client.p12.password'}", "-nodes")).replace("own", "made"),
              (one / "okvclient.ora").read_text(), (one / "ca.pem").read_text(),
              (one / "README.txt").read_text().replace(str(own), str(where)).replace('"own"', '"made"').replace(
                  "it was made here, the server does not have it", "the server made it for this package and has not kept it")]
             for one in (where, own)]
    assert kinds[0] == kinds[1]
    assert openssl("pkey", "-in", where / "key.pem", "-pubout") == openssl("x509", "-in", where / "cert.pem", "-noout", "-pubkey")
    assert (where / "client.pem").read_bytes() == (where / "key.pem").read_bytes() + (where / "cert.pem").read_bytes()


def test_pykmip_uses_the_package_as_it_is(web):
    where = web.root / "clients" / "used"
    where.parent.mkdir(exist_ok=True)
    unpack(package(web, "used", add(web, "used"), "--server", f"127.0.0.1:{web.port}", "--directory", where)[0], where)
    with pykmip(where) as client:
        uid = client.create(enums.CryptographicAlgorithm.AES, 256)
        assert len(client.get(uid).value) == 32
    shown = web.json("endpoint", "show", "used")
    assert shown["state"] == "enrolled"
    assert shown["fingerprint"] == openssl("x509", "-in", where / "cert.pem", "-outform", "DER", "-noout", "-fingerprint",
                                           "-sha256").split("=")[1].strip().replace(":", "").lower()


def test_mysql_reads_the_layout(web):
    """keyring_okv reads SERVER of okvclient.ora and, in ssl/, CA.pem, cert.pem and key.pem."""
    where = unpack(package(web, "mysql", add(web, "mysql"), "--server", f"127.0.0.1:{web.port}")[0], web.root / "mysql")
    lines = dict(line.split("=", 1) for line in (where / "okvclient.ora").read_text().splitlines())
    assert lines == {"SERVER": f"127.0.0.1:{web.port}", "STANDBY_SERVER": f"127.0.0.1:{web.port}"}
    with ProxyKmipClient(hostname="127.0.0.1", port=web.port, cert=str(where / "ssl/cert.pem"), key=str(where / "ssl/key.pem"),
                         ca=str(where / "ssl/CA.pem"), kmip_version=enums.KMIPVersion.KMIP_1_1) as client:
        assert client.locate() == []


def test_without_more_the_package_names_the_server_as_its_certificate_does(web):
    where = unpack(package(web, "plain", add(web, "plain"))[0], web.root / "plain")
    conf = configparser.ConfigParser()
    conf.read_string(section(where, "PyKMIP"))
    assert (conf["client"]["host"], conf["client"]["port"]) == ("localhost", str(web.port))
    assert conf["client"]["keyfile"] == "/etc/keyward-endpoint/key.pem"


def test_over_https_the_token_is_all_that_is_needed_and_is_used_up_once(web, tmp_path):
    token = add(web, "remote")
    answer = post(web, "remote", {"token": token, "server": "kv.example"}, **{"Idempotency-Key": "one"})
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/x-tar"
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as archive:
        assert {member.name for member in archive} == FILES
        key = archive.extractfile("key.pem").read()
        assert {(member.uid, member.gid, member.mode) for member in archive if member.isfile()} == {(0, 0, 0o600)}
    # Not even for the same request with the same key of idempotency: the answer was not kept.
    for _ in range(2):
        again = post(web, "remote", {"token": token, "server": "kv.example"}, **{"Idempotency-Key": "one"})
        assert (again.status, again.problem) == (401, "authentication")
        assert "used" in again.json()["detail"] and again.json()["changed"] is False
    assert post(web, "remote", {"token": token}).status == 401
    # Nor at the other door.
    done = web.keyward("endpoint", "enroll", "remote", "--token-file", web.secret_file("token", token), "--out", tmp_path / "x",
                       check=False)
    assert done.returncode == 3 and not (tmp_path / "x" / "key.pem").exists()
    # The key is in no file of the server, in no form.
    number = int(re.search(r"priv:\n((?:[ \da-f:]+\n)+)", subprocess.run(
        ["openssl", "pkey", "-noout", "-text"], input=key, capture_output=True, check=True).stdout.decode())[1]
                 .replace(":", "").replace(" ", "").replace("\n", ""), 16).to_bytes(32, "big")
    for path in (web.root / "var").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for secret in (number, number.hex().encode(), key.splitlines()[1], token.encode()):
                assert secret not in data, path


def test_the_trail_says_that_the_server_made_the_key_and_who_was_refused(web):
    token = add(web, "traced")
    assert post(web, "traced", {"token": "0" * 64}).status == 401
    assert post(web, "traced", {"token": token}).status == 200
    records = [record for record in web.json("audit", "list", "--limit", "1000", "--verb", "endpoint package")["records"]
               if record["detail"].startswith("traced: ")]
    assert [record["outcome"] for record in records] == ["ERR_AUTHENTICATION", "ERR_OK"]
    assert all(record["detail"] == "traced: key and package made by the server" for record in records)
    assert records[1]["object"] == web.json("endpoint", "show", "traced")["id"]
    assert web.json("audit", "verify")["sound"] is True


def test_of_many_that_come_at_once_with_a_token_one_gets_a_package(web):
    token = add(web, "raced")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(post(web, "raced", {"token": token}))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status for answer in answers) == [200, 401, 401, 401]
    with tarfile.open(fileobj=io.BytesIO(next(a.body for a in answers if a.status == 200))) as archive:
        cert = archive.extractfile("cert.pem").read()
    shown = subprocess.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256"], input=cert, capture_output=True, check=True)
    assert shown.stdout.decode().split("=")[1].strip().replace(":", "").lower() == web.json("endpoint", "show", "raced")["fingerprint"]


def test_a_new_package_ends_the_certificate_that_there_was(web):
    first, second = web.root / "clients" / "first", web.root / "clients" / "second"
    first.parent.mkdir(exist_ok=True)
    where = ("--server", f"127.0.0.1:{web.port}", "--directory")
    unpack(package(web, "again", add(web, "again"), *where, first)[0], first)
    token = web.json("endpoint", "re-enroll", "again")["token"]
    with pykmip(first) as client:
        assert client.locate() == []
    (web.root / "again.tar").unlink()
    unpack(package(web, "again", token, *where, second)[0], second)
    with pykmip(second) as client:
        assert client.locate() == []
    with pykmip(first) as client, pytest.raises(KmipOperationFailure) as refusal:
        client.locate()
    assert refusal.value.reason == enums.ResultReason.AUTHENTICATION_NOT_SUCCESSFUL


def test_a_role_does_not_replace_the_token(web):
    """Neither a System Administrator nor somebody without a role gets a package without it; who has it needs no role."""
    people.make(web, "boss", roles=["system"])
    people.make(web, "nobody")
    token = add(web, "roles")
    for name in ("boss", "nobody"):
        person = people.sign_in(web, name)
        for more in ({}, {"token": "f" * 64}):
            status, problem = person.call("POST", "/endpoints/roles:package", **more)
            assert status == 401 and "token is wrong" in problem["detail"], problem
    assert post(web, "roles", {"token": token}).status == 200


def test_a_suspended_endpoint_gets_none(web):
    token = add(web, "idle")
    web.keyward("endpoint", "suspend", "idle")
    assert post(web, "idle", {"token": token}).status == 401
    web.keyward("endpoint", "resume", "idle")
    assert post(web, "idle", {"token": token}).status == 200


def test_what_is_refused_costs_no_token(web, tmp_path):
    token = add(web, "kept")
    for body, word in (({"server": "a b"}, "HOST:PORT"), ({"server": "kv:0"}, "port"), ({"directory": "etc"}, "full path"),
                       ({"directory": "/a'b"}, "character"), ({"csr": "x"}, "csr"), ({"server": 7}, "text")):
        answer = post(web, "kept", {"token": token, **body})
        assert (answer.status, answer.problem) == (400, "invalid") and word in answer.json()["detail"], answer.body
    taken = tmp_path / "taken.tar"
    taken.write_text("mine")
    file = web.secret_file("token", token)
    done = web.keyward("endpoint", "package", "kept", "--token-file", file, "--out", taken, check=False)
    assert done.returncode == 6 and "not overwritten" in done.stderr and taken.read_text() == "mine"
    done = web.keyward("endpoint", "package", "kept", "--token-file", file, check=False)
    assert done.returncode == 2 and "--out FILE" in done.stderr
    done = web.keyward("endpoint", "package", "kept", "--token-file", web.secret_file("wrong", "0" * 64), "--out", tmp_path / "n.tar",
                       check=False)
    assert done.returncode == 3 and not (tmp_path / "n.tar").exists()
    assert package(web, "kept", token)[1].returncode == 0


# ---- what is pasted ----
HOST, PLACE = "kv.example.org", "/srv/key files/app-1"


@pytest.fixture(scope="module")
def page(web):
    """A package for another host and place: every path that the page names is one of its files."""
    archive, _ = package(web, "page", add(web, "page"), "--server", f"{HOST}:5697", "--directory", PLACE)
    return unpack(archive, web.root / "page")


def path_in(page, text):
    """A path of the page, which must be that of a file of the package."""
    assert text.startswith(PLACE + "/"), text
    found = page / pathlib.PurePosixPath(text).relative_to(PLACE)
    assert found.is_file(), text
    return found.name


def test_every_path_of_the_page_is_a_file_of_the_package(page):
    text = (page / "README.txt").read_text()
    named = set(re.findall(re.escape(PLACE) + r"/([\w./]+\w)", text))
    assert named == {"key.pem", "cert.pem", "ca.pem", "client.pem"}
    assert all((page / name).is_file() for name in named)
    assert "%" not in text
    assert [heading.split(":")[0] for heading in sections(page)] == [
        "PyKMIP", "Ceph RADOS gateway", "MongoDB Enterprise, Percona Server for MongoDB", "Percona Server for MySQL",
        "Percona Server for MySQL", "MySQL Enterprise keyring_okv", "PostgreSQL with pg_tde", "VMware vCenter"]


def test_lines_for_pykmip(page):
    conf = configparser.ConfigParser()
    conf.read_string(section(page, "PyKMIP"))
    client = conf["client"]
    assert (client["host"], client["port"]) == (HOST, "5697")
    assert [path_in(page, client[key]) for key in ("keyfile", "certfile", "ca_certs")] == ["key.pem", "cert.pem", "ca.pem"]
    assert (client["cert_reqs"], client["ssl_version"]) == ("CERT_REQUIRED", "PROTOCOL_TLS")


def test_lines_for_ceph(page):
    conf = configparser.ConfigParser()
    conf.read_string(section(page, "Ceph"))
    client = {key.replace(" ", "_"): value for key, value in conf["client"].items()}
    assert client.pop("rgw_crypt_s3_kms_backend") == "kmip"
    assert client.pop("rgw_crypt_kmip_addr") == f"{HOST}:5697"
    assert {key: path_in(page, value) for key, value in client.items()} == {
        "rgw_crypt_kmip_ca_path": "ca.pem", "rgw_crypt_kmip_client_cert": "cert.pem", "rgw_crypt_kmip_client_key": "key.pem"}


def test_lines_for_mongodb(page):
    security = yaml.safe_load(section(page, "MongoDB"))["security"]
    kmip = security["kmip"]
    assert security["enableEncryption"] is True
    assert (kmip["serverName"], kmip["port"]) == (HOST, 5697)
    assert path_in(page, kmip["clientCertificateFile"]) == "client.pem"  # which mongod wants with the key in it
    assert path_in(page, kmip["serverCAFile"]) == "ca.pem"
    assert set(kmip) == {"serverName", "port", "clientCertificateFile", "serverCAFile"}


def test_lines_for_percona_server_for_mysql(page):
    manifest, conf = [json.loads(text) for heading, text in sections(page).items() if heading.startswith("Percona Server for MySQL")]
    assert manifest == {"components": "file://component_keyring_kmip"}
    assert (conf.pop("server_addr"), conf.pop("server_port")) == (HOST, "5697")
    assert {key: path_in(page, value) for key, value in conf.items()} == {
        "client_ca": "cert.pem", "client_key": "key.pem", "server_ca": "ca.pem"}


def test_lines_for_mysql_enterprise(page):
    conf = configparser.ConfigParser()
    conf.read_string(section(page, "MySQL Enterprise"))
    assert dict(conf["mysqld"]) == {"early-plugin-load": "keyring_okv.so", "keyring_okv_conf_dir": PLACE}
    assert (page / "okvclient.ora").read_text().splitlines()[0] == f"SERVER={HOST}:5697"


def test_lines_for_postgresql(page):
    """One statement, whose arguments go by name."""
    statement = section(page, "PostgreSQL").strip()
    called = re.fullmatch(r"SELECT pg_tde_add_global_key_provider_kmip\((.*)\);", statement, flags=re.S)
    arguments = dict(re.findall(r"(\w+) => ('[^']*'|\d+)(?:,\s+|$)", called[1]))
    assert {key: path_in(page, arguments.pop(key).strip("'")) for key in ("kmip_cert_path", "kmip_key_path", "kmip_ca_path")} == {
        "kmip_cert_path": "cert.pem", "kmip_key_path": "key.pem", "kmip_ca_path": "ca.pem"}
    assert arguments == {"provider_name": "'keyward'", "kmip_host": f"'{HOST}'", "kmip_port": "5697"}


def test_lines_for_vmware(page):
    text = section(page, "VMware")
    assert f"address {HOST}, port 5697" in text
    assert all((page / name).is_file() for name in re.findall(r"\w+\.pem", text))


def test_an_ipv6_address_stands_in_brackets_where_the_port_follows(web):
    where = unpack(package(web, "six", add(web, "six"), "--server", "[2001:db8::1]:5697")[0], web.root / "six")
    assert "SERVER=[2001:db8::1]:5697\n" in (where / "okvclient.ora").read_text()
    assert "rgw crypt kmip addr = [2001:db8::1]:5697\n" in section(where, "Ceph")
    assert yaml.safe_load(section(where, "MongoDB"))["security"]["kmip"]["serverName"] == "2001:db8::1"


def test_the_door_closes_after_wrong_tokens(web):
    token = add(web, "guess")
    for _ in range(5):
        assert post(web, "guess", {"token": "f" * 64}).status == 401
    answer = post(web, "guess", {"token": token})
    assert answer.status == 429 and "wait" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) > 0
