# A call between two cores in virtual time, and its hot path without the heap.

import native_core
from harness import IS_MICROPYTHON, TestCase, main
from linnet import core
from two_sessions import TwoSessions, square

if IS_MICROPYTHON:
    from micropython import heap_lock, heap_unlock
else:

    def heap_lock():
        pass

    def heap_unlock():
        pass


def connected():
    call = TwoSessions()
    call.connect()
    if not call.run(lambda: call.left.is_up() and call.right.is_up() and call.right.is_open):
        raise AssertionError("not connected: %s %s" % (call.left.states, call.right.states))
    return call


class TestCall(TestCase):
    def setUp(self):
        if not native_core.HAS_CORE:
            self.skipTest(native_core.NEEDS_CORE)

    def test_it_connects_sends_data_and_sounds(self):
        call = connected()
        for end in (call.left, call.right):
            self.assertEqual(end.states, [core.CONNECTED] * 3)
        for i, end in enumerate((call.left, call.right)):
            payload = bytes(range(256)) * (i + 4)
            self.assertEqual(end.session.send_data(call.ticks(), end.handle, payload, True), 0)
            call.drain(end)
            peer = call.other(end)
            self.assertTrue(call.run(lambda: peer.messages))  # noqa: B023 (called at once)
            self.assertEqual(peer.messages, [(True, payload)])
        call.start_sound(square())
        call.run_for(1000)
        for end in (call.left, call.right):
            self.assertEqual(end.first, [core.FIRST_SENT, core.FIRST_HEARD])
            self.assertGreater(end.sounding, 40)
            stats = end.session.stats()
            self.assertEqual(stats["dropped_srtp_auth"], 0)
            self.assertGreater(stats["speaker_samples"], 0)
            self.assertEqual(end.session.track_stats(0)["packets_lost"], 0)
            self.assertNotEqual(bytes(end.silent), bytes(len(end.silent)))

    def test_its_end_is_told(self):
        call = connected()
        call.left.session.close(call.ticks())
        call.drain(call.left)
        self.assertTrue(call.run(lambda: call.right.states[core.DTLS] == core.CLOSED))
        for end in (call.left, call.right):
            end.session.wipe()

    def test_a_frame_of_sound_needs_no_heap_on_either_side(self):
        """Receive, send and play under heap_lock(): input, poll, pcm_push and pcm_pull allocate nothing."""
        call = connected()
        call.start_sound(square())
        call.run_for(400)
        left, right = call.left.session, call.right.session
        mic, speaker, source = call.left.frame, call.right.silent, call.left.source
        box = bytearray(1600)
        packets = memoryview(box)
        packets[0:20] = source
        sizes = [packets[: 20 + n] for n in range(1500)]  # a slice allocates, so they are made before
        now, sent, played = call.ticks(), 0, 0
        heap_lock()
        try:
            for _ in range(10):
                now = (now + 20000) & 0x3FFFFFFF
                left.input(now, core.IN_TIME)
                left.pcm_push(mic)
                kind = left.poll()
                while kind != core.IDLE:
                    n = left.body_len() - 20
                    i = 0
                    while i < n:
                        box[20 + i] = left.body[20 + i]
                        i += 1
                    right.input(now, core.IN_DATAGRAM, sizes[n])
                    sent += 1
                    kind = left.poll()
                played += right.pcm_pull(speaker)
                while right.poll() != core.IDLE:
                    pass
        finally:
            heap_unlock()
        self.assertGreater(sent, 9)
        self.assertEqual(played, 10)


if __name__ == "__main__":
    main()
