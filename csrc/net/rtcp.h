/* RTCP: RFC 3550 6 (SR, RR, SDES CNAME, BYE), RFC 4585 6.2.1 (generic NACK), RFC 5506 (reduced
 * size, reading only).
 *
 * Builds one compound packet for one local source, reads any compound as a list of typed reports,
 * keeps the statistics of RFC 3550 A.1, A.3 and A.8, and says when the next report is due. Not
 * implemented: XR, APP, transport wide feedback, payload-specific feedback (skipped and counted as
 * `other`); the interval is fixed, not the bandwidth share of 6.2, because a session has one peer.
 * Invariant: all input was authenticated by SRTCP. */
#ifndef LINNET_RTCP_H
#define LINNET_RTCP_H

#include "errors.h"
#include "linnet_config.h"
#include "wire.h"

/* --- what we send: fed by the session, reported in SR --- */
typedef struct {
    uint32_t ssrc;
    uint32_t packets; /* RFC 3550 6.4.1: counts since the start, modulo 2^32 */
    uint32_t octets;  /* payload only */
    uint32_t last_timestamp;
    uint64_t last_us; /* when last_timestamp was sampled */
    uint32_t clock_hz;
    /* what the peer last said about it */
    uint8_t remote_fraction_lost; /* /256 */
    int32_t remote_lost;          /* cumulative */
    uint32_t remote_jitter;       /* timestamp units */
    uint32_t remote_highest;      /* extended sequence number */
    uint32_t rtt_us;              /* 0 = not known yet */
    uint32_t reports;             /* blocks received about this source */
} linnet_rtcp_send_stats_t;

void linnet_rtcp_send_init(linnet_rtcp_send_stats_t *s, uint32_t ssrc, uint32_t clock_hz);
void linnet_rtcp_sent(linnet_rtcp_send_stats_t *s, uint64_t now_us, uint32_t timestamp,
                      size_t payload_len);

/* --- what we receive from one source: reported in report blocks --- */
typedef struct {
    uint32_t ssrc;
    uint32_t clock_hz;
    uint32_t base_sequence; /* extended, first received */
    uint32_t max_sequence;  /* extended highest received */
    uint32_t bad_sequence;  /* A.1: the sequence a restarted sender would use next; 65537 = none */
    uint32_t received;
    uint32_t expected_prior;
    uint32_t received_prior;
    uint32_t transit;
    uint32_t jitter_q4; /* A.8, timestamp units x 16 */
    uint32_t last_sr;   /* middle 32 bits of the last SR's NTP time, 0 = none yet */
    uint64_t last_sr_us;
    uint32_t restarts; /* sequence jumps taken as a restart */
    uint8_t fraction_lost;
    uint8_t is_started;
} linnet_rtcp_recv_stats_t;

void linnet_rtcp_recv_init(linnet_rtcp_recv_stats_t *s, uint32_t ssrc, uint32_t clock_hz);
/* 1 when counted; 0 when the sequence number is far off and waits for a second one to confirm it
 * (A.1). */
int linnet_rtcp_received(linnet_rtcp_recv_stats_t *s, uint64_t now_us, uint16_t sequence,
                         uint32_t timestamp);
int32_t linnet_rtcp_lost(
    const linnet_rtcp_recv_stats_t *s); /* cumulative, clamped to 24 bits; < 0 with duplicates */

/* --- reading --- */
enum {
    LINNET_RTCP_SR = 1,     /* sr */
    LINNET_RTCP_REPORT = 2, /* report: one block of an SR or RR */
    LINNET_RTCP_RR = 3,     /* an RR's own header: sender only */
    LINNET_RTCP_SDES = 4,   /* skipped */
    LINNET_RTCP_BYE = 5,    /* one per source: subject */
    LINNET_RTCP_NACK = 6,   /* one per FCI: subject, nack_pid, nack_blp */
    LINNET_RTCP_OTHER = 7   /* known length, not of interest: PSFB, XR, APP, other feedback */
};

typedef struct {
    uint32_t sender;  /* SSRC of who says it */
    uint32_t subject; /* SSRC it is about: REPORT, NACK, BYE */
    uint64_t ntp;     /* SR */
    uint32_t rtp_timestamp, packets, octets;
    uint8_t fraction_lost; /* REPORT */
    int32_t lost;
    uint32_t highest, jitter, last_sr, delay_since_sr;
    uint16_t nack_pid, nack_blp; /* NACK */
} linnet_rtcp_item_t;

typedef struct {
    const uint8_t *data; /* of the whole compound */
    size_t len;
    size_t pos;      /* of the next packet */
    size_t item;     /* of the next item inside the current packet */
    size_t end;      /* of the current packet, padding excluded; 0 = none open */
    uint8_t type;    /* of the current packet */
    uint16_t count;  /* entries of its list not yet handed out */
    uint32_t sender; /* of the current packet */
    uint32_t media;  /* feedback: the source it is about */
} linnet_rtcp_reader_t;

