# SPDX-License-Identifier: Apache-2.0
"""The main job: a key rooted in an HSM, fetched by a client that is not ours, across restarts (contract A1, A2, B2, B9, L1)."""
import json
import os
import pathlib
import pty
import re
import signal
import subprocess

import pytest
from kmip.core import enums
from kmip.pie.exceptions import KmipOperationFailure

from server import PROGRAMS, wait_for


def kmip_works(server):
    with server.client() as client:
        uid = client.create(enums.CryptographicAlgorithm.AES, 256, name="main")
        client.activate(uid)
        return uid, client.get(uid).value


def in_ram(server):
    return [path.name for path in (server.root / "mnt/okvram").iterdir()]


def opened_by_hsm(server):
    """The traces of the HSM's opening the wallet."""
    return list((server.root / "var/okv/log/hsm").glob("*-open_wallet-*.log"))


def test_a_key_survives_an_unattended_restart_in_hsm_mode(hsm_server):
    uid, key = kmip_works(hsm_server)
    assert len(key) == 32
    hsm_server.stop()
    assert in_ram(hsm_server) == []
    traces = len(opened_by_hsm(hsm_server))
    hsm_server.start()
    assert hsm_server.fetch(uid) == key
    # The HSM has opened the store, and nothing that a stop had left.
    assert len(opened_by_hsm(hsm_server)) == traces + 1
    assert "wallet_found_in_ram" not in hsm_server.log().rsplit("supervisor_started", 1)[1]
    assert sorted(in_ram(hsm_server)) == ["cwallet.sso", "ewallet.p12"]
    status = hsm_server.json("hsm", "status")
    assert status["status"] == "up" and status["key_number"] == 1


def test_a_key_survives_an_unattended_restart_without_an_hsm(server):
    uid, key = kmip_works(server)
    server.restart()
    assert server.fetch(uid) == key
    assert server.json("hsm", "status")["type"] == "None"


def test_keys_made_before_and_after_initialize_and_reverse_migrate_are_all_served(make_server, softhsm):
    server = make_server()
    server.setup()
    server.use_token(softhsm)
    keys = [server.create_key(name="client")]
    server.initialize(softhsm)
    keys.append(server.create_key())
    server.restart()
    server.reverse_migrate(softhsm)
    keys.append(server.create_key())
    server.restart()
    for uid, key in keys:
        assert server.fetch(uid) == key


def test_the_server_starts_with_the_hsm_away_says_so_and_opens_by_itself(hsm_server):
    uid, key = kmip_works(hsm_server)
    hsm_server.stop()
    hsm_server.token.hide()
    hsm_server.start()

    def refusal():
        with pytest.raises(KmipOperationFailure) as refused, hsm_server.client() as client:
            client.get(uid)
        return str(refused.value)
    wait_for("a refusal that names the HSM", lambda: "HSM" in refusal())
    assert hsm_server.json("hsm", "status")["status"] == "down"
    hsm_server.token.show()

    def opened():
        try:
            return hsm_server.fetch(uid) == key
        except Exception:
            return False
    wait_for("the server to open by itself", opened)


def test_kmip_goes_on_while_the_hsm_is_away(hsm_server):
    uid, key = kmip_works(hsm_server)
    hsm_server.token.hide()
    assert hsm_server.fetch(uid) == key
    hsm_server.kill("keeper")
    wait_for("a new keeper", lambda: hsm_server.processes("keeper"))
    hsm_server.kill("reader")

    def served():
        try:
            return hsm_server.fetch(uid) == key
        except Exception:
            return False
    wait_for("keys to be served from the wallet in memory", served)


def test_whoever_goes_on_after_a_start_finds_the_keys_open(kept):
    server = kept("hsm")
    for _ in range(3):
        server.start()
        assert server.json("status")["state"] == "open"
        assert {uid: server.fetch(uid) for uid in server.keys} == server.keys
        server.stop()


def test_a_start_with_the_hsm_away_says_that_no_keys_are_served(kept):
    server = kept("hsm")
    server.token.hide()
    started = server.start()
    assert "serves no keys yet" in started.stderr and "hsm verify" in started.stderr
    assert server.json("status")["state"] == "locked"


def test_a_start_before_setup_says_that_setup_is_next(make_server):
    server = make_server()
    assert "keyward setup --root" in server.start().stderr


def test_a_try_out_server_is_rooted_in_a_token_that_setup_makes(make_server):
    server = make_server()
    server.setup(hsm="softhsm")
    with server.client("tryout") as client:
        key = client.get(client.create(enums.CryptographicAlgorithm.AES, 256)).value
    assert len(key) == 32
    server.restart()
    assert server.json("status")["serving"]
    assert server.json("hsm", "verify")["healthy"]


