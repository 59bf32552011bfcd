"""`linnet_units` of the laptop: encode, decode and srtp of tests/hil/firmware/hil_units.c, on the same C files.

Importing it makes it importable under that name. LINNET_OPUS=fixed gives the arithmetic of devices.
"""

import struct
import sys

from internals import CRYPTO, load

SOURCES = ["media/codec.c", "media/opus_toc.c", "media/media_config.c", "net/srtp.c", "net/rtp.c", *CRYPTO]
_mod = load("laptop_units", SOURCES, ["errors.h", "media/media_config.h", "media/codec.h"],
            extra_cdef="""
typedef struct { ...; } linnet_srtp_t;
int linnet_srtp_init(linnet_srtp_t *srtp, int profile, const uint8_t *key, const uint8_t *salt);
int linnet_srtp_protect(linnet_srtp_t *srtp, uint8_t *packet, size_t len, size_t cap);
""", extra_source='#include "srtp.h"\n', third_party=["opus", "mbedtls"], libraries=["m"])
ffi, lib = _mod.ffi, _mod.lib


def encode(rate, complexity, pcm):
    cfg = ffi.new("linnet_media_config_t *", {"rate_hz": rate, "complexity_plus_1": complexity + 1})
    if lib.linnet_media_resolve(cfg, cfg) < 0:
        raise ValueError("configuration")
    memory = ffi.new("uint64_t[]", lib.linnet_encoder_size() // 8)
    result, out, n = lib.linnet_encoder_init(memory, cfg), b"", rate // 50
    samples, packet = ffi.from_buffer("int16_t[]", pcm), ffi.new("uint8_t[1275]")
    for at in range(0, len(pcm) // 2 - n + 1, n):
        if result < 0:
            return result
        result = lib.linnet_encode(memory, samples + at, n, packet, 1275)
        out += struct.pack("<H", result) + bytes(packet[0:result])
    return out


def decode(rate, packets):
    memory = ffi.new("uint64_t[]", lib.linnet_decoder_size() // 8)
    result, out, at = lib.linnet_decoder_init(memory, rate), b"", 0
    pcm = ffi.new("int16_t[960]")
    while result >= 0 and at < len(packets):
        (length,) = struct.unpack_from("<H", packets, at)
        result = lib.linnet_decode(memory, packets[at + 2 : at + 2 + length], length, pcm, 960)
        out += bytes(ffi.buffer(pcm, 2 * max(result, 0)))
        at += 2 + length
    return result if result < 0 else out


def srtp(what, profile, key, salt, packet):
    if what != "protect":
        raise ValueError("only protect is asked for here")
    context = ffi.new("linnet_srtp_t *")
    buffer = ffi.new("uint8_t[1500]", packet)
    result = lib.linnet_srtp_init(context, profile, key, salt)
    if result >= 0:
        result = lib.linnet_srtp_protect(context, buffer, len(packet), 1500)
    return result if result < 0 else bytes(buffer[0:result])


sys.modules["linnet_units"] = sys.modules[__name__]
