# SPDX-License-Identifier: Apache-2.0
"""The server does what /api/openapi.json says, route by route: status, content type, and every field of every answer
(contract F1). That no route is missing there is shown by tests/unit/test_web.c."""
import json
import re

import pytest

import tokens
from https import Local
from server import PASSPHRASE, Server

PASSWORD = "correct horse battery staple"
NEW_PHRASE = PASSPHRASE + " 8"
TYPES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict, "null": type(None), "number": (int, float)}


def faults(value, schema, schemas, where="answer"):
    """What in a value is not as its schema says; a field that is not described is a fault, too."""
    if "$ref" in schema:
        return faults(value, schemas[schema["$ref"].rsplit("/", 1)[1]], schemas, where)
    if "anyOf" in schema:
        each = [faults(value, one, schemas, where) for one in schema["anyOf"]]
        return min(each, key=len)
    kind = schema.get("type")
    if kind and (not isinstance(value, TYPES[kind]) or (kind == "integer" and isinstance(value, bool))):
        return [f"{where} is {value!r}, not of type {kind}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{where} is {value!r}, none of {schema['enum']}"]
    if kind == "array":
        return [f for i, item in enumerate(value) for f in faults(item, schema.get("items", {}), schemas, f"{where}[{i}]")]
    if kind == "object" and "properties" in schema:
        found = [f"{where}.{name} is not described" for name in value if name not in schema["properties"]]
        return found + [f for name, item in value.items() if name in schema["properties"]
                        for f in faults(item, schema["properties"][name], schemas, f"{where}.{name}")]
    return []


class Described:
    """The interface as it is described, and what was seen of it."""

    def __init__(self, server):
        self.server, self.seen = server, set()
        self.local = Local(server)
        self.document = self.local.ask("GET", "/api/openapi.json").json()
        self.schemas = self.document["components"]["schemas"]

    def call(self, method, template, body=None, ok=True, query="", headers=None, **values):
        path = template
        for name, value in values.items():
            path = path.replace("{%s}" % name, value)
        route = self.document["paths"]["/api/v1" + template if not template.startswith("//") else template[1:]][method.lower()]
        path = "/api/v1" + path if not template.startswith("//") else path[1:]
        answer = self.local.ask(method, path + query, {} if method == "POST" and body is None else body, headers)
        if not ok:
            assert answer.status >= 400, (method, template)
        if answer.status >= 400:
            assert not ok, (method, path, answer.body)
            assert answer.headers["content-type"] == "application/problem+json"
            problem = answer.json()
            assert not faults(problem, self.schemas["problem"], self.schemas), problem
            assert problem["status"] == answer.status and set(self.schemas["problem"]["required"]) <= set(problem)
            return problem
        described = route["responses"][str(answer.status)]["content"]
        kind = answer.headers["content-type"].split(";")[0]
        assert kind in described, (method, path, kind)
        self.seen.add((method, "/api/v1" + template if not template.startswith("//") else template[1:]))
        if kind != "application/json":
            return answer.body
        found = faults(answer.json(), described[kind]["schema"], self.schemas)
        assert not found, (method, path, found)
        return answer.json()


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    token = tokens.SoftHsm(tmp_path_factory.mktemp("token") / "softhsm")
    server = Server(tmp_path_factory.mktemp("openapi") / "server")
    try:
        server.setup()
        server.use_token(token)
        server.token = token
        yield Described(server)
    finally:
        server.remove()
        token.stop()


def endpoints(api):
    call = api.call
    token = call("POST", "/endpoints", {"name": "e1", "type": "mysql", "description": "d"})["token"]
    call("POST", "/endpoints", {"name": "e2"}, query="?dry_run=true")
    call("POST", "/endpoints", {"name": "e2"})
    api.server.enroll("e3")
    api.server.create_key("e3")
    call("POST", "/endpoints/{name}:enroll", {"csr": "none", "token": token}, ok=False, name="e1")
    for verb in ("suspend", "resume", "re-enroll"):
        call("POST", f"/endpoints/{{name}}:{verb}", name="e3")
    call("POST", "/endpoints/{name}:update", {"description": "x"}, name="e1")
    call("GET", "/endpoints")
    for tail in ("", "/access", "/objects"):
        call("GET", "/endpoints/{name}" + tail, name="e3")
    call("POST", "/endpoints/{name}:delete", name="e1")


