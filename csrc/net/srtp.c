/* SRTP and SRTCP, RFC 3711 and RFC 7714; srtp.h has the contract.
 *
 * Both ciphers and both protocols share one path: find the index, check it against the replay
 * window, run the cipher, and only then touch the stream's state. Tables of streams are searched
 * linearly: there are about ten. */
#include "srtp.h"

#include "dtls.h"

enum {
    RTP_HEADER = 12,
    RTCP_HEADER = 8, /* the part of an RTCP packet that stays readable */
    TAG_CM = 10,
    TAG_GCM = 16,
    INDEX_WORD = 4,
    PACKET_MAX = 65535,
    /* RFC 3711 4.3.1, 4.3.2 */
    LABEL_RTP = 0,
    LABEL_RTCP = 3
};
static const uint64_t RTP_INDEX_MAX = ((uint64_t)1 << 48) - 1;
static const uint64_t RTCP_INDEX_MAX = ((uint64_t)1 << 31) - 1;
static const uint32_t E_FLAG = (uint32_t)1 << 31;

static int is_gcm(const linnet_srtp_t *srtp) {
    return srtp->profile == LINNET_SRTP_AEAD_AES_128_GCM;
}

/* --- key derivation, RFC 3711 4.3.1 with a key derivation rate of 0; RFC 7714 11 --- */

static void derive(const linnet_aes_t *master, const uint8_t salt[14], uint8_t label, uint8_t *out,
                   size_t len) {
    uint8_t iv[16] = {0};
    memcpy(iv, salt, 14);
    iv[7] ^= label;
    memset(out, 0, len);
    linnet_aes128_ctr(master, iv, out, len);
}

/* Labels follow each other: encryption, authentication, salt. */
static void derive_session(const linnet_srtp_t *srtp, linnet_srtp_derived_t *keys,
                           const linnet_aes_t *master, const uint8_t salt[14],
                           uint8_t first_label) {
    derive(master, salt, first_label, keys->key, sizeof keys->key);
    derive(master, salt, (uint8_t)(first_label + 1), keys->auth, sizeof keys->auth);
    derive(master, salt, (uint8_t)(first_label + 2), keys->salt, is_gcm(srtp) ? 12 : 14);
}

static int start_ciphers(const linnet_srtp_t *srtp, linnet_srtp_session_keys_t *keys,
                         const linnet_srtp_derived_t *from) {
    memcpy(keys->salt, from->salt, sizeof keys->salt);
    if (is_gcm(srtp)) return linnet_gcm_init(&keys->cipher.gcm, from->key);
    linnet_hmac_sha1_init(&keys->cipher.cm.hmac, from->auth, sizeof from->auth);
    return linnet_aes128_init(&keys->cipher.cm.aes, from->key);
}

int linnet_srtp_init(linnet_srtp_t *srtp, int profile, const uint8_t *key, const uint8_t *salt) {
    linnet_aes_t master;
    linnet_srtp_derived_t rtp = {0};
    uint8_t padded_salt[14] = {0}; /* RFC 7714 11: a 12-byte salt is followed by two zero bytes */
    if (srtp == NULL || key == NULL || salt == NULL) return LINNET_ERR_ARG;
    if (profile != LINNET_SRTP_AES128_CM_SHA1_80 && profile != LINNET_SRTP_AEAD_AES_128_GCM)
        return LINNET_ERR_ARG;
    memset(srtp, 0, sizeof *srtp);
    srtp->profile = (uint16_t)profile;
    srtp->tag_len = is_gcm(srtp) ? TAG_GCM : TAG_CM;
    memcpy(padded_salt, salt, is_gcm(srtp) ? 12 : 14);
    int result = linnet_aes128_init(&master, key);
    if (result == 0) {
        derive_session(srtp, &rtp, &master, padded_salt, LABEL_RTP);
        derive_session(srtp, &srtp->rtcp, &master, padded_salt, LABEL_RTCP);
        result = start_ciphers(srtp, &srtp->rtp, &rtp);
    }
    linnet_wipe(&rtp, sizeof rtp);
    linnet_wipe(&master, sizeof master);
    linnet_wipe(padded_salt, sizeof padded_salt);
    if (result != 0) linnet_srtp_wipe(srtp);
    return result;
}

