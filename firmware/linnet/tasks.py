# The loops that an object runs beside its caller: started, watched and ended
# together.

import asyncio

from .errors import LinnetError
from .log import ERROR, log


class Tasks:
    """`on_failure(error)` gets the exception that ended a loop from within; without it the
    error is raised by close()."""

    def __init__(self, owner, on_failure=None):
        self._owner = owner
        self._on_failure = on_failure
        self._running = []

    def start(self, loop):
        """Run the coroutine function `loop`."""
        self._running.append(asyncio.create_task(self._guard(loop)))

    async def _guard(self, loop):
        try:
            await loop()
        except Exception as error:
            # A loop that ends in silence would be a call that goes dead without a word.
            if not isinstance(error, LinnetError):  # our own mistake, or an app's
                log(ERROR, self._owner, "a loop ended:", repr(error))
            if self._on_failure is None:
                raise
            self._on_failure(error)

    async def close(self):
        """End every loop and wait until it has ended. May be called twice."""
        for task in self._running:
            task.cancel()
        for task in self._running:
            try:
                await task
            except asyncio.CancelledError:
                pass
        self._running = []
