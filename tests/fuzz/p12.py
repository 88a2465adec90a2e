# SPDX-License-Identifier: Apache-2.0
"""PKCS#12 files, byte by byte, good and evil: names beginning with "good" open with PASSWORD, names beginning with "evil" must
not (evil_wallets.c holds the parser to that). Where a file says so its MAC is right, so that what lies behind it is met, too.

Written down from RFC 7292 and RFC 8018 without the library that the server uses.
"""
import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

PASSWORD = "correct horse battery staple"
DATA, ENCRYPTED = "1.2.840.113549.1.7.1", "1.2.840.113549.1.7.6"
PBES2, PBKDF2, PBMAC1 = "1.2.840.113549.1.5.13", "1.2.840.113549.1.5.12", "1.2.840.113549.1.5.14"
AES_256_CBC, HMAC_SHA256, SHA256, SHA1 = (
    "2.16.840.1.101.3.4.1.42", "1.2.840.113549.2.9", "2.16.840.1.101.3.4.2.1", "1.3.14.3.2.26")
RC2_40 = "1.2.840.113549.1.12.1.6"
SAFE_CONTENTS, SECRET_BAG, FRIENDLY_NAME = "1.2.840.113549.1.12.10.1.6", "1.2.840.113549.1.12.10.1.5", "1.2.840.113549.1.9.20"
SALT, IV = bytes(range(16)), bytes(range(16, 32))


def tlv(tag, *parts):
    body = b"".join(parts)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + body


def sequence(*parts):
    return tlv(0x30, *parts)


