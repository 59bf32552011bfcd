# Which remote track comes in which m-section, and which of them sound.
#
# Sections and slots are not the same: a section belongs to the offer, never goes
# away and may bring another track later; a slot is a place in the core's mix, and
# there are `cap` of them. A track without a slot waits for one that becomes free.


class _Coming:
    """What an answer said about one receive section."""

    def __init__(self, sid, ssrc, payload_type):
        self.sid = sid
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.slot = None

    def is_same(self, sid, ssrc, payload_type):
        return (self.sid, self.ssrc, self.payload_type) == (sid, ssrc, payload_type)


class Receivers:
    """`engine` gives session, driver and track_playing()."""

    def __init__(self, engine, cap):
        self._engine = engine
        self.cap = cap
        self._coming = {}  # mid -> _Coming
        self._free = list(range(cap))  # slots, lowest first

    def sections(self):
        """Sections that bring a track."""
        return len(self._coming)

    def free_slots(self):
        return len(self._free)

    def brings(self, sid):
        """Whether some section brings this track."""
        return self._of(sid) is not None

    def waiting(self):
        """Track sids that come and find no slot."""
        return [one.sid for one in self._coming.values() if one.slot is None]

    def track_in(self, slot):
        """The track sid that plays in a slot, or None."""
        for one in self._coming.values():
            if one.slot == slot:
                return one.sid
        return None

    def replace(self, coming):
        """What the newest answer says: {mid: (sid, ssrc, payload type)}. Whatever plays does so
        if there is a slot."""
        # First what ends: a track that moves to another section must not be ended by its old one.
        for mid, one in list(self._coming.items()):
            if mid not in coming or not one.is_same(*coming[mid]):
                self.clear(mid)
        for mid in coming:
            if mid not in self._coming:
                self._coming[mid] = _Coming(*coming[mid])
        self.fill()

    def clear(self, mid):
        """This section brings nothing."""
        one = self._coming.pop(mid, None)
        if one is None or one.slot is None:
            return
        self._engine.session.set_track(self._engine.driver.now(), one.slot, 0)
        self._free.append(one.slot)
        self._free.sort()
        self._engine.track_playing(one.sid, None)

    def clear_track(self, sid):
        for mid in [mid for mid, one in self._coming.items() if one.sid == sid]:
            self.clear(mid)

    def fill(self):
        """Give slots that became free to the tracks that wait."""
        for mid in sorted(self._coming, key=int):
            one = self._coming[mid]
            if one.slot is None and self._free:
                self._start(one)

    def set_gain(self, sid, gain):
        """Loudness (Q12) of a playing track."""
        one = self._of(sid)
        if one is not None and one.slot is not None:
            now = self._engine.driver.now()
            self._engine.session.set_track(now, one.slot, one.ssrc, one.payload_type, gain)

    def _start(self, one):
        one.slot = self._free.pop(0)
        now = self._engine.driver.now()
        self._engine.session.set_track(now, one.slot, one.ssrc, one.payload_type)
        self._engine.track_playing(one.sid, one.slot)

    def _of(self, sid):
        for one in self._coming.values():
            if one.sid == sid:
                return one
        return None
