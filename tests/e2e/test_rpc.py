"""Remote method calls between Linnet and LiveKit's own SDK, both ways: answers, and every error code there is."""

import asyncio
import time

import pytest
from livekit import rtc

from linnet.errors import RpcError
from linnet.rpc import MAX_PAYLOAD
from tests.e2e.peers import AgentProcess

Code = RpcError.ErrorCode
LIMIT_TEXT = "ü" * (MAX_PAYLOAD // 2)           # exactly the limit, in bytes


async def pair(linnet, join, **options):
    """(badge, ann), each knowing the other."""
    # The server tells three seconds late about one who publishes nothing: so ours, with its microphone, is second.
    ann, badge = await join("ann"), await linnet("badge", **options)
    await asyncio.gather(badge.wait_for_participant(ann.identity), ann.wait_for_participant(badge.identity))
    return badge, ann


async def failure_of(call):
    """The error that a call ends with: of ours or of the wheel, which have the same fields."""
    with pytest.raises((RpcError, rtc.RpcError)) as failed:
        await call
    return failed.value


@pytest.mark.asyncio
async def test_answers_pass_both_ways(join, linnet, way):
    ann, badge = await join("ann", on=way.server), await linnet("badge", way=way)
    await asyncio.gather(badge.wait_for_participant(ann.identity), ann.wait_for_participant(badge.identity))
    seen = []

    @badge.me.register_rpc_method("shout")
    def shout(call):
        seen.append((call.caller_identity, call.payload, call.response_timeout, bool(call.request_id)))
        return call.payload.upper()

    async def whisper(call):
        await asyncio.sleep(0.01)
        return call.payload.lower()

    badge.answer_rpc("whisper", whisper)
    ann.answer_rpc("echo", lambda call: call.caller_identity + ":" + call.payload)
    assert await ann.call_rpc(badge.identity, "shout", "grüße") == "GRÜSSE"
    assert seen[0][:2] == (ann.identity, "grüße") and seen[0][3] and 0 < seen[0][2] <= 8
    assert await ann.call_rpc(badge.identity, "whisper", "HUSH") == "hush"
    assert await badge.call_rpc(ann.identity, "echo", "grüße") == badge.identity + ":grüße"
    assert await badge.call_rpc(ann.identity, "echo") == badge.identity + ":"


@pytest.mark.asyncio
async def test_the_largest_payloads_pass_both_ways(join, linnet):
    badge, ann = await pair(linnet, join)
    badge.answer_rpc("echo", lambda call: call.payload)
    ann.answer_rpc("echo", lambda call: call.payload)
    assert await badge.call_rpc(ann.identity, "echo", LIMIT_TEXT) == LIMIT_TEXT
    assert await ann.call_rpc(badge.identity, "echo", LIMIT_TEXT) == LIMIT_TEXT


@pytest.mark.asyncio
async def test_a_hundred_calls_are_in_flight_each_way(join, linnet, way):
    ann, badge = await join("ann", on=way.server), await linnet("badge", way=way)
    await asyncio.gather(badge.wait_for_participant(ann.identity), ann.wait_for_participant(badge.identity))
    running = {"badge": 0, "ann": 0}
    all_there = {"badge": asyncio.Event(), "ann": asyncio.Event()}

    def answer(name):
        async def handler(call):
            running[name] += 1
            if running[name] == 100:
                all_there[name].set()
            await asyncio.wait_for(all_there[name].wait(), 8)   # nobody is answered before the hundredth has come
            return f"{name} {call.payload}"
        return handler

    badge.answer_rpc("meet", answer("badge"))
    ann.answer_rpc("meet", answer("ann"))
    started = time.monotonic()
    answers = await asyncio.gather(
        *(badge.call_rpc(ann.identity, "meet", str(i), 10) for i in range(100)),
        *(ann.call_rpc(badge.identity, "meet", str(i), 10) for i in range(100)))
    print(f"200 calls over {way}, 100 each way at once: {time.monotonic() - started:.2f} s")
    assert answers == [f"ann {i}" for i in range(100)] + [f"badge {i}" for i in range(100)]
    assert badge.room._rpc._calls == {} and badge.room._rpc._answering == 0


@pytest.mark.asyncio
async def test_errors_that_a_wheel_peer_answers_reach_linnets_caller(join, linnet):
    badge, ann = await pair(linnet, join)

    async def custom(call):
        raise rtc.RpcError(4711, "not today", call.payload)

    def broken(call):
        raise ValueError("secret details")

    async def slow(call):
        await asyncio.sleep(30)

    ann.answer_rpc("custom", custom)
    ann.answer_rpc("broken", broken)
    ann.answer_rpc("slow", slow)
    ann.answer_rpc("long", lambda call: LIMIT_TEXT + "u")
    got = {
        name: await failure_of(badge.call_rpc(ann.identity, name, "why", timeout_s))
        for name, timeout_s in (("custom", 5), ("broken", 5), ("slow", 1.0), ("long", 5), ("nobody_wrote_this", 5))}
    print({name: (error.code, error.message) for name, error in got.items()})
    assert {name: error.code for name, error in got.items()} == {
        "custom": 4711, "broken": Code.APPLICATION_ERROR, "slow": Code.RESPONSE_TIMEOUT,
        "long": Code.RESPONSE_PAYLOAD_TOO_LARGE, "nobody_wrote_this": Code.UNSUPPORTED_METHOD}
    assert (got["custom"].message, got["custom"].data) == ("not today", "why")
    assert "secret" not in str(got["broken"])
    assert all(str(error) for error in got.values())


@pytest.mark.asyncio
async def test_errors_that_linnet_answers_reach_a_wheel_caller(join, linnet):
    badge, ann = await pair(linnet, join)

    def custom(call):
        raise RpcError(4711, "not today", call.payload)

    async def broken(call):
        raise ValueError("secret details")

    async def slow(call):
        await asyncio.sleep(30)

    badge.answer_rpc("custom", custom)
    badge.answer_rpc("broken", broken)
    badge.answer_rpc("slow", slow)
    badge.answer_rpc("long", lambda call: LIMIT_TEXT + "u")
    badge.answer_rpc("number", lambda call: 42)
    got = {
        name: await failure_of(ann.call_rpc(badge.identity, name, "why", timeout_s))
        for name, timeout_s in (("custom", 5), ("broken", 5), ("slow", 1.0), ("long", 5), ("number", 5),
                                ("nobody_wrote_this", 5))}
    print({name: (error.code, error.message) for name, error in got.items()})
    assert {name: error.code for name, error in got.items()} == {
        "custom": 4711, "broken": Code.APPLICATION_ERROR, "slow": Code.RESPONSE_TIMEOUT,
        "long": Code.RESPONSE_PAYLOAD_TOO_LARGE, "number": Code.APPLICATION_ERROR,
        "nobody_wrote_this": Code.UNSUPPORTED_METHOD}
    assert (got["custom"].message, got["custom"].data) == ("not today", "why")
    assert "secret" not in got["broken"].message


@pytest.mark.asyncio
async def test_an_answer_over_the_limit_of_the_channel_is_told_at_once(join, linnet):
    badge, ann = await pair(linnet, join, options={"send_buffer": 8192})

    def refuse(call):
        raise RpcError(2000, "no", LIMIT_TEXT)

    badge.answer_rpc("long", lambda call: LIMIT_TEXT)
    badge.answer_rpc("refuse", refuse)
    badge.answer_rpc("short", lambda call: "fits")
    started = time.monotonic()
    errors = [await failure_of(ann.call_rpc(badge.identity, name, timeout_s=10)) for name in ("long", "refuse")]
    assert [error.code for error in errors] == [Code.RESPONSE_PAYLOAD_TOO_LARGE, 2000]
    assert await ann.call_rpc(badge.identity, "short") == "fits"
    assert time.monotonic() - started < 3


@pytest.mark.asyncio
async def test_long_error_texts_are_cut_at_a_character(join, linnet):
    badge, ann = await pair(linnet, join)

    def refuse(call):
        raise RpcError(2000, "ü" * 200, "ü" * MAX_PAYLOAD)

    badge.answer_rpc("refuse", refuse)
    error = await failure_of(ann.call_rpc(badge.identity, "refuse"))
    assert (error.code, error.message, error.data) == (2000, "ü" * 128, "ü" * (MAX_PAYLOAD // 2))


@pytest.mark.asyncio
async def test_what_cannot_be_sent_fails_before_it_is_sent(join, linnet):
    badge, ann = await pair(linnet, join)
    nobody = await failure_of(badge.call_rpc("nobody", "echo"))
    too_large = await failure_of(badge.call_rpc(ann.identity, "echo", LIMIT_TEXT + "u"))
    wheel_too_large = await failure_of(ann.call_rpc(badge.identity, "echo", LIMIT_TEXT + "u"))
    me, room = badge.me, badge.room
    await room.disconnect()
    after = await failure_of(me.perform_rpc(ann.identity, "echo", ""))
    assert [one.code for one in (nobody, too_large, wheel_too_large, after)] == [
        Code.RECIPIENT_NOT_FOUND, Code.REQUEST_PAYLOAD_TOO_LARGE, Code.REQUEST_PAYLOAD_TOO_LARGE, Code.SEND_FAILED]


@pytest.mark.asyncio
async def test_a_device_that_may_not_send_data_has_its_call_fail(join, linnet):
    badge, ann = await pair(linnet, join, can_publish_data=False)
    error = await failure_of(badge.call_rpc(ann.identity, "echo"))
    assert error.code == Code.SEND_FAILED and "canPublishData" in error.message


@pytest.mark.asyncio
async def test_an_old_server_is_told_apart(join, linnet):
    badge, ann = await pair(linnet, join)
    ann.answer_rpc("echo", lambda call: call.payload)
    for version, works in (("1.7.9", False), ("0.15.7", False), ("1.8.0", True), ("1.10.0-rc1", True)):
        badge.room.server_version = version
        if works:
            assert await badge.call_rpc(ann.identity, "echo", version) == version
        else:
            assert (await failure_of(badge.call_rpc(ann.identity, "echo"))).code == Code.UNSUPPORTED_SERVER


@pytest.mark.asyncio
async def test_another_version_of_rpc_is_refused_both_ways(join, linnet):
    badge, ann = await pair(linnet, join)
    other = await linnet("other")
    await other.wait_for_participant(badge.identity)
    called = []
    for peer in (ann, badge):
        peer.answer_rpc("echo", lambda call: called.append(call) or "")
    with other.constant("linnet.rpc", "VERSION", 9):
        # A caller of version 9, and a callee of the wheel: the answer is the wheel's.
        assert (await failure_of(other.call_rpc(ann.identity, "echo"))).code == Code.UNSUPPORTED_VERSION
    answers = []
    other.room._rpc.on_response = answers.append
    await other.room._data.send(
        {"rpc_request": {"id": "nine", "method": "echo", "payload": "", "response_timeout_ms": 5000, "version": 9}},
        True, (badge.identity,))
    await other.wait_until(lambda: answers, "an answer")
    assert (answers[0]["request_id"], answers[0]["error"]["code"]) == ("nine", Code.UNSUPPORTED_VERSION)
    assert called == []


@pytest.mark.asyncio
async def test_silence_ends_at_the_limit(linnet):
    deaf, slow, badge = await linnet("deaf"), await linnet("slow"), await linnet("badge")
    deaf.room._rpc.on_request = lambda *_: None
    answer = asyncio.Event()

    async def never(call):
        await answer.wait()

    slow.answer_rpc("never", never)
    for peer in (deaf, slow):
        await badge.wait_for_participant(peer.identity)
    started = time.monotonic()
    no_ack, no_answer = await asyncio.gather(
        failure_of(badge.call_rpc(deaf.identity, "never", timeout_s=0.8)),
        failure_of(badge.call_rpc(slow.identity, "never", timeout_s=0.8)))
    took = time.monotonic() - started
    answer.set()
    assert (no_ack.code, no_answer.code) == (Code.CONNECTION_TIMEOUT, Code.RESPONSE_TIMEOUT)
    assert 0.7 < took < 2


@pytest.mark.asyncio
async def test_a_wheel_that_says_nothing_is_a_connection_timeout(linnet, server, room_name, unique):
    badge, identity = await linnet("badge"), unique("agent")
    async with AgentProcess(server.url, server.make_agent_token(identity, room_name)) as agent:
        await badge.wait_for_participant(identity)
        agent.stand_still()
        try:
            error = await failure_of(badge.call_rpc(identity, "anything", timeout_s=0.8))
        finally:
            agent.stand_still(False)
    assert error.code == Code.CONNECTION_TIMEOUT


@pytest.mark.asyncio
async def test_a_call_fails_at_once_when_the_other_side_leaves(join, linnet):
    bob = await join("bob")
    badge, ann = await pair(linnet, join)
    leaving = asyncio.Event()

    async def never(call):
        leaving.set()
        await asyncio.sleep(30)

    ann.answer_rpc("never", never)
    badge.answer_rpc("never", never)
    await ann.publish_audio()       # or the server tells of its departure with the next of its rounds, every 3 s
    await asyncio.sleep(0.2)
    calling = asyncio.ensure_future(failure_of(badge.call_rpc(ann.identity, "never", timeout_s=10)))
    await asyncio.wait_for(leaving.wait(), 5)
    started = time.monotonic()
    await ann.close()
    assert (await calling).code == Code.RECIPIENT_DISCONNECTED
    assert time.monotonic() - started < 2

    await bob.wait_for_participant(badge.identity)
    leaving.clear()
    calling = asyncio.ensure_future(failure_of(bob.call_rpc(badge.identity, "never", timeout_s=10)))
    await asyncio.wait_for(leaving.wait(), 5)
    await badge.room.disconnect()
    assert (await calling).code == Code.RECIPIENT_DISCONNECTED


@pytest.mark.asyncio
async def test_our_own_calls_end_when_we_leave(join, linnet):
    badge, ann = await pair(linnet, join)

    async def never(call):
        await asyncio.sleep(30)

    ann.answer_rpc("never", never)
    calling = [asyncio.ensure_future(failure_of(badge.call_rpc(ann.identity, "never", timeout_s=10))) for _ in "abc"]
    await asyncio.sleep(0.1)
    await badge.room.disconnect()
    errors = await asyncio.wait_for(asyncio.gather(*calling), 2)
    assert {error.code for error in errors} == {Code.RECIPIENT_DISCONNECTED}


@pytest.mark.asyncio
async def test_a_method_can_be_replaced_and_taken_back(join, linnet):
    badge, ann = await pair(linnet, join)
    badge.answer_rpc("led", lambda call: "one")
    badge.answer_rpc("led", lambda call: "two")
    assert await ann.call_rpc(badge.identity, "led") == "two"
    badge.me.unregister_rpc_method("led")
    assert (await failure_of(ann.call_rpc(badge.identity, "led"))).code == Code.UNSUPPORTED_METHOD


@pytest.mark.asyncio
async def test_the_servers_own_call_is_answered(linnet, server, room_name):
    badge = await linnet("badge")
    badge.answer_rpc("status", lambda call: call.payload + "!")
    body = {"destinationIdentity": badge.identity, "method": "status", "payload": "ok", "responseTimeoutMs": 3000}
    answer = await asyncio.get_running_loop().run_in_executor(
        None, lambda: server.api("RoomService/PerformRpc", room_name, **body))
    assert answer == {"payload": "ok!"}
