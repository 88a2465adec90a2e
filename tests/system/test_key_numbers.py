# SPDX-License-Identifier: Apache-2.0
"""Several servers on one token never end with one key number or each other's key, and what a race leaves behind is said
(contract B2)."""
import concurrent.futures
import json
import re

import pytest

import more_tokens
import prepared
import tokens
from prepared import root_of_trust, set_security
from server import served, soon_served, wait_for
from shim import Shim

UNIQUE = "exactly one root key has the number in use"
ROOT_KEY = re.compile(r"OKV \S.* HSM Root Key")


def reboot(server):
    server.stop()
    prepared.drop_ram(server)
    server.start()
    soon_served(server)


def status(server):
    return server.json("hsm", "status")


def verify(server):
    """The document, whatever the verdict."""
    return json.loads(server.keyward("verify", "-o", "json", program="hsmclient", check=False).stdout)


def failed(document):
    return {c["check"]: c["detail"] for c in document["checks"] if not c["ok"]}


@pytest.fixture
def servers(kept):
    """servers(count) gives running servers without an HSM that share the first one's token."""
    def make(count, token=None):
        made = [kept("plain") for _ in range(count)]
        for server in made:
            server.use_token(token or made[0].token)
            server.start()
        return made
    return make


def root_keys(token):
    return sorted(o["id"] for o in token.keys() if ROOT_KEY.fullmatch(o["label"]))


def all_live(made, token, numbers, twins=False):
    """Every server opens its wallet with nobody at hand, and no two have one key. twins: a server whose view was old, or that
    cannot destroy, may have left a second key of another's number; then that one's status says so, and it serves all the same."""
    for server in made:
        reboot(server)
        assert status(server)["status"] == "up" or (twins and set(failed(verify(server))) == {UNIQUE})
        server.keys.update([server.create_key()])
    assert len(set(numbers)) == len(numbers)
    assert {f"{n:08x}" for n in numbers} <= set(root_keys(token))


def test_three_servers_one_after_the_other_have_the_numbers_one_to_three(servers):
    made = servers(3)
    token = made[0].token
    for server in made:
        server.initialize(token)
    numbers = [status(server)["key_number"] for server in made]
    assert numbers == [1, 2, 3]
    all_live(made, token, numbers)
    for server in made:
        assert verify(server)["healthy"], failed(verify(server))
    number_objects = [o for o in token.objects() if o["label"].endswith(" HSM Key Number")]
    assert len(number_objects) == 1


def initialize_all(made, token):
    """All at once; every one that failed has changed nothing, and gets through when it tries again by itself."""
    before = [root_of_trust(server) for server in made]
    with concurrent.futures.ThreadPoolExecutor(len(made)) as pool:
        done = list(pool.map(lambda server: server.initialize(token, check=False), made))
    for server, result, was in zip(made, done, before):
        if result.returncode != 0:
            assert root_of_trust(server) == was and served(server) and result.stderr.strip()
            server.initialize(token)
    return [status(server)["key_number"] for server in made]


def left_behind(made, token, numbers):
    """Each root key on the token is in use, or some server tells that it left it there, and by which operation."""
    told = [orphan for server in made for orphan in verify(server)["orphans"]]
    assert all(re.fullmatch(r"[0-9a-f-]{36}", orphan["operation"]) for orphan in told)
    accounted = sorted(f"{n:08x}" for n in numbers + [o["key_number"] for o in told if o["key_number"]])
    assert accounted == root_keys(token)


@pytest.mark.parametrize("words", ["", "stale", "only17=null", "uniqueid nodata", "replaceid nodata"])
def test_four_servers_at_once_share_no_key(servers, tmp_path, words):
    made = servers(4)
    token = made[0].token
    shim = Shim(token, tmp_path / "shim")
    shim.set(*words.split())
    for server in made:
        server.use_token(shim)
    numbers = initialize_all(made, shim)
    all_live(made, token, numbers, twins=words in ("stale", "only17=null"))
    left_behind(made, token, numbers)


