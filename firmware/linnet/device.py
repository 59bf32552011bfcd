# What an app finds around it: the machine's port, its board, a LED, a button and
# the way into a room. main.py makes one on a board, host_sim on a laptop.

import asyncio


class Led:
    """A lamp. `on_change(is_on)` is what the machine does about it."""

    def __init__(self, on_change=None):
        self._on_change = on_change
        self.is_on = False

    def set(self, is_on):
        is_on = bool(is_on)
        if is_on != self.is_on:
            self.is_on = is_on
            if self._on_change is not None:
                self._on_change(is_on)


class Button:
    """A push button. The machine calls press(); the app waits or registers."""

    def __init__(self):
        self._event = asyncio.Event()
        self.on_press = None

    def press(self):
        self._event.set()
        if self.on_press is not None:
            self.on_press()

    async def wait(self):
        """Until the next press."""
        self._event.clear()
        await self._event.wait()


class Device:
    """Everything that an app's `async def main(device)` gets.

    `details` is a coroutine function that gives (url, token); `options` are RoomOptions;
    `report(event, **fields)` tells whoever watches (a log line, a screen, a file);
    `on_room(room)` is called when the app says which room it uses."""

    def __init__(self, port, board, details, options, report, on_room=None):
        self.port = port
        self.board = board
        self.details = details
        self.options = options
        self.report = report
        self.led = Led(lambda is_on: report("led", on=is_on))
        self.button = Button()
        self.volume = 100
        self.stopping = asyncio.Event()  # set by the machine: leave the room and return
        self._on_room = on_room
        self._room = None

    @property
    def room(self):
        """The Room that the app is in or about to join, for whoever shows it."""
        return self._room

    @room.setter
    def room(self, room):
        self._room = room
        if self._on_room is not None:
            self._on_room(room)
