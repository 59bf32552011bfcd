/* linnet_units: parts of the core that the public header does not show, for unit tests that run on a board.
 *
 * Bytes in, bytes or a small tuple out; an error code of the core comes back as the int it is. Contexts live on
 * the stack or in a bytearray of Python's. Not part of the product: only test firmware has it. */
#include "py/runtime.h"

#include "codec.h"
#include "hil_hal.h"
#include "sctp_internal.h"
#include "srtp.h"
#include "stun.h"

enum { PACKET_MAX = 1500, FRAME_MAX = 960, OPUS_MAX = 1275 };

static mp_buffer_info_t bytes_of(mp_obj_t obj) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(obj, &info, MP_BUFFER_READ);
    return info;
}

static mp_buffer_info_t bytes_of_length(mp_obj_t obj, size_t len) {
    mp_buffer_info_t info = bytes_of(obj);
    if (info.len != len) mp_raise_ValueError(MP_ERROR_TEXT("wrong length"));
    return info;
}

/* seed(bytes): what os.urandom grows from. */
static mp_obj_t units_seed(mp_obj_t seed) {
    mp_buffer_info_t info = bytes_of(seed);
    if (!hil_seed(info.buf, info.len))
        mp_raise_ValueError(MP_ERROR_TEXT("a seed has 32 bytes or more"));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(seed_obj, units_seed);

/* crc32c(data): the four bytes that SCTP puts on the wire. */
static mp_obj_t units_crc32c(mp_obj_t data) {
    mp_buffer_info_t info = bytes_of(data);
    uint32_t crc = linnet_sctp_crc32c(0, info.buf, info.len);
    uint8_t wire[4] = {(uint8_t)crc, (uint8_t)(crc >> 8), (uint8_t)(crc >> 16),
                       (uint8_t)(crc >> 24)};
    return mp_obj_new_bytes(wire, sizeof wire);
}
static MP_DEFINE_CONST_FUN_OBJ_1(crc32c_obj, units_crc32c);

static mp_obj_t units_hmac_sha1(mp_obj_t key, mp_obj_t data) {
    mp_buffer_info_t k = bytes_of(key), d = bytes_of(data);
    linnet_hmac_sha1_t hmac;
    uint8_t out[LINNET_SHA1_LEN];
    linnet_hmac_sha1_init(&hmac, k.buf, k.len);
    linnet_hmac_sha1_compute(&hmac, d.buf, d.len, NULL, 0, out);
    return mp_obj_new_bytes(out, sizeof out);
}
static MP_DEFINE_CONST_FUN_OBJ_2(hmac_sha1_obj, units_hmac_sha1);

static mp_obj_t units_aes_ctr(mp_obj_t key, mp_obj_t iv, mp_obj_t data) {
    linnet_aes_t aes;
    mp_buffer_info_t d = bytes_of(data);
    linnet_aes128_init(&aes, bytes_of_length(key, 16).buf);
    vstr_t out;
    vstr_init_len(&out, d.len);
    memcpy(out.buf, d.buf, d.len);
    linnet_aes128_ctr(&aes, bytes_of_length(iv, 16).buf, (uint8_t *)out.buf, d.len);
    return mp_obj_new_bytes_from_vstr(&out);
}
static MP_DEFINE_CONST_FUN_OBJ_3(aes_ctr_obj, units_aes_ctr);

/* stun(message, key): (class, attributes seen, priority, tie breaker, mapped port, MESSAGE-INTEGRITY's verdict),
 * or the error code of parsing. */
static mp_obj_t units_stun(mp_obj_t message, mp_obj_t key) {
    mp_buffer_info_t m = bytes_of(message), k = bytes_of(key);
    linnet_stun_msg_t msg;
    linnet_hmac_sha1_t hmac;
    int result = linnet_stun_parse(&msg, m.buf, m.len);
    if (result < 0) return mp_obj_new_int(result);
    linnet_hmac_sha1_init(&hmac, k.buf, k.len);
    mp_obj_t items[] = {
        mp_obj_new_int(msg.kind),
        mp_obj_new_int(msg.has),
        mp_obj_new_int_from_uint(msg.priority),
        mp_obj_new_int_from_ull(msg.tie_breaker),
        mp_obj_new_int(msg.mapped.port),
        mp_obj_new_int(linnet_stun_verify(&msg, m.buf, m.len, &hmac)),
    };
    return mp_obj_new_tuple(MP_ARRAY_SIZE(items), items);
}
static MP_DEFINE_CONST_FUN_OBJ_2(stun_obj, units_stun);

/* gcm_seal(key, iv, aad, plain): cipher text and tag of AES-128-GCM. */
static mp_obj_t units_gcm_seal(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    mp_buffer_info_t aad = bytes_of(args[2]), plain = bytes_of(args[3]);
    linnet_gcm_t *gcm = m_new_obj(linnet_gcm_t);
    vstr_t out;
    vstr_init_len(&out, plain.len + 16);
    memcpy(out.buf, plain.buf, plain.len);
    int result = linnet_gcm_init(gcm, bytes_of_length(args[0], 16).buf);
    if (result >= 0)
        result = linnet_gcm_seal(gcm, bytes_of_length(args[1], 12).buf, aad.buf, aad.len,
                                 (uint8_t *)out.buf, plain.len, (uint8_t *)out.buf + plain.len);
    return result < 0 ? mp_obj_new_int(result) : mp_obj_new_bytes_from_vstr(&out);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(gcm_seal_obj, 4, 4, units_gcm_seal);

/* srtp(what, profile, key, salt, packet): the packet done with fresh keys, or an error code.
 * what: "protect", "open", "protect_rtcp", "open_rtcp". */
static mp_obj_t units_srtp(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    const char *what = mp_obj_str_get_str(args[0]);
    int profile = (int)mp_obj_get_int(args[1]);
    mp_buffer_info_t key = bytes_of_length(args[2], 16);
    mp_buffer_info_t salt = bytes_of_length(args[3], profile == 7 ? 12 : 14);
    mp_buffer_info_t packet = bytes_of(args[4]);
    uint8_t out[PACKET_MAX];
    if (packet.len > sizeof out) mp_raise_ValueError(MP_ERROR_TEXT("packet too long"));
    memcpy(out, packet.buf, packet.len);
    linnet_srtp_t *srtp = m_new_obj(linnet_srtp_t);
    bool is_rtcp = strstr(what, "rtcp") != NULL;
    int result = linnet_srtp_init(srtp, profile, key.buf, salt.buf);
    if (result >= 0 && what[0] == 'p') {
        result = is_rtcp ? linnet_srtcp_protect(srtp, out, packet.len, sizeof out)
                         : linnet_srtp_protect(srtp, out, packet.len, sizeof out);
    } else if (result >= 0) {
        result = is_rtcp ? linnet_srtcp_open(srtp, out, packet.len)
                         : linnet_srtp_open(srtp, out, packet.len);
    }
    return result < 0 ? mp_obj_new_int(result) : mp_obj_new_bytes(out, (size_t)result);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(srtp_obj, 5, 5, units_srtp);

/* set_time(seconds since 1970): these boards wake up in 1970. */
static mp_obj_t units_set_time(mp_obj_t seconds) {
    hil_set_time((uint64_t)mp_obj_get_int(seconds));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(set_time_obj, units_set_time);

/* encode(rate, complexity, pcm): every 20 ms frame of pcm through the encoder; u16 length and packet, each. */
static mp_obj_t units_encode(mp_obj_t rate, mp_obj_t complexity, mp_obj_t pcm) {
    mp_buffer_info_t sound = bytes_of(pcm);
    linnet_media_config_t cfg = {.rate_hz = mp_obj_get_int(rate),
                                 .complexity_plus_1 = mp_obj_get_int(complexity) + 1};
    if (linnet_media_resolve(&cfg, &cfg) < 0) mp_raise_ValueError(MP_ERROR_TEXT("configuration"));
    void *encoder = m_new(uint64_t, linnet_encoder_size() / 8);
    size_t n = cfg.rate_hz / 50;
    vstr_t out;
    vstr_init(&out, 1024);
    int result = linnet_encoder_init(encoder, &cfg);
    for (size_t at = 0; result >= 0 && at + 2 * n <= sound.len; at += 2 * n) {
        uint8_t packet[OPUS_MAX];
        result = linnet_encode(encoder, (const int16_t *)((const uint8_t *)sound.buf + at), n,
                               packet, sizeof packet);
        if (result < 0) break;
        vstr_add_byte(&out, (byte)result);
        vstr_add_byte(&out, (byte)(result >> 8));
        vstr_add_strn(&out, (const char *)packet, (size_t)result);
    }
    return result < 0 ? mp_obj_new_int(result) : mp_obj_new_bytes_from_vstr(&out);
}
static MP_DEFINE_CONST_FUN_OBJ_3(encode_obj, units_encode);

/* decode(rate, packets): what encode() gave, as sound again. */
static mp_obj_t units_decode(mp_obj_t rate, mp_obj_t packets) {
    mp_buffer_info_t in = bytes_of(packets);
    const uint8_t *at = in.buf, *end = at + in.len;
    uint32_t rate_hz = mp_obj_get_int(rate);
    void *decoder = m_new(uint64_t, linnet_decoder_size() / 8);
    vstr_t out;
    vstr_init(&out, 4096);
    int result = linnet_decoder_init(decoder, rate_hz);
    while (result >= 0 && end - at >= 2) {
        int16_t pcm[FRAME_MAX];
        size_t len = (size_t)(at[0] | at[1] << 8);
        if ((size_t)(end - at) < 2 + len) mp_raise_ValueError(MP_ERROR_TEXT("cut short"));
        result = linnet_decode(decoder, at + 2, len, pcm, FRAME_MAX);
        if (result > 0) vstr_add_strn(&out, (const char *)pcm, 2 * (size_t)result);
        at += 2 + len;
    }
    return result < 0 ? mp_obj_new_int(result) : mp_obj_new_bytes_from_vstr(&out);
}
static MP_DEFINE_CONST_FUN_OBJ_2(decode_obj, units_decode);

static const mp_rom_map_elem_t units_globals_table[] = {
    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_linnet_units)},
    {MP_ROM_QSTR(MP_QSTR_seed), MP_ROM_PTR(&seed_obj)},
    {MP_ROM_QSTR(MP_QSTR_crc32c), MP_ROM_PTR(&crc32c_obj)},
    {MP_ROM_QSTR(MP_QSTR_hmac_sha1), MP_ROM_PTR(&hmac_sha1_obj)},
    {MP_ROM_QSTR(MP_QSTR_aes_ctr), MP_ROM_PTR(&aes_ctr_obj)},
    {MP_ROM_QSTR(MP_QSTR_stun), MP_ROM_PTR(&stun_obj)},
    {MP_ROM_QSTR(MP_QSTR_gcm_seal), MP_ROM_PTR(&gcm_seal_obj)},
    {MP_ROM_QSTR(MP_QSTR_set_time), MP_ROM_PTR(&set_time_obj)},
    {MP_ROM_QSTR(MP_QSTR_srtp), MP_ROM_PTR(&srtp_obj)},
    {MP_ROM_QSTR(MP_QSTR_encode), MP_ROM_PTR(&encode_obj)},
    {MP_ROM_QSTR(MP_QSTR_decode), MP_ROM_PTR(&decode_obj)},
};
static MP_DEFINE_CONST_DICT(units_globals, units_globals_table);

const mp_obj_module_t linnet_units_module = {
    .base = {&mp_type_module},
    .globals = (mp_obj_dict_t *)&units_globals,
};
MP_REGISTER_MODULE(MP_QSTR_linnet_units, linnet_units_module);
