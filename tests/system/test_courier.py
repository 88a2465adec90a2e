# SPDX-License-Identifier: Apache-2.0
"""Audit records reach a log server over TLS and none is lost, whoever dies meanwhile; alerts are raised, told by mail, acknowledged,
silenced, and cleared (contract H6)."""
import contextlib
import json
import os
import signal
import socket
import threading

import pytest

from https import Local
from log_server import Authority, LogServer, MailServer
from root import needs_root
from server import Server, wait_for


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("courier") / "server")
    server.setup()
    uid, _ = server.create_key()
    server.fetch(uid)
    yield server
    server.remove()


@pytest.fixture
def log_server(tmp_path, authority):
    server = LogServer(tmp_path / "log", authority)
    server.start()
    yield server
    server.stop(signal.SIGKILL)


def forward(server, log_server, authority, *more):
    server.keyward("syslog", "set", "--host", "127.0.0.1", "--port", log_server.port, "--server-ca-file", authority.where / "ca.pem", *more)


def state(server):
    return server.json("syslog", "show")


def arrived(log_server):
    """(journal or "", sequence) of what has arrived."""
    return {(data.get("journal", ""), int(data["sequence"])) for data, _ in log_server.messages()}


def in_trail(server):
    """The same of what the trail holds now, as far as it is listed."""
    found, cursor = set(), []
    while True:
        page = server.json("audit", "list", "--limit", "1000", *cursor)
        found |= {(str(r.get("journal", "")), r["sequence"]) for r in page["records"]}
        if page["next_cursor"] is None or len(page["records"]) < 1000:
            return found
        cursor = ["--cursor", page["next_cursor"]]


def wait_all(server, log_server):
    expected = in_trail(server)
    wait_for("all records to arrive", lambda: expected <= arrived(log_server))


# ---- the log server ----

def test_records_arrive_over_tls_with_their_structured_data(shared, log_server, authority):
    forward(shared, log_server, authority, "--from", "start")
    wait_all(shared, log_server)
    created = [m for m in log_server.messages() if " Create " in m[1]]
    data, line = created[0]
    assert data["outcome"] == "ERR_OK" and data["who"] == "client" and data["whoKind"] == "endpoint" and len(data["recordHash"]) == 64
    assert line.startswith("<110>1 20") and " keyward - Create [keyward@32473 " in line
    assert [m for m in log_server.messages() if " Get " in m[1] and m[0].get("journal")]
    wait_for("delivery to be told", lambda: state(shared)["delivered"])
    shared.keyward("syslog", "disable")
    assert state(shared)["state"] == "off"
    assert shared.keyward("syslog", "disable", check=False).returncode == 6


def test_nothing_is_lost_when_the_log_server_dies_and_comes_back(shared, log_server, authority):
    forward(shared, log_server, authority, "--from", "now")
    shared.create_key()
    wait_all_new = lambda: any(" Create " in line for _, line in log_server.messages())  # noqa: E731
    wait_for("the first record", wait_all_new)
    before = {key for key in arrived(log_server)}
    first = min(sequence for journal, sequence in before if journal == "")
    log_server.stop(signal.SIGKILL)
    for _ in range(3):
        shared.create_key()
    told = wait_for("the trouble to be told", lambda: state(shared)["error"])
    assert "127.0.0.1" in told and state(shared)["waiting"] > 0 and "wait" in state(shared)["state"]
    log_server.start()
    expected = {key for key in in_trail(shared) if key[0] == "" and key[1] >= first}
    wait_for("what had waited", lambda: expected <= arrived(log_server))
    wait_for("the trouble to be over", lambda: state(shared)["error"] is None)


def test_nothing_is_lost_when_courier_reader_and_writer_are_killed(shared, log_server, authority):
    forward(shared, log_server, authority, "--from", "now")
    for role in ("courier", "reader", "writer", "courier"):
        shared.create_key()
        shared.kill(role)
        wait_for("keys to be served again", lambda: served(shared))
    created = {("", r["sequence"]) for r in shared.json("audit", "list", "--limit", "1000")["records"]
               if r["verb"] == "Create"}
    last = sorted(created)[-5:]
    wait_for("all of them", lambda: set(last) <= arrived(log_server))


def served(server):
    try:
        server.create_key()
        return True
    except Exception:  # a connection may have been cut
        return False


def test_a_log_server_with_another_certificate_is_not_spoken_to(shared, log_server, tmp_path):
    other = Authority(tmp_path / "other")
    shared.keyward("syslog", "set", "--host", "127.0.0.1", "--port", log_server.port, "--server-ca-file", other.where / "ca.pem", "--from", "start")
    told = wait_for("the refusal", lambda: state(shared)["error"])
    assert "certificate" in told and not log_server.messages()
    shared.keyward("syslog", "disable")


