/* DTLS 1.2 over Mbed TLS 3.6; dtls.h has the contract.
 *
 * The library sees one datagram at a time (in_data) and puts its own into a ring. It knows no
 * clock: retransmission timing is ours. Its own timers are told that nothing ever expires but when
 * get_timer says so, because they would give up after the longest timer once and cut flights into
 * 508-byte datagrams after the second (RFC 6347 4.1.1.1 allows, a lossy link punishes). Every call
 * into the library runs between enter() and leave(), which select our arena. What the library would
 * believe without authentication is filtered in admit(). */
#include "dtls.h"

#include "crypto_arena.h"
#include "dtls_hello.h"
#include "mbedtls/platform_util.h"
#include "mbedtls/ssl.h"

enum {
    ARENA_KEEP = 256, /* for what an established connection might still ask for */
    PROFILES_MAX = 2,
    KEY_MATERIAL = 2 * (16 + 14), /* RFC 5764 4.2 with the longer of the two profiles */
    MTU = LINNET_MTU,
    QUEUE = LINNET_DTLS_QUEUE,
    STEPS_MAX = 16 /* library calls for one datagram; each consumes a record, so this only guards
                      against its bugs */
};

typedef struct {
    uint16_t len;
    uint8_t data[LINNET_MTU];
} slot_t;

typedef struct {
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config conf;
    mbedtls_x509_crt crt;
    mbedtls_pk_context key;
    linnet_arena_t arena;
    linnet_rng_t *rng;
    linnet_dtls_counts_t counts;
    uint8_t peer_fingerprint[LINNET_SHA256_LEN];
    uint8_t material[KEY_MATERIAL];
    uint16_t profiles[PROFILES_MAX + 1];   /* ours, best first, 0-terminated */
    uint16_t negotiable[PROFILES_MAX + 1]; /* what the library may agree to */
    uint8_t role, state;
    uint8_t fingerprint_ok, have_material;
    uint8_t flight_sent; /* a handshake message of ours has left: the peer may rely on it */
    uint8_t blocked;     /* the ring was full in the middle of a flight */
    uint8_t timer_fired; /* get_timer will say so once */
    uint8_t setup_done;
    int error, alert;
    int top_message_seq; /* of our handshake messages: a higher one begins a new flight */
    uint64_t first_backoff_us, backoff_us, retransmit_at, give_up_at;
    const uint8_t *in_data; /* one datagram, during linnet_dtls_input only */
    size_t in_len;
    uint32_t ring_first, ring_count;
    slot_t ring[QUEUE];
    uint64_t arena_mem[LINNET_TLS_ARENA / 8]; /* last: see linnet_dtls_give_back */
} dtls_t;
_Static_assert(sizeof(dtls_t) <= sizeof(linnet_dtls_t),
               "LINNET_DTLS_CONTEXT is too small for this backend");
_Static_assert(MBEDTLS_SSL_IN_CONTENT_LEN >= LINNET_DATAGRAM_MAX,
               "a datagram must fit into the library's buffer");

static const int suites[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, 0};
static const uint16_t groups[] = {MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
                                  MBEDTLS_SSL_IANA_TLS_GROUP_NONE};
static const uint16_t signatures[] = {MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256,
                                      MBEDTLS_TLS1_3_SIG_NONE};

static dtls_t *of(linnet_dtls_t *dtls) {
    return (dtls_t *)(void *)dtls;
}

static const dtls_t *of_const(const linnet_dtls_t *dtls) {
    return (const dtls_t *)(const void *)dtls;
}

/* --- what the library calls --- */

static int fill_random(void *rng, unsigned char *out, size_t len) {
    linnet_random(rng, out, len);
    return 0;
}

/* RFC 8827 6.5: the one check of the peer's identity. Issuer, name and dates of a self-signed
 * certificate mean nothing. */
