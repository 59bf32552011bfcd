/* Playout buffer of one remote audio track: sorts by sequence number, plays by timestamp, with a fixed target delay.
 *
 * The playout point is a timestamp that moves on by one frame with every get; a packet is played when the point
 * reaches it, so a DTX gap lasts as long as the sender's, a hole in the sequence is concealed, and packets behind
 * the point are still played (the delay grows) until the surplus is skipped in a quiet moment. Its adaptive successor
 * replaces this file behind the same five functions. Invariants: at most LINNET_JITTER_PACKETS packets are held, all
 * with sequence numbers in [next, next + LINNET_JITTER_PACKETS); a sequence number is played at most once. */
#ifndef LINNET_JITTER_H
#define LINNET_JITTER_H

#include "errors.h"
#include "linnet_config.h"
#include <stddef.h>
#include <stdint.h>

/* What to play for the next frame. All but PACKET, SKIP and FEC come without a payload. */
enum {
    LINNET_JITTER_WAIT = 0,   /* silence: nothing has started, or it is filling again */
    LINNET_JITTER_PACKET = 1, /* decode and play */
    LINNET_JITTER_SKIP = 2,   /* decode but do not play: the buffer is too full and this moment is quiet */
    LINNET_JITTER_LOST = 3,   /* conceal a frame */
    LINNET_JITTER_FEC = 4,    /* conceal a frame with the LBRR copy inside this payload, which stays queued */
    LINNET_JITTER_DTX = 5     /* comfort noise: the sender is silent on purpose */
};

typedef struct {
    uint32_t received;  /* every put */
    uint32_t played;    /* PACKET and SKIP */
    uint32_t late;      /* arrived after its place was concealed or passed */
    uint32_t duplicate; /* held already, or played before */
    uint32_t overflow;  /* thrown out, unplayed, because newer ones needed the room */
    uint32_t malformed; /* no valid Opus framing (RFC 6716 3.4) */
    uint32_t oversize;  /* longer than LINNET_OPUS_PACKET_MAX */
    uint32_t empty;     /* padding only: fills its sequence number, plays nothing */
    uint32_t lost;      /* frames answered LOST or FEC because a sequence number was missing */
    uint32_t starved;   /* frames answered LOST because nothing at all was there */
    uint32_t dtx;       /* frames answered DTX */
    uint32_t skipped;   /* frames answered SKIP */
    uint32_t stretched; /* frames inserted because the buffer ran low */
    uint32_t restarts;  /* source changes: jump of sequence number or timestamp */
    uint32_t rebuffers; /* times playing stopped to fill again */
} linnet_jitter_stats_t;

typedef struct {
    uint64_t arrival_us;
    uint32_t timestamp;
    uint16_t sequence;
    uint16_t len;      /* payload bytes; 0 with is_held = padding only */
    uint16_t duration; /* 48 kHz samples, by the TOC */
    uint8_t is_held;
    uint8_t payload[LINNET_OPUS_PACKET_MAX];
} linnet_jitter_slot_t;

typedef struct {
    linnet_jitter_slot_t slot[LINNET_JITTER_PACKETS];
    linnet_jitter_stats_t stats;
    uint32_t delay;    /* target, 48 kHz samples */
    uint32_t point;    /* playout point: timestamp of the next sample to play */
    uint32_t newest;   /* timestamp after the newest packet */
    uint32_t duration; /* of what get answered last */
    uint32_t frame;    /* of the packet played last */
    uint32_t dry;      /* samples answered since a packet was last in the buffer */
    uint32_t seen;     /* samples played in the current window of observation */
    int32_t least, most; /* buffered samples over that window */
    int32_t surplus;     /* samples to skip (> 0) or to insert (< 0) */
    uint16_t next;       /* sequence number to play next */
    uint16_t held;       /* packets */
    uint8_t is_started;  /* a first packet fixed `next` */
    uint8_t is_playing;  /* else filling */
    uint8_t is_quiet;    /* what was played last was silence, says the player */
    uint8_t is_dtx;      /* the packet played last announced silence */
} linnet_jitter_t;

void linnet_jitter_init(linnet_jitter_t *j, uint32_t delay_ms); /* 0 = 60 ms */
/* 1 when held, 0 when dropped and counted; LINNET_ERR_PACKET when it is no Opus packet or too large for a slot
 * (counted; its place will be concealed). */
int linnet_jitter_put(linnet_jitter_t *j, uint64_t now_us, uint16_t sequence, uint32_t timestamp,
                      const uint8_t *payload, size_t len);
/* Call once per frame of playout; answers LINNET_JITTER_*. *payload stays valid until the next put or get.
 * linnet_jitter_duration then says how many 48 kHz samples the answer stands for. */
int linnet_jitter_get(linnet_jitter_t *j, uint64_t now_us, const uint8_t **payload, size_t *len);
uint32_t linnet_jitter_duration(const linnet_jitter_t *j);
/* The player's word about what it played last: frames are skipped or inserted where it is quiet. */
void linnet_jitter_set_quiet(linnet_jitter_t *j, int is_quiet);
/* Buffered and not yet played, in ms. */
uint32_t linnet_jitter_level_ms(const linnet_jitter_t *j);
/* Forgets everything but the counters; a new source begins (counted as a restart by the caller's reason). */
void linnet_jitter_flush(linnet_jitter_t *j);

#endif
