/* SCTP as WebRTC uses it over DTLS: RFC 9260 and RFC 8261, with PR-SCTP (RFC 3758) and outgoing
 * stream reset (RFC 6525), as RFC 8831 asks. One association, one path, one peer that DTLS has
 * authenticated.
 *
 * Not implemented, deliberately: multihoming, I-DATA (RFC 8260), zero checksum (RFC 9653), AUTH,
 * ASCONF, ECN, partial delivery, incoming-SSN and TSN reset requests (denied). Messages leave in
 * the order of linnet_sctp_send. Invariants: no allocation, all bytes of messages live in the
 * two regions given at init; every list is bounded by them; nothing read is trusted before
 * checksum and verification tag; every drop has a counter. */
#ifndef LINNET_SCTP_H
#define LINNET_SCTP_H

#include "crypto.h"
#include "linnet_config.h"

/* --- limits of this module (see linnet_config.h for the form) --- */
#ifndef LINNET_SCTP_STREAM_SLOTS
/* streams with a sequence number, each way; x 8 B x 2 */
#define LINNET_SCTP_STREAM_SLOTS (2 * LINNET_SCTP_STREAMS)
#endif
#ifndef LINNET_SCTP_TSN_WINDOW
/* how far a TSN may run ahead of the first missing one; / 8 B; power of two */
#define LINNET_SCTP_TSN_WINDOW 4096
#endif
#ifndef LINNET_SCTP_COOKIE_MAX
#define LINNET_SCTP_COOKIE_MAX 512 /* largest state cookie of a peer that we return; x 1 B */
#endif
#ifndef LINNET_SCTP_REPLY_MAX
/* one answer packet (INIT ACK, HEARTBEAT ACK, ERROR) that waits; x 1 B */
#define LINNET_SCTP_REPLY_MAX 512
#endif
#ifndef LINNET_SCTP_DUPLICATES
#define LINNET_SCTP_DUPLICATES 8 /* duplicate TSNs named in one SACK; x 4 B */
#endif

/* One stream that has left its initial state: the SSN that comes next. */
typedef struct {
    uint16_t id, next_ssn;
    uint8_t in_use;
    uint8_t reset; /* outgoing only: a step of RFC 6525 5.1.2, see sctp_internal.h */
} linnet_sctp_stream_t;

typedef struct {
    uint32_t packets_in, packets_out, bytes_in, bytes_out;
    /* handed to linnet_sctp_recv, accepted by linnet_sctp_send */
    uint32_t messages_in, messages_out;
    uint32_t data_in, data_out;             /* DATA chunks, retransmissions included */
    uint32_t retransmits, fast_retransmits; /* DATA chunks sent again, and those without a timer */
    uint32_t t1_expired, t2_expired, t3_expired, heartbeats_lost;
    uint32_t abandoned;      /* our messages given up (RFC 3758) */
    uint32_t expired_unsent; /* of these: before their first byte left */
    uint32_t forward_tsn_in, forward_tsn_out;
    uint32_t skipped_in;    /* TSNs the peer gave up */
    uint32_t duplicates_in; /* DATA we had already */
    /* drops: what came from outside and had no effect */
    uint32_t drop_short, drop_port, drop_checksum, drop_tag, drop_state;
    uint32_t drop_chunk;   /* a chunk or parameter that does not parse */
    uint32_t drop_unknown; /* chunk type nobody told us about */
    uint32_t drop_cookie, drop_cookie_stale;
    /* DATA too far ahead; no room for it (the peer sends it again) */
    uint32_t drop_window, drop_memory;
    /* stored DATA given back to make room for an earlier TSN */
    uint32_t reneged;
    uint32_t drop_stream;   /* DATA on a stream beyond LINNET_SCTP_STREAM_SLOTS */
    uint32_t drop_fragment; /* fragments that cannot belong to a message */
    uint32_t drop_oversize; /* messages over max_message, skipped as a whole */
    /* SACK that is old or acknowledges what was never sent */
    uint32_t drop_sack;
    uint32_t drop_reconfig;
    uint32_t drop_reply; /* an answer for which the one slot had no room */
    uint32_t drop_size;  /* poll buffers too small for one packet */
} linnet_sctp_counters_t;

