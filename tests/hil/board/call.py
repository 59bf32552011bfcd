# A call between two cores in virtual time, and a digest of every byte that left them
# and of every sample that was heard: the same on every machine, from the same seed.

import binascii
import hashlib
import json

import native_core
from linnet import core, records
from test_records import CASES
from two_sessions import TwoSessions


def hexlify(data):
    return binascii.hexlify(data).decode()


class Tap:
    """Digests of what a session sends and plays, and a voice for its microphone."""

    def __init__(self, session, voice):
        self.sent = hashlib.sha256()
        self.heard = hashlib.sha256()
        self.datagrams = 0
        self._voice = voice
        self._at = 0
        self._session = session
        self._poll, self._push, self._pull = session.poll, session.pcm_push, session.pcm_pull
        session.poll, session.pcm_push, session.pcm_pull = self.poll, self.push, self.pull

    def poll(self):
        kind = self._poll()
        if kind == core.DATAGRAM:
            self.datagrams += 1
            self.sent.update(self._session.body[: self._session.body_len()])
        return kind

    def push(self, pcm):
        n = len(pcm)
        frame = self._voice[self._at : self._at + n]
        self._at = (self._at + n) % len(self._voice)
        return self._push(frame)

    def pull(self, pcm):
        playing = self._pull(pcm)
        self.heard.update(pcm)
        return playing


def protobuf():
    """Digest of every recorded message, written by this machine's codec; each is read back first."""
    whole = hashlib.sha256()
    records.bind(native_core.native)
    for root, message, wire, _ in CASES:
        written = records.encode(root, message)
        if records.decode(root, written) != message or records.decode(root, binascii.unhexlify(wire)) != message:
            raise AssertionError("a message of %s is not the same after writing and reading" % root)
        whole.update(written)
    return hexlify(whole.digest())


def results(voice, sound_ms=1000):
    """{fact: value} of one call; `voice` is int16 sound at 16 kHz, whole frames."""
    call = TwoSessions()
    taps = [Tap(end.session, voice) for end in call.ends]
    call.connect()
    if not call.run(lambda: call.left.is_up() and call.right.is_up() and call.right.is_open):
        raise AssertionError("not connected: %s %s" % (call.left.states, call.right.states))
    found = {"connected_us": call.now}
    for i, end in enumerate(call.ends):
        peer = call.other(end)
        payload = bytes([(k * 7 + i) & 255 for k in range(3000)])
        if end.session.send_data(call.ticks(), end.handle, payload) != 0:
            raise AssertionError("no room for a message")
        call.drain(end)
        if not call.run(lambda: peer.messages) or peer.messages != [(False, payload)]:  # noqa: B023 (called at once)
            raise AssertionError("the message did not arrive as it was sent")
    call.start_sound(voice[: len(call.left.frame)])
    call.run_for(sound_ms)
    for name, end, tap in zip(("left", "right"), call.ends, taps):
        stats = end.session.stats()
        if stats["dropped_srtp_auth"] or end.session.track_stats(0)["packets_lost"]:
            raise AssertionError("packets were lost: %s" % stats)
        stats.pop("arena_high_water")  # pointers in it have another size here and there
        found[name] = {
            "sent": hexlify(tap.sent.digest()),
            "datagrams": tap.datagrams,
            "heard": hexlify(tap.heard.digest()),
            "sounding": end.sounding,
            "stats": sorted(stats.items()),
        }
    for tap in taps:
        tap.sent = tap.heard = hashlib.sha256()  # a digest ends a hash
    call.left.session.close(call.ticks())
    call.drain(call.left)
    if not call.run(lambda: call.right.states[core.DTLS] == core.CLOSED):
        raise AssertionError("the end was not told")
    return found


def say(name, found):
    print("RESULT", json.dumps({name: found}))
