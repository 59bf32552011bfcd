/* Inside of the native media loop: the loop itself, and the table that turns handles into loops.
 *
 * A call holds a loop by linnet_loop_enter ... linnet_loop_leave, and linnet_loop_remove waits until nobody does, so
 * a handle may be closed by one thread while another uses it. Invariants: `lock` guards everything below it, and is
 * held for at most one step of the core; only the loop's thread touches the sockets once it runs. */
#ifndef LINNET_LOOP_TABLE_H
#define LINNET_LOOP_TABLE_H

#include <pthread.h>

#include "audio_ring.h"
#include "linnet.h"
#include "linnet_config.h"
#include "loop_events.h"
#include "loop_wake.h"

enum {
    LINNET_LOOPS_MAX = 32,    /* at once, x 16 B */
    LOOP_TURN_SAMPLES = 1440, /* most samples moved at once: half a frame of 60 ms at 48 kHz */
    LOOP_RECORD_MAX = 20 + LINNET_DATAGRAM_MAX
};

/* Counters in the order of LOOP_STATS in firmware/linnet/core_records.py. */
typedef struct {
    uint64_t turns, turns_late, worst_late_us;
    uint64_t datagrams_unsent, datagrams_cut, events, events_held, events_dropped, wakes, steps;
    uint64_t datagrams_overtaken; /* by a turn of sound although they had come before it */
} linnet_loop_counts_t;

typedef struct {
    uint32_t sound, speaker_sound, mic_ring_ms, speaker_ring_ms, ahead_ms, dead_ms, event_bytes;
} linnet_loop_options_t;

typedef struct linnet_loop {
    /* of the table */
    int handle, users;
    /* set before the thread starts, then read only */
    linnet_loop_options_t options;
    uint32_t rate_hz, turn_us, turn_samples;
    int sockets[2]; /* IPv4, IPv6; -1 = not bound */
    linnet_wake_t control, news;
    void *session_mem;
    size_t out_cap;
    pthread_t thread;
    /* of the thread alone; the last byte tells a datagram that was cut */
    uint8_t record[LOOP_RECORD_MAX + 1];
    int16_t pcm[LOOP_TURN_SAMPLES];
    uint64_t woke_us, turned_us; /* when poll() returned last, and before the last turn of sound */
    uint8_t is_gone;             /* without lock, atomic: its last word */
    /* guarded by lock */
    pthread_mutex_t lock;
    linnet_session_t *session;
    uint8_t *out; /* of linnet_poll */
    linnet_events_t events;
    linnet_rings_t rings;
    linnet_audio_device_t device;
    linnet_loop_counts_t counts;
    uint64_t now_us, deadline_us, turn_at_us, asked_us, cpu_us, cpu_at_us;
    uint8_t has_thread, has_device, has_sound, has_input, is_stopping, is_over, is_held, is_told,
        is_poked, is_realtime;
} linnet_loop_t;

/* Gives the loop a handle and puts it into the table, or LINNET_ERR_LIMIT. */
int linnet_loop_add(linnet_loop_t *l);
linnet_loop_t *linnet_loop_enter(int handle); /* NULL: closed, or never there */
void linnet_loop_leave(linnet_loop_t *l);
/* Takes it out of the table and waits for those who are in; NULL if it was not there. */
linnet_loop_t *linnet_loop_remove(int handle);
int linnet_loop_any(void); /* some handle, or 0 */

#endif
