/* Playout buffer of one remote audio track: sorts by sequence number, plays by timestamp, with a
 * fixed target delay.
 *
 * The playout point is a timestamp that moves on by one frame with every get; a packet is played
 * when the point reaches it. So a DTX gap lasts as long as the sender's, a hole in the sequence is
 * concealed, and packets behind the point are still played (the delay grows) until the surplus is
 * skipped in a quiet moment. An adaptive successor replaces jitter.c behind the same functions.
 * Payloads lie in one area that is moved together when its end is reached. Invariants: at most
 * LINNET_JITTER_PACKETS packets of LINNET_JITTER_BYTES together are held, all with sequence numbers
 * in [next, next + LINNET_JITTER_PACKETS); a sequence number is played at most once. */
#ifndef LINNET_JITTER_H
#define LINNET_JITTER_H

#include "errors.h"
#include "linnet_config.h"
#include <stddef.h>
#include <stdint.h>

/* What to play for the next frame. Only PACKET, SKIP and FEC come with a payload. */
enum {
    LINNET_JITTER_WAIT = 0,   /* silence: nothing has started, or it is filling again */
    LINNET_JITTER_PACKET = 1, /* decode and play */
    LINNET_JITTER_SKIP =
        2, /* decode but do not play, unless it is loud where it was quiet before: too much is
                                 buffered; get again */
    LINNET_JITTER_LOST = 3, /* conceal a frame */
    LINNET_JITTER_FEC =
        4, /* conceal a frame from the LBRR copy that this payload, still queued, may hold */
    LINNET_JITTER_DTX = 5 /* comfort noise: the sender is silent on purpose */
};

typedef struct {
    uint32_t received;  /* every put */
    uint32_t played;    /* packets answered with PACKET or SKIP */
    uint32_t late;      /* dropped: arrived after its place had passed */
    uint32_t duplicate; /* dropped: held already, or played before */
    uint32_t overflow;  /* thrown out unplayed, because newer ones needed the room */
    uint32_t malformed; /* dropped: no valid Opus framing (RFC 6716 3.4) */
    uint32_t oversize;  /* dropped: longer than LINNET_OPUS_PACKET_MAX */
    uint32_t empty;     /* padding only: fills its sequence number, plays nothing */
    uint32_t lost;      /* frames concealed because their sequence number was missing */
    uint32_t starved;   /* frames concealed because nothing was there yet: the delay grew */
    uint32_t dtx;       /* frames of the sender's silence */
    uint32_t skipped;   /* frames answered with SKIP because the buffer was too full */
    uint32_t stretched; /* frames inserted because the buffer ran low */
    uint32_t restarts;  /* source changes: a jump of sequence number or timestamp */
    uint32_t rebuffers; /* times that playing stopped to fill again */
} linnet_jitter_stats_t;

typedef struct {
    uint64_t arrival_us;
    uint32_t timestamp;
    uint16_t sequence;
    uint16_t at;       /* payload: offset in bytes[] */
    uint16_t len;      /* and length; 0 = padding only */
    uint16_t duration; /* 48 kHz samples, by the TOC */
    uint8_t is_held;
} linnet_jitter_slot_t;

/* All durations are 48 kHz samples. */
typedef struct {
    linnet_jitter_slot_t slot[LINNET_JITTER_PACKETS]; /* by sequence number modulo the size */
    linnet_jitter_stats_t stats;
    uint32_t delay;          /* target */
    uint32_t point;          /* playout point: timestamp of the next sample to play */
    uint32_t buffered;       /* sound held */
    uint32_t frame;          /* duration of the packet played last */
    uint32_t duration;       /* of the last answer */
    uint32_t dry;            /* answered since the buffer was last not empty */
    uint32_t dry_frames;     /* as counted in `starved` */
    uint32_t watched;        /* played in the current window of observation */
    uint32_t least, most;    /* buffered, over that window */
    uint32_t excess, dearth; /* to skip, to insert */
    uint32_t seen; /* bit k: sequence number next - 1 - k was played or is accounted for */
    uint16_t next; /* sequence number to play next; valid when is_begun or held > 0 */
    uint16_t held;
    uint16_t end;       /* of the payloads in bytes[]: the next one goes there */
    uint8_t is_begun;   /* something of this source was played */
    uint8_t is_playing; /* else filling */
    uint8_t is_quiet;   /* what was played last was quiet */
    uint8_t is_dtx;     /* the packet played last announced silence */
    uint8_t bytes[LINNET_JITTER_BYTES];
} linnet_jitter_t;

void linnet_jitter_init(linnet_jitter_t *j, uint32_t delay_ms); /* 0 = 60 ms */
/* 1 when held, 0 when dropped and counted; LINNET_ERR_PACKET when it is no Opus packet or too large
 * (counted; its place will be concealed). len 0: a packet of padding. */
int linnet_jitter_put(linnet_jitter_t *j, uint64_t now_us, uint16_t sequence, uint32_t timestamp,
                      const uint8_t *payload, size_t len);
/* Call once per frame of playout; answers LINNET_JITTER_*. *payload stays valid until the next put
 * or get. linnet_jitter_duration then says how many 48 kHz samples the answer stands for: a
 * multiple of 120, <= 5760. */
int linnet_jitter_get(linnet_jitter_t *j, uint64_t now_us, const uint8_t **payload, size_t *len);
uint32_t linnet_jitter_duration(const linnet_jitter_t *j);
/* The player's word about what it played last: where it is quiet, frames are skipped or inserted. */
void linnet_jitter_set_quiet(linnet_jitter_t *j, int is_quiet);
uint32_t linnet_jitter_buffered_ms(const linnet_jitter_t *j);
/* Another source begins: drops what is held, fills again, keeps the counters. */
void linnet_jitter_flush(linnet_jitter_t *j);

#endif
