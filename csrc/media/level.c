/* Levels in -dBov from integer arithmetic: see level.h. */
#include "level.h"

#include <string.h>

enum {
    FLOOR_START = 65 << 8,
    FLOOR_RISE_Q8_PER_S = 3 << 8, /* a steady noise stops counting as voice after a few seconds */
    VOICE_ABOVE_DB = 9,
    VOICE_QUIETEST = 60,
    HANG_MS = 200,
    DB_Q8_PER_OCTAVE = 771 /* 10 log10(2) x 256 */
};

/* log2(x) x 256 for x > 0: the exponent by counting, eight fraction bits by repeated squaring. */
static uint32_t log2_q8(uint64_t x) {
    uint32_t exponent = 63, fraction = 0;
    while (!(x >> 63)) {
        x <<= 1;
        exponent--;
    }
    x >>= 32; /* 1.31 fixed point in [1, 2) */
    for (int bit = 0; bit < 8; bit++) {
        x = (x * x) >> 31;
        fraction <<= 1;
        if (x >> 32) {
            fraction |= 1;
            x >>= 1;
        }
    }
    return exponent << 8 | fraction;
}

static int level_of(uint64_t energy, uint64_t n) {
    /* Mean square with 16 fraction bits, so that sounds below one step of the converter still have
     * a level. */
    uint64_t mean = n ? (energy < UINT64_C(1) << 47 ? (energy << 16) / n : (energy / n) << 16) : 0;
    uint32_t log2, full = (30 + 16) << 8; /* log2 of 32768^2, 16 fraction bits */
    uint32_t db;
    if (mean == 0) return LINNET_LEVEL_SILENCE;
    log2 = log2_q8(mean);
    if (log2 >= full) return 0;
    db = ((full - log2) * DB_Q8_PER_OCTAVE + (1 << 15)) >> 16;
    return db > LINNET_LEVEL_SILENCE ? LINNET_LEVEL_SILENCE : (int)db;
}

static uint32_t two_squares(const int16_t *pcm) {
    return (uint32_t)(pcm[0] * pcm[0]) + (uint32_t)(pcm[1] * pcm[1]); /* 2 x 2^30 fit */
}

static uint64_t energy_of(const int16_t *pcm, size_t n) {
    const int16_t *end = pcm + (n & ~(size_t)3);
    uint64_t energy = 0;
    /* By fours, and few 64-bit additions: small processors feel both. */
    for (; pcm != end; pcm += 4) {
        energy += two_squares(pcm);
        energy += two_squares(pcm + 2);
    }
    for (end += n & 3; pcm != end; pcm++) energy += (uint32_t)(*pcm * *pcm);
    return energy;
}

int linnet_level(const int16_t *pcm, size_t n) {
    return level_of(energy_of(pcm, n), n);
}

void linnet_meter_init(linnet_meter_t *m) {
    memset(m, 0, sizeof *m);
    m->floor_q8 = FLOOR_START;
    m->level = LINNET_LEVEL_SILENCE;
}

void linnet_meter_add(linnet_meter_t *m, const int16_t *pcm, size_t n) {
    m->energy += energy_of(pcm, n);
    m->gathered += (uint32_t)n;
}

int linnet_meter_read(linnet_meter_t *m) {
    m->level = (uint8_t)level_of(m->energy, m->gathered);
    m->energy = 0;
    m->gathered = 0;
    return m->level;
}

int linnet_meter_voice(linnet_meter_t *m, uint32_t ms) {
    uint32_t level_q8 = (uint32_t)m->level << 8;
    uint32_t rise = FLOOR_RISE_Q8_PER_S * ms / 1000;
    int is_loud = level_q8 + (VOICE_ABOVE_DB << 8) <= m->floor_q8 && m->level <= VOICE_QUIETEST;
    if (level_q8 >= m->floor_q8) {
        m->floor_q8 = level_q8;
    } else {
        m->floor_q8 -= rise < m->floor_q8 - level_q8 ? rise : m->floor_q8 - level_q8;
    }
    if (is_loud) {
        m->hang_ms = HANG_MS;
        return 1;
    }
    if (m->hang_ms < ms) return 0;
    m->hang_ms -= ms;
    return 1;
}
