/* Data channels: DATA_CHANNEL_OPEN and ACK (RFC 8832 5, 6), ids by DTLS role, data and its PPIDs
 * (RFC 8831 6.6), closing by stream reset in both directions (RFC 8831 6.7).
 *
 * Nothing is sent from inside an event: what is due is a flag of the channel, and step() queues
 * it when SCTP has room. Not implemented, deliberately: see dcep.h. Invariants: one live channel
 * per stream id, beside which an old one may still wait for the confirmation of our reset; a
 * slot is free again only when both directions of its stream were reset and the application has
 * been told. */
#include "dcep.h"

enum {
    PPID_DCEP = 50,
    PPID_STRING = 51,
    PPID_BINARY = 53,
    PPID_STRING_EMPTY = 56,
    PPID_BINARY_EMPTY = 57
};
enum { MESSAGE_ACK = 2, MESSAGE_OPEN = 3, OPEN_LEN = 12 };
enum { TYPE_REXMIT = 1, TYPE_TIMED = 2, TYPE_UNORDERED = 0x80 };
enum { NO_ID = 0xffff, ALL_STREAMS = 0xffff, USES = 127 };

enum { FREE, WAITING, OPENING, OPEN, CLOSING };

enum {
    IS_REMOTE = 1,
    IS_NEGOTIATED = 2,
    IS_UNORDERED = 4,
    ACK_DUE = 8,
    RESET_DUE = 16,
    WE_RESET = 32,   /* our outgoing stream is reset */
    PEER_RESET = 64, /* the peer's is */
    TELL_OPENED = 128,
    TELL_CLOSED = 256,
    WAS_OPENED = 512
};

/* --- the table --- */

static int handle_of(const linnet_dcep_t *d, const linnet_dcep_channel_t *c) {
    return c->uses * LINNET_SCTP_STREAMS + (int)(c - d->channels);
}

static const linnet_dcep_channel_t *peek_handle(const linnet_dcep_t *d, int handle) {
    const linnet_dcep_channel_t *c;
    if (handle < 0 || handle >= USES * LINNET_SCTP_STREAMS) return NULL;
    c = &d->channels[handle % LINNET_SCTP_STREAMS];
    return c->state != FREE && c->uses == handle / LINNET_SCTP_STREAMS ? c : NULL;
}

static linnet_dcep_channel_t *by_handle(linnet_dcep_t *d, int handle) {
    return peek_handle(d, handle) ? &d->channels[handle % LINNET_SCTP_STREAMS] : NULL;
}

/* The first channel of the stream that closes and has none of these flags. */
static linnet_dcep_channel_t *past(linnet_dcep_t *d, uint32_t id, uint16_t without) {
    size_t i;
    for (i = 0; i < LINNET_SCTP_STREAMS; i++) {
        linnet_dcep_channel_t *c = &d->channels[i];
        if (c->state == CLOSING && c->id == id && id != NO_ID && !(c->flags & without)) return c;
    }
    return NULL;
}

/* The channel that uses the stream now. */
static linnet_dcep_channel_t *by_id(linnet_dcep_t *d, uint32_t id) {
    size_t i;
    for (i = 0; i < LINNET_SCTP_STREAMS; i++) {
        linnet_dcep_channel_t *c = &d->channels[i];
        if (c->state != FREE && c->state != CLOSING && c->id == id && id != NO_ID) return c;
    }
    return NULL;
}

static int is_taken(linnet_dcep_t *d, uint32_t id) {
    return by_id(d, id) || past(d, id, 0);
}

static linnet_dcep_channel_t *take_slot(linnet_dcep_t *d) {
    size_t i;
    for (i = 0; i < LINNET_SCTP_STREAMS; i++) {
        linnet_dcep_channel_t *c = &d->channels[i];
        uint8_t uses = (uint8_t)((c->uses + 1) % USES);
        if (c->state != FREE) continue;
        memset(c, 0, sizeof(*c));
        c->uses = uses;
        c->id = NO_ID;
        c->max_retransmits = -1;
        return c;
    }
    return NULL;
}

