/* A reduced `_linnet` as a native .mpy file, for a MicroPython that cannot be built anew: natmod/Makefile.
 *
 * Of the border (linnet.h) only pb_decode and pb_encode. Left out are sessions and the media loop, because DTLS and
 * Opus together are 300 KB of text, more than the executable RAM that a .mpy is loaded into, and because a native
 * module has no thread-local variable to tell Mbed TLS its arena by. Instead the parts of a session that do fit are
 * offered one by one, under names of their own (PARTS in tests/test_natmod.py): RTP, SRTP and SRTCP, the playout
 * buffer, the resampler. Each keeps its state in a bytearray of the caller, x_size() bytes, which x_init begins.
 * Invariants: no writable static data, no allocation, every call checks which part its state belongs to.
 *
 * HEAD is a record about one RTP packet: u8 payload type, u8 marker, u16 sequence, u32 timestamp, u32 ssrc, i8 audio
 * level (-1 none), u8 voice, u8 audio_level_id, u8 mid_id (the ids as negotiated, 0 = none), u16 payload offset, u16
 * payload length, u8 length of mid, 16 bytes mid. */
#include "py/dynruntime.h"

#include "modlinnet.c"

#include "../crypto_arena.h"
#include "../media/jitter.h"
#include "../media/resample.h"
#include "../net/dtls.h"
#include "../net/rtp.h"
#include "../net/srtp.h"

/* --- what libc and Mbed TLS's platform would give --- */

void *memcpy(void *to, const void *from, size_t n) {
    return mp_fun_table.memmove_(to, from, n);
}

void *memmove(void *to, const void *from, size_t n) {
    return mp_fun_table.memmove_(to, from, n);
}

void *memset(void *at, int value, size_t n) {
    return mp_fun_table.memset_(at, value, n);
}

int memcmp(const void *a, const void *b, size_t n) {
    const uint8_t *x = a, *y = b;
    for (; n; n--, x++, y++)
        if (*x != *y) return *x < *y ? -1 : 1;
    return 0;
}

size_t strlen(const char *text) {
    size_t n = 0;
    while (text[n]) n++;
    return n;
}

#ifdef __XTENSA__
/* The windowed parts of libgcc are not in every toolchain. Bit by bit: no division is on a packet's path. */
uint64_t __udivdi3(uint64_t n, uint64_t d) {
    uint64_t quotient = 0, rest = 0;
    for (int i = 63; i >= 0; i--) {
        rest = rest << 1 | (n >> i & 1);
        if (rest < d) continue;
        rest -= d;
        quotient |= (uint64_t)1 << i;
    }
    return quotient;
}

int64_t __divdi3(int64_t n, int64_t d) {
    uint64_t un = n < 0 ? -(uint64_t)n : (uint64_t)n, ud = d < 0 ? -(uint64_t)d : (uint64_t)d;
    uint64_t quotient = __udivdi3(un, ud);
    return (n < 0) != (d < 0) ? (int64_t)-quotient : (int64_t)quotient;
}

/* `volatile`: gcc would see a byte swap here and call this very function. */
uint32_t __bswapsi2(uint32_t v) {
    volatile uint32_t bytes = v;
    uint32_t swapped = bytes << 24;
    swapped |= (bytes & 0xff00) << 8;
    swapped |= bytes >> 8 & 0xff00;
    return swapped | bytes >> 24;
}

typedef union {
    uint64_t whole;
    struct {
        uint32_t low, high;
    } half;
} halves_t;

uint64_t __bswapdi2(uint64_t v) {
    halves_t in = {v}, out;
    out.half.low = __bswapsi2(in.half.high);
    out.half.high = __bswapsi2(in.half.low);
    return out.whole;
}

uint64_t __ashldi3(uint64_t v, int n) {
    halves_t x = {v};
    if (n >= 32) {
        x.half.high = x.half.low << (n - 32);
        x.half.low = 0;
    } else if (n > 0) {
        x.half.high = x.half.high << n | x.half.low >> (32 - n);
        x.half.low <<= n;
    }
    return x.whole;
}

