# SPDX-License-Identifier: Apache-2.0
"""A PKCS#11 client of a few lines for what pkcs11-tool cannot do. Linux on 64 bits only.

    p11 = Module(library); s = p11.open(label, pin)
    p11.call("C_EncryptInit", s, byref(mechanism), key)     # raises Refused with .rv

A library may crash or hang: run clients of the shim in a process of their own (`run_alone`).
"""
import ctypes
import os
import subprocess
import sys
from ctypes import POINTER, Structure, byref, c_char, c_ubyte, c_ulong, c_void_p

NAMES = """Initialize Finalize GetInfo GetFunctionList GetSlotList GetSlotInfo GetTokenInfo
GetMechanismList GetMechanismInfo InitToken InitPIN SetPIN OpenSession CloseSession CloseAllSessions
GetSessionInfo GetOperationState SetOperationState Login Logout CreateObject CopyObject DestroyObject
GetObjectSize GetAttributeValue SetAttributeValue FindObjectsInit FindObjects FindObjectsFinal
EncryptInit Encrypt EncryptUpdate EncryptFinal DecryptInit Decrypt DecryptUpdate DecryptFinal
DigestInit Digest DigestUpdate DigestKey DigestFinal SignInit Sign SignUpdate SignFinal
SignRecoverInit SignRecover VerifyInit Verify VerifyUpdate VerifyFinal VerifyRecoverInit
VerifyRecover DigestEncryptUpdate DecryptDigestUpdate SignEncryptUpdate DecryptVerifyUpdate
GenerateKey GenerateKeyPair WrapKey UnwrapKey DeriveKey SeedRandom GenerateRandom GetFunctionStatus
CancelFunction WaitForSlotEvent""".split()

CKO_DATA, CKO_SECRET_KEY = 0, 4
CKA_CLASS, CKA_TOKEN, CKA_PRIVATE, CKA_LABEL, CKA_VALUE, CKA_ID = 0, 1, 2, 3, 0x11, 0x102
CKA_SENSITIVE, CKA_ENCRYPT, CKA_DECRYPT, CKA_EXTRACTABLE, CKA_VALUE_LEN = (
    0x103, 0x104, 0x105, 0x162, 0x161)
CKM_AES_KEY_GEN, CKM_AES_ECB, CKM_AES_CBC, CKM_AES_CBC_PAD, CKM_AES_GCM = (
    0x1080, 0x1081, 0x1082, 0x1085, 0x1087)


class Refused(Exception):
    """A call that did not return CKR_OK."""

    def __init__(self, name, rv):
        super().__init__(f"{name} returned 0x{rv:x}")
        self.rv = rv


class FunctionList(Structure):
    _fields_ = [("version", c_ubyte * 2)] + [("C_" + name, c_void_p) for name in NAMES]


class Attribute(Structure):
    _fields_ = [("type", c_ulong), ("value", c_void_p), ("length", c_ulong)]


class Mechanism(Structure):
    _fields_ = [("mechanism", c_ulong), ("parameter", c_void_p), ("length", c_ulong)]


class Gcm(Structure):
    _fields_ = [("iv", c_void_p), ("iv_len", c_ulong), ("iv_bits", c_ulong),
                ("aad", c_void_p), ("aad_len", c_ulong), ("tag_bits", c_ulong)]


class TokenInfo(Structure):
    _fields_ = [("label", c_char * 32), ("rest", c_ubyte * 512)]


def template(pairs):
    """(array, length) of attributes; values are bytes, bool or int."""
    array = (Attribute * len(pairs))()
    array.keep = []
    for slot, (kind, value) in zip(array, pairs):
        if isinstance(value, bool):
            value = bytes([value])
        elif isinstance(value, int):
            value = value.to_bytes(8, "little")
        buffer = ctypes.create_string_buffer(value, len(value))
        array.keep.append(buffer)
        slot.type, slot.value, slot.length = kind, ctypes.addressof(buffer), len(value)
    return array, len(pairs)


def mechanism(kind, parameter=None):
    """A mechanism; parameter is bytes (copied), a ctypes object (borrowed) or None."""
    if isinstance(parameter, bytes):
        parameter = ctypes.create_string_buffer(parameter, len(parameter))
    if parameter is None:
        return Mechanism(kind, None, 0)
    m = Mechanism(kind, ctypes.addressof(parameter), ctypes.sizeof(parameter))
    m.keep = parameter
    return m


