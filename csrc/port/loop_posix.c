/* The native media loop on BSD sockets, poll() and POSIX threads: the calls of loop.h. loop_thread.c is the thread.
 *
 * Every call takes the loop's lock for its own few microseconds (a command: one step of the core) and leaves the
 * datagrams that follow from it to the thread. Not implemented: binding while the thread runs; a session that moves
 * to another loop. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "loop_thread.h"

enum {
    RING_MS = 200,
    AHEAD_MS = 20,
    DEAD_MS = 30000,
    MS_MAX = 60000,
    EVENTS_SPARE = 8192,
    EVENTS_MAX = 1 << 23,
    SOCKET_BUFFER = 1 << 18
};

static uint32_t word_at(const uint8_t *record, size_t len, size_t index, uint32_t preset) {
    const uint8_t *p = record + 4 * index;
    uint32_t word = 0;
    if (4 * index + 4 <= len)
        word = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    return word ? word : preset;
}

/* --- the loop of a handle --- */

/* NULL: closed, or never there. Else it is ours until unlock_loop. */
static linnet_loop_t *lock_loop(int handle) {
    linnet_loop_t *l = linnet_loop_enter(handle);
    if (l) pthread_mutex_lock(&l->lock);
    return l;
}

/* Returns `result`, made while the lock was held. */
static int unlock_loop(linnet_loop_t *l, int result) {
    pthread_mutex_unlock(&l->lock);
    linnet_loop_leave(l);
    return result;
}

/* --- opening --- */

static int read_options(linnet_loop_options_t *o, const uint8_t *record, size_t len) {
    if ((!record && len) || len % 4 || len > 28) return LINNET_ERR_ARG;
    o->sound = word_at(record, len, 0, LINNET_LOOP_SILENT);
    o->mic_ring_ms = word_at(record, len, 1, RING_MS);
    o->speaker_ring_ms = word_at(record, len, 2, RING_MS);
    o->ahead_ms = word_at(record, len, 3, AHEAD_MS);
    o->dead_ms = word_at(record, len, 4, DEAD_MS);
    o->event_bytes = word_at(record, len, 5, 0);
    o->speaker_sound = word_at(record, len, 6, o->sound + 1) - 1;
    if (o->sound > LINNET_LOOP_DEVICE || o->speaker_sound > LINNET_LOOP_DEVICE)
        return LINNET_ERR_ARG;
    if ((o->sound == LINNET_LOOP_DEVICE) != (o->speaker_sound == LINNET_LOOP_DEVICE))
        return LINNET_ERR_ARG; /* the machine's device is both */
    if (o->mic_ring_ms > MS_MAX || o->speaker_ring_ms > MS_MAX || o->event_bytes > EVENTS_MAX)
        return LINNET_ERR_ARG;
    return o->ahead_ms <= o->speaker_ring_ms ? 0 : LINNET_ERR_ARG;
}

static int make_lock(pthread_mutex_t *lock) {
    pthread_mutexattr_t how;
    int failed;
    if (pthread_mutexattr_init(&how)) return LINNET_ERR_SPACE;
#if !defined(ESP_PLATFORM) && defined(_POSIX_THREAD_PRIO_INHERIT) && _POSIX_THREAD_PRIO_INHERIT > 0
    /* Whoever makes the thread wait gets its priority meanwhile; FreeRTOS's mutexes do so by themselves. */
    (void)pthread_mutexattr_setprotocol(&how, PTHREAD_PRIO_INHERIT);
#endif
    failed = pthread_mutex_init(lock, &how);
    pthread_mutexattr_destroy(&how);
    return failed ? LINNET_ERR_SPACE : 0;
}

static void wipe(void *mem, size_t len) {
    volatile uint8_t *p = mem;
    while (len--) *p++ = 0;
}

