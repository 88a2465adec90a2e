# SPDX-License-Identifier: Apache-2.0
"""The REST API over HTTPS: what TLS is offered, whom a request is taken from, what every answer says, and that nobody holds
up others (contract F1)."""
import contextlib
import datetime
import hmac
import json
import os
import re
import select
import signal
import socket
import ssl
import subprocess

import pytest

import tokens
from https import HEADERS, Connection, Local, request
from people import Person, make
from prepared import set_security
from server import PASSPHRASE, TOP, Server, free_port, wait_for
from shim import Shim

TLS = "var/lib/keyward/tls"


def configure(server, **settings):
    """Adds settings to keywardd.conf of a server that does not run."""
    with open(server.root / "etc/keyward/keywardd.conf", "a") as conf:
        conf.writelines(f'{key}="{value}"\n' for key, value in settings.items())


def serve(server, **settings):
    server.setup(https=True)
    if settings:
        server.stop()
        configure(server, **settings)
        server.start()
    wait_for("the HTTPS port", lambda: server.log().count("event=certificate_in_use") > (1 if settings else 0))
    return server


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("https") / "server")
    try:
        yield serve(server, WEB_REQUESTS_PER_SECOND=100000, WEB_STRANGERS_PER_MINUTE=100000, WEB_NAMES="keys.example kms")
    finally:
        server.remove()


def connect(server, **more):
    return Connection(server.web_port, server.root / TLS / "ca.crt", **more)


def ask(server, method, path, body=None, headers=None, **more):
    with connect(server, **more) as connection:
        return connection.ask(method, path, body, headers)


def make_cert(directory, name, days="2", key=("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), names="DNS:localhost"):
    """A certificate that signs itself: (certificate, key)."""
    made = directory / f"{name}.crt", directory / f"{name}.key"
    csr, extensions = directory / f"{name}.csr", directory / f"{name}.ext"
    extensions.write_text(f"subjectAltName={names}\n")
    for command in (["req", "-newkey", *key, "-nodes", "-subj", f"/CN={name}", "-keyout", made[1], "-out", csr],
                    ["x509", "-req", "-in", csr, "-signkey", made[1], "-days", days, "-extfile", extensions, "-out", made[0]]):
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    return made


def s_client(server, *options, data=b""):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.web_port}", *options], input=data,
                          capture_output=True, timeout=60)
    return (done.stdout + done.stderr).decode(errors="replace")


# ---- TLS ----

def test_the_port_is_closed_until_the_server_is_set_up(make_server):
    server = make_server()
    server.start()
    server.stop()
    server.web_port = port = free_port()
    (server.root / "etc/keyward").mkdir(parents=True, exist_ok=True)
    configure(server, WEB_LISTEN=f"127.0.0.1:{port}", KMIP_LISTEN=f"127.0.0.1:{server.port}")
    server.start()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    server.keyward("setup", "--server-name", "localhost", "--recovery-passphrase-file", server.passphrase_file, "--yes")
    assert ask(server, "GET", "/healthz").status == 200
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_port_that_is_taken_is_told_and_keys_are_served_all_the_same(make_server):
    server = make_server()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = server.keyward("setup", "--kmip-listen", f"127.0.0.1:{server.port}", "--web-listen", f"127.0.0.1:{port}",
                              "--server-name", "127.0.0.1", "--server-name", "localhost", "--recovery-passphrase-file", server.passphrase_file, "--yes",
                              check=False)
        assert done.returncode == 6 and "HTTPS is closed" in done.stderr and str(port) in done.stderr
        assert server.create_key()
    server.web_port = port
    wait_for("the port to be opened by itself", lambda: "https_port_open" in server.log())
    assert ask(server, "GET", "/healthz").status == 200


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_tls_is_of_today_and_nothing_older(web, version):
    out = s_client(web, "-tls" + version.replace(".", "_"))
    assert f"TLSv{version}" in out and "Compression: NONE" in out
    cipher = re.search(r"Cipher is (\S+)", out)[1]
    assert "GCM" in cipher or "CHACHA20" in cipher
    for older in ("-tls1", "-tls1_1"):
        assert "alert" in s_client(web, older, "-cipher", "ALL:@SECLEVEL=0")
    assert "alert handshake failure" in s_client(web, "-tls1_2", "-cipher", "AES256-SHA:AES128-GCM-SHA256:ECDHE-RSA-AES256-SHA")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_no_session_is_resumed(web, tmp_path, version):
    ask_page = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    first = s_client(web, version, "-sess_out", tmp_path / "session", "-ign_eof", data=ask_page)
    assert "200 OK" in first and "New Session Ticket" not in first
    if (tmp_path / "session").exists():
        assert "Reused," not in s_client(web, version, "-sess_in", tmp_path / "session", "-ign_eof", data=ask_page)


def test_nothing_is_negotiated_again(web):
    out = s_client(web, "-tls1_2", data=b"R\n")
    assert "no renegotiation" in out