static void free_if_over(linnet_dcep_channel_t *c) {
    const uint16_t both = WE_RESET | PEER_RESET;
    if (c->state == CLOSING && (c->flags & both) == both &&
        !(c->flags & (TELL_OPENED | TELL_CLOSED))) {
        c->state = FREE;
    }
}

static void set(linnet_dcep_channel_t *c, uint16_t flags) {
    c->flags = (uint16_t)(c->flags | flags);
}

static void unset(linnet_dcep_channel_t *c, uint16_t flags) {
    c->flags = (uint16_t)(c->flags & ~flags);
}

void linnet_dcep_init(linnet_dcep_t *d) {
    memset(d, 0, sizeof(*d));
}

void linnet_dcep_set_role(linnet_dcep_t *d, int even_or_odd) {
    d->has_role = 1;
    d->role = (uint8_t)(even_or_odd == LINNET_DCEP_ODD);
}

/* RFC 8832 6: the lowest free id of our parity. */
static int choose_id(linnet_dcep_t *d, linnet_dcep_channel_t *c) {
    uint32_t id;
    if (c->id != NO_ID) return 1;
    if (!d->has_role) return 0;
    for (id = d->role; is_taken(d, id); id += 2) {
    }
    c->id = (uint16_t)id;
    return 1;
}

/* --- opening --- */

int linnet_dcep_open(linnet_dcep_t *d, linnet_sctp_t *sctp, uint64_t now_us, const uint8_t *label,
                     size_t label_len, int ordered, int32_t max_retransmits, uint32_t lifetime_ms,
                     int32_t negotiated_id) {
    linnet_dcep_channel_t *c;
    if (max_retransmits < -1 || (max_retransmits >= 0 && lifetime_ms)) return LINNET_ERR_ARG;
    if (negotiated_id < -1 || negotiated_id > 65534 || (label_len && !label)) return LINNET_ERR_ARG;
    if (negotiated_id >= 0 && is_taken(d, (uint32_t)negotiated_id)) return LINNET_ERR_ARG;
    if (label_len > LINNET_SCTP_LABEL_MAX) return LINNET_ERR_LIMIT;
    c = take_slot(d);
    if (!c) return LINNET_ERR_LIMIT;
    c->state = WAITING;
    c->max_retransmits = max_retransmits;
    c->lifetime_ms = lifetime_ms;
    c->label_len = (uint8_t)label_len;
    if (label_len) memcpy(c->label, label, label_len);
    if (!ordered) set(c, IS_UNORDERED);
    if (negotiated_id >= 0) {
        c->id = (uint16_t)negotiated_id;
        set(c, IS_NEGOTIATED);
    }
    linnet_dcep_step(d, sctp, now_us);
    return handle_of(d, c);
}

/* RFC 8832 6, RFC 8831 6.6: control messages are ordered and reliable. */
static int send_control(linnet_sctp_t *sctp, uint64_t now, uint16_t stream,
                        const wire_out_t *message) {
    linnet_sctp_send_t how;
    memset(&how, 0, sizeof(how));
    how.stream = stream;
    how.ppid = PPID_DCEP;
    how.max_retransmits = -1;
    return linnet_sctp_send(sctp, now, &how, message->buf, message->pos);
}

static int send_open(linnet_sctp_t *sctp, uint64_t now, const linnet_dcep_channel_t *c) {
    uint8_t bytes[OPEN_LEN + LINNET_SCTP_LABEL_MAX];
    wire_out_t out = wire_out(bytes, sizeof(bytes));
    uint8_t type = c->max_retransmits >= 0 ? TYPE_REXMIT : c->lifetime_ms ? TYPE_TIMED : 0;
    wire_put_u8(&out, MESSAGE_OPEN);
    wire_put_u8(&out, (uint8_t)(type | (c->flags & IS_UNORDERED ? TYPE_UNORDERED : 0)));
    wire_put_u16(&out, 256); /* priority "normal", RFC 8831 6.4 */
    wire_put_u32(&out, type == TYPE_REXMIT ? (uint32_t)c->max_retransmits : c->lifetime_ms);
    wire_put_u16(&out, c->label_len);
    wire_put_u16(&out, 0);
    wire_put(&out, c->label, c->label_len);
    return send_control(sctp, now, c->id, &out);
}

