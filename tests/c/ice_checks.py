"""Connectivity checks and answers by an independent writer, and agents to give them to."""

import struct

import stun_wire as wire
from ice_net import S, Agent, introduce, two

A, B = ("192.0.2.1", 1000), ("192.0.2.2", 2000)


def is_request(sent):
    return sent.data[:2] == b"\0\1"


def check_to(agent, ufrag=b"peer", pwd=None, extra=(), priority=0x6E0001FF, role=(wire.ICE_CONTROLLING, 0),
             transaction=wire.TRANSACTION):
    """A connectivity check to `agent`, by an independent writer; `role`: attribute and tie-breaker, or None."""
    attributes = [wire.attribute(wire.USERNAME, agent.ufrag + b":" + ufrag)]
    if priority is not None:
        attributes.append(wire.attribute(wire.PRIORITY, struct.pack("!I", priority)))
    if role:
        attributes.append(wire.attribute(role[0], struct.pack("!Q", role[1])))
    data = wire.message(*attributes, *extra, transaction=transaction)
    return wire.seal(wire.sign(data, pwd or agent.pwd))


def answer_to(request, pwd, mapped=A, kind=wire.SUCCESS, attributes=None):
    if attributes is None:
        ip = bytes(int(x) for x in mapped[0].split("."))
        masked = bytes(x ^ y for x, y in zip(ip, b"\x21\x12\xa4\x42", strict=True))
        attributes = [wire.attribute(wire.XOR_MAPPED_ADDRESS,
                                     b"\0\1" + struct.pack("!H", mapped[1] ^ 0x2112) + masked)]
    data = wire.message(*attributes, kind=kind, transaction=wire.transaction_of(request))
    return wire.seal(wire.sign(data, pwd))


USE = wire.attribute(wire.USE_CANDIDATE, b"")


def lonely(controlling=False, **options):
    """An agent that knows remote credentials; the peer is the test."""
    agent = Agent("a", A, controlling=controlling, **options)
    agent.set_remote(ufrag=b"peer", pwd=b"password of the peer 22")
    return agent


def connected_pair(**options):
    a, b, net = two(**options)
    introduce(a, b)
    net.run(1 * S)
    assert a.state == b.state == "completed"
    return a, b, net


def nominations_of(agent, now):
    found = []
    while out := agent.poll(now):
        if wire.USE_CANDIDATE in wire.attributes_of(out[2]):
            found.append(out[1])
    return found
