# Event emitter with the ways of livekit.rtc: on(), once(), off(), and on() as a decorator.

import asyncio

from .compat import iscoroutine, print_exception
from .log import WARN, log


class EventEmitter:
    """Calls what was registered for an event, in the order of registration.

    A handler that fails is logged and stops nobody else. One that is a coroutine runs as a
    task of its own."""

    def __init__(self):
        self._handlers = {}

    def on(self, event, callback=None):
        """Call `callback` at every `event`; without it: a decorator."""
        if callback is None:

            def decorator(function):
                self.on(event, function)
                return function

            return decorator
        self._handlers.setdefault(event, []).append((callback, False))
        return callback

    def once(self, event, callback=None):
        """As on(), for the next time only."""
        if callback is None:

            def decorator(function):
                self.once(event, function)
                return function

            return decorator
        self._handlers.setdefault(event, []).append((callback, True))
        return callback

    def off(self, event, callback):
        """Forget `callback`; nothing happens if it was not registered."""
        kept = [h for h in self._handlers.get(event, []) if h[0] != callback]
        self._handlers[event] = kept

    def emit(self, event, *args):
        for handler in list(self._handlers.get(event, [])):
            callback, only_once = handler
            if handler not in self._handlers[event]:
                continue  # taken off, or called, by an earlier one
            if only_once:
                self._handlers[event].remove(handler)
            try:
                result = callback(*args)
                if iscoroutine(result):
                    asyncio.create_task(_guard(event, result))
            except Exception as error:
                _failed(event, error)


async def _guard(event, coroutine):
    try:
        await coroutine
    except Exception as error:
        _failed(event, error)


def _failed(event, error):
    log(WARN, "events", "a handler of", event, "failed:", repr(error))
    print_exception(error)