typedef struct linnet_sctp {
    uint8_t state, is_over, events;
    uint16_t port, mtu;
    uint32_t flags; /* what the next packet must carry, see sctp_internal.h */
    uint32_t max_message, peer_max_message, max_retrans, rto_max_us;
    uint64_t prng; /* heartbeat nonces and jitter: no secret */
    uint8_t secret[32];

    /* --- the two ends --- */
    uint32_t my_tag, peer_tag, my_first_tsn;
    uint32_t peer_window; /* a_rwnd as last told */
    uint16_t peer_streams;
    uint8_t peer_has_forward, peer_has_reconfig;
    uint16_t cookie_len, reply_len;
    uint8_t is_reply_alone; /* the waiting reply must not be bundled */
    uint8_t cookie[LINNET_SCTP_COOKIE_MAX];
    uint8_t reply[LINNET_SCTP_REPLY_MAX];
    uint8_t unknown[128]; /* ERROR chunk about the INIT ACK, sent with the COOKIE ECHO */
    uint8_t unknown_len;
    uint16_t abort_cause;

    /* --- timers: absolute, UINT64_MAX = off --- */
    uint64_t t1, t2, t3, t_sack, t_heartbeat, t_reconfig;
    uint32_t rto_us, srtt_us, rttvar_us, t1_us, t2_us, t3_us, reconfig_us;
    uint32_t errors; /* unanswered transmissions in a row (RFC 9260 8.1) */
    uint32_t rtt_tsn;
    uint64_t rtt_sent_us; /* of the one chunk being timed; UINT64_MAX = none */
    uint64_t heartbeat_nonce, heartbeat_sent_us;

    /* --- sending: a ring of fragments in send_mem --- */
    uint8_t *send_mem;
    /* offsets, in the order of leaving: the first, the first without TSN, the last */
    uint32_t head, unsent, last;
    /* and in memory: the first, the next free */
    uint32_t send_len, oldest, tail;
    /* records in memory, before `unsent`, from it on, marked to be sent again */
    uint32_t n_records, n_sent, n_unsent, n_retransmit;
    /* advanced: Advanced.Peer.Ack.Point (RFC 3758 3.5) */
    uint32_t next_tsn, peer_cum, advanced;
    uint32_t cwnd, ssthresh, partial_acked, flight, buffered, message, order, recovery_tsn;
    uint64_t last_data_us;
    uint8_t burst, in_recovery, fast_credit, is_probing;
    linnet_sctp_stream_t out[LINNET_SCTP_STREAM_SLOTS];

    /* --- receiving: chains of blocks in recv_mem --- */
    uint8_t *recv_mem;
    uint16_t n_blocks, n_free, free_block;
    uint16_t pending, pending_tail; /* fragments without a whole message, by TSN */
    /* whole ordered messages that wait for an earlier one, by TSN */
    uint16_t held, held_tail;
    /* messages for linnet_sctp_recv, and stream reset marks */
    uint16_t ready, ready_tail;
    uint32_t cum, highest; /* all up to cum received; the highest received */
    uint32_t told_window;  /* a_rwnd of our last SACK */
    uint8_t is_skipping;   /* the message after cum is over the limit */
    uint8_t packets_unacked, n_duplicates;
    uint32_t duplicates[LINNET_SCTP_DUPLICATES];
    uint32_t received[LINNET_SCTP_TSN_WINDOW / 32];
    linnet_sctp_stream_t in[LINNET_SCTP_STREAM_SLOTS];

    /* --- re-configuration (RFC 6525) --- */
    uint32_t my_request, peer_request;  /* sequence numbers: our next, the peer's next */
    uint32_t answer_seq, answer_result; /* the response that is due */
    uint32_t last_result;               /* of request peer_request - 1 */
    /* the peer's request waits until cum reaches this */
    uint32_t deferred_tsn;
    uint16_t deferred[LINNET_SCTP_STREAM_SLOTS];
    uint16_t n_deferred;
    uint8_t is_deferred;

    linnet_sctp_counters_t counters;
} linnet_sctp_t;

/* [ffi-begin]  plain declarations only: no macro, inline, variadic, callback */
enum {
    LINNET_SCTP_CLOSED,
    LINNET_SCTP_COOKIE_WAIT,
    LINNET_SCTP_COOKIE_ECHOED,
    LINNET_SCTP_ESTABLISHED,
    LINNET_SCTP_SHUTDOWN_PENDING,
    LINNET_SCTP_SHUTDOWN_SENT,
    LINNET_SCTP_SHUTDOWN_RECEIVED,
    LINNET_SCTP_SHUTDOWN_ACK_SENT,
    LINNET_SCTP_LOST /* no answer any more; the association has ended */
};

/* Results of linnet_sctp_event. */
enum {
    LINNET_SCTP_EVENT_NONE,
    LINNET_SCTP_EVENT_UP, /* established */
    /* the peer began anew: all queued data and every stream is gone */
    LINNET_SCTP_EVENT_RESTARTED,
    /* the peer reset its outgoing `stream` (65535: all); in order with the messages */
    LINNET_SCTP_EVENT_PEER_RESET,
    /* the peer confirmed our reset of `stream`, which may be used anew */
    LINNET_SCTP_EVENT_RESET_DONE,
    LINNET_SCTP_EVENT_CLOSED,  /* shut down by either side, all data delivered */
    LINNET_SCTP_EVENT_ABORTED, /* by the peer, or because of what it sent */
    LINNET_SCTP_EVENT_LOST     /* max_retrans transmissions in a row had no answer */
};

/* 0 = default. max_message bounds what is received, and what is sent until set_peer_max_message
 * says otherwise. */