uint64_t __lshrdi3(uint64_t v, int n) {
    halves_t x = {v};
    if (n >= 32) {
        x.half.low = x.half.high >> (n - 32);
        x.half.high = 0;
    } else if (n > 0) {
        x.half.low = x.half.low >> n | x.half.high << (32 - n);
        x.half.high >>= n;
    }
    return x.whole;
}
#endif

void mbedtls_platform_zeroize(void *mem, size_t len) {
    volatile uint8_t *at = mem;
    while (len--) *at++ = 0;
}

/* --- state in the caller's memory --- */

enum { IS_SRTP = 0x50545253, IS_JITTER = 0x5254494a, IS_RESAMPLER = 0x504d4152 };

typedef struct {
    uint32_t kind;
    uint32_t zero;
} mark_t;

typedef struct {
    mark_t mark;
    linnet_srtp_t srtp;
} srtp_state_t;

typedef struct {
    mark_t mark;
    uint64_t now_us; /* of the last call, widened */
    linnet_jitter_t jitter;
} jitter_state_t;

typedef struct {
    mark_t mark;
    linnet_resampler_t resampler;
} resampler_state_t;

static void *state_in(mp_obj_t object, size_t size) {
    bytes_t bytes = writable(object);
    if (bytes.len < size || ((uintptr_t)bytes.at & 7)) mp_raise_ValueError("state too small");
    return bytes.at;
}

static void *state_of(mp_obj_t object, size_t size, uint32_t kind) {
    mark_t *mark = state_in(object, size);
    if (mark->kind != kind) mp_raise_ValueError("not this part's state");
    return mark;
}

/* Only once the part has accepted its settings. */
static mp_obj_t begun(mark_t *mark, uint32_t kind, int made) {
    mark->kind = made < 0 ? 0 : kind;
    return result(made);
}

/* --- RTP --- */

enum { HEAD_PAYLOAD = 16, HEAD_MID = 20, HEAD_LEN = HEAD_MID + 1 + LINNET_MID_MAX };

static linnet_rtp_ext_t extensions_of(const uint8_t *head) {
    linnet_rtp_ext_t ext = {head[14], head[15]};
    return ext;
}

static mp_obj_t rtp_write(mp_obj_t head_in, mp_obj_t payload_in, mp_obj_t packet_in) {
    bytes_t head = readable(head_in), payload = readable(payload_in), packet = writable(packet_in);
    linnet_rtp_t rtp;
    wire_in_t in = wire_in(head.at, head.len);
    linnet_rtp_ext_t ext;
    if (head.len < HEAD_LEN) return result(LINNET_ERR_ARG);
    ext = extensions_of(head.at);
    rtp.payload_type = wire_u8(&in);
    rtp.marker = wire_u8(&in);
    rtp.sequence = wire_u16le(&in);
    rtp.timestamp = wire_u32le(&in);
    rtp.ssrc = wire_u32le(&in);
    rtp.audio_level = (int8_t)wire_u8(&in);
    rtp.voice = wire_u8(&in);
    wire_skip(&in, HEAD_MID - HEAD_PAYLOAD + 2);
    rtp.mid = wire_take(&in, wire_u8(&in));
    rtp.payload.data = payload.at;
    rtp.payload.len = payload.len;
    if (!wire_ok(&in)) return result(LINNET_ERR_ARG);
    return result(linnet_rtp_write(&rtp, &ext, packet.at, packet.len));
}
static MP_DEFINE_CONST_FUN_OBJ_3(rtp_write_obj, rtp_write);

