# SPDX-License-Identifier: Apache-2.0
"""The whole life of a server on every PKCS#11 library at hand (contract B2, B5, B6, B8, B9, B12), and what docs/HSM.md says of each."""
import concurrent.futures
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading

import pytest

import hsm_matrix
import more_tokens
import tokens
from prepared import root_of_trust, set_security
from root import needs_root
from server import PASSPHRASE, served, soon_served, wait_for
from shim import Shim

REQUIRED = set("""C_CloseSession C_Decrypt C_DecryptInit C_Encrypt C_EncryptInit C_Finalize C_FindObjects C_FindObjectsFinal
C_FindObjectsInit C_GenerateKey C_GenerateRandom C_GetFunctionList C_GetSlotList C_GetTokenInfo C_Initialize C_Login
C_OpenSession""".split())


@pytest.fixture(params=more_tokens.ALL, ids=lambda kind: kind.kind)
def token(request, tmp_path):
    with request.param(tmp_path / "token") as made:
        yield made


@pytest.fixture
def beside(make_server, token):
    """A server without an HSM that runs where the token can be seen."""
    server = make_server(prefix=token.enter([]))
    server.setup()
    server.use_token(token)
    server.token, server.keys = token, dict([server.create_key()])
    yield server
    server.remove()


class Clients:
    """Fetches a key without a pause while the block runs; ends with what went wrong."""

    def __init__(self, server):
        self.server, self.fetched, self.failed = server, 0, []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        uid, key = next(iter(self.server.keys.items()))
        while not self.ending.is_set():
            try:
                assert self.server.fetch(uid) == key
                self.fetched += 1
            except Exception as problem:
                self.failed.append(repr(problem))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()
        assert self.fetched and not self.failed, (self.fetched, self.failed[:3])


def status(server):
    return server.json("hsm", "status")


def reboot(server, between=lambda: None):
    """Stops the server, empties the RAM file system and starts it with nobody at hand."""
    server.stop()
    between()
    ram = f"{server.root}/mnt/okvram"
    subprocess.run([*server.prefix, "sh", "-c", 'test ! -d "$1" || find -H "$1" -mindepth 1 -delete', "sh", ram], check=True)
    server.start()


def three_cycles(server):
    for number in (1, 2, 3):
        with Clients(server):
            server.initialize(server.token)
            assert (status(server)["status"], status(server)["key_number"]) == ("up", number)
            server.keys.update([server.create_key()])
            if number < 3:
                server.reverse_migrate(server.token)
                assert status(server)["type"] == "None"
    roots = [o for o in server.token.objects() if re.fullmatch(r"OKV \S.* HSM Root Key", o["label"])]
    assert sorted(o["id"] for o in roots) == ["00000001", "00000002", "00000003"]


def a_new_pin(server):
    server.token.change_pin("5678abc")
    assert server.keyward("hsm", "verify", check=False).returncode == 8
    with Clients(server):
        server.keyward("hsm", "set-credential", "--credential-file", server.secret_file("pin", server.token.pin))
        server.keyward("verify", program="hsmclient")


def away_and_back(server):
    with Clients(server):
        server.token.hide()
        away = server.keyward("verify", program="hsmclient", check=False)
        assert away.returncode == 8 and away.stderr.strip()
    reboot(server)
    assert status(server)["status"] == "down"
    with pytest.raises(Exception, match="(?i)locked|hsm|slot|library"):
        server.fetch(next(iter(server.keys)))
    server.token.show()
    soon_served(server)
    assert status(server)["status"] == "up"


def findings(server):
    """What Keyward met while it made its last root key, from its own traces."""
    traces = sorted((server.root / "var/okv/log/hsm").glob("*-initialize-*.log"))
    made = [text for text in (path.read_text() for path in traces) if "event=mechanism_chosen" in text][-1]
    calls = re.findall(r'function=(C_\w+) rv="(\w+)', made)
    extra = sorted({function for function, rv in calls if rv == "CKR_OK"} - REQUIRED)
    return {
        "library": f"`{server.token.library.name}`",
        "auto": re.search(r"event=mechanism_chosen mechanism=(\w+)", made).group(1),
        "number_object": "refused: numbers from the keys" if "key_number_object_not_kept" in made else "kept",
        "attributes": "no" if "key_attribute_unread" in made else "yes",
        "extra_calls": ", ".join(extra),
    }


def same_id(token):
    """What becomes of a key when another is made under its label and CKA_ID."""
    for _ in range(2):
        token.generate_key("twin", "00ffffff")
    return {1: "is replaced", 2: "stays beside the new one"}[len(token.keys("twin"))]


def test_the_whole_life(beside):
    three_cycles(beside)
    reboot(beside)
    soon_served(beside)
    a_new_pin(beside)
    away_and_back(beside)
    found = findings(beside)
    beside.reverse_migrate(beside.token)
    found["same_id"] = same_id(beside.token)
    beside.token.hide()
    beside.restart()
    assert served(beside)
    hsm_matrix.note(beside.token.kind, life="passes", **found)


