# A real Room on a scripted engine, joined: what the roster, our own requests and
# data packets do with it.

import fake_time
import native_core  # noqa: F401 (linnet.room wants `_linnet` to be importable)
from linnet.port import Port
from linnet.room import Room
from scripted_engine import ScriptedEngine
from signal_server import JOIN

MIC = {"sid": "TR_b", "type": 0, "name": "mic", "source": 2}


def info(sid="PA_bob", identity="bob", version=1, **more):
    """A ParticipantInfo."""
    fields = {"sid": sid, "identity": identity, "version": version, "state": 2}
    fields.update(more)
    return fields


class JoinedRoom(Room):
    """`events` are [(name, arguments)] as they were emitted."""

    def __init__(self, others=(), me=None):
        super().__init__(Port(None, fake_time.VirtualClock()))
        self.events = []
        self._engine = ScriptedEngine(self.port.clock)
        join = dict(JOIN)
        join["other_participants"] = list(others)
        if me is not None:
            join["participant"] = dict(JOIN["participant"])
            join["participant"].update(me)
        self._on_signal("join", join)

    def emit(self, event, *args):
        self.events.append((event, args))
        super().emit(event, *args)

    def update(self, *infos):
        self._on_signal("update", {"participants": list(infos)})

    def took(self):
        """The events since the last call."""
        events, self.events = self.events, []
        return events

    def names(self):
        """Their names only."""
        return [name for name, _ in self.took()]
