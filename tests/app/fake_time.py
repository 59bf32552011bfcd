# The event loop in virtual time, on both interpreters: when nothing is ready,
# the clock jumps to the next timer. `run(coroutine)` gives the coroutine's result,
# and AssertionError if it waits for something that nobody will ever do, or if it
# is not done after an hour of virtual time.

import asyncio
import sys

import harness

HOUR_MS = 3600 * 1000
UNIX_TIME = 1800000000

if harness.IS_MICROPYTHON:
    from asyncio import core
    from time import ticks_ms

    class _Time:
        jumped = 0

    def _ticks():
        # The compiled part of asyncio reads the machine's clock, so virtual time starts there.
        return ticks_ms() + _Time.jumped

    class _Jumping(core.IOQueue):
        def wait_io_event(self, dt):
            if dt > 0:
                _Time.jumped += dt
            elif dt < 0:
                raise AssertionError("everybody waits and no timer is set")

    def _run(coroutine):
        asyncio.new_event_loop()
        core.ticks = _ticks
        core._io_queue = _Jumping()
        try:
            return asyncio.run(coroutine)
        finally:
            core.ticks = ticks_ms
            asyncio.new_event_loop()

    def now_us():
        return _ticks() * 1000

    def tasks_left():
        """Tasks that still wait, apart from the one that asks. MicroPython cannot say."""
        return None

    async def _cancel_the_rest():
        pass

    async def _wait_for_ms(coroutine, ms):
        return await asyncio.wait_for_ms(coroutine, ms)

else:
    sys.path.insert(0, harness.HERE + "/../scenario")
    import virtual_time

    _run = virtual_time.run

    def now_us():
        return round(asyncio.get_running_loop().time() * 1e6)

    def tasks_left():
        """Tasks that still wait, apart from the one that asks."""
        return len(asyncio.all_tasks()) - 1

    async def _wait_for_ms(coroutine, ms):
        # Not asyncio.wait_for: in Python 3.11 it swallows a cancellation that meets the end.
        async with asyncio.timeout(ms / 1000):
            return await coroutine

    async def _cancel_the_rest():
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


def run(coroutine):
    async def limited():
        try:
            return await VirtualClock().wait_for_ms(coroutine, HOUR_MS)
        finally:
            await _cancel_the_rest()

    return _run(limited())


async def turns(n=20):
    """Let everything that is ready run, n times around the loop; no time passes."""
    for _ in range(n):
        await asyncio.sleep(0)


class VirtualClock:
    """linnet.port.Clock."""

    def ticks_us(self):
        return now_us() & 0x3FFFFFFF

    async def sleep_ms(self, ms):
        await asyncio.sleep(ms / 1000)

    async def wait_for_ms(self, coroutine, ms):
        return await _wait_for_ms(coroutine, ms)

    def unix_time(self):
        return UNIX_TIME
