"""The audio path, RTP and RTCP as cffi modules for the tests of this folder, with small helpers in virtual time."""

import build_tools
from internals import load

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
    tools = build_tools.Toolchain()
    headers = ["wire.h", "net/rtp.h"] + ["media/%s.h" % name for name in (
        "media_config", "codec", "level", "resample", "jitter", "capture", "playback", "mixer")]
    return load("media", sources=["net/rtp.c"] + ["media/%s.c" % name for name in MEDIA], headers=headers,
                extra_cdef=ERRORS, include_dirs=tools.recipe("opus").use_includes,
                archives=[tools.third_party_archive("opus")], libraries=["m"])
