# SPDX-License-Identifier: Apache-2.0
"""The operations that are killed half way (bench.py), and the books that must balance afterwards.

The server is started plainly on what was left and must open its store by itself, serve every key that was acknowledged with its
bytes, be wholly in the old or wholly in the new state (what was acknowledged is new, and then the old passphrase opens
nothing; what was refused is old), leave nothing lying about, and carry out the same operation when asked again.
"""
import functools
import logging
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
logging.disable(logging.CRITICAL)  # PyKMIP's, of each connection that is cut
sys.path[:0] = [str(HERE.parent / "lib"), str(HERE.parent / "system")]

import prepared  # noqa: E402
import tokens  # noqa: E402
from kmip.core import enums  # noqa: E402
from kmip.pie.exceptions import KmipOperationFailure  # noqa: E402
from kmip.core.factories.attributes import AttributeFactory  # noqa: E402
from prepared import documented, root_of_trust, security  # noqa: E402
from server import PASSPHRASE  # noqa: E402

NEW_PASSPHRASE = "the passphrase after it 9"
NEW_PIN = "5678abc"
# What the client was told: it is done, nothing was changed, or nothing that decides it.
DONE, REFUSED, UNKNOWN = "done", "refused", "unknown"


class Broken(Exception):
    """An invariant does not hold; the text says which."""


def need(condition, text):
    if not condition:
        raise Broken(text)


def said(done):
    return f"status {done.returncode}: {(done.stderr or done.stdout).strip()[-600:]}"


def told(done):
    """By the command line."""
    if done.returncode == 0:
        return DONE
    return UNKNOWN if "whether something was changed is not known" in done.stderr else REFUSED


def told_by(failure):
    """By a failure of PyKMIP's: an answer that says no, or a connection that broke."""
    definite = isinstance(failure, KmipOperationFailure) and "outcome is unknown" not in str(failure)
    return REFUSED if definite else UNKNOWN


def opens(server, path, phrase):
    """Whether a passphrase opens a wallet file, in a program that is not ours."""
    return _opens((server.root / path).read_bytes(), phrase)


@functools.lru_cache(maxsize=1000)
def _opens(wallet, phrase):
    """Of the bytes alone: it is slow on purpose, and many images hold the same wallet."""
    with tempfile.NamedTemporaryFile() as f:
        f.write(wallet)
        f.flush()
        done = subprocess.run(["openssl", "pkcs12", "-in", f.name, "-nokeys", "-passin", "stdin"],
                              input=phrase + "\n", capture_output=True, text=True)
    return done.returncode == 0


def answered(server):
    """The answer has been heard; whoever records the run notes when."""
    note = getattr(server, "note_answer", None)
    if note is not None:
        note()


def need_phrases(server, path, right, wrong):
    need(opens(server, path, right), f"{path} does not open with the passphrase that is in force")
    need(not opens(server, path, wrong), f"{path} opens with the passphrase that is not in force")


class Operation:
    """name; kind of the server that it begins with ("plain": without an HSM); act(server) tells what came of it: DONE, REFUSED or
    UNKNOWN."""
    kind = "hsm"

    def __init__(self, kind=None):
        self.kind = kind or self.kind

    def before(self, server):
        """Once the server runs, before the span."""

    def act(self, server):
        raise NotImplementedError

    def is_new(self, server):
        """Checks that the server is wholly old or wholly new, and tells which; it has just been started."""
        raise NotImplementedError

    def again(self, server, new):
        """Asks for the same once more."""


class RootOperation(Operation):
    new_hsm = True  # whether the new state has an HSM

    def command(self, server, check=False):
        raise NotImplementedError

    def act(self, server):
        return told(self.command(server))

    def is_new(self, server):
        hsm = security(server).get("HSM_ENABLED") == "1"
        status = server.json("hsm", "status", check=False)
        need(documented(server) == (prepared.WITH_HSM if hsm else prepared.WITHOUT_HSM),
             f"the files are {sorted(documented(server))}, HSM_ENABLED is {hsm}")
        need((status.get("type") != "None") == hsm and (status.get("status") == "up") == hsm,
             f"the status is {status}, HSM_ENABLED is {hsm}")
        return hsm == self.new_hsm

    def again(self, server, new):
        if not new:
            done = self.command(server)
            need(done.returncode == 0, f"a second run fails: {said(done)}")


