/* Rings between the loop and an application; audio_ring.h says what they mean. */
#include "audio_ring.h"

#include <string.h>

#include "linnet.h"
#include "loop.h"

enum { CATCH_UP_S = 2 }; /* a longer pause (a laptop that slept) is left out, and counted */

/* --- one ring --- */

size_t linnet_ring_put(linnet_ring_t *r, const int16_t *pcm, size_t n) {
    size_t done = 0;
    if (n > r->cap - r->n) n = r->cap - r->n;
    while (done < n) {
        size_t at = (r->head + r->n) % r->cap;
        size_t part = r->cap - at < n - done ? r->cap - at : n - done;
        if (pcm) {
            memcpy(r->pcm + at, pcm + done, part * sizeof *pcm);
        } else {
            memset(r->pcm + at, 0, part * sizeof *pcm);
        }
        r->n += part;
        done += part;
    }
    return done;
}

const int16_t *linnet_ring_look(const linnet_ring_t *r, size_t *n) {
    if (*n > r->n) *n = r->n;
    if (*n > r->cap - r->head) *n = r->cap - r->head;
    return r->pcm + r->head;
}

void linnet_ring_drop(linnet_ring_t *r, size_t n) {
    if (n > r->n) n = r->n;
    if (n == 0) return; /* also of a ring without memory */
    r->head = (r->head + n) % r->cap;
    r->n -= n;
}

size_t linnet_ring_take(linnet_ring_t *r, int16_t *pcm, size_t n) {
    size_t done = 0;
    if (n > r->n) n = r->n;
    while (done < n) {
        size_t part = n - done;
        const int16_t *oldest = linnet_ring_look(r, &part);
        memcpy(pcm + done, oldest, part * sizeof *pcm);
        linnet_ring_drop(r, part);
        done += part;
    }
    return done;
}

/* --- the loop's side --- */

/* Samples that a device would have moved since start. */
static uint64_t due(const linnet_rings_t *r, uint64_t now_us) {
    uint64_t us = now_us - r->start_us;
    return us / 1000000 * r->rate_hz + us % 1000000 * r->rate_hz / 1000000;
}

static void to_speaker(linnet_rings_t *r, const int16_t *pcm, size_t n) {
    size_t put = linnet_ring_put(&r->speaker, pcm, n);
    r->counts.speaker_lost += n - put;
    r->played += n;
}

static int rings_start(void *context, uint32_t rate_hz, uint64_t now_us) {
    linnet_rings_t *r = context;
    r->rate_hz = rate_hz;
    r->start_us = now_us;
    r->captured = r->played = 0;
    r->is_running = 1;
    /* It begins with silence, so that a first turn some microseconds later finds nothing missing. */
    if (r->speaker_kind == LINNET_LOOP_PACED) to_speaker(r, NULL, r->ahead);
    return 0;
}

static void rings_stop(void *context) {
    linnet_rings_t *r = context;
    r->is_running = 0;
}

static size_t rings_capture(void *context, uint64_t now_us, int16_t *pcm, size_t n) {
    linnet_rings_t *r = context;
    uint64_t behind;
    size_t got;
    if (r->microphone_kind == LINNET_LOOP_SILENT) return 0;
    if (r->microphone_kind == LINNET_LOOP_FREE) return linnet_ring_take(&r->microphone, pcm, n);
    behind = due(r, now_us) - r->captured;
    if (behind > (uint64_t)CATCH_UP_S * r->rate_hz) {
        uint64_t skipped = behind - (uint64_t)CATCH_UP_S * r->rate_hz;
        r->counts.microphone_starved += skipped;
        r->captured += skipped;
        behind -= skipped;
    }
    if (n > behind) n = (size_t)behind;
    got = linnet_ring_take(&r->microphone, pcm, n);
    if (got < n) memset(pcm + got, 0, (n - got) * sizeof *pcm);
    r->counts.microphone_starved += n - got;
    r->captured += n;
    return n;
}

static size_t rings_room(void *context, uint64_t now_us) {
    linnet_rings_t *r = context;
    uint64_t by_now;
    if (r->speaker_kind == LINNET_LOOP_SILENT) return 0;
    if (r->speaker_kind == LINNET_LOOP_FREE)
        return r->speaker.n < r->ahead ? r->ahead - r->speaker.n : 0;
    by_now = due(r, now_us);
    if (by_now > r->played) { /* it ran dry: what it played meanwhile was silence */
        size_t gap = (size_t)(by_now - r->played);
        r->counts.speaker_starved += gap;
        to_speaker(r, NULL, gap);
    }
    return (size_t)(by_now + r->ahead - r->played);
}

static size_t rings_play(void *context, const int16_t *pcm, size_t n) {
    to_speaker(context, pcm, n);
    return n;
}

static void rings_counts(const void *context, linnet_audio_counts_t *counts) {
    const linnet_rings_t *r = context;
    *counts = r->counts;
}

void linnet_rings_init(linnet_rings_t *r, int microphone_kind, int speaker_kind, size_t ahead,
                       int16_t *microphone, size_t microphone_cap, int16_t *speaker,
                       size_t speaker_cap) {
    memset(r, 0, sizeof *r);
    r->microphone_kind = (uint8_t)microphone_kind;
    r->speaker_kind = (uint8_t)speaker_kind;
    r->ahead = ahead;
    r->microphone.pcm = microphone;
    r->microphone.cap = microphone_cap;
    r->speaker.pcm = speaker;
    r->speaker.cap = speaker_cap;
}

void linnet_rings_device(linnet_rings_t *r, linnet_audio_device_t *device) {
    device->context = r;
    device->start = rings_start;
    device->stop = rings_stop;
    device->capture = rings_capture;
    device->room = rings_room;
    device->play = rings_play;
    device->counts = rings_counts;
}

/* --- the application's side --- */

size_t linnet_rings_mic(linnet_rings_t *r, const int16_t *pcm, size_t n) {
    size_t put;
    if (r->microphone_kind != LINNET_LOOP_FREE)
        return r->microphone.cap ? linnet_ring_put(&r->microphone, pcm, n) : 0;
    if (!r->is_running) return n; /* nobody listens yet, and it would be old by then */
    put = linnet_ring_put(&r->microphone, pcm, n);
    r->counts.microphone_lost += n - put;
    return put;
}

size_t linnet_rings_speaker(linnet_rings_t *r, int16_t *pcm, size_t n) {
    size_t got = r->speaker.cap ? linnet_ring_take(&r->speaker, pcm, n) : 0;
    if (r->speaker_kind == LINNET_LOOP_FREE && r->is_running && r->played)
        r->counts.speaker_starved += n - got;
    return got;
}