static int on_certificate(void *context, mbedtls_x509_crt *crt, int depth, uint32_t *flags) {
    dtls_t *d = context;
    uint8_t fingerprint[LINNET_SHA256_LEN];
    *flags = 0;
    if (depth != 0) return 0;
    linnet_sha256(crt->raw.p, crt->raw.len, fingerprint);
    d->fingerprint_ok =
        (uint8_t)linnet_equal_ct(fingerprint, d->peer_fingerprint, sizeof fingerprint);
    if (!d->fingerprint_ok) {
        d->error = LINNET_ERR_AUTH;
        *flags = MBEDTLS_X509_BADCERT_NOT_TRUSTED;
    }
    return 0;
}

/* RFC 5764 4.2. Not mbedtls_ssl_export_keying_material: in 3.6 it dereferences NULL on the side
 * that sent the last flight. The material stays here until CONNECTED. */
static void on_keys(void *context, mbedtls_ssl_key_export_type type, const unsigned char *secret,
                    size_t secret_len, const unsigned char client_random[32],
                    const unsigned char server_random[32], mbedtls_tls_prf_types prf) {
    dtls_t *d = context;
    uint8_t seed[64];
    if (type != MBEDTLS_SSL_KEY_EXPORT_TLS12_MASTER_SECRET) return;
    memcpy(seed, client_random, 32);
    memcpy(seed + 32, server_random, 32);
    d->have_material = mbedtls_ssl_tls_prf(prf, secret, secret_len, "EXTRACTOR-dtls_srtp", seed,
                                           sizeof seed, d->material, sizeof d->material) == 0;
}

static void set_timer(void *context, uint32_t intermediate_ms, uint32_t final_ms) {
    (void)context, (void)intermediate_ms, (void)final_ms; /* see the head of this file */
}

static int get_timer(void *context) {
    dtls_t *d = context;
    if (!d->timer_fired) return -1;
    d->timer_fired = 0;
    return 2;
}

/* Which of our messages is it, and does it begin a new flight? Encrypted ones (Finished) do not. */
static void note_sent(dtls_t *d, const uint8_t *data, size_t len) {
    wire_in_t in = wire_in(data, len);
    dtls_record_t record;
    while (linnet_dtls_record_next(&in, &record) == 1) {
        if (record.type == DTLS_RECORD_ALERT && record.body.len == 2)
            d->alert = record.body.data[1];
        if (record.type != DTLS_RECORD_HANDSHAKE) continue;
        d->flight_sent = 1;
        if (record.epoch != 0) continue;
        wire_in_t message = wire_in(record.body.data, record.body.len);
        wire_skip(&message, 4);
        int seq = wire_u16(&message);
        if (seq <= d->top_message_seq) continue;
        d->top_message_seq = seq;
        d->backoff_us = d->first_backoff_us;
    }
}

static int on_send(void *context, const unsigned char *data, size_t len) {
    dtls_t *d = context;
    if (len > MTU) return MBEDTLS_ERR_SSL_INTERNAL_ERROR; /* mbedtls_ssl_set_mtu holds */
    if (d->ring_count == QUEUE) {
        d->blocked = 1;
        return MBEDTLS_ERR_SSL_WANT_WRITE;
    }
    slot_t *slot = &d->ring[(d->ring_first + d->ring_count++) % QUEUE];
    slot->len = (uint16_t)len;
    memcpy(slot->data, data, len);
    note_sent(d, data, len);
    return (int)len;
}

/* A server that has answered nothing yet. The library ends itself at any record but a ClientHello
 * then, even at one that the network repeated. */
static int awaits_hello(const dtls_t *d) {
    return d->role == LINNET_DTLS_SERVER && !d->flight_sent;
}