static int open_session(linnet_loop_t *l, const uint8_t *cfg, size_t cfg_len, const uint8_t *seed,
                        size_t seed_len) {
    int rc = linnet_session_size(cfg, cfg_len);
    size_t size = (size_t)rc;
    if (rc < 0) return rc;
    l->session_mem = malloc(size);
    if (!l->session_mem) return LINNET_ERR_SPACE;
    rc = linnet_session_init(l->session_mem, size, cfg, cfg_len, seed, seed_len);
    if (rc < 0) {
        wipe(l->session_mem, size); /* what it has made of the seed */
        return rc;
    }
    l->session = linnet_session_at(l->session_mem);
    l->rate_hz = word_at(cfg, cfg_len, 0, 16000);
    l->turn_us = word_at(cfg, cfg_len, 2, 20) * 1000 / 2;
    l->turn_samples = (uint32_t)((uint64_t)l->rate_hz * l->turn_us / 1000000);
    l->out_cap = (size_t)linnet_poll_size(l->session);
    l->out = malloc(l->out_cap);
    return l->out ? 0 : LINNET_ERR_SPACE;
}

static int open_events(linnet_loop_t *l) {
    size_t size = l->options.event_bytes ? l->options.event_bytes : 2 * l->out_cap + EVENTS_SPARE;
    uint8_t *bytes;
    if (size < linnet_events_least(l->out_cap)) return LINNET_ERR_ARG;
    bytes = malloc(size);
    if (!bytes) return LINNET_ERR_SPACE;
    linnet_events_init(&l->events, bytes, size, l->out_cap);
    return 0;
}

static int open_rings(linnet_loop_t *l) {
    const linnet_loop_options_t *o = &l->options;
    size_t microphone = 0, speaker = 0;
    int16_t *pcm = NULL;
    if (o->sound == LINNET_LOOP_DEVICE) {
        int rc = linnet_audio_machine_take(&l->device, o->ahead_ms);
        l->has_device = rc == 0;
        return rc;
    }
    if (o->sound) microphone = (size_t)((uint64_t)o->mic_ring_ms * l->rate_hz / 1000);
    if (o->speaker_sound) speaker = (size_t)((uint64_t)o->speaker_ring_ms * l->rate_hz / 1000);
    if (microphone + speaker) {
        pcm = malloc((microphone + speaker) * sizeof *pcm);
        if (!pcm) return LINNET_ERR_SPACE;
    }
    linnet_rings_init(&l->rings, (int)o->sound, (int)o->speaker_sound,
                      (size_t)((uint64_t)o->ahead_ms * l->rate_hz / 1000), pcm, microphone,
                      pcm + microphone, speaker);
    linnet_rings_device(&l->rings, &l->device);
    return 0;
}

/* Everything but the thread. */
static void release(linnet_loop_t *l) {
    linnet_rings_t *rings = &l->rings; /* both are one piece */
    size_t i, samples = rings->microphone.cap + rings->speaker.cap;
    for (i = 0; i < 2; i++) {
        if (l->sockets[i] >= 0) close(l->sockets[i]);
    }
    linnet_wake_close(&l->control);
    linnet_wake_close(&l->news);
    if (l->has_device) linnet_audio_machine_give(&l->device);
    if (l->session) linnet_session_wipe(l->session);
    if (l->out) wipe(l->out, l->out_cap);
    if (l->events.bytes) wipe(l->events.bytes, l->events.cap);
    if (rings->microphone.pcm) wipe(rings->microphone.pcm, samples * sizeof(int16_t));
    free(l->session_mem);
    free(l->out);
    free(l->events.bytes);
    free(rings->microphone.pcm);
    pthread_mutex_destroy(&l->lock);
    wipe(l, sizeof *l);
    free(l);
}

int linnet_loop_open(const uint8_t *cfg, size_t cfg_len, const uint8_t *seed, size_t seed_len,
                     const uint8_t *loop, size_t loop_len) {
    linnet_loop_options_t options;
    linnet_loop_t *l;
    int rc = read_options(&options, loop, loop_len);
    if (rc < 0) return rc;
    l = calloc(1, sizeof *l);
    if (!l) return LINNET_ERR_SPACE;
    l->options = options;
    l->sockets[0] = l->sockets[1] = -1;
    l->control.read_fd = l->control.write_fd = l->news.read_fd = l->news.write_fd = -1;
    rc = make_lock(&l->lock);
    if (rc < 0) {
        free(l);
        return rc;
    }
    rc = open_session(l, cfg, cfg_len, seed, seed_len);
    if (rc == 0) rc = open_events(l);
    if (rc == 0) rc = open_rings(l);
    if (rc == 0) rc = linnet_wake_open(&l->control);
    if (rc == 0) rc = linnet_wake_open(&l->news);
    if (rc == 0) rc = linnet_loop_add(l);
    if (rc < 0) release(l);
    return rc;
}

