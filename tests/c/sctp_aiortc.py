"""aiortc's SCTP as the other end of a virtual network: an asyncio loop whose time jumps from event to event."""

import asyncio
import random
import selectors
import types

from aiortc import rtcsctptransport
from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters

from sctp_lib import Channels, End, lib


class _NoWait(selectors.DefaultSelector):
    """Instead of waiting, time moves on."""

    def __init__(self):
        super().__init__()
        self.clock = 1.0

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("nothing will ever happen any more")
        if not ready:
            self.clock += max(timeout, 0)
        return ready


def run(scenario):
    """Runs the coroutine function with a loop in virtual time; aiortc's own clock follows it."""
    selector = _NoWait()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.clock
    real = rtcsctptransport.time
    rtcsctptransport.time = types.SimpleNamespace(time=lambda: selector.clock)
    try:
        return loop.run_until_complete(asyncio.wait_for(scenario(), 3000))
    finally:
        rtcsctptransport.time = real
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


class _Dtls:
    """What RTCSctpTransport asks of a DTLS transport."""

    def __init__(self, pair, role):
        self._pair, self._role, self.state, self.receiver = pair, role, "connected", None

    def _register_data_receiver(self, receiver):
        self.receiver = receiver

    def _unregister_data_receiver(self, receiver):
        self.receiver = None

    async def _send_data(self, data):
        self._pair.carry(bytes(data), self._pair.to_us)


class Pair:
    """Our End and Channels against RTCSctpTransport. we_are: "client" or "server" of DTLS."""

    def __init__(self, we_are="client", loss=0.0, delay=0.02, jitter=0.0, seed=1, **config):
        self.loop = asyncio.get_running_loop()
        self.rng, self.loss, self.delay, self.jitter = random.Random(seed), loss, delay, jitter
        self.end = End(seed=seed, **config)
        self.ours = Channels(self.end, 0 if we_are == "client" else 1)
        self.dtls = _Dtls(self, "server" if we_are == "client" else "client")
        self.theirs = rtcsctptransport.RTCSctpTransport(self.dtls)
        self.their_channels = {}  # label: channel
        self.their_messages = []  # (label, str or bytes)
        self.theirs.on("datachannel", self.watch)
        self.timer, self.carried = None, 0

    def watch(self, channel):
        self.their_channels[channel.label] = channel
        channel.on("message", lambda m: self.their_messages.append((channel.label, m)))

    def carry(self, data, deliver):
        self.carried += 1
        if self.rng.random() >= self.loss:
            delay = self.delay + self.rng.random() * self.jitter + 1e-9 * self.carried  # the loop's heap is not stable
            self.loop.call_later(delay, deliver, data)

    def to_us(self, data):
        self.end.now = round(self.loop.time() * 1e6)
        self.end.input(data)
        self.pump()

    def to_them(self, data):
        if self.dtls.receiver:
            asyncio.ensure_future(self.dtls.receiver._handle_data(data))

    def pump(self):
        """The law: drain until idle, then wait for the deadline."""
        self.end.now = round(self.loop.time() * 1e6)
        self.ours.service()
        for raw in self.end.poll():
            self.carry(raw, self.to_them)
        if self.timer:
            self.timer.cancel()
        self.timer = None
        at = lib.linnet_sctp_deadline(self.end.s)
        if at < 2 ** 63:
            self.timer = self.loop.call_later(max(at / 1e6 - self.loop.time(), 0) + 1e-6, self.pump)

    async def start(self, who="both"):
        if who != "theirs":
            self.end.connect()
            self.pump()
        if who != "ours":
            await self.theirs.start(rtcsctptransport.RTCSctpCapabilities(65536), 5000)
        else:  # it never sends INIT of its own accord, but knows the port
            self.theirs._remote_port = 5000
            self.dtls.receiver = self.theirs
            self.theirs._data_channel_id = 1 if self.theirs.is_server else 0

    def create(self, label, **fields):
        """A channel that aiortc opens."""
        negotiated = fields.pop("negotiated", False)
        channel = RTCDataChannel(self.theirs, RTCDataChannelParameters(label=label, negotiated=negotiated, **fields))
        self.watch(channel)
        return channel

    async def until(self, fact, limit_s=600):
        """Lets time pass until the fact holds."""
        end = self.loop.time() + limit_s
        while not fact():
            assert self.loop.time() < end, "never came true"
            await asyncio.sleep(0.01)
            self.pump()