/* Copies to `out` the records of the datagram that the library may see; the others are counted. */
static size_t admit(dtls_t *d, wire_out_t *out) {
    wire_in_t in = wire_in(d->in_data, d->in_len);
    dtls_record_t record;
    int more;
    while ((more = linnet_dtls_record_next(&in, &record)) == 1) {
        if (record.epoch > 1) {
            d->counts.wrong_epoch++; /* no renegotiation: epoch 0 before the keys, 1 after */
        } else if (record.epoch == 0 && d->state == LINNET_DTLS_CONNECTED) {
            /* The peer repeats a flight whose end we have. Its Finished, in epoch 1, makes us
             * repeat ours. */
            d->counts.wrong_epoch++;
        } else if (record.epoch == 0 && record.type == DTLS_RECORD_ALERT) {
            d->counts.alert_ignored++; /* RFC 6347 4.1.2.7: anyone could have sent it */
            if (record.body.len == 2) d->alert = record.body.data[1];
        } else if (record.epoch == 0 && record.type == DTLS_RECORD_DATA) {
            d->counts.record_rejected++;
        } else if (awaits_hello(d) && (record.epoch != 0 || record.type != DTLS_RECORD_HANDSHAKE)) {
            d->counts.record_rejected++;
        } else {
            wire_put(out, record.whole.data, record.whole.len);
        }
    }
    if (more < 0) d->counts.bad_datagram++; /* the tail; what stood before it was good */
    return wire_out_ok(out) ? out->pos : 0;
}

static int on_receive(void *context, unsigned char *buf, size_t cap) {
    dtls_t *d = context;
    if (d->in_data == NULL) return MBEDTLS_ERR_SSL_WANT_READ;
    wire_out_t out = wire_out(buf, cap);
    size_t len = admit(d, &out);
    d->in_data = NULL;
    return len == 0 ? MBEDTLS_ERR_SSL_WANT_READ : (int)len;
}

/* --- set up --- */

static int configure(dtls_t *d) {
    mbedtls_ssl_config *conf = &d->conf;
    int endpoint = d->role == LINNET_DTLS_SERVER ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT;
    if (mbedtls_ssl_config_defaults(conf, endpoint, MBEDTLS_SSL_TRANSPORT_DATAGRAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0)
        return LINNET_ERR_CRYPTO;
    mbedtls_ssl_conf_min_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_max_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_ciphersuites(conf, suites);
    mbedtls_ssl_conf_groups(conf, groups);
    mbedtls_ssl_conf_sig_algs(conf, signatures);
    mbedtls_ssl_conf_extended_master_secret(conf, MBEDTLS_SSL_EXTENDED_MS_ENABLED);
    mbedtls_ssl_conf_rng(conf, fill_random, d->rng);
    /* See awaits_hello; the reassembly of a ClientHello knows its fragments by their offset. */
    mbedtls_ssl_conf_dtls_anti_replay(conf, d->role == LINNET_DTLS_SERVER
                                                ? MBEDTLS_SSL_ANTI_REPLAY_DISABLED
                                                : MBEDTLS_SSL_ANTI_REPLAY_ENABLED);
#ifdef MBEDTLS_SSL_DTLS_HELLO_VERIFY
    /* A shared library may have it. ICE has shown that the peer is where it says it is. */
    mbedtls_ssl_conf_dtls_cookies(conf, NULL, NULL, NULL);
#endif
    /* 0 doubles to 0: see the head of this file. */
    mbedtls_ssl_conf_handshake_timeout(conf, 0, UINT32_MAX);
    /* A certificate is demanded in both roles. The library wants a trust anchor for that;
     * on_certificate decides. */
    mbedtls_ssl_conf_authmode(conf, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(conf, &d->crt, NULL);
    mbedtls_ssl_conf_cert_req_ca_list(conf, MBEDTLS_SSL_CERT_REQ_CA_LIST_DISABLED);
    mbedtls_ssl_conf_verify(conf, on_certificate, d);
    if (mbedtls_ssl_conf_own_cert(conf, &d->crt, &d->key) != 0) return LINNET_ERR_CRYPTO;
    if (mbedtls_ssl_setup(&d->ssl, conf) != 0) return LINNET_ERR_CRYPTO;
    /* There is no name to check; the library wants that said aloud. */
    if (mbedtls_ssl_set_hostname(&d->ssl, NULL) != 0) return LINNET_ERR_CRYPTO;
    mbedtls_ssl_set_mtu(&d->ssl, MTU);
    mbedtls_ssl_set_bio(&d->ssl, d, on_send, on_receive, NULL);
    mbedtls_ssl_set_timer_cb(&d->ssl, d, set_timer, get_timer);
    mbedtls_ssl_set_export_keys_cb(&d->ssl, on_keys, d);
    return 0;
}

static int load_identity(dtls_t *d, const linnet_identity_t *identity) {
    /* Not copied: the identity outlives the connection. */
    if (mbedtls_x509_crt_parse_der_nocopy(&d->crt, identity->cert, identity->cert_len) != 0)
        return LINNET_ERR_CRYPTO;
    if (mbedtls_pk_setup(&d->key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)) != 0)
        return LINNET_ERR_CRYPTO;
    if (mbedtls_ecp_read_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(d->key), identity->key,
                             sizeof identity->key) != 0)
        return LINNET_ERR_CRYPTO;
    return 0;
}

