# What Linnet needs from a machine: four contracts, as documented classes.
#
# There is nothing to inherit: an adapter has these methods with these
# meanings. Adapters are passed in (Room(port)), never looked up. Every wait
# has a limit, every wait can be cancelled, and cancelling leaks nothing.
# `missing()` names what an adapter lacks.


class Net:
    """Datagrams and byte streams. Nothing here blocks longer than its timeout_ms."""

    def local_addresses(self):
        """Addresses to offer as ICE host candidates: a list of packed IP addresses
        (4 bytes for IPv4, 16 for IPv6), best first, without duplicates. Loopback is
        listed only if nothing else is there or the adapter was told so."""

    async def udp_open(self, family, address=None):
        """Open the one datagram socket for `family` (4 or 6) on a free port.

        `address` is a packed IP address to bind to, None for any. Gives the local
        address as (packed_ip, port); raises Refused("host-unreachable") if the
        machine cannot. Opening again closes the earlier one."""

    def udp_send(self, addr, view):
        """Send one datagram to addr = (packed_ip, port). Never blocks: False means that
        it was not taken (queue full, network down), and the caller counts it. The length
        of the packed IP chooses the socket.
        hot: no allocation"""

    async def udp_recv_into(self, view):
        """Wait for the next datagram and copy it into `view`; gives (n, addr). A datagram
        that is longer than the view is dropped, not cut. Raises Closed after udp_close().
        hot: the tuple is the only allocation"""

    def udp_recv_now(self, view):
        """The next datagram that is here already, as udp_recv_into() gives it, or None."""

    def udp_listen(self, callback):
        """Call `callback()` from the event loop whenever datagrams wait, which it takes with
        udp_recv_now() until None. False if this adapter cannot: then somebody must await
        udp_recv_into(). Saves two turns of the event loop per datagram where it works."""

    def udp_close(self):
        """Close the datagram sockets. May be called twice."""

    async def wake_wait(self, source):
        """Wait until the native media loop has events. `source` is what core.Loop.wake_source()
        gives: a file descriptor on CPython, a stream that asyncio can poll on MicroPython; it is
        readable while events wait. Only for a port with `media_loop`."""

    async def stream_open(self, host, port, tls, timeout_ms, on_step=None):
        """Connect to host (name or address literal, IPv6 without brackets) and give a Stream.

        With `tls` the certificate chain, its dates and the host name have been
        verified before this returns. `on_step(name)` is called when a step is
        done: "dns", "tcp" and, with `tls`, "tls".
        Raises Refused("name-not-resolved"), Refused("host-unreachable"),
        Refused("tls-refused") with the certificate's trouble in the cause, or
        Timeout("connect-timeout")."""


class Stream:
    """What Net.stream_open() gives: bytes in order, both ways."""

    async def read(self, n):
        """Wait for bytes and give 1 to n of them, or b"" once the other side has ended the
        stream. A broken connection raises Closed("ws-closed")."""

    async def write(self, data):
        """Send all of `data`; returns when it has been handed to the system. A broken
        connection raises Closed("ws-closed")."""

    def close(self):
        """Close now, without waiting. May be called twice; a waiting read() ends."""


class Clock:
    """Time, so that tests can have their own."""

    def ticks_us(self):
        """Microseconds modulo 2^30 of a clock that never jumps."""

    async def sleep_ms(self, ms):
        """Give way for at least `ms` milliseconds (0: once around the loop)."""

    async def wait_for_ms(self, coroutine, ms):
        """The coroutine's result; asyncio.TimeoutError, and the coroutine cancelled, after
        `ms` milliseconds on this clock."""

    def unix_time(self):
        """Whole seconds since 1970, or 0 while the machine does not know the time."""


class Audio:
    """A microphone and a speaker at one rate, mono, signed 16-bit little-endian.

    Pull model: the driver calls capture_into() and play() every 20 ms; the
    adapter keeps a small ring to each side and never blocks."""

    rate = 16000  # samples per second: 8000, 12000, 16000, 24000 or 48000

    def start(self):
        """Open the device. Raises Refused("no-audio-device") with what is missing."""

    def stop(self):
        """Close the device. May be called twice, and before start()."""

    def capture_into(self, buf):
        """Fill `buf` (bytearray or memoryview, a whole number of samples) with the oldest
        sound not read yet; gives the number of SAMPLES written, 0 if less than all of `buf`
        is there yet: a frame is whole or not at all. hot: no allocation"""

    def play(self, buf):
        """Queue the samples in `buf` for the speaker; gives the number of SAMPLES taken, less
        than given when the ring is full. hot: no allocation"""

    def play_room(self):
        """Samples that play() would take now. The driver keeps this ring short."""


class LoopAudio:
    """What an Audio adapter is to the native media loop (a port with `media_loop`), beside
    `rate`. Samples go through rings or through a device that the loop drives itself; nothing
    here is called per frame."""

    loop_sound = 0  # core.LOOP_SILENT, LOOP_PACED, LOOP_FREE or LOOP_DEVICE: the microphone
    loop_speaker_sound = 0  # the speaker
    loop_ring_ms = 0  # microphone ring, the speaker's is four times as long; 0: the default
    loop_ahead_ms = 0  # sound kept ready for the speaker; more than it takes at once; 0: the default

    def loop_start(self, loop):
        """The call begins. FREE: from now on loop.mic(pcm) and loop.speaker(pcm) may be called,
        from any thread. Raises Refused("no-audio-device") with what is missing."""

    def loop_stop(self):
        """The call has ended: the loop is not to be called any more. May be called twice, and
        before loop_start()."""

    def ring_fill(self, buf):
        """PACED: fill all of `buf` with the next sound of the microphone, silence if there is
        none. It is heard about loop_ring_ms later."""

    def ring_heard(self, buf):
        """PACED: what the speaker played next. `buf` is borrowed."""


class Store:
    """Small strings that survive a restart: profile, newest token, counters.

    What is stored may be secret: an adapter keeps it where only this program reads."""

    def get(self, key, default=None):
        """The text stored under `key` (ASCII, at most 15 characters), or `default`."""

    def set(self, key, value):
        """Store text (at most 4000 bytes of UTF-8) under `key`; None removes it. Either the
        old or the new value survives a power cut."""


class Port:
    """The four adapters of one machine, together. `audio` may be None: data only.

    `media_loop`: packets and sound are moved by the native media loop instead of by Python;
    `net` then needs wake_wait() and no datagrams, and `audio` is a LoopAudio."""

    def __init__(self, net, clock, audio=None, store=None, media_loop=False):
        self.net = net
        self.clock = clock
        self.audio = audio
        self.store = store
        self.media_loop = media_loop


def missing(adapter, contract):
    """Names that `contract` has and `adapter` lacks, sorted."""
    names = [n for n in dir(contract) if not n.startswith("_")]
    return sorted([n for n in names if not hasattr(adapter, n)])


def by_family(addresses):
    """[(4 or 6, the addresses of that family)] of local_addresses(), one socket each."""
    found = []
    for ip in addresses:
        family = 4 if len(ip) == 4 else 6
        if not [known for known, _ in found if known == family]:
            found.append((family, [one for one in addresses if len(one) == len(ip)]))
    return found
