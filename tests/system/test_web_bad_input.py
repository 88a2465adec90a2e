# SPDX-License-Identifier: Apache-2.0
"""What browsers, scripts and attackers send to the HTTPS port that nobody should: each is refused with its reason, changes
nothing, and holds up nobody. test_web_http.py has the same for one process alone, test_https.py what is refused by whom asks."""
import gzip
import json
import ssl

import pytest
from https import HEADERS, Local, request
from people import PASSWORD, Person, local, make
from server import Server, wait_for
from test_https import ask, connect, cookie_of, described, filled, serve


BOMB = gzip.compress(b'{"name":"' + b" " * (50 << 20) + b'"}')


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("web-bad") / "server")
    try:
        yield serve(server, WEB_REQUESTS_PER_SECOND=100000, WEB_STRANGERS_PER_MINUTE=100000)
    finally:
        server.remove()


@pytest.fixture(scope="module")
def alice(web):
    """A Key Administrator."""
    return make(web, "alice", roles=["key"])


@pytest.fixture(autouse=True)
def unharmed(web):
    """Whatever a test sends, the same processes serve afterwards, at once."""
    before, run = {p.pid for p in web.processes()}, web.pid
    yield
    assert before <= {p.pid for p in web.processes()} or web.pid != run
    assert ask(web, "GET", "/healthz").status == 200


def wallets(web):
    return {w["name"] for w in web.json("wallet", "list")["wallets"]}


def bearer(person, **more):
    return {"Authorization": f"Bearer {person.secret}", **more}


# ---- names and passwords (B-22, B-24) ----

def tries_of(web, name):
    return web.json("user", "show", name)["wrong_tries"]


def test_spellings_of_a_name_have_one_counter_at_the_door(web):
    make(web, "bob")
    for spelled in ("bob", " bob", "BOB", "bob\u200b"):
        assert Person(web).call("POST", "/sessions", user=spelled, password="wrong")[0] == 401
    assert tries_of(web, "bob") == 4
    assert Person(web).call("POST", "/sessions", user="\uff42\uff4f\uff42", password="wrong")[0] == 401
    for spelled in ("bob", " bob", "BOB", "bob\u200b", "\uff42\uff4f\uff42"):
        assert Person(web).call("POST", "/sessions", user=spelled, password=PASSWORD)[0] == 429
    web.keyward("user", "unlock", "bob")


def test_a_password_that_cannot_be_one_is_refused_before_it_is_hashed_or_counted(web):
    make(web, "carol")
    with connect(web) as connection:
        for password in ("x" * 1025, "x" * (900 * 1024), PASSWORD + "\0", "\0", 7, None, [PASSWORD], {"a": PASSWORD}):
            answer = connection.ask("POST", "/api/v1/sessions", {"user": "carol", "password": password})
            assert answer.status == 400, (str(password)[:20], answer.body)
        for length in (1 << 20, 100 << 20):
            with connect(web) as longest:
                longest.send(request("POST", "/api/v1/sessions", None, {"Content-Type": "application/json", "Content-Length": str(length + 20)}))
                assert longest.read().status == 413
    assert tries_of(web, "carol") == 0


def test_the_whole_password_counts_and_nothing_but_it(web):
    """Beyond 72 bytes; composed and decomposed letters are not the same bytes, and no spelling is put in place of another."""
    long = "a long pass phrase of more than seventy-two bytes, which some ways of hashing cut off: "
    for number, (password, others) in enumerate([
            (long + "one", [long + "two", long]),
            ("caf\u00e9 caf\u00e9 caf\u00e9 1", ["cafe\u0301 cafe\u0301 cafe\u0301 1"]),
            ("cafe\u0301 cafe\u0301 cafe\u0301 2", ["caf\u00e9 caf\u00e9 caf\u00e9 2"])]):
        name = f"dora{number}"
        web.json("user", "create", name, "--password-file", web.secret_file(name, password))
        for other in others:
            assert Person(web).call("POST", "/sessions", user=name, password=other)[0] == 401, other
        assert Person(web).call("POST", "/sessions", user=name, password=password)[0] == 201


# ---- sessions of a browser (B-25, B-26, B-27) ----

def browser(web, name, headers=None):
    """What a browser of a user who has signed in sends: (cookie alone, cookie and CSRF header)."""
    answer = ask(web, "POST", "/api/v1/sessions", {"user": name, "password": PASSWORD}, headers)
    assert answer.status == 201, answer.body
    cookie = {"Cookie": cookie_of(answer)}
    return cookie, {**cookie, "X-Keyward-CSRF": answer.json()["csrf"]}


