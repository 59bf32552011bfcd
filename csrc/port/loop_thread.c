/* The thread of a media loop: datagrams, time and sound into the core, one input at a time, each followed by
 * linnet_poll until idle; datagrams out, events into the ring.
 *
 * It waits in poll() for the sockets, a poke by the interpreter, the core's deadline or the next turn of sound,
 * which comes every half frame. An interpreter that has not asked for an event for a long time counts as dead: the
 * session says goodbye and the thread ends, what it held stays until linnet_loop_close. */
#define _POSIX_C_SOURCE 200809L
#include "loop_thread.h"

#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/poll.h>
#include <sys/socket.h>
#include <time.h>
#ifdef ESP_PLATFORM
#include <unistd.h>

#include "esp_pthread.h"
#else
#include <signal.h>
#endif
#ifdef __linux__
#include <linux/sockios.h>
#include <sys/ioctl.h>
#endif

#define TIME_MASK 0x3fffffffu

enum {
    ADDR_LEN = 20,
    BURST = 32,            /* datagrams taken from one socket before the others have their turn */
    CHUNKS = 256,          /* half frames moved in one turn */
    CPU_EVERY_US = 100000, /* between two looks at what the thread has cost */
    WAIT_MAX_MS = 1000     /* between two looks at whether the interpreter lives */
};

#ifdef ESP_PLATFORM
#ifndef LINNET_LOOP_STACK
#define LINNET_LOOP_STACK 32768 /* Opus encodes on it */
#endif
#ifndef LINNET_LOOP_PRIORITY
#define LINNET_LOOP_PRIORITY 17 /* above MicroPython's task (1), below Wi-Fi and lwIP (23, 18) */
#endif
#ifndef LINNET_LOOP_CORE
#define LINNET_LOOP_CORE 0 /* MicroPython runs on the other one */
#endif
#else
#ifndef LINNET_LOOP_STACK
#define LINNET_LOOP_STACK (1024 * 1024) /* address space; what is touched is far less */
#endif
#endif

uint64_t linnet_loop_clock_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* --- steps --- */

int linnet_loop_step(linnet_loop_t *l, int kind, const uint8_t *data, size_t len) {
    if (l->is_over || l->is_stopping) return LINNET_ERR_CLOSED;
    l->now_us = linnet_loop_clock_us();
    l->has_input = 1;
    l->counts.steps++;
    return linnet_input(l->session, (uint32_t)l->now_us & TIME_MASK, kind, data, len);
}

void linnet_loop_hold(linnet_loop_t *l, int held) {
    uint8_t body = (uint8_t)held;
    l->is_held = body;
    if (held) l->counts.events_held++;
    (void)linnet_loop_step(l, LINNET_IN_HOLD, &body, 1);
}

void linnet_loop_poke(linnet_loop_t *l) {
    if (!l->is_poked && l->has_thread) l->is_poked = (uint8_t)linnet_wake_signal(&l->control);
}

static void send_datagram(linnet_loop_t *l, const uint8_t *body, size_t len) {
    struct sockaddr_storage to;
    socklen_t to_len;
    int fd = l->sockets[body[0] == 6];
    uint16_t port = htons((uint16_t)(body[2] | body[3] << 8));
    memset(&to, 0, sizeof to);
    if (body[0] == 6) {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)&to;
        six->sin6_family = AF_INET6;
        six->sin6_port = port;
        memcpy(&six->sin6_addr, body + 4, 16);
        to_len = sizeof *six;
    } else {
        struct sockaddr_in *four = (struct sockaddr_in *)(void *)&to;
        four->sin_family = AF_INET;
        four->sin_port = port;
        memcpy(&four->sin_addr, body + 4, 4);
        to_len = sizeof *four;
    }
    body += ADDR_LEN;
    len -= ADDR_LEN;
    if (fd < 0 || sendto(fd, body, len, 0, (struct sockaddr *)&to, to_len) != (ssize_t)len)
        l->counts.datagrams_unsent++;
}

