# Remote method calls, version 1: request, ack and response as data packets
# (protocol.md 5.1; docs.livekit.io "RPC").

import asyncio

from .compat import const, hexlify, iscoroutine, rand_bytes
from .errors import LinnetError, Refused, RpcError
from .log import INFO, WARN, log

MAX_PAYLOAD = const(15360)  # bytes of UTF-8, each way
MAX_MESSAGE = const(256)  # bytes of an error message
VERSION = 1  # no const(): tests speak another
MAX_CALLS = const(256)  # under way at once, each way

_ACK_TIMEOUT_MS = const(7000)
_RESPONSE_TIMEOUT_MS = const(15000)
_MAX_TIMEOUT_MS = const(3600000)  # MicroPython's timers end well below the wire's 2^32 ms
_MINIMUM_SERVER = (1, 8, 0)

Code = RpcError.ErrorCode


class RpcInvocationData:
    """What a method handler gets. `response_timeout` is in seconds."""

    def __init__(self, request_id, caller_identity, payload, response_timeout, method=""):
        self.request_id = request_id
        self.caller_identity = caller_identity
        self.payload = payload
        self.response_timeout = response_timeout
        self.method = method


class _Call:
    """One call of ours under way."""

    def __init__(self, destination):
        self.destination = destination
        self.acked = asyncio.Event()
        self.done = asyncio.Event()
        self.payload = None
        self.error = None

    def finish(self, payload, error):
        self.payload, self.error = payload, error
        self.acked.set()
        self.done.set()


def cut_utf8(text, limit):
    """`text` with at most `limit` bytes of UTF-8, cut between characters."""
    data = text.encode()
    if len(data) <= limit:
        return text
    while limit > 0 and data[limit] & 0xC0 == 0x80:
        limit -= 1
    return data[:limit].decode()


def _version(text):
    """The first three numbers of a version; what is none counts as 0."""
    numbers = []
    for part in (text.split("-")[0] + ".0.0").split(".")[:3]:
        try:
            numbers.append(int(part))
        except ValueError:
            numbers.append(0)
    return tuple(numbers)


