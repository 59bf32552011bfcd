"""Tokens that are refused and servers that misbehave: each a documented code, within its limit, nothing left behind."""

import asyncio
import contextlib
import gc
import re
import time

import pytest
from livekit.protocol import rtc as proto

from linnet.errors import CURES, Closed, DisconnectReason, LinnetError, Protocol, Refused, Timeout
from tests.e2e.linnet_peer import LinnetPeer
from tests.e2e.lying_server import LyingProxy, RawServer, http_answer
from tests.e2e.tls_front import CERTIFICATES
from tests.e2e.tokens import bad_tokens


@contextlib.asynccontextmanager
async def nothing_left(process):
    """Tasks and handles are the same afterwards."""
    async def look():
        await asyncio.sleep(0.05)
        gc.collect()
        return process.state()
    before = await look()
    yield
    after = await look()
    for _ in range(40):     # the other side, in the same process, ends in its own time
        if after == before:
            break
        after = await look()
    assert after == before


async def failure(url, token, *, within_s=2.0, media_timeout_ms=15000, ca_file=None, know_the_time=True, **options):
    """The LinnetError with which a join ends; it must come in time and leave nothing behind."""
    async with LinnetPeer(ca_file=ca_file, know_the_time=know_the_time) as badge, nothing_left(badge.process):
        with badge.constant("linnet.engine", "_MEDIA_TIMEOUT_MS", media_timeout_ms) as usual:
            assert usual == 15000
            error, took = await failed_join(badge, url, token, within_s, options)
    print(f"{error.code} after {1000 * took:.0f} ms: {error}")
    assert took < within_s
    assert error.code in CURES and error.cure and error.cause
    assert token not in str(error) and "eyJ" not in str(error)
    return error


async def failed_join(badge, url, token, within_s, options):
    """(the error, seconds)"""
    started = time.monotonic()
    with pytest.raises(LinnetError) as failed:
        await asyncio.wait_for(badge.join(url, token, **options), within_s + 5)
    took = time.monotonic() - started
    assert badge.net._sockets == {} and badge.audio.started_at is None
    assert not badge.room.isconnected() and badge.names("connected") == []
    failed.value.__traceback__ = None
    return failed.value, took


# --- tokens ---

BAD_TOKENS = {
    "expired": "token-expired", "not yet valid": "token-not-yet-valid", "unknown key": "token-refused",
    "wrong secret": "token-refused", "changed signature": "token-refused", "algorithm none": "token-malformed",
    "no roomJoin": "missing-grant", "no video grant": "missing-grant", "two parts only": "token-malformed",
    "not a token": "token-malformed"}


@pytest.mark.asyncio
@pytest.mark.parametrize("what", BAD_TOKENS)
async def test_a_bad_token_is_refused(server, room_name, unique, what):
    tokens = bad_tokens(server, unique("badge"), room_name)
    assert set(tokens) == set(BAD_TOKENS)
    error = await failure(server.url, tokens[what])
    assert type(error) is Refused and error.code == BAD_TOKENS[what]


@pytest.mark.asyncio
async def test_a_device_without_a_clock_leaves_the_dates_to_the_server(server, room_name, unique):
    tokens = bad_tokens(server, unique("badge"), room_name)
    for what in ("expired", "not yet valid"):
        error = await failure(server.url, tokens[what], know_the_time=False)
        assert type(error) is Refused and error.code == "token-refused"


@pytest.mark.asyncio
async def test_metadata_without_the_grant_and_a_name_too_long_are_refused(server, room_name):
    error = await failure(server.url, server.make_token("x" * 5000, room_name))
    assert type(error) is Refused and error.code == "join-refused"


@pytest.mark.asyncio
async def test_a_room_that_must_exist_first(start_server, unique):
    strict = start_server(extra={"room": {"auto_create": False}})
    error = await failure(strict.url, strict.make_token(unique("badge"), "nowhere"))
    assert type(error) is Refused and error.code == "room-not-found"


# --- addresses and certificates ---


