/* Playout buffer with a fixed target delay: see jitter.h for how it plays.
 *
 * put() only files packets by sequence number; get() alone moves the playout point. What decides
 * there: is the oldest packet due, is it ahead of the point (silence or loss), or is there none
 * (starved)? */
#include "jitter.h"

#include "codec.h"
#include <string.h>

enum {
    DEFAULT_DELAY_MS = 60,
    FRAME_START = 960,  /* until a packet says otherwise */
    GRAIN = 120,        /* 2.5 ms: the smallest step Opus conceals */
    MAX_DROPOUT = 3000, /* RFC 3550 A.1: a jump further is a new source */
    MAX_MISORDER = 100,
    RESTART_GAP = 2 * 48000, /* a timestamp further off is a new base */
    DRY_LIMIT = 9600,        /* 200 ms without a packet: stop and fill again */
    DRY_LIMIT_DTX =
        48000,     /* a silent sender sends one every 400 ms; allow one of them to be lost */
    WINDOW = 24000 /* 500 ms: surplus is what stayed in the buffer all that time */
};
_Static_assert((LINNET_JITTER_PACKETS & (LINNET_JITTER_PACKETS - 1)) == 0,
               "sequence numbers wrap at 65536: the ring must divide it");
_Static_assert(LINNET_JITTER_PACKETS >= 4 && LINNET_JITTER_PACKETS <= 256, "ring size");
_Static_assert(LINNET_JITTER_BYTES >= LINNET_OPUS_PACKET_MAX && LINNET_JITTER_BYTES <= 65535,
               "one packet fits, and offsets have 16 bits");

static linnet_jitter_slot_t *slot_of(linnet_jitter_t *j, uint16_t sequence) {
    return &j->slot[sequence % LINNET_JITTER_PACKETS];
}