/* What the library may negotiate. A library that does not know profile 7 (mbedtls_srtp.h) gets the
 * list without it. */
static int use_profiles(dtls_t *d, const uint16_t *profiles) {
    memcpy(d->negotiable, profiles, sizeof d->negotiable);
    if (mbedtls_ssl_conf_dtls_srtp_protection_profiles(&d->conf, d->negotiable) == 0) return 0;
    d->negotiable[0] = LINNET_SRTP_AES128_CM_SHA1_80;
    d->negotiable[1] = 0;
    return mbedtls_ssl_conf_dtls_srtp_protection_profiles(&d->conf, d->negotiable) == 0
               ? 0
               : LINNET_ERR_CRYPTO;
}

size_t linnet_dtls_size(void) {
    return sizeof(dtls_t);
}

int linnet_dtls_init(linnet_dtls_t *dtls, linnet_rng_t *rng, const linnet_identity_t *identity,
                     int role, const uint8_t peer_fingerprint[32]) {
    static const uint16_t defaults[] = {LINNET_SRTP_AES128_CM_SHA1_80, LINNET_SRTP_AEAD_AES_128_GCM,
                                        0};
    dtls_t *d = of(dtls);
    if (dtls == NULL || rng == NULL || identity == NULL || peer_fingerprint == NULL)
        return LINNET_ERR_ARG;
    if (role != LINNET_DTLS_CLIENT && role != LINNET_DTLS_SERVER) return LINNET_ERR_ARG;
    if (identity->cert_len == 0 || identity->cert_len > sizeof identity->cert)
        return LINNET_ERR_ARG;
    memset(d, 0, sizeof *d);
    d->rng = rng;
    d->role = (uint8_t)role;
    d->alert = -1;
    d->top_message_seq = -1;
    d->first_backoff_us = LINNET_DTLS_RETRANSMIT_MS * 1000u;
    d->retransmit_at = d->give_up_at = UINT64_MAX;
    memcpy(d->peer_fingerprint, peer_fingerprint, sizeof d->peer_fingerprint);
    memcpy(d->profiles, defaults, sizeof d->profiles);
    if (linnet_arena_init(&d->arena, d->arena_mem, sizeof d->arena_mem) != 0) return LINNET_ERR_ARG;
    mbedtls_ssl_init(&d->ssl);
    mbedtls_ssl_config_init(&d->conf);
    mbedtls_x509_crt_init(&d->crt);
    mbedtls_pk_init(&d->key);
    linnet_arena_t *previous = linnet_arena_enter(&d->arena);
    int result = load_identity(d, identity);
    if (result == 0) result = configure(d);
    if (result == 0) result = use_profiles(d, d->profiles);
    linnet_arena_leave(previous);
    if (result != 0) linnet_dtls_wipe(dtls);
    d->setup_done = result == 0;
    return result;
}