/* The ids stand in `head` before; the rest of it is written. */
static mp_obj_t rtp_read(mp_obj_t head_in, mp_obj_t packet_in) {
    bytes_t head = writable(head_in), packet = readable(packet_in);
    linnet_rtp_t rtp;
    linnet_rtp_ext_t ext;
    wire_out_t out = wire_out(head.at, head.len);
    int rc;
    if (head.len < HEAD_LEN || packet.len > UINT16_MAX) return result(LINNET_ERR_ARG);
    ext = extensions_of(head.at);
    rc = linnet_rtp_read(&rtp, &ext, packet.at, packet.len);
    if (rc < 0) return result(rc);
    if (rtp.mid.len > LINNET_MID_MAX) rtp.mid.len = 0;
    wire_put_u8(&out, rtp.payload_type);
    wire_put_u8(&out, rtp.marker);
    wire_put_u16le(&out, rtp.sequence);
    wire_put_u32le(&out, rtp.timestamp);
    wire_put_u32le(&out, rtp.ssrc);
    wire_put_u8(&out, (uint8_t)rtp.audio_level);
    wire_put_u8(&out, rtp.voice);
    wire_put_u8(&out, ext.audio_level_id);
    wire_put_u8(&out, ext.mid_id);
    wire_put_u16le(&out, (uint16_t)(rtp.payload.len ? rtp.payload.data - packet.at : 0));
    wire_put_u16le(&out, (uint16_t)rtp.payload.len);
    wire_put_u8(&out, (uint8_t)rtp.mid.len);
    wire_put(&out, rtp.mid.data, rtp.mid.len);
    wire_put_zero(&out, LINNET_MID_MAX - rtp.mid.len);
    return result(0);
}
static MP_DEFINE_CONST_FUN_OBJ_2(rtp_read_obj, rtp_read);

/* --- SRTP --- */

/* GCM is compiled without the library's cipher layer, so it allocates nothing and needs no arena. */
int linnet_arena_init(linnet_arena_t *arena, void *mem, size_t len) {
    (void)arena, (void)mem, (void)len;
    return 0;
}

linnet_arena_t *linnet_arena_enter(linnet_arena_t *arena) {
    return arena;
}

void linnet_arena_leave(linnet_arena_t *previous) {
    (void)previous;
}

static mp_obj_t srtp_size(void) {
    return result(sizeof(srtp_state_t));
}
static MP_DEFINE_CONST_FUN_OBJ_0(srtp_size_obj, srtp_size);

/* Key material of one direction: 16 bytes key, then 14 (profile 1) or 12 (profile 7) bytes salt. */
static mp_obj_t srtp_init(mp_obj_t state_in_, mp_obj_t profile_in, mp_obj_t material_in) {
    srtp_state_t *state = state_in(state_in_, sizeof *state);
    int profile = (int)mp_obj_get_int(profile_in);
    bytes_t material = readable(material_in);
    if (material.len != (profile == LINNET_SRTP_AEAD_AES_128_GCM ? 28 : 30))
        return result(LINNET_ERR_ARG);
    return begun(&state->mark, IS_SRTP,
                 linnet_srtp_init(&state->srtp, profile, material.at, material.at + 16));
}
static MP_DEFINE_CONST_FUN_OBJ_3(srtp_init_obj, srtp_init);

typedef int protect_t(linnet_srtp_t *, uint8_t *, size_t, size_t);
typedef int open_t(linnet_srtp_t *, uint8_t *, size_t);

static mp_obj_t protect(const mp_obj_t *args, protect_t *call) {
    srtp_state_t *state = state_of(args[0], sizeof *state, IS_SRTP);
    bytes_t packet = writable(args[1]);
    mp_int_t len = mp_obj_get_int(args[2]);
    if (len < 0 || (size_t)len > packet.len) return result(LINNET_ERR_ARG);
    return result(call(&state->srtp, packet.at, (size_t)len, packet.len));
}

static mp_obj_t open_packet(const mp_obj_t *args, open_t *call) {
    srtp_state_t *state = state_of(args[0], sizeof *state, IS_SRTP);
    bytes_t packet = writable(args[1]);
    mp_int_t len = mp_obj_get_int(args[2]);
    if (len < 0 || (size_t)len > packet.len) return result(LINNET_ERR_ARG);
    return result(call(&state->srtp, packet.at, (size_t)len));
}

static mp_obj_t srtp_protect(mp_obj_t state, mp_obj_t packet, mp_obj_t len) {
    mp_obj_t args[] = {state, packet, len};
    return protect(args, linnet_srtp_protect);
}
static MP_DEFINE_CONST_FUN_OBJ_3(srtp_protect_obj, srtp_protect);

static mp_obj_t srtcp_protect(mp_obj_t state, mp_obj_t packet, mp_obj_t len) {
    mp_obj_t args[] = {state, packet, len};
    return protect(args, linnet_srtcp_protect);
}
static MP_DEFINE_CONST_FUN_OBJ_3(srtcp_protect_obj, srtcp_protect);

