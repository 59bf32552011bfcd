"""How a session ends, from both sides and by force: with its reason, once, and with nothing left waiting."""

import asyncio
import os
import signal
import time

import pytest
from livekit import rtc

from linnet.errors import DisconnectReason, LinnetError, RpcError
from tests.e2e.linnet_peer import LinnetPeer
from tests.e2e.test_audio import tone

Reason = rtc.DisconnectReason


def call_api(server, method, **body):
    """A server API call that does not stop the loop in which peers live."""
    return asyncio.get_running_loop().run_in_executor(None, lambda: server.api(f"RoomService/{method}", **body))


async def ended(badge, timeout_s=5):
    """Waits for the end and checks what is true of every end; returns the reason told."""
    reason, = await badge.wait_for_event("disconnected", timeout_s)
    await asyncio.sleep(0.05)
    assert badge.names("disconnected") == ["disconnected"]
    assert badge.names("connection_state_changed", "disconnected") == [
        "connection_state_changed", "connection_state_changed", "disconnected"]
    assert not badge.room.isconnected()
    assert badge.net._sockets == {} and badge.audio.started_at is None
    with pytest.raises(LinnetError) as late:
        await badge.me.publish_data(b"x")
    assert late.value.code == "not-connected"
    return reason


@pytest.mark.asyncio
async def test_we_leave_and_the_reason_is_told(join, linnet, way):
    ann = await join("ann", on=way.server)
    reasons = {DisconnectReason.CLIENT_INITIATED: Reason.CLIENT_INITIATED,
               DisconnectReason.USER_REJECTED: Reason.USER_REJECTED}
    for turn, (given, told) in enumerate(reasons.items()):
        badge = await linnet(f"badge{turn}", way=way)
        await ann.wait_for_participant(badge.identity)
        started = time.monotonic()
        await badge.room.disconnect(given)
        assert await ended(badge) == given
        gone = await ann.wait_until(
            lambda identity=badge.identity: [args[0] for _, name, args in ann.events
                                             if name == "participant_disconnected" and args[0].identity == identity],
            "departure")
        assert gone[0].disconnect_reason == told
        assert time.monotonic() - started < 2
        await badge.room.disconnect()           # a second time is no mistake


@pytest.mark.asyncio
async def test_the_server_removes_us(linnet, server, room_name):
    badge = await linnet("badge")
    await call_api(server, "RemoveParticipant", room=room_name, identity=badge.identity)
    assert await ended(badge) == DisconnectReason.PARTICIPANT_REMOVED
    assert badge.room.disconnect_error.code == "left-participant-removed"


@pytest.mark.asyncio
async def test_the_room_is_deleted(linnet, server, room_name):
    badge = await linnet("badge")
    await call_api(server, "DeleteRoom", room=room_name)
    assert await ended(badge) == DisconnectReason.ROOM_DELETED
    assert badge.room.disconnect_error.code == "left-room-deleted"


@pytest.mark.asyncio
@pytest.mark.parametrize("second", ["wheel", "linnet"])
async def test_somebody_takes_our_identity(join, linnet, second):
    badge = await linnet("badge")
    other = await (join if second == "wheel" else linnet)("badge")
    assert await ended(badge) == DisconnectReason.DUPLICATE_IDENTITY
    assert badge.room.disconnect_error.code == "left-duplicate-identity"
    assert other.identity == badge.identity
    if second == "linnet":
        await other.send(b"still here")
        assert other.room.isconnected()


@pytest.mark.asyncio
async def test_a_killed_server_is_noticed_at_once(start_server, room_name, unique):
    server = start_server()
    async with LinnetPeer() as badge:
        await badge.join(server.url, server.make_token(unique("badge"), room_name))
        token = badge.newest_token()
        started = time.monotonic()
        os.kill(server.pid, signal.SIGKILL)
        reason = await ended(badge)
        print(f"killed server noticed after {1000 * (time.monotonic() - started):.0f} ms")
        assert reason == DisconnectReason.SIGNAL_CLOSE
        assert badge.room.disconnect_error.code == "ws-closed" and badge.room.disconnect_error.cure
        server.kill()
        server.start()
        # The same Room joins again, with the newest token.
        await badge.join(server.url, token)
        assert badge.room.isconnected()


