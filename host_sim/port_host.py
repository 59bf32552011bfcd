"""Net and Clock of linnet.port on a laptop: asyncio sockets and TLS of the standard library.

Sound devices are in audio.py. Datagrams go through a plain non-blocking socket watched by the event loop, because
asyncio's datagram transport hands out a new bytes object per packet.
"""

import asyncio
import encodings.idna  # noqa: F401  (the first host name would import it: 10 ms in the middle of a join)
import errno
import ipaddress
import os
import socket
import ssl
import threading
import time

from . import native  # noqa: F401  (makes the core importable as _linnet)
from linnet.errors import Closed, Refused, Timeout

_MASK = (1 << 30) - 1
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_RECEIVE_BUFFER = 1 << 20


class HostClock:
    """linnet.port.Clock on the event loop's own clock."""

    def ticks_us(self):
        return (time.monotonic_ns() // 1000) & _MASK

    async def sleep_ms(self, ms):
        await asyncio.sleep(ms / 1000)

    async def wait_for_ms(self, coroutine, ms):
        # Not asyncio.wait_for: in Python 3.11 it swallows a cancellation that meets the end of the wait.
        async with asyncio.timeout(ms / 1000):
            return await coroutine

    def unix_time(self):
        return int(time.time())


class HostStream:
    """linnet.port.Stream on asyncio's reader and writer."""

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer

    async def read(self, n):
        try:
            return await self._reader.read(n)
        except (OSError, ssl.SSLError) as error:
            raise Closed("ws-closed", f"the connection broke: {_reason(error)}") from None

    async def write(self, data):
        try:
            self._writer.write(data)
            await self._writer.drain()
        except (OSError, ssl.SSLError, RuntimeError) as error:
            raise Closed("ws-closed", f"the connection broke: {_reason(error)}") from None

    def close(self):
        self._writer.transport.abort()


class HostNet:
    """linnet.port.Net on asyncio.

    `ca_file`: trust this CA (PEM) too. `addresses`: the packed addresses to offer instead of the machine's own."""

    def __init__(self, ca_file=None, addresses=None):
        self._addresses = addresses
        self._context = None
        self._ca_file = ca_file
        self._sockets = {}
        self._readable = None
        self._listener = None
        self._names = {}  # both forms of the few addresses we talk to
        self._is_open = False
        self.datagrams_unsent = 0

    # --- datagrams ---

    def local_addresses(self):
        if self._addresses is not None:
            return list(self._addresses)
        found = [address for address in _interface_addresses() if address is not None]
        return list(dict.fromkeys(found)) or [bytes((127, 0, 0, 1))]

    async def udp_open(self, family, address=None):
        old = self._sockets.pop(family, None)
        loop = asyncio.get_running_loop()
        if old is not None:
            loop.remove_reader(old.fileno())
            old.close()
        if self._readable is None:
            self._readable = asyncio.Event()
        sock = socket.socket(_FAMILIES[family], socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            if family == 6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            host = str(ipaddress.ip_address(address)) if address else ("0.0.0.0" if family == 4 else "::")
            sock.bind((host, 0))
        except OSError as error:
            sock.close()
            raise Refused("host-unreachable", f"no datagram socket: {_reason(error)}") from None
        self._sockets[family] = sock
        self._is_open = True
        loop.add_reader(sock.fileno(), self._on_readable)
        name = sock.getsockname()
        return ipaddress.ip_address(name[0]).packed, name[1]

    def udp_send(self, addr, view):
        ip, port = addr
        sock = self._sockets.get(4 if len(ip) == 4 else 6)
        if sock is None:
            return False
        try:
            sock.sendto(view, self._name(addr, _text))
            return True
        except OSError:
            self.datagrams_unsent += 1
            return False

    def _name(self, address, convert):
        """(host, port) in the other form; remembered, because a call has one peer."""
        name = self._names.get(address)
        if name is None:
            if len(self._names) > 64:
                self._names.clear()
            name = self._names[address] = (convert(address[0]), address[1])
        return name

    def _on_readable(self):
        if self._listener is not None:
            self._listener()
        else:
            self._readable.set()

    def udp_listen(self, callback):
        self._listener = callback
        return True

    def udp_recv_now(self, view):
        for sock in self._sockets.values():
            while True:
                try:
                    n, _, flags, source = sock.recvmsg_into([view])
                except (BlockingIOError, InterruptedError):
                    break
                except OSError:
                    continue  # an ICMP error of an earlier send: no datagram
                if not flags & socket.MSG_TRUNC:
                    return n, self._name(source[:2], _packed)
        return None

    async def udp_recv_into(self, view):
        while self._is_open:
            received = self.udp_recv_now(view)
            if received is not None:
                return received
            self._readable.clear()
            await self._readable.wait()
        raise Closed("not-connected", "the datagram socket is closed")

    def udp_close(self):
        self._is_open = False
        self._listener = None
        for sock in self._sockets.values():
            try:
                asyncio.get_running_loop().remove_reader(sock.fileno())
            except RuntimeError:
                pass  # the loop is gone already, and its watch with it
            sock.close()
        self._sockets = {}
        if self._readable is not None:
            self._readable.set()

    async def wake_wait(self, source):
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_reader(source, lambda: ready.done() or ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_reader(source)

    # --- streams ---

    async def stream_open(self, host, port, tls, timeout_ms, on_step=None):
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await self._stream_open(host, port, tls, on_step)
        except asyncio.TimeoutError:
            raise Timeout("connect-timeout", f"{host}:{port} did not answer within {timeout_ms} ms") from None

    async def _stream_open(self, host, port, tls, on_step):
        step = on_step or (lambda name: None)
        loop = asyncio.get_running_loop()
        try:
            found = await _resolve(loop, host, port)
        except OSError as error:
            raise Refused("name-not-resolved", f"{host} has no address: {_reason(error)}") from None
        step("dns")
        sock = await _connect_first(loop, found, host, port)
        step("tcp")
        try:
            if tls:
                reader, writer = await asyncio.open_connection(
                    sock=sock, ssl=self._tls_context(), server_hostname=host
                )
                step("tls")
            else:
                reader, writer = await asyncio.open_connection(sock=sock)
        except ssl.SSLCertVerificationError as error:
            sock.close()
            raise Refused("tls-refused", f"the certificate of {host}: {error.verify_message}") from None
        except (ssl.SSLError, OSError) as error:
            sock.close()
            raise Refused("tls-refused", f"TLS with {host} failed: {_reason(error)}") from None
        return HostStream(reader, writer)

    def _tls_context(self):
        if self._context is None:
            self._context = ssl.create_default_context()
            if self._ca_file:
                try:
                    self._context.load_verify_locations(self._ca_file)
                except (OSError, ssl.SSLError) as error:
                    raise Refused("tls-refused", f"the CA file cannot be used: {_reason(error)}") from None
        return self._context


async def _resolve(loop, host, port):
    """getaddrinfo without asyncio's thread pool, which a resolver that never answers would keep from ending."""
    try:
        # An address literal, or nothing the system could not say at once.
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        pass
    answer = loop.create_future()

    def settle(outcome, error):
        if answer.done():
            return
        if error is None:
            answer.set_result(outcome)
        else:
            answer.set_exception(error)

    def ask():
        outcome = error = None
        try:
            outcome = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as problem:
            error = problem if isinstance(problem, OSError) else OSError("the name is too long or has empty parts")
        try:
            loop.call_soon_threadsafe(settle, outcome, error)
        except RuntimeError:
            pass  # the loop is gone: nobody waits any more

    threading.Thread(target=ask, daemon=True, name="resolver").start()
    return await answer


async def _connect_first(loop, found, host, port):
    """A connected socket to the first address that answers."""
    last = "no address"
    for family, kind, proto, _, name in found:
        sock = socket.socket(family, kind, proto)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, name)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except OSError as error:
            sock.close()
            last = _reason(error)
        except asyncio.CancelledError:
            sock.close()
            raise
    raise Refused("host-unreachable", f"{host}:{port} cannot be reached: {last}")


def _packed(host):
    host = host.partition("%")[0]
    return socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)


def _text(ip):
    return socket.inet_ntop(socket.AF_INET if len(ip) == 4 else socket.AF_INET6, ip)


def _reason(error):
    """The operating system's words, without numbers and file names."""
    number = getattr(error, "errno", None)
    if number and number in errno.errorcode and not isinstance(error, (ssl.SSLError, socket.gaierror)):
        return os.strerror(number)  # asyncio puts the address into its own words
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _interface_addresses():
    """Addresses that the routing table would use towards the outside; no packet is sent."""
    for family, probe in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            try:
                sock.connect((probe, 9))
                yield ipaddress.ip_address(sock.getsockname()[0].partition("%")[0]).packed
            except OSError:
                yield None
    if os.environ.get("LINNET_LOOPBACK") == "1":
        yield bytes((127, 0, 0, 1))


class FileStore:
    """linnet.port.Store: small strings in a folder that only its owner reads."""

    def __init__(self, folder):
        self._folder = folder

    def get(self, key, default=None):
        try:
            return (self._folder / key).read_text()
        except FileNotFoundError:
            return default

    def set(self, key, value):
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / key
        if value is None:
            path.unlink(missing_ok=True)
            return
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(value)
        fresh.replace(path)