@pytest.mark.parametrize("arguments, why", [
    (["--host", "192.0.2.1", "--transport", "tcp"], "this host alone"),
    (["--host", "a b"], "no name and no address"),
    (["--host", "x", "--port", "0"], "port"),
    (["--host", "x", "--server-ca-file", __file__], "PEM"),
    (["--host", "x", "--away", "1"], "\"away_s\""),
])
def test_a_bad_target_is_refused(shared, arguments, why):
    done = shared.keyward("syslog", "set", *arguments, check=False)
    assert done.returncode == 2 and why in done.stderr


def test_plain_tcp_serves_this_host_and_a_server_told_to_stop_refuses_endpoints(kept, tmp_path):
    server = kept("plain")
    server.start()
    log_server = LogServer(tmp_path / "plain-log")
    log_server.start()
    try:
        server.keyward("syslog", "set", "--host", "127.0.0.1", "--port", log_server.port, "--transport", "tcp",
                       "--when-away", "stop", "--away", "10")
        wait_for("keys to be served", lambda: served(server))
        wait_all(server, log_server)
        log_server.stop(signal.SIGKILL)
        assert served(server)  # not at once
        wait_for("endpoints to be refused", lambda: not served(server))
        assert "audit_sink_away_too_long" in server.log()
        # Administration goes on, and the trail has recorded the refusals.
        assert state(server)["waiting"] > 0
        log_server.start()
        wait_for("keys to be served again", lambda: served(server), 90)
    finally:
        log_server.stop(signal.SIGKILL)


# ---- alerts ----

def alerts(server, kind=None):
    return [a for a in server.json("alert", "list")["alerts"] if kind in (None, a["type"])]


def configure(server, kind, *more):
    return server.json("alert", "configure", kind, *more)


@pytest.fixture
def mail_server(tmp_path, authority):
    server = MailServer(tmp_path / "mail", authority, "keyward", "a mail password")
    server.start()
    yield server
    server.stop()


def use_mail(server, mail_server, authority, password="a mail password", *more):
    secret = server.secret_file("mail", password)
    server.keyward("mail", "set", "--host", "localhost", "--port", mail_server.port, "--server-ca-file", authority.where / "ca.pem", "--user", "keyward",
                   "--mail-password-file", secret, "--from", "keyward@example.org", "--to", "ops@example.org", *more)


def test_an_alert_is_raised_mailed_once_acknowledged_and_clears_by_itself(kept, mail_server, authority):
    server = kept("plain")
    server.start()
    use_mail(server, mail_server, authority)
    configure(server, "server_certificate", "--threshold", "3650")
    alert = wait_for("an alert", lambda: alerts(server, "server_certificate"))[0]
    assert alert["severity"] == "medium" and "the server's certificate expires on 20" in alert["message"]
    mail = wait_for("mail", mail_server.mails)[0]
    assert mail.to == ["ops@example.org"] and "server_certificate (medium)" in mail["Subject"] and mail["Message-ID"].startswith(f"<{alert['id']}@")
    assert "expires on 20" in mail.get_content()
    wait_for("the alert to be told as mailed", lambda: alerts(server, "server_certificate")[0]["mailed"])
    acknowledged = server.json("alert", "acknowledge", alert["id"])
    assert acknowledged["acknowledged"] and alerts(server)[0]["acknowledged"]
    server.restart()
    server.kill("courier")
    wait_for("the couriers to be back", lambda: len(server.processes("courier")) == 2)
    # A test mail comes behind whatever would have been sent again.
    sent = server.json("mail", "test")["id"]
    wait_for("the test mail", lambda: any(sent in m["Message-ID"] for m in mail_server.mails()))
    assert len([m for m in mail_server.mails() if "server_certificate" in m["Subject"]]) == 1
    configure(server, "server_certificate", "--threshold", "1")
    wait_for("the alert to clear", lambda: not alerts(server, "server_certificate"))
    over = server.json("alert", "history")["alerts"][0]
    assert over["type"] == "server_certificate" and over["cleared"]
    verbs = [r["verb"] for r in server.json("audit", "list", "--limit", "1000")["records"]]
    assert verbs.count("alert raised") == 1 and verbs.count("alert cleared") == 1


def test_the_consoles_own_certificate_is_looked_at(kept):
    server = kept("plain")
    server.start()
    configure(server, "console_certificate", "--threshold", "3650")
    server.json("certificate", "rotate", "console", "--names", "admin.example.org")
    alert = wait_for("the alert", lambda: alerts(server, "console_certificate"))[0]
    assert "the console's certificate expires on 20" in alert["message"]
    server.json("certificate", "remove", "console")
    configure(server, "console_certificate", "--threshold", "3649")  # looked at now
    wait_for("it to be over", lambda: not alerts(server, "console_certificate"))


def test_many_names_that_are_tried_are_told(kept):
    server = kept("plain")
    server.start()
    with Local(server) as local:
        for number in range(10):
            assert local.ask("POST", "/api/v1/sessions", {"user": f"guess-{number}", "password": "x" * 12}).status == 401
    assert "came for 10 different user names" in wait_for("the alert", lambda: alerts(server, "name_spray"))[0]["message"]