int linnet_dtls_set_profiles(linnet_dtls_t *dtls, const uint16_t *profiles, size_t n) {
    dtls_t *d = of(dtls);
    if (n == 0 || n > PROFILES_MAX) return LINNET_ERR_ARG;
    for (size_t i = 0; i < n; i++)
        if (profiles[i] != LINNET_SRTP_AES128_CM_SHA1_80 &&
            profiles[i] != LINNET_SRTP_AEAD_AES_128_GCM)
            return LINNET_ERR_ARG;
    if (!d->setup_done || d->state != LINNET_DTLS_NEW) return LINNET_ERR_STATE;
    memset(d->profiles, 0, sizeof d->profiles);
    memcpy(d->profiles, profiles, n * sizeof profiles[0]);
    return use_profiles(d, d->profiles);
}

void linnet_dtls_set_rtt(linnet_dtls_t *dtls, uint32_t rtt_us) {
    uint64_t wait = (uint64_t)rtt_us * 3 / 2 + 30000;
    if (wait < LINNET_DTLS_RETRANSMIT_MIN_MS * 1000u) wait = LINNET_DTLS_RETRANSMIT_MIN_MS * 1000u;
    if (wait > LINNET_DTLS_RETRANSMIT_MAX_MS * 1000u) wait = LINNET_DTLS_RETRANSMIT_MAX_MS * 1000u;
    of(dtls)->first_backoff_us = wait;
}

/* --- the handshake --- */

static void fail(dtls_t *d, int error) {
    if (d->error == 0) d->error = error;
    d->state = LINNET_DTLS_FAILED;
    d->retransmit_at = d->give_up_at = UINT64_MAX;
    linnet_wipe(d->material, sizeof d->material);
    d->have_material = 0;
}

/* A fatal alert under the connection's keys: admit() lets no other through. */
static void refused(dtls_t *d) {
    d->alert = d->ssl.MBEDTLS_PRIVATE(in_msg)[1];
    fail(d, LINNET_ERR_CLOSED);
}

static void connected(dtls_t *d) {
    d->retransmit_at = d->give_up_at = UINT64_MAX;
    if (!d->fingerprint_ok || !d->have_material) {
        fail(d, d->fingerprint_ok ? LINNET_ERR_CRYPTO : LINNET_ERR_AUTH);
        return;
    }
    d->state = LINNET_DTLS_CONNECTED;
}

/* A ClientHello that made no sense, before we answered any: forget it, or one forged packet would
 * end the session. */
static void forget_hello(dtls_t *d) {
    d->counts.hello_rejected++;
    if (mbedtls_ssl_session_reset(&d->ssl) != 0) fail(d, LINNET_ERR_CRYPTO);
}

/* One attempt to get on with the handshake, with or without a datagram. */
static void advance(dtls_t *d, uint64_t now_us) {
    uint32_t queued = d->ring_count;
    d->blocked = 0;
    int result = mbedtls_ssl_handshake(&d->ssl);
    if (!awaits_hello(d))
        mbedtls_ssl_conf_dtls_anti_replay(&d->conf, MBEDTLS_SSL_ANTI_REPLAY_ENABLED);
    if (result == 0) {
        connected(d);
    } else if (result == MBEDTLS_ERR_SSL_WANT_READ || result == MBEDTLS_ERR_SSL_WANT_WRITE) {
        if (d->ring_count != queued) d->retransmit_at = now_us + d->backoff_us;
    } else if (awaits_hello(d) && d->arena.failures == 0) {
        forget_hello(d);
    } else if (result == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
        refused(d);
    } else {
        fail(d, LINNET_ERR_CRYPTO);
    }
}

static void begin(dtls_t *d, uint64_t now_us) {
    d->state = LINNET_DTLS_HANDSHAKE;
    d->give_up_at = now_us + LINNET_DTLS_HANDSHAKE_MS * 1000ull;
    d->backoff_us = d->first_backoff_us;
}

