"""The crypto seam (csrc/crypto.h) and the memory of its backend: published vectors, and `cryptography` as judge."""

import hashlib
import hmac
import json
import random

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crypto_parts import load_with_crypto
from internals import ROOT

VECTORS = json.loads((ROOT / "tests" / "vectors" / "primitives.json").read_text())
ERR_ARG, ERR_AUTH = -1, -9


@pytest.fixture(scope="module")
def c():
    return load_with_crypto("crypto")


def unhex(text):
    return bytes.fromhex(text)


def in_place(c, data):
    return c.ffi.new("uint8_t[]", data or 1)


# --- hashes ---


def hmac_sha1(c, key, first, second=b""):
    context, out = c.ffi.new("linnet_hmac_sha1_t *"), c.ffi.new("uint8_t[20]")
    c.lib.linnet_hmac_sha1_init(context, key, len(key))
    c.lib.linnet_hmac_sha1_compute(context, first, len(first), second, len(second), out)
    return bytes(out)


@pytest.mark.parametrize("case", VECTORS["hmac_sha1"]["cases"], ids=range(1, 8))
def test_hmac_sha1_gives_the_digests_of_rfc_2202(c, case):
    assert hmac_sha1(c, unhex(case["key"]), unhex(case["data"])).hex() == case["digest"]


def test_hmac_sha1_takes_data_in_two_parts_of_any_length(c):
    rng = random.Random(1)
    for length in [0, 1, 55, 56, 63, 64, 65, 119, 128, 1500]:
        data, cut = rng.randbytes(length), rng.randint(0, length)
        key = rng.randbytes(rng.choice([0, 1, 20, 64, 65, 200]))
        assert hmac_sha1(c, key, data[:cut], data[cut:]) == hmac.digest(key, data, "sha1")


def test_hmac_sha1_context_can_be_used_again(c):
    context, out = c.ffi.new("linnet_hmac_sha1_t *"), c.ffi.new("uint8_t[20]")
    c.lib.linnet_hmac_sha1_init(context, b"key", 3)
    for message in [b"first", b"second", b"first"]:
        c.lib.linnet_hmac_sha1_compute(context, message, len(message), c.ffi.NULL, 0, out)
        assert bytes(out) == hmac.digest(b"key", message, "sha1")


