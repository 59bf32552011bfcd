/* Framing of Opus packets (RFC 6716 3), without libopus, so that the playout buffer can be built
 * and tested alone.
 *
 * Only the duration is wanted. The frame lengths of codes 2 and 3 are left to the decoder, which
 * checks them all. */
#include "codec.h"

enum { LONGEST_48K = 5760 }; /* R5: a packet holds at most 120 ms */

/* RFC 6716 3.1, table 2: 48 kHz samples per frame by configuration. */
static uint32_t frame_duration(uint8_t toc) {
    static const uint16_t silk[4] = {480, 960, 1920, 2880};
    unsigned config = toc >> 3;
    if (config < 12) return silk[config & 3];
    if (config < 16) return config & 1 ? 960 : 480;
    return 120u << (config & 3);
}

uint32_t linnet_opus_duration(const uint8_t *packet, size_t len) {
    uint32_t frames, duration;
    if (len < 1) return 0; /* R1 */
    switch (packet[0] & 3) {
    case 0: frames = 1; break;
    case 1:
        if ((len - 1) % 2 != 0) return 0; /* R3: two frames of one size */
        frames = 2;
        break;
    case 2:
        if (len < 2) return 0; /* R4 */
        frames = 2;
        break;
    default:
        if (len < 2) return 0; /* R6, R7 */
        frames = packet[1] & 0x3F;
        break;
    }
    duration = frames * frame_duration(packet[0]);
    return duration <= LONGEST_48K ? duration : 0;
}
