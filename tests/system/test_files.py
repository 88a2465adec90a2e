# SPDX-License-Identifier: Apache-2.0
"""Files that are open to others, missing, swapped, damaged or of another server, a full disk, a port in use: each is named with
what to do, nothing goes round in circles, and what can be got back is got back (contract A3, B3, B9)."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest
from kmip.core import enums

import prepared
from prepared import root_of_trust
from root import mount_ram, needs_root
from server import PASSPHRASE, Server, wait_for

IN_HSM_MODE = [prepared.TDE, prepared.CREDENTIAL, prepared.PASSWORD, prepared.RECORD]


def words_of(server):
    """All that start, status and `hsm status` say about how the server is."""
    started = server.start(check=False)
    said = [started.stdout, started.stderr]
    if started.returncode == 0:
        for command in (["status"], ["hsm", "status"]):
            done = server.keyward(*command, "-o", "json", check=False)
            said += [done.stdout, done.stderr]
    return started.returncode, "\n".join(said)


def served(server):
    try:
        return all(server.fetch(uid) == key for uid, key in server.keys.items())
    except Exception:
        return False


def await_served(server):
    wait_for("the keys to be served", lambda: served(server))


def no_circles(server):
    """The processes that live now still live when the server has been asked often: nothing starts, dies and starts again for ever."""
    def alive():
        return {(p.role, p.pid) for p in server.processes() if p.role != "hsmd"}
    before = alive()
    for _ in range(20):
        assert server.keyward("status", check=False).stdout
        assert alive() == before


def refuses_to_serve(server, path, *words):
    """However the server was touched, it serves no key, names the file and says what to do; a restart changes nothing."""
    status, said = words_of(server)
    # A strange record makes all other files look strange: then one of those is named.
    names = [prepared.CREDENTIAL, prepared.RECORD] if path == prepared.RECORD else [path]
    assert [name for name in names if name in said], said[:2000]
    assert not [w for w in words if w.lower() not in said.lower()], said[:2000]
    assert not served(server)
    if status == 0:
        no_circles(server)


def serves_again(server):
    server.keyward("stop", check=False)
    server.start()
    await_served(server)


# -- modes --
@pytest.mark.parametrize("kind, path", [
    *[("hsm", p) for p in (*IN_HSM_MODE, prepared.RESTORE, prepared.CONF, prepared.HSM_CONF, prepared.HSM_ENV, prepared.STORE)],
    *[("plain", p) for p in (prepared.TDE, prepared.AUTOLOGIN, prepared.RECORD)],
    ("plain", "var/lib/keyward/tls/server.key")])
def test_a_file_that_others_can_read_is_refused_by_name(kept, kind, path):
    server = kept(kind)
    before = root_of_trust(server)
    (server.root / path).chmod(0o644)
    _, said = words_of(server)
    # What is not needed for a start is found by verify.
    idle = (kind, path) in (("hsm", prepared.RESTORE), ("plain", prepared.TDE))
    if idle:
        done = server.keyward("hsm", "verify", check=False)
        said += done.stdout + done.stderr
        assert done.returncode == 8
    assert path in said and "0600" in said, said[:2000]
    assert idle or not served(server)
    assert root_of_trust(server) == before
    (server.root / path).chmod(0o600)
    serves_again(server)


DIRECTORIES = [("hsm", f"{prepared.OKV}/tde", 0o755), ("hsm", f"{prepared.OKV}/hsm/wallet", 0o750), ("hsm", f"{prepared.OKV}/hsm/restore", 0o711),
               ("hsm", "var/lib/keyward", 0o701), ("hsm", f"{prepared.OKV}/hsm/generic", 0o775), ("plain", f"{prepared.OKV}/tde", 0o777),
               ("plain", prepared.OKV, 0o772)]


@pytest.mark.parametrize("kind, path, mode", DIRECTORIES)
def test_a_directory_that_is_open_to_others_is_refused_by_name(kept, kind, path, mode):
    server = kept(kind)
    before = root_of_trust(server)
    (server.root / path).chmod(mode)
    refuses_to_serve(server, path, f"{mode:04o}", "chmod")
    shown = server.keyward("status", "-o", "json", check=False)
    if shown.returncode == 0:
        # Nothing is told that is not so: what cannot be read is not known.
        status = json.loads(shown.stdout)
        assert status["hsm_enabled"] in (None, kind == "hsm") and status["generation"] != 0 and status["master_key"] is None, status
    verified = server.keyward("hsm", "verify", check=False)
    assert verified.returncode == 8 and path in verified.stdout + verified.stderr
    assert root_of_trust(server) == before
    (server.root / path).chmod(0o700)
    await_served(server)  # without a restart


@pytest.mark.parametrize("path", [f"{prepared.OKV}/hsm/wallet", "var/lib/keyward", prepared.OKV])
def test_somebody_elses_directory_is_refused_by_name(kept, path):
    needs_root("a directory that somebody else owns")
    server = kept("hsm")
    os.chown(server.root / path, 65534, 65534)
    refuses_to_serve(server, path, "chown")
    os.chown(server.root / path, os.getuid(), os.getgid())
    serves_again(server)


def test_a_directory_that_is_opened_to_others_meanwhile_turns_the_status_red(kept):
    server = kept("hsm")
    server.start()
    await_served(server)
    (server.root / prepared.TDE).parent.chmod(0o755)
    status = server.json("hsm", "status")
    assert status["status"] == "down" and status["problem"] == "files" and "0755" in status["message"]
    (server.root / prepared.TDE).parent.chmod(0o700)
    assert server.json("hsm", "status")["status"] == "up"


def test_the_place_in_ram_is_refused_by_name_when_others_may_enter_it(kept):
    server = kept("hsm")
    server.start()
    await_served(server)
    server.stop()
    place = pathlib.Path(os.path.realpath(server.root / prepared.RAM)).parent
    place.chmod(0o755)
    refuses_to_serve(server, "mnt/okvram", "0755", "chmod 0700")
    place.chmod(0o700)
    await_served(server)


def test_a_package_may_make_what_lies_above_the_private_directories(kept):
    server = kept("hsm")
    for path in (".", "usr", "usr/local", prepared.OKV, f"{prepared.OKV}/hsm", f"{prepared.OKV}/hsm/generic", f"{prepared.OKV}/etc",
                 "var", "var/lib", "etc", "etc/keyward"):
        (server.root / path).chmod(0o755)
    server.start()
    await_served(server)


@pytest.mark.parametrize("path", [prepared.TDE, prepared.CREDENTIAL, prepared.CONF])
def test_a_link_in_place_of_a_file_is_refused_by_name(kept, tmp_path, path):
    server = kept("hsm")
    elsewhere = tmp_path / "elsewhere"
    (server.root / path).rename(elsewhere)
    (server.root / path).symlink_to(elsewhere)
    refuses_to_serve(server, path)


@pytest.mark.parametrize("path", [prepared.TDE, prepared.CREDENTIAL])
def test_a_fifo_in_place_of_a_file_blocks_nothing(kept, path):
    server = kept("hsm")
    (server.root / path).unlink()
    os.mkfifo(server.root / path, 0o600)
    refuses_to_serve(server, path)


def put_directory(path):
    path.mkdir(mode=0o700)


def put_gigabyte(path):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
        f.truncate(1 << 30)


def put_device(path):
    path.symlink_to("/dev/zero")


def put_fifo(path):
    os.mkfifo(path, 0o600)


def put_empty(path):
    path.touch(mode=0o600)


PLACED = {"directory": put_directory, "gigabyte": put_gigabyte, "link-to-zero": put_device, "fifo": put_fifo, "empty": put_empty}


@pytest.mark.parametrize("path, place", [*((prepared.CREDENTIAL, place) for place in PLACED), (prepared.PASSWORD, "gigabyte")])
def test_whatever_lies_in_its_place_the_passphrase_opens_the_store(kept, tmp_path, path, place):
    """As docs/HSM.md has it for an HSM that is lost: hsmclient open_wallet --recovery-passphrase-file FILE."""
    server = kept("hsm")
    (server.root / path).rename(tmp_path / "away")
    PLACED[place](server.root / path)
    refuses_to_serve(server, path)
    server.keyward("open_wallet", "--recovery-passphrase-file", server.secret_file("phrase", PASSPHRASE), program="hsmclient")
    await_served(server)
    server.stop()
    (server.root / path).rmdir() if place == "directory" else (server.root / path).unlink()
    (tmp_path / "away").rename(server.root / path)
    serves_again(server)


@pytest.mark.parametrize("kind, path, place", [*(("plain", prepared.AUTOLOGIN, place) for place in PLACED),
                                               ("hsm", prepared.RECORD, "fifo"), ("hsm", prepared.RECORD, "gigabyte")])
def test_whatever_lies_in_its_place_is_named_and_the_files_return_is_enough(kept, tmp_path, kind, path, place):
    server = kept(kind)
    (server.root / path).rename(tmp_path / "away")
    PLACED[place](server.root / path)
    refuses_to_serve(server, path)
    server.keyward("stop", check=False)
    (server.root / path).rmdir() if place == "directory" else (server.root / path).unlink()
    (tmp_path / "away").rename(server.root / path)
    serves_again(server)


@pytest.mark.parametrize("kind, path", [("hsm", prepared.CREDENTIAL), ("hsm", prepared.CONF), ("plain", prepared.AUTOLOGIN)])
def test_somebody_elses_file_is_refused_by_name(kept, kind, path):
    needs_root("a file that somebody else owns")
    server = kept(kind)
    os.chown(server.root / path, 65534, 65534)
    refuses_to_serve(server, path, "chown")
    os.chown(server.root / path, os.getuid(), os.getgid())
    serves_again(server)


@pytest.mark.parametrize("path, place", [*((prepared.CONF, place) for place in PLACED), (prepared.HSM_CONF, "directory"),
                                         (prepared.HSM_ENV, "fifo")])
def test_whatever_lies_in_a_settings_files_place_is_named(kept, tmp_path, path, place):
    server = kept("hsm")
    (server.root / path).rename(tmp_path / "away")
    PLACED[place](server.root / path)
    if place == "empty":  # settings that say nothing: what then lacks is said, and no file is damaged by it
        words_of(server)
    else:
        refuses_to_serve(server, path)
    server.keyward("stop", check=False)
    (server.root / path).rmdir() if place == "directory" else (server.root / path).unlink()
    (tmp_path / "away").rename(server.root / path)
    serves_again(server)


# What is in RAM is a help, no source of truth: nothing that lies there is believed unless it is this record's.
@pytest.mark.parametrize("place", ["fifo", "directory", "open-to-all", "strangers", "flipped"])
def test_whatever_lies_in_ram_the_hsm_opens_the_store(kept, kept_stranger, place):
    server = kept("hsm")
    server.start()
    await_served(server)
    left = server.processes()
    os.kill(server.pid, signal.SIGKILL)  # a stop would have removed it
    wait_for("all processes to end", lambda: not [p for p in left if os.path.exists(f"/proc/{p.pid}")])
    ram = server.root / prepared.RAM
    whole = ram.read_bytes()
    if place == "open-to-all":
        ram.chmod(0o644)
    elif place == "strangers":
        ram.write_bytes((kept_stranger / "root" / prepared.CREDENTIAL).read_bytes())
    elif place == "flipped":
        ram.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    else:
        ram.unlink()
        PLACED[place](ram)
    server.start()
    await_served(server)
    assert "wallet_found_in_ram" not in server.log().rsplit("supervisor_started", 1)[1]


# -- missing, swapped, damaged --
@pytest.mark.parametrize("path", [prepared.CREDENTIAL, prepared.PASSWORD, prepared.RECORD, prepared.STORE])
def test_a_file_that_is_missing_is_named_and_its_return_is_enough(kept, tmp_path, path):
    server = kept("hsm")
    (server.root / path).rename(tmp_path / "away")
    refuses_to_serve(server, path)
    server.keyward("stop", check=False)
    for suffix in ("", "-wal", "-shm"):
        pathlib.Path(f"{server.root / path}{suffix}").unlink(missing_ok=True)
    (tmp_path / "away").rename(server.root / path)
    serves_again(server)


def test_a_missing_tde_wallet_is_named_and_its_return_is_enough(kept, tmp_path):
    server = kept("hsm")
    (server.root / prepared.TDE).rename(tmp_path / "away")
    _, said = words_of(server)
    verified = server.keyward("hsm", "verify", check=False)
    assert prepared.TDE in said + verified.stdout + verified.stderr
    server.keyward("stop", check=False)
    (tmp_path / "away").rename(server.root / prepared.TDE)
    serves_again(server)


@pytest.mark.parametrize("path", [prepared.CREDENTIAL, prepared.PASSWORD])
def test_with_the_hsm_files_lost_the_recovery_passphrase_opens_the_store(kept, path):
    server = kept("hsm")
    (server.root / path).unlink()
    refuses_to_serve(server, path)
    opened = server.keyward("hsm", "open-wallet", "--recovery-passphrase-file", server.secret_file("phrase", PASSPHRASE))
    assert opened.returncode == 0
    await_served(server)


@pytest.mark.parametrize("change", ["missing", "swapped"])
def test_without_an_hsm_the_wallet_of_the_passphrase_is_told_while_keys_are_served(kept, change):
    """The server opens by the auto-login wallet; the passphrase's own it needs on a bad day alone."""
    server = kept("plain")
    file = server.root / prepared.TDE
    before = file.read_bytes()
    if change == "missing":
        file.unlink()
    else:
        file.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    server.start()
    await_served(server)
    done = server.keyward("doctor", "-o", "json", check=False)
    wrong = [one for one in json.loads(done.stdout)["checks"] if one.get("ok") is False]
    assert done.returncode == 1 and [one["check"] for one in wrong] == [prepared.TDE], wrong
    assert change in wrong[0]["detail"], wrong
    assert "from a backup" in wrong[0]["fix"]
    file.write_bytes(before)
    file.chmod(0o600)
    assert server.keyward("doctor").returncode == 0