static void put_event(linnet_loop_t *l, int kind, const uint8_t *body, size_t len) {
    if (linnet_events_put(&l->events, kind, body, len) < 0) {
        l->counts.events_dropped++;
        return;
    }
    l->counts.events++;
    if (!l->is_told && linnet_wake_signal(&l->news)) {
        l->is_told = 1;
        l->counts.wakes++;
    }
    if (!l->is_held && !linnet_events_has_room(&l->events)) linnet_loop_hold(l, 1);
}

static uint32_t word_of(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Takes the core's outputs until it is idle. */
static void drain(linnet_loop_t *l) {
    int kind;
    while ((kind = linnet_poll(l->session, l->out, l->out_cap)) > LINNET_OUT_IDLE) {
        size_t len = word_of(l->out);
        if (kind == LINNET_OUT_DATAGRAM) {
            send_datagram(l, l->out + 4, len);
        } else {
            put_event(l, kind, l->out + 4, len);
        }
    }
    l->has_input = 0;
    if (kind < 0) { /* cannot be: the buffer is as large as the core asked for */
        l->counts.events_dropped++;
        l->deadline_us = l->now_us + 10000;
        return;
    }
    l->deadline_us = l->now_us + ((word_of(l->out + 4) - (uint32_t)l->now_us) & TIME_MASK);
}

/* --- what the thread does when it is awake --- */

/* The next datagram of a socket into l->record, as ADDR and payload. Its length, or 0 when there is none. */
static size_t receive(linnet_loop_t *l, int fd) {
    struct sockaddr_storage from;
    socklen_t from_len = sizeof from;
    uint8_t *addr = l->record;
    ssize_t n = recvfrom(fd, addr + ADDR_LEN, sizeof l->record - ADDR_LEN, 0,
                         (struct sockaddr *)&from, &from_len);
    if (n < 0) return 0;
    memset(addr, 0, ADDR_LEN);
    if (from.ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)&from;
        uint16_t port = ntohs(six->sin6_port);
        addr[0] = 6;
        addr[2] = (uint8_t)port;
        addr[3] = (uint8_t)(port >> 8);
        memcpy(addr + 4, &six->sin6_addr, 16);
    } else {
        const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)&from;
        uint16_t port = ntohs(four->sin_port);
        addr[0] = 4;
        addr[2] = (uint8_t)port;
        addr[3] = (uint8_t)(port >> 8);
        memcpy(addr + 4, &four->sin_addr, 4);
    }
    return ADDR_LEN + (size_t)n;
}

/* Since when the datagram just read has been in the socket; UINT64_MAX where the system does not say. */
static uint64_t came_us(int fd) {
#ifdef SIOCGSTAMPNS
    struct timespec came, now;
    if (ioctl(fd, SIOCGSTAMPNS, &came) == 0 && clock_gettime(CLOCK_REALTIME, &now) == 0) {
        int64_t age_ns =
            (int64_t)(now.tv_sec - came.tv_sec) * 1000000000 + (now.tv_nsec - came.tv_nsec);
        return linnet_loop_clock_us() - (age_ns > 0 ? (uint64_t)age_ns / 1000 : 0);
    }
#endif
    (void)fd;
    return UINT64_MAX;
}

static void take_datagrams(linnet_loop_t *l, int fd) {
    int i;
    for (i = 0; i < BURST; i++) {
        size_t len = receive(l, fd);
        int is_overtaken = len && came_us(fd) < l->turned_us;
        if (len == 0) return;
        pthread_mutex_lock(&l->lock);
        if (is_overtaken) l->counts.datagrams_overtaken++;
        if (len > LOOP_RECORD_MAX) {
            l->counts.datagrams_cut++;
        } else {
            (void)linnet_loop_step(l, LINNET_IN_DATAGRAM, l->record, len);
            drain(l);
        }
        pthread_mutex_unlock(&l->lock);
    }
}

/* Up to half a frame of the microphone into the core, and as much out of it for the speaker, as of `at_us`. 0 when
 * there was no more to move: nothing is stepped then. */
