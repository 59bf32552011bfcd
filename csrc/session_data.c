/* The data half of a session: data channels (RFC 8831, 8832) over SCTP over DTLS.
 *
 * Channels may be asked for before the association is up. A message that finds no room is refused with
 * LINNET_ERR_AGAIN and its channel is told LINNET_OUT_SENDABLE once half of the send buffer is free, and room for the
 * largest message that was refused. */
#include "session.h"

enum { MESSAGE_HEAD = 8, PEER_MESSAGE_DEFAULT = 65536 /* RFC 8841 6.1 */ };

static const uint16_t mtu = LINNET_DTLS_WRITE_MAX & ~3; /* SCTP packets are multiples of 4 bytes */

size_t linnet_session_send_mem(const session_config_t *config) {
    size_t least = linnet_sctp_send_mem(config->send_buffer ? 1 : config->max_message, mtu);
    return config->send_buffer > least ? config->send_buffer : least;
}

size_t linnet_session_recv_mem(const session_config_t *config) {
    size_t least = linnet_sctp_recv_mem(config->max_message, mtu);
    if (config->recv_buffer > least) least = config->recv_buffer;
    return least > LINNET_TLS_SPARE ? least - LINNET_TLS_SPARE : 0;
}

/* --- commands --- */

int linnet_session_channel_open(linnet_session_t *s, wire_in_t *in) {
    uint8_t unordered = wire_u8(in), negotiated = wire_u8(in);
    uint16_t id = wire_u16le(in), retransmits = wire_u16le(in);
    wire_span_t label = wire_take(in, wire_u8(in));
    if (!wire_ok(in)) return LINNET_ERR_ARG;
    return linnet_dcep_open(&s->dcep, s->sctp_ready ? &s->sctp : NULL, s->now, label.data,
                            label.len, !unordered, retransmits == 65535 ? -1 : (int32_t)retransmits,
                            0, negotiated ? (int32_t)id : -1);
}

static void wants_room(linnet_session_t *s, uint16_t handle, size_t len) {
    size_t i;
    if (s->n_waiting == 0 || len > s->wanted) s->wanted = (uint32_t)len;
    for (i = 0; i < s->n_waiting; i++) {
        if (s->waiting[i] == handle) return;
    }
    if (s->n_waiting < LINNET_SCTP_STREAMS) s->waiting[s->n_waiting++] = handle;
}

int linnet_session_data_send(linnet_session_t *s, wire_in_t *in) {
    uint16_t handle = wire_u16le(in);
    uint8_t is_string = wire_u8(in);
    int rc;
    wire_skip(in, 1);
    if (!wire_ok(in)) return LINNET_ERR_ARG;
    if (!s->sctp_ready) return LINNET_ERR_STATE;
    rc = linnet_dcep_send(&s->dcep, &s->sctp, s->now, handle, is_string, in->buf + in->pos,
                          wire_left(in));
    if (rc == 0) s->counts.data_sent++;
    if (rc == LINNET_ERR_AGAIN) wants_room(s, handle, wire_left(in));
    return rc;
}

int linnet_session_channel_close(linnet_session_t *s, wire_in_t *in) {
    uint16_t handle = wire_u16le(in);
    if (!wire_ok(in)) return LINNET_ERR_ARG;
    return linnet_dcep_close(&s->dcep, s->sctp_ready ? &s->sctp : NULL, s->now, handle);
}

/* --- the association --- */

void linnet_session_peer_limit(linnet_session_t *s, uint32_t max_message) {
    s->peer_max_message = max_message ? max_message : PEER_MESSAGE_DEFAULT;
    if (s->sctp_ready) linnet_sctp_set_peer_max_message(&s->sctp, s->peer_max_message);
}

/* The receive buffer is what DTLS gives back and the region behind it, in one piece. */
int linnet_session_data_start(linnet_session_t *s) {
    linnet_sctp_config_t config;
    uint8_t *spare;
    memset(&config, 0, sizeof config);
    config.mtu = mtu;
    config.max_message = s->config.max_message;
    config.send_mem = s->sctp_send_mem;
    config.send_len = linnet_session_send_mem(&s->config);
    if (linnet_dtls_give_back(s->dtls, &spare) == 0) return LINNET_ERR_SPACE;
    config.recv_mem = spare;
    config.recv_len = (size_t)(s->sctp_recv_end - spare);
    /* No more than was asked for: the window goes out in every SACK, and what DTLS leaves differs
     * between machines. */
    size_t asked = linnet_session_recv_mem(&s->config) + LINNET_TLS_SPARE;
    if (config.recv_len > asked) config.recv_len = asked;
    if (linnet_sctp_init(&s->sctp, &config, &s->rng) < 0) return LINNET_ERR_SPACE;
    linnet_sctp_set_peer_max_message(&s->sctp, s->peer_max_message);
    s->sctp_ready = 1;
    (void)linnet_sctp_connect(&s->sctp, s->now);
    linnet_dcep_step(&s->dcep, &s->sctp, s->now);
    return 0;
}

