/* What the files of SCTP share: constants of RFC 9260, 3758 and 6525, the two record layouts,
 * and the calls between the parts. sctp.c: association, timers, poll. sctp_handshake.c: INIT and
 * cookies. sctp_chunks.c: packets in, small chunks. sctp_send.c: queue, congestion, SACK in.
 * sctp_recv.c: reassembly, SACK out. sctp_reconfig.c: stream reset. Nobody else includes this
 * file. Invariant: `state` changes only in linnet_sctp_move. */
#ifndef LINNET_SCTP_INTERNAL_H
#define LINNET_SCTP_INTERNAL_H

#include "sctp.h"

enum {
    HEADER_LEN = 12,
    DATA_HEADER_LEN = 16,
    OUR_STREAMS = 65535, /* ids 0..65534 (RFC 8831 6.2), whatever part of them is used */
    BURST_PACKETS = 4,   /* RFC 9260 16, Max.Burst */
    COOKIE_LEN = 56,
    /* a COOKIE ECHO with all we store fits, and a SACK beside all other control chunks */
    MTU_MIN = 768,
    PROBE_MIN_WINDOW = 1500 /* RFC 9260 3.3.2: a_rwnd of INIT is at least this */
};

#define MS 1000u
/* RFC 9260 says 1 s; a join should not wait that long for one lost INIT */
#define RTO_INITIAL_US (500 * MS)
/* RFC 9260 says 1 s; above the 200 ms that a peer may delay its SACK */
#define RTO_MIN_US (400 * MS)
#define RTO_CEILING_US (10000 * MS)
#define SACK_DELAY_US (100 * MS)  /* RFC 9260 6.2: within 200 ms */
#define HEARTBEAT_US (30000 * MS) /* RFC 9260 16, HB.interval */
#define COOKIE_LIFE_US (60000ull * MS)
#define NEVER UINT64_MAX
#define NO_OFFSET UINT32_MAX
#define NO_BLOCK 0xffffu

enum {
    CHUNK_DATA = 0,
    CHUNK_INIT = 1,
    CHUNK_INIT_ACK = 2,
    CHUNK_SACK = 3,
    CHUNK_HEARTBEAT = 4,
    CHUNK_HEARTBEAT_ACK = 5,
    CHUNK_ABORT = 6,
    CHUNK_SHUTDOWN = 7,
    CHUNK_SHUTDOWN_ACK = 8,
    CHUNK_ERROR = 9,
    CHUNK_COOKIE_ECHO = 10,
    CHUNK_COOKIE_ACK = 11,
    CHUNK_SHUTDOWN_COMPLETE = 14,
    CHUNK_RECONFIG = 130,
    CHUNK_FORWARD_TSN = 192
};

enum {
    PARAM_HEARTBEAT = 1,
    PARAM_COOKIE = 7,
    PARAM_UNRECOGNIZED = 8,
    PARAM_OUTGOING_RESET = 13,
    PARAM_INCOMING_RESET = 14,
    PARAM_TSN_RESET = 15,
    PARAM_RECONFIG_RESPONSE = 16,
    PARAM_ADD_OUTGOING = 17,
    PARAM_ADD_INCOMING = 18,
    PARAM_EXTENSIONS = 0x8008,
    PARAM_FORWARD_TSN = 0xc000
};

enum {
    CAUSE_INVALID_STREAM = 1,
    CAUSE_STALE_COOKIE = 3,
    CAUSE_NO_RESOURCE = 4,
    CAUSE_UNRECOGNIZED_CHUNK = 6,
    CAUSE_INVALID_PARAMETER = 7,
    CAUSE_UNRECOGNIZED_PARAMETERS = 8,
    CAUSE_NO_USER_DATA = 9,
    CAUSE_USER_ABORT = 12,
    CAUSE_PROTOCOL_VIOLATION = 13
};

enum { DATA_END = 1, DATA_BEGIN = 2, DATA_UNORDERED = 4, DATA_IMMEDIATE = 8 };
enum { T_BIT = 1 };

