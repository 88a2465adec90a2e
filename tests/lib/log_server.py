# SPDX-License-Identifier: Apache-2.0
"""A log server (Debian's rsyslog) and a mail server (aiosmtpd) on loopback, each in a directory of its own, with certificates
of an authority made for them."""
import asyncio
import ipaddress
import datetime
import email
import email.policy
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ports import free_port


class Authority:
    """ca.pem, and NAME.pem with NAME.key for servers on this host."""

    def __init__(self, where):
        self.where = pathlib.Path(where)
        self.where.mkdir(exist_ok=True, mode=0o700)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        self.cert = self._sign(self.name, self.key.public_key(), x509.BasicConstraints(True, 0), critical=True)
        self.pem = self.cert.public_bytes(serialization.Encoding.PEM).decode()
        (self.where / "ca.pem").write_text(self.pem)

    def _sign(self, name, public_key, extension, critical=False):
        now = datetime.datetime.utcnow()
        builder = x509.CertificateBuilder(self.name, name, public_key, x509.random_serial_number(), now - datetime.timedelta(days=1),
                                          now + datetime.timedelta(days=30)).add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())

    def server(self, name, hosts=("localhost", "127.0.0.1")):
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.IPAddress(ipaddress.ip_address(h)) if h[0].isdigit() else x509.DNSName(h) for h in hosts]
        cert = self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])]), key.public_key(), x509.SubjectAlternativeName(names))
        cert_path, key_path = self.where / f"{name}.pem", self.where / f"{name}.key"
        cert_path.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        key_path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return cert_path, key_path


CONF = """
global(workDirectory="{dir}" {tls})
module(load="imtcp" {driver})
template(name="raw" type="string" string="%rawmsg%\\n")
input(type="imtcp" port="{port}" address="127.0.0.1")
action(type="omfile" file="{dir}/out" template="raw")
"""


class LogServer:
    """rsyslogd; messages() are those that have arrived, each as (structured data as a dict, whole text)."""

    def __init__(self, where, authority=None):
        self.dir = pathlib.Path(where)
        self.dir.mkdir(exist_ok=True, mode=0o700)
        self.port, self.process = free_port(), None
        tls, driver = "", ""
        if authority:
            cert, key = authority.server("log")
            tls = (f'defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{authority.where}/ca.pem" '
                   f'defaultNetstreamDriverCertFile="{cert}" defaultNetstreamDriverKeyFile="{key}"')
            driver = 'streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon"'
        (self.dir / "conf").write_text(CONF.format(dir=self.dir, tls=tls, driver=driver, port=self.port))

    def start(self):
        self.process = subprocess.Popen(["/usr/sbin/rsyslogd", "-n", "-f", self.dir / "conf", "-i", self.dir / "pid"],
                                        stdout=subprocess.DEVNULL, stderr=open(self.dir / "err", "ab"))
        deadline = time.monotonic() + 90
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < deadline and self.process.poll() is None, (self.dir / "err").read_text()
                time.sleep(0.02)

    def stop(self, number=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(90)
        self.process = None

    def messages(self):
        path, found = self.dir / "out", []
        for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
            data = re.search(r"\[keyward@32473((?: \w+=\"(?:\\.|[^\"\\\]])*\")*)\]", line)
            if data:
                found.append((dict(re.findall(r" (\w+)=\"((?:\\.|[^\"\\])*)\"", data[1])), line))
        return found


class MailServer:
    """aiosmtpd in a process of its own; mails() are those that it has taken, as email messages with .to set."""

    def __init__(self, where, authority, user="", password="", implicit=False):
        self.dir = pathlib.Path(where)
        self.dir.mkdir(exist_ok=True, mode=0o700)
        self.port, self.pid = free_port(), 0
        self.cert = authority.server("mail") if authority else None
        self.user, self.password, self.implicit = user, password, implicit

    def start(self):
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._serve()
            finally:
                os._exit(1)
        deadline = time.monotonic() + 90
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def _serve(self):
        from aiosmtpd.smtp import SMTP, AuthResult
        context = None
        if self.cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*map(str, self.cert))
        server = self

        class Handler:
            count = 0

            async def handle_DATA(self, _smtp, _session, envelope):
                Handler.count += 1
                path = server.dir / f"mail-{os.getpid()}-{Handler.count:04}"
                path.with_suffix(".tmp").write_bytes(("X-To: " + ", ".join(envelope.rcpt_tos) + "\r\n").encode() + envelope.original_content)
                path.with_suffix(".tmp").rename(path.with_suffix(".eml"))
                return "250 taken"

        def check(_server, _session, _envelope, _mechanism, data):
            good = data.login.decode() == server.user and data.password.decode() == server.password
            return AuthResult(success=good, handled=False)

        def make():
            start_tls = context if context and not self.implicit else None
            return SMTP(Handler(), tls_context=start_tls, require_starttls=bool(start_tls), auth_required=bool(self.user),
                        authenticator=check if self.user else None, auth_require_tls=not self.implicit and bool(start_tls),
                        hostname="localhost", loop=loop)
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        loop.run_until_complete(loop.create_server(make, "127.0.0.1", self.port, ssl=context if self.implicit else None))
        loop.run_forever()

    def stop(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.pid = 0

    def mails(self):
        found = []
        for path in sorted(self.dir.glob("*.eml")):
            mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            mail.to = [word.strip() for word in mail["X-To"].split(",")]
            found.append(mail)
        return found
