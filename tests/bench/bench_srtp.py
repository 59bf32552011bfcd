"""Cost of a protected and of an opened RTP packet, beside libsrtp (pylibsrtp, Python call included), in one run.

    python tests/bench/bench_srtp.py            -> one JSON object a line: nanoseconds per packet, best of 20 blocks
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "c"))

import pylibsrtp  # noqa: E402  (after sys.path)
import test_srtp  # noqa: E402
from crypto_parts import load_with_crypto  # noqa: E402

PACKETS, BLOCKS = 2000, 20
LOOP = """
int protect_many(linnet_srtp_t *srtp, uint8_t *packets, size_t stride, size_t len, int n, uint32_t first) {
    int total = 0;
    for (int i = 0; i < n; i++) {
        uint8_t *p = packets + (size_t)i * stride;
        p[0] = 0x80, p[2] = (uint8_t)((first + (uint32_t)i) >> 8), p[3] = (uint8_t)(first + (uint32_t)i);
        total += linnet_srtp_protect(srtp, p, len, stride);
    }
    return total;
}
int open_many(linnet_srtp_t *srtp, uint8_t *packets, size_t stride, size_t len, int n) {
    int total = 0;
    for (int i = 0; i < n; i++) total += linnet_srtp_open(srtp, packets + (size_t)i * stride, len);
    return total;
}
"""
CDEF = """
int protect_many(linnet_srtp_t *srtp, uint8_t *packets, size_t stride, size_t len, int n, uint32_t first);
int open_many(linnet_srtp_t *srtp, uint8_t *packets, size_t stride, size_t len, int n);
"""


def ours(c, profile, payload):
    room = test_srtp.RTP_ROOM[profile]
    out, back = test_srtp.Srtp(c, profile), test_srtp.Srtp(c, profile)
    length, stride = 12 + payload, 12 + payload + room
    packets = c.ffi.new("uint8_t[]", PACKETS * stride)
    best = [1e9, 1e9]
    for block in range(BLOCKS):
        began = time.perf_counter_ns()
        assert c.lib.protect_many(out.srtp, packets, stride, length, PACKETS, block * PACKETS) == PACKETS * stride
        middle = time.perf_counter_ns()
        assert c.lib.open_many(back.srtp, packets, stride, stride, PACKETS) == PACKETS * length
        best = [min(best[0], middle - began), min(best[1], time.perf_counter_ns() - middle)]
    return [round(ns / PACKETS) for ns in best]


def theirs(profile, payload):
    out = test_srtp.libsrtp(profile, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    back = test_srtp.libsrtp(profile, pylibsrtp.Policy.SSRC_ANY_INBOUND)
    best = [1e9, 1e9]
    for block in range(BLOCKS):
        packets = [test_srtp.rtp(block * PACKETS + i, bytes(payload)) for i in range(PACKETS)]
        began = time.perf_counter_ns()
        sealed = [out.protect(p) for p in packets]
        middle = time.perf_counter_ns()
        opened = [back.unprotect(p) for p in sealed]
        best = [min(best[0], middle - began), min(best[1], time.perf_counter_ns() - middle)]
        assert opened == packets
    return [round(ns / PACKETS) for ns in best]


def main():
    c = load_with_crypto("bench_srtp", sources=["net/srtp.c"], headers=["net/srtp.h"],
                         extra_cdef=test_srtp.CDEF + CDEF, extra_source=test_srtp.SOURCE + LOOP)
    for name, profile in (("AES128_CM_HMAC_SHA1_80", test_srtp.CM), ("AEAD_AES_128_GCM", test_srtp.GCM)):
        for payload in (60, 160, 1000):
            protect, opened = ours(c, profile, payload)
            their_protect, their_open = theirs(profile, payload)
            print(json.dumps({"profile": name, "payload": payload, "protect_ns": protect, "open_ns": opened,
                              "pylibsrtp_protect_ns": their_protect, "pylibsrtp_open_ns": their_open}))
    print(json.dumps({"bytes_per_direction": c.ffi.sizeof("linnet_srtp_t")}))


if __name__ == "__main__":
    main()
