"""A bad network, from a seed: loss, bursts of loss, delay, jitter, reorder, duplication, rate, outage.

Pure arithmetic on virtual time: Link.send() says when copies of a datagram arrive, and keeps no packet itself.
"""

import random


class Link:
    """One direction of a path. Times in microseconds, probabilities 0..1.

    loss        independent loss of each datagram
    burst       (p, r): Gilbert-Elliott, enter the bad state with p, leave it with r; all is lost in it
    delay_us    one-way delay
    jitter_us   extra delay, uniform in 0..jitter_us; keeps no order, so it reorders
    duplicate   a second copy, with its own delay
    rate_bps    bottleneck; queue_us of waiting at most, then tail drop
    outages     [(start_us, end_us)]: nothing gets through
    mtu         larger datagrams are dropped
    """

    def __init__(self, seed, *, loss=0.0, burst=None, delay_us=0, jitter_us=0, duplicate=0.0, rate_bps=0,
                 queue_us=200000, outages=(), mtu=65535):
        self.random = random.Random(seed)
        self.loss = loss
        self.burst = burst
        self.delay_us = delay_us
        self.jitter_us = jitter_us
        self.duplicate = duplicate
        self.rate_bps = rate_bps
        self.queue_us = queue_us
        self.outages = list(outages)
        self.mtu = mtu
        self._in_burst = False
        self._free_at = 0
        self.sent = self.lost = self.duplicated = 0

    def send(self, now_us, length):
        """Arrival times of the copies of one datagram of `length` bytes: none, one or two."""
        self.sent += 1
        if self._is_lost(now_us, length):
            self.lost += 1
            return []
        start = now_us
        if self.rate_bps:
            start = max(now_us, self._free_at)
            if start - now_us > self.queue_us:
                self.lost += 1
                return []
            # 28 bytes of IP and UDP header take their time too.
            start += (length + 28) * 8 * 1000000 // self.rate_bps
            self._free_at = start
        arrivals = [start + self._delay()]
        if self.duplicate and self.random.random() < self.duplicate:
            self.duplicated += 1
            arrivals.append(start + self._delay())
        return arrivals

    def _delay(self):
        return self.delay_us + (int(self.random.random() * self.jitter_us) if self.jitter_us else 0)

    def _is_lost(self, now_us, length):
        if length > self.mtu:
            return True
        for start, end in self.outages:
            if start <= now_us < end:
                return True
        if self.burst:
            enter, leave = self.burst
            self._in_burst = self.random.random() < (1 - leave if self._in_burst else enter)
            if self._in_burst:
                return True
        return bool(self.loss) and self.random.random() < self.loss
