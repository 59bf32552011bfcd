# Net, Clock and Store of linnet.port on MicroPython: every port with sockets, asyncio
# and the `tls` module, which is the unix port and ESP32.
#
# What only one kind of machine has is not here: port_unix.py and port_esp32.py hand in
# its addresses, certificate authorities and sound. Sound is the native media loop's.
#
# Two limits of MicroPython itself. getaddrinfo() stops the event loop until the name
# server answers: look a name up before the join, when nothing else is under way (an app
# that joins by name again while a call runs stops its Python for that long, not its
# sound). And a TLS socket has no file number, so that asyncio's poll would look at it a
# thousand times a second: here the TCP socket under it is waited for instead, once the
# TLS layer has given all that it holds.

import asyncio
import binascii
import errno
import os
import socket

import tls as tls_module
from linnet import compat
from linnet.compat import const
from linnet.errors import Closed, Refused, Timeout
from os_error import reason
from port_udp import Datagrams, readable, wake_waiting, writable

_TCP = const(6)  # IPPROTO_TCP and TCP_NODELAY have these numbers on Linux, macOS and lwIP
_TCP_NODELAY = const(1)
_CONN_EOF = const(-0x7280)  # MBEDTLS_ERR_SSL_CONN_EOF
_EISCONN = (106, 56, 127)  # Linux, macOS, lwIP; modules `errno` do not name it

class MpyClock:
    """linnet.port.Clock on asyncio's own time."""

    ticks_us = staticmethod(compat.ticks_us)
    sleep_ms = staticmethod(asyncio.sleep_ms)  # allocates nothing
    wait_for_ms = staticmethod(asyncio.wait_for_ms)

    def unix_time(self):
        """0 until somebody has set the clock: boards start in 2000 or 1970."""
        now = compat.unix_time()
        return now if now > 1700000000 else 0


class MpyStream:
    """linnet.port.Stream. `sock` is what is waited for, `inside` what is read and written.

    `host` is given while a certificate is yet to be verified: Mbed TLS does that inside the first
    read or write, and handshake() sees it happen if this MicroPython keeps the peer's certificate
    (ours and ESP32's do). Otherwise the first write() refuses what stream_open() would have."""

    def __init__(self, sock, inside, host=None):
        self._unverified = host
        self._sock = sock
        self._inside = inside
        self._early = b""
        self._is_torn = False  # the TLS layer has let go of the socket, which is still open
        self._writing = asyncio.Lock()
        self._closed = False

    async def handshake(self):
        """TLS: until the certificate is verified."""
        if not hasattr(self._inside, "getpeercert"):
            return
        try:
            while self._inside.getpeercert(True) is None:
                data = self._inside.read(1)  # drives the handshake
                if data:
                    self._early += data
                elif data is not None:
                    raise OSError(_CONN_EOF, "Connection reset by peer")
                elif self._inside.getpeercert(True) is None:
                    await readable(self._sock)
        except (OSError, ValueError) as error:
            raise self._refused(error)
        self._unverified = None

    def _refused(self, error):
        # Whatever ends a handshake but the end of the stream, MicroPython answers by dropping the socket unclosed.
        self._is_torn = error.args[:1] != (_CONN_EOF,)
        return _tls_refused(self._unverified, error)

    async def read(self, n):
        if self._early:
            early, self._early = self._early[:n], self._early[n:]
            return early
        try:
            while not self._closed:
                data = self._inside.read(n)
                if data is not None:
                    return data
                await readable(self._sock)
        except (OSError, ValueError) as error:
            if not self._closed:
                raise Closed("ws-closed", "the connection broke: " + reason(error))
        raise Closed("ws-closed", "the connection is closed")

    async def write(self, data):
        # One writer at a time: the TLS layer must be given the same bytes again.
        async with self._writing:
            view = memoryview(data)
            try:
                while view and not self._closed:
                    taken = self._inside.write(view)
                    if taken:
                        view = view[taken:]
                    else:
                        await writable(self._sock)
                self._unverified = None
            except (OSError, ValueError) as error:
                if self._unverified is not None:
                    raise self._refused(error)
                raise Closed("ws-closed", "the connection broke: " + reason(error))
            if view:
                raise Closed("ws-closed", "the connection is closed")

    def close(self):
        if not self._closed:
            self._closed = True
            wake_waiting(self._sock)
            (self._sock if self._is_torn else self._inside).close()