def test_a_change_takes_the_sessions_own_token_its_method_and_its_type(web, alice):
    cookie, good = browser(web, "alice")
    _, other = browser(web, "alice")
    before = wallets(web)
    post = ("POST", "/api/v1/wallets", {"name": "by-trick"})
    tricks = [
        (*post, cookie), (*post, {**cookie, "X-Keyward-CSRF": other["X-Keyward-CSRF"]}), (*post, {**good, "Origin": "null"}),
        (*post, {**good, "Origin": "https://evil"}), (*post, {**good, "Sec-Fetch-Site": "cross-site"}),
        (*post, {**good, "Content-Type": "text/plain"}), (*post, {**good, "Content-Type": "application/json; x=\"text/plain"}),
        ("POST", "/api/v1/wallets", b"name=by-trick", {**good, "Content-Type": "application/x-www-form-urlencoded"}),
        ("POST", "/api/v1/wallets", b"x", {**good, "Content-Type": "multipart/form-data; boundary=x"}),
        ("GET", "/api/v1/wallets?name=by-trick", None, good), ("GET", "/api/v1/wallets:create?name=by-trick", None, good),
        ("POST", "/api/v1/wallets?_method=DELETE", {"name": "by-trick"}, good), ("PUT", "/api/v1/wallets", {"name": "by-trick"}, good),
        ("POST", "/api/v1/wallets", {"name": "by-trick", "_method": "DELETE"}, good),
        ("GET", "/api/v1/wallets", None, {**good, "X-HTTP-Method-Override": "DELETE"}),
    ]
    for method, path, body, headers in tricks:
        answer = ask(web, method, path, body, headers)
        assert answer.status in (400, 403, 404, 405, 415) or "X-HTTP-Method-Override" in headers, (headers, answer.body)
    assert wallets(web) == before
    assert ask(web, *post[:2], {"name": "by-right"}, good).status == 201