class Initialize(RootOperation):
    name, kind = "initialize", "plain"

    def command(self, server, check=False):
        return server.initialize(server.token, check=check)

    def is_new(self, server):
        new = super().is_new(server)
        wallet = prepared.RESTORE if new else prepared.TDE  # either way the other protector opens, too
        need(opens(server, wallet, PASSPHRASE), f"{wallet} does not open with the passphrase")
        return new


class ReverseMigrate(RootOperation):
    name, new_hsm = "reverse-migrate", False

    def command(self, server, check=False):
        return server.reverse_migrate(server.token, check=check, new=NEW_PASSPHRASE)

    def is_new(self, server):
        new = super().is_new(server)
        if new:
            need_phrases(server, prepared.TDE, NEW_PASSPHRASE, PASSPHRASE)
        else:
            need_phrases(server, prepared.RESTORE, PASSPHRASE, NEW_PASSPHRASE)
        return new


class SetCredential(Operation):
    """After the PIN was changed on the token: without the new one the HSM does not open the store."""
    name = "set-credential"

    def before(self, server):
        server.token.change_pin(NEW_PIN)
        server.old_credential = root_of_trust(server)[prepared.CREDENTIAL]

    def command(self, server):
        return server.keyward("hsm", "set-credential", "--credential-file", server.secret_file("pin", server.token.pin),
                              check=False)

    def act(self, server):
        return told(self.command(server))

    def is_new(self, server):
        need(documented(server) == prepared.WITH_HSM, f"the files are {sorted(documented(server))}")
        new = root_of_trust(server)[prepared.CREDENTIAL] != server.old_credential
        status = server.json("hsm", "status", check=False)
        need((status.get("status") == "up") == new, f"the status is {status}, the credential is {'new' if new else 'old'}")
        if not new:  # the old credential is refused now, and says so; nothing else is wrong
            need("credential" in status.get("reason", ""), f"the status tells nothing of the credential: {status}")
            done = self.command(server)
            need(done.returncode == 0, f"a second run fails: {said(done)}")
        return new


class Rotation(Operation):
    """One that replaces files of the root of trust and leaves the mode as it is; is_new goes by the file that must differ."""
    file = None

    def before(self, server):
        server.old_file = root_of_trust(server)[self.file]

    def command(self, server):
        raise NotImplementedError

    def act(self, server):
        return told(self.command(server))

    def is_new(self, server):
        hsm = self.kind == "hsm"
        need(documented(server) == (prepared.WITH_HSM if hsm else prepared.WITHOUT_HSM),
             f"the files are {sorted(documented(server))}")
        status = server.json("hsm", "status", check=False)
        need((status.get("status") == "up") == hsm, f"the status is {status}")
        return root_of_trust(server)[self.file] != server.old_file

    def again(self, server, new):
        if not new:
            done = self.command(server)
            need(done.returncode == 0, f"a second run fails: {said(done)}")


class ChangePassphrase(Rotation):
    name = "change-passphrase"

    def __init__(self, kind=None):
        super().__init__(kind)
        self.file = prepared.RESTORE if self.kind == "hsm" else prepared.TDE

    def command(self, server):
        return server.keyward("passphrase", "change", "--recovery-passphrase-file", server.secret_file("old", PASSPHRASE),
                              "--new-recovery-passphrase-file", server.secret_file("new", NEW_PASSPHRASE), check=False)

    def is_new(self, server):
        new = super().is_new(server)
        need_phrases(server, self.file, *((NEW_PASSPHRASE, PASSPHRASE) if new else (PASSPHRASE, NEW_PASSPHRASE)))
        return new


