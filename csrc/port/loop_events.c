/* The event ring; loop_events.h says what it guarantees. */
#include "loop_events.h"

#include <string.h>

#include "linnet.h"

size_t linnet_events_least(size_t largest) {
    return LINNET_EVENTS_HEAD + largest + LINNET_EVENTS_RESERVE;
}

void linnet_events_init(linnet_events_t *e, uint8_t *bytes, size_t cap, size_t largest) {
    e->bytes = bytes;
    e->cap = cap;
    e->head = e->used = 0;
    e->largest = largest;
    e->has_state = 0;
}

static void put(linnet_events_t *e, const uint8_t *data, size_t len) {
    size_t at = (e->head + e->used) % e->cap;
    size_t part = e->cap - at < len ? e->cap - at : len;
    memcpy(e->bytes + at, data, part);
    memcpy(e->bytes, data + part, len - part);
    e->used += len;
}

static void look(const linnet_events_t *e, size_t from, uint8_t *data, size_t len) {
    size_t at = (e->head + from) % e->cap;
    size_t part = e->cap - at < len ? e->cap - at : len;
    memcpy(data, e->bytes + at, part);
    memcpy(data + part, e->bytes, len - part);
}

/* A state that waits beside the ring comes after all that is in it, and so do the states that follow. */
static int keep_state(linnet_events_t *e, const uint8_t *body) {
    uint8_t bit = (uint8_t)(1u << body[0]);
    int rc = e->has_state & bit ? LINNET_ERR_SPACE : 0;
    memcpy(e->state[body[0]], body, sizeof e->state[0]);
    e->has_state |= bit;
    return rc;
}

static int put_event(linnet_events_t *e, int kind, const uint8_t *body, size_t len) {
    uint8_t head[LINNET_EVENTS_HEAD] = {(uint8_t)kind, (uint8_t)len, (uint8_t)(len >> 8),
                                        (uint8_t)(len >> 16)};
    if (len >> 24 || e->cap - e->used < LINNET_EVENTS_HEAD + len) return LINNET_ERR_SPACE;
    put(e, head, sizeof head);
    put(e, body, len);
    return 0;
}

int linnet_events_put(linnet_events_t *e, int kind, const uint8_t *body, size_t len) {
    int is_state =
        kind == LINNET_OUT_STATE && len == sizeof e->state[0] && body[0] < LINNET_EVENTS_LAYERS;
    if (is_state && e->has_state) return keep_state(e, body);
    if (put_event(e, kind, body, len) == 0) return 0;
    return is_state ? keep_state(e, body) : LINNET_ERR_SPACE;
}

/* Into the ring, which is empty. */
static void put_states(linnet_events_t *e) {
    size_t i;
    for (i = 0; i < LINNET_EVENTS_LAYERS; i++) {
        if (e->has_state >> i & 1)
            (void)put_event(e, LINNET_OUT_STATE, e->state[i], sizeof e->state[i]);
    }
    e->has_state = 0;
}

int linnet_events_take(linnet_events_t *e, uint8_t *buf, size_t cap) {
    uint8_t head[LINNET_EVENTS_HEAD];
    size_t len;
    if (cap < 4) return LINNET_ERR_SPACE;
    memset(buf, 0, 4);
    if (e->used == 0) put_states(e);
    if (e->used == 0) return 0;
    look(e, 0, head, sizeof head);
    len = (size_t)head[1] | (size_t)head[2] << 8 | (size_t)head[3] << 16;
    if (cap - 4 < len) return LINNET_ERR_SPACE;
    memcpy(buf, head + 1, 3);
    look(e, LINNET_EVENTS_HEAD, buf + 4, len);
    e->head = (e->head + LINNET_EVENTS_HEAD + len) % e->cap;
    e->used -= LINNET_EVENTS_HEAD + len;
    return head[0];
}

int linnet_events_has_room(const linnet_events_t *e) {
    return e->cap - e->used >= linnet_events_least(e->largest);
}