def test_a_page_of_another_site_signs_nobody_in_as_the_attacker(web, alice):
    for headers in ({"Origin": "https://evil"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        answer = ask(web, "POST", "/api/v1/sessions", {"user": "alice", "password": PASSWORD}, headers)
        assert answer.status == 403 and "set-cookie" not in answer.headers
    planted, _ = browser(web, "alice")
    cookie, _ = browser(web, "alice", planted)
    assert cookie != planted, "a sign-in makes a new session"


def test_a_cookie_is_worth_what_its_session_is(web, alice):
    make(web, "eve", roles=["audit"])
    signed_out, all_of_it = browser(web, "eve")
    assert ask(web, "DELETE", "/api/v1/sessions/current", headers=all_of_it).status == 200
    cookie, good = browser(web, "eve")
    assert ask(web, "GET", "/api/v1/audit", headers=cookie).status == 200
    local(web, "POST", "/roles/audit:revoke", user="eve")
    assert ask(web, "GET", "/api/v1/audit", headers=cookie).status == 403, "the role is gone"
    changed = ask(web, "POST", "/api/v1/me:change-password", {"password": PASSWORD, "new_password": PASSWORD + " 2"}, browser(web, "eve")[1])
    assert changed.status == 200, changed.body
    secret = cookie["Cookie"].split("=")[1]
    for dead in (signed_out, cookie, {"Cookie": f"__Host-keyward={secret}; __Host-keyward={secret}"},
                 {"Cookie": "__Host-keyward=" + "k" * 8192}, {"Cookie": f"keyward={secret}"}, {"Cookie": f"__Host-keyward=\"{secret}\""},
                 {"Cookie": f"__host-keyward={secret}"}, {"Cookie": "__Host-keyward=" + secret.upper()}):
        assert ask(web, "GET", "/api/v1/me", headers=dead).status in (400, 401), dead


def test_a_restart_wakes_no_session_and_ends_none(web, alice):
    ended, all_of_it = browser(web, "alice")
    lasting, _ = browser(web, "alice")
    assert ask(web, "DELETE", "/api/v1/sessions/current", headers=all_of_it).status == 200
    web.restart()
    wait_for("the HTTPS port", lambda: is_open(web))
    assert ask(web, "GET", "/api/v1/me", headers=ended).status == 401
    assert ask(web, "GET", "/api/v1/me", headers=lasting).status == 200


def is_open(web):
    try:
        return ask(web, "GET", "/healthz").status == 200
    except OSError:
        return False


# ---- what is sent comes back as text (B-28) ----

MARKUP = ["<img src=x onerror=alert(1)>", "\"><svg/onload=alert(1)>", "javascript:alert(1)", "{{7*7}}", "</script><script>alert(1)</script>"]


@pytest.mark.parametrize("markup", MARKUP)
def test_markup_stays_text_wherever_it_may_stand(web, alice, markup):
    with Local(web) as there:
        number = MARKUP.index(markup)
        made = [there.ask("POST", "/api/v1/wallets", {"name": f"markup{number}", "description": markup}),
                there.ask("POST", "/api/v1/wallets", {"name": markup}), there.ask("POST", "/api/v1/endpoints", {"name": markup}),
                there.ask("POST", "/api/v1/users", {"name": markup, "password": PASSWORD}),
                there.ask("POST", "/api/v1/keys", {"name": markup}), there.ask("GET", "/api/v1/wallets"), there.ask("GET", "/api/v1/keys"),
                there.ask("POST", "/api/v1/hsm:initialize", {"vendor": markup, "token_label": markup, "credential": "x", "recovery_passphrase": "x"}),
                alice.ask("POST", "/api/v1/tokens", {"label": markup}), alice.ask("GET", "/api/v1/tokens"), there.ask("GET", "/api/v1/audit")]
    for answer in made:
        assert answer.headers["content-type"].split(";")[0] in ("application/json", "application/problem+json"), answer.headers
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        json.loads(answer.body)
    assert made[0].status == 201 and "unsafe" not in HEADERS["content-security-policy"]


# ---- addresses (B-29, B-39) ----

PATHS = ["/console/..%2f..%2fetc/passwd", "/%252e%252e/etc/passwd", "//etc/passwd", "/console/%00.css", "/..\\..\\etc\\passwd", "/console/./x",
         "/../../etc/passwd", "/api/v1/../../etc/passwd", "/api/v1/wallets/..%2f..%2fetc%2fpasswd", "/api/v1/wallets/%2e%2e", "/api/v1/./wallets",
         "/api/v1/wallets/", "/api/v1//wallets", "/api/v1/wallets;x=1", "/api/v1/wallets/%c0%ae%c0%ae", "/api/v1/wallets/%u002e", "/API/v1/wallets",
         "/api/v1/wallets/" + "a" * 300, "/" + "a" * 65536, "/api/v1/wallets?" + "a" * 65536, "/etc/passwd", "file:///etc/passwd", "*", ""]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:40] or "none")
def test_an_address_leads_to_a_route_or_nowhere(web, alice, path):
    answer = ask(web, "GET", path, headers=bearer(alice))
    assert answer.status in (400, 404), answer.body
    assert b"root:" not in answer.body and len(answer.body) < 2000


@pytest.mark.parametrize("query", [
    "limit=-1", "limit=1000000000000", "limit=0", "limit=1e3", "limit=%31%30%", "offset=9223372036854775808", "sort=name;drop%20table%20object",
    "filter=(a%2b)%2b%24", "fields=keyMaterial", "fields=material", "cursor=" + "a" * 4000, "cursor=..%2f..", "cursor=%00", "limit=1&limit=2",
    "state=active'%20OR%20'1'='1", "name=%27%3B--", "limit", "=", "&", "?limit=1"], ids=lambda query: query[:30])
def test_a_query_asks_what_the_route_tells_or_nothing(web, alice, query):
    answer = ask(web, "GET", "/api/v1/keys?" + query, headers=bearer(alice))
    assert answer.status == 400 or (query.startswith(("name=", "state=")) and answer.json()["keys"] == []), answer.body