static void take_events(linnet_session_t *s) {
    uint16_t stream = 0;
    int event;
    while ((event = linnet_sctp_event(&s->sctp, &stream)) != LINNET_SCTP_EVENT_NONE) {
        linnet_dcep_on_sctp_event(&s->dcep, &s->sctp, s->now, event, stream);
    }
}

void linnet_session_data_input(linnet_session_t *s, const uint8_t *packet, size_t len) {
    if (linnet_sctp_input(&s->sctp, &s->rng, s->now, packet, len) < 0) s->counts.dropped_sctp++;
    take_events(s);
    linnet_dcep_step(&s->dcep, &s->sctp, s->now);
}

void linnet_session_data_flush(linnet_session_t *s, uint8_t *buf, size_t cap) {
    /* Called when the DTLS queue is empty: one packet finds room, SCTP keeps the rest. */
    int n = linnet_sctp_poll(&s->sctp, s->now, buf, cap);
    if (n > 0) (void)linnet_dtls_write(s->dtls, buf, (size_t)n);
    take_events(s);
    linnet_dcep_step(&s->dcep, &s->sctp, s->now);
}

/* --- output --- */

static int put_channel(linnet_session_t *s, wire_out_t *out) {
    linnet_dcep_event_t event;
    int kind = linnet_dcep_event(&s->dcep, &event);
    if (kind == LINNET_DCEP_EVENT_NONE) return 0;
    wire_put_u32le(out, (uint32_t)(7 + event.label_len));
    wire_put_u16le(out, (uint16_t)event.handle);
    wire_put_u8(out, kind == LINNET_DCEP_EVENT_OPENED);
    wire_put_u8(out, 0);
    wire_put_u16le(out, event.id);
    wire_put_u8(out, event.label_len);
    wire_put(out, event.label, event.label_len);
    return LINNET_OUT_CHANNEL;
}

/* Messages for the application; those of DCEP are handled on the way. */
static int put_message(linnet_session_t *s, uint8_t *buf, size_t cap) {
    uint8_t *data = buf + MESSAGE_HEAD;
    linnet_dcep_message_t message;
    wire_out_t head;
    uint16_t stream;
    uint32_t ppid;
    int n;
    for (;;) {
        n = linnet_sctp_recv(&s->sctp, &stream, &ppid, data, cap - MESSAGE_HEAD);
        if (n == 0) {
            uint16_t reset = 0;
            int event = linnet_sctp_event(&s->sctp, &reset);
            if (event == LINNET_SCTP_EVENT_NONE) return 0;
            linnet_dcep_on_sctp_event(&s->dcep, &s->sctp, s->now, event, reset);
            continue;
        }
        if (n < 0) return n;
        n = linnet_dcep_on_message(&s->dcep, &s->sctp, s->now, stream, ppid, data, (size_t)n,
                                   &message);
        if (n == LINNET_DCEP_DATA) break;
        if (n < 0) s->counts.dropped_data++;
    }
    head = wire_out(buf, MESSAGE_HEAD);
    wire_put_u32le(&head, (uint32_t)(4 + message.len));
    wire_put_u16le(&head, message.handle);
    wire_put_u8(&head, message.is_string);
    wire_put_u8(&head, 0);
    s->counts.data_received++;
    return LINNET_OUT_DATA;
}

static int put_sendable(linnet_session_t *s, wire_out_t *out) {
    if (s->n_waiting == 0 ||
        linnet_sctp_buffered(&s->sctp) > linnet_session_send_mem(&s->config) / 2 ||
        !linnet_sctp_has_room(&s->sctp, s->wanted))
        return 0;
    wire_put_u32le(out, 2);
    wire_put_u16le(out, s->waiting[--s->n_waiting]);
    return LINNET_OUT_SENDABLE;
}

int linnet_session_data_poll(linnet_session_t *s, uint8_t *buf, size_t cap) {
    wire_out_t out = wire_out(buf, cap);
    int kind = put_channel(s, &out);
    if (kind == 0 && !s->is_held) kind = put_message(s, buf, cap);
    if (kind == 0) kind = put_channel(s, &out); /* the message may have opened or closed one */
    if (kind == 0) kind = put_sendable(s, &out);
    return kind;
}