def groups(api, noun, member, name):
    call = api.call
    call("POST", f"/{noun}", {"name": "g"})
    call("GET", f"/{noun}")
    call("POST", f"/{noun}/{{name}}:add", {member: name}, name="g")
    call("GET", f"/{noun}/{{name}}", name="g")
    call("POST", f"/{noun}/{{name}}:remove", {member: name}, name="g")
    call("POST", f"/{noun}/{{name}}:update", {"description": "y"}, name="g")
    call("POST", f"/{noun}/{{name}}:delete", name="g")


def wallets(api):
    call, key = api.call, api.call("GET", "/keys")["keys"][0]["id"]
    call("POST", "/wallets", {"name": "w"})
    call("POST", "/wallets/{name}:add", {"object": key}, name="w")
    call("POST", "/wallets/{name}:grant", {"endpoint": "e2", "access": "read-only"}, name="w")
    call("GET", "/wallets")
    call("GET", "/wallets/{name}", name="w")
    call("GET", "/wallets/{name}/objects", name="w")
    call("GET", "/keys/{id}", id=key)
    call("GET", "/keys/{id}/access", id=key)
    for report in ("entitlement", "expiring", "never-rotated", "quiet-endpoints", "activity"):
        call("GET", f"/reports/{report}")
        call("GET", f"/reports/{report}", headers={"Accept": "text/csv"})
    call("POST", "/wallets/{name}:revoke", {"endpoint": "e2"}, name="w")
    call("POST", "/wallets/{name}:remove", {"object": key}, name="w")
    call("POST", "/wallets/{name}:update", {"description": "z"}, name="w")
    call("POST", "/wallets/{name}:delete", name="w")


def keys(api):
    key = api.call("POST", "/keys", {"name": "kk"})["id"]
    api.call("POST", "/keys/{id}:activate", id=key)
    api.call("POST", "/keys/{id}:add-attribute", {"attribute": "x-site", "value": "b"}, id=key)
    api.call("POST", "/keys/{id}:give", {"owner": "e2"}, id=key)
    api.call("POST", "/keys/{id}:revoke", {"reason": "superseded"}, id=key)


def people(api):
    call = api.call
    for name in ("u1", "u2"):
        call("POST", "/users", {"name": name, "password": PASSWORD})
    call("GET", "/users")
    groups(api, "user-groups", "user", "u1")
    call("POST", "/users/{name}:update", {"email": "a@b"}, name="u1")
    call("POST", "/users/{name}:lock", name="u1")
    call("POST", "/users/{name}:unlock", name="u1")
    for tail in ("", "/access", "/objects"):
        call("GET", "/users/{name}" + tail, name="u1")
    for role in ("system", "audit"):
        call("POST", "/roles/{role}:recover", {"user": "u1", "recovery_passphrase": PASSPHRASE}, role=role)
    call("POST", "/roles/{role}:grant", {"user": "u2"}, role="audit")
    call("POST", "/roles/{role}:revoke", {"user": "u2"}, role="audit")
    call("GET", "/roles")
    call("POST", "/users/{name}:grant-privilege", {"privilege": "monitor"}, name="u2")
    call("POST", "/users/{name}:revoke-privilege", {"privilege": "monitor"}, name="u2")
    call("GET", "/password-policy")
    assert call("POST", "/sessions", {"user": "u2", "password": PASSWORD})["session"]
    call("POST", "/sessions", {"user": "u2", "password": "wrong"}, ok=False)