/* linnet_sctp_t.flags: chunks that are due. */
enum {
    DUE_INIT = 1,
    DUE_COOKIE_ECHO = 2,
    DUE_COOKIE_ACK = 4,
    DUE_SACK = 8,
    DUE_FORWARD = 16,
    DUE_SHUTDOWN = 32,
    DUE_SHUTDOWN_ACK = 64,
    DUE_ABORT = 128,
    DUE_HEARTBEAT = 256,
    DUE_RESET_REQUEST = 512,
    DUE_RESET_ANSWER = 1024,
    DUE_RESET_BEGIN = 2048 /* a stream waits for its reset request */
};

/* linnet_sctp_stream_t.reset */
enum { RESET_NONE, RESET_WANTED, RESET_ASKED, RESET_DONE };

/* What can change the state: columns of the table in sctp.c. */
typedef enum {
    ON_CONNECT,
    ON_INIT_ACK,
    ON_COOKIE_ECHO,
    ON_COOKIE_ACK,
    ON_STALE_COOKIE,
    ON_SHUTDOWN_CALL,
    ON_DRAINED,
    ON_SHUTDOWN,
    ON_SHUTDOWN_ACK,
    ON_SHUTDOWN_COMPLETE,
    ON_END,
    ON_LOST
} sctp_cause_t;

/* One fragment in send_mem, its payload behind it. */
typedef enum {
    R_QUEUED,
    R_INFLIGHT,
    R_ACKED,
    R_AGAIN,
    R_ABANDONED,
    R_DEAD,
    R_FREE,
    R_WRAP
} sctp_record_state_t;
typedef struct {
    uint32_t size; /* of the whole record, multiple of 8 */
    uint32_t tsn;  /* from its first transmission on, except R_DEAD */
    uint32_t ppid;
    uint32_t message; /* equal for all fragments of one message */
    uint32_t order;   /* of its last transmission among all transmissions */
    uint32_t next;    /* record that leaves after this one */
    uint64_t expires_us;
    int32_t max_retransmits;
    uint16_t stream, ssn, len, sends;
    uint8_t flags, state, missing;
} sctp_record_t;

/* recv_mem is cut into blocks of 64 bytes. A DATA chunk is a chain of them; the first holds its
 * fields. */
enum { BLOCK_LEN = 64, FIRST_LEN = 38, MORE_LEN = 62 };
typedef enum { K_DATA, K_RESET } sctp_chunk_kind_t;
typedef struct {
    uint32_t tsn, ppid;
    uint32_t total;        /* of the message, in its first chunk */
    uint16_t next_block;   /* of this chunk */
    uint16_t next;         /* chunk: in `pending`, or of the same message */
    uint16_t next_message; /* in `held` or `ready`, in the first chunk */
    uint16_t stream, ssn, len;
    uint8_t flags, kind;
    uint8_t bytes[FIRST_LEN];
} sctp_chunk_t;
typedef struct {
    uint16_t next_block;
    uint8_t bytes[MORE_LEN];
} sctp_block_t;

/* Serial number arithmetic (RFC 9260 1.6). */
static inline int tsn_after(uint32_t a, uint32_t b) {
    return (int32_t)(a - b) > 0;
}

static inline int ssn_after(uint16_t a, uint16_t b) {
    return (int16_t)(uint16_t)(a - b) > 0;
}