class RotateWalletPassword(Rotation):
    name, file = "rotate-wallet-password", prepared.PASSWORD

    def command(self, server):
        return server.keyward("rotate", "wallet-password", check=False)


class RotateMasterKey(Rotation):
    name = "rotate-master-key"

    def __init__(self, kind=None):
        super().__init__(kind)
        self.file = prepared.RESTORE if self.kind == "hsm" else prepared.TDE

    def command(self, server):
        return server.keyward("rotate", "master-key", "--recovery-passphrase-file", server.secret_file("phrase", PASSPHRASE),
                              check=False)

    def is_new(self, server):
        new = super().is_new(server)
        need(opens(server, self.file, PASSPHRASE), f"{self.file} does not open with the passphrase")
        deadline = time.monotonic() + 90
        while True:  # what was not wrapped again before the end is wrapped after the start
            status = server.json("rotate", "status")
            if {key["master_key"] for key in status["data_keys"]} == {status["master_key"]}:
                return new
            need(time.monotonic() < deadline, f"data keys stay under an older master key: {status}")
            time.sleep(0.02)


class RotateDataKeys(Operation):
    name = "rotate-data-keys"

    def state(self, server):
        status = server.json("rotate", "status")
        keys = [key["id"] for key in status["data_keys"] if key["purpose"] == "objects"]
        return status["data_key_rotation"]["state"], keys

    def ended(self, server):
        deadline = time.monotonic() + 90
        while self.state(server)[0] == "running":
            need(time.monotonic() < deadline, "the rotation does not end")
            time.sleep(0.02)
        return self.state(server)

    def before(self, server):
        server.old_keys = self.state(server)[1]

    def act(self, server):
        outcome = told(server.keyward("rotate", "data-keys", check=False))
        if outcome != DONE:
            return outcome
        answered(server)
        try:
            self.ended(server)
        except Exception:  # killed on the way; it was begun all the same
            pass
        return DONE

    def is_new(self, server):
        state, keys = self.ended(server)
        need(state in ("never", "done") and len(keys) == 1, f"the rotation is {state} with {len(keys)} data keys")
        need((keys != server.old_keys) == (state == "done"), f"the rotation is {state}, the data key is {keys}")
        return state == "done"

    def again(self, server, new):
        if not new:
            server.keyward("rotate", "data-keys")
            self.ended(server)


class Create(Operation):
    name = "create"
    key_name = "made-in-the-span"

    def act(self, server):
        server.made = None
        try:
            with server.client() as client:
                server.made = client.create(enums.CryptographicAlgorithm.AES, 256, name=self.key_name)
                answered(server)
        except Exception as failure:
            return DONE if server.made is not None else told_by(failure)
        return DONE

    def is_new(self, server):
        name = AttributeFactory().create_attribute(enums.AttributeType.NAME, _name(self.key_name))
        with server.client() as client:
            found = client.locate(attributes=[name])
            need(len(found) < 2, f"there are {len(found)} keys of one name")
            need(server.made is None or found == [server.made], f"made {server.made}, found {found}")
            for uid in found:
                key = client.get(uid).value
                need(len(key) == 32, "the key has not its length")
                server.keys = {**server.keys, uid: key}
        return bool(found)

    def again(self, server, new):
        with server.client() as client:
            uid = client.create(enums.CryptographicAlgorithm.AES, 256, name=self.key_name + "-again")
            need(len(client.get(uid).value) == 32, "a second key has not its length")


class Destroy(Operation):
    name = "destroy"

    def before(self, server):
        server.victim = next(iter(server.keys))
        server.victim_key = server.keys[server.victim]
        server.keys = {uid: key for uid, key in server.keys.items() if uid != server.victim}

    def act(self, server):
        try:
            with server.client() as client:
                client.destroy(server.victim)
                answered(server)
        except Exception as failure:
            return told_by(failure)
        return DONE

    def is_new(self, server):
        with server.client() as client:
            try:
                key = client.get(server.victim).value
            except Exception as refusal:
                need("destroyed" in str(refusal).lower() or "no such" in str(refusal).lower() or "not found" in
                     str(refusal).lower(), f"Get of the destroyed key says {refusal}")
                return True
        need(key == server.victim_key, "the key has other bytes")
        return False

    def again(self, server, new):
        if not new:
            with server.client() as client:
                client.destroy(server.victim)


