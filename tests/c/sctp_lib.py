"""SCTP and data channels under test: the compiled core, the network of sctp_world.h, and packets made by hand."""

import re
import struct
from pathlib import Path

from internals import CSRC, load

SOURCES = ["net/sctp.c", "net/sctp_chunks.c", "net/sctp_crc32c.c", "net/sctp_handshake.c", "net/sctp_recv.c",
           "net/sctp_reconfig.c", "net/sctp_send.c", "net/dcep.c"]
HERE = str(Path(__file__).parent)


def _struct(header, name):
    """A struct of a header whole, for Python to look into."""
    text = (CSRC / header).read_text()
    return re.search(r"typedef struct \{(?:(?!typedef)[^}])*\} %s;" % name, text, re.S).group(0)


CDEF = "\n".join([
    "typedef struct { uint64_t opaque[44]; } linnet_rng_t;",
    _struct("net/sctp.h", "linnet_sctp_counters_t"),
    """typedef struct linnet_sctp { uint32_t flags, my_tag, peer_tag, my_first_tsn, cwnd, ssthresh, flight, cum,
    highest, rto_us, srtt_us, errors, next_tsn, peer_cum, peer_window, buffered, n_records, n_sent, n_unsent;
    uint16_t n_free, n_blocks;
    uint64_t t3; linnet_sctp_counters_t counters; ...; } linnet_sctp_t;""",
    _struct("net/dcep.h", "linnet_dcep_counters_t"),
    "typedef struct { linnet_dcep_counters_t counters; ...; } linnet_dcep_t;",
    """typedef struct { uint64_t now; uint32_t loss_ppm[2], duplicate_ppm, delay_us, jitter_us, bits_per_s;
    uint64_t outage_from, outage_to, sent[2], lost[2], overflow, steps; int drop_next[2]; linnet_rng_t rng[2];
    linnet_sctp_t end[2]; linnet_dcep_t dcep[2]; ...; } world_t;
    typedef struct { uint32_t n, streams, max_len; uint8_t unordered; int32_t max_retransmits; uint32_t lifetime_ms;
    uint64_t limit_us; uint32_t received[2], out_of_order, corrupt; uint64_t bytes[2], longest_gap_us; } bulk_t;
    world_t *world_new(uint64_t seed, uint32_t max_message, uint32_t send_len, uint32_t recv_len);
    void world_free(world_t *w);
    int world_run(world_t *w, uint64_t until);
    int world_step(world_t *w, uint64_t until);
    int64_t world_bulk(world_t *w, bulk_t *b);
    void seam_seed(linnet_rng_t *rng, uint64_t seed);
    uint32_t linnet_sctp_crc32c(uint32_t crc, const uint8_t *data, size_t len);
    """,
])
# The text itself, not an #include: so a change of it rebuilds the module.
EXTRA = "\n".join(['#include "net/sctp_internal.h"'] + [Path(HERE, name).read_text()
                                                        for name in ("sctp_seam.h", "sctp_world.h")])

mod = load("sctp", SOURCES, ["net/sctp.h", "net/dcep.h"], extra_cdef=CDEF, extra_source=EXTRA, include_dirs=[HERE])
lib, ffi = mod.lib, mod.ffi

S = 1_000_000
UP = "LINNET_SCTP_ESTABLISHED"
DATA, INIT, INIT_ACK, SACK, HEARTBEAT, HEARTBEAT_ACK, ABORT, SHUTDOWN, SHUTDOWN_ACK, ERROR = range(10)
COOKIE_ECHO, COOKIE_ACK, SHUTDOWN_COMPLETE, RECONFIG, FORWARD_TSN = 10, 11, 14, 130, 192
PORT = 5000


# linnet_error
AGAIN, LIMIT, CLOSED, STATE, ARG, SPACE, PACKET = -5, -8, -7, -4, -1, -3, -2


def event_names(prefix):
    return {getattr(lib, n): n[len(prefix):] for n in dir(lib) if n.startswith(prefix)}