def test_mail_waits_for_the_server_and_goes_to_who_wants_this_type(kept, mail_server, authority):
    server = kept("plain")
    server.start()
    mail_server.stop()
    use_mail(server, mail_server, authority)
    configure(server, "endpoint_certificate", "--threshold", "3650", "--to", "pki@example.org,second@example.org")
    configure(server, "server_certificate", "--threshold", "3650", "--mail=false")
    configure(server, "ca_certificate", "--threshold", "3650")
    wait_for("the alerts", lambda: len(alerts(server)) >= 3)
    wait_for("the trouble to be told", lambda: server.json("mail", "show")["error"])
    named = alerts(server, "endpoint_certificate")[0]
    assert named["name"] and f"endpoint \"{named['name']}\" has a certificate that expires on" in named["message"]
    mail_server.start()
    mail = wait_for("mail for PKI", lambda: [m for m in mail_server.mails() if "endpoint_certificate" in m["Subject"]])[0]
    assert mail.to == ["pki@example.org", "second@example.org"] and named["name"] in mail.get_content()
    wait_for("mail for the others", lambda: [m for m in mail_server.mails() if "ca_certificate" in m["Subject"]])
    assert not [m for m in mail_server.mails() if "server_certificate" in m["Subject"]]
    wait_for("the trouble to be over", lambda: server.json("mail", "show")["error"] is None)


def test_a_wrong_password_and_a_wrong_certificate_are_told(shared, mail_server, authority, tmp_path):
    use_mail(shared, mail_server, authority, "not the password")
    shared.keyward("mail", "test")
    told = wait_for("the refusal", lambda: shared.json("mail", "show")["error"])
    assert "refused user and password" in told and not mail_server.mails()
    use_mail(shared, mail_server, Authority(tmp_path / "other"))
    told = wait_for("the other refusal", lambda: "certificate" in (shared.json("mail", "show")["error"] or ""))
    assert not mail_server.mails()
    use_mail(shared, mail_server, authority)
    wait_for("the test mail after all", mail_server.mails)
    shared.keyward("mail", "disable")
    assert shared.keyward("mail", "test", check=False).returncode == 6


def test_what_a_mail_server_says_is_told_whatever_bytes_it_is(shared):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def refuse():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.sendall(b"554 Zugriff verweigert f\xfcr \x1b[31mSie\r\n")
        threading.Thread(target=refuse, daemon=True).start()
        shared.keyward("mail", "set", "--host", "127.0.0.1", "--port", listener.getsockname()[1], "--security", "none",
                       "--from", "keyward@example.org", "--to", "ops@example.org")
        shared.keyward("mail", "test")
        told = wait_for("the refusal", lambda: shared.json("mail", "show")["error"])
        assert "554 Zugriff verweigert f?r ?[31mSie" in told
        shared.keyward("mail", "disable")
        listener.shutdown(socket.SHUT_RDWR)


def test_tls_from_the_start_serves_too(shared, authority, tmp_path):
    mail_server = MailServer(tmp_path / "mail", authority, implicit=True)
    mail_server.start()
    try:
        shared.keyward("mail", "set", "--host", "127.0.0.1", "--port", mail_server.port, "--security", "tls", "--server-ca-file", authority.where / "ca.pem",
                       "--from", "keyward@example.org", "--to", "ops@example.org")
        shared.keyward("mail", "test")
        assert wait_for("the test mail", mail_server.mails)[0].to == ["ops@example.org"]
    finally:
        mail_server.stop()
        shared.keyward("mail", "disable")


def test_quiet_endpoints_wrong_tokens_and_low_space_are_alerts(kept):
    server = kept("plain")
    server.start()
    configure(server, "disk_space", "--threshold", "99")
    low = wait_for("an alert", lambda: alerts(server, "disk_space"))[0]
    assert low["severity"] in ("high", "critical") and "% of its room left" in low["message"]
    configure(server, "disk_space", "--enabled=false")
    wait_for("it to clear", lambda: not alerts(server, "disk_space"))
    configure(server, "failed_sign_ins", "--threshold", "3")
    token = server.secret_file("token", "0" * 64)
    for _ in range(3):
        server.keyward("endpoint", "enroll", "nobody", "--token-file", token, "--out", server.root / "never", check=False)
    assert "3" in wait_for("an alert", lambda: alerts(server, "failed_sign_ins"))[0]["message"]
    bad = server.keyward("alert", "configure", "disk_space", "--threshold", "100", check=False)
    assert bad.returncode == 2
    assert server.keyward("alert", "configure", "nonsense", "--enabled", check=False).returncode == 5
    assert server.keyward("alert", "acknowledge", "0190a5b2-4d1c-7f00-8a10-5e0c6a7b9d21", check=False).returncode == 5


def test_no_process_but_the_courier_may_open_a_connection_and_it_reaches_no_file_of_the_server(shared):
    needs_root("the descriptors of a process that shows them to root alone")
    pids = [p.pid for p in shared.processes("courier")]
    assert len(pids) == 2
    for pid in pids:
        files = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        assert not [f for f in files if str(shared.root) in f and "keywardd.log" not in f]
    assert json.dumps(state(shared))
