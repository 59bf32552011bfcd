"""SCTP: bytes from outside are survived and counted."""

import json
import random
import struct

import pytest
from internals import ROOT
from sctp_lib import (
    ABORT, AGAIN, ARG, COOKIE_ACK, DATA, ERROR, FORWARD_TSN, HEARTBEAT, INIT, INIT_ACK, LIMIT, PACKET, RECONFIG, SACK,
    SHUTDOWN, SHUTDOWN_ACK, End, Scripted, chunk, data_chunk, established, exchange, ffi, init_body, lib, packet,
    reset_request, responses, sack_chunk, seal,
)


# --- bytes from outside ---

def recorded():
    """One good packet of every kind, each with the state in which it is good."""
    peer = Scripted()
    good = [packet(peer.end_tag, c) for c in (
        peer.data(payload=bytes(100)), data_chunk(1003, flags=2), sack_chunk(peer.end_tsn - 1, gaps=[], duplicates=[5]),
        chunk(HEARTBEAT, 0, struct.pack("!HH", 1, 12) + bytes(8)),
        chunk(FORWARD_TSN, 0, struct.pack("!IHH", 1001, 1, 0)),
        reset_request(1000, 999, 1, 2), chunk(RECONFIG, 0, struct.pack("!HHII", 16, 12, 1, 1)),
        chunk(ERROR, 0, struct.pack("!HHI", 1, 8, 7)), chunk(SHUTDOWN, 0, struct.pack("!I", 999)),
        chunk(COOKIE_ACK), chunk(SHUTDOWN_ACK), chunk(ABORT))]
    params = bytes.fromhex("80080006 82c0 0000 c0000004 fff1000561000000")
    good.append(packet(0, chunk(INIT, 0, init_body(params=params))))
    good.append(packet(peer.end_tag, chunk(INIT_ACK, 0, init_body(params=b"\x00\x07\x00\x08abcd"))))
    good.append(packet(peer.end_tag, peer.data(ssn=1), sack_chunk(peer.end_tsn - 1), chunk(HEARTBEAT, 0, b"\0\1\0\4")))
    return good


def alive(peer):
    """No crash, no packet too big, timers still sane."""
    for raw in peer.end.poll():
        assert 16 <= len(raw) <= 1150
    peer.end.recv_all(), peer.end.events()


def test_every_truncation_of_every_good_packet_is_survived():
    for good in recorded():
        peer = Scripted()
        for cut in range(len(good)):
            assert peer.end.input(good[:cut]) == PACKET  # the checksum is wrong
        for cut in range(12, len(good)):
            peer.end.input(seal(good[:cut] + bytes(max(0, 12 - cut))))
            alive(peer)


