# The server's end of a signalling connection, as linnet.port.Net.stream_open() would
# give it: answers the upgrade, greets with what the test says, keeps what the client
# sends. No time passes in it; each step of a connection is one turn of the loop.

import asyncio

import native_core
from linnet import compat, records
from linnet.errors import Closed
from ws_server import BINARY, CLOSE, answer_101, client_frames, close_payload, frame, request_key

records.bind(native_core.native)

JOIN = {
    "room": {"sid": "RM_1", "name": "hall", "metadata": "m"},
    "participant": {
        "sid": "PA_me",
        "identity": "badge",
        "version": 1,
        "permission": {"can_publish": True, "can_subscribe": True, "can_publish_data": True},
    },
    "server_info": {"version": "1.13.5", "protocol": 17},
    "ping_interval": 5,
    "ping_timeout": 15,
}


class SignalStream:
    """linnet.port.Stream."""

    def __init__(self, server):
        self._server = server
        self._incoming = b""
        self._arrived = asyncio.Event()
        self._ended = None
        self.closed = False

    async def read(self, n):
        while not self._incoming:
            if self.closed or self._ended == "":
                return b""
            if self._ended is not None:
                raise self._ended
            self._arrived.clear()
            await self._arrived.wait()
        data, self._incoming = self._incoming[:n], self._incoming[n:]
        return data

    async def write(self, data):
        await asyncio.sleep(0)
        if self._server.takes_nothing:
            await asyncio.Event().wait()
        if self._ended is not None or self.closed:
            raise Closed("ws-closed", "the connection is broken")
        self._server.on_bytes(self, bytes(data))

    def close(self):
        self.closed = True
        self._arrived.set()

    def deliver(self, data):
        self._incoming += data
        self._arrived.set()

    def end(self, error=""):
        """The stream ends, or breaks with an error."""
        self._ended = error
        self._arrived.set()


class SignalServer:
    """`refuse` and `validate` are (status, text) of the upgrade and of /validate, None for 101 and
    for no answer at all. `greeting` are (name, message) pairs, or bytes to send as they are, or a
    function of the JoinRequest that gives them."""

    def __init__(self, greeting=None, refuse=None, validate=(200, "success")):
        self.greeting = [("join", JOIN)] if greeting is None else greeting
        self.refuse = refuse
        self.validate = validate
        self.takes_nothing = False
        self.silent = False
        self.fail = None  # what stream_open() raises
        self.streams = []
        self.opened = []  # (host, port, tls)
        self.heads = []  # requests as text
        self.requests = []  # (name, message) of what the client said
        self.closed_with = None
        self.on_request = None
        self._ws = None

    # --- Net ---

    async def stream_open(self, host, port, tls, timeout_ms, on_step=None):
        self.opened.append((host, port, tls))
        for step in ("dns", "tcp") + (("tls",) if tls else ()):
            await asyncio.sleep(0)
            if on_step:
                on_step(step)
        if self.fail is not None:
            raise self.fail
        self.streams.append(SignalStream(self))
        return self.streams[-1]

    # --- the client's bytes ---

    def on_bytes(self, stream, data):
        if stream is self._ws:
            for opcode, payload in client_frames(data):
                self._on_frame(opcode, payload)
            return
        self.heads.append(data.decode())
        path = data.decode().split(" ")[1]
        if "/validate?" in path:
            if self.validate is not None:
                stream.deliver(response(*self.validate))
        elif self.silent:
            pass
        elif self.refuse is not None:
            stream.deliver(response(*self.refuse))
        else:
            self._ws = stream
            stream.deliver(answer_101(request_key(data)))
            greeting = self.greeting
            for piece in greeting(self.join_request()[0]) if callable(greeting) else greeting:
                self.raw(piece) if isinstance(piece, bytes) else self.say(*piece)

    def _on_frame(self, opcode, payload):
        if opcode == BINARY:
            message = records.decode("SignalRequest", payload)
            name, value = records.which(message, "message")
            self.requests.append((name, value))
            if self.on_request is not None:
                self.on_request(name, value)
        elif opcode == CLOSE:
            self.closed_with = payload
        else:
            self.requests.append((opcode, payload))

    # --- what the server says ---

    def say(self, name, message):
        wire = records.encode("SignalResponse", {name: message})
        self._ws.deliver(frame(BINARY, wire))

    def raw(self, data):
        self._ws.deliver(data)

    def close_frame(self, code=1000):
        self._ws.deliver(frame(CLOSE, close_payload(code)))

    def end(self, error=""):
        self._ws.end(error)

    # --- what the client said ---

    def asked(self, name):
        """The messages of one kind."""
        return [message for kind, message in self.requests if kind == name]

    def join_request(self):
        """(JoinRequest, compression) of the upgrade request."""
        target = self.heads[-1].split(" ")[1]
        query = target[target.index("?") + 1 :]
        for pair in query.split("&"):
            name, _, value = pair.partition("=")
            if name == "join_request":
                wrapped = compat.b64url_decode(value.replace("%3D", "="))
                wrapped = records.decode("WrappedJoinRequest", wrapped)
                inner = records.decode("JoinRequest", wrapped["join_request"])
                return inner, wrapped.get("compression", 0)
        raise AssertionError("no join_request in " + target)

    def all_closed(self):
        return [stream.closed for stream in self.streams] == [True] * len(self.streams)


def response(status, text):
    body = text.encode()
    head = "HTTP/1.1 %d Reason\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
    return (head % (status, len(body))).encode() + body