EVENTS = event_names("LINNET_SCTP_EVENT_")
STATES = {i: n for i, n in enumerate("CLOSED COOKIE_WAIT COOKIE_ECHOED ESTABLISHED SHUTDOWN_PENDING SHUTDOWN_SENT "
                                     "SHUTDOWN_RECEIVED SHUTDOWN_ACK_SENT LOST".split())}


# --- packets by hand ---

def chunk(type, flags=0, body=b""):
    return struct.pack("!BBH", type, flags, 4 + len(body)) + body + b"\0" * (-len(body) % 4)


def seal(packet):
    packet = packet[:8] + b"\0\0\0\0" + packet[12:]
    return packet[:8] + struct.pack("<I", lib.linnet_sctp_crc32c(0, packet, len(packet))) + packet[12:]


def packet(tag, *chunks, port=PORT):
    return seal(struct.pack("!HHII", port, port, tag, 0) + b"".join(chunks))


def chunks_of(raw):
    """[(type, flags, body)] of a packet."""
    found, at = [], 12
    while at + 4 <= len(raw):
        type, flags, length = struct.unpack_from("!BBH", raw, at)
        found.append((type, flags, raw[at + 4:at + length]))
        at += length + (-length % 4)
    return found


def tag_of(raw):
    return struct.unpack_from("!I", raw, 4)[0]


def types_of(raw):
    return [c[0] for c in chunks_of(raw)]


def init_body(tag=0x1234, window=100000, out=65535, into=65535, tsn=1000, params=b"\xc0\x00\x00\x04"):
    return struct.pack("!IIHHI", tag, window, out, into, tsn) + params


def data_chunk(tsn, stream=0, ssn=0, payload=b"x", ppid=53, flags=3):
    return chunk(DATA, flags, struct.pack("!IHHI", tsn, stream, ssn, ppid) + payload)


def sack_chunk(cum, window=100000, gaps=(), duplicates=()):
    body = struct.pack("!IIHH", cum, window, len(gaps), len(duplicates))
    return chunk(SACK, 0, body + b"".join(struct.pack("!HH", *g) for g in gaps)
                 + b"".join(struct.pack("!I", d) for d in duplicates))


# --- one end, without a network ---

class End:
    """One association that Python drives packet by packet. Time stands still unless told."""

    def __init__(self, seed=1, max_message=65536, send_len=131072, recv_len=131072, raw=None, rng=None, **config):
        self.now = S
        self.buf = ffi.new("uint8_t[]", 300000)
        self.rng = rng or ffi.new("linnet_rng_t *")
        if raw is None:
            raw = ffi.new("linnet_sctp_t *")
            lib.seam_seed(self.rng, seed)
            self.mem = ffi.new("uint8_t[]", send_len), ffi.new("uint8_t[]", recv_len)
            self.config = ffi.new("linnet_sctp_config_t *", dict(
                max_message=max_message, send_mem=self.mem[0], send_len=send_len, recv_mem=self.mem[1],
                recv_len=recv_len, **config))
            assert lib.linnet_sctp_init(raw, self.config, self.rng) == 0
        self.s = raw

    @property
    def state(self):
        return STATES[lib.linnet_sctp_state(self.s)]

    @property
    def counters(self):
        return self.s.counters

    def connect(self):
        return lib.linnet_sctp_connect(self.s, self.now)

    def input(self, raw):
        return lib.linnet_sctp_input(self.s, self.rng, self.now, raw, len(raw))

    def poll(self):
        """Every packet that is due."""
        packets = []
        while True:
            n = lib.linnet_sctp_poll(self.s, self.now, self.buf, 2000)
            assert n >= 0
            if n == 0:
                return packets
            packets.append(ffi.buffer(self.buf, n)[:])

    def send(self, data, stream=0, ppid=53, unordered=False, max_retransmits=-1, lifetime_ms=0):
        how = ffi.new("linnet_sctp_send_t *", (stream, ppid, unordered, max_retransmits, lifetime_ms))
        return lib.linnet_sctp_send(self.s, self.now, how, data, len(data))

    def recv(self, cap=300000):
        """(stream, ppid, message), or None, or an error."""
        stream, ppid = ffi.new("uint16_t *"), ffi.new("uint32_t *")
        n = lib.linnet_sctp_recv(self.s, stream, ppid, self.buf, cap)
        if n <= 0:
            return n or None
        return stream[0], ppid[0], ffi.buffer(self.buf, n)[:]

    def recv_all(self):
        return list(iter(self.recv, None))

    def events(self):
        found = []
        while True:
            stream = ffi.new("uint16_t *")
            event = EVENTS[lib.linnet_sctp_event(self.s, stream)]
            if event == "NONE":
                return found
            found.append((event, stream[0]) if "RESET" in event else event)

    def sleep(self, us):
        """Only this end lives on: its timers fire one by one. Returns what it sent, with the times."""
        until, sent = self.now + us, [(self.now, p) for p in self.poll()]
        while True:
            at = lib.linnet_sctp_deadline(self.s)
            if at > until:
                self.now = until
                return sent
            self.now = max(self.now, at)
            sent += [(self.now, p) for p in self.poll()]