typedef struct {
    uint16_t port;        /* 5000, of both ends */
    uint16_t mtu;         /* 1150: largest SCTP packet, UDP payload less DTLS overhead */
    uint32_t max_message; /* 65536 */
    uint8_t *send_mem;
    /* >= linnet_sctp_send_mem(1, mtu): a packet; larger messages than it holds are refused */
    size_t send_len;
    uint8_t *recv_mem;
    size_t recv_len; /* >= linnet_sctp_recv_mem(max_message, mtu); at most 4 MiB are used */
    /* 1000: longest wait before a retransmission, so an outage costs no more afterwards */
    uint32_t rto_max_ms;
    /* 300: then LOST, after 5 minutes of silence; ICE consent notices much earlier */
    uint32_t max_retrans;
} linnet_sctp_config_t;

typedef struct {
    uint16_t stream;
    uint32_t ppid;
    uint8_t unordered;
    int32_t max_retransmits; /* -1 reliable */
    uint32_t lifetime_ms;    /* 0 none */
} linnet_sctp_send_t;

size_t linnet_sctp_send_mem(uint32_t max_message, uint16_t mtu);
size_t linnet_sctp_recv_mem(uint32_t max_message, uint16_t mtu);
int linnet_sctp_init(linnet_sctp_t *s, const linnet_sctp_config_t *config, linnet_rng_t *rng);
/* Sends INIT. Both sides call it; one that has not yet answers the peer's INIT all the same. */
int linnet_sctp_connect(linnet_sctp_t *s, uint64_t now_us);
/* 1: linnet_sctp_send of so many bytes would find room now. */
int linnet_sctp_has_room(const linnet_sctp_t *s, size_t len);
/* One packet that DTLS has authenticated. 0, or LINNET_ERR_PACKET when dropped as a whole (and
 * counted). */
int linnet_sctp_input(linnet_sctp_t *s, linnet_rng_t *rng, uint64_t now_us, const uint8_t *packet,
                      size_t len);
/* > 0: length of one packet in buf; 0: nothing to send now. cap >= mtu, else LINNET_ERR_SPACE. */
int linnet_sctp_poll(linnet_sctp_t *s, uint64_t now_us, uint8_t *buf, size_t cap);
uint64_t linnet_sctp_deadline(const linnet_sctp_t *s);
/* Queues a whole message of 1..max bytes, also while the handshake runs. LINNET_ERR_AGAIN: no
 * room now; LINNET_ERR_LIMIT: longer than the peer takes or send_mem holds, or a stream it has not;
 * LINNET_ERR_STATE: before connect, or the stream is being reset; LINNET_ERR_CLOSED: ended or
 * shutting down; LINNET_ERR_ARG: empty (RFC 8831 6.6: PPID 56, 57). */
int linnet_sctp_send(linnet_sctp_t *s, uint64_t now_us, const linnet_sctp_send_t *how,
                     const uint8_t *data, size_t len);
/* > 0: length of one complete message in buf; 0: none (SCTP has no empty messages).
 * LINNET_ERR_SPACE leaves it. 0 is also returned where the peer reset a stream: take the event,
 * then go on. */
int linnet_sctp_recv(linnet_sctp_t *s, uint16_t *stream, uint32_t *ppid, uint8_t *buf, size_t cap);
/* Length of the message that linnet_sctp_recv would give now, 0 when none. */
size_t linnet_sctp_readable(const linnet_sctp_t *s);
/* One LINNET_SCTP_EVENT_*; `stream` is set for the two resets. Order: linnet_sctp_recv until 0,
 * then one event, until both have nothing: so a message never comes after the end of its stream. */
int linnet_sctp_event(linnet_sctp_t *s, uint16_t *stream);
/* payload bytes queued or not yet acknowledged */
size_t linnet_sctp_buffered(const linnet_sctp_t *s);
/* Once everything queued on the stream is acknowledged, it is reset (RFC 6525 5.1.2): its next
 * message is number 0. LINNET_ERR_AGAIN: an earlier reset of it is not over; LINNET_ERR_STATE:
 * not up, or a peer without RFC 6525. */
int linnet_sctp_reset_stream(linnet_sctp_t *s, uint16_t stream);
/* after all queued data was acknowledged */
int linnet_sctp_shutdown(linnet_sctp_t *s, uint64_t now_us);
/* poll gives one ABORT, then nothing */
int linnet_sctp_abort(linnet_sctp_t *s, uint64_t now_us);
int linnet_sctp_state(const linnet_sctp_t *s);
/* a=max-message-size; 0: no limit */
void linnet_sctp_set_peer_max_message(linnet_sctp_t *s, uint32_t max_message);
/* The path is back (ICE restart, consent regained): send again now instead of at the next timer. */
void linnet_sctp_path_restored(linnet_sctp_t *s, uint64_t now_us);
/* [ffi-end] */

#endif
