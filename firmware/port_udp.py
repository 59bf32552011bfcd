# Datagrams of linnet.port.Net on MicroPython, for the Python driver, and what all of our
# sockets need: how to wait for one.
#
# A call in the native media loop uses no datagram from here: the loop has sockets of its
# own and allocates nothing. MicroPython's recvfrom() makes a new bytes object per packet.

import asyncio
import errno
import socket
from asyncio import core as scheduler

from linnet import compat
from linnet.compat import const
from linnet.errors import Closed, Refused
from os_error import reason

_FIRST_PORT = const(49152)  # of the dynamic ones, RFC 6335 6
_PORT_TRIES = const(20)

# --- waiting for sockets ---


def readable(sock):
    yield scheduler._io_queue.queue_read(sock)


def writable(sock):
    yield scheduler._io_queue.queue_write(sock)


def wake_waiting(sock):
    """Whoever waits for a socket that is about to close goes on, and finds it closed."""
    queue = scheduler._io_queue
    waiting = queue.map.get(id(sock))
    if waiting is not None:
        queue._dequeue(sock)
        for task in waiting[:2]:
            if task is not None:
                scheduler._task_queue.push(task)


class Datagrams:
    """`machine` has name_of(ip, port), what sendto() and bind() want, addr_of(name) and
    prepare_datagrams(sock, family)."""

    def __init__(self, machine):
        self._machine = machine
        self._sockets = {}  # family -> (socket, the task that watches it)
        self._names = {}  # both forms of the few addresses we talk to
        self._listener = None
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._is_open = False
        self.datagrams_unsent = 0

    async def udp_open(self, family, address=None):
        self._close_one(family)
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        address = bytes(address or bytes(4 if family == 4 else 16))
        try:
            sock = socket.socket(kind, socket.SOCK_DGRAM)
        except OSError as error:
            raise Refused("host-unreachable", "no datagram socket: " + reason(error))
        try:
            sock.setblocking(False)
            self._machine.prepare_datagrams(sock, family)
            port = self._bind(sock, address)
        except OSError as error:
            sock.close()
            raise Refused("host-unreachable", "no datagram socket: " + reason(error))
        self._is_open = True
        self._sockets[family] = (sock, asyncio.create_task(self._watch(sock)))
        return address, port

    def _bind(self, sock, address):
        # getsockname() is not everywhere: so the port is chosen here.
        for left in range(_PORT_TRIES, 0, -1):
            chance = compat.rand_bytes(2)
            port = _FIRST_PORT + (chance[0] | chance[1] << 8) % 16384
            try:
                sock.bind(self._machine.name_of(address, port))
                return port
            except OSError:
                if left == 1:
                    raise

    def udp_send(self, addr, view):
        entry = self._sockets.get(4 if len(addr[0]) == 4 else 6)
        if entry is None:
            return False
        name = self._names.get(addr)
        if name is None:
            name = self._remember(addr, self._machine.name_of(addr[0], addr[1]))
        try:
            entry[0].sendto(view, name)
            return True
        except OSError:
            self.datagrams_unsent += 1
            return False

    def _remember(self, key, name):
        if len(self._names) > 64:
            self._names.clear()
        self._names[key] = name
        return name

    async def _watch(self, sock):
        while True:
            await readable(sock)
            if self._listener is not None:
                self._listener()
            else:
                self._taken.clear()
                self._arrived.set()
                await self._taken.wait()

    def udp_listen(self, callback):
        self._listener = callback
        self._taken.set()
        return True

    def udp_recv_now(self, view):
        for sock, _ in self._sockets.values():
            while True:
                try:
                    data, name = sock.recvfrom(len(view) + 1)
                except OSError as error:
                    if error.args[0] == errno.EAGAIN:
                        break
                    continue  # an ICMP error of an earlier send: no datagram
                n = len(data)
                if n > len(view):
                    continue
                view[:n] = data
                key = name if isinstance(name, tuple) else bytes(name)
                addr = self._names.get(key)
                if addr is None:
                    addr = self._remember(key, self._machine.addr_of(name))
                return n, addr
        return None

    async def udp_recv_into(self, view):
        while self._is_open:
            received = self.udp_recv_now(view)
            if received is not None:
                return received
            self._arrived.clear()
            self._taken.set()
            await self._arrived.wait()
        raise Closed("not-connected", "the datagram socket is closed")

    def _close_one(self, family):
        sock, task = self._sockets.pop(family, (None, None))
        if sock is not None:
            task.cancel()
            sock.close()

    def udp_close(self):
        self._is_open = False
        self._listener = None
        for family in list(self._sockets):
            self._close_one(family)
        self._arrived.set()