static mp_obj_t srtp_open(mp_obj_t state, mp_obj_t packet, mp_obj_t len) {
    mp_obj_t args[] = {state, packet, len};
    return open_packet(args, linnet_srtp_open);
}
static MP_DEFINE_CONST_FUN_OBJ_3(srtp_open_obj, srtp_open);

static mp_obj_t srtcp_open(mp_obj_t state, mp_obj_t packet, mp_obj_t len) {
    mp_obj_t args[] = {state, packet, len};
    return open_packet(args, linnet_srtcp_open);
}
static MP_DEFINE_CONST_FUN_OBJ_3(srtcp_open_obj, srtcp_open);

static mp_obj_t srtp_wipe(mp_obj_t state_in_) {
    srtp_state_t *state = state_of(state_in_, sizeof *state, IS_SRTP);
    linnet_wipe(state, sizeof *state);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(srtp_wipe_obj, srtp_wipe);

/* --- playout buffer --- */

static jitter_state_t *jitter_at(mp_obj_t object, mp_obj_t now_in) {
    jitter_state_t *state = state_of(object, sizeof *state, IS_JITTER);
    uint32_t now = (uint32_t)mp_obj_get_int(now_in);
    state->now_us += (now - (uint32_t)state->now_us) & 0x3fffffff;
    return state;
}

static mp_obj_t jitter_size(void) {
    return result(sizeof(jitter_state_t));
}
static MP_DEFINE_CONST_FUN_OBJ_0(jitter_size_obj, jitter_size);

static mp_obj_t jitter_init(mp_obj_t state_in_, mp_obj_t delay_ms) {
    jitter_state_t *state = state_in(state_in_, sizeof *state);
    mp_int_t delay = mp_obj_get_int(delay_ms);
    if (delay < 0 || delay > 2000) return result(LINNET_ERR_ARG);
    state->now_us = 0;
    linnet_jitter_init(&state->jitter, (uint32_t)delay);
    return begun(&state->mark, IS_JITTER, 0);
}
static MP_DEFINE_CONST_FUN_OBJ_2(jitter_init_obj, jitter_init);

/* jitter_put(state, now, head, packet): head as rtp_read left it. */
static mp_obj_t jitter_put(size_t n, const mp_obj_t *args) {
    (void)n;
    jitter_state_t *state = jitter_at(args[0], args[1]);
    bytes_t head = readable(args[2]), packet = readable(args[3]);
    wire_in_t in = wire_in(head.at, head.len), body = wire_in(packet.at, packet.len);
    wire_skip(&in, 2);
    uint16_t sequence = wire_u16le(&in);
    uint32_t timestamp = wire_u32le(&in);
    wire_skip(&in, HEAD_PAYLOAD - 8);
    wire_skip(&body, wire_u16le(&in));
    wire_span_t payload = wire_take(&body, wire_u16le(&in));
    if (!wire_ok(&in) || !wire_ok(&body)) return result(LINNET_ERR_ARG);
    return result(linnet_jitter_put(&state->jitter, state->now_us, sequence, timestamp,
                                    payload.data, payload.len));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(jitter_put_obj, 4, 4, jitter_put);

/* LINNET_JITTER_*; buf: u16 duration at 48 kHz, u16 length, payload (only with PACKET, SKIP, FEC). */
static mp_obj_t jitter_get(mp_obj_t state_in_, mp_obj_t now, mp_obj_t buf_in) {
    jitter_state_t *state = jitter_at(state_in_, now);
    bytes_t buf = writable(buf_in);
    wire_out_t out = wire_out(buf.at, buf.len);
    const uint8_t *payload = NULL;
    size_t len = 0;
    if (buf.len < 4 + LINNET_OPUS_PACKET_MAX) return result(LINNET_ERR_SPACE);
    int answer = linnet_jitter_get(&state->jitter, state->now_us, &payload, &len);
    if (payload == NULL) len = 0;
    wire_put_u16le(&out, (uint16_t)linnet_jitter_duration(&state->jitter));
    wire_put_u16le(&out, (uint16_t)len);
    if (len != 0) wire_put(&out, payload, len);
    return result(answer);
}
static MP_DEFINE_CONST_FUN_OBJ_3(jitter_get_obj, jitter_get);

/* --- resampler --- */

static mp_obj_t resample_size(void) {
    return result(sizeof(resampler_state_t));
}
static MP_DEFINE_CONST_FUN_OBJ_0(resample_size_obj, resample_size);

static mp_obj_t resample_init(mp_obj_t state_in_, mp_obj_t in_hz, mp_obj_t out_hz) {
    resampler_state_t *state = state_in(state_in_, sizeof *state);
    return begun(&state->mark, IS_RESAMPLER,
                 linnet_resampler_init(&state->resampler, (uint32_t)mp_obj_get_int(in_hz),
                                       (uint32_t)mp_obj_get_int(out_hz)));
}
static MP_DEFINE_CONST_FUN_OBJ_3(resample_init_obj, resample_init);

/* Samples made of all of `in`; LINNET_ERR_SPACE, and nothing done, if `out` might not hold them. */
static mp_obj_t resample(mp_obj_t state_in_, mp_obj_t in_pcm, mp_obj_t out_pcm) {
    resampler_state_t *state = state_of(state_in_, sizeof *state, IS_RESAMPLER);
    linnet_resampler_t *r = &state->resampler;
    bytes_t in = readable(in_pcm), out = writable(out_pcm);
    size_t n = in.len / 2, taken;
    if (((uintptr_t)in.at | (uintptr_t)out.at) & 1 || n > 48000) return result(LINNET_ERR_ARG);
    if (out.len / 2 < (n * r->out + r->in - 1) / r->in + 1) return result(LINNET_ERR_SPACE);
    return result(
        (int)linnet_resample(r, (const int16_t *)in.at, n, &taken, (int16_t *)out.at, out.len / 2));
}
static MP_DEFINE_CONST_FUN_OBJ_3(resample_obj, resample);

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    MP_DYNRUNTIME_INIT_ENTRY(void) n_args, (void)n_kw, (void)args;
    mp_store_global(MP_QSTR_pb_decode, MP_OBJ_FROM_PTR(&pb_decode_obj));
    mp_store_global(MP_QSTR_pb_encode, MP_OBJ_FROM_PTR(&pb_encode_obj));
    mp_store_global(MP_QSTR_rtp_write, MP_OBJ_FROM_PTR(&rtp_write_obj));
    mp_store_global(MP_QSTR_rtp_read, MP_OBJ_FROM_PTR(&rtp_read_obj));
    mp_store_global(MP_QSTR_srtp_size, MP_OBJ_FROM_PTR(&srtp_size_obj));
    mp_store_global(MP_QSTR_srtp_init, MP_OBJ_FROM_PTR(&srtp_init_obj));
    mp_store_global(MP_QSTR_srtp_protect, MP_OBJ_FROM_PTR(&srtp_protect_obj));
    mp_store_global(MP_QSTR_srtp_open, MP_OBJ_FROM_PTR(&srtp_open_obj));
    mp_store_global(MP_QSTR_srtcp_protect, MP_OBJ_FROM_PTR(&srtcp_protect_obj));
    mp_store_global(MP_QSTR_srtcp_open, MP_OBJ_FROM_PTR(&srtcp_open_obj));
    mp_store_global(MP_QSTR_srtp_wipe, MP_OBJ_FROM_PTR(&srtp_wipe_obj));
    mp_store_global(MP_QSTR_jitter_size, MP_OBJ_FROM_PTR(&jitter_size_obj));
    mp_store_global(MP_QSTR_jitter_init, MP_OBJ_FROM_PTR(&jitter_init_obj));
    mp_store_global(MP_QSTR_jitter_put, MP_OBJ_FROM_PTR(&jitter_put_obj));
    mp_store_global(MP_QSTR_jitter_get, MP_OBJ_FROM_PTR(&jitter_get_obj));
    mp_store_global(MP_QSTR_resample_size, MP_OBJ_FROM_PTR(&resample_size_obj));
    mp_store_global(MP_QSTR_resample_init, MP_OBJ_FROM_PTR(&resample_init_obj));
    mp_store_global(MP_QSTR_resample, MP_OBJ_FROM_PTR(&resample_obj));
    MP_DYNRUNTIME_INIT_EXIT
}