void linnet_srtp_wipe(linnet_srtp_t *srtp) {
    linnet_wipe(srtp, sizeof *srtp);
}

/* --- streams and replay, RFC 3711 3.3.1, 3.3.2 --- */

static linnet_srtp_stream_t *find(linnet_srtp_t *srtp, uint32_t ssrc) {
    for (size_t i = 0; i < LINNET_SRTP_STREAMS; i++)
        if (srtp->streams[i].used != 0 && srtp->streams[i].ssrc == ssrc) return &srtp->streams[i];
    return NULL;
}

/* A place for a new SSRC. Only a receiver may take it from another stream (the one idle for
 * longest): a sender that forgot an index would use a keystream twice. */
static linnet_srtp_stream_t *claim(linnet_srtp_t *srtp, uint32_t ssrc,
                                   linnet_srtp_counts_t *evict) {
    linnet_srtp_stream_t *oldest = &srtp->streams[0];
    for (size_t i = 0; i < LINNET_SRTP_STREAMS; i++)
        if (srtp->streams[i].used < oldest->used) oldest = &srtp->streams[i];
    if (oldest->used != 0 && evict == NULL) return NULL;
    if (oldest->used != 0) evict->evicted++;
    memset(oldest, 0, sizeof *oldest);
    oldest->ssrc = ssrc;
    return oldest;
}

void linnet_srtp_forget(linnet_srtp_t *srtp, uint32_t ssrc) {
    linnet_srtp_stream_t *stream = find(srtp, ssrc);
    if (stream) memset(stream, 0, sizeof *stream);
}

static void touch(linnet_srtp_t *srtp, linnet_srtp_stream_t *stream) {
    if (++srtp->stamp == 0) srtp->stamp = 1;
    stream->used = srtp->stamp;
}

static int is_fresh(const linnet_srtp_window_t *window, uint64_t index) {
    if (!window->any || index > window->top) return 1;
    uint64_t age = window->top - index;
    if (age >= LINNET_SRTP_WINDOW) return 0;
    return !(window->seen[age / 64] >> (age % 64) & 1);
}

static void shift(linnet_srtp_window_t *window, uint64_t by) {
    if (by >= LINNET_SRTP_WINDOW) {
        memset(window->seen, 0, sizeof window->seen);
        return;
    }
    for (; by >= 64; by -= 64) {
        memmove(&window->seen[1], &window->seen[0], sizeof window->seen - sizeof window->seen[0]);
        window->seen[0] = 0;
    }
    if (by == 0) return;
    for (size_t i = LINNET_SRTP_WINDOW / 64 - 1; i > 0; i--)
        window->seen[i] = window->seen[i] << by | window->seen[i - 1] >> (64 - by);
    window->seen[0] <<= by;
}

static void remember(linnet_srtp_window_t *window, uint64_t index) {
    if (!window->any) {
        window->any = 1;
        window->top = index;
    } else if (index > window->top) {
        shift(window, index - window->top);
        window->top = index;
    }
    uint64_t age = window->top - index;
    window->seen[age / 64] |= (uint64_t)1 << (age % 64);
}

/* RFC 3711 3.3.1, appendix A. 0 = the sequence number lies before the first rollover, or after the
 * last one. */
static int estimate(const linnet_srtp_window_t *window, uint16_t seq, uint64_t *index) {
    uint64_t roc = window->top >> 16;
    int32_t last = (int32_t)(window->top & 0xffff);
    int32_t now = seq;
    if (!window->any) {
        *index = seq;
        return 1;
    }
    if (last < 32768 && now - last > 32768) {
        if (roc == 0) return 0;
        roc--;
    } else if (last >= 32768 && last - 32768 > now) {
        if (roc == 0xffffffff) return 0;
        roc++;
    }
    *index = roc << 16 | seq;
    return 1;
}

/* --- the ciphers --- */

/* RFC 3711 4.1.1: salt * 2^16 ^ SSRC * 2^64 ^ index * 2^16. RFC 7714 8.1, 9.1: the same fields, two
 * bytes earlier. The 31-bit SRTCP index fits the 48-bit field. */
