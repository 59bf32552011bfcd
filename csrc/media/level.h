/* Sound levels in -dBov (RFC 6464 3: 0 = loudest, 127 = digital silence), by integers only.
 *
 * A level is the root mean square against full scale, rounded to the nearest dB. The meter gathers
 * samples between two readings and decides on voice: louder than a noise floor that follows the
 * quiet at once and the loud slowly. */
#ifndef LINNET_LEVEL_H
#define LINNET_LEVEL_H

#include <stddef.h>
#include <stdint.h>

enum { LINNET_LEVEL_SILENCE = 127 };

typedef struct {
    uint64_t energy;   /* sum of squares since the last reading */
    uint32_t gathered; /* samples since the last reading */
    uint32_t floor_q8; /* noise floor, -dBov x 256 */
    uint32_t hang_ms;  /* voice is held so much longer */
    uint8_t level;     /* last reading */
} linnet_meter_t;

/* Level of n samples; 127 when n = 0. */
int linnet_level(const int16_t *pcm, size_t n);

void linnet_meter_init(linnet_meter_t *m);
void linnet_meter_add(linnet_meter_t *m, const int16_t *pcm, size_t n);
/* Level of what was added since the last reading (127 = nothing); also kept in m->level. */
int linnet_meter_read(linnet_meter_t *m);
/* 1 when the last reading, which covers `ms`, stands out of the noise or closely follows one that
 * did. */
int linnet_meter_voice(linnet_meter_t *m, uint32_t ms);

#endif