class MpyNet(Datagrams):
    """linnet.port.Net. `machine` knows what only this kind of machine can say: local_addresses(),
    authorities() (DER, one certificate after another) and what Datagrams asks for."""

    def __init__(self, machine):
        super().__init__(machine)
        self._context = None

    def local_addresses(self):
        return self._machine.local_addresses()

    async def wake_wait(self, source):
        await readable(source)

    # --- streams ---

    async def stream_open(self, host, port, tls, timeout_ms, on_step=None):
        try:
            return await asyncio.wait_for_ms(self._stream_open(host, port, tls, on_step), timeout_ms)
        except asyncio.TimeoutError:
            pass
        raise Timeout("connect-timeout", "%s:%d did not answer within %d ms" % (host, port, timeout_ms))

    async def _stream_open(self, host, port, tls, on_step):
        context = self._tls_context() if tls else None
        try:
            found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)  # blocks the loop
        except OSError as error:
            raise Refused("name-not-resolved", "%s has no address: %s" % (host, reason(error)))
        if not found:
            raise Refused("name-not-resolved", "%s has no address" % host)
        _step(on_step, "dns")
        sock = await _connect_first(found, host, port)
        _step(on_step, "tcp")
        if context is None:
            return MpyStream(sock, sock)
        try:
            inside = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        except (OSError, ValueError) as error:
            sock.close()
            raise _tls_refused(host, error)
        stream = MpyStream(sock, inside, host)
        try:
            await stream.handshake()
        except BaseException:  # also when somebody cancels: nothing stays open
            stream.close()
            raise
        _step(on_step, "tls")
        return stream

    def _tls_context(self):
        if self._context is None:
            context = tls_module.SSLContext(tls_module.PROTOCOL_TLS_CLIENT)
            context.verify_mode = tls_module.CERT_REQUIRED
            try:
                n = _load(context, self._machine.authorities())
            except OSError as error:
                raise Refused("tls-refused", "the CA file cannot be used: " + reason(error))
            if n == 0:
                raise Refused("tls-refused", "this machine trusts no certificate authority")
            self._context = context
        return self._context


_BEGIN = b"-----BEGIN CERTIFICATE-----"
_END = b"-----END CERTIFICATE-----"
_BLOCK = const(8192)


def certificates(path):
    """The certificates in a PEM file one after another, as DER: MicroPython's Mbed TLS reads no PEM.

    In blocks, because each line that MicroPython reads is a call of the system per character."""
    text = b""
    with open(path, "rb") as file:
        while True:
            block = file.read(_BLOCK)
            text += block
            while True:
                start = text.find(_BEGIN)
                end = text.find(_END, start) if start >= 0 else -1
                if end < 0:
                    break
                try:
                    yield binascii.a2b_base64(text[start + len(_BEGIN) : end])
                except ValueError:
                    pass  # no base64 between the two: not ours to repair
                text = text[end + len(_END) :]
            if not block:
                return
            if start < 0 or len(text) > 4 * _BLOCK:
                text = text[-len(_BEGIN) :]


def _load(context, found):
    """How many of them can be used. An old root that Mbed TLS does not read is left out."""
    n = 0
    for one in found:
        try:
            context.load_verify_locations(one)
            n += 1
        except ValueError:
            pass
    return n


def _step(on_step, name):
    if on_step is not None:
        on_step(name)


def _tls_refused(host, error):
    words = reason(error)
    if isinstance(error, ValueError) or "CERT" in words or "X509" in words:
        return Refused("tls-refused", "the certificate of %s: %s" % (host, words))
    return Refused("tls-refused", "TLS with %s failed: %s" % (host, words))


async def _connect_first(found, host, port):
    """A connected socket to the first address that answers."""
    last = "no address"
    for family, kind, protocol, _, name in found:
        sock = None
        try:
            sock = socket.socket(family, kind, protocol)
            sock.setblocking(False)
            await _connect(sock, name)
            sock.setsockopt(_TCP, _TCP_NODELAY, 1)
            return sock
        except OSError as error:
            last = reason(error)
        except asyncio.CancelledError:
            sock.close()
            raise
        if sock is not None:
            sock.close()
    raise Refused("host-unreachable", "%s:%d cannot be reached: %s" % (host, port, last))


async def _connect(sock, name):
    try:
        sock.connect(name)
        return
    except OSError as error:
        if error.args[0] != errno.EINPROGRESS:
            raise
    await writable(sock)
    try:
        sock.connect(name)  # MicroPython has no getsockopt(): the second call says how the first went
    except OSError as error:
        if error.args[0] not in _EISCONN:
            raise


class MpyStore:
    """linnet.port.Store: a file for each key in a folder, which `make_folder(path)` makes when it is first needed."""

    def __init__(self, folder, make_folder=os.mkdir):
        self._folder = folder
        self._make_folder = make_folder

    def get(self, key, default=None):
        try:
            with open(self._folder + "/" + key) as file:
                return file.read()
        except OSError:
            return default

    def set(self, key, value):
        path = self._folder + "/" + key
        try:
            self._make_folder(self._folder)
        except OSError:
            pass  # it is there; if not, open() says why
        if value is None:
            try:
                os.remove(path)
            except OSError:
                pass
            return
        with open(path + ".new", "w") as file:
            file.write(value)
        os.rename(path + ".new", path)
