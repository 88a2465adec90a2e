# SPDX-License-Identifier: Apache-2.0
"""Keys from the administrator's side on a whole server: over the REST API what an administrator imports, changes and exports is
what a KMIP client gets and sees; PyKMIP is the client, openssl and keytool made the files."""
import base64
import http.client
import json
import pathlib
import socket
import subprocess

import pytest
from kmip.core import enums
from kmip.pie.exceptions import KmipOperationFailure

from server import Server

FILES = pathlib.Path(__file__).resolve().parent.parent / "fuzz/corpus/container"


class Local(http.client.HTTPConnection):
    """HTTP over the server's socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Api:
    def __init__(self, server):
        # A socket's path may have 107 bytes, a test's directory has more.
        link = pathlib.Path("/tmp") / f"kw-keys-{server.port}"
        link.symlink_to(server.root)
        self.link, self.path = link, str(link / "run/keyward/api.sock")

    def close(self):
        self.link.unlink()

    def ask(self, method, path, body=None):
        """(status, document, headers)"""
        connection = Local(self.path)
        name, shown = (self.link / "run/keyward/api.header").read_text().strip().split(": ")
        headers = {name: shown, **({} if body is None else {"Content-Type": "application/json"})}
        connection.request(method, "/api/v1" + path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        document = json.loads(answer.read())
        connection.close()
        return answer.status, document, dict(answer.getheaders())

    def get(self, path):
        status, document, _ = self.ask("GET", path)
        assert status == 200, document
        return document

    def post(self, path, wanted=200, **body):
        status, document, _ = self.ask("POST", path, body)
        assert status == wanted, document
        return document


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("keys") / "server")
    server.setup()
    server.enroll("client")
    api = Api(server)
    yield server, api
    api.close()
    server.remove()


def in_base64(data):
    return base64.b64encode(data).decode()


def test_a_client_gets_the_bytes_that_were_imported(served):
    server, api = served
    raw = bytes(range(32))
    made = api.post("/keys:import", 201, format="raw", name="imported", owner="client", material=in_base64(raw))
    uid = made["keys"][0]["id"]
    with server.client() as client:
        assert client.get(uid).value == raw
        client.activate(uid)
        shown = api.get(f"/keys/{uid}")
        assert shown["state"] == "active"
        assert [event["event"] for event in shown["timeline"]][:1] == ["created here"]
    taken = api.post(f"/keys/{uid}:export", reason="compare")
    assert base64.b64decode(taken["material"]) == raw


@pytest.mark.parametrize("name, form", [("p12-aes", "pkcs12"), ("p12-3des", "pkcs12"), ("jks", "jks"), ("pem-encrypted", "pem")])
def test_files_of_other_tools_come_in_and_go_out_as_they_were(served, name, form, tmp_path):
    server, api = served
    data = (FILES / name).read_bytes()
    made = api.post("/keys:import", 201, format=form, name=f"file {name}", owner="client", passphrase="changeit",
                    material=data.decode() if form == "pem" else in_base64(data))
    kinds = {key["type"]: key["id"] for key in made["keys"]}
    with server.client() as client:
        pkcs8 = client.get(kinds["Private Key"]).value
        certificate = client.get(kinds["Certificate"]).value
    out = api.post(f"/keys/{kinds['Private Key']}:export", reason="test", format="pkcs12", passphrase="another one")
    (tmp_path / "out.p12").write_bytes(base64.b64decode(out["material"]))
    pem = subprocess.run(["openssl", "pkcs12", "-in", tmp_path / "out.p12", "-nodes", "-passin", "pass:another one"],
                         capture_output=True, text=True, check=True).stdout
    key = pem[pem.index("-----BEGIN PRIVATE KEY"):]
    assert base64.b64decode("".join(key.splitlines()[1:-1])) == pkcs8
    out = api.post(f"/keys/{kinds['Certificate']}:export", reason="test", format="pem")
    assert base64.b64decode("".join(out["material"].splitlines()[1:-1])) == certificate


def test_a_bad_file_is_named_and_stores_nothing(served):
    _, api = served
    before = api.get("/keys?with_count=true")["count"]
    jks, p12 = (in_base64((FILES / name).read_bytes()) for name in ("jks", "p12-aes"))
    for wanted, words, body in [
            (422, "passphrase", {"format": "jks", "material": jks, "passphrase": "wrong"}),
            (422, "passphrase", {"format": "pkcs12", "material": p12, "passphrase": "wrong"}),
            (400, "DER", {"format": "pkcs12", "material": jks, "passphrase": "changeit"}),
            (400, "JKS", {"format": "jks", "material": p12, "passphrase": "changeit"}),
            (413, "iterations", {"format": "pkcs12", "material": in_base64((FILES / "p12-iterations").read_bytes()),
                                 "passphrase": "changeit"}),
            (413, "1048576", {"format": "raw", "material": "A" * 1048576})]:
        answer = api.post("/keys:import", wanted, **body)
        assert words in answer["detail"] and answer["changed"] is False
    assert api.get("/keys?with_count=true")["count"] == before


def test_the_list_is_filtered_by_the_query(served):
    _, api = served
    for number in range(5):
        api.post("/keys", 201, name=f"filtered {number}", length=128 if number % 2 else 256)
    assert [key["name"] for key in api.get("/keys?name=filtered%203")["keys"]] == ["filtered 3"]
    assert len(api.get("/keys?search=FILTERED&length=128")["keys"]) == 2
    seen, cursor = [], ""
    while cursor is not None:
        page = api.get("/keys?search=filtered&sort=newest&limit=2" + (f"&cursor={cursor}" if cursor else ""))
        seen, cursor = seen + [key["id"] for key in page["keys"]], page["next_cursor"]
    assert len(seen) == len(set(seen)) == 5 and seen == sorted(seen, reverse=True)
    for query in ("state=alive", "length=x", "colour=red", "with_count=maybe", "created_from=soon", "name=a&name=b"):
        assert api.ask("GET", "/keys?" + query)[0] == 400, query
    assert api.ask("GET", "/keys?owner=nobody")[0] == 404


def test_a_value_is_refused_or_recorded_and_never_logged(served):
    server, api = served
    secret = bytes(range(100, 132))
    made = api.post("/keys:import", 201, format="raw", name="exported", material=in_base64(secret))
    uid = made["keys"][0]["id"]
    assert api.post(f"/keys/{uid}:export", 400)["type"].endswith("missing-data")
    status, answer, headers = api.ask("POST", f"/keys/{uid}:export", {"reason": "for the auditor's eyes"})
    assert status == 200 and base64.b64decode(answer["material"]) == secret and headers["Cache-Control"] == "no-store"
    api.post(f"/keys/{uid}:modify-attribute", attribute="Extractable", value=False)
    refused = api.post(f"/keys/{uid}:export", 403, reason="once more")
    assert "extracted" in refused["detail"] and "material" not in refused
    records = json.dumps(server.json("audit", "list", "--limit", "1000"))
    assert "for the auditor's eyes" in records and in_base64(secret) not in records
    assert in_base64(secret) not in server.log()


def test_rekey_hands_the_name_on_for_clients_too(served):
    server, api = served
    made = api.post("/keys", 201, name="rolling", owner="client", activation_date="now")
    new = api.post(f"/keys/{made['id']}:re-key")
    assert new["name"] == "rolling" and new["state"] == "active" and new["id"] != made["id"]
    with server.client() as client:
        assert client.get(new["id"]).value != client.get(made["id"]).value
        newest = client.rekey(uid=new["id"], offset=0)
        assert client.get(newest).value
    links = {link["type"]: link["id"] for link in api.get(f"/keys/{new['id']}")["links"]}
    assert links == {"Replaced Object Link": made["id"], "Replacement Object Link": newest}
    assert api.post(f"/keys/{made['id']}:re-key", 409)["detail"].endswith("re-key that one")


def test_a_key_is_destroyed_only_when_it_is_named_again(served):
    server, api = served
    made = api.post("/keys", 201, name="doomed", owner="client")
    assert "nothing was destroyed" in api.post(f"/keys/{made['id']}:destroy", 400, confirm="doom")["detail"]
    with server.client() as client:
        assert client.get(made["id"]).value
        api.post(f"/keys/{made['id']}:destroy", confirm="doomed")
        with pytest.raises(KmipOperationFailure) as failure:
            client.get(made["id"])
        assert failure.value.reason == enums.ResultReason.PERMISSION_DENIED
    assert api.get(f"/keys/{made['id']}")["timeline"][-1]["event"] in ("destroyed", "changed last")


def test_the_command_line_imports_files_as_they_are(served):
    server, api = served
    raw = server.root / "raw.bin"
    raw.write_bytes(b"sixteen letters!")  # which could be taken for a text
    raw.chmod(0o600)
    store = server.root / "store.p12"
    store.write_bytes((FILES / "p12-3des").read_bytes())
    store.chmod(0o600)
    secret = server.secret_file("store.pass", "changeit")
    made = server.json("key", "import", "--format", "raw", "--name", "by hand", "--owner", "client", "--material-file", raw)
    with server.client() as client:
        assert client.get(made["keys"][0]["id"]).value == b"sixteen letters!"
    made = server.json("key", "import", "--format", "pkcs12", "--name", "store", "--material-file", store,
                       "--passphrase-file", secret)
    assert {key["name"] for key in made["keys"]} == {"store", "store-certificate"}
    raw.write_text(b"sixteen letters?".hex())
    made = server.json("key", "import", "--format", "raw", "--name", "in hex", "--encoding", "hex", "--material-file", raw)
    taken = server.json("key", "export", made["keys"][0]["id"], "--reason", "compare")
    assert base64.b64decode(taken["material"]) == b"sixteen letters?"
    out = server.root / "taken.bin"
    told = server.json("key", "export", made["keys"][0]["id"], "--reason", "compare", "--out", out)
    assert out.read_bytes() == b"sixteen letters?" and out.stat().st_mode & 0o777 == 0o600
    assert told["file"] == str(out) and "material" not in told
    again = server.keyward("key", "export", made["keys"][0]["id"], "--reason", "to a file that is there", "--out", out, check=False)
    assert again.returncode != 0 and str(out) in again.stderr and out.read_bytes() == b"sixteen letters?"
    refused = server.keyward("key", "export", made["keys"][0]["id"], "--reason", " ", "--out", server.root / "none.bin", check=False)
    assert refused.returncode != 0 and not (server.root / "none.bin").exists(), "what could not be fetched leaves no file"
    assert "to a file that is there" not in server.keyward("audit", "list", "--verb", "key export").stdout, "a value that cannot be kept is not asked for"
    raw.chmod(0o644)
    assert server.keyward("key", "import", "--format", "raw", "--material-file", raw, check=False).returncode != 0
