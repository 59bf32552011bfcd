"""ICE agents of csrc/net/ice.c and a small scripted network in virtual time, for test_ice.py.

A Net carries datagrams between Agents with a one-way delay, loses, rewrites (NAT) and logs them. It drives each
agent as a session does: one input, then poll until there is nothing, then wait for the deadline.
"""

import heapq
import ipaddress
import random
from collections import namedtuple

from internals import CRYPTO, load

mod = load("ice", ["net/stun.c", "net/ice.c", "net/ice_pairs.c", "net/ice_timers.c", "net/ice_checks.c", *CRYPTO],
           ["errors.h", "wire.h", "crypto.h", "address.h", "net/stun.h", "net/ice.h"],
           extra_cdef="""
    typedef struct {
        struct linnet_ice_counters counters;
        uint64_t tie_breaker;
        uint8_t controlling;
        ...;
    } linnet_ice_t;
""", third_party=["mbedtls"])
ffi, lib = mod.ffi, mod.lib

MS, S = 1000, 1_000_000
NEVER = 2**64 - 1
STATES = ("new", "checking", "connected", "completed", "disconnected", "failed", "closed")
Sent = namedtuple("Sent", "at source to data")


def address(host, port, socket=0):
    ip = ipaddress.ip_address(host)
    return ffi.new("linnet_addr_t *", {"family": ip.version, "socket": socket, "port": port,
                                       "ip": ip.packed.ljust(16, b"\0")})


def host_port(addr):
    return str(ipaddress.ip_address(bytes(addr.ip)[:{4: 4, 6: 16}[addr.family]])), addr.port


class Agent:
    """One agent; `sockets` are (host, port) of its local sockets, in order."""

    def __init__(self, name, *sockets, controlling=False, lite=False, ta_us=0, seed=None):
        self.name = name
        self.sockets = list(sockets)
        self.rng = ffi.new("linnet_rng_t *")
        lib.linnet_rng_init(self.rng, (seed or name).encode().ljust(32, b"."), 32)
        self.ice = ffi.new("linnet_ice_t *")
        config = {"controlling": controlling, "lite": lite, "ta_us": ta_us}
        lib.linnet_ice_init(self.ice, ffi.new("linnet_ice_config_t *", config), self.rng)
        for i, (host, port) in enumerate(sockets):
            assert lib.linnet_ice_add_local(self.ice, address(host, port, i)) == i
        self.history = []  # (time, state), changes only
        self.buf = ffi.new("uint8_t[256]")

    ufrag = property(lambda self: ffi.string(lib.linnet_ice_ufrag(self.ice)))
    pwd = property(lambda self: ffi.string(lib.linnet_ice_pwd(self.ice)))
    state = property(lambda self: STATES[lib.linnet_ice_state(self.ice)])
    deadline = property(lambda self: lib.linnet_ice_deadline(self.ice))
    can_send = property(lambda self: bool(lib.linnet_ice_can_send(self.ice)))
    rtt = property(lambda self: lib.linnet_ice_rtt_us(self.ice))
    controlling = property(lambda self: bool(self.ice.controlling))

    @property
    def counters(self):
        counters = self.ice.counters
        return {name: getattr(counters, name) for name, _ in ffi.typeof(counters).fields}

    @property
    def selected(self):
        """(local socket, remote host and port) or None."""
        addr = ffi.new("linnet_addr_t *")
        return (addr.socket, host_port(addr)) if lib.linnet_ice_selected(self.ice, addr) else None

    @property
    def reflexive(self):
        addr = ffi.new("linnet_addr_t *")
        return host_port(addr) if lib.linnet_ice_reflexive(self.ice, addr) else None

    def accepts(self, host, port, socket=0):
        return lib.linnet_ice_accepts(self.ice, address(host, port, socket))

    def set_remote(self, peer=None, ufrag=None, pwd=None, lite=False):
        ufrag, pwd = ufrag or peer.ufrag, pwd or peer.pwd
        return lib.linnet_ice_set_remote(self.ice, ufrag, len(ufrag), pwd, len(pwd), lite)

    def add_remote(self, host, port, kind=lib.LINNET_ICE_HOST, priority=None):
        if priority is None:
            priority = {lib.LINNET_ICE_HOST: 126, lib.LINNET_ICE_SRFLX: 100, lib.LINNET_ICE_PRFLX: 110,
                        lib.LINNET_ICE_RELAY: 0}.get(kind, 0) << 24 | 65535 << 8 | 255
        return lib.linnet_ice_add_remote(self.ice, address(host, port), priority, kind)

    def input(self, now, source, data, socket=0):
        return lib.linnet_ice_input(self.ice, self.rng, now, address(*source, socket), data, len(data))

    def poll(self, now):
        """(socket, remote, datagram) or None."""
        to = ffi.new("linnet_addr_t *")
        n = lib.linnet_ice_poll(self.ice, self.rng, now, to, self.buf, len(self.buf))
        assert n >= 0
        return (to.socket, host_port(to), bytes(ffi.buffer(self.buf, n))) if n else None

    def restart(self):
        lib.linnet_ice_restart(self.ice, self.rng)

    def image(self):
        """All bytes of the agent but its counters."""
        counters = ffi.sizeof("struct linnet_ice_counters")
        at = int(ffi.cast("uintptr_t", ffi.addressof(self.ice, "counters"))) - int(ffi.cast("uintptr_t", self.ice))
        whole = bytes(ffi.buffer(self.ice))
        return whole[:at] + whole[at + counters:]

    def reached(self, state):
        """When that state was first seen, or None."""
        return next((at for at, s in self.history if s == state), None)


