"""csrc/net/ice*.c against aioice, an independent ICE agent, over real loopback sockets; bounded real time.

What a wait ends with here is an event (a datagram, a deadline of the agent), never a sleep of a guessed length.
"""

import asyncio
import socket
import time

import pytest

aioice = pytest.importorskip("aioice", reason="needs the test requirements: make test, or pip install aioice")

from ice_net import Agent, lib  # noqa: E402  (after the skip)

LIMIT_S = 8
LOOPBACK = "127.0.0.1"


def now_us():
    return time.monotonic_ns() // 1000


class Device:
    """Our agent behind one real socket, driven as a session drives it: input, poll until idle, wait."""

    def __init__(self, name, controlling, lite=False):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((LOOPBACK, 0))
        self.socket.setblocking(False)
        self.agent = Agent(name, self.socket.getsockname(), controlling=controlling, lite=lite)
        self.received, self.states = [], []
        self.loop = asyncio.get_running_loop()
        self.timer = None
        self.changed = asyncio.Event()
        self.loop.add_reader(self.socket, self._readable)

    def close(self):
        self.loop.remove_reader(self.socket)
        if self.timer:
            self.timer.cancel()
        self.socket.close()

    def _readable(self):
        data, source = self.socket.recvfrom(2048)
        if lib.linnet_stun_is(data, len(data)):
            self.agent.input(now_us(), source, data)
        elif self.agent.accepts(*source):
            self.received.append(data)
        self.drive()

    def drive(self):
        while out := self.agent.poll(now_us()):
            self.socket.sendto(out[2], out[1])
        if not self.states or self.states[-1] != self.agent.state:
            self.states.append(self.agent.state)
        self.changed.set()
        if self.timer:
            self.timer.cancel()
        if self.agent.deadline < 2**62:
            wait = max(0, self.agent.deadline - now_us()) / 1e6
            self.timer = self.loop.call_later(wait, self.drive)

    async def until(self, condition):
        while not condition():
            self.changed.clear()
            await self.changed.wait()

    def send(self, data):
        _, to = self.agent.selected
        self.socket.sendto(data, to)


async def aioice_peer(device, controlling, trickles=True):
    """An aioice connection on loopback that knows the device, and the device told about it."""
    peer = aioice.Connection(ice_controlling=controlling)
    # Its own gathering leaves loopback out; this is the function that it calls for every other address.
    peer._local_candidates = await peer.get_component_candidates(component=1, addresses=[LOOPBACK])
    peer._local_candidates_start = peer._local_candidates_end = True
    peer.remote_username, peer.remote_password = device.agent.ufrag.decode(), device.agent.pwd.decode()
    device.agent.set_remote(ufrag=peer.local_username.encode(), pwd=peer.local_password.encode())
    if trickles:
        for candidate in peer.local_candidates:
            assert device.agent.add_remote(candidate.host, candidate.port, priority=candidate.priority) == 0
    return peer


async def tell(peer, device):
    host, port = device.agent.sockets[0]
    priority = lib.linnet_ice_local_priority(device.agent.ice, 0)
    await peer.add_remote_candidate(aioice.Candidate(
        foundation="1", component=1, transport="udp", priority=priority, host=host, port=port, type="host"))
    await peer.add_remote_candidate(None)


async def exchange(peer, device):
    for i in range(20):
        device.send(b"to the peer %d" % i)
        assert await peer.recv() == b"to the peer %d" % i
        await peer.send(b"to the device %d" % i)
    await device.until(lambda: len(device.received) == 20)
    assert device.received == [b"to the device %d" % i for i in range(20)]


async def connect_both(controlling, trickles=True, same_role=None, lite=False):
    device = Device("device", controlling, lite)
    peer = await aioice_peer(device, not controlling if same_role is None else same_role, trickles)
    peer.remote_is_lite = lite
    try:
        await tell(peer, device)
        device.drive()
        await asyncio.gather(peer.connect(), device.until(lambda: device.agent.state == "completed"))
        await exchange(peer, device)
        return device.agent, peer.ice_controlling
    finally:
        await peer.close()
        device.close()