def integer(value):
    return tlv(2, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def octets(value):
    return tlv(4, value)


def oid(text):
    numbers = [int(n) for n in text.split(".")]
    out = bytearray([numbers[0] * 40 + numbers[1]])
    for number in numbers[2:]:
        septets = [number & 0x7F]
        while number := number >> 7:
            septets.append(0x80 | number & 0x7F)
        out += bytes(reversed(septets))
    return tlv(6, bytes(out))


def algorithm(name, *parameters):
    return sequence(oid(name), *parameters)


def mac_key(salt, iterations):
    """RFC 7292 appendix B, for SHA-256 and a MAC key."""
    def fill(data):
        return (data * (64 // max(len(data), 1) + 1))[:-(-len(data) // 64) * 64] if data else b""
    password = (PASSWORD + "\0").encode("utf-16-be")
    block = bytes([3]) * 64 + fill(salt) + (password * 64)[:-(-len(password) // 64) * 64]
    for _ in range(iterations):
        block = hashlib.sha256(block).digest()
    return block


def bag(name, value):
    named = sequence(oid(FRIENDLY_NAME), tlv(0x31, tlv(0x1E, name.encode("utf-16-be"))))
    secret = sequence(oid(DATA), tlv(0xA0, octets(value)))
    return sequence(oid(SECRET_BAG), tlv(0xA0, secret), tlv(0x31, named))


def pbes2(iterations, key_length=None):
    lengths = [integer(key_length)] if key_length is not None else []
    kdf = algorithm(PBKDF2, sequence(octets(SALT), integer(iterations), *lengths, algorithm(HMAC_SHA256, b"\5\0")))
    return algorithm(PBES2, sequence(kdf, algorithm(AES_256_CBC, octets(IV))))


def encrypted(contents, how=None, iterations=1):
    """A ContentInfo of encrypted data."""
    padding = 16 - len(contents) % 16
    key = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), SALT, 1, 32)
    cipher = Cipher(algorithms.AES(key), modes.CBC(IV)).encryptor()
    text = cipher.update(contents + bytes([padding]) * padding)
    info = sequence(oid(DATA), how or pbes2(iterations), tlv(0x80, text))
    return sequence(oid(ENCRYPTED), tlv(0xA0, sequence(integer(0), info)))


def mac_of(safe, salt=SALT, iterations=1, told=None, method=None):
    value = hmac.new(mac_key(salt, iterations), safe, "sha256").digest()
    counts = [] if told is None and iterations == 1 else [integer(iterations if told is None else told)]
    return sequence(sequence(method or algorithm(SHA256, b"\5\0"), octets(value)), octets(salt), *counts)


def file_of(*safes, mac=mac_of):
    safe = sequence(*safes)
    parts = [integer(3), sequence(oid(DATA), tlv(0xA0, octets(safe)))]
    return sequence(*parts, *([mac(safe)] if mac else []))


def nested(depth):
    inner = sequence(bag("tde-master-key-1", bytes(32)))
    for _ in range(depth):
        inner = sequence(sequence(oid(SAFE_CONTENTS), tlv(0xA0, inner)))
    return inner


def files():
    """{name: bytes}"""
    bags = sequence(bag("tde-master-key-1", bytes(range(32))))
    good = encrypted(bags)
    kdf = sequence(octets(SALT), integer(1), integer(2 ** 31), algorithm(HMAC_SHA256, b"\5\0"))
    pbmac1 = algorithm(PBMAC1, sequence(algorithm(PBKDF2, kdf), algorithm(HMAC_SHA256, b"\5\0")))
    indefinite = file_of(good)
    body = indefinite[4:] if indefinite[1] == 0x82 else indefinite[3:]
    many = sequence(*[sequence(oid(SECRET_BAG), tlv(0xA0, sequence(oid(DATA), tlv(0xA0, octets(b"")))))] * 4097)
    return {
        "good": file_of(good),
        "good-two": file_of(encrypted(sequence(bag("tde-master-key-1", bytes(32)), bag("tde-master-key-2", bytes(32))))),
        "evil-no-content": sequence(integer(3), sequence(oid(DATA))),
        "evil-no-content-with-mac": sequence(integer(3), sequence(oid(DATA)), mac_of(b"")),
        "evil-null-content": sequence(integer(3), sequence(oid(DATA), tlv(0xA0, b"\5\0")), mac_of(b"")),
        "evil-content-of-another-type": sequence(integer(3), sequence(oid(ENCRYPTED), tlv(0xA0, octets(good))), mac_of(good)),
        "evil-safe-without-content": file_of(sequence(oid(ENCRYPTED))),
        "evil-safe-not-encrypted": file_of(sequence(oid(DATA), tlv(0xA0, octets(bags)))),
        "evil-no-safe": file_of(),
        "evil-two-safes": file_of(good, good),
        "evil-pbmac1-endless-key": file_of(good, mac=lambda safe: mac_of(safe, method=pbmac1)),
        "evil-no-mac": file_of(good, mac=None),
        "evil-mac-by-sha1": file_of(good, mac=lambda safe: mac_of(safe, method=algorithm(SHA1, b"\5\0"))),
        "evil-mac-endless": file_of(good, mac=lambda safe: mac_of(safe, told=2 ** 31)),
        "evil-mac-endless-64-bits": file_of(good, mac=lambda safe: mac_of(safe, told=2 ** 63)),
        "evil-mac-never": file_of(good, mac=lambda safe: mac_of(safe, told=0)),
        "evil-mac-less-than-never": file_of(good, mac=lambda safe: mac_of(safe, told=-1)),
        "evil-mac-of-other-bags": file_of(good, mac=lambda safe: mac_of(safe + b"x")),
        "evil-bags-altered": file_of(good).replace(good[-16:], good[-16:][::-1]),
        "evil-rc2-40": file_of(encrypted(bags, algorithm(RC2_40, sequence(octets(SALT[:8]), integer(1))))),
        "evil-stretching-endless": file_of(encrypted(bags, pbes2(2 ** 31))),
        "evil-stretching-never": file_of(encrypted(bags, pbes2(0))),
        "evil-endless-key": file_of(encrypted(bags, pbes2(1, 2 ** 31 - 1))),
        "evil-short-key": file_of(encrypted(bags, pbes2(1, 1))),
        "evil-no-parameters": file_of(encrypted(bags, algorithm(PBES2))),
        "evil-null-parameters": file_of(encrypted(bags, algorithm(PBES2, b"\5\0"))),
        "evil-indefinite-and-open": b"\x30\x80" + body,
        "evil-nested-1000": file_of(encrypted(nested(1000))),
        "evil-bags-no-sequence": file_of(encrypted(octets(b"bags"))),
        "evil-secret-is-a-number": file_of(encrypted(bags.replace(octets(bytes(range(32))), tlv(2, bytes(range(32)))))),
        "evil-key-too-long": file_of(encrypted(sequence(bag("tde-master-key-1", bytes(2000))))),
        "evil-4097-bags": file_of(encrypted(many)),
        "evil-name-of-4-kib": file_of(encrypted(sequence(bag("n" * 4096, bytes(32))))),
        "evil-trailing": file_of(good) + b"\0",
    }
