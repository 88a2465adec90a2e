# SPDX-License-Identifier: Apache-2.0
"""A way out when the HSM, or a file of the root of trust, is lost for good (contract B6): every next step that is told is taken."""
import json

import pytest

import prepared
import tokens
from prepared import documented, root_of_trust, security, set_security
from server import PASSPHRASE, served, soon_served

NEW = "another passphrase, much longer 8"
LOST = "keyward hsm reverse-migrate --hsm-lost"


def give_up(server, passphrase=PASSPHRASE, *more, check=True):
    return server.keyward("hsm", "reverse-migrate", "--hsm-lost", "--recovery-passphrase-file",
                          server.secret_file("recovery", passphrase), *more, check=check)


def refused(server, status, call, *words):
    before = root_of_trust(server)
    done = call()
    assert done.returncode == status and not [word for word in words if word not in done.stderr], done
    assert root_of_trust(server) == before


def restarts_unattended(server):
    server.stop()
    prepared.drop_ram(server)
    server.start()
    soon_served(server)


def test_a_server_whose_token_is_lost_moves_to_another(kept, tmp_path):
    server = kept("hsm")
    old = server.token
    server.start()
    soon_served(server)
    serial = server.json("hsm", "status")["serial"]
    new = tokens.SoftHsm(tmp_path / "new", label="newhsm")
    server.use_token(new)
    server.restart()
    refused(server, 8, lambda: server.reverse_migrate(old, check=False), LOST)
    refused(server, 6, lambda: server.initialize(new, check=False), "keyward hsm reverse-migrate", "--hsm-lost")
    refused(server, 3, lambda: give_up(server, NEW, check=False), "recovery passphrase is wrong")
    pin = server.secret_file("pin", old.pin)
    refused(server, 2, lambda: give_up(server, PASSPHRASE, "--credential-file", pin, check=False), "credential")
    server.keyward("open_wallet", "--recovery-passphrase-file", server.secret_file("recovery", PASSPHRASE), program="hsmclient")
    give_up(server)
    assert documented(server) == prepared.WITHOUT_HSM and security(server)["HSM_ENABLED"] == "0"
    (left,) = server.json("hsm", "verify")["orphans"]
    assert (left["key_number"], left["token_label"], left["token_serial"]) == (1, old.label, serial)
    server.initialize(new)
    assert served(server)
    restarts_unattended(server)
    status = server.json("hsm", "status")
    assert (status["status"], status["token_label"], status["key_number"]) == ("up", "newhsm", 1)
    verified = server.json("hsm", "verify")
    assert verified["healthy"] and verified["orphans"] == [left]
    assert [o["id"] for o in old.keys()] == ["00000001"], "nothing is deleted on the token that was given up"


def test_a_person_is_asked_for_the_recovery_passphrase_alone(kept):
    server = kept("hsm")
    server.start()
    form = server.root / "form.json"
    form.write_text('{"hsm_lost": true}')
    for more, wanted in (((), "--credential-file"), (("--hsm-lost=false",), "--credential-file"),
                         (("--hsm-lost",), "--recovery-passphrase-file"), (("--from-json", form), "--recovery-passphrase-file")):
        refused(server, 2, lambda more=more: server.keyward("hsm", "reverse-migrate", *more, check=False), f"give {wanted} FILE")


def test_the_wallet_needs_not_be_open_for_it(kept):
    server = kept("hsm")
    server.token.hide()
    server.start()
    give_up(server, PASSPHRASE, "--new-recovery-passphrase-file", server.secret_file("new", NEW))
    assert served(server)
    restarts_unattended(server)
    server.token.show()
    server.initialize(server.token, passphrase=NEW)
    assert server.json("hsm", "status")["key_number"] == 2


def test_enctdepwd_that_is_lost_needs_no_backup(kept):
    server = kept("hsm")
    server.start()
    soon_served(server)
    (server.root / prepared.PASSWORD).unlink()
    refused(server, 5, lambda: server.reverse_migrate(server.token, check=False), LOST)
    refused(server, 5, lambda: server.keyward("rotate", "wallet-password", check=False), LOST)
    assert LOST in json.dumps(server.json("hsm", "status"))
    give_up(server)
    server.initialize(server.token)
    restarts_unattended(server)


def test_the_wallet_under_the_passphrase_that_is_lost_needs_no_backup(kept):
    server = kept("hsm")
    server.start()
    soon_served(server)
    (server.root / prepared.RESTORE).unlink()
    refused(server, 5, lambda: give_up(server, check=False), "keyward hsm reverse-migrate, which the HSM is then enough for")
    refused(server, 8, lambda: server.keyward("hsm", "reverse-migrate", "--credential-file", server.secret_file("pin", "0000bad"),
                                              "--recovery-passphrase-file", server.secret_file("old", PASSPHRASE),
                                              "--new-recovery-passphrase-file", server.secret_file("new", NEW), check=False), "PIN")
    server.reverse_migrate(server.token, new=NEW)
    server.initialize(server.token, passphrase=NEW)
    assert documented(server) == prepared.WITH_HSM
    server.token.hide()
    server.restart()
    server.keyward("open_wallet", "--recovery-passphrase-file", server.secret_file("recovery", NEW), program="hsmclient")
    assert served(server)


@pytest.mark.parametrize("kind, status, words", [("plain", 6, "not HSM-enabled"), ("hsm", 4, "HSM_REVERSE_MIGRATE_ENABLED")])
def test_it_is_refused_without_an_hsm_and_where_reverse_migration_is_forbidden(kept, kind, status, words):
    server = kept(kind)
    set_security(server, HSM_REVERSE_MIGRATE_ENABLED="0")
    server.start()
    refused(server, status, lambda: give_up(server, check=False), words)