class Rpc:
    """Calls of one Room, both ways."""

    def __init__(self, room):
        self._room = room
        self._methods = {}
        self._calls = {}
        self._answering = 0

    # --- calling ---

    async def perform(self, destination, method, payload, response_timeout=None, latency=None):
        room = self._room
        if len(payload.encode()) > MAX_PAYLOAD:
            raise RpcError(Code.REQUEST_PAYLOAD_TOO_LARGE)
        if room.server_version and _version(room.server_version) < _MINIMUM_SERVER:
            raise RpcError(Code.UNSUPPORTED_SERVER)
        if destination not in room.remote_participants:
            raise RpcError(Code.RECIPIENT_NOT_FOUND)
        if len(self._calls) >= MAX_CALLS:
            raise RpcError(Code.SEND_FAILED, "more than %d calls under way" % MAX_CALLS)
        request_id = _uuid()
        call = self._calls[request_id] = _Call(destination)
        timeout_ms = _milliseconds(response_timeout, _RESPONSE_TIMEOUT_MS)
        ack_ms = _milliseconds(latency, _ACK_TIMEOUT_MS)
        try:
            await self._send_request(request_id, destination, method, payload, timeout_ms)
            await self._wait(call, timeout_ms, ack_ms)
        finally:
            del self._calls[request_id]
        if call.error is not None:
            raise call.error
        return call.payload

    async def _send_request(self, request_id, destination, method, payload, timeout_ms):
        request = {
            "id": request_id,
            "method": method,
            "payload": payload,
            "response_timeout_ms": timeout_ms,
            "version": VERSION,
        }
        try:
            await self._room._data.send({"rpc_request": request}, True, (destination,))
        except LinnetError as error:
            raise RpcError(Code.SEND_FAILED, "Failed to send: " + error.cause)

    async def _wait(self, call, timeout_ms, ack_ms):
        """Both limits count from the request: what the ack took is no extra time for the answer."""
        wait = self._room.port.clock.wait_for_ms

        async def answered():
            await wait(call.acked.wait(), ack_ms)
            await call.done.wait()

        try:
            await wait(answered(), timeout_ms)
        except asyncio.TimeoutError:
            is_acked = call.acked.is_set()
            raise RpcError(Code.RESPONSE_TIMEOUT if is_acked else Code.CONNECTION_TIMEOUT)

    def on_ack(self, ack):
        call = self._calls.get(ack.get("request_id", ""))
        if call is not None:
            call.acked.set()

    def on_response(self, response):
        call = self._calls.get(response.get("request_id", ""))
        if call is None:
            log(INFO, "rpc", "an answer to no call of ours")
            return
        error = response.get("error")
        if error is not None:
            error = RpcError(error.get("code", 0), error.get("message", ""), error.get("data"))
        call.finish(response.get("payload", ""), error)

    def on_participant_gone(self, identity):
        """Calls to somebody who has left fail at once."""
        for call in list(self._calls.values()):
            if call.destination == identity:
                call.finish(None, RpcError(Code.RECIPIENT_DISCONNECTED))

    def on_closed(self):
        for call in list(self._calls.values()):
            call.finish(None, RpcError(Code.RECIPIENT_DISCONNECTED, "The room was left"))

    # --- answering ---

    def register(self, method, handler):
        if handler is None:

            def decorator(function):
                self._methods[method] = function
                return function

            return decorator
        self._methods[method] = handler
        return handler

    def unregister(self, method):
        self._methods.pop(method, None)

    def on_request(self, caller, request):
        if self._answering == 2 * MAX_CALLS:
            log(WARN, "rpc", "dropped a call: too many at once")
            return
        self._answering += 1
        asyncio.create_task(self._answer(caller, request, self._answering > MAX_CALLS))

    async def _answer(self, caller, request, is_too_much):
        request_id = request.get("id", "")
        send = self._room._data.send
        response = {"request_id": request_id}
        try:
            # The ack first: the caller gives up without it, however long the handler takes.
            await send({"rpc_ack": {"request_id": request_id}}, True, (caller,))
            try:
                if is_too_much:
                    raise RpcError(Code.APPLICATION_ERROR, "too many calls at once")
                response["payload"] = await self._invoke(caller, request)
            except RpcError as error:
                response["error"] = _wire_error(error)
            try:
                await send({"rpc_response": response}, True, (caller,))
            except Refused as error:
                if error.code != "payload-too-large":
                    raise
                await send({"rpc_response": _smaller(response)}, True, (caller,))
        except LinnetError as error:
            method = request.get("method", "")
            log(WARN, "rpc", "no answer to", caller, "about", method + ":", error)
        finally:
            self._answering -= 1

    async def _invoke(self, caller, request):
        if request.get("version", 0) != VERSION:
            raise RpcError(Code.UNSUPPORTED_VERSION)
        method = request.get("method", "")
        handler = self._methods.get(method)
        if handler is None:
            raise RpcError(Code.UNSUPPORTED_METHOD)
        timeout_ms = min(request.get("response_timeout_ms", 0) or _RESPONSE_TIMEOUT_MS, _MAX_TIMEOUT_MS)
        data = RpcInvocationData(
            request.get("id", ""), caller, request.get("payload", ""), timeout_ms / 1000, method
        )
        try:
            result = handler(data)
            if iscoroutine(result):
                result = await self._room.port.clock.wait_for_ms(result, timeout_ms)
        except RpcError:
            raise
        except asyncio.TimeoutError:
            raise RpcError(Code.RESPONSE_TIMEOUT)
        except Exception as error:
            log(INFO, "rpc", "the handler of", method, "failed:", repr(error))
            raise RpcError(Code.APPLICATION_ERROR)
        result = "" if result is None else result
        if not isinstance(result, str):
            raise RpcError(Code.APPLICATION_ERROR, "the handler did not answer with text")
        if len(result.encode()) > MAX_PAYLOAD:
            raise RpcError(Code.RESPONSE_PAYLOAD_TOO_LARGE)
        return result


def _milliseconds(seconds, default_ms):
    return default_ms if seconds is None else min(int(seconds * 1000), _MAX_TIMEOUT_MS)


def _smaller(response):
    """What a caller is told instead of a response that the channel does not take."""
    error = response.get("error")
    if error is None:
        error = _wire_error(RpcError(Code.RESPONSE_PAYLOAD_TOO_LARGE))
    return {
        "request_id": response["request_id"],
        "error": {"code": error["code"], "message": error["message"]},
    }


def _wire_error(error):
    code = error.code
    if not isinstance(code, int) or not 0 <= code <= 0xFFFFFFFF:
        log(WARN, "rpc", "an RpcError with a code that cannot be sent:", code)
        code = Code.APPLICATION_ERROR
    wire = {"code": code, "message": cut_utf8(str(error.message), MAX_MESSAGE)}
    if error.data:
        wire["data"] = cut_utf8(str(error.data), MAX_PAYLOAD)
    return wire


def _uuid():
    """A random UUID (RFC 9562 5.4) as text."""
    raw = bytearray(rand_bytes(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = hexlify(raw)
    return "-".join([text[0:8], text[8:12], text[12:16], text[16:20], text[20:]])
