# SPDX-License-Identifier: Apache-2.0
"""Revocation lists as bytes, for whoever checks certificates: fetched over HTTPS without an account, of each authority, and named
by certificates once an administrator has said where. openssl does the checking. One server for all tests, in their order."""
import re
import subprocess

import people
from https import Connection


def openssl(*arguments, **more):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60, **more).stdout


def ask(server, path, method="GET"):
    """What somebody without an account is answered."""
    with Connection(server.web_port, server.root / "var/lib/keyward/tls/ca.crt") as connection:
        return connection.ask(method, path)


def fetch(server, path, media):
    answer = ask(server, path)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == media
    return answer.body


def serial_of(cert):
    return openssl("x509", "-in", cert, "-noout", "-serial").decode().strip().split("=")[1]


def check(server, where, crl):
    """None when the list allows the certificate, else what openssl says; the list is PEM."""
    path = server.root / "fetched.pem"
    path.write_bytes(crl)
    done = subprocess.run(["openssl", "verify", "-crl_check", "-CAfile", where / "ca.pem", "-CRLfile", path, where / "cert.pem"],
                          capture_output=True, text=True, timeout=60)
    return None if done.returncode == 0 else done.stdout + done.stderr


def named(cert):
    """(address of the list, address of the issuer's certificate) as a certificate names them."""
    text = openssl("x509", "-in", cert, "-noout", "-text").decode()
    found = [re.search(pattern, text) for pattern in (r"CRL Distribution Points:[^X]*?URI:(\S+)", r"CA Issuers - URI:(\S+)")]
    return tuple(one and one[1] for one in found)


def path_of(address):
    return re.fullmatch(r"https://kv\.example:8443/pki(/.+)", address)[1]


def pem_of(der):
    return openssl("crl", "-inform", "DER", input=der)


def test_lists_are_had_without_an_account(web):
    good, gone = web.enroll("good"), web.enroll("gone")
    assert check(web, gone, fetch(web, "/crl.pem", "application/x-pem-file")) is None
    web.keyward("endpoint", "delete", "gone")
    pem, der = fetch(web, "/crl.pem", "application/x-pem-file"), fetch(web, "/crl.der", "application/pkix-crl")
    for crl in (pem, pem_of(der)):
        assert check(web, good, crl) is None
        assert "certificate revoked" in check(web, gone, crl)
        text = openssl("crl", "-noout", "-text", input=crl).decode()
        assert serial_of(gone / "cert.pem") in text and serial_of(good / "cert.pem") not in text
        assert "Cessation Of Operation" in text
    listed = web.json("crl")["crls"]
    assert len(listed) == 1 and b"X509 CRL" in pem and pem.count(b"BEGIN") == 1
    assert pem_of(fetch(web, f"/crl/{listed[0]['id']}", "application/pkix-crl")).startswith(b"-----BEGIN X509 CRL")


def test_what_is_not_served_is_refused(web):
    identifier = web.json("crl")["crls"][0]["id"]
    for path in ("/crl/nonsense", "/crl/00000000-0000-0000-0000-000000000000", "/ca/nonsense", f"/ca/{identifier}x"):
        answer = ask(web, path)
        assert (answer.status, answer.problem) == (404, "not-found") and "authority" in answer.json()["detail"], path
    assert ask(web, "/crl/").status == 404
    answer = ask(web, "/crl.pem", "POST")
    assert answer.status == 405 and answer.headers["allow"] == "GET"
    assert ask(web, "/crl.pem?x=1").status == 400


def test_certificates_name_no_place_until_one_is_set(web):
    assert web.json("certificate", "crl-address")["published_at"] is None
    assert named(web.enroll("before") / "cert.pem") == (None, None)
    for wrong in ("kv.example", "ftp://kv.example", "https://", "https://u@kv.example", "https://kv.example/?a", "https://kv.example,x",
                  "https://:8443", "https://kv.example/#", "https://kv .example", "https://" + "a" * 200):
        done = web.keyward("certificate", "set-crl-address", wrong, check=False)
        assert done.returncode == 2, wrong
    assert "https://HOST" in web.keyward("certificate", "set-crl-address", "kv.example", check=False).stderr
    assert web.json("certificate", "set-crl-address", "https://kv.example:8443/pki/")["published_at"] == "https://kv.example:8443/pki"
    assert web.json("certificate", "crl-address")["published_at"] == "https://kv.example:8443/pki"
    record = [r for r in web.json("audit", "list", "--verb", "certificate set-crl-address", "--limit", "1000")["records"] if r["outcome"] == "ERR_OK"]
    assert [r["detail"] for r in record] == ["https://kv.example:8443/pki"]


def test_a_user_without_the_role_sets_no_address(web):
    people.make(web, "auditor", roles=["audit"])
    person = people.sign_in(web, "auditor")
    assert person.call("GET", "/crl-address")[0] == 200
    assert person.call("POST", "/crl-address:set", published_at="https://evil.example")[0] == 403
    assert web.json("certificate", "crl-address")["published_at"] == "https://kv.example:8443/pki"


def test_a_certificate_leads_to_its_list_and_its_issuer(web):
    where = web.enroll("after")
    crl, issuer = named(where / "cert.pem")
    assert check(web, where, pem_of(fetch(web, path_of(crl), "application/pkix-crl"))) is None
    der = fetch(web, path_of(issuer), "application/pkix-cert")
    assert openssl("x509", "-inform", "DER", input=der).strip() == (where / "ca.pem").read_bytes().strip()
    web.keyward("certificate", "rotate", "server")
    assert named(web.root / "var/lib/keyward/tls/server.crt") == (crl, issuer)
    out = web.root / "clients" / "after-2"
    web.keyward("endpoint", "rotate", "after", "--out", out)
    assert named(out / "cert.pem") == (crl, issuer)


def test_each_authority_keeps_its_address_while_the_authority_changes(web):
    old = web.root / "clients" / "after"
    web.keyward("ca", "rotate")
    new = web.enroll("newer")
    crls = [path_of(named(where / "cert.pem")[0]) for where in (old, new)]
    assert crls[0] != crls[1]
    for where, path in zip((old, new), crls):
        assert check(web, where, pem_of(fetch(web, path, "application/pkix-crl"))) is None
    assert fetch(web, "/crl.pem", "application/x-pem-file").count(b"BEGIN X509 CRL") == 2
    assert "unable to get certificate CRL" in check(web, old, pem_of(fetch(web, "/crl.der", "application/pkix-crl")))
    assert check(web, new, pem_of(fetch(web, "/crl.der", "application/pkix-crl"))) is None
    web.keyward("ca", "finish", "--force")
    assert ask(web, crls[0]).status == 404 and ask(web, crls[1]).status == 200


def test_the_address_is_taken_back(web):
    assert web.json("certificate", "set-crl-address", "")["published_at"] is None
    assert named(web.enroll("plain") / "cert.pem") == (None, None)