static uint32_t smaller(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static void release(linnet_jitter_t *j, linnet_jitter_slot_t *slot) {
    slot->is_held = 0;
    j->held--;
    j->buffered -= slot->duration;
}

/* Moves `next` up to `sequence` and forgets what was held before it. `is_played`: the last number
 * passed was played. */
static void advance(linnet_jitter_t *j, uint16_t sequence, int is_played) {
    uint16_t steps = (uint16_t)(sequence - j->next);
    for (uint16_t i = 0; i < steps && i < LINNET_JITTER_PACKETS; i++) {
        linnet_jitter_slot_t *slot = slot_of(j, (uint16_t)(j->next + i));
        if (slot->is_held) release(j, slot);
    }
    j->seen = steps >= 32 ? 0 : j->seen << steps;
    if (is_played && steps > 0) j->seen |= 1;
    j->next = sequence;
}

/* --- filing --- */

void linnet_jitter_init(linnet_jitter_t *j, uint32_t delay_ms) {
    memset(j, 0, sizeof *j);
    j->delay = 48 * (delay_ms ? delay_ms : DEFAULT_DELAY_MS);
    j->frame = FRAME_START;
}

void linnet_jitter_flush(linnet_jitter_t *j) {
    for (size_t i = 0; i < LINNET_JITTER_PACKETS; i++) j->slot[i].is_held = 0;
    j->held = 0;
    j->buffered = 0;
    j->seen = 0;
    j->is_begun = 0;
    j->is_playing = 0;
    j->is_dtx = 0;
    j->dry = j->dry_frames = 0;
    j->excess = j->dearth = 0;
}

/* Before anything was played, an older packet than the first may still come: 1 when all held ones
 * stay in reach. */
static int fits_before(const linnet_jitter_t *j, uint16_t sequence) {
    for (size_t i = 0; i < LINNET_JITTER_PACKETS; i++) {
        const linnet_jitter_slot_t *slot = &j->slot[i];
        if (slot->is_held && (uint16_t)(slot->sequence - sequence) >= LINNET_JITTER_PACKETS)
            return 0;
    }
    return 1;
}

/* A packet whose number is behind `next`. 1 = there is a place for it after all. */
static int is_wanted_behind(linnet_jitter_t *j, uint16_t sequence) {
    uint16_t behind = (uint16_t)(j->next - sequence);
    if (behind > MAX_MISORDER) {
        linnet_jitter_flush(j);
        j->stats.restarts++;
        j->next = sequence;
        return 1;
    }
    if (!j->is_begun && fits_before(j, sequence)) {
        j->next = sequence;
        return 1;
    }
    if (behind <= 32 && (j->seen >> (behind - 1) & 1)) {
        j->stats.duplicate++;
    } else {
        j->stats.late++;
    }
    return 0;
}

/* Throws out the packets before `first`. */
static void throw_out(linnet_jitter_t *j, uint16_t first) {
    uint32_t oldest_kept = 0;
    int is_thrown = 0;
    for (size_t i = 0; i < LINNET_JITTER_PACKETS; i++) {
        linnet_jitter_slot_t *slot = &j->slot[i];
        if (!slot->is_held || (uint16_t)(slot->sequence - j->next) >= (uint16_t)(first - j->next))
            continue;
        if (!is_thrown || (int32_t)(slot->timestamp + slot->duration - oldest_kept) > 0)
            oldest_kept = slot->timestamp + slot->duration;
        is_thrown = 1;
        j->stats.overflow++;
        release(j, slot);
    }
    advance(j, first, 0);
    /* What was thrown out must not be waited for as if it were silence. */
    if (is_thrown && (int32_t)(oldest_kept - j->point) > 0) j->point = oldest_kept;
}

/* 1 when `sequence` may be filed: it then lies in [next, next + LINNET_JITTER_PACKETS). */
static int is_wanted(linnet_jitter_t *j, uint16_t sequence) {
    uint16_t ahead = (uint16_t)(sequence - j->next);
    if (!j->is_begun && j->held == 0) {
        j->next = sequence;
        return 1;
    }
    if (ahead >= 0x8000) return is_wanted_behind(j, sequence);
    if (ahead >= MAX_DROPOUT) {
        linnet_jitter_flush(j);
        j->stats.restarts++;
        j->next = sequence;
        return 1;
    }
    if (ahead >= LINNET_JITTER_PACKETS) {
        throw_out(j, (uint16_t)(sequence - LINNET_JITTER_PACKETS + 1));
    } else if (slot_of(j, sequence)->is_held) {
        j->stats.duplicate++;
        return 0;
    }
    return 1;
}

/* --- payloads --- */

static size_t bytes_held(const linnet_jitter_t *j) {
    size_t sum = 0;
    for (size_t i = 0; i < LINNET_JITTER_PACKETS; i++)
        if (j->slot[i].is_held) sum += j->slot[i].len;
    return sum;
}

/* Moves all payloads to the front, in the order in which they lie. */
static void gather(linnet_jitter_t *j) {
    uint16_t end = 0, from = 0;
    for (;;) {
        linnet_jitter_slot_t *next = NULL;
        for (size_t i = 0; i < LINNET_JITTER_PACKETS; i++) {
            linnet_jitter_slot_t *slot = &j->slot[i];
            if (!slot->is_held || slot->len == 0 || slot->at < from) continue;
            if (next == NULL || slot->at < next->at) next = slot;
        }
        if (next == NULL) break;
        from = (uint16_t)(next->at + next->len);
        memmove(j->bytes + end, j->bytes + next->at, next->len);
        next->at = end;
        end = (uint16_t)(end + next->len);
    }
    j->end = end;
}

/* Room for a payload of `sequence` at bytes[end]: the oldest packets give way. 0 when it is itself
 * the oldest. */
static int make_room(linnet_jitter_t *j, uint16_t sequence, size_t len) {
    if (j->held == 0) j->end = 0;
    if (len <= sizeof j->bytes - j->end) return 1;
    while (len > sizeof j->bytes - bytes_held(j)) {
        uint16_t oldest = j->next;
        while (oldest != sequence && !slot_of(j, oldest)->is_held) oldest++;
        if (oldest == sequence) {
            j->stats.overflow++;
            return 0;
        }
        throw_out(j, (uint16_t)(oldest + 1));
    }
    gather(j);
    return 1;
}

int linnet_jitter_put(linnet_jitter_t *j, uint64_t now_us, uint16_t sequence, uint32_t timestamp,
                      const uint8_t *payload, size_t len) {
    linnet_jitter_slot_t *slot;
    uint32_t duration = len ? linnet_opus_duration(payload, len) : 0;
    j->stats.received++;
    if (len > LINNET_OPUS_PACKET_MAX) {
        j->stats.oversize++;
        return LINNET_ERR_PACKET;
    }
    if (len > 0 && duration == 0) {
        j->stats.malformed++;
        return LINNET_ERR_PACKET;
    }
    if (!is_wanted(j, sequence) || !make_room(j, sequence, len)) return 0;
    if (len == 0) j->stats.empty++;
    slot = slot_of(j, sequence);
    slot->arrival_us = now_us;
    slot->timestamp = timestamp;
    slot->sequence = sequence;
    slot->len = (uint16_t)len;
    slot->duration = (uint16_t)duration;
    slot->is_held = 1;
    slot->at = j->end;
    if (len) memcpy(j->bytes + slot->at, payload, len);
    j->end = (uint16_t)(j->end + len);
    j->held++;
    j->buffered += duration;
    return 1;
}

/* --- playing --- */

static int answer(linnet_jitter_t *j, int kind, uint32_t duration) {
    j->duration = duration;
    return kind;
}

/* The oldest packet with sound. Packets of padding in front are used up; one behind a missing
 * packet waits. */
static linnet_jitter_slot_t *find_head(linnet_jitter_t *j) {
    for (uint16_t i = 0, first = j->next; i < LINNET_JITTER_PACKETS && j->held > 0; i++) {
        uint16_t sequence = (uint16_t)(first + i);
        linnet_jitter_slot_t *slot = slot_of(j, sequence);
        if (!slot->is_held) continue;
        if (slot->len > 0) return slot;
        if (sequence == j->next) advance(j, (uint16_t)(sequence + 1), 1);
    }
    return NULL;
}

static void start_watching(linnet_jitter_t *j) {
    j->watched = 0;
    j->least = UINT32_MAX;
    j->most = 0;
}

/* Nothing is there: late, lost, or silence that was not announced. The point goes on; what it was
 * shows later. */
static int play_dry(linnet_jitter_t *j) {
    j->dry += j->frame;
    if (j->dry > (j->is_dtx ? DRY_LIMIT_DTX : DRY_LIMIT)) {
        j->is_playing = 0;
        if (!j->is_dtx) j->stats.rebuffers++;
        return answer(j, LINNET_JITTER_WAIT, j->frame);
    }
    j->point += j->frame;
    if (j->is_dtx) {
        j->stats.dtx++;
        return answer(j, LINNET_JITTER_DTX, j->frame);
    }
    j->stats.starved++;
    j->dry_frames++;
    return answer(j, LINNET_JITTER_LOST, j->frame);
}

/* The first packet after a dry spell tells what that was: numbers are missing (lost), the timestamp
 * covers it though none is missing (silence), or neither (it came late, and the delay has grown).
 * Only the counters change. */
static void judge_dry_spell(linnet_jitter_t *j, const linnet_jitter_slot_t *head) {
    uint16_t missing = (uint16_t)(head->sequence - j->next);
    int64_t covered = (int64_t)j->dry + (int32_t)(head->timestamp - j->point);
    uint32_t frames = covered > 0 ? smaller(j->dry_frames, (uint32_t)(covered / j->frame)) : 0;
    if (missing > 0) {
        frames = smaller(frames, missing);
        j->stats.lost += frames;
        advance(j, (uint16_t)(j->next + frames), 0);
    } else {
        j->stats.dtx += frames;
    }
    j->stats.starved -= frames;
    j->dry = j->dry_frames = 0;
}

/* Filling: play when the oldest packet has waited for the target delay, or as much is buffered
 * behind it. */
static int start_playing(linnet_jitter_t *j, uint64_t now_us, const linnet_jitter_slot_t *head) {
    uint64_t waited_us = now_us > head->arrival_us ? now_us - head->arrival_us : 0;
    int is_full = j->held >= LINNET_JITTER_PACKETS - 2 ||
                  bytes_held(j) + 2 * (size_t)head->len > sizeof j->bytes;
    if (waited_us * 48 < (uint64_t)j->delay * 1000 && j->buffered - head->duration < j->delay &&
        !is_full)
        return 0;
    if (j->dry > 0) judge_dry_spell(j, head);
    j->is_playing = 1;
    j->point = head->timestamp;
    advance(j, head->sequence, 0);
    j->frame = head->duration;
    j->excess = j->dearth = 0;
    start_watching(j);
    return 1;
}

/* The oldest packet is not due yet: the sender is silent, or packets before it are missing. */
static int play_gap(linnet_jitter_t *j, const linnet_jitter_slot_t *head, uint32_t gap,
                    const uint8_t **payload, size_t *len) {
    uint16_t missing = (uint16_t)(head->sequence - j->next);
    uint32_t step = smaller(gap - gap % GRAIN, j->frame);
    j->point += step;
    if (missing == 0) {
        j->stats.dtx++;
        return answer(j, LINNET_JITTER_DTX, step);
    }
    j->stats.lost++;
    if (gap < step + GRAIN) { /* the last frame before it: its LBRR copy is in there, if anywhere */
        advance(j, head->sequence, 0);
        *payload = j->bytes + head->at;
        *len = head->len;
        return answer(j, LINNET_JITTER_FEC, step);
    }
    if (missing > 1) advance(j, (uint16_t)(j->next + 1), 0);
    return answer(j, LINNET_JITTER_LOST, step);
}

/* Over a window: what even the emptiest moment had too much, or the fullest too little. */
static void watch(linnet_jitter_t *j) {
    if (j->buffered < j->least) j->least = j->buffered;
    if (j->buffered > j->most) j->most = j->buffered;
    j->watched += j->frame;
    if (j->watched < WINDOW) return;
    j->excess = j->least >= j->delay + 2 * j->frame ? j->least - j->delay - j->frame : 0;
    j->dearth = j->most < j->delay ? j->frame : 0;
    start_watching(j);
}

/* Skipped: a frame, when it is quiet; a loud one only when much is buffered, and once a window. */
static int is_skip_due(linnet_jitter_t *j, uint32_t duration) {
    if (j->excess < duration) return 0;
    if (j->is_quiet) {
        j->excess -= duration;
        return 1;
    }
    if (j->excess < 3 * duration || j->watched != 0) return 0;
    j->excess = 0;
    return 1;
}

static int play_head(linnet_jitter_t *j, linnet_jitter_slot_t *head, const uint8_t **payload,
                     size_t *len) {
    int kind = LINNET_JITTER_PACKET;
    watch(j);
    if (j->dearth > 0 && j->is_quiet) {
        j->dearth = 0;
        j->stats.stretched++;
        return answer(j, LINNET_JITTER_DTX, j->frame);
    }
    if (is_skip_due(j, head->duration)) {
        kind = LINNET_JITTER_SKIP;
        j->stats.skipped++;
    }
    j->stats.played++;
    j->is_begun = 1;
    j->is_dtx = head->len <= 2; /* RFC 6716 2.1.9: nothing but a header: silence follows */
    j->frame = head->duration;
    j->point = head->timestamp + head->duration;
    advance(j, (uint16_t)(head->sequence + 1), 1);
    *payload = j->bytes + head->at;
    *len = head->len;
    return answer(j, kind, head->duration);
}

int linnet_jitter_get(linnet_jitter_t *j, uint64_t now_us, const uint8_t **payload, size_t *len) {
    linnet_jitter_slot_t *head = find_head(j);
    int32_t gap;
    *payload = NULL;
    *len = 0;
    if (!j->is_playing && (!head || !start_playing(j, now_us, head)))
        return answer(j, LINNET_JITTER_WAIT, j->frame);
    if (!head) return play_dry(j);
    if (j->dry > 0) judge_dry_spell(j, head);
    gap = (int32_t)(head->timestamp - j->point);
    if (gap > RESTART_GAP ||
        gap < -RESTART_GAP) { /* RFC 3550 5.1: a new timestamp base, not a pause or a delay */
        j->stats.restarts++;
        j->point = head->timestamp;
        gap = 0;
    }
    if (gap >= GRAIN) return play_gap(j, head, (uint32_t)gap, payload, len);
    return play_head(j, head, payload, len);
}

uint32_t linnet_jitter_duration(const linnet_jitter_t *j) {
    return j->duration;
}

void linnet_jitter_set_quiet(linnet_jitter_t *j, int is_quiet) {
    j->is_quiet = is_quiet != 0;
}

uint32_t linnet_jitter_buffered_ms(const linnet_jitter_t *j) {
    return j->buffered / 48;
}