static inline uint32_t min_u32(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static inline uint32_t max_u32(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

static inline int is_up(const linnet_sctp_t *s) {
    return s->state >= LINNET_SCTP_ESTABLISHED && s->state <= LINNET_SCTP_SHUTDOWN_ACK_SENT;
}

/* linnet_sctp_crc32c.c */
uint32_t linnet_sctp_crc32c(uint32_t crc, const uint8_t *data, size_t len);

/* sctp.c */
/* 1 when the table knows the transition */
int linnet_sctp_move(linnet_sctp_t *s, sctp_cause_t cause);
void linnet_sctp_end(linnet_sctp_t *s, sctp_cause_t cause, int event);
void linnet_sctp_established(linnet_sctp_t *s, uint64_t now);
/* ABORT to the peer, event to the application */
void linnet_sctp_fail(linnet_sctp_t *s, uint16_t error_cause);
void linnet_sctp_count_error(linnet_sctp_t *s);
uint32_t linnet_sctp_back_off(const linnet_sctp_t *s, uint32_t timeout_us);
void linnet_sctp_measured(linnet_sctp_t *s, uint64_t rtt);
void linnet_sctp_ask_time(linnet_sctp_t *s, uint64_t now);
void linnet_sctp_rearm_heartbeat(linnet_sctp_t *s, uint64_t now);
void linnet_sctp_raise(linnet_sctp_t *s, int event);
void linnet_sctp_check_drained(linnet_sctp_t *s, uint64_t now);
uint64_t linnet_sctp_prng(linnet_sctp_t *s);
linnet_sctp_stream_t *linnet_sctp_find_stream(linnet_sctp_stream_t *table, uint16_t id, int create);

/* sctp_chunks.c: building */
void linnet_sctp_put_header(wire_out_t *out, uint16_t port, uint32_t tag);
void linnet_sctp_put_chunk(wire_out_t *out, uint8_t type, uint8_t flags, size_t body_len);
void linnet_sctp_put_cause(wire_out_t *out, uint8_t chunk_type, uint8_t flags,
                           uint16_t error_cause);
void linnet_sctp_seal(uint8_t *packet, size_t len);
/* One chunk into the packet that waits in `reply`. `alone`: it may not share a packet. */
int linnet_sctp_reply(linnet_sctp_t *s, uint32_t tag, uint8_t type, uint8_t flags, wire_span_t body,
                      int alone);
/* The same with one error cause around the body. */
void linnet_sctp_reply_error(linnet_sctp_t *s, uint16_t error_cause, wire_span_t info);

/* sctp_handshake.c */
void linnet_sctp_put_init(linnet_sctp_t *s, wire_out_t *out);
void linnet_sctp_put_cookie_echo(linnet_sctp_t *s, wire_out_t *out);
int linnet_sctp_on_init(linnet_sctp_t *s, linnet_rng_t *rng, uint64_t now, wire_in_t body);
int linnet_sctp_on_init_ack(linnet_sctp_t *s, uint64_t now, wire_in_t body);
int linnet_sctp_on_cookie_echo(linnet_sctp_t *s, uint64_t now, uint32_t tag, wire_in_t body);

/* sctp_send.c */
void linnet_sctp_send_init(linnet_sctp_t *s);
void linnet_sctp_send_clear(linnet_sctp_t *s);
void linnet_sctp_put_data(linnet_sctp_t *s, uint64_t now, wire_out_t *out);
void linnet_sctp_put_forward_tsn(linnet_sctp_t *s, wire_out_t *out);
int linnet_sctp_on_sack(linnet_sctp_t *s, uint64_t now, wire_in_t body);
void linnet_sctp_on_cum_ack(linnet_sctp_t *s, uint64_t now, uint32_t cum); /* of a SHUTDOWN chunk */
void linnet_sctp_t3_expired(linnet_sctp_t *s, uint64_t now);
void linnet_sctp_all_again(linnet_sctp_t *s); /* everything in flight is sent again, for free */
void linnet_sctp_arm_t3(linnet_sctp_t *s, uint64_t now);
int linnet_sctp_has_stream_data(const linnet_sctp_t *s, uint16_t stream);

/* sctp_recv.c */
void linnet_sctp_recv_init(linnet_sctp_t *s);
void linnet_sctp_recv_start(linnet_sctp_t *s, uint32_t peer_first_tsn);
int linnet_sctp_on_data(linnet_sctp_t *s, uint8_t flags, wire_in_t body);
int linnet_sctp_on_forward_tsn(linnet_sctp_t *s, wire_in_t body);
uint32_t linnet_sctp_window(const linnet_sctp_t *s);
size_t linnet_sctp_put_sack(const linnet_sctp_t *s, wire_out_t *out);
int linnet_sctp_push_reset(linnet_sctp_t *s, uint16_t stream); /* 0 when there is no room */
int linnet_sctp_take_reset(linnet_sctp_t *s, uint16_t *stream);
void linnet_sctp_forget_stream(linnet_sctp_t *s, uint16_t stream);

/* sctp_reconfig.c */
int linnet_sctp_on_reconfig(linnet_sctp_t *s, uint64_t now, wire_in_t body);
void linnet_sctp_run_deferred_reset(linnet_sctp_t *s);
void linnet_sctp_put_reset(linnet_sctp_t *s, uint64_t now, wire_out_t *out);
int linnet_sctp_take_reset_done(linnet_sctp_t *s, uint16_t *stream);

#endif