int linnet_dtls_start(linnet_dtls_t *dtls, uint64_t now_us) {
    dtls_t *d = of(dtls);
    if (!d->setup_done) return LINNET_ERR_STATE;
    if (d->role == LINNET_DTLS_SERVER && d->state == LINNET_DTLS_HANDSHAKE)
        return 0; /* the client was faster */
    if (d->state != LINNET_DTLS_NEW) return LINNET_ERR_STATE;
    begin(d, now_us);
    if (d->role == LINNET_DTLS_SERVER) return 0;
    linnet_arena_t *previous = linnet_arena_enter(&d->arena);
    advance(d, now_us);
    linnet_arena_leave(previous);
    return d->state == LINNET_DTLS_FAILED ? d->error : 0;
}

/* Ours first, not the client's order (dtls_hello.h). */
static void choose_profile(dtls_t *d, const uint8_t *data, size_t len) {
    uint16_t only[PROFILES_MAX + 1] = {0};
    only[0] = linnet_dtls_hello_profile(data, len, d->profiles, PROFILES_MAX);
    (void)use_profiles(d, only[0] != 0 ? only : d->profiles);
}

/* --- established --- */

static void on_record_error(dtls_t *d, int result) {
    if (result == MBEDTLS_ERR_SSL_WANT_READ || result == MBEDTLS_ERR_SSL_WANT_WRITE) return;
    if (result == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
        d->alert = MBEDTLS_SSL_ALERT_MSG_CLOSE_NOTIFY;
        d->state = LINNET_DTLS_CLOSED;
    } else if (result == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
        refused(d);
    } else {
        /* An authenticated peer broke the protocol, or the arena is full. */
        fail(d, LINNET_ERR_CRYPTO);
    }
}

/* Decrypts until an application record waits in the library's buffer or there is nothing left to
 * decrypt. */
static void fetch_record(dtls_t *d) {
    for (int i = 0; i < STEPS_MAX && mbedtls_ssl_get_bytes_avail(&d->ssl) == 0; i++) {
        int result = mbedtls_ssl_read(&d->ssl, NULL, 0); /* 0 bytes: decrypts, consumes nothing */
        if (result == 0) continue;
        on_record_error(d, result);
        return;
    }
}

static int input_record(dtls_t *d) {
    if (mbedtls_ssl_get_bytes_avail(&d->ssl) != 0) return LINNET_ERR_AGAIN;
    uint32_t queued = d->ring_count;
    fetch_record(d);
    if (d->in_data != NULL)
        return LINNET_ERR_AGAIN; /* a record of the datagram before came first */
    if (d->state == LINNET_DTLS_CONNECTED && mbedtls_ssl_get_bytes_avail(&d->ssl) == 0 &&
        d->ring_count == queued)
        d->counts.record_rejected++; /* neither data nor a repeated flight that we answered */
    return 0;
}

/* --- in and out --- */

static int input(dtls_t *d, uint64_t now_us, const uint8_t *data, size_t len) {
    int result = 0;
    d->in_data = data;
    d->in_len = len;
    if (d->state == LINNET_DTLS_CONNECTED) {
        result = input_record(d);
    } else {
        if (awaits_hello(d)) choose_profile(d, data, len);
        advance(d, now_us);
    }
    d->in_data = NULL;
    return result;
}

int linnet_dtls_input(linnet_dtls_t *dtls, uint64_t now_us, const uint8_t *data, size_t len) {
    dtls_t *d = of(dtls);
    if (!d->setup_done) return LINNET_ERR_STATE;
    if (d->state == LINNET_DTLS_FAILED || d->state == LINNET_DTLS_CLOSED) return LINNET_ERR_CLOSED;
    if (data == NULL || len < DTLS_RECORD_HEADER || len > LINNET_DATAGRAM_MAX) {
        d->counts.bad_datagram++;
        return LINNET_ERR_PACKET;
    }
    if (d->state == LINNET_DTLS_NEW) {
        if (d->role == LINNET_DTLS_CLIENT) {
            d->counts.not_started++;
            return LINNET_ERR_STATE;
        }
        begin(d, now_us);
    }
    uint32_t bad = d->counts.bad_datagram;
    linnet_arena_t *previous = linnet_arena_enter(&d->arena);
    int result = input(d, now_us, data, len);
    linnet_arena_leave(previous);
    if (result == 0) d->counts.datagrams_in++;
    return result == 0 && d->counts.bad_datagram != bad ? LINNET_ERR_PACKET : result;
}