@pytest.mark.asyncio
async def test_a_silent_server_is_noticed_within_the_ping_timeout(start_server, room_name, unique):
    server = start_server()
    async with LinnetPeer() as badge:
        await badge.join(server.url, server.make_token(unique("badge"), room_name))
        link = badge.room._engine.signal
        assert (link._ping_interval_ms, link._ping_timeout_ms) == (5000, 15000)
        badge.room._engine.signal._ping_timeout_ms = 1500       # 15 s are too long for a test
        os.kill(server.pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            reason = await ended(badge, 12)
            took = time.monotonic() - started
        finally:
            os.kill(server.pid, signal.SIGCONT)
        print(f"silent server noticed after {took:.1f} s: {badge.room.disconnect_error!r}")
        assert reason == DisconnectReason.CONNECTION_TIMEOUT
        assert badge.room.disconnect_error.code == "signal-timeout"
        assert took < 11


@pytest.mark.asyncio
async def test_whoever_waits_learns_of_the_end(join, linnet, server, room_name):
    ann = await join("ann")

    called = asyncio.Event()

    async def never(call):
        called.set()
        await asyncio.sleep(30)

    ann.answer_rpc("never", never)
    badge = await linnet("badge")
    calling = asyncio.ensure_future(badge.call_rpc(ann.identity, "never", timeout_s=20))
    await asyncio.wait_for(called.wait(), 5)
    sending = asyncio.ensure_future(badge.send_all(bytes(15000), 100))
    await asyncio.sleep(0)
    await call_api(server, "RemoveParticipant", room=room_name, identity=badge.identity)
    await ended(badge)
    call, ends = await asyncio.wait_for(asyncio.gather(calling, sending, return_exceptions=True), 2)
    assert isinstance(call, RpcError) and call.code == RpcError.ErrorCode.RECIPIENT_DISCONNECTED
    names = {type(end).__name__ for end in ends}
    assert "Closed" in names and names <= {"NoneType", "Closed"}


@pytest.mark.asyncio
async def test_disconnect_from_inside_a_handler(join, linnet):
    ann, badge = await join("ann"), await linnet("badge")

    async def leave(packet):
        await badge.room.disconnect()

    badge.room.on("data_received", leave)
    await ann.wait_for_participant(badge.identity)
    await ann.send(b"go home", to=[badge.identity])
    assert await ended(badge) == DisconnectReason.CLIENT_INITIATED


@pytest.mark.asyncio
async def test_the_newest_token_is_kept_and_good_for_a_join(linnet, server, room_name, unique):
    given = server.make_token(unique("badge"), room_name, attributes={"a": "b"})
    async with LinnetPeer() as badge:
        await badge.join(server.url, given)
        await badge.wait_for_event("token_refreshed")
        first = badge.newest_token()
        assert first != given and first.count(".") == 2
        assert repr(badge.room._engine.signal.token) == "***"
        # The server sends a new one whenever rights change.
        await call_api(server, "UpdateParticipant", room=room_name, identity=badge.identity,
                       permission={"canSubscribe": True, "canPublish": True, "canPublishData": False})
        await badge.wait_until(lambda: badge.newest_token() != first, "a newer token")
        second = badge.newest_token()
        await badge.room.disconnect()
        await badge.join(server.url, second)
        assert badge.identity == unique("badge")
        assert badge.me.permissions.can_publish_data is False


@pytest.mark.asyncio
async def test_a_peer_that_is_removed_is_gone_for_us(join, linnet, server, room_name):
    ann = await join("ann")
    await ann.publish_audio()
    badge = await linnet("badge")
    await badge.wait_for_track(ann.identity)
    badge.audio.queue(tone(600, 16000, 1))
    await call_api(server, "RemoveParticipant", room=room_name, identity=ann.identity)
    participant, = await badge.wait_for_event("participant_disconnected")
    assert participant.identity == ann.identity
    assert participant.disconnect_reason == DisconnectReason.PARTICIPANT_REMOVED
    assert badge.room.remote_participants == {} and badge.room.isconnected()
