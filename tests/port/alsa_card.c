/* A sound card without hardware, for ALSA: an external plugin of alsa-lib, paced by the machine's clock.
 *
 * It does what hardware does. From start on it hears and plays `rate` samples a second, whether or not anybody comes;
 * sound that finds the buffer full is lost, an empty buffer plays nothing, and either stops the stream (XRUN) until
 * the program starts it again. What it hears is a hum, 16 samples up and 16 down. When a stream closes it appends one
 * line of counters to the file `log`:
 *     capture due=<samples since the first start> moved=<samples taken by the program> xruns=<count>
 */
#define _GNU_SOURCE
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 5, HUM = 1000 };

typedef struct {
    snd_pcm_ioplug_t io;
    char log[512];
    long period; /* least bytes of a period */
    uint64_t first_us, start_us, end_us; /* of the first start, of this one, of the last stop */
    uint64_t moved, appl, xruns;         /* moved: before this start; appl: since */
} card_t;

static uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Samples that the hardware has moved since this start. */
static uint64_t due(const card_t *c) {
    return (now_us() - c->start_us) * c->io.rate / 1000000;
}

/* Samples that the program may move, or -1 after an overrun or underrun. */
static int64_t available(card_t *c) {
    int64_t size = (int64_t)c->io.buffer_size, n = (int64_t)due(c) - (int64_t)c->io.appl_ptr;
    c->appl = c->io.appl_ptr;
    if (c->io.stream == SND_PCM_STREAM_PLAYBACK) n += size;
    return n > size ? -1 : n;
}

static int card_start(snd_pcm_ioplug_t *io) {
    card_t *c = io->private_data;
    c->moved += c->appl;
    c->appl = 0;
    c->start_us = now_us();
    if (!c->first_us) c->first_us = c->start_us;
    return 0;
}

static int card_stop(snd_pcm_ioplug_t *io) {
    ((card_t *)io->private_data)->end_us = now_us();
    return 0;
}

static snd_pcm_sframes_t card_pointer(snd_pcm_ioplug_t *io) {
    card_t *c = io->private_data;
    if (io->state == SND_PCM_STATE_XRUN || io->state == SND_PCM_STATE_DRAINING) return -EPIPE;
    if (io->state != SND_PCM_STATE_RUNNING) return 0;
    if (available(c) < 0) {
        c->xruns++;
        return -EPIPE;
    }
    return (snd_pcm_sframes_t)(due(c) % io->buffer_size);
}

static snd_pcm_sframes_t card_transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *areas,
                                       snd_pcm_uframes_t offset, snd_pcm_uframes_t size) {
    if (io->stream == SND_PCM_STREAM_CAPTURE) {
        int16_t *pcm = (int16_t *)areas->addr + (areas->first / 16 + areas->step / 16 * offset);
        for (snd_pcm_uframes_t i = 0; i < size; i++) pcm[i * areas->step / 16] = (offset + i) & 16 ? HUM : -HUM;
    }
    return (snd_pcm_sframes_t)size;
}

static int card_revents(snd_pcm_ioplug_t *io, struct pollfd *fds, unsigned int n, unsigned short *revents) {
    card_t *c = io->private_data;
    uint64_t ticks;
    int is_playing = io->stream == SND_PCM_STREAM_PLAYBACK;
    int64_t ready;
    (void)n;
    *revents = 0;
    if (!(fds[0].revents & POLLIN)) return 0;
    if (read(fds[0].fd, &ticks, sizeof ticks) < 0) return 0;
    if (io->state == SND_PCM_STATE_RUNNING) {
        ready = available(c);
        if (ready < 0) {
            *revents = POLLERR;
        } else if (ready >= (int64_t)io->period_size) {
            *revents = is_playing ? POLLOUT : POLLIN;
        }
    } else if (io->state == SND_PCM_STATE_XRUN) {
        *revents = POLLERR;
    } else if (is_playing) {
        *revents = POLLOUT;
    }
    return 0;
}

static int card_close(snd_pcm_ioplug_t *io) {
    card_t *c = io->private_data;
    if (c->first_us) {
        FILE *log = fopen(c->log, "a");
        uint64_t until = c->end_us > c->start_us ? c->end_us : now_us();
        if (log) {
            fprintf(log, "%s due=%llu moved=%llu xruns=%llu\n",
                    io->stream == SND_PCM_STREAM_PLAYBACK ? "playback" : "capture",
                    (unsigned long long)((until - c->first_us) * io->rate / 1000000), (unsigned long long)(c->moved + c->appl),
                    (unsigned long long)c->xruns);
            fclose(log);
        }
    }
    close(io->poll_fd);
    free(c);
    return 0;
}

static const snd_pcm_ioplug_callback_t CALLS = {
    .start = card_start,
    .stop = card_stop,
    .pointer = card_pointer,
    .transfer = card_transfer,
    .poll_revents = card_revents,
    .close = card_close,
};

static int limit(snd_pcm_ioplug_t *io, unsigned int period) {
    static const unsigned int access[] = {SND_PCM_ACCESS_MMAP_INTERLEAVED, SND_PCM_ACCESS_RW_INTERLEAVED};
    static const unsigned int format[] = {SND_PCM_FORMAT_S16_LE};
    int rc = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_ACCESS, 2, access);
    if (rc >= 0) rc = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_FORMAT, 1, format);
    if (rc >= 0) rc = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_CHANNELS, 1, 2);
    if (rc >= 0) rc = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_RATE, 8000, 48000);
    if (rc >= 0) rc = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIOD_BYTES, period, 1 << 16);
    if (rc >= 0) rc = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIODS, 2, 64);
    if (rc >= 0) rc = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_BUFFER_BYTES, 128, 1 << 18);
    return rc;
}

SND_PCM_PLUGIN_DEFINE_FUNC(linnet_card) {
    snd_config_iterator_t i, next;
    const struct itimerspec every = {{0, TICK_MS * 1000000}, {0, TICK_MS * 1000000}};
    card_t *c = calloc(1, sizeof *c);
    int rc;
    (void)root;
    if (!c) return -ENOMEM;
    c->period = 64;
    snd_config_for_each(i, next, conf) {
        snd_config_t *entry = snd_config_iterator_entry(i);
        const char *id, *path;
        if (snd_config_get_id(entry, &id) >= 0 && !strcmp(id, "log") && snd_config_get_string(entry, &path) >= 0)
            snprintf(c->log, sizeof c->log, "%s", path);
        if (!strcmp(id, "period")) snd_config_get_integer(entry, &c->period);
    }
    c->io.version = SND_PCM_IOPLUG_VERSION;
    c->io.name = "Linnet's card without hardware";
    c->io.callback = &CALLS;
    c->io.private_data = c;
    c->io.poll_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    c->io.poll_events = POLLIN;
    timerfd_settime(c->io.poll_fd, 0, &every, NULL);
    rc = snd_pcm_ioplug_create(&c->io, name, stream, mode);
    if (rc < 0) {
        close(c->io.poll_fd);
        free(c);
        return rc;
    }
    rc = limit(&c->io, (unsigned int)c->period);
    if (rc < 0) {
        snd_pcm_ioplug_delete(&c->io);
        return rc;
    }
    *pcmp = c->io.pcm;
    return 0;
}

SND_PCM_PLUGIN_SYMBOL(linnet_card);