static void make_iv(const linnet_srtp_t *srtp, const linnet_srtp_session_keys_t *keys,
                    uint32_t ssrc, uint64_t index, uint8_t iv[16]) {
    uint8_t fields[16];
    wire_out_t out = wire_out(fields, sizeof fields);
    wire_put_zero(&out, is_gcm(srtp) ? 2 : 4);
    wire_put_u32(&out, ssrc);
    wire_put_u16(&out, (uint16_t)(index >> 32));
    wire_put_u32(&out, (uint32_t)index);
    wire_put_zero(&out, sizeof fields - out.pos);
    memset(iv, 0, 16);
    memcpy(iv, keys->salt, is_gcm(srtp) ? 12 : 14);
    for (size_t i = 0; i < 16; i++) iv[i] ^= fields[i];
}

/* What AES-CM authenticates behind the packet: the ROC (RTP). Empty with RTCP, whose index is in
 * the packet. */
static void cm_tag(const linnet_srtp_session_keys_t *keys, const uint8_t *packet, size_t len,
                   const uint8_t *roc, size_t roc_len, uint8_t tag[LINNET_SHA1_LEN]) {
    linnet_hmac_sha1_compute(&keys->cipher.cm.hmac, packet, len, roc, roc_len, tag);
}

static void roc_bytes(uint64_t index, uint8_t roc[4]) {
    wire_out_t out = wire_out(roc, 4);
    wire_put_u32(&out, (uint32_t)(index >> 16));
}

/* --- RTP --- */

typedef struct {
    size_t header_len;
    uint32_t ssrc;
    uint16_t seq;
} rtp_view_t;

static int view_rtp(const uint8_t *packet, size_t len, rtp_view_t *view) {
    wire_in_t in = wire_in(packet, len);
    uint8_t first = wire_u8(&in);
    wire_skip(&in, 1);
    view->seq = wire_u16(&in);
    wire_skip(&in, 4); /* timestamp */
    view->ssrc = wire_u32(&in);
    wire_skip(&in, 4 * (size_t)(first & 0x0f));
    if (first & 0x10) {
        wire_skip(&in, 2);
        wire_skip(&in, 4 * (size_t)wire_u16(&in));
    }
    view->header_len = in.pos;
    return wire_ok(&in) && first >> 6 == 2 && len <= PACKET_MAX;
}

static int seal_rtp(linnet_srtp_t *srtp, uint8_t *packet, size_t len, const rtp_view_t *view,
                    uint64_t index) {
    linnet_srtp_session_keys_t *keys = &srtp->rtp;
    uint8_t iv[16], roc[4], tag[LINNET_SHA1_LEN];
    uint8_t *payload = packet + view->header_len;
    size_t payload_len = len - view->header_len;
    make_iv(srtp, keys, view->ssrc, index, iv);
    if (is_gcm(srtp)) {
        if (linnet_gcm_seal(&keys->cipher.gcm, iv, packet, view->header_len, payload, payload_len,
                            packet + len) != 0)
            return LINNET_ERR_CRYPTO;
        return (int)(len + TAG_GCM);
    }
    linnet_aes128_ctr(&keys->cipher.cm.aes, iv, payload, payload_len);
    roc_bytes(index, roc);
    cm_tag(keys, packet, len, roc, sizeof roc, tag);
    memcpy(packet + len, tag, TAG_CM);
    return (int)(len + TAG_CM);
}

static int unseal_rtp(linnet_srtp_t *srtp, uint8_t *packet, size_t len, const rtp_view_t *view,
                      uint64_t index) {
    linnet_srtp_session_keys_t *keys = &srtp->rtp;
    uint8_t iv[16], roc[4], tag[LINNET_SHA1_LEN];
    uint8_t *payload = packet + view->header_len;
    size_t body_len = len - srtp->tag_len;
    size_t payload_len = body_len - view->header_len;
    make_iv(srtp, keys, view->ssrc, index, iv);
    if (is_gcm(srtp))
        return linnet_gcm_open(&keys->cipher.gcm, iv, packet, view->header_len, payload,
                               payload_len, packet + body_len);
    roc_bytes(index, roc);
    cm_tag(keys, packet, body_len, roc, sizeof roc, tag);
    if (!linnet_equal_ct(tag, packet + body_len, TAG_CM)) return LINNET_ERR_AUTH;
    linnet_aes128_ctr(&keys->cipher.cm.aes, iv, payload, payload_len);
    return 0;
}