def _name(text):
    from kmip.core.attributes import Name
    return Name.create(text, enums.NameType.UNINTERPRETED_TEXT_STRING)


ALL = (Initialize, SetCredential, ReverseMigrate, ChangePassphrase, RotateWalletPassword, RotateMasterKey, RotateDataKeys, Create,
       Destroy)
WITH_HSM = {cls.name: cls() for cls in ALL}  # on a server whose root of trust is the HSM, or becomes it
WITHOUT_HSM = {cls.name: cls("plain") for cls in (ChangePassphrase, RotateMasterKey, RotateDataKeys, Create, Destroy)}


def token_lives(server):
    """Whether the token is still one, as a tool that is not ours sees it. A software token is files, which its library writes
    without care: killed half way it may leave none. A real HSM does not end with the process of one of its clients."""
    try:
        return bool(server.token.slots())
    except tokens.TokenError:
        return False


def check_without_token(server):
    """What must hold when the token is lost: the passphrase opens everything, the files are wholly old or wholly new."""
    started = server.start(check=False)
    need(started.returncode == 0, f"the server does not start without its token: {said(started)}")
    hsm = security(server).get("HSM_ENABLED") == "1"
    need(documented(server) == (prepared.WITH_HSM if hsm else prepared.WITHOUT_HSM),
         f"the files are {sorted(documented(server))}, HSM_ENABLED is {hsm}")
    if hsm:
        phrase = PASSPHRASE if opens(server, prepared.RESTORE, PASSPHRASE) else NEW_PASSPHRASE
        done = server.keyward("open_wallet", "--recovery-passphrase-file", server.secret_file("open", phrase), check=False,
                              program="hsmclient")
        need(done.returncode == 0, f"the passphrase does not open the wallet without the token: {said(done)}")
    await_keys(server, server.keys)
    left = root_of_trust(server)["left over"]
    need(left == [], f"left over: {left}")


def check(operation, server, outcome, again=True):
    """Starts the server on what was left; raises Broken. again: also carry out the operation once more."""
    started = server.start(check=False)
    need(started.returncode == 0, f"the server does not start: {said(started)}")
    locked = isinstance(operation, SetCredential)
    if not locked:
        await_keys(server, server.keys)
    new = operation.is_new(server)
    need(new or outcome != DONE, "it was acknowledged, and is not there")
    need(not new or outcome != REFUSED, "it was refused, and is there")
    await_keys(server, server.keys)
    left = root_of_trust(server)["left over"]
    need(left == [], f"left over: {left}")
    verified = server.keyward("verify", check=False, program="hsmclient")
    need(verified.returncode == 0, f"hsmclient verify: {said(verified)}")
    if again:
        operation.again(server, new)
        await_keys(server, server.keys)
    audit = server.json("audit", "verify", check=False)
    need(audit["sound"] is True, f"the audit trail is not sound: {audit}")
    older = server.json("audit", "list", "--verb", "older store found")["records"]
    need(older == [], f"the store is taken for an older one: {older}")


def await_keys(server, keys, seconds=90):
    """Until every key is served with its bytes; other bytes are broken at once."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with server.client() as client:
                for uid, key in keys.items():
                    need(client.get(uid).value == key, f"key {uid} has other bytes")
            return
        except Broken:
            raise
        except Exception as failure:  # not up yet
            if time.monotonic() > deadline:
                raise Broken(f"the keys are not served: {failure}; {server.log()[-600:]}") from failure
        time.sleep(0.005)


def spread(total, count):
    """At most count numbers from 1 to total, first and last among them; of one alone, the middle."""
    if total <= count:
        return list(range(1, total + 1))
    if count == 1:
        return [(total + 1) // 2]
    return sorted({1 + round(i * (total - 1) / (count - 1)) for i in range(count)})
