# One join: signalling, negotiation and the core session, composed.
#
# Room and its participants know LiveKit's objects; the engine knows which
# m-section, SSRC and data channel stand behind them. One peer connection, and
# the client makes every offer (protocol.md 3.2).
#
# What it tells (on_event(name, *args)):
#   "signal" (name, message)     a SignalResponse that is not the engine's own matter
#   "packet" (kind, packet)      a DataPacket; kind is RELIABLE or LOSSY
#   "track" (track_sid, slot)    remote sound of this track plays in this slot; slot None: no longer
#   "heard" (track_sid,)         its first packet has come
#   "step" (name,)               for the timeline: ws, join, ice, dtls, sctp, first_sent, ...
#   "transport" (is_connected,)  the media path came up, or is in doubt
#   "lost" (error,)              the session cannot go on

import asyncio

from . import core
from .channels import LOSSY, RELIABLE, Channels  # noqa: F401 (Room's way to the kinds)
from .compat import rand_bytes
from .driver import Driver
from .errors import Closed, LinnetError, Protocol, Timeout
from .log import INFO, WARN, log
from .media_loop import MediaLoop, make_session
from .negotiation import Negotiation
from .signalling import SignalClient

_MEDIA_TIMEOUT_MS = 15000  # no const(): tests shorten it
_LEAVE_WAIT_MS = 1000  # for a `leave` that a close of the media path has overtaken


