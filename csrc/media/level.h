/* Sound levels in -dBov (RFC 6464 3: 0 = loudest, 127 = digital silence), by integers only.
 *
 * A level is the root mean square against full scale, rounded to the nearest dB. The meter adds a smoothed reading
 * and a voice decision (louder than a slowly rising noise floor). */
#ifndef LINNET_LEVEL_H
#define LINNET_LEVEL_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t energy;     /* of the samples gathered */
    uint32_t gathered;   /* samples since the last reading */
    uint32_t floor_q8;   /* noise floor, -dBov x 256 */
    uint16_t hang;       /* frames for which voice is held after the last loud one */
    uint8_t level;       /* last reading */
    uint8_t voice;
} linnet_meter_t;

/* Level of n samples; 127 when n = 0. */
int linnet_level(const int16_t *pcm, size_t n);

void linnet_meter_init(linnet_meter_t *m);
/* Gathers samples; a reading is made of every `window` of them. */
void linnet_meter_add(linnet_meter_t *m, const int16_t *pcm, size_t n, uint32_t window);
/* One frame at a time: its level, and *voice = 1 when it stands out of the noise. */
int linnet_meter_frame(linnet_meter_t *m, const int16_t *pcm, size_t n, uint32_t frame_ms, int *voice);

#endif