int linnet_srtp_protect(linnet_srtp_t *srtp, uint8_t *packet, size_t len, size_t cap) {
    rtp_view_t view;
    uint64_t index;
    if (!view_rtp(packet, len, &view)) return LINNET_ERR_ARG;
    if (cap < len || cap - len < srtp->tag_len) return LINNET_ERR_SPACE;
    linnet_srtp_stream_t *stream = find(srtp, view.ssrc);
    if (stream == NULL) stream = claim(srtp, view.ssrc, NULL);
    if (stream == NULL) return LINNET_ERR_LIMIT;
    if (!estimate(&stream->rtp, view.seq, &index))
        return stream->rtp.top == RTP_INDEX_MAX ? LINNET_ERR_LIMIT : LINNET_ERR_STATE;
    if (!is_fresh(&stream->rtp, index)) return LINNET_ERR_STATE;
    int result = seal_rtp(srtp, packet, len, &view, index);
    if (result < 0) return result;
    remember(&stream->rtp, index);
    touch(srtp, stream);
    srtp->rtp_counts.packets++;
    return result;
}

int linnet_srtp_open(linnet_srtp_t *srtp, uint8_t *packet, size_t len) {
    rtp_view_t view;
    uint64_t index = 0;
    if (!view_rtp(packet, len, &view) || len - view.header_len < srtp->tag_len) {
        srtp->rtp_counts.malformed++;
        return LINNET_ERR_PACKET;
    }
    linnet_srtp_stream_t *stream = find(srtp, view.ssrc);
    if (stream == NULL) {
        index = view.seq;
    } else if (!estimate(&stream->rtp, view.seq, &index) || !is_fresh(&stream->rtp, index)) {
        srtp->rtp_counts.replayed++; /* RFC 3711 3.3.2: before the tag is computed; cheap against a
                                        flood of repeats */
        return LINNET_ERR_AUTH;
    }
    if (unseal_rtp(srtp, packet, len, &view, index) != 0) {
        srtp->rtp_counts.unauthentic++;
        return LINNET_ERR_AUTH;
    }
    if (stream == NULL) stream = claim(srtp, view.ssrc, &srtp->rtp_counts);
    remember(&stream->rtp, index);
    touch(srtp, stream);
    srtp->rtp_counts.packets++;
    return (int)(len - srtp->tag_len);
}

/* --- RTCP, RFC 3711 3.4, RFC 7714 9 --- */

static int view_rtcp(const uint8_t *packet, size_t len, uint32_t *ssrc) {
    wire_in_t in = wire_in(packet, len);
    uint8_t first = wire_u8(&in);
    wire_skip(&in, 3);
    *ssrc = wire_u32(&in);
    return wire_ok(&in) && first >> 6 == 2 && len <= PACKET_MAX;
}

/* RFC 7714 9.2: the readable header and the word with the E flag. */
static void rtcp_aad(const uint8_t *packet, uint32_t word, uint8_t aad[RTCP_HEADER + INDEX_WORD]) {
    wire_out_t out = wire_out(aad, RTCP_HEADER + INDEX_WORD);
    wire_put(&out, packet, RTCP_HEADER);
    wire_put_u32(&out, word);
}

/* cap has been checked: everything fits. */
static int seal_rtcp(const linnet_srtp_t *srtp, linnet_srtp_session_keys_t *keys, uint8_t *packet,
                     size_t len, uint32_t ssrc, uint32_t index) {
    uint8_t iv[16], aad[RTCP_HEADER + INDEX_WORD], tag[LINNET_SHA1_LEN];
    uint8_t *payload = packet + RTCP_HEADER;
    size_t payload_len = len - RTCP_HEADER;
    wire_out_t tail = wire_out(packet + len, INDEX_WORD + (size_t)srtp->tag_len);
    make_iv(srtp, keys, ssrc, index, iv);
    if (is_gcm(srtp)) {
        rtcp_aad(packet, index | E_FLAG, aad);
        uint8_t *tag_at = wire_reserve(&tail, TAG_GCM);
        if (linnet_gcm_seal(&keys->cipher.gcm, iv, aad, sizeof aad, payload, payload_len, tag_at) !=
            0)
            return LINNET_ERR_CRYPTO;
        wire_put_u32(&tail, index | E_FLAG);
    } else {
        linnet_aes128_ctr(&keys->cipher.cm.aes, iv, payload, payload_len);
        wire_put_u32(&tail, index | E_FLAG);
        cm_tag(keys, packet, len + INDEX_WORD, NULL, 0, tag);
        wire_put(&tail, tag, TAG_CM);
    }
    return (int)(len + tail.pos);
}