def test_http_1_1_is_what_is_spoken(web):
    context = ssl.create_default_context(cafile=str(web.root / TLS / "ca.crt"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with connect(web, context=context) as connection:
        assert connection.socket.selected_alpn_protocol() == "http/1.1"
    context.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError):
        connect(web, context=context)


def test_plain_http_is_no_door(web):
    with socket.create_connection(("127.0.0.1", web.web_port), timeout=30) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP/1.1 200" not in plain.recv(1000)


def test_a_new_certificate_is_in_use_at_once_and_no_connection_is_lost(make_server, tmp_path):
    server = serve(make_server())
    cert, key = make_cert(tmp_path, "console")
    with connect(server) as open_before:
        assert open_before.ask("GET", "/healthz").status == 200
        # The certificate first: for a moment it does not fit the key.
        for source, name in ((cert, "console.crt"), (key, "console.key")):
            part = server.root / TLS / f"{name}.part"
            part.write_bytes(source.read_bytes())
            part.chmod(0o600)
            part.rename(server.root / TLS / name)

        def shows_the_new_one():
            try:
                return Connection(server.web_port, cert).ask("GET", "/healthz").status == 200
            except ssl.SSLCertVerificationError:
                return False
        wait_for("the new certificate", shows_the_new_one)
        assert open_before.ask("GET", "/healthz").status == 200
    # A key that does not fit is not used, and says so.
    _, other = make_cert(tmp_path, "other")
    (server.root / TLS / "console.key").write_bytes(other.read_bytes())
    wait_for("a refusal", lambda: "key values mismatch" in server.log())
    assert Connection(server.web_port, cert).ask("GET", "/healthz").status == 200
    # Nor is one that others may read.
    (server.root / TLS / "console.key").write_bytes(key.read_bytes())
    (server.root / TLS / "console.key").chmod(0o644)
    (server.root / TLS / "console.crt").write_bytes(cert.read_bytes())
    wait_for("a refusal", lambda: "must have 0600" in server.log())


# ---- what every answer says ----

def described(web):
    return ask(web, "GET", "/api/openapi.json").json()["paths"]


def filled(path):
    return re.sub(r"\{\w+\}", "x", path)


def test_every_answer_of_every_route_has_the_headers(web):
    with connect(web) as connection:
        for path, methods in described(web).items():
            for method in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND"):
                answer = connection.ask(method, filled(path), headers={"Origin": "https://evil"} if method == "OPTIONS" else None)
                got = {name: answer.headers.get(name) for name in HEADERS}
                assert got == HEADERS, (method, path)
                assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-request-id"])
                assert not [name for name in answer.headers if name.startswith("access-control")]
                assert answer.status < 500 or path.endswith("ready"), (method, path, answer.body)
                if method == "OPTIONS":
                    assert answer.status == 403, "a foreign origin"
                elif method.lower() not in methods:
                    assert answer.status == 405 and answer.headers["allow"], (method, path)


@pytest.mark.parametrize("broken", [
    b"GET / HTTP/1.1\n\n", b"\x16\x03\x01\x02\x00", b"GET /healthz HTTP/1.1\r\n\r\n", b"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA: " + b"b" * 17000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    request("POST", "/api/v1/keys", b"{}", {"Content-Length": "9999999"}),
    request("POST", "/api/v1/keys", b"{}", {"Transfer-Encoding": "chunked"}),
], ids=range(8))
def test_what_is_no_request_gets_the_headers_and_the_end(web, broken):
    with connect(web) as connection:
        connection.send(broken)
        answer = connection.read()
        assert 400 <= answer.status < 500 and {n: answer.headers.get(n) for n in HEADERS} == HEADERS
        assert answer.json()["changed"] is False


def test_two_requests_in_one_piece_are_two_and_a_hidden_one_is_none(web):
    with connect(web) as connection:
        connection.send(request("GET", "/healthz") + request("GET", "/api/v1/nothing"))
        assert [connection.read().status, connection.read().status] == [200, 404]
    hidden = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for trick in ({"Content-Length": "0", "Transfer-Encoding": "chunked"}, {"Content-Length": "0", "content-length ": str(len(hidden))},
                  {"Content-Length": "0\r\nContent-Length: 44"}, {"Content-Length": "0x0"}):
        with connect(web) as connection:
            connection.send(request("POST", "/api/v1/keys", headers=trick) + hidden)
            assert connection.read().status == 400
            assert connection.read() is None, "what follows a broken request is not read"


# ---- who asks ----

def test_nobody_gets_nowhere_without_signing_in(web):
    open_to_all = set()
    with connect(web) as connection:
        for path, methods in described(web).items():
            for method, route in methods.items():
                body = {} if method == "post" else None
                answer = connection.ask(method.upper(), filled(path), body)
                if "anyone" in route["x-keyward-by"]:
                    open_to_all.add(f"{method} {path}")
                    continue
                assert answer.status == 401, (method, path, answer.body)
                assert answer.headers["www-authenticate"] == 'Bearer realm="keyward"'
    stranger = {"Authorization": "Bearer kwt_none"}
    assert ask(web, "GET", "/api/v1/operations/x/events", headers=stranger).status == 401
    assert "get /api/v1/ready" in open_to_all and "post /api/v1/endpoints/{name}:enroll" in open_to_all


def test_health_is_told_to_everybody_and_nothing_else_with_it(web):
    assert ask(web, "GET", "/healthz", headers={"Host": "10.1.2.3"}).json() == {"status": "alive"}
    assert ask(web, "GET", "/readyz", headers={"Host": "10.1.2.3"}).json() == {"serving": True, "reason": ""}
    assert ask(web, "GET", "/api/v1/status").status == 401


@pytest.mark.parametrize("host, status", [
    ("localhost", 401), ("LOCALHOST:8443", 401), ("127.0.0.1", 401), ("127.0.0.1:1", 401), ("keys.example", 401), ("kms:443", 401),
    ("evil.example", 421), ("127.0.0.2", 421), ("localhost.evil.example", 421), ("[::1]", 421), ("", 421), ("localhost@evil", 421),
    ("key", 421), ("keys.example kms", 421), ("*", 421), ("x" * 300, 421)])
def test_the_server_answers_to_its_names_alone(web, host, status):
    assert ask(web, "GET", "/api/v1/keys", headers={"Host": host}).status == status


NOT_ONE = {
    "a token and a session": ({"Authorization": "Bearer planted-one", "Cookie": "__Host-keyward=planted-one"}, 400),
    "two sessions": ({"Cookie": "__Host-keyward=planted-one; __Host-keyward=planted-one"}, 400),
    "another scheme": ({"Authorization": "Basic YTpi"}, 401),
    "no token": ({"Authorization": "Bearer "}, 401),
    "a token with a blank": ({"Authorization": "Bearer a b"}, 401),
    "a token of 8 KiB": ({"Authorization": "Bearer " + "a" * 8192}, 401),
    "a session of 8 KiB": ({"Cookie": "__Host-keyward=" + "a" * 8192}, 401),
    "an empty session": ({"Cookie": "__Host-keyward="}, 401),
    "a token that is none": ({"Authorization": "Bearer kw_0123456789"}, 401),
    "a session that is none": ({"Cookie": "__Host-keyward=0123456789abcdef"}, 401),
    "a cookie of another name": ({"Cookie": "keyward=0123456789abcdef; x__Host-keyward=1"}, 401),
    "a token twice": ({"Authorization": "Bearer a\r\nAuthorization: Bearer b"}, 400),
}


@pytest.mark.parametrize("name", NOT_ONE)
def test_it_must_be_clear_who_asks(web, name):
    headers, status = NOT_ONE[name]
    answer = ask(web, "GET", "/api/v1/keys", headers=headers)
    assert answer.status == status, answer.body
    assert b"planted-one" not in answer.body and b"0123456789" not in answer.body
    assert "0123456789" not in web.log()


def test_what_is_sent_comes_back_as_text(web):
    """A browser that is shown a problem must not take it for a page."""
    evil = "<script>alert(1)</script>"
    with Local(web) as local:
        answers = [local.ask("POST", "/api/v1/wallets", {evil: 1}), local.ask("POST", "/api/v1/wallets:" + "%3Cscript%3E", {}),
                   local.ask("GET", "/api/v1/wallets/%3Cscript%3Ealert(1)%3C%2Fscript%3E"),
                   local.ask("GET", "/api/v1/keys?sort=%3Cscript%3E"), local.ask("POST", "/api/v1/wallets", {"name": evil + "\n"})]
    for answer in answers:
        assert answer.status >= 400 and answer.headers["content-type"] == "application/problem+json", answer.body
        assert answer.headers["x-content-type-options"] == "nosniff" and "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_token_in_the_address_is_no_token(web):
    answer = ask(web, "GET", "/api/v1/keys?access_token=kw_0123456789")
    assert answer.status == 400 and b"kw_0123456789" not in answer.body


SESSION = {"Cookie": "__Host-keyward=0123456789abcdef"}
# HMAC-SHA-256 under that session of "keyward csrf".
CSRF = hmac.new(b"0123456789abcdef", b"keyward csrf", "sha256").hexdigest()


@pytest.mark.parametrize("headers, status", [
    ({}, 403), ({"X-Keyward-CSRF": ""}, 403), ({"X-Keyward-CSRF": CSRF[:-1]}, 403), ({"X-Keyward-CSRF": "0" * 64}, 403),
    ({"X-Keyward-CSRF": CSRF + "0"}, 403), ({"X-Keyward-CSRF": CSRF}, 401),
    ({"X-Keyward-CSRF": CSRF, "Origin": "https://localhost"}, 401), ({"X-Keyward-CSRF": CSRF, "Origin": "null"}, 403),
    ({"X-Keyward-CSRF": CSRF, "Origin": "https://evil"}, 403), ({"X-Keyward-CSRF": CSRF, "Origin": "http://localhost"}, 403),
    ({"X-Keyward-CSRF": CSRF, "Origin": "https://localhost.evil"}, 403), ({"X-Keyward-CSRF": CSRF, "Origin": "https://localhost:1"}, 403),
    ({"X-Keyward-CSRF": CSRF, "Sec-Fetch-Site": "same-origin"}, 401), ({"X-Keyward-CSRF": CSRF, "Sec-Fetch-Site": "cross-site"}, 403),
    ({"X-Keyward-CSRF": CSRF, "Sec-Fetch-Site": "same-site"}, 403), ({"X-Keyward-CSRF": CSRF, "Sec-Fetch-Site": "none"}, 401)])
def test_a_page_of_another_site_changes_nothing_by_a_session(web, headers, status):
    answer = ask(web, "POST", "/api/v1/wallets", {"name": "w"}, {**SESSION, **headers})
    assert answer.status == status, answer.body


def test_a_page_of_another_site_signs_nobody_in(web):
    for headers in ({"Origin": "https://evil"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert ask(web, "POST", "/api/v1/endpoints/x:enroll", {}, headers).status == 403
    assert ask(web, "POST", "/api/v1/endpoints/x:enroll", b"{}", {"Content-Type": "text/plain"}).status == 415


def test_reading_by_a_session_needs_no_header(web):
    assert ask(web, "GET", "/api/v1/keys", headers=SESSION).status == 401  # no such session: the engine's word


def test_a_certificate_of_any_issuer_is_asked_for_and_known_by_its_fingerprint_alone(web, tmp_path):
    cert, key = make_cert(tmp_path, "admin")
    context = ssl.create_default_context(cafile=str(web.root / TLS / "ca.crt"))
    assert ask(web, "GET", "/healthz", cert=cert, key=key, context=context).status == 200
    assert ask(web, "GET", "/api/v1/keys", cert=cert, key=key, context=context).status == 401  # nobody has this one
    both = ask(web, "GET", "/api/v1/keys", headers=SESSION, cert=cert, key=key, context=context)
    assert both.status == 400 and b"more than one" in both.body


def test_a_certificate_stands_for_whoever_proves_to_have_its_key(web, tmp_path):
    cert, key = make_cert(tmp_path, "of-gina")
    gina = make(web, "gina")

    def proof(name, signer=key):
        done = subprocess.run(["openssl", "req", "-new", "-key", signer, "-subj", f"/O=Keyward user/CN={name}"], check=True,
                              capture_output=True, text=True)
        return done.stdout

    def add(request):
        return gina.call("POST", "/tokens:add-certificate", label="laptop", certificate=cert.read_text(), request=request)
    status, problem = add(proof("gina", make_cert(tmp_path, "other")[1]))
    assert status == 400 and "signed with another key" in problem["detail"], problem
    status, problem = add(proof("hugo"))
    assert status == 400 and '"/O=Keyward user/CN=gina"' in problem["detail"], problem
    status, added = add(proof("gina"))
    assert status == 201, added
    context = ssl.create_default_context(cafile=str(web.root / TLS / "ca.crt"))
    assert ask(web, "GET", "/api/v1/me", cert=cert, key=key, context=context).json()["name"] == "gina"
    lasts = datetime.datetime.fromisoformat(added["expires"].replace("Z", "+00:00")) - datetime.datetime.now(datetime.timezone.utc)
    assert lasts <= datetime.timedelta(days=2)  # as the certificate, not as a token


@pytest.mark.parametrize("fault, options", [("weak", {"key": ("rsa:1024",)}), ("expired", {"days": "-1"})])
def test_a_certificate_that_is_no_good_is_refused(web, tmp_path, fault, options):
    cert, key = make_cert(tmp_path, fault, **options)
    context = ssl.create_default_context(cafile=str(web.root / TLS / "ca.crt"))
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    try:
        answer = ask(web, "GET", "/healthz", cert=cert, key=key, context=context)
    except (ssl.SSLError, ConnectionError):
        answer = None
    assert answer is None
    assert ask(web, "GET", "/healthz").status == 200


# ---- once, if unchanged, page by page ----

def test_a_request_with_a_key_is_done_once(web):
    with Local(web) as local:
        key = {"Idempotency-Key": "5f0c1c4e-1"}
        first = local.ask("POST", "/api/v1/endpoints", {"name": "once", "description": "first"}, key)
        again = local.ask("POST", "/api/v1/endpoints", {"name": "once", "description": "first"}, key)
        assert first.status == again.status == 201 and first.json() == again.json() and first.json()["token"]
        other = local.ask("POST", "/api/v1/endpoints", {"name": "once", "description": "second"}, key)
        assert other.status == 422 and other.problem == "reused" and other.json()["changed"] is False
        elsewhere = local.ask("POST", "/api/v1/wallets", {"name": "once", "description": "first"}, key)
        assert elsewhere.status == 422
        without = local.ask("POST", "/api/v1/endpoints", {"name": "once", "description": "first"})
        assert without.status == 409
        token = first.json()["token"].encode()
    stored = b"".join(p.read_bytes() for p in (web.root / "var/lib/keyward").glob("store.db*"))
    assert token not in stored, "what is kept is sealed"


def test_a_refused_request_may_be_tried_again_with_its_key(web):
    with Local(web) as local:
        key = {"Idempotency-Key": "5f0c1c4e-2"}
        assert local.ask("POST", "/api/v1/wallets/later:add", {"object": "x"}, key).status == 404
        assert local.ask("POST", "/api/v1/wallets", {"name": "later"}).status == 201
        dry = local.ask("POST", "/api/v1/endpoints?dry_run=true", {"name": "dry"}, {"Idempotency-Key": "5f0c1c4e-3"})
        done = local.ask("POST", "/api/v1/endpoints", {"name": "dry"}, {"Idempotency-Key": "5f0c1c4e-3"})
        assert (dry.status, done.status) == (201, 201), "a dry run does not use the key up"


def test_many_with_one_key_make_one_thing(web):
    connections = [Local(web) for _ in range(30)]
    body = request("POST", "/api/v1/endpoints", {"name": "crowd"}, {"Idempotency-Key": "5f0c1c4e-4"})
    for one in connections:
        one.send(body)
    answers = [one.read() for one in connections]
    assert {a.status for a in answers} == {201} and len({a.body for a in answers}) == 1
    for one in connections:
        one.socket.close()


@pytest.mark.parametrize("key", ["", "x" * 129])
def test_a_key_has_a_sensible_length(web, key):
    with Local(web) as local:
        assert local.ask("POST", "/api/v1/wallets", {"name": "w"}, {"Idempotency-Key": key}).status == 400


def test_an_edit_with_a_condition_is_made_only_if_the_thing_is_as_it_was_seen(web):
    with Local(web) as local:
        assert local.ask("POST", "/api/v1/wallets", {"name": "etag", "description": "a"}).status == 201
        tag = local.ask("GET", "/api/v1/wallets/etag").headers["etag"]
        assert re.fullmatch(r'"[0-9a-f]{32}"', tag) and local.ask("GET", "/api/v1/wallets/etag").headers["etag"] == tag
        edit = ("POST", "/api/v1/wallets/etag:update")
        assert local.ask(*edit, {"description": "b"}, {"If-Match": tag}).status == 200
        lost = local.ask(*edit, {"description": "c"}, {"If-Match": tag})
        assert lost.status == 412 and lost.problem == "changed" and lost.json()["changed"] is False
        now = local.ask("GET", "/api/v1/wallets/etag")
        assert now.json()["description"] == "b" and now.headers["etag"] != tag
        assert local.ask(*edit, {"description": "c"}, {"If-Match": f'{tag}, {now.headers["etag"]}'}).status == 200
        assert local.ask(*edit, {"description": "d"}, {"If-Match": "*"}).status == 200
        assert local.ask(*edit, {"description": "e"}, {"If-Match": f"W/{tag}"}).status == 400
        assert local.ask("POST", "/api/v1/wallets/none:update", {"description": "e"}, {"If-Match": tag}).status == 404
        assert local.ask("POST", "/api/v1/wallets", {"name": "e2"}, {"If-Match": tag}).status == 400, "nothing to compare with"


def test_a_list_says_where_it_goes_on(web):
    with Local(web) as local:
        for i in range(5):
            assert local.ask("POST", "/api/v1/wallets", {"name": f"page{i}"}).status == 201
        names, address = [], "/api/v1/wallets?limit=2"
        while address:
            page = local.ask("GET", address)
            names += [w["name"] for w in page.json()["wallets"]]
            link = page.headers.get("link")
            assert bool(link) == bool(page.json()["next_cursor"])
            address = link and re.fullmatch(r'<(\S+)>; rel="next"', link)[1]
        assert len(names) == len(set(names)) and {f"page{i}" for i in range(5)} <= set(names)


# ---- many and slow ones ----

def test_slow_ones_do_not_hold_up_others_and_are_closed(make_server):
    server = serve(make_server(), WEB_HANDSHAKE_SECONDS=5, WEB_REQUEST_SECONDS=5)
    silent = [socket.create_connection(("127.0.0.1", server.web_port), timeout=90) for _ in range(60)]
    half = [connect(server) for _ in range(20)]
    for one in half:
        one.send(b"POST /api/v1/wallets HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
    assert ask(server, "GET", "/healthz").status == 200
    assert [one.recv(100) for one in silent] == [b""] * len(silent), "no handshake: closed"
    assert [one.read() for one in half] == [None] * len(half), "no whole request: closed"
    for one in [*silent, *(h.socket for h in half)]:
        one.close()


def test_one_address_has_so_many_connections_and_the_oldest_silent_one_makes_room(make_server):
    server = serve(make_server(), WEB_CONNECTIONS_PER_ADDRESS=4)
    kept = [connect(server) for _ in range(4)]
    assert [one.ask("GET", "/healthz").status for one in kept] == [200] * 4
    newest = connect(server)
    assert newest.ask("GET", "/healthz").status == 200
    assert kept[0].read() is None
    assert [one.ask("GET", "/healthz").status for one in kept[1:]] == [200] * 3
    for one in [*kept, newest]:
        one.socket.close()


def test_one_address_may_ask_so_much_and_is_told_when_to_come_again(make_server):
    server = serve(make_server(), WEB_REQUESTS_PER_SECOND=1)
    with connect(server) as connection:
        answers = [connection.ask("GET", "/healthz", headers={"X-Forwarded-For": f"10.0.0.{i}"}) for i in range(30)]
        refused = [a for a in answers if a.status == 429]
        assert answers[0].status == 200 and refused and refused[-1].problem == "too-many"
        assert int(refused[-1].headers["retry-after"]) >= 1
        assert {n: refused[-1].headers.get(n) for n in HEADERS} == HEADERS
    assert server.json("status")["serving"], "the local socket has no such limit"


def test_guessing_is_slow(make_server):
    server = serve(make_server(), WEB_STRANGERS_PER_MINUTE=5)
    with connect(server) as connection:
        answers = [connection.ask("GET", "/api/v1/keys", headers={"Authorization": f"Bearer guess{i}"}).status for i in range(8)]
    assert answers[:5] == [401] * 5 and answers[-1] == 429


# ---- long operations ----

@pytest.fixture(scope="module")
def hsm_web(tmp_path_factory):
    """A server with a SoftHSM token that is not initialized yet."""
    token = tokens.SoftHsm(tmp_path_factory.mktemp("token") / "softhsm")
    server = Server(tmp_path_factory.mktemp("https-hsm") / "server")
    try:
        serve(server)
        server.use_token(token)
        server.token = token
        yield server
    finally:
        server.remove()
        token.stop()


def initialize(server, pin=None, **headers):
    body = {"vendor": server.vendor, "token_label": server.token.label, "credential": pin or server.token.pin,
            "recovery_passphrase": server.passphrase_file.read_text()}
    return request("POST", "/api/v1/hsm:initialize", body, {"Prefer": "respond-async", **headers})


def events_of(data):
    """[(id, event, data)] of a stream."""
    found = re.findall(r"id: (\d+)\nevent: (\w+)\ndata: (.*)\n\n", data.decode())
    return [(int(number), event, json.loads(text)) for number, event, text in found]


def stream(server, path, last=None):
    """The events of an operation until the server ends the stream."""
    with Local(server) as local:
        local.send(request("GET", path, headers={"Last-Event-ID": str(last)} if last else None))
        data = b""
        while more := local.socket.recv(65536):
            data += more
    head, body = data.split(b"\r\n\r\n", 1)
    assert b"200 OK" in head and b"Content-Type: text/event-stream" in head and b"X-Content-Type-Options: nosniff" in head
    return events_of(body)


def test_a_long_operation_is_answered_at_once_and_tells_its_steps(hsm_web):
    with Local(hsm_web) as local:
        # A wrong credential first: the operation fails, and says what it did and that nothing was changed.
        local.send(initialize(hsm_web, pin="0000-wrong"))
        begun = local.read()
        assert begun.status == 202 and begun.headers["location"] == begun.json()["operation"]
        failed = stream(hsm_web, begun.json()["operation"] + "/events")
        assert failed[-1][1] == "error" and failed[-1][2]["type"] == "/problems/hsm/pin" and failed[-1][2]["changed"] is False
        assert local.ask("GET", begun.json()["operation"]).json()["state"] == "failed"
        local.send(initialize(hsm_web))
        begun = local.read()
        where = begun.json()["operation"]
        events = stream(hsm_web, where + "/events")
        assert [number for number, _, _ in events] == list(range(1, len(events) + 1))
        assert [event for _, event, _ in events] == ["step"] * (len(events) - 1) + ["done"] and len(events) > 5
        state = local.ask("GET", where).json()
        assert state["state"] == "done" and state["verb"] == "hsm initialize" and state["problem"] is None
        assert state["steps"] == [step for _, event, step in events if event == "step"] == state["result"]["steps"]
        assert stream(hsm_web, where + "/events", last=len(events) - 2) == events[-2:], "what was seen is not told again"
        assert hsm_web.json("hsm", "status")["key_number"] == 1
        assert hsm_web.token.pin not in json.dumps(state) and hsm_web.passphrase_file.read_text() not in json.dumps(state)


def test_steps_are_told_while_the_hsm_is_at_work(kept, tmp_path):
    server = kept("plain")
    server.shim = Shim(server.token, tmp_path / "shim")
    server.use_token(server.shim)
    set_security(server, HSM_TIMEOUT="10")
    server.start()
    server.shim.set("hang=C_Encrypt:1")
    body = {"vendor": server.vendor, "token_label": server.token.label, "credential": server.token.pin,
            "recovery_passphrase": PASSPHRASE}
    with Local(server) as local, Local(server) as watcher:
        where = local.ask("POST", "/api/v1/hsm:initialize", body, {"Prefer": "respond-async"}).json()["operation"]
        watcher.send(request("GET", where + "/events"))
        data = b""
        while b'"make the root key"' not in data:
            data += watcher.socket.recv(65536)
        meanwhile = local.ask("GET", where).json()
        assert meanwhile["state"] == "running" and meanwhile["steps"][-1]["step"] == "make the root key"
        while more := watcher.socket.recv(65536):
            data += more
        assert events_of(data.split(b"\r\n\r\n", 1)[1])[-1][1] == "error"
        ended = local.ask("GET", where).json()
        assert ended["state"] == "failed" and ended["problem"]["type"] == "/problems/hsm/timeout", ended


def test_an_operation_is_there_for_whoever_began_it_alone(hsm_web):
    with Local(hsm_web) as local:
        where = local.ask("POST", "/api/v1/hsm:verify", {}, {"Prefer": "respond-async"}).json()["operation"]
        stream(hsm_web, where + "/events")
        assert local.ask("GET", where).json()["result"]["healthy"] in (True, False)
        assert ask(hsm_web, "GET", where).status == 401, "for strangers nothing is there"
        assert local.ask("GET", "/api/v1/operations/" + "0" * 8).status == 404
    assert ask(hsm_web, "POST", "/api/v1/hsm:verify", {}, {"Prefer": "respond-async"}).status == 401
    stranger = {"Prefer": "respond-async", "Authorization": "Bearer kwt_none"}
    assert ask(hsm_web, "POST", "/api/v1/hsm:verify", {}, stranger).status == 401


ASYNC = {"Prefer": "respond-async"}


def test_a_stream_beats_while_nothing_happens_and_ends_with_its_session(web):
    person = make(web, "watcher")
    (engine,) = web.kill("admin", signal.SIGSTOP)
    try:
        where = person.ask("POST", "/api/v1/hsm:verify", {}, ASYNC).json()["operation"]
        with connect(web) as watcher:
            watcher.send(request("GET", where + "/events", headers={"Authorization": f"Bearer {person.secret}"}))
            data = b""
            while b": still here\n\n" not in data:
                assert (more := watcher.socket.recv(65536)), data
                data += more
            assert events_of(data) == [] and b"text/event-stream" in data
            assert person.ask("DELETE", "/api/v1/sessions/current").status == 200
            while more := watcher.socket.recv(65536):
                data += more
            assert events_of(data) == [], "who is signed out is told nothing more"
    finally:
        os.kill(engine.pid, signal.SIGCONT)


def test_one_user_does_not_fill_the_table_of_operations(web):
    person, other = make(web, "busy"), make(web, "waiting")
    second = Person(web, person.call("POST", "/tokens", label="second")[1]["token"])
    first = person.ask("POST", "/api/v1/hsm:verify", {}, ASYNC).json()["operation"]
    theirs = other.ask("POST", "/api/v1/hsm:verify", {}, ASYNC).json()["operation"]
    wait_for("its end", lambda: person.ask("GET", first).json()["state"] == "failed")  # a plain user may not
    (engine,) = web.kill("admin", signal.SIGSTOP)
    try:
        # All credentials of a user count together; what has ended makes room.
        begun = [who.ask("POST", "/api/v1/hsm:verify", {}, ASYNC).status for who in [person, second] * 8]
        assert begun == [202] * 16
        assert person.ask("GET", first).status == 404
        for who in (person, second):
            refused = who.ask("POST", "/api/v1/hsm:verify", {}, ASYNC)
            assert refused.status == 409 and "16 operations of yours are under way" in refused.json()["detail"]
        assert other.ask("POST", "/api/v1/hsm:verify", {}, ASYNC).status == 202
        assert other.ask("GET", theirs).status == 200
        with Local(web) as local:
            assert local.ask("POST", "/api/v1/hsm:verify", {}, ASYNC).status == 202
    finally:
        os.kill(engine.pid, signal.SIGCONT)


def test_strangers_leave_room_for_who_is_signed_in(web):
    person = make(web, "signed-in")
    (engine,) = web.kill("people", signal.SIGSTOP)
    change = {"password": "wrong", "new_password": "a password that is never set"}
    try:
        with contextlib.ExitStack() as stack:
            strangers = {c.socket: c for c in (stack.enter_context(connect(web)) for _ in range(40))}
            for connection in strangers.values():
                connection.send(request("POST", "/api/v1/sessions", {"user": "nobody", "password": "none of these is right"}))
            refused = wait_for("8 refusals", lambda: (found := select.select(list(strangers), [], [], 0)[0])[7:] and found)
            answers = [strangers[socket].read() for socket in refused]
            assert [a.status for a in answers] == [409] * 8 and b"32 sign-ins are waiting already" in answers[0].body
            with connect(web) as own:
                own.send(request("POST", "/api/v1/me:change-password", change, {"Authorization": f"Bearer {person.secret}"}))
                assert ask(web, "GET", "/healthz").status == 200
                os.kill(engine.pid, signal.SIGKILL)
                assert own.read().status == 503, "it waited, too, and was not refused"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(engine.pid, signal.SIGKILL)
    wait_for("a new engine", lambda: person.call("POST", "/me:change-password", **change)[0] == 403)


def test_other_verbs_are_answered_at_once_whatever_is_preferred(hsm_web):
    with Local(hsm_web) as local:
        assert local.ask("POST", "/api/v1/wallets", {"name": "now"}, {"Prefer": "respond-async"}).status == 201
        assert local.ask("GET", "/api/v1/hsm", headers={"Prefer": "respond-async"}).status == 200
        both = local.ask("POST", "/api/v1/rotation:wallet-password", {}, {"Prefer": "respond-async", "If-Match": '"x"'})
        assert both.status == 400 and "If-Match" in both.json()["detail"]


def test_a_stream_that_is_left_hurts_nobody(hsm_web):
    with Local(hsm_web) as local:
        where = local.ask("POST", "/api/v1/hsm:verify", {}, {"Prefer": "respond-async"}).json()["operation"]
        for _ in range(5):
            with Local(hsm_web) as gone:
                gone.send(request("GET", where + "/events"))
        assert stream(hsm_web, where + "/events")[-1][1] == "done"
        assert local.ask("GET", "/healthz").status == 200


# ---- people ----

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def admin(web):
    """A user with all three roles."""
    with Local(web) as local:
        link = local.ask("POST", "/api/v1/setup-links", {}).json()["token"]
        made = local.ask("POST", "/api/v1/setup-links:use", {"name": "admin", "token": link, "password": PASSWORD})
        assert made.status == 201, made.body
    return "admin"


def sign_in(web, user, **more):
    return ask(web, "POST", "/api/v1/sessions", {"user": user, "password": PASSWORD, **more})


def cookie_of(answer):
    found = re.fullmatch(r"(__Host-keyward=kws_[0-9a-f]{64}); Path=/; Secure; HttpOnly; SameSite=Strict", answer.headers["set-cookie"])
    return found[1]


def test_a_browser_signs_in_works_and_signs_out(web, admin):
    answer = sign_in(web, admin)
    assert answer.status == 201 and b"kws_" not in answer.body, "the secret is in the cookie alone"
    cookie, csrf = {"Cookie": "theme=dark; " + cookie_of(answer)}, {"X-Keyward-CSRF": answer.json()["csrf"]}
    who = ask(web, "GET", "/api/v1/me", headers=cookie).json()
    assert who["name"] == admin and who["csrf"] == answer.json()["csrf"] and who["credential"] == "session"
    assert ask(web, "GET", "/api/v1/keys", headers=cookie).status == 200
    assert ask(web, "POST", "/api/v1/wallets", {"name": "by-cookie"}, cookie).status == 403
    assert ask(web, "POST", "/api/v1/wallets", {"name": "by-cookie"}, {**cookie, **csrf}).status == 201
    other = sign_in(web, admin)
    assert ask(web, "DELETE", "/api/v1/sessions/current", headers={**cookie, "X-Keyward-CSRF": other.json()["csrf"]}).status == 403
    out = ask(web, "DELETE", "/api/v1/sessions/current", headers={**cookie, **csrf})
    assert out.status == 200 and "Max-Age=0" in out.headers["set-cookie"] and out.headers["clear-site-data"]
    after = ask(web, "GET", "/api/v1/me", headers=cookie)
    assert after.status == 401 and "Max-Age=0" in after.headers["set-cookie"]
    assert ask(web, "GET", "/api/v1/me", headers={"Cookie": cookie_of(other)}).status == 200, "other sessions go on"


def test_a_session_that_was_planted_is_not_taken_over(web, admin):
    planted = "__Host-keyward=kws_" + "0" * 64
    answer = ask(web, "POST", "/api/v1/sessions", {"user": admin, "password": PASSWORD}, {"Cookie": planted})
    assert answer.status == 201 and cookie_of(answer) != planted, "a dead session is not in the way"
    assert ask(web, "GET", "/api/v1/me", headers={"Cookie": planted}).status == 401


def test_a_program_signs_in_by_bearer(web, admin):
    answer = sign_in(web, admin, **{"as": "bearer"})
    session = answer.json()["session"]
    assert "set-cookie" not in answer.headers and session.startswith("kws_")
    bearer = {"Authorization": f"Bearer {session}"}
    assert ask(web, "POST", "/api/v1/wallets", {"name": "by-bearer"}, bearer).status == 201
    assert ask(web, "DELETE", "/api/v1/sessions/current", headers=bearer).status == 200
    assert ask(web, "GET", "/api/v1/me", headers=bearer).status == 401
    assert session not in web.log()


def test_an_api_token_counts_until_it_is_revoked_on_open_connections_too(web, admin):
    session = {"Authorization": "Bearer " + sign_in(web, admin, **{"as": "bearer"}).json()["session"]}
    made = ask(web, "POST", "/api/v1/tokens", {"label": "t", "scope": ["key"]}, session).json()
    token = {"Authorization": f"Bearer {made['token']}"}
    with connect(web) as connection:
        assert connection.ask("GET", "/api/v1/keys", headers=token).status == 200
        assert connection.ask("POST", "/api/v1/wallets", {"name": "by-token"}, token).status == 201
        assert connection.ask("GET", "/api/v1/audit", headers=token).status == 403, "its scope has no audit"
        assert ask(web, "DELETE", f"/api/v1/tokens/{made['id']}", headers=session).status == 200
        assert connection.ask("GET", "/api/v1/keys", headers=token).status == 401
    assert made["token"] not in web.log()


def test_random_requests_are_answered_without_an_error_of_the_server(web, admin, tmp_path):
    """A sample; the whole is one command, see scripts/fuzz-rest."""
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    environment = {**os.environ, "KEYWARD_URL": f"https://127.0.0.1:{web.web_port}", "KEYWARD_CA": str(web.root / TLS / "ca.crt"),
                   "KEYWARD_ADMIN_USER": admin, "KEYWARD_ADMIN_PASSWORD_FILE": str(password), "KEYWARD_PID": str(web.pid)}
    done = subprocess.run([TOP / "scripts/fuzz-rest", "1500"], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
