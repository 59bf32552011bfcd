"""Data packets through a real server: intact, in order, to the right ones, and refused aloud when they cannot go."""

import asyncio
import base64
import random
import time

import pytest
from linnet.channels import MAX_PACKET
from linnet.errors import Closed, Refused
from linnet.rpc import MAX_PAYLOAD

from boards import gen, rules
from tests.e2e.linnet_peer import LinnetPeer

KIB15 = 15 * 1024
ONE_WAY_S = 0.2
SIZES = (1, 2, 127, 128, 1000, 1199, 1200, 1201, 2400, 4096, 8191, 10000, KIB15 - 1, KIB15)


def message(seed, size):
    return random.Random(seed).randbytes(size)


def burst(count):
    """`count` messages of 1 B to 15 KiB, most of them small, as in a burst of events; the number comes first."""
    rng = random.Random(count)
    sizes = [1, KIB15] + [int(2 ** rng.uniform(0, 13.9)) for _ in range(count - 2)]
    return [(i.to_bytes(2, "big") + message(i, size))[-max(size, 1):] if size < 3
            else i.to_bytes(2, "big") + message(i, size - 2) for i, size in enumerate(sizes)]


@pytest.mark.asyncio
async def test_packets_of_every_size_arrive_whole_and_in_order(join, linnet, way):
    ann, badge = await join("ann", on=way.server), await linnet("badge", way=way)
    sent = [message(size, size) for size in SIZES]
    await asyncio.gather(badge.wait_for_participant(ann.identity), ann.wait_for_participant(badge.identity))
    for data in sent:
        await badge.send(data, topic="sizes")
        await ann.send(data, topic="sizes")
    there, here = await ann.wait_for_data(len(sent)), await badge.wait_for_data(len(sent))
    assert [one.data for one in there] == sent
    assert [one.data for one in here] == sent
    assert {(one.sender, one.topic, one.reliable) for one in there} == {(badge.identity, "sizes", True)}
    assert {(one.sender, one.topic, one.reliable) for one in here} == {(ann.identity, "sizes", True)}


@pytest.mark.asyncio
@pytest.mark.parametrize("direction", ["from_linnet", "to_linnet"])
async def test_a_burst_of_a_thousand_arrives_whole_and_in_order(join, linnet, way, direction):
    ann, badge = await join("ann", on=way.server), await linnet("badge", way=way)
    sender, receiver = (badge, ann) if direction == "from_linnet" else (ann, badge)
    await badge.wait_for_participant(ann.identity)
    sent = burst(1000)
    started = time.monotonic()
    if sender is badge:
        await asyncio.gather(*(badge.send(data) for data in sent))
    else:
        for data in sent:       # a thousand calls at once are too many for the wheel, even among its own
            await ann.send(data)
    got = await receiver.wait_for_data(len(sent), timeout_s=20)
    took = got[-1].at - started
    total = sum(map(len, sent))
    print(f"{direction} over {way}: 1000 packets, {total} B in {took:.2f} s, {total * 8 / took / 1e6:.1f} Mbit/s;"
          f" SCTP repeated {badge.room.stats()['sctp_retransmitted']} chunks")
    assert [one.data for one in got] == sent
    assert len(receiver.received) == len(sent)
    assert badge.room.stats()["dropped_data"] == 0


@pytest.mark.asyncio
async def test_lossy_packets_arrive_marked_as_lossy(join, linnet, way):
    ann, badge = await join("ann", on=way.server), await linnet("badge", way=way)
    await asyncio.gather(badge.wait_for_participant(ann.identity), ann.wait_for_participant(badge.identity))
    for i in range(100):
        await badge.send(b"up%d" % i, reliable=False, topic="fast")
        await ann.send(b"down%d" % i, reliable=False, topic="fast")
        await asyncio.sleep(0.005)
    there = await ann.wait_for_data(95)
    here = await badge.wait_for_data(95)
    print(f"lossy over {way}: {len(ann.received)} up and {len(badge.received)} down of 100;"
          f" {badge.room._engine.channels.lossy_dropped} found no room")
    for got, sender, prefix in ((there, badge, b"up"), (here, ann, b"down")):
        assert not any(one.reliable for one in got)
        assert {(one.sender, one.topic) for one in got} == {(sender.identity, "fast")}
        assert {one.data for one in got} <= {prefix + b"%d" % i for i in range(100)}


