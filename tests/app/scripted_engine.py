# What negotiation, channels and the room's parts see of an engine, as a record of
# what they asked for.

import asyncio

from answers import DIGEST
from linnet.options import RoomOptions
from linnet.port import Port


class Calls:
    """Any method may be called; `made` is [(name, arguments)] and `results` what they give."""

    def __init__(self, results=None):
        self.made = []
        self.results = results or {}

    def __getattr__(self, name):
        # MicroPython asks for what a class may define beside methods.
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args, **kwargs):
            self.made.append((name, args))
            result = self.results.get(name)
            if isinstance(result, Exception):
                raise result
            return result(*args, **kwargs) if callable(result) else result

        return call

    def named(self, name):
        """The arguments of each call of this name."""
        return [args for called, args in self.made if called == name]


class ScriptedDriver:
    def now(self):
        return 0


class ScriptedEngine:
    def __init__(self, clock=None, **options):
        self.options = RoomOptions(**options)
        self.port = Port(None, clock)
        self.session = Calls()
        self.driver = ScriptedDriver()
        self.signal = Calls({"send_soon": True})
        self.negotiation = Calls()
        self.negotiation.receivers = Calls()
        self.sent = []  # (packet, kind)
        self.offers = []  # (sdp, id)
        self.playing = {}  # sid -> slot
        self.tracks = []  # (sid, slot) as it was told
        self.told = []
        self.drains = 0
        self.is_closing = False
        self.requested = []
        self.request_error = None
        self.muted = None

    def local(self):
        return DIGEST, "ufrg", "p" * 22

    def send_offer(self, sdp, number):
        self.offers.append((sdp, number))

    def track_playing(self, sid, slot):
        self.tracks.append((sid, slot))
        if slot is None:
            self.playing.pop(sid, None)
        else:
            self.playing[sid] = slot

    def tell(self, name, *args):
        self.told.append((name,) + args)

    def drain(self):
        self.drains += 1

    def closing(self):
        return self.is_closing

    def set_muted(self, muted):
        self.muted = muted

    def set_track_wanted(self, sid, wanted):
        self.negotiation.set_wanted(sid, wanted)

    async def send_packet(self, packet, kind):
        self.sent.append((packet, kind))

    async def request(self, name, message):
        await asyncio.sleep(0)
        if self.request_error is not None:
            raise self.request_error
        self.requested.append((name, message))