def test_every_flipped_bit_is_caught_by_the_checksum_or_survived_behind_it():
    for good in recorded():
        peer = Scripted()
        for bit in range(8 * len(good)):
            bad = bytearray(good)
            bad[bit // 8] ^= 1 << bit % 8
            assert peer.end.input(bytes(bad)) == PACKET
        assert peer.end.state == "ESTABLISHED" and peer.end.recv() is None
        for bit in range(96, 8 * len(good)):
            bad = bytearray(good)
            bad[bit // 8] ^= 1 << bit % 8
            peer.end.input(seal(bytes(bad)))
            alive(peer)
            if peer.end.state not in ("ESTABLISHED", "SHUTDOWN_RECEIVED"):
                peer = Scripted()


def test_every_chunk_type_at_every_kind_of_length_is_survived():
    rng = random.Random(9)
    lengths = list(range(0, 40)) + [63, 64, 65, 255, 256, 511, 512, 1100, 1101, 32767, 65531, 65535]
    peer = Scripted()
    for type in list(range(16)) + [63, 64, 127, 128, 129, 130, 131, 191, 192, 193, 255]:
        for claimed in lengths:
            for actual in (max(0, claimed - 4), min(1130, max(0, claimed - 5)), rng.randrange(1100)):
                body = rng.randbytes(min(actual, 1130))
                raw = struct.pack("!BBH", type, rng.randrange(256), claimed) + body
                peer.end.input(packet(0 if type == INIT else peer.end_tag, raw))
                alive(peer)
                if peer.end.state != "ESTABLISHED":
                    peer = Scripted()
    assert peer.end.counters.packets_in > 0


@pytest.mark.parametrize("seed", range(20))
def test_random_chunks_in_every_state_leave_no_leak(seed):
    rng = random.Random(seed)
    for _ in range(30):
        peer = Scripted(max_message=8192, recv_len=24000, send_len=32768)
        for _ in range(120):
            kind = rng.choice([DATA] * 8 + [SACK, SACK, FORWARD_TSN, RECONFIG, HEARTBEAT, SHUTDOWN, ERROR])
            if kind == DATA:
                body = struct.pack("!IHHI", 1000 + rng.randrange(300), rng.randrange(4), rng.randrange(4), 53)
                body += bytes(rng.choice([1, 30, 500, 1100]))
            elif kind == SACK:
                body = sack_chunk(peer.end_tsn - 1 + rng.randrange(8), rng.randrange(3000),
                                  [(rng.randrange(5), rng.randrange(5))] * rng.randrange(2))[4:]
            elif kind == FORWARD_TSN:
                body = struct.pack("!IHH", 1000 + rng.randrange(300), rng.randrange(4), rng.randrange(4))
            elif kind == RECONFIG:
                body = reset_request(1000 + rng.randrange(4), 1000 + rng.randrange(100), rng.randrange(4))[4:]
            else:
                body = rng.randbytes(4 * rng.randrange(5))
            peer.give(chunk(kind, rng.randrange(8) if kind == DATA else 0, body))
            peer.end.send(bytes(rng.choice([1, 900, 3000])), stream=rng.randrange(3),
                          max_retransmits=rng.choice([-1, 0, 1]), unordered=rng.random() < .5)
            for _, raw in peer.end.sleep(rng.choice([0, 0, 0, 50_000, 600_000])):
                assert len(raw) <= 1150
            if rng.random() < .3:
                peer.end.recv_all(), peer.end.events()
        if peer.end.state == "ESTABLISHED":
            peer.give(chunk(FORWARD_TSN, 0, struct.pack("!I", 1400)))
            peer.end.recv_all(), peer.end.events()
            # What is left waits for SSNs that never come: at most what the streams hold.
            for stream in range(4):
                lib_held = peer.end.s.n_blocks - peer.end.s.n_free
                peer.give(reset_request_next(peer, stream))
                peer.end.recv_all(), peer.end.events()
                assert peer.end.s.n_blocks - peer.end.s.n_free <= lib_held
            assert peer.end.s.n_free == peer.end.s.n_blocks


def reset_request_next(peer, stream):
    """The peer's next reset request, whatever number is next."""
    for seq in range(1000, 1010):
        peer.give(reset_request(seq, 1400, stream))
        if (seq, 1) in responses(peer.answers()):
            break
    return chunk(COOKIE_ACK)


def test_memory_of_an_association_is_what_was_given():
    assert ffi.sizeof("linnet_sctp_t") < 3600
    for max_message in (1000, 16384, 65536):
        need = lib.linnet_sctp_send_mem(max_message, 1150), lib.linnet_sctp_recv_mem(max_message, 1150)
        assert max(need) < max_message * 1.2 + 4000
        a = End(seed=1, max_message=max_message, send_len=need[0], recv_len=need[1])
        b = End(seed=2, max_message=max_message, send_len=need[0], recv_len=need[1])
        a.connect()
        exchange(a, b)
        for _ in range(5):
            assert a.send(b"m" * max_message) == 0
            exchange(a, b, rounds=300)
            assert b.recv() == (0, 53, b"m" * max_message)
        config = ffi.new("linnet_sctp_config_t *", dict(max_message=max_message, send_mem=a.mem[0], recv_mem=a.mem[1],
                                                        send_len=need[0], recv_len=need[1] - 1))
        assert lib.linnet_sctp_init(a.s, config, a.rng) == ARG
        config.recv_len, config.send_len = need[1], lib.linnet_sctp_send_mem(1, 1150) - 1
        assert lib.linnet_sctp_init(a.s, config, a.rng) == ARG


def test_a_small_send_buffer_takes_what_it_holds_and_receives_the_largest():
    a, b = established(send_len=5000, recv_len=24000, max_message=16384)
    assert a.send(bytes(5000)) == LIMIT and a.send(bytes(4000)) == 0
    assert a.send(bytes(2000)) == AGAIN and not lib.linnet_sctp_has_room(a.s, 2000)
    exchange(a, b, rounds=50)
    assert lib.linnet_sctp_has_room(a.s, 4000) and not lib.linnet_sctp_has_room(a.s, 5000)
    assert not lib.linnet_sctp_has_room(a.s, 2**40)
    assert [len(m[2]) for m in b.recv_all()] == [4000]
    big = End(seed=3, max_message=16384, send_len=70000, recv_len=24000)
    small = End(seed=4, max_message=16384, send_len=5000, recv_len=24000)
    big.connect()
    exchange(big, small)
    assert big.send(bytes(16384)) == 0
    exchange(big, small, rounds=100)
    assert [len(m[2]) for m in small.recv_all()] == [16384]


def test_the_least_limits_of_a_board_file_carry_15_kib_and_an_envelope():
    limits = json.loads((ROOT / "boards" / "schema.json").read_text())["properties"]["limits"]["properties"]
    message, send_len = (limits[name]["minimum"] for name in ("message_bytes", "send_bytes"))
    assert message >= 15 * 1024 + 1024
    mtu = 1160  # LINNET_MTU less what DTLS takes
    recv_len = lib.linnet_sctp_recv_mem(message, mtu)
    a, b = established(max_message=message, send_len=send_len, recv_len=recv_len, mtu=mtu)
    for _ in range(3):
        assert a.send(bytes(message)) == 0
        exchange(a, b, rounds=100)
        assert [len(m[2]) for m in b.recv_all()] == [message]