/* Checks version, lengths and padding of the whole compound (RFC 3550 A.2) before anything of it is
 * used. */
int linnet_rtcp_read(linnet_rtcp_reader_t *r, const uint8_t *packet, size_t len);
/* The next LINNET_RTCP_* kind, 0 at the end, LINNET_ERR_PACKET when a body is too short. */
int linnet_rtcp_next(linnet_rtcp_reader_t *r, linnet_rtcp_item_t *item);
/* RFC 4585 6.2.1: the sequence numbers of one NACK item; returns how many (1..17). */
int linnet_rtcp_nack_list(const linnet_rtcp_item_t *item, uint16_t out[17]);

/* Feed items back: an SR to the source it describes, a report block to the source we send. Others
 * are ignored. */
void linnet_rtcp_on_sr(linnet_rtcp_recv_stats_t *s, uint64_t now_us,
                       const linnet_rtcp_item_t *item);
void linnet_rtcp_on_report(linnet_rtcp_send_stats_t *s, uint64_t now_us, uint64_t ntp_epoch_us,
                           const linnet_rtcp_item_t *item);

/* --- building --- */
typedef struct {
    uint32_t ssrc;         /* ours; also when we send nothing */
    wire_span_t cname;     /* 1..255 bytes */
    uint64_t ntp_epoch_us; /* from 1900 to now_us = 0; 0 = no wall clock (RFC 3550 4 allows it) */
    const linnet_rtcp_send_stats_t *send;  /* NULL or nothing sent yet: RR, else SR */
    linnet_rtcp_recv_stats_t *const *recv; /* sources heard; those without a packet get no block */
    size_t n_recv;                         /* <= 31 */
    uint8_t bye;                           /* close with BYE */
} linnet_rtcp_compound_t;

/* Bytes written (a multiple of 4), LINNET_ERR_SPACE or LINNET_ERR_ARG. Starts a new loss interval
 * for each source. */
int linnet_rtcp_build(const linnet_rtcp_compound_t *c, uint64_t now_us, uint8_t *buf, size_t cap);

/* --- when --- */
typedef struct {
    uint64_t due_us; /* UINT64_MAX = stopped */
} linnet_rtcp_timer_t;

void linnet_rtcp_timer_init(linnet_rtcp_timer_t *t);
/* The first RTP packet went out or came in: a report follows within LINNET_RTCP_FIRST_MS. Later
 * calls do nothing. */
void linnet_rtcp_timer_start(linnet_rtcp_timer_t *t, uint64_t now_us);
uint64_t linnet_rtcp_timer_deadline(const linnet_rtcp_timer_t *t);
/* 1 when a report is due at now_us: build one. The next is LINNET_RTCP_INTERVAL_MS x (0.5 .. 1.5)
 * away (RFC 3550 6.3.1; `random` decides), so never more than 5 s. */
int linnet_rtcp_timer_poll(linnet_rtcp_timer_t *t, uint64_t now_us, uint32_t random);

/* --- retransmission history: the last LINNET_RTX_PACKETS protected packets, or as many as
 * LINNET_RTX_BYTES hold --- */
typedef struct {
    uint64_t resent_us; /* last time it was sent again, UINT64_MAX = never */
    uint16_t sequence;
    uint16_t at;  /* offset in bytes[] */
    uint16_t len; /* 0 = empty */
} linnet_rtx_slot_t;

typedef struct {
    linnet_rtx_slot_t slot[LINNET_RTX_PACKETS];
    uint32_t stored, too_large, resent, missed, refused; /* refused: asked again too soon */
    uint16_t end;                                        /* of the packet stored last */
    uint8_t bytes[LINNET_RTX_BYTES];
} linnet_rtx_ring_t;

void linnet_rtx_init(linnet_rtx_ring_t *ring);
/* The oldest ones give way. 0, or LINNET_ERR_LIMIT when it is larger than LINNET_RTX_PACKET_MAX (it
 * then cannot be asked for). */
int linnet_rtx_put(linnet_rtx_ring_t *ring, uint16_t sequence, const uint8_t *packet, size_t len);
/* The packet to send for the first time: its length, or 0 when it is not there. */
int linnet_rtx_peek(const linnet_rtx_ring_t *ring, uint16_t sequence, const uint8_t **packet);
/* The packet to send again: its length, or 0 when it is gone or was sent again less than min_gap_us
 * ago. */
int linnet_rtx_get(linnet_rtx_ring_t *ring, uint64_t now_us, uint64_t min_gap_us, uint16_t sequence,
                   const uint8_t **packet);

#endif