/* --- sockets --- */

static int bind_any(int fd, int family) {
    struct sockaddr_storage name;
    socklen_t len = sizeof name;
    int on = 1, size = SOCKET_BUFFER, flags = fcntl(fd, F_GETFL, 0);
    memset(&name, 0, sizeof name);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return LINNET_ERR_CLOSED;
#ifndef ESP_PLATFORM
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size); /* a wish */
    if (family == AF_INET6) {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)&name;
        six->sin6_family = AF_INET6; /* port 0 and the unspecified address are zeroes */
        len = sizeof *six;
        if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0) return LINNET_ERR_CLOSED;
    } else {
        struct sockaddr_in *four = (struct sockaddr_in *)(void *)&name;
        four->sin_family = AF_INET;
        len = sizeof *four;
    }
    if (bind(fd, (struct sockaddr *)&name, len) < 0) return LINNET_ERR_CLOSED;
    if (getsockname(fd, (struct sockaddr *)&name, &len) < 0) return LINNET_ERR_CLOSED;
    if (family == AF_INET6) return ntohs(((struct sockaddr_in6 *)(void *)&name)->sin6_port);
    return ntohs(((struct sockaddr_in *)(void *)&name)->sin_port);
}

static int bind_family(linnet_loop_t *l, int family) {
    int *place = &l->sockets[family == 6];
    int fd, rc;
    if (*place >= 0 || l->has_thread) return LINNET_ERR_STATE;
    fd = socket(family == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    if (fd < 0) return LINNET_ERR_CLOSED;
    rc = bind_any(fd, family == 6 ? AF_INET6 : AF_INET);
    if (rc < 0) {
        close(fd);
    } else {
        *place = fd;
    }
    return rc;
}

int linnet_loop_bind(int handle, int family) {
    linnet_loop_t *l;
    if (family != 4 && family != 6) return LINNET_ERR_ARG;
    l = lock_loop(handle);
    return l ? unlock_loop(l, bind_family(l, family)) : LINNET_ERR_CLOSED;
}

/* --- starting, commands, events --- */

int linnet_loop_start(int handle) {
    linnet_loop_t *l = lock_loop(handle);
    return l ? unlock_loop(l, linnet_loop_start_thread(l)) : LINNET_ERR_CLOSED;
}

int linnet_loop_input(int handle, int kind, const uint8_t *data, size_t len) {
    linnet_loop_t *l;
    int rc;
    if (kind == LINNET_IN_TIME || kind == LINNET_IN_DATAGRAM || kind == LINNET_IN_HOLD)
        return LINNET_ERR_ARG;
    l = lock_loop(handle);
    if (!l) return LINNET_ERR_CLOSED;
    rc = linnet_loop_step(l, kind, data, len);
    linnet_loop_poke(l);
    return unlock_loop(l, rc);
}

static int take_event(linnet_loop_t *l, uint8_t *buf, size_t cap) {
    int rc;
    l->asked_us = linnet_loop_clock_us();
    rc = linnet_events_take(&l->events, buf, cap);
    if (rc == LINNET_OUT_IDLE && l->is_told) {
        l->is_told = 0;
        linnet_wake_clear(&l->news);
    }
    if (l->is_held && linnet_events_has_room(&l->events)) {
        linnet_loop_hold(l, 0);
        linnet_loop_poke(l);
    }
    return rc;
}

int linnet_loop_event(int handle, uint8_t *buf, size_t cap) {
    linnet_loop_t *l;
    if (!buf) return LINNET_ERR_ARG;
    l = lock_loop(handle);
    return l ? unlock_loop(l, take_event(l, buf, cap)) : LINNET_ERR_CLOSED;
}

int linnet_loop_event_size(int handle) {
    linnet_loop_t *l = lock_loop(handle);
    return l ? unlock_loop(l, (int)l->out_cap) : LINNET_ERR_CLOSED;
}

int linnet_loop_wake_fd(int handle) {
    linnet_loop_t *l = lock_loop(handle);
    return l ? unlock_loop(l, l->news.read_fd) : LINNET_ERR_CLOSED;
}

/* --- sound --- */

static int start_sound(linnet_loop_t *l) {
    uint64_t now = linnet_loop_clock_us();
    int rc;
    if (!l->options.sound && !l->options.speaker_sound) return LINNET_ERR_STATE;
    if (l->has_sound || l->is_over || l->is_stopping) return LINNET_ERR_STATE;
    rc = l->device.start(l->device.context, l->rate_hz, now);
    if (rc < 0) return rc;
    l->has_sound = 1;
    l->turn_at_us = now;
    linnet_loop_poke(l);
    return 0;
}

static int stop_sound(linnet_loop_t *l) {
    if (!l->has_sound) return LINNET_ERR_STATE;
    l->device.stop(l->device.context);
    l->has_sound = 0;
    return 0;
}

int linnet_loop_sound_start(int handle) {
    linnet_loop_t *l = lock_loop(handle);
    return l ? unlock_loop(l, start_sound(l)) : LINNET_ERR_CLOSED;
}

int linnet_loop_sound_stop(int handle) {
    linnet_loop_t *l = lock_loop(handle);
    return l ? unlock_loop(l, stop_sound(l)) : LINNET_ERR_CLOSED;
}

int linnet_loop_mic(int handle, const int16_t *pcm, size_t n) {
    linnet_loop_t *l;
    if (!pcm && n) return LINNET_ERR_ARG;
    l = lock_loop(handle);
    return l ? unlock_loop(l, (int)linnet_rings_mic(&l->rings, pcm, n)) : LINNET_ERR_CLOSED;
}

int linnet_loop_speaker(int handle, int16_t *pcm, size_t n) {
    linnet_loop_t *l;
    if (!pcm && n) return LINNET_ERR_ARG;
    l = lock_loop(handle);
    return l ? unlock_loop(l, (int)linnet_rings_speaker(&l->rings, pcm, n)) : LINNET_ERR_CLOSED;
}

/* --- figures --- */

static int loop_stats(const linnet_loop_t *l, uint8_t *buf, size_t cap) {
    const linnet_loop_counts_t *c = &l->counts;
    linnet_audio_counts_t audio;
    l->device.counts(l->device.context, &audio);
    const uint64_t words[] = {c->turns,
                              c->turns_late,
                              c->worst_late_us,
                              audio.microphone_lost,
                              audio.microphone_starved,
                              audio.speaker_lost,
                              audio.speaker_starved,
                              c->datagrams_unsent,
                              c->datagrams_cut,
                              c->events,
                              c->events_held,
                              c->events_dropped,
                              c->wakes,
                              c->steps,
                              l->cpu_us,
                              l->is_realtime,
                              l->is_over,
                              l->rings.microphone.n,
                              l->rings.speaker.n,
                              c->datagrams_overtaken};
    size_t i, j, n = sizeof words / sizeof words[0];
    if (cap < 8 * n) return LINNET_ERR_SPACE;
    for (i = 0; i < n; i++) {
        for (j = 0; j < 8; j++) buf[8 * i + j] = (uint8_t)(words[i] >> 8 * j);
    }
    return (int)(8 * n);
}

static int any_stats(const linnet_loop_t *l, int which, uint8_t *buf, size_t cap) {
    if (which == -2) return loop_stats(l, buf, cap);
    return which < -2 ? LINNET_ERR_ARG : linnet_stats(l->session, which, buf, cap);
}

int linnet_loop_stats(int handle, int which, uint8_t *buf, size_t cap) {
    linnet_loop_t *l;
    if (!buf) return LINNET_ERR_ARG;
    l = lock_loop(handle);
    return l ? unlock_loop(l, any_stats(l, which, buf, cap)) : LINNET_ERR_CLOSED;
}

/* --- the end --- */

int linnet_loop_close(int handle) {
    linnet_loop_t *l = linnet_loop_remove(handle);
    if (!l) return LINNET_ERR_CLOSED;
    linnet_loop_stop_thread(l);
    if (l->has_sound) l->device.stop(l->device.context);
    release(l);
    return 0;
}

void linnet_loop_close_all(void) {
    int handle;
    while ((handle = linnet_loop_any()) > 0) (void)linnet_loop_close(handle);
}