static int unseal_rtcp(const linnet_srtp_t *srtp, linnet_srtp_session_keys_t *keys, uint8_t *packet,
                       size_t body_len, uint32_t ssrc, uint32_t word) {
    uint8_t iv[16], aad[RTCP_HEADER + INDEX_WORD], tag[LINNET_SHA1_LEN];
    uint8_t *payload = packet + RTCP_HEADER;
    size_t payload_len = body_len - RTCP_HEADER;
    make_iv(srtp, keys, ssrc, word & ~E_FLAG, iv);
    if (is_gcm(srtp)) {
        rtcp_aad(packet, word, aad);
        return linnet_gcm_open(&keys->cipher.gcm, iv, aad, sizeof aad, payload, payload_len,
                               packet + body_len);
    }
    cm_tag(keys, packet, body_len + INDEX_WORD, NULL, 0, tag);
    if (!linnet_equal_ct(tag, packet + body_len + INDEX_WORD, TAG_CM)) return LINNET_ERR_AUTH;
    linnet_aes128_ctr(&keys->cipher.cm.aes, iv, payload, payload_len);
    return 0;
}

int linnet_srtcp_protect(linnet_srtp_t *srtp, uint8_t *packet, size_t len, size_t cap) {
    uint32_t ssrc;
    if (!view_rtcp(packet, len, &ssrc)) return LINNET_ERR_ARG;
    if (cap < len || cap - len < INDEX_WORD + (size_t)srtp->tag_len) return LINNET_ERR_SPACE;
    linnet_srtp_stream_t *stream = find(srtp, ssrc);
    if (stream == NULL) stream = claim(srtp, ssrc, NULL);
    if (stream == NULL || stream->rtcp.top >= RTCP_INDEX_MAX) return LINNET_ERR_LIMIT;
    uint32_t index = (uint32_t)stream->rtcp.top + 1; /* the first is 1, as with libsrtp and pion */
    linnet_srtp_session_keys_t keys;
    int result = start_ciphers(srtp, &keys, &srtp->rtcp);
    if (result == 0) result = seal_rtcp(srtp, &keys, packet, len, ssrc, index);
    linnet_wipe(&keys, sizeof keys);
    if (result < 0) return result;
    remember(&stream->rtcp, index);
    touch(srtp, stream);
    srtp->rtcp_counts.packets++;
    return result;
}

int linnet_srtcp_open(linnet_srtp_t *srtp, uint8_t *packet, size_t len) {
    uint32_t ssrc;
    size_t extra = INDEX_WORD + (size_t)srtp->tag_len;
    if (len < RTCP_HEADER + extra || !view_rtcp(packet, len, &ssrc)) {
        srtp->rtcp_counts.malformed++;
        return LINNET_ERR_PACKET;
    }
    size_t body_len = len - extra;
    wire_in_t in = wire_in(packet, len);
    wire_skip(&in, is_gcm(srtp) ? len - INDEX_WORD : body_len);
    uint32_t word = wire_u32(&in);
    if (!(word & E_FLAG)) {
        srtp->rtcp_counts.unencrypted++;
        return LINNET_ERR_PACKET;
    }
    linnet_srtp_stream_t *stream = find(srtp, ssrc);
    if (stream != NULL && !is_fresh(&stream->rtcp, word & ~E_FLAG)) {
        srtp->rtcp_counts.replayed++;
        return LINNET_ERR_AUTH;
    }
    linnet_srtp_session_keys_t keys;
    int result = start_ciphers(srtp, &keys, &srtp->rtcp);
    if (result == 0) result = unseal_rtcp(srtp, &keys, packet, body_len, ssrc, word);
    linnet_wipe(&keys, sizeof keys);
    if (result != 0) {
        srtp->rtcp_counts.unauthentic++;
        return LINNET_ERR_AUTH;
    }
    if (stream == NULL) stream = claim(srtp, ssrc, &srtp->rtcp_counts);
    remember(&stream->rtcp, word & ~E_FLAG);
    touch(srtp, stream);
    srtp->rtcp_counts.packets++;
    return (int)body_len;
}