def can_use(server, mechanism):
    """Whether a server that insists on a mechanism can be initialized; when not, that it says so and stays as it was."""
    set_security(server, HSM_MECHANISM=mechanism)
    server.restart()
    before = root_of_trust(server)
    done = server.initialize(server.token, check=False)
    if done.returncode == 0:
        assert findings(server)["auto"] == mechanism
        reboot(server)
        soon_served(server)
        server.reverse_migrate(server.token)
        return "yes"
    assert done.returncode == 8 and "HSM_MECHANISM" in done.stderr and mechanism in done.stderr, done.stderr
    assert root_of_trust(server) == before and served(server)
    return "no"


def test_mechanisms(beside):
    found = {mechanism: can_use(beside, mechanism) for mechanism in hsm_matrix.MECHANISMS}
    hsm_matrix.note(beside.token.kind, **found)


def initialize_without_a_label(server):
    server.keyward("hsm", "initialize", "--vendor", server.vendor, "--credential-file", server.secret_file("pin", server.token.pin),
                   "--recovery-passphrase-file", server.secret_file("recovery", PASSPHRASE))


def test_no_label_is_needed_where_one_token_can_be_used(beside):
    initialize_without_a_label(beside)
    reboot(beside)
    soon_served(beside)
    assert status(beside)["token_label"] == beside.token.label
    hsm_matrix.note(beside.token.kind, no_label="yes")


def test_servers_that_initialize_at_once_get_keys_of_their_own(beside, make_server):
    other = make_server("other", beside.prefix)
    other.setup()
    other.use_token(beside.token)
    other.keys = dict([other.create_key()])
    with concurrent.futures.ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda server: server.initialize(beside.token, check=False), (beside, other)))
    assert [d.returncode for d in done] == [0, 0], done
    assert len({status(server)["key_number"] for server in (beside, other)}) == 2
    for server in (beside, other):
        reboot(server)
        soon_served(server)


# -- a token that makes no keys --
@pytest.fixture
def tpm(make_server, tmp_path):
    """A server without an HSM beside an emulated TPM."""
    if not more_tokens.Tpm2.is_there():
        pytest.skip("the packages of stage tpm are not installed: scripts/install-packages tpm")
    with more_tokens.Tpm2(tmp_path / "token") as token:
        server = make_server()
        server.setup()
        server.use_token(token)
        server.token, server.keys = token, dict([server.create_key()])
        yield server
        server.remove()


def adopted_rounds(server):
    refused = server.initialize(server.token, check=False)
    assert refused.returncode == 8 and "HSM_ADOPT_KEY_LABEL" in refused.stderr
    assert "CKR_FUNCTION_NOT_SUPPORTED" in refused.stderr and served(server)
    set_security(server, **server.token.adopt)
    for last in (False, True):
        with Clients(server):
            server.initialize(server.token) if last else initialize_without_a_label(server)
            assert (status(server)["status"], status(server)["key_number"]) == ("up", 0)
            server.keys.update([server.create_key()])
            if not last:
                server.reverse_migrate(server.token)


def test_the_whole_life_with_an_adopted_key(tpm):
    before = tpm.token.keys()
    adopted_rounds(tpm)
    reboot(tpm)
    soon_served(tpm)
    a_new_pin(tpm)
    away_and_back(tpm)
    found = findings(tpm)
    tpm.reverse_migrate(tpm.token)
    tpm.token.hide()
    tpm.restart()
    assert served(tpm)
    tpm.token.show()
    assert tpm.token.keys() == before
    found |= {name: can_use(tpm, name) for name in hsm_matrix.MECHANISMS}
    found |= {"number_object": "none: the key is adopted", "attributes": "not asked", "no_label": "yes", "same_id": "makes none",
              "extra_calls": found["extra_calls"] or "none"}
    hsm_matrix.note("tpm2", life="passes, with an adopted key", **found)


# -- each in its own way --
@pytest.mark.parametrize("token_kind, away, back", [
    (tokens.OpenCryptoki, "freeze", "replace"), (more_tokens.P11KitServer, "freeze", "thaw"),
    (more_tokens.CamlCrush, "freeze", "thaw"), (more_tokens.CamlCrush, "unplug", "plug"),
], ids=lambda value: getattr(value, "kind", value))
def test_an_hsm_that_falls_silent_holds_up_nobody(make_server, tmp_path, token_kind, away, back):
    with token_kind(tmp_path / "token") as token:
        server = make_server(prefix=token.enter([]))
        server.setup()
        server.use_token(token)
        server.token, server.keys = token, dict([server.create_key()])
        set_security(server, HSM_TIMEOUT="2")
        before = root_of_trust(server)
        getattr(token, away)()
        with Clients(server):
            refused = server.initialize(token, check=False)
        assert refused.returncode == 8 and re.search("did not answer in|could not", refused.stderr, re.I), refused
        assert root_of_trust(server) == before
        getattr(token, back)()
        set_security(server, HSM_TIMEOUT=None)
        server.initialize(token)
        set_security(server, HSM_TIMEOUT="2")
        getattr(token, away)()
        with Clients(server):
            assert server.keyward("verify", program="hsmclient", check=False).returncode == 8
        reboot(server)
        assert status(server)["status"] == "down"
        getattr(token, back)()
        set_security(server, HSM_TIMEOUT=None)
        soon_served(server)
        server.remove()


