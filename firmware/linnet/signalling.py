# The signalling connection: one WebSocket that carries SignalRequest and
# SignalResponse (protocol.md 1, 2).
#
# connect() asks for /rtc/v1 with everything inside the URL, so that JoinResponse,
# TrackPublished and the answer come in the server's first flight. The token goes
# in a header, never in the URL. A refused upgrade is asked for its reason at
# /rtc/v1/validate.

import asyncio

from . import compat, http, records, url as urls, ws
from .compat import const, ticks_diff
from .errors import Closed, LinnetError, Protocol, Refused, Timeout, closed_by_server
from .log import DEBUG, WARN, Secret, log
from .tasks import Tasks

_READ = const(4096)
_VALIDATE_TIMEOUT_MS = const(3000)
_CLOSE_TIMEOUT_MS = const(1000)
_MAX_EARLY = const(64)  # messages taken before the join response; a server sends none or few
_MAX_PING_S = const(120)  # well inside the period of ticks_us, whatever the server says


def join_query(client_info, options, offer, add_tracks):
    """The value of `join_request`: base64url with padding of a WrappedJoinRequest."""
    join = {
        "client_info": client_info,
        "connection_settings": {"auto_subscribe": options.auto_subscribe},
        "add_track_requests": add_tracks,
        "publisher_offer": offer,
    }
    inner = records.encode("JoinRequest", join)
    wrapped = records.encode("WrappedJoinRequest", {"join_request": inner})
    return compat.b64url_encode(wrapped)


def refusal(status, text):
    """The error for an HTTP status of /rtc/v1 or its validate (protocol.md 1.5)."""
    said = "the server answered %d: %s" % (status, text or "no reason given")
    if status == 401 or status == 403:
        return Refused("token-refused", said)
    if status == 404:
        if "room" in text:
            return Refused("room-not-found", said)
        return Refused("no-rtc-v1", said)
    if status == 400:
        return Refused("join-refused", said)
    if status == 503:
        return Refused("server-busy", said)
    if 300 <= status < 400:
        return Refused("http-redirect", said)
    if status < 300:
        return Refused("http", "the server answered %d and opens no WebSocket" % status)
    return Refused("server-error", said)


def _ping_ms(seconds, default):
    return 1000 * min(seconds, _MAX_PING_S) if seconds > 0 else 1000 * default