/* RFC 6347 4.2.4: the flight again, then twice as long a wait. */
static void retransmit(dtls_t *d, uint64_t now_us) {
    uint64_t doubled = 2 * d->backoff_us;
    uint64_t most = LINNET_DTLS_RETRANSMIT_MAX_MS * 1000ull;
    d->backoff_us = doubled < most ? doubled : most;
    d->retransmit_at = now_us + d->backoff_us;
    d->timer_fired = 1;
    d->counts.retransmissions++;
    advance(d, now_us);
    d->timer_fired = 0;
}

static void run_timers(dtls_t *d, uint64_t now_us) {
    if (now_us >= d->give_up_at) {
        fail(d, LINNET_ERR_LIMIT);
        return;
    }
    linnet_arena_t *previous = linnet_arena_enter(&d->arena);
    if (d->blocked && d->ring_count < QUEUE) {
        advance(d, now_us);
    } else if (d->ring_count == 0 && now_us >= d->retransmit_at) {
        retransmit(d, now_us);
    }
    linnet_arena_leave(previous);
}

int linnet_dtls_poll(linnet_dtls_t *dtls, uint64_t now_us, uint8_t *buf, size_t cap) {
    dtls_t *d = of(dtls);
    if (!d->setup_done) return LINNET_ERR_STATE;
    if (cap < MTU) return LINNET_ERR_SPACE;
    if (d->state == LINNET_DTLS_HANDSHAKE) run_timers(d, now_us);
    if (d->ring_count == 0) return 0;
    slot_t *slot = &d->ring[d->ring_first];
    d->ring_first = (d->ring_first + 1) % QUEUE;
    d->ring_count--;
    d->counts.datagrams_out++;
    memcpy(buf, slot->data, slot->len);
    return slot->len;
}

uint64_t linnet_dtls_deadline(const linnet_dtls_t *dtls) {
    const dtls_t *d = of_const(dtls);
    if (d->ring_count != 0) return 0;
    return d->retransmit_at < d->give_up_at ? d->retransmit_at : d->give_up_at;
}

int linnet_dtls_write(linnet_dtls_t *dtls, const uint8_t *data, size_t len) {
    dtls_t *d = of(dtls);
    if (d->state == LINNET_DTLS_FAILED || d->state == LINNET_DTLS_CLOSED) return LINNET_ERR_CLOSED;
    if (d->state != LINNET_DTLS_CONNECTED) return LINNET_ERR_STATE;
    if (data == NULL || len == 0) return LINNET_ERR_ARG;
    if (len > LINNET_DTLS_WRITE_MAX) return LINNET_ERR_LIMIT;
    if (d->ring_count == QUEUE) return LINNET_ERR_AGAIN;
    linnet_arena_t *previous = linnet_arena_enter(&d->arena);
    int result = mbedtls_ssl_write(&d->ssl, data, len);
    linnet_arena_leave(previous);
    if (result == MBEDTLS_ERR_SSL_WANT_WRITE)
        return LINNET_ERR_AGAIN; /* an older flight took the last place */
    if (result != (int)len) return LINNET_ERR_CRYPTO;
    d->counts.records_out++;
    return 0;
}