def exchange(a, b, rounds=50):
    """Carries packets to and fro, in no time, until both are silent and the last SACK is no longer delayed."""
    for _ in range(rounds):
        to_b, to_a = a.poll(), b.poll()
        if not to_a and not to_b:
            if min(lib.linnet_sctp_deadline(e.s) - e.now for e in (a, b)) > 100_000:
                return
            a.now = b.now = a.now + 100_000
        for p in to_b:
            b.input(p)
        for p in to_a:
            a.input(p)
    raise AssertionError("never silent")


def established(**config):
    a, b = End(seed=1, **config), End(seed=2, **config)
    a.connect()
    b.connect()
    exchange(a, b)
    assert a.state == b.state == "ESTABLISHED"
    assert a.events() == b.events() == ["UP"]
    return a, b


class Scripted:
    """A peer made of hand-written packets, for an End that is established with it."""

    EXTENSIONS = bytes.fromhex("c0000004 80080005 82000000")

    def __init__(self, tag=0x1234, tsn=1000, window=100000, params=EXTENSIONS, **config):
        self.end = End(**config)
        self.tag, self.tsn = tag, tsn
        self.end.connect()
        init = self.end.poll()[0]
        self.end_tag = struct.unpack_from("!I", chunks_of(init)[0][2])[0]
        self.end_tsn = struct.unpack_from("!I", chunks_of(init)[0][2], 12)[0]
        cookie = struct.pack("!HH", 7, 12) + b"scripted"
        self.give(chunk(INIT_ACK, 0, init_body(tag, window, tsn=tsn, params=cookie + params)))
        assert types_of(self.end.poll()[0]) == [COOKIE_ECHO]
        self.give(chunk(COOKIE_ACK))
        assert self.end.events() == ["UP"]

    def give(self, *chunks):
        return self.end.input(packet(self.end_tag, *chunks))

    def data(self, **fields):
        """The next DATA chunk."""
        self.tsn += 1
        return data_chunk(self.tsn - 1, **fields)

    def answers(self):
        """[(type, flags, body)] of all that the end sends now."""
        return [c for p in self.end.poll() for c in chunks_of(p)]


class World:
    """Two ends and the network between them, in virtual time."""

    def __init__(self, seed=1, max_message=65536, send_len=131072, recv_len=131072, **settings):
        self.w = lib.world_new(seed, max_message, send_len, recv_len)
        self.ends = [End(raw=ffi.addressof(self.w.end, i), rng=ffi.addressof(self.w.rng, i)) for i in (0, 1)]
        for name, value in settings.items():
            setattr(self.w, name, value)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        lib.world_free(self.w)

    @property
    def now(self):
        return self.w.now

    def tell_time(self):
        for end in self.ends:
            end.now = self.w.now

    def run(self, us):
        n = lib.world_run(self.w, self.w.now + us)
        self.tell_time()
        return n

    def connect(self):
        self.tell_time()
        for end in self.ends:
            end.connect()

    def loss(self, percent):
        self.w.loss_ppm[0] = self.w.loss_ppm[1] = int(percent * 10000)

    def bulk(self, limit_s=3600, **fields):
        bulk = ffi.new("bulk_t *", dict(dict(n=1000, streams=1, max_len=15360, max_retransmits=-1,
                                             limit_us=self.w.now + limit_s * S), **fields))
        took = lib.world_bulk(self.w, bulk)
        self.tell_time()
        return took, bulk


