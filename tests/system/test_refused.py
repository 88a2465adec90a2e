# SPDX-License-Identifier: Apache-2.0
"""Who could not connect, and why: at the KMIP port and at that of the REST interface, told after a restart and a kill of the
reader, too, from a file that no flood of strangers makes longer."""
import ssl
import subprocess

import pytest

import people
from https import Connection
from server import wait_for

REFUSED = "var/lib/keyward/refused"


def make_cert(where, name, days):
    key, csr, cert = (where / f"{name}.{kind}" for kind in ("key", "csr", "crt"))
    for command in (["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", key,
                     "-out", csr], ["x509", "-req", "-in", csr, "-signkey", key, "-days", days, "-out", cert]):
        subprocess.run(["openssl", *map(str, command)], check=True, capture_output=True)
    return cert, key


def shake(port, *arguments):
    subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *map(str, arguments)], input="", capture_output=True,
                   text=True, timeout=60)


def failures(server, words):
    """Those whose reason has the words."""
    return [row for row in server.json("endpoint", "tls-failures")["failures"] if words in row["reason"]]


def told(server, words):
    return wait_for(f"a failure with \"{words}\"", lambda: failures(server, words))


def test_a_client_certificate_that_https_refuses_is_told(web, tmp_path):
    cert, key = make_cert(tmp_path, "late-machine", -1)
    shake(web.web_port, "-cert", cert, "-key", key)
    row = told(web, "not valid now")[0]
    assert (row["port"], row["subject"], row["endpoint"]) == ("https", "CN=late-machine", None)
    shown = subprocess.run(["openssl", "x509", "-in", cert, "-noout", "-fingerprint", "-sha256"], capture_output=True, text=True)
    assert row["fingerprint"] == shown.stdout.split("=")[1].strip().replace(":", "").lower()
    shake(web.web_port, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
    assert told(web, "TLS 1.1")[0]["port"] == "https"
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLError):
        Connection(web.web_port, None, context=context)
    assert told(web, "does not know the authority")[0]["port"] == "https"
    # What is in order is no failure.
    with Connection(web.web_port, web.root / "var/lib/keyward/tls/ca.crt", *make_cert(tmp_path, "fine", 2)) as connection:
        assert connection.ask("GET", "/healthz").status == 200
    assert not any(row["subject"] == "CN=fine" for row in web.json("endpoint", "tls-failures")["failures"])


def test_the_last_failure_of_an_endpoint_survives_restart_and_kill(web):
    where = web.enroll("cut-off")
    web.keyward("ca", "rotate")
    web.keyward("ca", "finish", "--force")
    shake(web.port, "-cert", where / "cert.pem", "-key", where / "key.pem")
    last = wait_for("the failure", lambda: web.json("endpoint", "show", "cut-off")["last_tls_failure"])
    assert "unknown CA" in last["reason"] and last["port"] == "kmip" and last["subject"] == "CN=cut-off"
    before = web.json("endpoint", "tls-failures")["failures"]
    web.restart()
    people.wait_for_port(web)
    wait_for("what was known before", lambda: web.json("endpoint", "show", "cut-off")["last_tls_failure"] == last)
    assert [row for row in web.json("endpoint", "tls-failures")["failures"] if row["port"] == "https"] == \
        [row for row in before if row["port"] == "https"]
    web.kill("reader")
    wait_for("what was known before the kill", lambda: failures_or_none(web) and
             web.json("endpoint", "show", "cut-off")["last_tls_failure"] == last)


def failures_or_none(server):
    """None while no reader answers."""
    done = server.keyward("endpoint", "tls-failures", "-o", "json", check=False)
    return done.returncode == 0


def test_no_name_stands_in_the_file_and_it_stays_small(web):
    path = web.root / REFUSED
    assert path.stat().st_mode & 0o777 == 0o600
    data = path.read_bytes()
    for name in (b"cut-off", b"late-machine", b"127.0.0.1"):
        assert name not in data
    assert len(data) < 256 * 1024
