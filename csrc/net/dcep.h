/* WebRTC data channels: DCEP (RFC 8832) and the channel rules of RFC 8831 over one SCTP
 * association.
 *
 * Channels are opened in band (DATA_CHANNEL_OPEN, even ids for the DTLS client, odd for the
 * server) or agreed elsewhere under a given id. Not implemented, deliberately: the protocol
 * field (sent empty, read and dropped), priorities, partial messages (PPID 52, 54). Invariants:
 * a bounded table; a handle is never given to two channels within 127 uses of a slot; everything
 * that belongs to no channel is counted. */
#ifndef LINNET_DCEP_H
#define LINNET_DCEP_H

#include "sctp.h"

typedef struct {
    uint8_t state, uses, label_len;
    uint16_t flags, id;
    int32_t max_retransmits;
    uint32_t lifetime_ms;
    uint8_t label[LINNET_SCTP_LABEL_MAX];
} linnet_dcep_channel_t;

typedef struct {
    uint32_t opens_in, opens_out, acks_in, acks_out, messages_in, messages_out;
    uint32_t drop_control; /* control messages that do not parse or fit no channel */
    uint32_t drop_stream;  /* data on a stream without a channel */
    uint32_t drop_ppid;    /* data of a kind we do not know */
    uint32_t drop_channel; /* channels of the peer refused: table full, label too long, wrong id */
} linnet_dcep_counters_t;

typedef struct {
    uint8_t has_role, role;
    uint8_t is_up; /* the association is established */
    uint8_t n_refused;
    uint16_t refused[LINNET_SCTP_STREAMS]; /* streams of refused channels, to be reset */
    linnet_dcep_channel_t channels[LINNET_SCTP_STREAMS];
    linnet_dcep_counters_t counters;
} linnet_dcep_t;

/* [ffi-begin]  plain declarations only: no macro, inline, variadic, callback */
enum { LINNET_DCEP_EVEN = 0, LINNET_DCEP_ODD = 1 }; /* DTLS client, DTLS server */
enum { LINNET_DCEP_EVENT_NONE, LINNET_DCEP_EVENT_OPENED, LINNET_DCEP_EVENT_CLOSED };
enum { LINNET_DCEP_CONTROL = 0, LINNET_DCEP_DATA = 1 };

/* What linnet_dcep_on_message says about a message. */
typedef struct {
    uint16_t handle;
    uint8_t is_string;
    size_t len; /* 0 for the empty message, which has one byte on the wire */
} linnet_dcep_message_t;

typedef struct {
    int32_t handle;
    uint16_t id;
    uint8_t is_remote; /* the peer opened it */
    uint8_t unordered;
    int32_t max_retransmits;
    uint32_t lifetime_ms;
    uint8_t label_len;
    uint8_t label[LINNET_SCTP_LABEL_MAX];
} linnet_dcep_event_t;

void linnet_dcep_init(linnet_dcep_t *d);
/* Ids of in-band channels can be chosen from now on. */
void linnet_dcep_set_role(linnet_dcep_t *d, int even_or_odd);
/* sctp may be NULL while there is no association yet. A handle >= 0, or LINNET_ERR_LIMIT (table
 * full, label too long), LINNET_ERR_ARG. max_retransmits -1 and lifetime_ms 0: reliable; not
 * both limits at once. negotiated_id -1: in band. OPEN leaves as soon as it can. */
int linnet_dcep_open(linnet_dcep_t *d, linnet_sctp_t *sctp, uint64_t now_us, const uint8_t *label,
                     size_t label_len, int ordered, int32_t max_retransmits, uint32_t lifetime_ms,
                     int32_t negotiated_id);
/* A channel counts as opened when its OPEN is on the way: the peer's ACK changes only that
 * unordered messages may overtake each other from then on (RFC 8832 6). LINNET_ERR_STATE until
 * OPEN has been queued; LINNET_ERR_CLOSED for a channel that is closing or gone; else as
 * linnet_sctp_send. len 0 is a message too (RFC 8831 6.6). */
int linnet_dcep_send(linnet_dcep_t *d, linnet_sctp_t *sctp, uint64_t now_us, int handle,
                     int is_string, const uint8_t *data, size_t len);
/* Sorts one message of linnet_sctp_recv: LINNET_DCEP_DATA for the application,
 * LINNET_DCEP_CONTROL was ours, LINNET_ERR_PACKET belonged to nobody or did not parse (counted). */
int linnet_dcep_on_message(linnet_dcep_t *d, linnet_sctp_t *sctp, uint64_t now_us, uint16_t stream,
                           uint32_t ppid, const uint8_t *data, size_t len,
                           linnet_dcep_message_t *message);
/* Hand over every event of linnet_sctp_event. */
void linnet_dcep_on_sctp_event(linnet_dcep_t *d, linnet_sctp_t *sctp, uint64_t now_us, int event,
                               uint16_t stream);
/* Queues what has been waiting (OPEN, ACK, resets). Call after SCTP input and whenever SCTP had
 * room again. */
void linnet_dcep_step(linnet_dcep_t *d, linnet_sctp_t *sctp, uint64_t now_us);
/* What was sent before still arrives; LINNET_DCEP_EVENT_CLOSED follows. */
int linnet_dcep_close(linnet_dcep_t *d, linnet_sctp_t *sctp, uint64_t now_us, int handle);
int linnet_dcep_event(linnet_dcep_t *d, linnet_dcep_event_t *event);
int linnet_dcep_is_open(const linnet_dcep_t *d, int handle); /* 1 once messages may be sent */
/* [ffi-end] */

#endif
