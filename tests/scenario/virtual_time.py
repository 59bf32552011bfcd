"""asyncio in virtual time: when nothing is ready, the clock jumps to the next timer. No computation costs time."""

import asyncio
import selectors


class NothingWillHappen(AssertionError):
    """Every task waits and no timer is set: a wait without a limit."""


class _JumpingSelector(selectors.DefaultSelector):
    loop = None

    def select(self, timeout=None):
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise NothingWillHappen("no timer is set and nothing is ready")
        self.loop.jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time() starts at 1000.0 s and moves only when everybody waits."""

    def __init__(self):
        selector = _JumpingSelector()
        self._virtual = 1000.0
        super().__init__(selector)
        selector.loop = self

    def time(self):
        return self._virtual

    def jump(self, seconds):
        self._virtual += seconds


def run(coroutine):
    """The result of a coroutine, run in virtual time."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


class VirtualClock:
    """linnet.port.Clock on a VirtualLoop."""

    def __init__(self, loop, unix_time=1800000000):
        self._loop = loop
        self._unix = unix_time

    def ticks_us(self):
        return round(self._loop.time() * 1e6) & 0x3FFFFFFF

    async def sleep_ms(self, ms):
        await asyncio.sleep(ms / 1000)

    async def wait_for_ms(self, coroutine, ms):
        # Not asyncio.wait_for: in Python 3.11 it swallows a cancellation that meets the end of the wait.
        async with asyncio.timeout(ms / 1000):
            return await coroutine

    def unix_time(self):
        return self._unix + int(self._loop.time() - 1000)