/* --- closing --- */

static void begin_closing(linnet_dcep_channel_t *c) {
    if (c->state == CLOSING) return;
    if (c->state == WAITING) { /* the peer has never heard of it */
        set(c, WE_RESET | PEER_RESET | TELL_CLOSED);
    } else {
        set(c, RESET_DUE);
    }
    c->state = CLOSING;
    unset(c, ACK_DUE);
}

int linnet_dcep_close(linnet_dcep_t *d, linnet_sctp_t *sctp, uint64_t now_us, int handle) {
    linnet_dcep_channel_t *c = by_handle(d, handle);
    if (!c || c->state == CLOSING) return LINNET_ERR_CLOSED;
    begin_closing(c);
    linnet_dcep_step(d, sctp, now_us);
    return 0;
}

static void we_have_reset(linnet_dcep_channel_t *c) {
    if (!(c->flags & WE_RESET)) set(c, WE_RESET | TELL_CLOSED);
    unset(c, RESET_DUE);
    free_if_over(c);
}

static void step_reset(linnet_sctp_t *sctp, linnet_dcep_channel_t *c) {
    int n = linnet_sctp_reset_stream(sctp, c->id);
    if (n == 0) unset(c, RESET_DUE);
    if (n == LINNET_ERR_STATE && linnet_sctp_state(sctp) >= LINNET_SCTP_ESTABLISHED) {
        set(c, PEER_RESET); /* a peer without RFC 6525 cannot close channels: ours ends here */
        we_have_reset(c);
    }
}

/* --- what is due --- */

static void step_channel(linnet_dcep_t *d, linnet_sctp_t *sctp, uint64_t now,
                         linnet_dcep_channel_t *c) {
    if (c->state == WAITING && linnet_sctp_state(sctp) != LINNET_SCTP_CLOSED && choose_id(d, c)) {
        if (c->flags & IS_NEGOTIATED) {
            c->state = OPEN;
        } else if (send_open(sctp, now, c) == 0) {
            c->state = OPENING;
            d->counters.opens_out++;
        }
    }
    if (c->flags & ACK_DUE) {
        const uint8_t type = MESSAGE_ACK;
        uint8_t bytes[1];
        wire_out_t out = wire_out(bytes, sizeof(bytes));
        wire_put_u8(&out, type);
        if (send_control(sctp, now, c->id, &out) == 0) {
            unset(c, ACK_DUE);
            d->counters.acks_out++;
        }
    }
    if (c->flags & RESET_DUE) step_reset(sctp, c);
    if (d->is_up && (c->state == OPENING || c->state == OPEN) && !(c->flags & WAS_OPENED)) {
        set(c, WAS_OPENED | TELL_OPENED);
    }
}

void linnet_dcep_step(linnet_dcep_t *d, linnet_sctp_t *sctp, uint64_t now_us) {
    size_t i;
    if (!sctp || linnet_sctp_state(sctp) == LINNET_SCTP_LOST) return;
    for (i = 0; i < LINNET_SCTP_STREAMS; i++) {
        if (d->channels[i].state != FREE) step_channel(d, sctp, now_us, &d->channels[i]);
    }
    while (d->n_refused &&
           linnet_sctp_reset_stream(sctp, d->refused[d->n_refused - 1]) != LINNET_ERR_AGAIN) {
        d->n_refused--;
    }
}

static void end_all(linnet_dcep_t *d) {
    size_t i;
    d->n_refused = 0;
    for (i = 0; i < LINNET_SCTP_STREAMS; i++) {
        linnet_dcep_channel_t *c = &d->channels[i];
        if (c->state == FREE) continue;
        begin_closing(c);
        set(c, PEER_RESET);
        we_have_reset(c);
    }
}

/* RFC 8831 6.7: we reset our side in answer. One that closes beside a live one has had its reset. */
static void on_peer_reset(linnet_dcep_t *d, uint16_t stream) {
    size_t i;
    for (i = 0; i < LINNET_SCTP_STREAMS; i++) {
        linnet_dcep_channel_t *c = &d->channels[i];
        if (c->state < OPENING || (stream != ALL_STREAMS && c->id != stream)) continue;
        begin_closing(c);
        set(c, PEER_RESET);
        free_if_over(c);
    }
}