def test_a_server_that_is_set_up_stays_as_it_is(hsm_server):
    server = hsm_server
    again = server.json("setup", "--yes")
    assert again["hsm"] == server.vendor and again["setup_link"], "nobody has used the first secret yet"
    token = server.secret_file("token", again["setup_link"])
    server.keyward("setup-link", "use", "alice", "--token-file", token, "--password-file", server.passphrase_file)

    again = server.keyward("setup", "--server-name", "LOCALHOST", "--server-name", "127.0.0.1", "--yes", "-o", "json")
    assert json.loads(again.stdout)["setup_link"] is None and json.loads(again.stdout)["hsm"] == server.vendor
    assert "Set up already" in again.stderr and "There is an administrator already" in again.stderr
    assert "hsm initialize" not in again.stderr and "setup-link use" not in again.stderr

    phrase = server.root / "phrase"
    for asked, said in {("--server-name", "other.example"): "rotate server --names localhost,127.0.0.1,other.example",
                        ("--recovery-passphrase-out", phrase): "passphrase change",
                        ("--hsm", "none"): "hsm reverse-migrate", ("--hsm", "softhsm"): "hsm reverse-migrate",
                        ("--kmip-listen", "127.0.0.1:1"): "stop it before"}.items():
        done = server.keyward("setup", *asked, "--yes", check=False)
        assert done.returncode == 6 and said in done.stderr and "run again" not in done.stderr, done.stderr
    assert not phrase.exists()

    server.stop()
    server.token.hide()
    done = server.keyward("setup", "--yes", check=False)
    assert done.returncode == 8 and "set up already and serves no keys yet" in done.stderr


WITH_SERVER = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "with-server"
ENVIRONMENT = {**os.environ, "KEYWARD_PROGRAMS": str(PROGRAMS)}

# What stands in the environment is all that is used: of the root key, the REST API and KMIP.
ASK = """
set -e
keyward hsm verify -o table
curl -sf --cacert "$KEYWARD_CA" "$KEYWARD_URL/healthz"
PIN=$(cat "$HSM_CREDENTIAL_FILE") pkcs11-tool --module "$HSM_MODULE" --token-label "$HSM_TOKEN_LABEL" --login --pin env:PIN --list-objects
echo "ready in $KEYWARD_READY_SECONDS s"
exec /usr/bin/python3 -
"""
FETCH = """
import os
from kmip.core import enums
from kmip.pie.client import ProxyKmipClient
e = os.environ
with ProxyKmipClient(hostname=e["KMIP_HOST"], port=int(e["KMIP_PORT"]), cert=e["KMIP_CERT"], key=e["KMIP_KEY"], ca=e["KMIP_CA"],
                     kmip_version=enums.KMIPVersion.KMIP_1_4) as client:
    print("fetched", len(client.get(client.create(enums.CryptographicAlgorithm.AES, 256)).value), "bytes")
"""


def test_a_throw_away_server_tells_its_command_where_it_is():
    done = subprocess.run([WITH_SERVER, "--", "sh", "-c", ASK], input=FETCH, capture_output=True, text=True, timeout=120, env=ENVIRONMENT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "alive" in done.stdout and "fetched 32 bytes" in done.stdout and re.search(r"ready in \d+\.\d\d s", done.stdout)
    assert re.search(r"label: +OKV \S.* HSM Root Key", done.stdout), done.stdout
    failed = subprocess.run([WITH_SERVER, "--hsm", "none", "--", "sh", "-c", "exit 7"], timeout=120, env=ENVIRONMENT)
    assert failed.returncode == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_command_and_with_it_the_throw_away_server(number):
    """The command says what it got, and its status is the script's."""
    command = f'trap "echo got; exit 9" {number.name[3:]}; echo "$KEYWARD_ROOT $KEYWARD_PID"; while :; do read -r _ || :; done'
    with subprocess.Popen([WITH_SERVER, "--hsm", "none", "--", "bash", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env=ENVIRONMENT, start_new_session=True,  # as a shell starts it: what a background job ignores stays ignored
                          preexec_fn=lambda: signal.signal(number, signal.SIG_DFL)) as process:
        root, pid = process.stdout.readline().split()
        words = pathlib.Path("/proc", pid, "cmdline")
        assert root in words.read_text()
        process.send_signal(number)
        assert process.stdout.read() == "got\n" and process.wait() == 9
    assert not pathlib.Path(root).exists()
    wait_for("the end of the server", lambda: not words.exists() or not words.read_text())


COUNT = """
import signal, sys
count = 0
def note(*_):
    global count
    count += 1
    print("got", count, flush=True)
signal.signal(signal.SIGINT, note)
print("up", flush=True)
while sys.stdin.readline() != "end\\n":
    pass
print("count", count, flush=True)
"""


def test_ctrl_c_reaches_the_command_once_and_it_reads_from_the_terminal():
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execve(WITH_SERVER, [str(WITH_SERVER), "--hsm", "none", "--", "/usr/bin/python3", "-c", COUNT], ENVIRONMENT)
    said = b""

    def hear(words):
        nonlocal said
        while words not in said:
            said += os.read(terminal, 4096)
    hear(b"up\r\n")
    for number in range(1, 9):
        os.write(terminal, b"\x03")
        hear(b"got %d\r\n" % number)
    os.write(terminal, b"end\n")
    hear(b"count ")
    hear(b"count 8\r\n")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
