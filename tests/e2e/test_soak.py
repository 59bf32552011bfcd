"""Fifty joins and leaves in a row leave nothing behind: no handle, thread, task or memory."""

import asyncio
import gc
import time

import numpy as np
import pytest

from tests.e2e.linnet_peer import LinnetPeer
from tests.e2e.tokens import bad_tokens

JOINS = 50
WARM_UP = 10                    # caches, imports and pools fill during the first ones
ALLOWED_PYTHON_BYTES = 2000     # a join, by the slope over the last forty, which holds our own notes; a Room is 300 KiB
ALLOWED_RSS_BYTES = 40000       # a join; one session's memory is more than ten times that


def belongings(process):
    return process.handles(), process.threads(), process.tasks()


def slope(values):
    """The median slope between any two points: what grows with every join, and not a step that something else made
    (the wheel's threads of earlier tests live in this process)."""
    pairs = [(later - earlier) / (j - i) for i, earlier in enumerate(values)
             for j, later in enumerate(values[i + 1:], i + 1)]
    return float(np.median(pairs))


@pytest.mark.asyncio
@pytest.mark.parametrize("way, is_one_room", [("ws", False), ("wss", True)], indirect=["way"])
async def test_fifty_joins_leave_nothing_behind(way, room_name, unique, is_one_room):
    """Fifty Rooms after one another, or one Room fifty times."""
    tokens = [way.server.make_token(unique(f"badge{i}"), room_name) for i in range(JOINS)]
    python, resident, after_warm_up = [], [], None
    started = time.monotonic()
    badge = LinnetPeer(ca_file=way.ca_file)
    process = badge.process
    process.trace(True)
    try:
        for turn, token in enumerate(tokens):
            if not is_one_room:
                badge = LinnetPeer(ca_file=way.ca_file, process=process)
            await badge.join(way.url, token)
            badge.answer_rpc("led", lambda call: "on")
            await badge.send(b"hello " * 100)
            await badge.room.disconnect()
            badge.events.clear()
            await asyncio.sleep(0)
            gc.collect()
            python.append(process.python_bytes())
            resident.append(process.resident_bytes())
            if turn == WARM_UP:
                await asyncio.sleep(0.1)        # what the loop closes a turn later
                after_warm_up = belongings(process)
        await asyncio.sleep(0.1)
        at_end = belongings(process)
    finally:
        process.trace(False)
    seconds = time.monotonic() - started
    a_join = slope(python[WARM_UP:]), slope(resident[WARM_UP:])
    print(f"{JOINS} joins over {way} in {seconds:.1f} s: Python memory {a_join[0]:+.0f} B a join, resident"
          f" {a_join[1]:+.0f} B a join ({resident[WARM_UP] >> 10} to {resident[-1] >> 10} KiB);"
          f" {sum(at_end[0].values())} handles")
    assert at_end == after_warm_up
    assert a_join[0] < ALLOWED_PYTHON_BYTES
    assert a_join[1] < ALLOWED_RSS_BYTES


@pytest.mark.asyncio
async def test_many_failed_joins_leave_nothing_behind(server, room_name, unique):
    """A device that tries all night with a bad token, or against a server that is down."""
    bad = list(bad_tokens(server, unique("badge"), room_name).values())
    before = None
    async with LinnetPeer() as home:
        for turn in range(4):
            for token in bad:
                with pytest.raises(Exception) as refused:
                    await LinnetPeer(process=home.process).join(server.url, token, connect_timeout_ms=3000)
                assert refused.value.code
            with pytest.raises(Exception) as down:
                await LinnetPeer(process=home.process).join("ws://127.0.0.1:9",
                                                            server.make_token(unique("x"), room_name))
            assert down.value.code == "host-unreachable"
            del refused, down
            gc.collect()
            await asyncio.sleep(0.05)
            if turn == 0:
                before = belongings(home.process)
        assert belongings(home.process) == before