@pytest.mark.parametrize("kind", [tokens.OpenCryptoki, more_tokens.NssToken], ids=lambda kind: kind.kind)
def test_at_once_on_other_tokens(make_server, tmp_path, kind):
    """NSS puts a key that is made in the place of one that has its CKA_ID."""
    with kind(tmp_path / "token") as token:
        made = [make_server(f"server-{i}", prefix=token.enter([])) for i in range(3)]
        for server in made:
            server.setup()
            server.use_token(token)
            server.keys = dict([server.create_key()])
        numbers = initialize_all(made, token)
        assert len(set(numbers)) == 3 and {f"{n:08x}" for n in numbers} <= set(root_keys(token))
        for server in made:
            server.stop()
            server.keyward("start")
            wait_for("the wallet to open", lambda server=server: status(server)["status"] == "up")
            assert served(server) and verify(server)["healthy"], failed(verify(server))
        left_behind(made, token, numbers)
        for server in made:
            server.remove()


def test_where_a_key_replaces_another_the_later_server_takes_the_next_number(servers, tmp_path):
    """The other's search comes before, its key after the first one's: the worst that a race can do on NSS."""
    slow, quick = servers(2)
    token = slow.token
    shim, direct = Shim(token, tmp_path / "slow"), Shim(token, tmp_path / "quick")
    shim.set("replaceid", "nodata", "wait=C_GenerateKey")
    direct.set("replaceid", "nodata")
    slow.use_token(shim)
    quick.use_token(direct)
    set_security(slow, HSM_TIMEOUT="120")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(slow.initialize, shim)
        wait_for("the slow server to have its number", lambda: shim.calls("C_GenerateKey"))
        quick.initialize(direct)
        shim.set("replaceid", "nodata", keep_counts=True)
        running.result()
    numbers = [status(server)["key_number"] for server in (quick, slow)]
    assert numbers == [1, 2]
    all_live([quick, slow], token, numbers)


def root_label(server):
    version = server.keyward("--version").stdout.split()[-1]
    return f"OKV {version} HSM Root Key"


def test_a_planted_twin_is_reported_and_the_wallet_opens_all_the_same(kept):
    server = kept("hsm")
    server.start()
    for _ in range(3):  # whichever is found first
        server.token.generate_key(root_label(server), "00000001")
        reboot(server)
    document = verify(server)
    assert not document["healthy"]
    assert "4 keys answer" in failed(document)[UNIQUE]
    said = server.keyward("verify", program="hsmclient", check=False)
    assert said.returncode == 8 and "4 keys answer" in said.stdout and "fix: " in said.stdout
    server.reverse_migrate(server.token)
    server.initialize(server.token)
    assert verify(server)["healthy"] and status(server)["key_number"] == 2
    assert root_keys(server.token) == ["00000001"] * 4 + ["00000002"]


def test_a_number_taken_meanwhile_is_said_and_the_key_that_stays_is_listed(kept, tmp_path):
    """The view is old and the other's key comes between the search and the count: the token then has two of number 1."""
    server = kept("plain")
    shim = Shim(server.token, tmp_path / "shim")
    server.use_token(shim)
    set_security(server, HSM_TIMEOUT="120")
    server.start()
    release = root_label(server)
    shim.set("stale", "wait=C_GenerateKey")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(server.initialize, shim)
        wait_for("the key to be made", lambda: shim.calls("C_GenerateKey"))
        server.token.generate_key(release, "00000001")
        shim.set("stale", keep_counts=True)
        done = running.result()
    assert "took the same number" in server.log() or "root_key_not_alone" in server.log(), done.stdout
    assert status(server)["key_number"] == 2
    (orphan,) = verify(server)["orphans"]
    assert orphan["key_number"] == 1
    text = server.keyward("verify", program="hsmclient").stdout
    assert "root key 1 left behind" in text and orphan["operation"] in text
    all_live([server], server.token, [2])
    server.reverse_migrate(server.token)
    server.initialize(server.token)  # a second run converges
    assert status(server)["key_number"] == 3 and len(verify(server)["orphans"]) == 1


def test_a_key_of_an_initialize_that_failed_is_listed_with_its_operation(kept, tmp_path):
    server = kept("plain")
    shim = Shim(server.token, tmp_path / "shim")
    server.use_token(shim)
    server.start()
    before = root_of_trust(server)
    shim.set("rv=C_Decrypt:30:1", "rv=C_DestroyObject:54:1")
    assert server.initialize(shim, check=False).returncode == 8
    assert root_of_trust(server) == before
    (orphan,) = verify(server)["orphans"]
    assert orphan["key_number"] == 1 and re.fullmatch(r"[0-9a-f-]{36}", orphan["operation"])
    shim.set()
    server.initialize(shim)
    assert status(server)["key_number"] == 2 and verify(server)["healthy"]
    all_live([server], server.token, [2])