@pytest.mark.asyncio
@pytest.mark.parametrize("url, code", [
    ("ftp://127.0.0.1", "bad-url-scheme"), ("127.0.0.1:7880", "bad-url-scheme"), ("", "bad-url-scheme"),
    ("ws://", "bad-url"), ("ws://127.0.0.1:99999", "bad-url"), ("ws://user:hunter2@127.0.0.1", "bad-url"),
    ("ws://127.0.0.1:9", "host-unreachable"), ("ws://nobody.invalid", "name-not-resolved")])
async def test_a_bad_address(server, room_name, url, code):
    error = await failure(url, server.make_token("badge", room_name), within_s=5)
    assert type(error) is Refused and error.code == code
    assert "hunter2" not in str(error)


@pytest.mark.asyncio
@pytest.mark.parametrize("certificate", CERTIFICATES[1:])
async def test_a_bad_certificate(start_tls_front, server, room_name, certificate):
    front = start_tls_front(certificate=certificate)
    error = await failure(front.url, server.make_token("badge", room_name), ca_file=front.ca_path)
    assert type(error) is Refused and error.code == "tls-refused"
    assert "certificate" in error.cause.lower() or "verif" in error.cause.lower()
    assert front.accepted == 0


@pytest.mark.asyncio
async def test_an_authority_of_our_own_must_be_named(tls_front, server, room_name):
    error = await failure(tls_front.url, server.make_token("badge", room_name))
    assert error.code == "tls-refused"


@pytest.mark.asyncio
async def test_tls_to_a_server_without_it_and_the_other_way_round(server, tls_front, room_name, unique):
    token = server.make_token(unique("badge"), room_name)
    error = await failure(server.url.replace("ws:", "wss:"), token, within_s=5)
    assert type(error) is Refused and error.code == "tls-refused"
    error = await failure(tls_front.url.replace("wss:", "ws:"), token, within_s=5)
    assert error.code in ("ws-closed", "http", "ws")


# --- HTTP ---


