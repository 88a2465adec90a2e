# SPDX-License-Identifier: Apache-2.0
"""Servers set up once and copied for each test: making one costs seconds (recovery passphrases are slow on purpose), a
copy costs none.

    keep(directory, hsm=True)                # makes directory/root and directory/token, stopped
    server = copy(directory, elsewhere)      # a Server of its own port, stopped; .token, .keys
    before = root_of_trust(server)           # what an operation that failed must leave as it was
"""
import hashlib
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess

import tokens
from server import Server, write_private  # noqa: F401

OKV = "usr/local/okv"
CONF = f"{OKV}/etc/okv_security.conf"
RECORD = "var/lib/keyward/root.record"
STORE = "var/lib/keyward/store.db"
# Contract A3, by what each is to the server.
TDE = f"{OKV}/tde/ewallet.p12"
AUTOLOGIN = f"{OKV}/tde/cwallet.sso"
CREDENTIAL = f"{OKV}/hsm/wallet/cwallet.sso"
PASSWORD = f"{OKV}/hsm/wallet/enctdepwd"
RESTORE = f"{OKV}/hsm/restore/ewallet.p12"
RESTORE_CREDENTIAL = f"{OKV}/hsm/restore/cwallet.sso"
HSM_CONF = f"{OKV}/hsm/generic/okv_hsm.conf"
HSM_ENV = f"{OKV}/hsm/generic/okv_hsm_env"
RAM = "mnt/okvram/cwallet.sso"
ALL = (TDE, AUTOLOGIN, CREDENTIAL, PASSWORD, RESTORE, RESTORE_CREDENTIAL)
WITHOUT_HSM = {TDE, AUTOLOGIN}
WITH_HSM = {TDE, CREDENTIAL, PASSWORD, RESTORE}
VENDOR = "Test HSM"


def drop_ram(server):
    """What a power cut does to the RAM file system, link and all."""
    ram = server.root / "mnt/okvram"
    if ram.is_symlink():
        target = os.readlink(ram)
        assert target.startswith(("/dev/shm/", "../run/keyward/")), f"{ram} leads to {target}, which is on no RAM file system"
        shutil.rmtree(ram.parent / target, ignore_errors=True)
        ram.unlink()
    elif ram.exists():
        shutil.rmtree(ram)


def fill(server, token, hsm=False, keys=2):
    """Sets a new server up, in HSM mode or with the token in reach, makes keys and stops it. Returns {id: key}."""
    server.setup()
    server.use_token(token)
    made = [server.create_key() for _ in range(keys)]
    if hsm:
        server.initialize(token)
        made += [server.create_key() for _ in range(keys)]
    server.stop()
    drop_ram(server)
    return dict(made)


def keep(directory, hsm=False, keys=2):
    """Makes a server with a SoftHSM token beside it, in HSM mode or ready for it, and stops it."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, mode=0o700)
    token = tokens.SoftHsm(directory / "token")
    server = Server(directory / "root")
    try:
        made = fill(server, token, hsm, keys)
    except BaseException:
        server.remove()
        raise
    (directory / "keys.json").write_text(json.dumps({uid: key.hex() for uid, key in made.items()}))
    return directory


def _replace(path, old, new):
    path.write_text(path.read_text().replace(old, new))


def copy(kept, target):
    """A copy of its own port and token. It does not run."""
    kept, target = pathlib.Path(kept), pathlib.Path(target)
    subprocess.run(["cp", "-a", "--reflink=auto", str(kept), str(target)], check=True)
    for name in (f"root/{HSM_ENV}", "token/softhsm2.conf", "token/token.json"):
        _replace(target / name, str(kept), str(target))
    server = own_port(Server(target / "root"))
    server.token = tokens.Token.load(target / "token")
    server.keys = {uid: bytes.fromhex(key) for uid, key in json.loads((target / "keys.json").read_text()).items()}
    return server


def own_port(server):
    """Makes a copied root listen at the server's port."""
    conf = server.root / "etc/keyward/keywardd.conf"
    text, found = re.subn(r'KMIP_LISTEN="?127\.0\.0\.1:\d+"?', f'KMIP_LISTEN="127.0.0.1:{server.port}"', conf.read_text())
    assert found == 1, f"{conf} names no address to listen at"
    conf.write_text(text)
    server.vendor = VENDOR
    return server


def root_of_trust(server):
    """{path: hash} of every file that decides how the store is opened, and of what must not be left of a failed operation."""
    found = {}
    for path in (*ALL, CONF, RECORD):
        whole = server.root / path
        found[path] = hashlib.sha256(whole.read_bytes()).hexdigest() if whole.exists() else None
    state = server.root / "var/lib/keyward"
    staging = state / "staging"
    left = [p.name for p in staging.rglob("*")] if staging.exists() else []
    found["left over"] = left + [p.name for p in [state / "root.journal"] if p.exists()]
    return found


def documented(server):
    """The files of contract A3 that are there."""
    return {path for path in ALL if (server.root / path).exists()}


def wrong_modes(server):
    """Whatever of the documented tree others may touch, and files that are not 0600, directories that are not 0700."""
    wrong = []
    for top in (server.root / OKV, server.root / "var/lib/keyward", server.root / "var/okv/log"):
        for path in (top, *top.rglob("*")):
            kind = path.lstat()
            if stat.S_ISLNK(kind.st_mode) or stat.S_ISSOCK(kind.st_mode):
                continue
            mode, wanted = stat.S_IMODE(kind.st_mode), (0o700,) if path.is_dir() else (0o600, 0o700)
            if mode not in wanted:
                wrong.append(f"{path} {mode:04o}")
    return wrong


def security(server):
    """okv_security.conf as a dict."""
    text = (server.root / CONF).read_text() if (server.root / CONF).exists() else ""
    return dict(re.findall(r'(?m)^(\w+)="([^"]*)"$', text))


def set_security(server, **values):
    """Edits okv_security.conf by hand; None removes a key."""
    path = server.root / CONF
    text = path.read_text() if path.exists() else ""
    for key, value in values.items():
        line = "" if value is None else f'{key}="{value}"\n'
        text, found = re.subn(rf"(?m)^{key}=.*\n", line, text)
        text += "" if found else line
    mode = 0o600
    path.write_text(text)
    path.chmod(mode)