int linnet_dtls_read(linnet_dtls_t *dtls, uint8_t *buf, size_t cap) {
    dtls_t *d = of(dtls);
    if (d->state != LINNET_DTLS_CONNECTED) return 0;
    linnet_arena_t *previous = linnet_arena_enter(&d->arena);
    fetch_record(d);
    size_t len = mbedtls_ssl_get_bytes_avail(&d->ssl);
    int result = 0;
    if (len > cap) {
        result = LINNET_ERR_SPACE;
    } else if (len != 0) {
        result = mbedtls_ssl_read(&d->ssl, buf, len);
        d->counts.records_in++;
    }
    linnet_arena_leave(previous);
    return result == LINNET_ERR_SPACE || result >= 0 ? result : LINNET_ERR_CRYPTO;
}

/* --- results --- */

int linnet_dtls_state(const linnet_dtls_t *dtls) {
    return of_const(dtls)->state;
}

int linnet_dtls_error(const linnet_dtls_t *dtls) {
    return of_const(dtls)->error;
}

int linnet_dtls_alert(const linnet_dtls_t *dtls) {
    return of_const(dtls)->alert;
}

/* RFC 5764 4.2: client key, server key, client salt, server salt, as long as the profile has them. */
int linnet_dtls_srtp_keys(const linnet_dtls_t *dtls, linnet_srtp_keys_t *keys) {
    const dtls_t *d = of_const(dtls);
    mbedtls_dtls_srtp_info info;
    if (d->state != LINNET_DTLS_CONNECTED || !d->fingerprint_ok || !d->have_material)
        return LINNET_ERR_STATE;
    mbedtls_ssl_get_dtls_srtp_negotiation_result(&d->ssl, &info);
    uint16_t profile = info.MBEDTLS_PRIVATE(chosen_dtls_srtp_profile);
    if (profile != d->profiles[0] && (d->profiles[1] == 0 || profile != d->profiles[1]))
        return LINNET_ERR_AUTH;
    size_t salt_len = profile == LINNET_SRTP_AEAD_AES_128_GCM ? 12 : 14;
    memset(keys, 0, sizeof *keys);
    keys->profile = profile;
    wire_in_t in = wire_in(d->material, sizeof d->material);
    wire_copy(&in, keys->client_key, sizeof keys->client_key);
    wire_copy(&in, keys->server_key, sizeof keys->server_key);
    wire_copy(&in, keys->client_salt, salt_len);
    wire_copy(&in, keys->server_salt, salt_len);
    return 0;
}

void linnet_dtls_close(linnet_dtls_t *dtls) {
    dtls_t *d = of(dtls);
    if (d->state == LINNET_DTLS_FAILED || d->state == LINNET_DTLS_CLOSED) return;
    if (d->state == LINNET_DTLS_CONNECTED) {
        linnet_arena_t *previous = linnet_arena_enter(&d->arena);
        (void)mbedtls_ssl_close_notify(&d->ssl); /* lost when the ring is full, as on the way */
        linnet_arena_leave(previous);
    }
    d->state = LINNET_DTLS_CLOSED;
    d->retransmit_at = d->give_up_at = UINT64_MAX;
}

void linnet_dtls_wipe(linnet_dtls_t *dtls) {
    linnet_wipe(dtls, sizeof(dtls_t)); /* the arena is inside, so nothing has to be freed */
}

void linnet_dtls_counts(const linnet_dtls_t *dtls, linnet_dtls_counts_t *counts) {
    *counts = of_const(dtls)->counts;
}

size_t linnet_dtls_give_back(linnet_dtls_t *dtls, uint8_t **mem) {
    dtls_t *d = of(dtls);
    *mem = NULL;
    if (d->state != LINNET_DTLS_CONNECTED) return 0;
    *mem = (uint8_t *)d->arena_mem + linnet_arena_trim(&d->arena, ARENA_KEEP);
    return sizeof d->arena_mem - (size_t)(*mem - (uint8_t *)d->arena_mem);
}

size_t linnet_dtls_arena_peak(const linnet_dtls_t *dtls) {
    return of_const(dtls)->arena.peak;
}