def test_a_missing_credential_is_set_anew(kept):
    server = kept("hsm")
    (server.root / prepared.CREDENTIAL).unlink()
    refuses_to_serve(server, prepared.CREDENTIAL)
    server.keyward("hsm", "set-credential", "--credential-file", server.secret_file("pin", server.token.pin))
    await_served(server)
    serves_again(server)


@pytest.fixture(scope="session")
def kept_stranger(tmp_path_factory):
    """Another server in HSM mode."""
    return prepared.keep(tmp_path_factory.mktemp("stranger") / "hsm", hsm=True)


@pytest.mark.parametrize("path", IN_HSM_MODE)
def test_another_servers_file_is_refused_by_name(kept, kept_stranger, path):
    server = kept("hsm")
    mine = (server.root / path).read_bytes()
    (server.root / path).write_bytes((kept_stranger / "root" / path).read_bytes())
    refuses_to_serve(server, path)
    (server.root / path).write_bytes(mine)
    serves_again(server)


def test_the_two_files_of_the_hsm_wallet_swapped_are_refused(kept):
    server = kept("hsm")
    one, two = server.root / prepared.CREDENTIAL, server.root / prepared.PASSWORD
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    refuses_to_serve(server, "hsm/wallet/")


@pytest.mark.parametrize("path", [prepared.AUTOLOGIN, prepared.RECORD])
def test_without_an_hsm_last_months_file_is_refused_by_name(kept, path):
    server = kept("plain")
    old = (server.root / path).read_bytes()
    server.start()
    server.keyward("passphrase", "change", "--recovery-passphrase-file", server.secret_file("old", PASSPHRASE),
                   "--new-recovery-passphrase-file", server.secret_file("new", PASSPHRASE + " again"))
    server.keyward("rotate", "master-key", "--recovery-passphrase-file", server.secret_file("new", PASSPHRASE + " again"))
    server.stop()
    new = (server.root / path).read_bytes()
    assert new != old
    (server.root / path).write_bytes(old)
    _, said = words_of(server)
    assert [name for name in (prepared.AUTOLOGIN, prepared.RECORD) if name in said], said[:2000]
    assert not served(server)
    server.keyward("stop", check=False)
    (server.root / path).write_bytes(new)
    serves_again(server)