# ---- requests that are two, or none (B-30, B-35) ----

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /api/v1/wallets HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
BROKEN = {
    "a length twice": (POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400),
    "a length and chunks": (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunks of chunks": (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    "a chunk of any size": (POST + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n", 400),
    "bare line feeds": (GET.replace(b"\r", b"") + b"\n", 400),
    "a folded header": (GET + b"A: b\r\n c\r\n\r\n", 400),
    "ten thousand headers": (GET + b"A: b\r\n" * 10000 + b"\r\n", 400),
    "a header of 1 MiB": (GET + b"A: " + b"b" * (1 << 20) + b"\r\n\r\n", 400),
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    "a host twice": (GET + b"Host: localhost\r\n\r\n", 400),
    "somebody else's host": (b"GET /api/v1/wallets HTTP/1.1\r\nHost: evil\r\n\r\n", 421),
    "an absolute address": (b"GET https://evil/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /healthz\r\n\r\n", 400),
    "HTTP/2's first words": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "packed content": (POST + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB, 415),
    "a promise to wait": (POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", 400),
    "more than was said": (POST + b"Content-Length: 2\r\n\r\n{}{}", 401),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_request_that_can_be_read_in_two_ways_is_refused_and_the_connection_ends(web, name):
    data, status = BROKEN[name]
    with connect(web) as connection:
        try:
            connection.send(data)
        except (ConnectionError, ssl.SSLError):
            assert len(data) > 16384, "what is too long is not read to its end"
        answer = connection.read()
        assert answer is None and len(data) > 16384 or answer.status == status, answer.body
        if name == "more than was said":
            answer = connection.read()
            assert answer.status == 400, "what follows is a request of its own, and none"
        if status == 400:
            assert connection.read() is None


def test_another_protocol_is_not_changed_to(web):
    for upgrade in ("h2c", "websocket", "TLS/1.3"):
        answer = ask(web, "GET", "/healthz", headers={"Upgrade": upgrade, "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AAMAAABk"})
        assert answer.status == 200 and "upgrade" not in answer.headers


def test_a_body_that_does_not_come_is_waited_for_alone(web):
    """One that promises to come, and one that is shorter than was said; the time that each has is test_https's."""
    waiting = [connect(web) for _ in range(3)]
    for one, head in zip(waiting, (b"Content-Length: 200\r\n\r\n{", b"Content-Length: 1048576\r\n\r\n", b"Content-Length: 1")):
        one.send(POST + head)
    assert ask(web, "GET", "/healthz").status == 200
    for one in waiting:
        one.socket.close()


# ---- from whom (B-31) ----

def test_who_it_comes_from_is_not_what_a_header_says(web, alice):
    headers = {"X-Forwarded-For": "10.9.8.7", "Forwarded": "for=10.9.8.7", "X-Real-IP": "10.9.8.7", "True-Client-IP": "10.9.8.7"}
    assert ask(web, "POST", "/api/v1/wallets", {"name": "from-afar"}, bearer(alice, **headers)).status == 201
    assert ask(web, "POST", "/api/v1/sessions", {"user": "alice", "password": "wrong"}, headers).status == 401
    assert "10.9.8.7" not in json.dumps(web.json("audit", "list", "--limit", "1000")) and "10.9.8.7" not in web.log()


# ---- documents (B-34, B-37, B-38) ----

DOCUMENTS = {
    "ten thousand levels": b'{"name":' * 10000 + b"1" + b"}" * 10000, "a thousand lists": b'{"name":' + b"[" * 1000 + b"]" * 1000 + b"}",
    "a member twice": b'{"name":"doc","name":"doc"}', "a role twice": b'{"name":"doc","role":"auditor","role":"system"}',
    "a million commas": b"{" + b'"":0,' * 200000 + b'"name":"doc"}', "1e400": b'{"name":1e400}', "NaN": b'{"name":NaN}',
    "Infinity": b'{"name":-Infinity}', "-0": b'{"name":-0}', "2^63": b'{"name":9223372036854775808}', "half a pair": b'{"name":"\\ud800"}',
    "a NUL": b'{"name":"a\\u0000b"}', "a BOM": b'\xef\xbb\xbf{"name":"doc"}', "a comma too many": b'{"name":"doc",}',
    "two documents": b'{"name":"doc"}{"name":"doc2"}', "UTF-16": '{"name":"doc"}'.encode("utf-16"), "a comment": b'{"name":"doc"/**/}',
    "single quotes": b"{'name':'doc'}", "a list": b'[{"name":"doc"}]', "nothing": b"", "null": b"null", "overlong": b'{"name":"\xc0\xae"}',
    "a list for a text": b'{"name":["doc"]}', "an object for a text": b'{"name":{"$ne":""}}', "true for a text": b'{"name":true}',
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_that_is_none_makes_nothing(web, alice, name):
    before = wallets(web)
    answer = ask(web, "POST", "/api/v1/wallets", DOCUMENTS[name], bearer(alice))
    assert answer.status == 400, answer.body
    assert answer.json()["changed"] is False and len(answer.body) < 2000
    assert wallets(web) == before


def test_a_million_members_are_too_many_bytes(web, alice):
    body = json.dumps({f"{number:x}": 0 for number in range(1_000_000)}).encode()
    with connect(web) as connection:
        connection.send(request("POST", "/api/v1/wallets", None, bearer(alice, **{"Content-Type": "application/json", "Content-Length": str(len(body))})))
        assert connection.read().status == 413
    most = json.dumps({f"{number:x}": 0 for number in range(60_000)}).encode()
    assert ask(web, "POST", "/api/v1/wallets", most, bearer(alice)).status in (400, 413)


EXTRA = {"role": "system", "roles": ["system"], "owner": "alice", "state": "Active", "id": "x", "is_admin": True, "__proto__": {}, "created": 0}


def test_every_route_refuses_fields_that_it_does_not_have(web):
    """With all that the route wants, made up, so that nothing else is wrong with it; as root, who may do everything."""
    made_up, refused = {"string": "x", "integer": 1, "boolean": False, "array": [], "object": {}}, 0
    with Local(web) as there:
        document = there.ask("GET", "/api/openapi.json").json()
        for path, methods in document["paths"].items():
            if "post" not in methods:
                continue
            schema = methods["post"].get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            if "$ref" in schema:
                schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
            fields = schema.get("properties", {})
            body = {name: fields[name].get("enum", [made_up[fields[name].get("type", "string")]])[0] for name in schema.get("required", [])}
            for name, value in EXTRA.items():
                if name in fields or "{%s}" % name in path:
                    continue
                answer = there.ask("POST", filled(path), {**body, name: value})
                assert answer.status == 400, (path, name, answer.status, answer.body)
                assert f'"{name}"' in answer.json()["detail"], (path, name, answer.body)
                refused += 1
    assert refused > 300


def test_what_the_address_names_is_what_is_acted_on(web, alice):
    mallory = make(web, "mallory")
    local(web, "POST", "/wallets", name="theirs")
    assert alice.call("POST", "/wallets/theirs:update", name="by-right", description="x")[0] == 400
    assert mallory.call("POST", "/wallets/theirs:update", description="x")[0] in (403, 404)
    key = local(web, "POST", "/keys", name="not-mallorys")[1]["id"]
    assert mallory.call("POST", "/wallets", name="mine")[0] == 201
    status, problem = mallory.call("POST", "/wallets/mine:add", object=key)
    assert status == 404, problem
    token = alice.call("POST", "/tokens", label="of alice")[1]["id"]
    assert mallory.ask("DELETE", f"/api/v1/tokens/{token}").status == 404
    assert not [t for t in mallory.call("GET", "/tokens")[1]["tokens"] if t["id"] == token]


# ---- methods (B-36) ----

def test_methods_that_no_route_has_are_refused_on_every_route(web, alice):
    with connect(web) as connection:
        for path, methods in described(web).items():
            for method in ("TRACE", "PROPFIND", "get", "Post", "HEAD", "PATCH", "DEBUG"):
                answer = connection.ask(method, filled(path), headers=bearer(alice))
                assert answer.status == 405 and answer.headers["allow"], (method, path, answer.status)
            answer = connection.ask("OPTIONS", filled(path), headers={"Origin": "https://evil", "Access-Control-Request-Method": "POST"})
            assert answer.status == 403 and not [n for n in answer.headers if n.startswith("access-control")], (path, answer.headers)
    with connect(web) as connection:
        assert connection.ask("CONNECT", "evil:443").status == 400


# ---- many at once (B-40) ----

@pytest.mark.parametrize("key", [None, "5f0c1c4e-many"])
def test_of_a_hundred_that_make_one_name_one_does(web, alice, key):
    name = f"hundred-{key}"
    body = request("POST", "/api/v1/wallets", {"name": name}, bearer(alice, **{"Idempotency-Key": key}))
    connections = [connect(web) for _ in range(100)]
    for one in connections:
        one.send(body)
    answers = [one.read() for one in connections]
    for one in connections:
        one.socket.close()
    statuses = sorted(a.status for a in answers)
    assert statuses == ([201] * 100 if key else [201] + [409] * 99)
    assert not key or len({a.body for a in answers}) == 1
    assert len([w for w in web.json("wallet", "list")["wallets"] if w["name"] == name]) == 1
