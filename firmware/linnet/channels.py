# The three data channels and the DataPackets in them (protocol.md 4).
#
# Both `_reliable` and `_lossy` are always opened: the server holds reliable
# messages back until it has seen both. A server of protocol 18 has them
# ready under fixed ids, an older one wants them opened in band, and the offer is
# the same in both cases, so the choice waits for the JoinResponse.

import asyncio

from . import core, records
from .compat import const
from .errors import Closed, LinnetError, Refused, Timeout
from .log import INFO, log

RELIABLE = const(0)
LOSSY = const(1)
MAX_PACKET = const(64000)  # bytes of a serialized DataPacket; the SDKs' limit

_OPEN_TIMEOUT_MS = const(10000)
_SEND_TIMEOUT_MS = const(30000)
_LABELS = ("_reliable", "_lossy", "_data_track")
_FIRST_ID = const(100)  # NegotiatedDataChannelID of protocol 18


class Channels:
    """Sending and receiving of DataPackets. `engine` gives session, driver, port and tell()."""

    def __init__(self, engine):
        self._engine = engine
        self._handles = []
        self._open = [asyncio.Event() for _ in _LABELS]
        self._room = asyncio.Event()
        self._lock = asyncio.Lock()
        self._sequence = 0
        self.packets_undecodable = 0
        self.lossy_dropped = 0  # lossy packets that found the queue full

    def open_all(self, server_protocol):
        """Open the channels, in band or by fixed id; they come up with the association."""
        session = self._engine.session
        now = self._engine.driver.now()
        for i in range(len(_LABELS)):
            lossy = i != RELIABLE
            self._handles.append(
                session.open_channel(
                    now,
                    _LABELS[i],
                    lossy,
                    0 if lossy else None,
                    _FIRST_ID + i if server_protocol >= 18 else None,
                )
            )
        self._engine.drain()

    # --- what the core says ---

    def on_state(self, handle, is_open):
        if handle in self._handles:
            event = self._open[self._handles.index(handle)]
            if is_open:
                event.set()
            else:
                event.clear()
            log(INFO, "channels", _LABELS[self._handles.index(handle)], "open" if is_open else "closed")

    def are_open(self):
        """Whether DataPackets can come and go, of both kinds."""
        return self._open[RELIABLE].is_set() and self._open[LOSSY].is_set()

    def on_sendable(self, _handle):
        self._room.set()

    def on_message(self, handle, data):
        if handle not in self._handles:
            return
        kind = self._handles.index(handle)
        if kind > LOSSY:
            self._engine.tell("data_track", data)
            return
        try:
            packet = records.decode("DataPacket", data)
        except LinnetError as error:
            # One bad packet of a peer is no reason to end the session.
            self.packets_undecodable += 1
            log(INFO, "channels", "dropped a packet:", error.code)
            return
        self._engine.tell("packet", kind, packet)

    def on_closed(self):
        """Whoever waits to send learns that the room was left."""
        for event in self._open:
            event.set()
        self._room.set()

    # --- sending ---

    async def send(self, packet, kind):
        """Send one DataPacket. Reliable packets leave in the order of the calls.

        Raises Refused("payload-too-large"), Timeout("queue-full") when the peer takes
        nothing for 30 s, Closed when the channel has ended. A lossy packet that finds
        no room is dropped and counted."""
        wait = self._engine.port.clock.wait_for_ms
        try:
            await wait(self._open[kind].wait(), _OPEN_TIMEOUT_MS)
        except asyncio.TimeoutError:
            raise Timeout("media-timeout", "the data channel did not open")
        if kind == LOSSY:
            if self._send_now(packet, LOSSY) == core.ERR_AGAIN:
                self.lossy_dropped += 1
            return
        async with self._lock:
            packet["sequence"] = self._sequence + 1
            try:
                await wait(self._send_waiting(packet), _SEND_TIMEOUT_MS)
            except asyncio.TimeoutError:
                raise Timeout("queue-full", "the server took no data for 30 s")
            self._sequence += 1

    async def _send_waiting(self, packet):
        while True:
            self._room.clear()
            if self._send_now(packet, RELIABLE) != core.ERR_AGAIN:
                return
            await self._room.wait()

    def _send_now(self, packet, kind):
        engine = self._engine
        data = records.encode("DataPacket", packet)
        if len(data) > MAX_PACKET:
            raise Refused(
                "payload-too-large", "the packet is %d bytes, over %d" % (len(data), MAX_PACKET)
            )
        if engine.closing():
            raise Closed("not-connected", "the room was left")
        result = engine.session.send_data(engine.driver.now(), self._handles[kind], data)
        engine.drain()
        if result == core.ERR_LIMIT:
            raise Refused("payload-too-large", "the packet is over the limit of the data channel")
        if result < 0 and result != core.ERR_AGAIN:
            raise Closed("not-connected", "the data channel is closed")
        return result
