# Event emitter with the ways of livekit.rtc: on(), once(), off(), and on() as a decorator.

import asyncio
import io

from .compat import iscoroutine, positional_count, print_exception
from .log import DEBUG, WARN, log


class EventEmitter:
    """Calls what was registered for an event, in the order of registration.

    A handler that fails is logged and stops nobody else. One that is a coroutine runs as a
    task of its own. On CPython a handler may take fewer arguments than the event has, as in
    livekit.rtc; MicroPython does not tell how many a function takes, so that one for a device
    takes them all."""

    def __init__(self):
        self._handlers = {}

    def on(self, event, callback=None):
        """Call `callback` at every `event`; without it: a decorator."""
        if callback is None:

            def decorator(function):
                self.on(event, function)
                return function

            return decorator
        self._add(event, callback, False)
        return callback

    def once(self, event, callback=None):
        """As on(), for the next time only."""
        if callback is None:

            def decorator(function):
                self.once(event, function)
                return function

            return decorator
        self._add(event, callback, True)
        return callback

    def _add(self, event, callback, only_once):
        handler = (callback, only_once, positional_count(callback))
        self._handlers.setdefault(event, []).append(handler)

    def off(self, event, callback):
        """Forget `callback`; nothing happens if it was not registered."""
        kept = [h for h in self._handlers.get(event, []) if h[0] != callback]
        self._handlers[event] = kept

    def emit(self, event, *args):
        for handler in list(self._handlers.get(event, [])):
            callback, only_once, count = handler
            if handler not in self._handlers[event]:
                continue  # taken off, or called, by an earlier one
            if only_once:
                self._handlers[event].remove(handler)
            try:
                result = callback(*(args if count is None else args[:count]))
                if iscoroutine(result):
                    asyncio.create_task(_guard(event, callback, result))
            except Exception as error:
                _failed(event, callback, error)


async def _guard(event, callback, coroutine):
    try:
        await coroutine
    except Exception as error:
        _failed(event, callback, error)


def _failed(event, callback, error):
    name = getattr(callback, "__name__", None) or type(callback).__name__
    log(WARN, "events", name, "that handles", event, "failed:", repr(error))
    text = io.StringIO()
    print_exception(error, text)
    for line in text.getvalue().rstrip().split("\n"):
        log(DEBUG, "events", line)