@pytest.mark.asyncio
async def test_a_packet_goes_only_where_it_is_sent(join, linnet):
    ann, bob, badge = await join("ann"), await join("bob"), await linnet("badge")
    eve = await linnet("eve")
    await badge.send("only for ann", to=[ann.identity])
    await badge.send("for ann and eve", to=[ann.identity, eve.identity])
    await badge.send("for all", topic="end")
    assert [one.data for one in await ann.wait_for_data(3)] == [b"only for ann", b"for ann and eve", b"for all"]
    assert [one.data for one in await eve.wait_for_data(2)] == [b"for ann and eve", b"for all"]
    assert [one.data for one in await bob.wait_for_data(1)] == [b"for all"]
    await ann.send(b"not for badge", to=[bob.identity])
    await ann.send(b"for badge", to=[badge.identity])
    assert [one.data for one in await badge.wait_for_data(1)] == [b"for badge"]
    assert badge.received == [one for one in badge.received if one.data == b"for badge"]    # and no echo of our own


@pytest.mark.asyncio
async def test_15_kib_pass_with_the_limits_of_the_smallest_board(join, linnet):
    """Data packets and calls, both ways, with what else is in their envelope."""
    boards = [gen.options(rules.load(rules.find(name))[0]) for name in rules.names("esp32")]
    limits = {name: min(board[name] for board in boards) for name in ("max_message", "send_buffer", "recv_buffer")}
    ann, badge = await join("ann"), await linnet("badge", options=limits)
    await asyncio.gather(badge.wait_for_participant(ann.identity), ann.wait_for_participant(badge.identity))
    data, text, topic = message(1, KIB15), "x" * MAX_PAYLOAD, "t" * 256
    others = [f"{'n' * 60}{i}" for i in range(4)]
    await badge.send(data, topic=topic, to=[ann.identity, *others])
    await ann.send(data, topic=topic, to=[badge.identity, *others])
    for end in (ann, badge):
        (packet,) = await end.wait_for_data(1)
        assert packet.data == data and packet.topic == topic
        end.answer_rpc("m" * 64, lambda call: call.payload)
    assert await badge.call_rpc(ann.identity, "m" * 64, text) == text
    assert await ann.call_rpc(badge.identity, "m" * 64, text) == text


@pytest.mark.asyncio
async def test_text_and_emptiness_are_payloads_too(join, linnet):
    ann, badge = await join("ann"), await linnet("badge")
    await badge.send("Grüße", topic="ü")
    await badge.send(b"")
    await badge.send(bytearray(b"\0\xff"))
    got = await ann.wait_for_data(3)
    assert [one.data for one in got] == ["Grüße".encode(), b"", b"\0\xff"]
    assert [one.topic for one in got] == ["ü", "", ""]


@pytest.mark.asyncio
async def test_the_largest_packet_passes_and_a_larger_one_is_refused_and_harms_nothing(join, linnet):
    ann, badge = await join("ann"), await linnet("badge")
    largest = message(1, MAX_PACKET - 20)
    await badge.send(largest)
    for reliable in (True, False):
        with pytest.raises(Refused) as refused:
            await badge.send(bytes(MAX_PACKET), reliable=reliable)
        assert refused.value.code == "payload-too-large"
        assert str(MAX_PACKET) in refused.value.cause and refused.value.cure
    await badge.send(b"still here")
    assert [one.data for one in await ann.wait_for_data(2)] == [largest, b"still here"]


@pytest.mark.asyncio
async def test_a_packet_over_our_own_limit_is_not_delivered_and_the_next_one_is(join, linnet):
    ann = await join("ann")
    badge = await linnet("badge", options={"max_message": 4096})
    await badge.wait_for_participant(ann.identity)
    await ann.send(bytes(5000))
    await ann.send(b"small")
    assert [one.data for one in await badge.wait_for_data(1)] == [b"small"]


