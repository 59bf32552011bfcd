# What only MicroPython's unix port has: addresses as the system's sockaddr bytes, libc
# through `ffi`, certificate authorities in the system's folders, signals, /proc.

import os
import socket
import sys

import ffi
from linnet.compat import const
from port_mpy import certificates

_SO_RCVBUF = const(8) if sys.platform == "linux" else const(0x1002)
_IPPROTO_IPV6 = const(41)
_IPV6_V6ONLY = const(26) if sys.platform == "linux" else const(27)
_RECEIVE_BUFFER = const(1 << 20)
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
_PROBES = (("192.0.2.1", socket.AF_INET), ("2001:db8::1", socket.AF_INET6))

_libc = ffi.open(None)
_getsockname = _libc.func("i", "getsockname", "ipp")


class UnixMachine:
    """`ca_file`: trust the authorities in this file (PEM) beside the system's."""

    def __init__(self, ca_file=None, addresses=None):
        self._ca_file = ca_file
        self._addresses = addresses

    def local_addresses(self):
        """Those that the routing table would use towards the outside; no packet is sent."""
        if self._addresses is not None:
            return list(self._addresses)
        found = []
        for text, family in _PROBES:
            address = _address_towards(text, family)
            if address is not None and address not in found:
                found.append(address)
        if os.getenv("LINNET_LOOPBACK") == "1" or not found:
            found.append(bytes((127, 0, 0, 1)))
        return found

    def name_of(self, ip, port):
        family = socket.AF_INET if len(ip) == 4 else socket.AF_INET6
        text = socket.inet_ntop(family, ip)
        return socket.getaddrinfo(text, port, family, socket.SOCK_DGRAM)[0][-1]

    def addr_of(self, name):
        found = socket.sockaddr(name)
        return bytes(found[1]), found[2]

    def prepare_datagrams(self, sock, family):
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUF, _RECEIVE_BUFFER)
        if family == 6:
            sock.setsockopt(_IPPROTO_IPV6, _IPV6_V6ONLY, 1)

    def authorities(self):
        """One certificate after another. Raises OSError if the file that was asked for is not there."""
        if self._ca_file:
            yield from certificates(self._ca_file)
        for path in (os.getenv("SSL_CERT_FILE"),) + _BUNDLES:
            try:
                if path:
                    yield from certificates(path)
                    return
            except OSError:
                pass  # the next place


def _address_towards(text, family):
    sock = None
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.connect(socket.getaddrinfo(text, 9, family, socket.SOCK_DGRAM)[0][-1])
        name = bytearray(128)
        size = bytearray((128, 0, 0, 0))
        if _getsockname(sock.fileno(), name, size) != 0:
            return None
        return bytes(socket.sockaddr(name[: size[0]])[1])
    except OSError:
        return None
    finally:
        if sock is not None:
            sock.close()


def private_folder(path):
    """Make a folder that only its owner reads, if it is not there."""
    _libc.func("i", "mkdir", "si")(path, 0o700)


def memory_kib(name="VmHWM"):
    """The most memory this process had (VmRSS: has), in KiB; None where there is no /proc."""
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith(name):
                    return int(line.split()[1])
    except OSError:
        pass
    return None


# --- signals ---

# These are held back and read from a descriptor, when the event loop comes to it. MicroPython's own answer to Ctrl-C is
# a long jump out of the signal handler, also out of a C function that holds the media loop's lock: the program would
# hang. The price: a program that never gives way does not notice.
_SIGNALS = {1: "the terminal was closed", 2: "Ctrl-C", 15: "SIGTERM"}
_SIG_BLOCK = const(0)
_NONBLOCK_CLOEXEC = const(0o2004000)


def signals():
    """A stream that asyncio can wait on and signal_in() reads, or None: Linux has such a thing."""
    if sys.platform != "linux":
        return None
    mask = bytearray(128)
    ignored = _ignored()
    for number in _SIGNALS:
        if ignored >> (number - 1) & 1:
            continue  # by our parent (nohup, a shell's background job): it stays so
        mask[(number - 1) // 8] |= 1 << (number - 1) % 8
    if _libc.func("i", "pthread_sigmask", "ipp")(_SIG_BLOCK, mask, None) != 0:
        return None
    fd = _libc.func("i", "signalfd", "ipi")(-1, mask, _NONBLOCK_CLOEXEC)
    return open(fd, "rb") if fd >= 0 else None


def _ignored():
    """The bits of the signals that this process ignores."""
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith("SigIgn:"):
                    return int(line.split()[1], 16)
    except OSError:
        pass
    return 0


def signal_in(stream):
    """(number, name) of a signal that has come, or None."""
    try:
        record = stream.read(128)
    except OSError:
        return None
    return (record[0], _SIGNALS.get(record[0], "signal")) if record else None
