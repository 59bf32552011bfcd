# Two cores joined back to back on a virtual clock, on any interpreter:
#
#     call = TwoSessions()
#     call.connect()
#     call.run(lambda: call.left.is_up() and call.right.is_up())
#
# No network trouble (tests/scenario has that): each datagram arrives 5 ms later.
# Made small enough for an emulated board.

import struct

import native_core  # noqa: F401  (makes _linnet importable)
from linnet import core

DELAY_US = 5000
FRAME_US = 20000
RATE = 16000
MASK = (1 << 30) - 1


class End:
    def __init__(self, seed, address):
        self.session = core.Session(bytes([seed] * 48), rate=RATE, complexity=0, max_message=4096, send_buffer=16384,
                                    recv_buffer=16384, remote_tracks=1)
        self.address = address  # (packed ip, port)
        self.source = core.addr(address[0], address[1])
        self.local = None
        self.states = [core.NEW, core.NEW, core.NEW]
        self.handle = None
        self.is_open = False
        self.messages = []
        self.first = []  # kinds FIRST_SENT and FIRST_HEARD, as they came
        self.frame = bytearray(RATE // 50 * 2)
        self.silent = bytearray(RATE // 50 * 2)
        self.sounding = 0  # frames with a track in them
        self.deadline = 0

    def is_up(self):
        return self.states[core.SCTP] == core.CONNECTED

    def on_event(self, kind, fields):
        if kind == core.LOCAL:
            self.local = fields
        elif kind == core.STATE:
            self.states[fields[0]] = fields[1]
        elif kind == core.CHANNEL:
            self.handle, self.is_open = fields[0], fields[1]
        elif kind == core.DATA:
            self.messages.append((fields[1], fields[2]))
        elif kind in (core.FIRST_SENT, core.FIRST_HEARD):
            self.first.append(kind)


class TwoSessions:
    def __init__(self):
        self.now = 1000000
        self.left = End(1, (bytes((10, 0, 0, 1)), 5001))
        self.right = End(2, (bytes((10, 0, 0, 2)), 5002))
        self.ends = (self.left, self.right)
        self.flying = []  # (arrival, receiver, record), in order
        self.datagrams = 0
        self.next_frame = None
        for end in self.ends:
            self.drain(end)

    def other(self, end):
        return self.right if end is self.left else self.left

    def connect(self):
        for end in self.ends:
            peer = self.other(end)
            fingerprint, ufrag, pwd = peer.local
            left = end is self.left
            end.session.add_local_candidate(self.ticks(), end.address[0], end.address[1])
            end.session.set_remote(self.ticks(), ufrag, pwd, fingerprint, not left, left)
            end.session.add_remote_candidate(self.ticks(), peer.address[0], peer.address[1], 2130706431)
        self.left.handle = self.left.session.open_channel(self.ticks(), "_reliable")
        for end in self.ends:
            self.drain(end)

    def start_sound(self, pcm):
        """Each side says `pcm` (one frame of int16) again and again, and plays the other."""
        for end, ssrc in ((self.left, 17), (self.right, 34)):
            end.frame[:] = pcm
            end.session.publish(self.ticks(), ssrc, 111, 1, 2, "0")
            self.other(end).session.set_track(self.ticks(), 0, ssrc)
        self.next_frame = self.now + FRAME_US

    def ticks(self):
        return self.now & MASK

    def drain(self, end):
        session = end.session
        while True:
            kind = session.poll()
            if kind == core.DATAGRAM:
                record = bytes(end.source) + bytes(session.body[20 : session.body_len()])
                self.flying.append((self.now + DELAY_US, self.other(end), record))
                self.datagrams += 1
            elif kind == core.IDLE:
                break
            else:
                end.on_event(kind, session.event(kind))
        end.deadline = self.now + ((session.deadline() - self.ticks()) & MASK)

    def step(self):
        due = min(self.left.deadline, self.right.deadline)
        if self.flying:
            due = min(due, self.flying[0][0])
        if self.next_frame is not None:
            due = min(due, self.next_frame)
        self.now = max(self.now, due)
        while self.flying and self.flying[0][0] <= self.now:
            _, end, record = self.flying.pop(0)
            end.session.input(self.ticks(), core.IN_DATAGRAM, record)
            self.drain(end)
        if self.next_frame is not None and self.next_frame <= self.now:
            self.next_frame += FRAME_US
            for end in self.ends:
                end.session.input(self.ticks(), core.IN_TIME)
                end.session.pcm_push(end.frame)
                if end.session.pcm_pull(end.silent):
                    end.sounding += 1
                self.drain(end)
        for end in self.ends:
            if end.deadline <= self.now:
                end.session.input(self.ticks(), core.IN_TIME)
                self.drain(end)

    def run(self, fact, limit_ms=5000):
        """Let time pass until fact() holds; False if it does not within limit_ms of virtual time."""
        until = self.now + limit_ms * 1000
        while not fact():
            if self.now > until:
                return False
            self.step()
        return True

    def run_for(self, ms):
        until = self.now + ms * 1000
        self.run(lambda: self.now >= until, ms + 1000)


def square(period=32, amplitude=6000):
    """One frame of a square wave: a sound that needs no mathematics."""
    n = RATE // 50
    return struct.pack("<%dh" % n, *[amplitude if i % period < period // 2 else -amplitude for i in range(n)])