# --- data channels ---

class Channels:
    """The data channels over one End, with the loop that a session runs around them."""

    def __init__(self, end, role, raw=None):
        self.end, self.d = end, raw or ffi.new("linnet_dcep_t *")
        lib.linnet_dcep_init(self.d)
        if role is not None:
            lib.linnet_dcep_set_role(self.d, role)
        self.messages = []  # (handle, is_string, bytes)
        self.seen = []      # ("OPENED" | "CLOSED", handle, id, label)
        self.details = {}   # handle: the event with which it opened

    def open(self, label=b"x", ordered=True, max_retransmits=-1, lifetime_ms=0, id=-1, early=False):
        sctp = ffi.NULL if early else self.end.s
        return lib.linnet_dcep_open(self.d, sctp, self.end.now, label, len(label), ordered, max_retransmits,
                                    lifetime_ms, id)

    def send(self, handle, data):
        raw = data.encode() if isinstance(data, str) else data
        return lib.linnet_dcep_send(self.d, self.end.s, self.end.now, handle, isinstance(data, str), raw, len(raw))

    def close(self, handle):
        return lib.linnet_dcep_close(self.d, self.end.s, self.end.now, handle)

    def is_open(self, handle):
        return lib.linnet_dcep_is_open(self.d, handle) == 1

    def give(self, stream, ppid, data):
        """What linnet_dcep_on_message makes of a message."""
        m = ffi.new("linnet_dcep_message_t *")
        kind = lib.linnet_dcep_on_message(self.d, self.end.s, self.end.now, stream, ppid, data, len(data), m)
        if kind == lib.LINNET_DCEP_DATA:
            self.messages.append((m.handle, bool(m.is_string), data[:m.len]))
        return kind

    def service(self):
        """Messages until there is none, then one event, until both are silent."""
        while True:
            for stream, ppid, data in self.end.recv_all():
                self.give(stream, ppid, data)
            stream = ffi.new("uint16_t *")
            event = lib.linnet_sctp_event(self.end.s, stream)
            if event == lib.LINNET_SCTP_EVENT_NONE:
                break
            lib.linnet_dcep_on_sctp_event(self.d, self.end.s, self.end.now, event, stream[0])
        lib.linnet_dcep_step(self.d, self.end.s, self.end.now)
        while True:
            e = ffi.new("linnet_dcep_event_t *")
            kind = lib.linnet_dcep_event(self.d, e)
            if kind == lib.LINNET_DCEP_EVENT_NONE:
                return
            name = "OPENED" if kind == lib.LINNET_DCEP_EVENT_OPENED else "CLOSED"
            self.seen.append((name, e.handle, e.id, ffi.buffer(e.label, e.label_len)[:]))
            if name == "OPENED":
                self.details[e.handle] = (bool(e.is_remote), bool(e.unordered), e.max_retransmits, e.lifetime_ms)

    def take_messages(self):
        taken, self.messages = self.messages, []
        return taken

    def take_seen(self):
        taken, self.seen = self.seen, []
        return taken


def sack_of(chunks):
    body, = [c[2] for c in chunks if c[0] == SACK]
    cum, window, n_gaps, n_dups = struct.unpack_from("!IIHH", body)
    gaps = [struct.unpack_from("!HH", body, 12 + 4 * i) for i in range(n_gaps)]
    return cum, window, gaps, list(struct.unpack_from("!%dI" % n_dups, body, 12 + 4 * n_gaps))


def reset_request(seq, last_tsn, *streams, response=0):
    body = struct.pack("!HHIII", 13, 16 + 2 * len(streams), seq, response, last_tsn)
    return chunk(RECONFIG, 0, body + b"".join(struct.pack("!H", s) for s in streams))


def responses(chunks):
    return [struct.unpack("!HHII", c[2])[2:] for c in chunks if c[0] == RECONFIG and c[2][:2] == b"\0\x10"]
