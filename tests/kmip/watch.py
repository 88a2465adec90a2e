# SPDX-License-Identifier: Apache-2.0
"""What bad input must not do: take memory, kill a process, hold up others. And keys that tests make themselves."""
import contextlib
import datetime
import pathlib

import client as kmip
import server as system
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

MESSAGE_LIMIT = 1024 * 1024
HANDSHAKE, REQUEST = 10, 30  # seconds, of src/wire/limits.h


def processes(pid):
    """{process id: name and arguments} of all below the supervisor."""
    return {one.pid: " ".join(one.arguments) for one in system.processes_below(pid)}


def memory_of_fronts(pid):
    """Resident bytes of the processes that read clients' bytes."""
    total = 0
    for number, command in processes(pid).items():
        if "keyward-front" in command.split(" ", 1)[0]:
            with contextlib.suppress(OSError):
                status = pathlib.Path(f"/proc/{number}/status").read_text()
                total += next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))
    return total


def is_served(endpoint):
    """Fails unless an ordinary client is served, and that sooner than the deadlines end what others have begun."""
    with endpoint.connect(deadline=REQUEST - 10) as client:
        uid = client.create()
        client.destroy(uid)


# ---- keys and certificates -----------------------------------------------------------------


def rsa_key(bits=2048):
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def ec_key():
    return ec.generate_private_key(ec.SECP256R1())


def pkcs8(key):
    return key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def pkcs1(key):
    return key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL,
                             serialization.NoEncryption())


def spki(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def certificate(key, subject, issuer=None, issuer_key=None, usage=ExtendedKeyUsageOID.CLIENT_AUTH, authority=False,
                begins=-3600, ends=3600, digest=None, more=()):
    """A certificate for tests; signed by itself unless an issuer's name and key are given. Times are seconds from now; `more` are
    further extensions."""
    now = datetime.datetime.utcnow()
    name = subject if isinstance(subject, x509.Name) else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    made = (x509.CertificateBuilder(extensions=[x509.Extension(one.oid, False, one) for one in more]).subject_name(name).issuer_name(issuer or name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now + datetime.timedelta(seconds=begins))
            .not_valid_after(now + datetime.timedelta(seconds=ends))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True))
    if usage is not None:
        made = made.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return made.sign(issuer_key or key, digest or hashes.SHA256())


def write_pem(directory, name, key, *chain):
    """Writes NAME.key and NAME.pem (the chain) and gives their paths."""
    key_file, cert_file = pathlib.Path(directory) / f"{name}.key", pathlib.Path(directory) / f"{name}.pem"
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()))
    key_file.chmod(0o600)
    cert_file.write_bytes(b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain))
    return cert_file, key_file


def load(path):
    """A certificate from a PEM file."""
    return x509.load_pem_x509_certificate(pathlib.Path(path).read_bytes())


def load_key(path):
    return serialization.load_pem_private_key(pathlib.Path(path).read_bytes(), None)


def imposter(endpoint, certificate_file, key_file):
    """The same server, seen with another certificate."""
    return kmip.Endpoint(endpoint.host, endpoint.port, endpoint.ca, certificate_file, key_file)