def root_of_trust(api):
    call, server = api.call, api.server
    token = {"vendor": server.vendor, "token_label": server.token.label, "credential": server.token.pin}
    call("GET", "/rotation")
    call("POST", "/rotation:data-keys")
    call("POST", "/rotation:master-key", {"recovery_passphrase": PASSPHRASE})
    call("POST", "/recovery-passphrase:change", {"recovery_passphrase": PASSPHRASE, "new_recovery_passphrase": NEW_PHRASE})
    call("GET", "/hsm")
    call("POST", "/hsm:initialize", {**token, "recovery_passphrase": "wrong wrong wrong"}, ok=False)
    call("POST", "/hsm:initialize", {**token, "recovery_passphrase": NEW_PHRASE})
    for noun in ("/hsm", "/alerts", "/status", "/ready"):
        call("GET", noun)
    call("POST", "/hsm:verify")
    call("POST", "/hsm:set-credential", token)
    call("POST", "/hsm:open-wallet")
    call("POST", "/rotation:wallet-password")
    call("POST", "/hsm:reverse-migrate", {"credential": server.token.pin, "recovery_passphrase": NEW_PHRASE,
                                          "new_recovery_passphrase": PASSPHRASE})


def rest(api):
    for path in ("//healthz", "//readyz", "//metrics", "//api/openapi.json", "/audit", "/setup-links"):
        if path == "/setup-links":
            api.call("POST", path)
        else:
            api.call("GET", path)
    api.call("POST", "/audit:verify")


def test_every_answer_is_as_it_is_described(api):
    for part in (endpoints, lambda a: groups(a, "endpoint-groups", "endpoint", "e2"), wallets, keys, people, root_of_trust, rest):
        part(api)
    routes = {(method.upper(), path) for path, methods in api.document["paths"].items() for method in methods}
    assert api.seen <= routes
    assert len(api.seen) > 60, "most routes were seen to succeed"
    # The others refuse what makes no sense to them, as it is described.
    for method, path in sorted(routes - api.seen):
        if not path.startswith("/api/v1/operations"):
            answer = api.local.ask(method, path.replace("{", "%7B").replace("}", "%7D"), b'{"no-such-field": 1}' if method != "GET" else None)
            if answer.status < 400:
                continue
            assert answer.headers["content-type"] == "application/problem+json", (method, path)
            assert not faults(answer.json(), api.schemas["problem"], api.schemas), (method, path, answer.body)


def test_the_description_is_whole(api):
    document = api.document
    assert document["openapi"].startswith("3.1") and document["info"]["title"] == "Keyward"
    names = [route["operationId"] for methods in document["paths"].values() for route in methods.values()]
    assert len(names) == len(set(names))
    text = json.dumps(document)
    for reference in set(re.findall(r'"#/components/(\w+)/([\w-]+)"', text)):
        assert reference[1] in document["components"][reference[0]], reference
    for methods in document["paths"].values():
        for method, route in methods.items():
            assert route["summary"].endswith(".") and route["responses"] and route["x-keyward-by"]
            assert method != "get" or "requestBody" not in route


def test_no_field_names_a_place_on_the_server(api):
    """Which library, program or file the server uses stands in files that its owner on the host edits, and in no request."""
    places = re.compile(r"path|file|dir|folder|library|module|program|command|executable|environment|socket|prefix")
    # Where the files will lie at the client: the words go into its package.
    known = {("/api/v1/endpoints/{name}:package", "directory")}
    found = set()
    for path, methods in api.document["paths"].items():
        for route in methods.values():
            body = route.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            names = [*body.get("properties", {}), *(p["name"] for p in route.get("parameters", []) if "name" in p)]
            found |= {(path, name) for name in names if places.search(name.lower())}
    assert found == known
    assert api.local.ask("POST", "/api/v1/hsm:initialize", {"vendor": "../../x", "module": "/tmp/evil.so"}).status == 400
