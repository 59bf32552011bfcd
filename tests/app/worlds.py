# A whole Room with a scripted core session, a server and a machine around it: what
# is open, what was asked, what was told. Real are room, engine, driver, signalling,
# negotiation and everything above.

import asyncio

import fake_time
import native_core  # noqa: F401 (linnet.core wants `_linnet` to be importable)
from answers import DIGEST, HOST, answer_to
from linnet import compat, core, log
from linnet.options import RoomOptions
from linnet.port import Port
from linnet.room import Room
from signal_server import JOIN, SignalServer

UP = (
    (core.STATE, (core.ICE, core.CONNECTED, 0)),
    (core.STATE, (core.DTLS, core.CONNECTED, 0)),
    (core.STATE, (core.SCTP, core.CONNECTED, 0)),
)


def token(**claims):
    """A token whose signature nobody looks at."""
    body = {"iss": "key", "sub": "badge", "exp": fake_time.UNIX_TIME + 600}
    body["video"] = {"roomJoin": True, "room": "hall"}
    body.update(claims)
    parts = [{"alg": "HS256"}, body]
    parts = [compat.b64url_encode(compat.json.dumps(p).encode()).replace("=", "") for p in parts]
    return ".".join(parts + ["c2lnbmF0dXJl"])


class ScriptedSession:
    """linnet.core.Session whose outputs are a list. `on_remote` come after set_remote(), and the channels open after
    them, or later with `opens_channels` False."""

    on_remote = UP
    opens_channels = True

    def __init__(self, entropy, **options):
        self.entropy = len(entropy)
        self.options = options
        self.outputs = [(core.LOCAL, (DIGEST, "ufrg", "p" * 22))]
        self.made = []
        self.wiped = 0
        self.closed = 0
        self.sent = []  # (handle, data)
        self.send_result = 0
        self.body = memoryview(bytearray(64))
        self._fields = None
        self._asked = []  # labels
        self._opened = 0

    def poll(self):
        assert not self.wiped, "the session is used after wipe()"
        if not self.outputs:
            return core.IDLE
        kind, self._fields = self.outputs.pop(0)
        return kind

    def event(self, kind):
        return self._fields

    def body_len(self):
        return 20

    def deadline(self):
        return (fake_time.now_us() + 1000000) & 0x3FFFFFFF

    def input(self, now, kind, data=b""):
        assert not self.wiped, "the session is used after wipe()"
        self.made.append(("input", kind, bytes(data)))
        return 0

    def set_remote(self, *args):
        self.made.append(("set_remote",) + args)
        self.outputs += list(self.on_remote)
        self._open_channels()

    def open_channel(self, now, label, unordered=False, max_retransmits=None, negotiated_id=None):
        self.made.append(("open_channel", label, unordered, max_retransmits, negotiated_id))
        self._asked.append(label)
        self._open_channels()
        return len(self._asked) + 6

    def _open_channels(self):
        if self.on_remote is UP and self.opens_channels and self.named("set_remote"):
            while self._opened < len(self._asked):
                label = self._asked[self._opened]
                self._opened += 1
                self.outputs.append((core.CHANNEL, (self._opened + 6, True, 0, label)))

    def send_data(self, now, handle, data, is_string=False):
        if self.send_result == 0:
            self.sent.append((handle, bytes(data)))
        return self.send_result

    def close(self, now):
        self.closed += 1
        return 0

    def wipe(self):
        self.wiped += 1

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)

        def call(*args):
            self.made.append((name,) + args)
            return 0

        return call

    def named(self, name):
        return [call[1:] for call in self.made if call[0] == name]


class ScriptedAudio:
    rate = 16000

    def __init__(self):
        self.running = 0
        self.fail = None

    def start(self):
        if self.fail is not None:
            raise self.fail
        self.running += 1

    def stop(self):
        self.running = 0

    def capture_into(self, buf):
        return 0

    def play(self, buf):
        return len(buf) // 2

    def play_room(self):
        return 0


class World(SignalServer):
    """Net and server of one Room. `answers` False: the offer stays unanswered."""

    def __init__(self):
        super().__init__(self.greet)
        self.answers = True
        self.publishes = True
        self.change_answer = None
        self.udp_open_now = []
        self.udp_fail_at = None
        self.datagrams = []
        self.callback = None
        self.extra = []
        self.audio = ScriptedAudio()
        self.port = Port(self, fake_time.VirtualClock(), self.audio)
        self.sessions = []
        self.events = []
        self.lines = []
        self.room = Room(self.port)
        self.on_remote = UP
        self.opens_channels = True
        self._emit = self.room.emit
        self.room.emit = self.emit
        self._make = core.Session
        core.Session = self.make_session
        log.set_sink(lambda level, where, text: self.lines.append(where + ": " + text), log.DEBUG)

    def restore(self):
        core.Session = self._make
        log.set_sink(None, log.WARN)

    def make_session(self, entropy, **options):
        session = ScriptedSession(entropy, **options)
        session.on_remote = self.on_remote
        session.opens_channels = self.opens_channels
        self.sessions.append(session)
        return session

    def emit(self, event, *args):
        self.events.append((event, args))
        self._emit(event, *args)

    def names(self):
        names = [name for name, _ in self.events]
        self.events = []
        return names

    # --- the server ---

    def greet(self, request):
        said = [("join", JOIN)]
        if self.publishes:
            for track in request.get("add_track_requests", []):
                info = {"sid": "TR_me", "name": track.get("name", ""), "source": 2}
                info["muted"] = track.get("muted", False)
                said.append(("track_published", {"cid": track["cid"], "track": info}))
        said.append(("refresh_token", "eyJhbGciOiJub25lIn0.second.x"))
        if self.answers:
            offer = request["publisher_offer"]
            text = answer_to(offer["sdp"], candidates=(HOST,))
            text = self.change_answer(text) if self.change_answer else text
            said.append(("answer", {"type": "answer", "sdp": text, "id": offer["id"]}))
        return said + self.extra

    # --- the machine ---

    def local_addresses(self):
        return [bytes((192, 0, 2, 55)), bytes(15) + b"\x01"]

    async def udp_open(self, family, address=None):
        await asyncio.sleep(0)
        if self.udp_fail_at is not None and family == self.udp_fail_at[0]:
            raise self.udp_fail_at[1]
        self.udp_open_now.append(family)
        return bytes(4), 50000 + family

    def udp_send(self, addr, view):
        self.datagrams.append((addr, bytes(view)))
        return True

    def udp_listen(self, callback):
        self.callback = callback
        return True

    def udp_recv_now(self, view):
        return None

    def udp_close(self):
        self.udp_open_now = []

    # --- what is left ---

    def left_open(self):
        """What should not be there when no room is connected."""
        left = []
        if not self.all_closed():
            left.append("a stream")
        if self.udp_open_now:
            left.append("a socket")
        if self.audio.running:
            left.append("the sound device")
        if [session for session in self.sessions if session.wiped != 1]:
            left.append("keys")
        if self.room._engine is not None:
            left.append("an engine")
        return left

    async def join(self, options=None, **claims):
        await self.room.connect("wss://host.test", token(**claims), options or RoomOptions())
        return self
