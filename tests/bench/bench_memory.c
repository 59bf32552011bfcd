/* Bytes of session memory by region, for bench_memory.py.
 *
 *     bench_memory NAME WORD,WORD,... [NAME WORDS ...]     the words of linnet.h's cfg; one JSON object a line */
#include "codec.h"
#include "linnet.h"
#include "session.h"
#include <stdio.h>
#include <stdlib.h>

enum { WORDS = 11 };

size_t linnet_session_send_mem(const session_config_t *config);
size_t linnet_session_recv_mem(const session_config_t *config);

static void read_words(const char *text, uint32_t word[WORDS], uint8_t cfg[4 * WORDS]) {
    int i, k;
    for (i = 0; i < WORDS; i++) {
        char *end;
        word[i] = (uint32_t)strtoul(text, &end, 10);
        text = *end == ',' ? end + 1 : end;
        for (k = 0; k < 4; k++) cfg[4 * i + k] = (uint8_t)(word[i] >> 8 * k);
    }
}

/* The public function's answer, and the parts by the functions that it adds up. */
static void one(const char *name, const char *words) {
    uint32_t word[WORDS];
    uint8_t cfg[4 * WORDS];
    session_config_t c;
    read_words(words, word, cfg);
    memset(&c, 0, sizeof c);
    c.media.rate_hz = word[0];
    c.media.frame_ms = word[2];
    c.max_message = word[7] ? word[7] : 65536;
    c.send_buffer = word[8];
    c.recv_buffer = word[9];
    (void)linnet_media_resolve(&c.media, &c.media);
    printf("{\"name\": \"%s\", \"total\": %d, \"tracks\": %u, ", name, linnet_session_size(cfg, sizeof cfg),
           word[1] ? word[1] : 2);
    printf("\"session\": %zu, \"dtls\": %zu, \"dtls_arena\": %d, ", sizeof(linnet_session_t), linnet_dtls_size(),
           LINNET_TLS_ARENA);
    printf("\"capture\": %zu, \"encoder\": %zu, \"playback\": %zu, \"jitter\": %zu, \"decoder\": %zu, ",
           linnet_capture_size(&c.media), linnet_encoder_size(), linnet_playback_size(&c.media),
           sizeof(linnet_jitter_t), linnet_decoder_size());
    printf("\"mixer\": %zu, ", linnet_mixer_size(&c.media));
    printf("\"sctp_send\": %zu, \"sctp_recv\": %zu, ", linnet_session_send_mem(&c), linnet_session_recv_mem(&c));
    printf("\"in_session\": {\"ice\": %zu, \"srtp\": %zu, \"sctp\": %zu, \"dcep\": %zu, \"rtx\": %zu, "
           "\"events\": %zu, \"scratch\": %zu, \"identity and rng\": %zu}}\n",
           sizeof(linnet_ice_t), 2 * sizeof(linnet_srtp_t), sizeof(linnet_sctp_t), sizeof(linnet_dcep_t),
           sizeof(linnet_rtx_ring_t), (size_t)EVENT_BYTES,
           sizeof(((linnet_session_t *)0)->scratch),
           sizeof(linnet_identity_t) + sizeof(linnet_rng_t));
}

int main(int argc, char **argv) {
    int i;
    for (i = 1; i + 1 < argc; i += 2) one(argv[i], argv[i + 1]);
    return argc > 1 ? 0 : 2;
}