@pytest.mark.parametrize("path", [prepared.AUTOLOGIN, prepared.RECORD])
def test_without_an_hsm_another_servers_file_is_refused_by_name(kept, kept_servers, tmp_path, path):
    server = kept("plain")
    other = prepared.keep(tmp_path / "other", keys=0)
    mine = (server.root / path).read_bytes()
    (server.root / path).write_bytes((other / "root" / path).read_bytes())
    _, said = words_of(server)
    assert [name for name in (prepared.AUTOLOGIN, prepared.RECORD) if name in said], said[:2000]
    assert not served(server)
    server.keyward("stop", check=False)
    (server.root / path).write_bytes(mine)
    serves_again(server)


@pytest.mark.parametrize("path", IN_HSM_MODE)
def test_last_generations_file_is_refused_by_name(kept, path):
    server = kept("hsm")
    old = (server.root / path).read_bytes()
    server.start()
    server.reverse_migrate(server.token)
    server.initialize(server.token)
    server.stop()
    prepared.drop_ram(server)
    new = (server.root / path).read_bytes()
    (server.root / path).write_bytes(old)
    if path == prepared.CREDENTIAL and old == new:
        return
    refuses_to_serve(server, path)
    (server.root / path).write_bytes(new)
    serves_again(server)


@pytest.mark.parametrize("path", [*IN_HSM_MODE, prepared.STORE])
@pytest.mark.parametrize("damage", ["cut", "empty", "flipped"])
def test_a_damaged_file_is_named(kept, path, damage):
    server = kept("hsm")
    whole = (server.root / path).read_bytes()
    middle = len(whole) // 2
    if path == prepared.STORE:
        middle = 40  # in the header
    (server.root / path).write_bytes({"cut": whole[:middle], "empty": b"",
                                      "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1:]}[damage])
    if path == prepared.STORE and damage == "flipped":
        (server.root / path).write_bytes(b"not a database" + whole[14:])
    refuses_to_serve(server, path)


@pytest.mark.parametrize("path", [prepared.AUTOLOGIN, prepared.RECORD])
def test_without_an_hsm_a_damaged_file_is_named(kept, path):
    server = kept("plain")
    whole = (server.root / path).read_bytes()
    (server.root / path).write_bytes(whole[:-7] + b"damaged")
    refuses_to_serve(server, path)


@pytest.mark.parametrize("kind, path", [("plain", prepared.TDE), ("hsm", prepared.RESTORE)])
def test_a_damaged_wallet_that_a_start_does_not_need_is_found_by_verify(kept, kind, path):
    server = kept(kind)
    (server.root / path).write_bytes(b"damaged")
    server.start()
    await_served(server)
    done = server.keyward("hsm", "verify", check=False)
    assert done.returncode == 8 and path in done.stdout + done.stderr


def test_an_auto_login_wallet_that_should_not_be_there_opens_nothing(kept):
    server = kept("hsm")
    plain = kept("plain")
    shutil.copy(plain.root / prepared.AUTOLOGIN, server.root / prepared.AUTOLOGIN)
    server.token.hide()
    server.start()
    assert not served(server)
    done = server.keyward("hsm", "verify", check=False)
    assert done.returncode != 0


def test_what_lies_around_in_staging_is_removed(kept):
    server = kept("hsm")
    left = server.root / "var/lib/keyward/staging/0123456789abcdef0123456789abcdef"
    left.mkdir(parents=True, mode=0o700)
    (left / "ewallet.p12").write_bytes(b"x")
    server.start()
    await_served(server)


# -- resources --
@pytest.fixture
def small_disk(tmp_path):
    """A directory on a file system of 12 MiB that only this process and its children see."""
    place = tmp_path / "small"
    place.mkdir()
    mount_ram(place, "12m")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def on_small_disk(kept_servers, small_disk, kept):
    """A server on a small disk, running, and its token elsewhere; fill() and free() its disk."""
    server = kept("plain")
    small = Server(small_disk / "root")
    subprocess.run(["cp", "-a", f"{server.root}/.", str(small.root)], check=True)
    conf = small.root / "etc/keyward/keywardd.conf"
    conf.write_text(conf.read_text().replace(str(server.port), str(small.port)))
    small.vendor, small.token, small.keys = server.vendor, server.token, server.keys
    filler = small_disk / "filler"

    def fill():
        with open(filler, "ab") as f:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        os.write(f.fileno(), b"x" * size)
                except OSError:
                    pass
    small.filler, small.fill, small.free = filler, fill, lambda: filler.unlink(missing_ok=True)
    small.start()
    yield small
    small.free()
    small.remove()


def say_what_to_do(refusals):
    lacking = [r for r in refusals if not all(w in r for w in ("disk of the server's root", "nothing was changed", "free space", "by itself"))]
    assert not lacking, lacking


def test_a_full_disk_refuses_writes_serves_reads_and_harms_nothing(on_small_disk):
    server = on_small_disk
    with server.client() as client:
        never_served = client.create(enums.CryptographicAlgorithm.AES, 256)
    server.fill()
    failures = []
    for _ in range(20):  # room that the log has taken already may do for one
        server.fill()  # what the server has given back meanwhile
        try:
            server.keys.update([server.create_key()])
        except Exception as failure:
            failures.append(str(failure))
            if len(failures) == 3:
                break
    assert failures, "the disk was not full"
    say_what_to_do(failures)
    assert served(server) and len(server.fetch(never_served)) == 32
    server.free()

    def written():
        try:
            server.keys.update([server.create_key()])
            return True
        except Exception:
            return False
    wait_for("writes to go on once there is space", written)
    assert served(server)
    server.restart()
    await_served(server)


def test_status_and_start_say_that_the_disk_is_full(on_small_disk):
    server, full = on_small_disk, "no space left on the disk of the server's root"
    server.fill()
    for _ in range(3):
        status = server.json("status")
        assert not status["serving"] and status["state"] == "open" and full in status["reason"]
        server.fill()  # what the server has given back meanwhile
    done = server.keyward("doctor", "-o", "json", check=False)
    assert done.returncode == 1 and "free space" in done.stdout
    # With too little it does not start, with a little more it does, and serves nothing.
    told = set()
    for kib in range(0, 2048, 16):
        server.stop()
        server.fill()
        os.truncate(server.filler, server.filler.stat().st_size - kib * 1024)
        done = server.start(check=False)
        told.add("refused" if done.returncode else "serves" if "the server serves" in done.stderr else "nothing")
        assert "no space left on the disk" in done.stderr or "the server serves" in done.stderr, done.stderr
        if "serves" in told:
            server.create_key()
            break
    assert told == {"refused", "nothing", "serves"}
    server.free()
    assert server.json("status")["serving"] and server.json("status")["reason"] == ""
    assert "the server serves" in server.restart().stderr


def test_no_read_is_answered_that_cannot_be_recorded(on_small_disk):
    server = on_small_disk
    uid, key = next(iter(server.keys.items()))
    assert server.fetch(uid) == key
    server.fill()
    answered, refused = 0, []
    with server.client() as client:
        while len(refused) < 3:
            assert answered < 2000, "the disk was not full"
            server.fill()  # what the server has given back meanwhile
            try:
                assert client.get(uid).value == key
                answered += 1
            except Exception as failure:
                refused.append(str(failure))
    assert "ERR_NO_SPACE" in server.log(), server.log()[-2000:]
    say_what_to_do(refused)
    server.free()
    wait_for("reads to go on once there is space", lambda: served(server))
    assert server.json("audit", "verify")["sound"]
    recorded, cursor = 0, []
    while True:
        page = server.json("audit", "list", "--limit", "1000", *cursor)
        recorded += len([r for r in page["records"] if r["verb"] == "Get" and r["outcome"] == "ERR_OK" and r["object"] == uid])
        if page["next_cursor"] is None or len(page["records"]) < 1000:
            break
        cursor = ["--cursor", page["next_cursor"]]
    assert recorded >= answered + 2


def test_an_initialize_on_a_full_disk_changes_nothing(on_small_disk):
    server = on_small_disk
    before = root_of_trust(server)
    pin, phrase = server.secret_file("pin", server.token.pin), server.secret_file("recovery", PASSPHRASE)
    server.fill()
    failed = server.keyward("hsm", "initialize", "--vendor", server.vendor, "--token-label", server.token.label,
                            "--credential-file", pin, "--recovery-passphrase-file", phrase, check=False)
    assert failed.returncode == 1 and ("space" in failed.stderr or "its files" in failed.stderr), failed.stderr
    assert root_of_trust(server) == before and served(server)
    server.free()
    server.restart()
    await_served(server)
    server.initialize(server.token)
    server.restart()
    assert served(server) and server.json("hsm", "status")["status"] == "up"


def test_a_port_in_use_is_named(kept):
    server = kept("plain")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", server.port))
        other.listen()
        done = server.start(check=False)
        assert done.returncode != 0 and str(server.port) in done.stderr and "taken by another process" in done.stderr
        assert not (server.root / "run/keyward/api.sock").exists() or server.keyward("status", check=False).returncode != 0
    server.start()
    await_served(server)


def test_a_second_server_on_one_root_is_refused(kept):
    server = kept("plain")
    server.start()
    pid = server.pid
    server.start(check=False)
    assert server.pid == pid and served(server)


def test_status_answers_when_the_server_is_down(kept):
    server = kept("plain")
    done = server.keyward("status", "-o", "json", check=False)
    assert done.returncode == 7
    assert "not" in (done.stdout + done.stderr).lower()
    assert json.loads(done.stdout or "{}") is not None