def run(scenario):
    async def limited():
        return await asyncio.wait_for(scenario, LIMIT_S)
    return asyncio.run(limited())


@pytest.mark.parametrize("controlling", [True, False], ids=["we control", "aioice controls"])
@pytest.mark.parametrize("trickles", [True, False], ids=["it tells its candidates", "it tells none"])
def test_aioice_connects_and_carries_data(controlling, trickles):
    agent, _ = run(connect_both(controlling, trickles))
    assert agent.controlling == controlling
    assert agent.counters["drop_integrity"] == agent.counters["drop_malformed"] == 0
    assert agent.counters["drop_username"] == agent.counters["drop_unknown"] == 0
    assert 0 < agent.rtt < 1_000_000 or not controlling


@pytest.mark.parametrize("controlling", [True, False], ids=["both controlling", "both controlled"])
@pytest.mark.parametrize("tie_breaker", [0, 2**64 - 1], ids=["it wins", "we win"])
def test_aioice_and_we_settle_a_role_conflict(controlling, tie_breaker):
    async def scenario():
        device = Device("device", controlling)
        device.agent.ice.tie_breaker = tie_breaker
        peer = await aioice_peer(device, controlling)
        try:
            await tell(peer, device)
            device.drive()
            await asyncio.gather(peer.connect(), device.until(lambda: device.agent.state == "completed"))
            await exchange(peer, device)
            return device.agent.controlling, peer.ice_controlling
        finally:
            await peer.close()
            device.close()

    ours, theirs = run(scenario())
    assert ours != theirs and ours == (tie_breaker > 0)


def test_aioice_connects_to_us_as_lite():
    agent, _ = run(connect_both(controlling=False, lite=True))
    assert agent.counters["checks_sent"] == 0 and not agent.controlling


def test_aioice_with_a_wrong_password_never_gets_a_pair():
    async def scenario():
        device = Device("device", controlling=False)
        peer = await aioice_peer(device, controlling=True, trickles=False)
        peer.remote_password = "x" * 24
        try:
            await tell(peer, device)
            connecting = asyncio.ensure_future(peer.connect())
            await device.until(lambda: device.agent.counters["drop_integrity"] >= 3)
            connecting.cancel()
            return device.agent
        finally:
            await peer.close()
            device.close()

    agent = run(scenario())
    assert agent.selected is None and agent.counters["requests"] == agent.counters["answers_sent"] == 0
    assert agent.accepts(LOOPBACK, 1) == 0


def test_aioice_reads_every_message_that_we_write():
    """Field by field, with its own integrity and fingerprint checks."""
    device = Agent("device", (LOOPBACK, 1), controlling=True)
    device.set_remote(ufrag=b"abcd", pwd=b"p" * 22)
    device.add_remote(LOOPBACK, 2)
    check = device.poll(0)[2]
    seen = aioice.stun.parse_message(check)
    assert seen.check_message_integrity(b"p" * 22)
    assert seen.attributes["USERNAME"] == "abcd:" + device.ufrag.decode()
    assert seen.attributes["PRIORITY"] == 110 << 24 | 65535 << 8 | 255
    assert seen.attributes["ICE-CONTROLLING"] == device.ice.tie_breaker
    assert "MESSAGE-INTEGRITY" in seen.attributes and "FINGERPRINT" in seen.attributes
    request = aioice.stun.Message(message_method=aioice.stun.Method.BINDING, message_class=aioice.stun.Class.REQUEST)
    request.attributes.update({"USERNAME": device.ufrag.decode() + ":abcd", "PRIORITY": 7, "ICE-CONTROLLED": 1})
    request.add_message_integrity(device.pwd)
    assert device.input(0, (LOOPBACK, 2), bytes(request)) == 0
    answer = aioice.stun.parse_message(device.poll(0)[2])
    assert answer.check_message_integrity(device.pwd)
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == (LOOPBACK, 2)
    assert answer.transaction_id == request.transaction_id