def test_a_key_of_another_application_survives_on_nss(make_server, tmp_path):
    with more_tokens.NssToken(tmp_path / "token") as token:
        token.generate_key("Payroll", "00000001")
        server = make_server(prefix=token.enter([]))
        server.setup()
        server.use_token(token)
        server.initialize(token)
        assert status(server)["key_number"] == 2
        assert len(token.keys("Payroll")) == 1
        server.remove()


def test_nss_by_itself_wants_its_parameters(make_server, tmp_path):
    with more_tokens.NssToken(tmp_path / "token") as token:
        server = make_server()
        server.setup()
        token.library = tokens.LIBRARIES / "libsoftokn3.so"
        server.use_token(token)
        refused = server.initialize(token, check=False)
        assert refused.returncode == 8 and "HSM_INIT_RESERVED" in refused.stderr
        assert "Could Not Load PKCS#11 Library" in refused.stderr and "CKR_ARGUMENTS_BAD" in refused.stderr
        set_security(server, HSM_INIT_RESERVED=token.parameters)
        server.restart()
        server.keys = dict([server.create_key()])
        server.initialize(token)
        reboot(server)
        soon_served(server)


def test_after_a_reboot_of_the_host_the_library_makes_its_shared_memory_anew(make_server, tmp_path):
    """mnt/okvram is on a disk and run/keyward in RAM, as where the service has its place in /run."""
    with tokens.OpenCryptoki(tmp_path / "token") as token:
        server = make_server(prefix=token.enter([]))
        run, ram = server.root / "run/keyward", server.root / "mnt/okvram"
        run.mkdir(mode=0o700, parents=True)
        token.run(["mount", "-t", "tmpfs", "-o", "mode=0700", "none", run])
        server.setup()
        server.use_token(token)
        server.keys = dict([server.create_key()])
        server.initialize(token)
        assert os.readlink(ram) == "../run/keyward/okvram"
        assert token.run(["cat", ram / "cwallet.sso"], text=False).stdout
        server.stop()
        token.reboot()
        server.prefix = token.enter([])
        token.run(["mount", "-t", "tmpfs", "-o", "mode=0700", "none", run])
        assert token.run(["ls", "/dev/shm"]).stdout.split() == []
        server.start()
        soon_served(server)
        assert status(server)["status"] == "up"
        assert token.run(["ls", "/dev/shm"]).stdout, "the library has made its memory"
        server.keyward("verify", program="hsmclient")
        server.remove()


def test_a_changed_pin_costs_one_try_of_three(make_server, tmp_path):
    with tokens.OpenCryptoki(tmp_path / "token") as token:
        server = make_server(prefix=token.enter([]))
        server.setup()
        server.use_token(token)
        server.initialize(token)
        server.keys = dict([server.create_key()])
        server.token = token
        token.change_pin("5678abc")
        for _ in range(4):
            reboot(server)
            wait_for("the refusal", lambda: "refused the stored credential" in status(server)["reason"])
            server.keyward("verify", program="hsmclient", check=False)
        assert "final user PIN try" not in token.flags() and "user PIN locked" not in token.flags()
        server.keyward("hsm", "set-credential", "--credential-file", server.secret_file("pin", token.pin))
        soon_served(server)
        server.remove()


def test_where_a_trial_of_gcm_ends_the_connection_another_mechanism_can_be_named(make_server, tmp_path):
    with more_tokens.CamlCrush(tmp_path / "token") as token:
        shim = Shim(token, tmp_path / "shim")
        shim.set("nocbc", "nocbcpad")
        server = make_server()
        server.setup()
        server.use_token(shim)
        before = root_of_trust(server)
        refused = server.initialize(shim, check=False)
        assert refused.returncode == 8 and "HSM_MECHANISM" in refused.stderr, refused
        assert root_of_trust(server) == before
        set_security(server, HSM_MECHANISM="AES_ECB")
        server.restart()
        server.initialize(shim)
        server.token, server.keys = token, dict([server.create_key()])
        reboot(server)
        soon_served(server)


# -- the tokens themselves --
@pytest.mark.parametrize("kind", [more_tokens.NssToken, more_tokens.P11KitServer, more_tokens.CamlCrush],
                         ids=lambda kind: kind.kind)
def test_nothing_is_left_of_a_token(tmp_path, kind):
    needs_root("a token's namespaces")
    program = f"""
import os, signal, sys
sys.path.insert(0, {str(pathlib.Path(more_tokens.__file__).parent)!r})
import more_tokens
token = more_tokens.{kind.__name__}({str(tmp_path / "token")!r})
print(getattr(token, "near", None) or "", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    with tempfile.TemporaryDirectory() as short:
        died = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "TMPDIR": short})
    assert died.returncode == -signal.SIGKILL, died

    def gone():
        links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
        lines = [path.read_bytes() for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        return (not died.stdout.strip() or died.stdout.strip() not in links) \
            and not [line for line in lines if str(tmp_path / "token").encode() in line]
    wait_for("the end of all that it started", gone)
