"""The ring of events between a loop and its interpreter."""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "c"))
from internals import CSRC, load  # noqa: E402

SPACE, STATE = -3, 3


@pytest.fixture(scope="module")
def c():
    return load("loop_events", sources=["port/loop_events.c"], headers=["port/loop_events.h"],
                include_dirs=[CSRC / "port"])


def ring(c, largest=1000, spare=0):
    cap = c.lib.linnet_events_least(largest) + spare
    keep = c.ffi.new("uint8_t[]", cap)
    e = c.ffi.new("linnet_events_t *")
    c.lib.linnet_events_init(e, keep, cap, largest)
    return e, keep


def take(c, e, cap=2000):
    buffer = c.ffi.new("uint8_t[]", cap)
    kind = c.lib.linnet_events_take(e, buffer, cap)
    n = int.from_bytes(bytes(buffer[0:4]), "little")
    return kind, bytes(buffer[4 : 4 + n]) if kind > 0 else b""


def fill(c, e):
    while c.lib.linnet_events_put(e, 5, bytes(200), 200) == 0:
        pass
    while c.lib.linnet_events_put(e, 9, bytes(4), 4) == 0:
        pass


def drained(c, e):
    events = []
    while (event := take(c, e))[0]:
        events.append(event)
    return [event for event in events if event[0] == STATE], events[-1]


def test_the_last_state_of_each_layer_is_told_when_a_full_ring_has_been_emptied(c):
    e, _keep = ring(c)
    fill(c, e)
    connected, failed = bytes((0, 2, 0, 0)), bytes((0, 4, 0xf7, 0xff))
    closed = bytes((2, 5, 0, 0))
    put = c.lib.linnet_events_put
    assert [put(e, STATE, body, 4) for body in (closed, connected, failed)] == [0, 0, SPACE]
    assert drained(c, e) == ([(STATE, failed), (STATE, closed)], (STATE, closed))
    assert take(c, e) == (0, b"")


def test_a_state_is_not_told_before_an_older_one_that_waits_beside_the_ring(c):
    e, _keep = ring(c)
    fill(c, e)
    older, newer = bytes((1, 2, 0, 0)), bytes((1, 4, 0xf7, 0xff))
    assert c.lib.linnet_events_put(e, STATE, older, 4) == 0
    take(c, e)
    assert c.lib.linnet_events_put(e, STATE, newer, 4) == SPACE
    assert drained(c, e)[0] == [(STATE, newer)]


def test_an_empty_ring_gives_idle_with_an_empty_body(c):
    e, _keep = ring(c)
    buffer = c.ffi.new("uint8_t[]", b"\xff" * 8)
    assert c.lib.linnet_events_take(e, buffer, 8) == 0
    assert bytes(buffer[0:4]) == bytes(4)


@pytest.mark.parametrize("seed", range(10))
def test_events_come_out_as_they_went_in_around_the_edge_too(c, seed):
    rng = random.Random(seed)
    e, _keep = ring(c, spare=rng.randrange(0, 3000))
    inside, put, taken = [], 0, 0
    for i in range(3000):
        if rng.random() < 0.5:
            body = rng.randbytes(rng.choice((0, 4, 12, 96, 700, 1000)))
            if c.lib.linnet_events_put(e, 1 + i % 10, body, len(body)) == 0:
                inside.append((1 + i % 10, body))
                put += 1
            else:
                assert e.cap - e.used < 4 + len(body)
        elif inside:
            assert take(c, e) == inside.pop(0)
            taken += 1
    assert put > 500 and taken > 500
    while inside:
        assert take(c, e) == inside.pop(0)
    assert e.used == 0 and take(c, e) == (0, b"")


def test_a_ring_has_room_only_while_a_message_leaves_the_reserve(c):
    e, _keep = ring(c, spare=1)
    assert c.lib.linnet_events_has_room(e)
    assert c.lib.linnet_events_put(e, 3, bytes(0), 0) == 0
    assert not c.lib.linnet_events_has_room(e)
    assert c.lib.linnet_events_put(e, 6, bytes(1000), 1000) == 0  # a message that was on its way already
    for _ in range(40):
        assert c.lib.linnet_events_put(e, 2, bytes(96), 96) == 0  # the largest other event
    assert c.lib.linnet_events_put(e, 2, bytes(96), 96) == SPACE


def test_a_buffer_that_is_too_small_takes_nothing(c):
    e, _keep = ring(c)
    c.lib.linnet_events_put(e, 3, b"abcd", 4)
    for cap in (0, 3, 7):
        buffer = c.ffi.new("uint8_t[]", 8)
        assert c.lib.linnet_events_take(e, buffer, cap) == SPACE
    assert take(c, e) == (3, b"abcd")