class SignalClient:
    """One signalling connection. `on_signal(name, message)` gets every SignalResponse that is
    not about the connection itself; `on_lost(error)` the end, once, unless close() caused it."""

    def __init__(self, port, options, on_signal, on_lost):
        self._port = port
        self._options = options
        self._on_signal = on_signal
        self._on_lost = on_lost
        self._ws = None
        self._stream = None
        self._tasks = Tasks("signalling", self._on_failure)
        self._to_write = asyncio.Event()
        self._early = []  # messages that came with the join response
        self._closing = False
        self._heard = 0  # ticks of the last message
        self._ping_interval_ms = 5000
        self._ping_timeout_ms = 15000
        self.token = Secret("")  # the newest one: what a reconnect must use
        self._pinged = None  # (timestamp sent, ticks then) of the ping under way
        self.rtt_ms = 0

    # --- opening ---

    async def connect(self, url, token, offer, add_tracks, step):
        """Open, join, and give the JoinResponse. `step(name)` is called at dns, tcp, tls, ws and
        join. Raises Refused, Timeout, Closed or Protocol with the reason."""
        options = self._options
        query = join_query(options.client_info, options, offer, add_tracks)
        target = urls.parse(url).under("/rtc/v1", (("join_request", query),))
        self.token = Secret(token)
        opening = self._open(target, step)
        try:
            join = await self._port.clock.wait_for_ms(opening, options.connect_timeout_ms)
        except asyncio.TimeoutError:
            self._drop()
            # No chained exception: MicroPython has none.
            raise Timeout("join-timeout", "no answer within %d ms" % options.connect_timeout_ms)
        except BaseException:  # a cancelled join leaves nothing open either
            self._drop()
            raise
        step("join")
        self._ping_interval_ms = _ping_ms(join.get("ping_interval", 0), 5)
        self._ping_timeout_ms = _ping_ms(join.get("ping_timeout", 0), 15)
        return join

    async def _open(self, target, step):
        self._stream = await self._port.net.stream_open(
            target.host, target.port, target.secure, self._options.connect_timeout_ms, step
        )
        if self._closing:
            raise Closed("ws-closed", "the connection was given up")
        bearer = ("Authorization", "Bearer " + self.token.reveal())
        self._ws = ws.WebSocket(target, (bearer,), self._options.max_signal_message)
        await self._flush()
        kind, value = await self._next()
        if kind != ws.OPEN:
            raise await self._why_refused(target, kind, value)
        step("ws")
        while True:
            kind, value = await self._next()
            if kind == ws.CLOSE:
                raise Closed("ws-closed", "the server closed the connection before the join")
            if kind != ws.BINARY:
                continue
            name, message = self._decode(value)
            if name == "join":
                return message
            if name == "leave":
                raise closed_by_server(message.get("reason", 0))
            if len(self._early) == _MAX_EARLY:
                raise Protocol("signal", "the server sends everything but the join response")
            self._early.append((name, message))

    async def _why_refused(self, target, kind, value):
        """The error for an upgrade that did not happen; validate knows the reason best."""
        refused = None
        if kind == ws.REJECTED:
            refused = refusal(value.status, value.text())
        bearer = ("Authorization", "Bearer " + self.token.reveal())
        validate = target.under("/validate").as_http()
        validate.query = target.query
        try:
            response = await http.fetch(
                self._port.net,
                "GET",
                validate,
                (bearer,),
                timeout_ms=_VALIDATE_TIMEOUT_MS,
                clock=self._port.clock,
            )
        except LinnetError as error:
            log(DEBUG, "signalling", "validate did not answer:", error.code)
            return refused or Closed("ws-closed", "the server closed the connection")
        if response.status != 200:
            return refusal(response.status, response.text())
        return refused or Closed("ws-closed", "the server closed the connection")

    # --- the loops ---

    def start(self):
        """Begin to read, write and ping. What came with the join response is told first."""
        self._heard = self._port.clock.ticks_us()
        early, self._early = self._early, []
        for name, message in early:
            self._dispatch(name, message)
        for loop in (self._read_loop, self._write_loop, self._ping_loop):
            self._tasks.start(loop)

    def _on_failure(self, error):
        if not isinstance(error, LinnetError):
            error = Protocol("signal", "a message could not be handled: " + repr(error))
        if not self._closing:
            self._closing = True
            self._on_lost(error)

    async def _read_loop(self):
        while True:
            kind, value = await self._next()
            self._heard = self._port.clock.ticks_us()
            if kind == ws.CLOSE:
                raise Closed("ws-closed", "the server closed the signalling connection")
            if kind == ws.BINARY:
                self._dispatch(*self._decode(value))
            self._to_write.set()  # a ping wants its pong

    async def _write_loop(self):
        # wait_for() may lose a cancellation that meets its own end, so the flag is asked too.
        while not self._closing:
            await self._to_write.wait()
            self._to_write.clear()
            try:
                await self._port.clock.wait_for_ms(self._flush(), self._ping_timeout_ms)
            except asyncio.TimeoutError:
                raise Timeout("signal-timeout", "the server takes no more bytes")

    async def _ping_loop(self):
        clock = self._port.clock
        while True:
            await clock.sleep_ms(self._ping_interval_ms)
            silent_ms = ticks_diff(clock.ticks_us(), self._heard) // 1000
            if silent_ms > self._ping_timeout_ms:
                raise Timeout("signal-timeout", "nothing heard from the server for %d ms" % silent_ms)
            now = clock.ticks_us()
            self._pinged = (now // 1000, now)
            self.send_soon("ping_req", {"timestamp": now // 1000, "rtt": self.rtt_ms})

    async def _next(self):
        """The next WebSocket event."""
        while True:
            event = self._ws.next_event()
            if event is not None:
                return event
            self._ws.feed(await self._open_stream().read(_READ))

    async def _flush(self):
        data = self._ws.take()
        if data:
            await self._open_stream().write(data)

    def _open_stream(self):
        if self._stream is None:
            raise Closed("ws-closed", "the signalling connection is not open")
        return self._stream

    def _is_open(self):
        return self._stream is not None and self._ws is not None and self._ws.is_open

    # --- messages ---

    def _decode(self, data):
        message = records.decode("SignalResponse", data)
        return records.which(message, "message")

    def _dispatch(self, name, message):
        if name is None:
            log(DEBUG, "signalling", "a message of an unknown kind")
        elif name == "refresh_token":
            self.token.wipe()
            self.token = Secret(message)
            self._on_signal("refresh_token", None)
        elif name == "pong_resp":
            pinged = self._pinged
            if pinged is not None and message.get("last_ping_timestamp", 0) == pinged[0]:
                self._pinged = None
                self.rtt_ms = ticks_diff(self._port.clock.ticks_us(), pinged[1]) // 1000
        else:
            self._on_signal(name, message)

    def send_soon(self, name, message):
        """Queue one SignalRequest. After the end it is dropped, and said so in the log."""
        if self._closing or not self._is_open():
            log(WARN, "signalling", "not open: dropped", name)
            return False
        self._ws.send_binary(records.encode("SignalRequest", {name: message}))
        self._to_write.set()
        return True

    async def send(self, name, message):
        """Queue one SignalRequest; Closed("ws-closed") if the connection has ended."""
        if not self.send_soon(name, message):
            raise Closed("ws-closed", "the signalling connection is not open")

    # --- closing ---

    async def leave(self, reason):
        """Tell the server that we go, and why. Never raises: the connection may be gone."""
        if not self._is_open():
            return
        # Also after a loop has ended: a message that we could not read does not break the way out.
        self._ws.send_binary(records.encode("SignalRequest", {"leave": {"reason": reason}}))
        try:
            await self._port.clock.wait_for_ms(self._flush(), _CLOSE_TIMEOUT_MS)
        except (asyncio.TimeoutError, LinnetError) as error:
            log(DEBUG, "signalling", "leave was not sent:", repr(error))

    async def close(self):
        """Close the WebSocket and the stream. May be called twice."""
        self._closing = True
        try:
            await self._tasks.close()
            if self._is_open():
                self._ws.close()
                await self._port.clock.wait_for_ms(self._flush(), _CLOSE_TIMEOUT_MS)
        except (asyncio.TimeoutError, LinnetError) as error:
            log(DEBUG, "signalling", "close frame was not sent:", repr(error))
        finally:
            self._drop()

    def _drop(self):
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self.token.wipe()