void linnet_dcep_on_sctp_event(linnet_dcep_t *d, linnet_sctp_t *sctp, uint64_t now_us, int event,
                               uint16_t stream) {
    linnet_dcep_channel_t *c;
    switch (event) {
    case LINNET_SCTP_EVENT_UP: d->is_up = 1; break;
    case LINNET_SCTP_EVENT_PEER_RESET: on_peer_reset(d, stream); break;
    case LINNET_SCTP_EVENT_RESET_DONE:
        c = past(d, stream, RESET_DUE | WE_RESET); /* the one whose reset was under way */
        if (c) we_have_reset(c);
        break;
    case LINNET_SCTP_EVENT_CLOSED:
    case LINNET_SCTP_EVENT_ABORTED:
    case LINNET_SCTP_EVENT_LOST:
        d->is_up = 0;
        end_all(d);
        return;
    case LINNET_SCTP_EVENT_RESTARTED: end_all(d); break;
    default: return;
    }
    linnet_dcep_step(d, sctp, now_us);
}

/* --- messages in --- */

/* The channel cannot be: the peer learns it by the reset of the stream. */
static int refuse(linnet_dcep_t *d, uint16_t stream) {
    d->counters.drop_channel++;
    if (d->n_refused < LINNET_SCTP_STREAMS) d->refused[d->n_refused++] = stream;
    return LINNET_ERR_PACKET;
}

static int on_open(linnet_dcep_t *d, uint16_t stream, wire_in_t *in) {
    linnet_dcep_channel_t *c = by_id(d, stream);
    uint8_t type = wire_u8(in);
    uint32_t reliability;
    uint16_t label_len, protocol_len;
    wire_span_t label;
    (void)wire_u16(in); /* priority */
    reliability = wire_u32(in);
    label_len = wire_u16(in);
    protocol_len = wire_u16(in);
    label = wire_take(in, label_len);
    wire_skip(in, protocol_len);
    if (!wire_ok(in) || wire_left(in)) {
        d->counters.drop_control++;
        return LINNET_ERR_PACKET;
    }
    d->counters.opens_in++;
    if (c && (c->flags & IS_NEGOTIATED)) { /* the peer opens what both had agreed: say yes */
        set(c, ACK_DUE);
        return LINNET_DCEP_CONTROL;
    }
    if (c || (type & 0x7f) > TYPE_TIMED || label_len > LINNET_SCTP_LABEL_MAX)
        return refuse(d, stream);
    /* An id may come again as soon as the peer has seen both resets, even if its answer to ours
     * was lost: then our ACK waits until that answer is here. Before, it is a breach. */
    if (past(d, stream, PEER_RESET)) return refuse(d, stream);
    /* RFC 8832 6: our half of the ids */
    if (d->has_role && (stream & 1) == d->role) return refuse(d, stream);
    c = take_slot(d);
    if (!c) return refuse(d, stream);
    c->state = OPEN;
    c->id = stream;
    set(c, IS_REMOTE | ACK_DUE | (type & TYPE_UNORDERED ? IS_UNORDERED : 0));
    if ((type & 0x7f) == TYPE_REXMIT) {
        c->max_retransmits = reliability > INT32_MAX ? INT32_MAX : (int32_t)reliability;
    }
    if ((type & 0x7f) == TYPE_TIMED) c->lifetime_ms = reliability;
    c->label_len = (uint8_t)label_len;
    if (label_len) memcpy(c->label, label.data, label_len);
    return LINNET_DCEP_CONTROL;
}

static int on_control(linnet_dcep_t *d, uint16_t stream, const uint8_t *data, size_t len) {
    wire_in_t in = wire_in(data, len);
    uint8_t type = wire_u8(&in);
    linnet_dcep_channel_t *c;
    if (type == MESSAGE_OPEN) return on_open(d, stream, &in);
    c = by_id(d, stream);
    if (!c) c = past(d, stream, 0); /* closed before it was acknowledged */
    if (type != MESSAGE_ACK || !c || c->state < OPENING || (c->flags & IS_REMOTE)) {
        d->counters.drop_control++;
        return LINNET_ERR_PACKET;
    }
    d->counters.acks_in++;
    if (c->state == OPENING) c->state = OPEN;
    return LINNET_DCEP_CONTROL;
}

