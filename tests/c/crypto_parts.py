"""Compiles csrc/crypto.h with its backend, alone or under a protocol, for the tests of this folder.

    from crypto_parts import load_with_crypto
    mod = load_with_crypto("srtp", sources=["net/srtp.c"], headers=["net/srtp.h"], extra_cdef="...")

crypto.h and crypto_arena.h are always among the headers. Mbed TLS comes from the same cache as for the extension.
"""

import sys

from internals import ROOT, load

sys.path.insert(0, str(ROOT / "csrc" / "bind"))

from build_tools import Toolchain  # noqa: E402  (after sys.path)

BACKEND = ["crypto_mbedtls.c", "crypto_arena.c"]


def load_with_crypto(name, sources=(), headers=(), extra_cdef="", extra_source="", defines=()):
    tools = Toolchain()
    archive = tools.third_party_archive("mbedtls")
    recipe = tools.recipe("mbedtls")
    return load(name, sources=[*sources, *BACKEND], headers=["crypto.h", "crypto_arena.h", *headers],
                extra_cdef=extra_cdef, extra_source=extra_source, include_dirs=recipe.use_includes,
                archives=[archive], defines=[*defines, *recipe.use_defines])