@pytest.mark.parametrize("case", VECTORS["sha256"]["cases"], ids=range(3))
def test_sha256_gives_the_published_digests(c, case):
    out = c.ffi.new("uint8_t[32]")
    c.lib.linnet_sha256(unhex(case["data"]), len(case["data"]) // 2, out)
    assert bytes(out).hex() == case["digest"]
    assert bytes(out) == hashlib.sha256(unhex(case["data"])).digest()


# --- AES ---


def aes(c, key):
    context = c.ffi.new("linnet_aes_t *")
    assert c.lib.linnet_aes128_init(context, key) == 0
    return context


def test_aes_block_gives_the_nist_ciphertexts(c):
    v = VECTORS["aes128_ecb"]
    context, out = aes(c, unhex(v["key"])), c.ffi.new("uint8_t[16]")
    for i in range(0, 64, 16):
        c.lib.linnet_aes128_block(context, unhex(v["plain"])[i:i + 16], out)
        assert bytes(out) == unhex(v["cipher"])[i:i + 16]


def ctr(c, key, iv, data):
    buffer = in_place(c, data)
    c.lib.linnet_aes128_ctr(aes(c, key), iv, buffer, len(data))
    return bytes(buffer)[:len(data)]


def test_aes_counter_mode_gives_the_nist_ciphertext(c):
    v = VECTORS["aes128_ctr"]
    assert ctr(c, unhex(v["key"]), unhex(v["iv"]), unhex(v["plain"])) == unhex(v["cipher"])


def test_aes_counter_mode_handles_partial_blocks_and_carries(c):
    rng = random.Random(2)
    for length in [0, 1, 15, 16, 17, 31, 60, 333, 1500]:
        key, data = rng.randbytes(16), rng.randbytes(length)
        for iv in [rng.randbytes(16), b"\xff" * 16, b"\0" * 8 + b"\xff" * 8]:
            judge = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
            assert ctr(c, key, iv, data) == judge.update(data)


def test_aes_counter_mode_gives_the_keystream_of_rfc_3711_b2(c):
    v = json.loads((ROOT / "tests" / "vectors" / "rfc3711.json").read_text())["keystream"]
    iv = unhex(v["session_salt"]) + b"\0\0"
    keystream = ctr(c, unhex(v["session_key"]), iv, bytes(16 * 65282))
    for block, expected in v["blocks"].items():
        assert keystream[16 * int(block):16 * int(block) + 16].hex() == expected


def gcm(c, key):
    context = c.ffi.new("linnet_gcm_t *")
    assert c.lib.linnet_gcm_init(context, key) == 0
    return context


def gcm_seal(c, context, iv, aad, plain):
    buffer, tag = in_place(c, plain), c.ffi.new("uint8_t[16]")
    assert c.lib.linnet_gcm_seal(context, iv, aad, len(aad), buffer, len(plain), tag) == 0
    return bytes(buffer)[:len(plain)], bytes(tag)


def gcm_open(c, context, iv, aad, cipher, tag):
    buffer = in_place(c, cipher)
    result = c.lib.linnet_gcm_open(context, iv, aad, len(aad), buffer, len(cipher), tag)
    return result, bytes(buffer)[:len(cipher)]


@pytest.mark.parametrize("case", VECTORS["aes128_gcm"]["cases"], ids=range(1, 5))
def test_gcm_seals_and_opens_the_published_cases(c, case):
    v = {name: unhex(value) for name, value in case.items()}
    context = gcm(c, v["key"])
    assert gcm_seal(c, context, v["iv"], v["aad"], v["plain"]) == (v["cipher"], v["tag"])
    assert gcm_open(c, context, v["iv"], v["aad"], v["cipher"], v["tag"]) == (0, v["plain"])


def test_gcm_agrees_with_cryptography_on_random_messages(c):
    rng = random.Random(3)
    for length in [0, 1, 15, 16, 17, 60, 333, 1400]:
        key, iv, plain = rng.randbytes(16), rng.randbytes(12), rng.randbytes(length)
        aad = rng.randbytes(rng.randint(0, 40))
        cipher, tag = gcm_seal(c, gcm(c, key), iv, aad, plain)
        assert cipher + tag == AESGCM(key).encrypt(iv, plain, aad)


def test_gcm_refuses_every_flipped_bit(c):
    context = gcm(c, bytes(16))
    cipher, tag = gcm_seal(c, context, bytes(12), b"header", b"payload")
    whole = b"header" + cipher + tag
    for bit in range(8 * len(whole)):
        bad = bytearray(whole)
        bad[bit // 8] ^= 1 << bit % 8
        result, _ = gcm_open(c, context, bytes(12), bytes(bad[:6]), bytes(bad[6:13]), bytes(bad[13:]))
        assert result == ERR_AUTH


# --- randomness ---


def generator(c, seed):
    rng = c.ffi.new("linnet_rng_t *")
    assert c.lib.linnet_rng_init(rng, seed, len(seed)) == 0
    return rng


def draw(c, rng, n):
    out = c.ffi.new("uint8_t[]", n)
    c.lib.linnet_random(rng, out, n)
    return bytes(out)


def test_random_depends_on_every_byte_of_the_seed_and_on_nothing_else(c):
    seed = bytes(range(48))
    first = draw(c, generator(c, seed), 64)
    assert draw(c, generator(c, seed), 64) == first
    for i in range(len(seed)):
        other = bytearray(seed)
        other[i] ^= 1
        assert draw(c, generator(c, bytes(other)), 64) != first


def test_random_refuses_a_short_seed(c):
    rng = c.ffi.new("linnet_rng_t *")
    assert c.lib.linnet_rng_init(rng, bytes(31), 31) == ERR_ARG
    assert c.lib.linnet_rng_init(rng, c.ffi.NULL, 32) == ERR_ARG


def test_random_fills_requests_longer_than_the_backend_takes_at_once(c):
    out = draw(c, generator(c, bytes(32)), 5000)
    assert len(set(out[i:i + 16] for i in range(0, 4992, 16))) == 312


def test_random_goes_on_after_its_reseed_interval(c):
    rng = generator(c, bytes(32))
    for _ in range(1 << 20):
        c.lib.linnet_random_u32(rng)
    seen = [draw(c, rng, 16) for _ in range(16)]
    assert len(set(seen)) == 16 and bytes(16) not in seen


def test_a_wiped_generator_keeps_nothing(c):
    rng = generator(c, bytes(32))
    c.lib.linnet_rng_wipe(rng)
    assert bytes(c.ffi.buffer(rng)) == bytes(c.ffi.sizeof("linnet_rng_t"))


def test_equal_ct_compares_whole_buffers(c):
    assert c.lib.linnet_equal_ct(b"abcdef", b"abcdef", 6) == 1
    assert c.lib.linnet_equal_ct(b"abcdef", b"abcdeF", 6) == 0
    assert c.lib.linnet_equal_ct(b"abcdef", b"abcdeF", 5) == 1


# --- the arena ---


class Arena:
    def __init__(self, c, size):
        self.c = c
        self.memory = c.ffi.new("uint64_t[]", size // 8)
        self.arena = c.ffi.new("linnet_arena_t *")
        assert c.lib.linnet_arena_init(self.arena, self.memory, size) == 0

    def __enter__(self):
        self.previous = self.c.lib.linnet_arena_enter(self.arena)
        return self

    def __exit__(self, *exception):
        self.c.lib.linnet_arena_leave(self.previous)

    def calloc(self, n, size=1):
        return self.c.lib.linnet_tls_calloc(n, size)

    def free(self, mem):
        self.c.lib.linnet_tls_free(mem)

    def offset(self, mem):
        return int(self.c.ffi.cast("uintptr_t", mem)) - int(self.c.ffi.cast("uintptr_t", self.memory))


def test_arena_refuses_memory_it_cannot_use(c):
    arena, memory = c.ffi.new("linnet_arena_t *"), c.ffi.new("uint64_t[16]")
    odd = c.ffi.cast("uint8_t *", memory) + 1
    assert c.lib.linnet_arena_init(arena, odd, 100) == ERR_ARG
    assert c.lib.linnet_arena_init(arena, memory, 63) == ERR_ARG
    assert c.lib.linnet_arena_init(arena, c.ffi.NULL, 100) == ERR_ARG
    assert c.lib.linnet_arena_init(arena, memory, 128) == 0


def test_arena_says_no_when_it_is_full_and_yes_again_after_a_free(c):
    with Arena(c, 1024) as a:
        blocks = []
        while (block := a.calloc(56)) != c.ffi.NULL:
            blocks.append(block)
        assert len(blocks) == 1024 // 64
        assert a.arena.failures == 1 and a.arena.peak == 1024
        a.free(blocks[3])
        assert a.calloc(57) == c.ffi.NULL
        assert a.calloc(56) == blocks[3]


def test_arena_joins_free_neighbours_on_both_sides(c):
    with Arena(c, 1024) as a:
        blocks = [a.calloc(120) for _ in range(8)]
        for i in (2, 4, 3):
            a.free(blocks[i])
        assert a.calloc(3 * 128 - 8) == blocks[2]
        for i in (0, 1, 5, 6, 7, 2):
            a.free(blocks[i])
        assert a.arena.in_use == 0
        assert a.offset(a.calloc(1024 - 8)) == 8


def test_arena_refuses_sizes_that_overflow(c):
    with Arena(c, 1024) as a:
        for n, size in [(1 << 63, 2), (1 << 32, 1 << 32), ((1 << 64) - 1, 1), (3, 1 << 62), (1 << 32, 1)]:
            assert a.calloc(n, size) == c.ffi.NULL
        assert a.calloc(0) != c.ffi.NULL


def test_memory_without_an_arena_is_refused_and_foreign_memory_is_not_freed(c):
    assert c.lib.linnet_tls_calloc(1, 1) == c.ffi.NULL
    with Arena(c, 1024) as a:
        mine = a.calloc(16)
        a.free(c.ffi.new("uint64_t[4]"))
        a.free(mine)
        a.free(mine)
        assert a.arena.foreign == 2
        a.free(c.ffi.NULL)
        assert a.arena.foreign == 2 and a.arena.in_use == 0


def test_a_library_that_is_shared_serves_calls_from_outside_with_the_programs_own_memory():
    """MicroPython's tls module selects no arena (bind/mbedtls_shared.h)."""
    shared = load_with_crypto("crypto_shared", defines=["LINNET_TLS_OUTSIDE_CALLOC=calloc",
                                                        "LINNET_TLS_OUTSIDE_FREE=free"])
    outside = shared.lib.linnet_tls_calloc(100, 8)
    assert bytes(shared.ffi.buffer(outside, 800)) == bytes(800)
    with Arena(shared, 1024) as a:
        assert 0 < a.offset(a.calloc(16)) < 1024
        assert a.calloc(2000) == shared.ffi.NULL, "the core gets nothing beyond its arena"
        a.free(outside)
        assert a.arena.foreign == 1, "nor does it free what is not its own"
    shared.lib.linnet_tls_free(outside)
    shared.lib.linnet_tls_free(shared.ffi.NULL)


def test_arenas_nest(c):
    with Arena(c, 1024) as outer:
        with Arena(c, 1024) as inner:
            inner.calloc(16)
        assert outer.arena.in_use == 0
        outer.calloc(16)
        assert outer.arena.in_use == inner.arena.in_use == 24


@pytest.mark.parametrize("seed", range(20))
def test_arena_blocks_never_overlap_and_come_zeroed_and_aligned(c, seed):
    rng, live = random.Random(seed), {}
    with Arena(c, 8192) as a:
        for _ in range(2000):
            if live and rng.random() < 0.5:
                at = rng.choice(list(live))
                mem, size, fill = live.pop(at)
                assert bytes(c.ffi.buffer(mem, size)) == bytes([fill]) * size
                a.free(mem)
                continue
            size = rng.choice([0, 1, 8, 24, 100, 300, 1000])
            mem = a.calloc(size)
            if mem == c.ffi.NULL:
                continue
            assert a.offset(mem) % 8 == 0 and 0 < a.offset(mem) <= 8192 - size
            assert bytes(c.ffi.buffer(mem, size)) == bytes(size)
            fill = rng.randrange(256)
            c.ffi.memmove(mem, bytes([fill]) * size, size)
            live[a.offset(mem)] = (mem, size, fill)
        for mem, _, _ in live.values():
            a.free(mem)
        assert a.arena.in_use == 0 and a.arena.foreign == 0
        assert a.offset(a.calloc(8192 - 8)) == 8