class Nat:
    """Maps what comes from one inner host to ports of an outer one; lets in what was asked (address and port)."""

    def __init__(self, inner, outer, first_port=40000):
        self.inner, self.outer, self.next_port = inner, outer, first_port
        self.ports, self.asked = {}, set()

    def outward(self, source, to):
        if source not in self.ports:
            self.ports[source] = self.next_port
            self.next_port += 1
        self.asked.add((self.ports[source], to))
        return self.outer, self.ports[source]

    def inward(self, source, to):
        for inner, port in self.ports.items():
            if port == to[1] and (port, source) in self.asked:
                return inner
        return None

    def rebind(self):
        """The router forgot everything."""
        self.ports.clear()
        self.asked.clear()


class Net:
    def __init__(self, *agents, delay=20 * MS, seed=1):
        self.now = 0
        self.delay = delay
        self.agents = agents
        self.rng = random.Random(seed)
        self.loss = 0.0
        self.cut = lambda sent: False  # which datagrams vanish
        self.rewrite = lambda sent: sent  # between NAT and delivery
        self.nats = []
        self.log = []  # every datagram that an agent sent
        self._queue, self._order = [], 0

    def _owner(self, to):
        for agent in self.agents:
            if to in agent.sockets:
                return agent, agent.sockets.index(to)
        return None, None

    def send(self, source, to, data):
        sent = Sent(self.now, source, to, data)
        self.log.append(sent)
        for nat in self.nats:
            if nat.inner == source[0]:
                sent = sent._replace(source=nat.outward(source, to))
        sent = self.rewrite(sent)
        if sent is None or self.cut(sent) or self.rng.random() < self.loss:
            return
        self._order += 1
        heapq.heappush(self._queue, (self.now + self.delay, self._order, sent))

    def _deliver(self, sent):
        to = sent.to
        for nat in self.nats:
            if nat.outer == to[0]:
                to = nat.inward(sent.source, to)
        agent, socket = self._owner(to)
        if agent is not None:
            agent.input(self.now, sent.source, sent.data, socket)
            self._drain(agent)

    def _drain(self, agent):
        for _ in range(200):
            out = agent.poll(self.now)
            if out is None:
                break
            self.send(agent.sockets[out[0]], out[1], out[2])
        else:
            raise AssertionError("the agent never gets idle")
        if not agent.history or agent.history[-1][1] != agent.state:
            agent.history.append((self.now, agent.state))

    def run(self, until=None, while_=None, step=None):
        """Until a time, or as long as a condition holds (at most 120 s); `step` is called after every event."""
        end = self.now + 120 * S if until is None else until
        for agent in self.agents:
            self._drain(agent)
        while while_ is None or while_():
            times = [agent.deadline for agent in self.agents]
            if self._queue:
                times.append(self._queue[0][0])
            at = max(self.now, min(times))
            if at > end:
                self.now = max(self.now, end)
                return
            self.now = at
            while self._queue and self._queue[0][0] <= self.now:
                self._deliver(heapq.heappop(self._queue)[2])
            for agent in self.agents:
                self._drain(agent)
                assert agent.deadline > self.now, "a deadline that polling does not move"
            if step:
                step()

    def run_until_completed(self):
        """At most 120 s."""
        self.run(while_=lambda: any(agent.state != "completed" for agent in self.agents))

    def sent_by(self, agent, kind=None):
        return [s for s in self.log if s.source in agent.sockets
                and (kind is None or s.data[:2] == kind.to_bytes(2, "big"))]


def introduce(a, b, a_lite=False, b_lite=False, candidates=True):
    """Both get each other's credentials and all host candidates, as an offer and an answer would do."""
    a.set_remote(b, lite=b_lite)
    b.set_remote(a, lite=a_lite)
    if candidates:
        for agent, peer in ((a, b), (b, a)):
            for host, port in peer.sockets:
                agent.add_remote(host, port)


def two(delay=20 * MS, **roles):
    """A controlling and a controlled agent in a network; keyword arguments as of Agent, prefixed a_ and b_."""
    options = {"a": {"controlling": True}, "b": {}}
    for key, value in roles.items():
        options[key[0]][key[2:]] = value
    a = Agent("a", ("192.0.2.1", 1000), **options["a"])
    b = Agent("b", ("192.0.2.2", 2000), **options["b"])
    return a, b, Net(a, b, delay=delay)