@pytest.mark.asyncio
@pytest.mark.parametrize("answer, kind, code", [
    (http_answer(404, "Not Found", b"404 page not found"), Refused, "no-rtc-v1"),
    (http_answer(404, "Not Found", b"requested room does not exist"), Refused, "room-not-found"),
    (http_answer(401, "Unauthorized", b"no permissions to access the room"), Refused, "token-refused"),
    (http_answer(400, "Bad Request", b"identity too long"), Refused, "join-refused"),
    (http_answer(503, "Service Unavailable"), Refused, "server-busy"),
    (http_answer(500, "Internal Server Error", b"panic"), Refused, "server-error"),
    (http_answer(302, "Found", b"", "Location: http://elsewhere/"), Refused, "http-redirect"),
    (http_answer(200, "OK", b"<html>a web page</html>"), Refused, "http"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", Protocol, "http"),
    (b"\x15\x03\x01\x00\x02\x02\x46", Protocol, "http"),
    (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
     b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n", Protocol, "ws"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100000, Protocol, "http-too-large"),
    (b"", Closed, "ws-closed"),
], ids=["404", "404 room", "401", "400", "503", "500", "302", "200", "ssh", "tls alert", "wrong accept", "endless head",
        "nothing"])
async def test_something_that_is_no_livekit_server(server, room_name, answer, kind, code):
    async with RawServer(answer) as raw:
        error = await failure(raw.url, server.make_token("badge", room_name), within_s=5)
        assert isinstance(error, kind)
        assert error.code == code
        assert raw.requests[0].startswith(b"GET /rtc/v1?join_request=")
        assert b"token" not in raw.requests[0]


@pytest.mark.asyncio
@pytest.mark.parametrize("secure", [False, True])
async def test_a_server_that_never_answers(server, room_name, secure):
    async with RawServer(b"", then="wait") as raw:
        url = raw.url.replace("ws:", "wss:") if secure else raw.url
        error = await failure(url, server.make_token("badge", room_name), connect_timeout_ms=600)
        assert type(error) is Timeout and error.code in (["connect-timeout"] if secure else []) + ["join-timeout"]


# --- WebSocket and signalling ---


def only(name, instead):
    """A change of the messages of that name."""
    return lambda got, message: instead(message) if got == name else message


@pytest.mark.asyncio
@pytest.mark.parametrize("instead, kind, code", [
    (lambda message: b"\xff\xff\xff\xff", Protocol, "protobuf"),
    (lambda message: message.SerializeToString()[:-3], Protocol, "protobuf"),
    (lambda message: '{"join": {}}', Timeout, "join-timeout"),
    (lambda message: None, Timeout, "join-timeout"),
    (lambda message: b"", Timeout, "join-timeout"),
    (lambda message: bytes(300000), Protocol, "ws-too-large"),
    (lambda message: proto.SignalResponse(leave=proto.LeaveRequest(reason=DisconnectReason.JOIN_FAILURE)),
     Closed, "left-join-failure"),
], ids=["garbage", "truncated", "text", "silence", "empty", "too large", "leave"])
async def test_the_join_is_answered_with_something_else(server, room_name, unique, instead, kind, code):
    async with LyingProxy(server, only("join", instead)) as proxy:
        error = await failure(proxy.url, server.make_token(unique("badge"), room_name), connect_timeout_ms=800)
    assert isinstance(error, kind) and error.code == code


def other_fingerprint(message):
    changed = re.sub(r"(a=fingerprint:sha-256 )(..)", lambda found: found[1] + ("00" if found[2] != "00" else "01"),
                     message.answer.sdp)
    assert changed != message.answer.sdp
    message.answer.sdp = changed
    return message


def answer_sdp(change):
    def instead(message):
        message.answer.sdp = change(message.answer.sdp)
        return message
    return only("answer", instead)


@pytest.mark.asyncio
async def test_a_certificate_that_is_not_the_promised_one_ends_the_join(server, room_name, unique):
    async with LyingProxy(server, only("answer", other_fingerprint)) as proxy:
        error = await failure(proxy.url, server.make_token(unique("badge"), room_name))
    assert type(error) is Protocol and error.code == "dtls-fingerprint"


@pytest.mark.asyncio
@pytest.mark.parametrize("change", [
    lambda sdp: "", lambda sdp: "hello", lambda sdp: sdp[:len(sdp) // 3], lambda sdp: "v=0\r\n" * 1000,
    lambda sdp: sdp.replace("a=ice-pwd:", "a=ice-pw:"), lambda sdp: sdp.replace("sha-256 ", "sha-256 ZZ:"),
    lambda sdp: sdp.replace("a=setup:active", "a=setup:holdconn"), lambda sdp: sdp.replace("opus/48000", "PCMU/8000"),
], ids=["empty", "no sdp", "cut", "repeated", "no password", "no fingerprint", "no role", "no opus"])
async def test_an_answer_that_does_not_parse(server, room_name, unique, change):
    async with LyingProxy(server, answer_sdp(change)) as proxy:
        error = await failure(proxy.url, server.make_token(unique("badge"), room_name))
    assert type(error) is Protocol and error.code == "sdp"


@pytest.mark.asyncio
async def test_a_candidate_that_does_not_parse(server, room_name, unique):
    def instead(message):
        message.trickle.candidateInit = "{candidate"
        return message
    async with LyingProxy(server, only("trickle", instead)) as proxy:
        error = await failure(proxy.url, server.make_token(unique("badge"), room_name))
    assert type(error) is Protocol and error.code == "sdp"


def without_candidates(name, message):
    if name == "trickle":
        return None
    if name == "answer":
        message.answer.sdp = re.sub(r"a=candidate:.*\r\n", "", message.answer.sdp)
    return message


@pytest.mark.asyncio
async def test_no_way_to_the_servers_media_ends_the_join_within_its_limit(server, room_name, unique):
    def unreachable(name, message):
        if name == "trickle":
            # Another port: nobody answers there.
            message.trickle.candidateInit = re.sub(r"(candidate:\S+ \d+ \S+ \d+ \S+) \d+", r"\1 9",
                                                   message.trickle.candidateInit)
        return without_candidates(name, message) if name == "answer" else message
    async with LyingProxy(server, unreachable) as proxy:
        error = await failure(proxy.url, server.make_token(unique("badge"), room_name), within_s=16.5)
    assert type(error) is Timeout and error.code in ("ice-failed", "media-timeout")


@pytest.mark.asyncio
@pytest.mark.parametrize("change", [without_candidates, only("answer", lambda message: None)],
                         ids=["no candidates", "no answer"])
async def test_a_media_path_that_never_comes_up(server, room_name, unique, change):
    async with LyingProxy(server, change) as proxy:
        error = await failure(proxy.url, server.make_token(unique("badge"), room_name), within_s=2.5,
                              media_timeout_ms=1500)
    assert type(error) is Timeout and error.code in ("ice-failed", "media-timeout")


@pytest.mark.asyncio
async def test_what_nobody_knows_is_ignored(server, room_name, unique):
    """A newer server sends messages and fields that did not exist; a text frame is nobody's business either."""
    unknown = b"\xa2\x3f\x03abc"        # field 1012
    def more(name, message):
        return [unknown, "text", message.SerializeToString() + unknown, b""]
    async with LyingProxy(server, more) as proxy, LinnetPeer() as badge:
        await badge.join(proxy.url, server.make_token(unique("badge"), room_name))
        await badge.send(b"hello")
        assert badge.room.isconnected()


@pytest.mark.asyncio
async def test_garbage_in_the_middle_of_a_session_ends_it_aloud(server, room_name, unique, join):
    ann = await join("ann")
    async with LyingProxy(server, only("room_update", lambda message: b"\xff\xff\xff\xff")) as proxy:
        async with LinnetPeer() as badge:
            await badge.join(proxy.url, server.make_token(unique("badge"), room_name))
            await ann.wait_for_participant(badge.identity)
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, lambda: server.api("RoomService/UpdateRoomMetadata", room=room_name,
                                                                metadata="x"))
            await badge.wait_for_event("disconnected")
            assert badge.room.disconnect_error.code == "protobuf"
            await ann.wait_for_event("participant_disconnected")


@pytest.mark.asyncio
async def test_a_storm_of_requirements_is_not_answered_with_a_storm_of_offers(server, room_name, unique):
    def pushy(name, message):
        if name in ("answer", "update", "refresh_token"):
            need = proto.MediaSectionsRequirement(num_audios=1)
            return [message] + [proto.SignalResponse(media_sections_requirement=need)] * 50
        return message
    async with LyingProxy(server, pushy) as proxy, LinnetPeer() as badge:
        await badge.join(proxy.url, server.make_token(unique("badge"), room_name))
        await asyncio.sleep(0.5)
        print(f"hundreds of requirements: {badge.offers} offers")
        assert badge.offers <= 1 + 2 * 3
        assert badge.room.isconnected()


@pytest.mark.asyncio
@pytest.mark.parametrize("asked_for", [0, 1])
async def test_a_server_that_never_has_enough_sections_does_not_get_them_for_ever(join, server, room_name, unique,
                                                                                 asked_for):
    """The storm of protocol.md 11: a wanted track that no answer brings, and a requirement after every answer."""
    def never_enough(name, message):
        if name != "answer":
            return message
        message.answer.sdp = re.sub(r"a=(msid|ssrc):.*\r\n", "", message.answer.sdp)
        message.answer.mid_to_track_id.clear()
        need = proto.MediaSectionsRequirement(num_audios=asked_for)
        return [message, proto.SignalResponse(media_sections_requirement=need)]
    ann = await join("ann")
    await ann.publish_audio()
    async with LyingProxy(server, never_enough) as proxy, LinnetPeer() as badge:
        await badge.join(proxy.url, server.make_token(unique("badge"), room_name), remote_tracks=2)
        await badge.wait_until(lambda: badge.room._engine.negotiation._wanted, "a wanted track")
        await asyncio.sleep(0.7)
        sections = len(badge.room._engine.negotiation.local.sections)
        print(f"requirement {asked_for} after every answer: {badge.offers} offers, {sections} sections")
        assert badge.offers <= 8
        assert sections <= 2 + 2 * 2
        assert badge.room.isconnected()