int linnet_dcep_on_message(linnet_dcep_t *d, linnet_sctp_t *sctp, uint64_t now_us, uint16_t stream,
                           uint32_t ppid, const uint8_t *data, size_t len,
                           linnet_dcep_message_t *message) {
    linnet_dcep_channel_t *c;
    if (ppid == PPID_DCEP) {
        int kind = on_control(d, stream, data, len);
        linnet_dcep_step(d, sctp, now_us);
        return kind;
    }
    c = by_id(d, stream);
    if (!c || c->state < OPENING) {
        d->counters.drop_stream++;
        return LINNET_ERR_PACKET;
    }
    if (ppid != PPID_STRING && ppid != PPID_BINARY && ppid != PPID_STRING_EMPTY &&
        ppid != PPID_BINARY_EMPTY) {
        d->counters.drop_ppid++;
        return LINNET_ERR_PACKET;
    }
    message->handle = (uint16_t)handle_of(d, c);
    message->is_string = ppid == PPID_STRING || ppid == PPID_STRING_EMPTY;
    message->len = ppid == PPID_STRING || ppid == PPID_BINARY ? len : 0;
    d->counters.messages_in++;
    return LINNET_DCEP_DATA;
}

/* --- messages out --- */

int linnet_dcep_send(linnet_dcep_t *d, linnet_sctp_t *sctp, uint64_t now_us, int handle,
                     int is_string, const uint8_t *data, size_t len) {
    static const uint8_t EMPTY[1] = {0};
    linnet_dcep_channel_t *c = by_handle(d, handle);
    linnet_sctp_send_t how;
    int n;
    if (!c || c->state == CLOSING) return LINNET_ERR_CLOSED;
    if (c->state == WAITING || !sctp) return LINNET_ERR_STATE;
    memset(&how, 0, sizeof(how));
    how.stream = c->id;
    how.ppid = is_string ? PPID_STRING : PPID_BINARY;
    /* RFC 8832 6: nothing overtakes the OPEN. */
    how.unordered = (c->flags & IS_UNORDERED) && c->state != OPENING;
    how.max_retransmits = c->max_retransmits;
    how.lifetime_ms = c->lifetime_ms;
    if (len == 0) {
        how.ppid = is_string ? PPID_STRING_EMPTY : PPID_BINARY_EMPTY;
        data = EMPTY;
        len = 1;
    }
    n = linnet_sctp_send(sctp, now_us, &how, data, len);
    if (n == 0) d->counters.messages_out++;
    return n;
}

/* --- to the application --- */

int linnet_dcep_is_open(const linnet_dcep_t *d, int handle) {
    const linnet_dcep_channel_t *c = peek_handle(d, handle);
    return c && (c->state == OPENING || c->state == OPEN);
}

int linnet_dcep_event(linnet_dcep_t *d, linnet_dcep_event_t *event) {
    size_t i;
    for (i = 0; i < LINNET_SCTP_STREAMS; i++) {
        linnet_dcep_channel_t *c = &d->channels[i];
        int is_opened = c->flags & TELL_OPENED;
        if (c->state == FREE || !(c->flags & (TELL_OPENED | TELL_CLOSED))) continue;
        event->handle = handle_of(d, c);
        event->id = c->id;
        event->is_remote = (c->flags & IS_REMOTE) != 0;
        event->unordered = (c->flags & IS_UNORDERED) != 0;
        event->max_retransmits = c->max_retransmits;
        event->lifetime_ms = c->lifetime_ms;
        event->label_len = c->label_len;
        memcpy(event->label, c->label, sizeof(event->label));
        unset(c, is_opened ? TELL_OPENED : TELL_CLOSED);
        free_if_over(c);
        return is_opened ? LINNET_DCEP_EVENT_OPENED : LINNET_DCEP_EVENT_CLOSED;
    }
    return LINNET_DCEP_EVENT_NONE;
}