def gcm(iv, aad=b""):
    """A GCM mechanism; m.keep.iv_bytes is the IV's buffer, as the library leaves it."""
    iv_bytes = ctypes.create_string_buffer(iv, len(iv))
    aad_bytes = ctypes.create_string_buffer(aad, max(1, len(aad)))
    p = Gcm(ctypes.addressof(iv_bytes), len(iv), 8 * len(iv),
            ctypes.addressof(aad_bytes) if aad else None, len(aad), 128)
    p.iv_bytes, p.aad_bytes = iv_bytes, aad_bytes
    return mechanism(CKM_AES_GCM, p)


class Module:
    """A library, loaded and initialized."""

    def __init__(self, library):
        self.dll = ctypes.CDLL(str(library))
        self.dll.C_GetFunctionList.restype = c_ulong
        pointer = POINTER(FunctionList)()
        rv = self.dll.C_GetFunctionList(byref(pointer))
        if rv != 0:
            raise Refused("C_GetFunctionList", rv)
        self.functions = pointer.contents

    def has(self, name):
        return getattr(self.functions, name) is not None

    def raw(self, name, *args):
        """The CK_RV of a call; integers travel as CK_ULONG."""
        args = [c_ulong(a) if isinstance(a, int) else a for a in args]
        return ctypes.CFUNCTYPE(c_ulong)(getattr(self.functions, name))(*args)

    def call(self, name, *args):
        rv = self.raw(name, *args)
        if rv != 0:
            raise Refused(name, rv)

    def open(self, label, pin):
        """A read-write session, logged in, on the only token of this label."""
        self.call("C_Initialize", None)
        slots, n = (c_ulong * 32)(), c_ulong(32)
        self.call("C_GetSlotList", 1, slots, byref(n))
        found = []
        for slot in slots[: n.value]:
            info = TokenInfo()
            self.call("C_GetTokenInfo", slot, byref(info))
            if info.label.decode().rstrip() == label.rstrip():
                found.append(slot)
        (slot,) = found
        session = c_ulong()
        self.call("C_OpenSession", slot, 6, None, None, byref(session))
        self.call("C_Login", session.value, 1, pin.encode(), len(pin.encode()))
        return session.value

    def find(self, session, pairs, limit=100):
        self.call("C_FindObjectsInit", session, *template(pairs))
        handles, n = (c_ulong * limit)(), c_ulong()
        self.call("C_FindObjects", session, handles, limit, byref(n))
        self.call("C_FindObjectsFinal", session)
        return list(handles[: n.value])

    def generate(self, session, label, key_id):
        key = c_ulong()
        pairs = [(CKA_CLASS, CKO_SECRET_KEY), (CKA_VALUE_LEN, 32), (CKA_TOKEN, True),
                 (CKA_PRIVATE, True), (CKA_SENSITIVE, True), (CKA_EXTRACTABLE, False),
                 (CKA_ENCRYPT, True), (CKA_DECRYPT, True), (CKA_LABEL, label), (CKA_ID, key_id)]
        self.call("C_GenerateKey", session, byref(mechanism(CKM_AES_KEY_GEN)), *template(pairs),
                  byref(key))
        return key.value

    def crypt(self, verb, session, m, key, data, room=None):
        """C_EncryptInit and C_Encrypt (verb "Encrypt") or the same of Decrypt."""
        self.call(f"C_{verb}Init", session, byref(m), key)
        out = ctypes.create_string_buffer(len(data) + 64)
        n = c_ulong(len(out) if room is None else room)
        self.call(f"C_{verb}", session, data, len(data), out, byref(n))
        return out.raw[: n.value] if n.value <= len(out) else n.value


def _alone(code):
    here = os.path.dirname(os.path.abspath(__file__))
    return [sys.executable, "-c", f"import sys; sys.path.insert(0, {here!r}); import p11\n{code}"]


def run_alone(code, env, enter=lambda command: command, timeout=90):
    """Runs Python code with this module imported as p11 in a process of its own."""
    return subprocess.run(enter(_alone(code)), env={**os.environ, **env}, capture_output=True, timeout=timeout, check=False)


def start_alone(code, env):
    """The same, but does not wait for its end. Returns the Popen."""
    return subprocess.Popen(_alone(code), env={**os.environ, **env})
