"""A TLS door before a plain server: wss:// with a certificate authority of our own, and with bad certificates.

    with TlsFront(server.http_port, folder) as front:
        ...connect to front.url, trusting front.ca_path

It decrypts and forwards bytes, nothing else. It runs in a thread of its own, so any test, with or without a running
loop, can use it.
"""

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

START_TIMEOUT_S = 10
BLOCK = 16384
# What a client must refuse, each for its own reason; "good" it must accept.
CERTIFICATES = ("good", "expired", "not_yet_valid", "wrong_host", "self_signed", "unknown_ca")


class TlsFront:
    """Listens on a free loopback port. `ca_path` is the authority to trust; `certificate` one of CERTIFICATES."""

    def __init__(self, target_port, folder, *, certificate="good", max_version=ssl.TLSVersion.TLSv1_3):
        if certificate not in CERTIFICATES:
            raise ValueError(f"certificate {certificate!r}: one of {', '.join(CERTIFICATES)} is meant")
        self._target_port = target_port
        self._folder = Path(folder)
        self._kind = certificate
        self._max_version = max_version
        self._loop = self._thread = self._stopping = None
        self._open = set()          # writers of the connections under way
        self.ca_path = self._folder / "ca.pem"
        self.port = None
        self.accepted = 0           # connections whose TLS handshake went through
        self.versions = []          # "TLSv1.3", ...: one for each of them

    @property
    def url(self):
        return f"wss://localhost:{self.port}"

    def start(self):
        self._folder.mkdir(parents=True, exist_ok=True)
        chain = write_certificates(self._folder, self._kind)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = self._max_version
        context.load_cert_chain(chain)
        ready = threading.Event()
        problems = []
        self._thread = threading.Thread(target=self._run, args=(context, ready, problems), daemon=True)
        self._thread.start()
        if not ready.wait(START_TIMEOUT_S) or problems:
            raise RuntimeError(f"the TLS front did not start: {problems or 'no answer'}")
        return self

    def stop(self):
        if self._loop:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(START_TIMEOUT_S)
            self._loop = None

    def cut(self):
        """Breaks every connection under way without a goodbye, as a dying Wi-Fi does; new ones are welcome."""
        self._loop.call_soon_threadsafe(self._abort_all)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def _run(self, context, ready, problems):
        try:
            asyncio.run(self._serve(context, ready))
        except Exception as error:      # start() waits for it in another thread and raises it there
            problems.append(error)
            ready.set()

    async def _serve(self, context, ready):
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        # A refused certificate ends a handshake: that is what tests want, not a report on the terminal.
        self._loop.set_exception_handler(lambda loop, details: None)
        server = await asyncio.start_server(self._forward, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stopping.wait()
        server.close()
        self._abort_all()

    def _abort_all(self):
        for writer in list(self._open):
            writer.transport.abort()

    async def _forward(self, reader, writer):
        self.accepted += 1
        self.versions.append(writer.get_extra_info("ssl_object").version())
        self._open.add(writer)
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            self._open.add(inner_writer)
            try:
                await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
            finally:
                self._open.discard(inner_writer)
                inner_writer.close()
        except OSError:
            pass                        # the server is down: the client sees the end of the stream
        finally:
            self._open.discard(writer)
            writer.close()


async def _pump(reader, writer):
    """Copies until the stream ends, then passes the end on."""
    with contextlib.suppress(OSError):
        while data := await reader.read(BLOCK):
            writer.write(data)
            await writer.drain()
    writer.close()


def write_certificates(folder, kind="good"):
    """Writes ca.pem and server.pem (key and certificate of that kind) into `folder`; returns server.pem's path."""
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("Linnet test authority", ca_key, "Linnet test authority", ca_key, now - day, now + 30 * day)
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))

    key = ec.generate_private_key(ec.SECP256R1())
    begin, end = {"expired": (now - 30 * day, now - day),
                  "not_yet_valid": (now + day, now + 30 * day)}.get(kind, (now - day, now + 30 * day))
    hosts = ["elsewhere.invalid"] if kind == "wrong_host" else ["localhost", "127.0.0.1"]
    issuer, issuer_key = "Linnet test authority", ca_key
    if kind == "self_signed":
        issuer, issuer_key = "localhost", key
    elif kind == "unknown_ca":
        issuer, issuer_key = "Somebody else's authority", ec.generate_private_key(ec.SECP256R1())
    leaf = _certificate("localhost", key, issuer, issuer_key, begin, end, hosts)
    path = folder / "server.pem"
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption())
                     + leaf.public_bytes(serialization.Encoding.PEM))
    path.chmod(0o600)
    return path


def _certificate(subject, key, issuer, issuer_key, begin, end, hosts=None):
    """A server certificate for `hosts`; an authority when there are none."""
    builder = (x509.CertificateBuilder()
               .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
               .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
               .public_key(key.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(begin).not_valid_after(end)
               .add_extension(x509.BasicConstraints(ca=hosts is None, path_length=None), critical=True)
               .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
               .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
                              critical=False)
               .add_extension(_key_usage(hosts is None), critical=True))
    if hosts is not None:
        names = [x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
                 for host in hosts]
        builder = (builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
                   .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False))
    return builder.sign(issuer_key, hashes.SHA256())


def _key_usage(is_authority):
    return x509.KeyUsage(digital_signature=not is_authority, key_cert_sign=is_authority, crl_sign=is_authority,
                         content_commitment=False, key_encipherment=False, data_encipherment=False,
                         key_agreement=False, encipher_only=False, decipher_only=False)