@pytest.mark.asyncio
async def test_data_sent_before_connect_returns_waits_for_the_channel(join, server, room_name, unique):
    ann = await join("ann")
    sending = []

    def send(_):
        steps = dict(badge.room.timeline())
        sending.append((steps, asyncio.ensure_future(badge.me.publish_data(b"early"))))

    async with LinnetPeer(has_audio=False, one_way_s=ONE_WAY_S / 4) as badge:
        badge.room.on("media_state_changed", send)      # ICE is up; DTLS and SCTP come after it
        await badge.join(server.url, server.make_token(unique("badge"), room_name))
        (steps, task), = sending
        assert "ice" in steps and "sctp" not in steps
        await task
        assert (await ann.wait_for_data(1))[0].data == b"early"


@pytest.mark.asyncio
@pytest.mark.parametrize("event", ["participant_connected", "participant_active"])
async def test_what_a_peer_sends_as_soon_as_it_sees_us_arrives(join, linnet, way, event):
    """The server holds back what is reliable; we must not lose it when it comes with the channels."""
    ann = await join("ann", on=way.server)
    sending = []
    ann.room.on(event, lambda _: sending.append(asyncio.ensure_future(ann.send(b"welcome"))))
    badge = await linnet("badge", way=way)
    assert (await badge.wait_for_data(1))[0].data == b"welcome"
    assert len(badge.received) == len(sending) == 1
    await asyncio.gather(*sending)


@pytest.mark.asyncio
async def test_whatever_is_sent_once_connect_has_returned_arrives(join, server, room_name, unique):
    """Also what the server does not hold back for a client whose channels it has not seen open: what is lossy, and what
    its own API sends. They open two round trips after the media path."""
    ann = await join("ann")
    async with LinnetPeer(has_audio=False, one_way_s=ONE_WAY_S) as badge:
        await badge.join(server.url, server.make_token(unique("badge"), room_name))
        await asyncio.sleep(ONE_WAY_S / 4)      # the server acknowledges a channel before it uses it
        await ann.send(b"lossy", reliable=False)
        await asyncio.to_thread(server.api, "RoomService/SendData", room=room_name, topic="admin", kind="RELIABLE",
                                data=base64.b64encode(b"from the server").decode())
        got = await badge.wait_for_data(2)
    assert {one.data for one in got} == {b"lossy", b"from the server"}
    admin, = [one for one in got if one.topic == "admin"]
    assert (admin.sender, admin.reliable) == (None, True)


@pytest.mark.asyncio
async def test_who_may_not_publish_data_is_told(linnet):
    badge = await linnet("badge", can_publish_data=False)
    with pytest.raises(Refused) as refused:
        await badge.send(b"x")
    assert refused.value.code == "missing-grant" and "canPublishData" in refused.value.cause


@pytest.mark.asyncio
async def test_data_after_the_end_is_refused(linnet):
    badge = await linnet("badge")
    me = badge.me
    await badge.room.disconnect()
    with pytest.raises(Closed) as closed:
        await me.publish_data(b"x")
    assert closed.value.code == "not-connected"


@pytest.mark.asyncio
async def test_senders_that_wait_learn_that_the_room_was_left(join, linnet):
    _, badge = await join("ann"), await linnet("badge")
    sending = asyncio.ensure_future(badge.send_all(bytes(15000), 200))
    await asyncio.sleep(0)
    await badge.room.disconnect()
    ends = await asyncio.wait_for(sending, 2)
    assert {type(end) for end in ends} <= {type(None), Closed}
    assert any(isinstance(end, Closed) for end in ends)


@pytest.mark.asyncio
async def test_dtmf_arrives(join, linnet):
    ann, badge = await join("ann"), await linnet("badge")
    heard = asyncio.get_running_loop().create_future()
    ann.room.on("sip_dtmf_received", lambda dtmf: heard.set_result((dtmf.code, dtmf.digit, dtmf.participant.identity)))
    await badge.me.publish_dtmf(11, "#")
    assert await asyncio.wait_for(heard, 5) == (11, "#", badge.identity)
    await badge.wait_for_participant(ann.identity)
    await ann.room.local_participant.publish_dtmf(code=3, digit="3")
    dtmf, = await badge.wait_for_event("sip_dtmf_received")
    assert (dtmf.code, dtmf.digit, dtmf.participant.identity) == (3, "3", ann.identity)
