/* The events of a loop between the thread and the interpreter: a byte ring of records, kind and length in front.
 *
 * Invariant: a message (LINNET_OUT_DATA) is put only while one of the largest size still fits beside RESERVE bytes
 * for other events, so that nothing reliable is ever lost here; the loop holds messages back in the core otherwise.
 * The last state of each layer is kept beside a full ring, as a call ends by it. */
#ifndef LINNET_LOOP_EVENTS_H
#define LINNET_LOOP_EVENTS_H

#include <stddef.h>
#include <stdint.h>

enum {
    LINNET_EVENTS_HEAD = 4,
    LINNET_EVENTS_LAYERS = 3,
    LINNET_EVENTS_RESERVE = 4096 /* x 40 events of the largest size that is no message */
};

typedef struct {
    uint8_t *bytes;
    size_t cap, head, used;
    size_t largest;                         /* body of the largest message */
    uint8_t state[LINNET_EVENTS_LAYERS][4]; /* bodies for which the ring had no room */
    uint8_t has_state;                      /* a bit per layer */
} linnet_events_t;

/* Bytes that a ring needs at least. */
size_t linnet_events_least(size_t largest);
void linnet_events_init(linnet_events_t *e, uint8_t *bytes, size_t cap, size_t largest);
/* 0, or LINNET_ERR_SPACE: an event is lost, this one or the state that it replaces. */
int linnet_events_put(linnet_events_t *e, int kind, const uint8_t *body, size_t len);
/* In the form of linnet_poll: u32 length, body. The kind, 0 when empty, or LINNET_ERR_SPACE. */
int linnet_events_take(linnet_events_t *e, uint8_t *buf, size_t cap);
/* 1 while the largest message still fits beside the reserve. */
int linnet_events_has_room(const linnet_events_t *e);

#endif
