"""The audio path, RTP and RTCP as cffi modules for the tests of this folder."""

from internals import limits, load  # noqa: F401  (limits for the tests)

ERRORS = "".join("#define LINNET_ERR_%s ...\n" % name for name in ("ARG", "PACKET", "SPACE", "STATE", "LIMIT"))
MEDIA = ["media_config", "opus_toc", "codec", "level", "resample", "capture", "jitter", "playback", "mixer"]


def rtp():
    return load("rtp", sources=["net/rtp.c"], headers=["wire.h", "net/rtp.h"], extra_cdef=ERRORS)


def rtcp():
    return load("rtcp", sources=["net/rtcp.c"], headers=["wire.h", "net/rtcp.h"], extra_cdef=ERRORS)


def jitter():
    """Playout buffer, resampler and levels: everything that needs no Opus."""
    return load("jitter", sources=["media/jitter.c", "media/opus_toc.c", "media/resample.c", "media/level.c"],
                headers=["media/jitter.h", "media/resample.h", "media/level.h"],
                extra_cdef=ERRORS + "uint32_t linnet_opus_duration(const uint8_t *packet, size_t len);",
                extra_source='#include "codec.h"')


def media():
    headers = ["wire.h", "net/rtp.h"] + ["media/%s.h" % name for name in (
        "media_config", "codec", "level", "resample", "jitter", "capture", "playback", "mixer")]
    return load("media", sources=["net/rtp.c"] + ["media/%s.c" % name for name in MEDIA], headers=headers,
                extra_cdef=ERRORS, third_party=["opus"], libraries=["m"])


def opus_api():
    """A few functions of libopus itself, as a judge of our reading of its packets."""
    return load("opus_api", sources=[], headers=[], third_party=["opus"], libraries=["m"],
                extra_cdef="int opus_packet_parse(const unsigned char *data, int32_t len, unsigned char *out_toc,"
                           " const unsigned char *frames[48], int16_t size[48], int *payload_offset);"
                           "int opus_packet_get_nb_samples(const unsigned char *packet, int32_t len, int32_t rate);",
                extra_source="#include <opus.h>")