static int move_sound(linnet_loop_t *l, uint64_t at_us) {
    linnet_audio_device_t *d = &l->device;
    size_t heard = 0, room = 0;
    pthread_mutex_lock(&l->lock);
    if (l->has_sound) {
        heard = d->capture(d->context, at_us, l->pcm, l->turn_samples);
        room = d->room(d->context, at_us);
    }
    if (heard || room) {
        size_t n = room < l->turn_samples ? room : l->turn_samples;
        (void)linnet_loop_step(l, LINNET_IN_TIME, NULL, 0);
        if (heard) (void)linnet_pcm_push(l->session, l->pcm, heard);
        if (n) {
            (void)linnet_pcm_pull(l->session, l->pcm, n);
            (void)d->play(d->context, l->pcm, n);
        }
        drain(l);
    }
    pthread_mutex_unlock(&l->lock);
    return heard == l->turn_samples || room > l->turn_samples;
}

static void turn_sound(linnet_loop_t *l) {
    uint64_t now, at, late;
    int i, is_due;
    pthread_mutex_lock(&l->lock);
    now = linnet_loop_clock_us();
    at = l->turn_at_us;
    is_due = l->has_sound && now >= at;
    if (is_due) {
        late = now - at;
        l->counts.turns++;
        l->turned_us = l->woke_us;
        if (late > l->counts.worst_late_us) l->counts.worst_late_us = late;
        if (late > l->turn_us) {
            l->counts.turns_late++;
            at = now;
        }
        l->turn_at_us = at + l->turn_us;
    }
    pthread_mutex_unlock(&l->lock);
    if (!is_due) return;
    /* What was due at the turn's own time, which is whole chunks: not the few samples that came while it was worked. */
    for (i = 0; i < CHUNKS && move_sound(l, at); i++) {
    }
}

static void note_cpu(linnet_loop_t *l) {
#ifdef CLOCK_THREAD_CPUTIME_ID
    struct timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0)
        l->cpu_us = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
#else
    (void)l;
#endif
}

/* Commands that came meanwhile, and the core's own deadline. Milliseconds to sleep, or -1: the end. */
static int settle(linnet_loop_t *l) {
    uint64_t now, next;
    int wait_ms;
    pthread_mutex_lock(&l->lock);
    if (l->is_poked) {
        l->is_poked = 0;
        linnet_wake_clear(&l->control);
    }
    if (l->has_input) drain(l);
    if (linnet_loop_clock_us() >= l->deadline_us &&
        linnet_loop_step(l, LINNET_IN_TIME, NULL, 0) != LINNET_ERR_ARG)
        drain(l);
    now = linnet_loop_clock_us();
    next = l->deadline_us;
    if (l->has_sound && l->turn_at_us < next) next = l->turn_at_us;
    /* Rounded up: a step too early would be idle and come back at once. */
    wait_ms = next <= now                        ? 0
              : next - now > WAIT_MAX_MS * 1000u ? WAIT_MAX_MS
                                                 : (int)((next - now + 999) / 1000);
    if (now - l->asked_us > (uint64_t)l->options.dead_ms * 1000 && now > l->asked_us) wait_ms = -1;
    if (l->is_stopping) wait_ms = -1;
    if (now >= l->cpu_at_us) { /* a call of the system */
        l->cpu_at_us = now + CPU_EVERY_US;
        note_cpu(l);
    }
    pthread_mutex_unlock(&l->lock);
    return wait_ms;
}

static void say_goodbye(linnet_loop_t *l) {
    pthread_mutex_lock(&l->lock);
    l->is_stopping = 0; /* for this one step */
    (void)linnet_loop_step(l, LINNET_IN_CLOSE, NULL, 0);
    drain(l);
    if (l->has_sound) l->device.stop(l->device.context);
    l->has_sound = 0;
    l->is_over = 1;
    note_cpu(l);
    pthread_mutex_unlock(&l->lock);
}