class Engine:
    """Made once per join; `connect()` once, `close()` always."""

    def __init__(self, port, options, on_event):
        self.port = port
        self.options = options
        self._on_event = on_event
        audio = port.audio
        chosen = dict(
            rate=audio.rate if audio else 16000,
            remote_tracks=options.remote_tracks,
            bitrate=options.bitrate,
            complexity=options.complexity,
            flags=(core.DTX if options.dtx else 0) | (core.FEC if options.fec else 0),
            playout_delay_ms=options.playout_delay_ms,
            max_message=options.max_message,
            send_buffer=options.send_buffer,
            recv_buffer=options.recv_buffer,
        )
        if port.media_loop:
            self.session = make_session(port, rand_bytes(48), **chosen)
            self.driver = MediaLoop(port, self.session, self._on_core, self._on_driver_failed)
        else:
            self.session = core.Session(rand_bytes(48), **chosen)
            self.driver = Driver(port, self.session, self._on_core, self._on_driver_failed)
        self.signal = SignalClient(port, options, self._on_signal, self._lost)
        self.negotiation = Negotiation(self)
        self.channels = Channels(self)
        self._local = None  # (fingerprint, ufrag, pwd)
        self._has_media = False  # DTLS is up
        self._connected = asyncio.Event()
        self._failure = None
        self._closing = False
        self._ending = None  # the task that waits for the server's reason
        self.join_response = None

    # --- coming and going ---

    async def connect(self, url, token, publish=()):
        """Join: the offer and AddTrackRequests of `publish` ride in the request. Returns the
        JoinResponse once the media path and the data channels are up; raises a LinnetError
        otherwise.

        Sound flows before. The wait for the channels is for what others send: the server calls us
        active from DTLS on, but keeps only some of the packets for a client whose channels it
        has not seen open (reliable ones of a participant), and loses the rest."""
        await self.driver.open()
        if self._local is None:
            raise Protocol("signal", "the core did not describe itself")
        for request in publish:
            self.negotiation.add_microphone(request["cid"])
        offer = self.negotiation.first_offer()
        self.step("start")
        self.join_response = await self.signal.connect(
            url, token, offer, list(publish), self.step
        )
        if self._closing:
            raise self._failure
        self.channels.open_all(self.join_response.get("server_info", {}).get("protocol", 0))
        self.tell("signal", "join", self.join_response)
        self.signal.start()
        if self.port.audio:
            self.driver.start_audio()
        await self._wait_connected()
        return self.join_response

    async def _wait_connected(self):
        try:
            await self.port.clock.wait_for_ms(self._connected.wait(), _MEDIA_TIMEOUT_MS)
        except asyncio.TimeoutError:
            missing = "data channels" if self._has_media else "media path"
            raise Timeout("media-timeout", "no %s within %d s" % (missing, _MEDIA_TIMEOUT_MS // 1000))
        if self._failure is not None:
            raise self._failure

    async def close(self, reason=None):
        """Leave politely if `reason` is given, then stop everything. May be called twice."""
        if self._closing:
            return
        self._closing = True
        if self._failure is None:  # for a connect() that still waits
            self._failure = Closed("not-connected", "the room was left meanwhile")
        self._connected.set()
        if self._ending is not None:
            self._ending.cancel()
        self.channels.on_closed()
        # Whatever happens to us meanwhile, the rest is closed too.
        try:
            if reason is not None:
                await self.signal.leave(reason)
        finally:
            try:
                await self.signal.close()
            finally:
                await self.driver.close()

    def discard(self):
        """Wipe the keys of an engine that never connects."""
        self._closing = True
        self.session.wipe()

    @property
    def failure(self):
        """The error that ended the session, or None."""
        return self._failure

    # --- what Room asks for ---

    def step(self, name):
        self.tell("step", name)

    async def request(self, name, message):
        """Send one SignalRequest."""
        await self.signal.send(name, message)

    def set_muted(self, muted):
        """Stop or resume sending RTP at once; the server is told by Room."""
        self.session.mute(self.driver.now(), muted)

    def set_track_wanted(self, track_sid, wanted):
        """Whether the sound of this remote track is to be played."""
        self.negotiation.set_wanted(track_sid, wanted)

    async def send_packet(self, packet, kind):
        """Send one DataPacket (a dict without `sequence`); waits while the queue is full."""
        await self.channels.send(packet, kind)

    # --- what the core says ---

    def _on_core(self, kind, fields):
        if kind == core.DATA:
            self.channels.on_message(fields[0], fields[2])
        elif kind == core.STATE:
            self._on_state(*fields)
        elif kind == core.LOCAL:
            self._local = fields
        elif kind == core.CHANNEL:
            self.channels.on_state(fields[0], fields[1])
            if self.channels.are_open():
                self._connected.set()
        elif kind == core.SENDABLE:
            self.channels.on_sendable(fields[0])
        elif kind == core.FIRST_SENT:
            self.step("first_sent")
        elif kind == core.FIRST_HEARD:
            sid = self.negotiation.receivers.track_in(fields[0])
            self.step("first_heard")
            if sid:
                self.tell("heard", sid)

    def _on_state(self, layer, state, detail):
        log(INFO, "engine", core.LAYER_NAMES[layer], core.STATE_NAMES[state])
        if state == core.CONNECTED:
            self.step(core.LAYER_NAMES[layer].lower())
        if layer == core.ICE:
            if state == core.FAILED:
                self._lost(Timeout("ice-failed", "no way to the server's media address was found"))
            elif state in (core.CONNECTED, core.DISCONNECTED):
                self.tell("transport", state == core.CONNECTED)
        elif layer == core.DTLS:
            if state == core.CONNECTED:
                self._has_media = True
            elif state == core.FAILED:
                self._lost(_dtls_error(detail))
            elif state == core.CLOSED:
                self._on_media_closed("media path")
        elif layer == core.SCTP:
            if state == core.FAILED:
                self._lost(Protocol("negotiation-failed", "the data association was lost"))
            elif state == core.CLOSED:
                self._on_media_closed("data association")

    def _on_media_closed(self, what):
        """The server ends the media path. Why is in its `leave`, if it sends one, and that comes
        by another connection, perhaps later."""
        if self._ending is None and not self._closing:
            self._ending = asyncio.create_task(self._end_without_leave(what))

    async def _end_without_leave(self, what):
        await self.port.clock.sleep_ms(_LEAVE_WAIT_MS)
        cure = "Connect again; if it repeats, look at the server's log."
        self._lost(Closed("media-failed", "the server closed the " + what, cure))

    # --- what the server says ---

    def _on_signal(self, name, message):
        try:
            if name == "answer":
                self.negotiation.on_answer(message)
            elif name == "trickle":
                self.negotiation.on_trickle(message)
            elif name == "media_sections_requirement":
                self.negotiation.on_requirement(message)
            else:
                if name == "subscription_permission_update":
                    self.negotiation.on_allowed(message)
                self.tell("signal", name, message)
        except LinnetError as error:
            self._lost(error)
        except core.CoreError as error:
            self._lost(Protocol("sdp", "the core does not take what the server says: %s" % error))

    # --- what negotiation needs ---

    def local(self):
        """(fingerprint, ufrag, pwd) of the core."""
        return self._local

    def closing(self):
        return self._closing

    def drain(self):
        self.driver.drain()

    def send_offer(self, sdp, number):
        """Queue an offer for the server; its answer comes as a signal."""
        self.signal.send_soon(
            "offer", {"type": "offer", "sdp": sdp, "id": number}
        )

    def track_playing(self, track_sid, slot):
        self.tell("track", track_sid, slot)

    # --- the end ---

    def _on_driver_failed(self, error):
        if not isinstance(error, LinnetError):
            error = Protocol("media-failed", "the media loop ended: %r" % error)
        self._lost(error)

    def _lost(self, error):
        if self._failure is not None or self._closing:
            return
        self._failure = error
        log(WARN, "engine", "session lost:", error.code)
        self._connected.set()
        self.tell("lost", error)

    def tell(self, name, *args):
        self._on_event(name, *args)


def _dtls_error(detail):
    if detail == core.ERR_AUTH:
        return Protocol(
            "dtls-fingerprint", "the server's certificate is not the one its description promised"
        )
    return Protocol("dtls-failed", "the DTLS handshake failed (core error %d)" % detail)