/* What the thread waits for: pokes, then its sockets. */
static nfds_t watched(const linnet_loop_t *l, struct pollfd *fds) {
    nfds_t n = 0;
    size_t i;
    fds[n].fd = l->control.read_fd;
    fds[n++].events = POLLIN;
    for (i = 0; i < 2; i++) {
        if (l->sockets[i] < 0) continue;
        fds[n].fd = l->sockets[i];
        fds[n++].events = POLLIN;
    }
    return n;
}

/* A sound that comes late is heard as a gap: ask for real time, and go on without when it is not given. */
static void become_realtime(linnet_loop_t *l) {
#ifndef ESP_PLATFORM
    struct sched_param how;
    int rc;
    memset(&how, 0, sizeof how);
    how.sched_priority = sched_get_priority_min(SCHED_RR) + 9;
    rc = pthread_setschedparam(pthread_self(), SCHED_RR, &how);
    pthread_mutex_lock(&l->lock);
    l->is_realtime = rc == 0;
    pthread_mutex_unlock(&l->lock);
#else
    l->is_realtime = 1; /* by the priority it was made with */
#endif
}

static void *run(void *context) {
    linnet_loop_t *l = context;
    struct pollfd fds[3];
    nfds_t i, n = watched(l, fds);
    int wait_ms;
    become_realtime(l);
    while ((wait_ms = settle(l)) >= 0) {
        if (poll(fds, n, wait_ms) < 0) continue;
        l->woke_us = linnet_loop_clock_us();
        /* Before the sound: what has come by now may be what is to be heard now. */
        for (i = 1; i < n; i++) {
            if (fds[i].revents) take_datagrams(l, fds[i].fd);
        }
        turn_sound(l);
    }
    say_goodbye(l);
    __atomic_store_n(&l->is_gone, 1, __ATOMIC_RELEASE); /* from here on it may be freed */
    return NULL;
}

/* --- from start to end --- */

static int create(linnet_loop_t *l) {
    pthread_attr_t how;
    int failed;
#ifdef ESP_PLATFORM
    esp_pthread_cfg_t cfg = esp_pthread_get_default_config();
    cfg.stack_size = LINNET_LOOP_STACK;
    cfg.prio = LINNET_LOOP_PRIORITY;
    cfg.pin_to_core = LINNET_LOOP_CORE;
    cfg.thread_name = "linnet";
    if (esp_pthread_set_cfg(&cfg) != ESP_OK) return LINNET_ERR_SPACE;
    (void)how;
    failed = pthread_create(&l->thread, NULL, run, l);
    if (!failed) (void)pthread_detach(l->thread); /* wait_for_end */
#else
    sigset_t all, before;
    if (pthread_attr_init(&how)) return LINNET_ERR_SPACE;
    (void)pthread_attr_setstacksize(&how, LINNET_LOOP_STACK);
    sigfillset(&all); /* signals are the interpreter's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&l->thread, &how, run, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&how);
#endif
    return failed ? LINNET_ERR_SPACE : 0;
}

int linnet_loop_start_thread(linnet_loop_t *l) {
    int rc;
    if (l->has_thread) return LINNET_ERR_STATE;
    l->asked_us = linnet_loop_clock_us();
    (void)linnet_loop_step(l, LINNET_IN_TIME, NULL, 0);
    drain(l); /* what was given before is told before this returns */
    rc = create(l);
    l->has_thread = rc == 0;
    return rc;
}

/* ESP-IDF's pthread_join waits for a notification of the task that calls it, whoever sends it. MicroPython's gets some
 * of its own (USB, pins), and then a thread would be deleted in the middle of its work. */
static void wait_for_end(linnet_loop_t *l) {
#ifdef ESP_PLATFORM
    while (!__atomic_load_n(&l->is_gone, __ATOMIC_ACQUIRE)) usleep(1000);
#else
    pthread_join(l->thread, NULL);
#endif
}

void linnet_loop_stop_thread(linnet_loop_t *l) {
    if (!l->has_thread) return;
    pthread_mutex_lock(&l->lock);
    l->is_stopping = 1;
    linnet_loop_poke(l);
    pthread_mutex_unlock(&l->lock);
    wait_for_end(l);
    l->has_thread = 0;
}
