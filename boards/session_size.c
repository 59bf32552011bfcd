/* What a session of a board's limits takes on this machine, compiled with its board.h by boards/measure.py:
 *
 *     session_size WORD...     the words of linnet.h's cfg; prints the bytes, whether session_init works with them, how
 *                              many of the bytes are the TLS arena and the state of Opus, and an event's bytes */
#include "board.h"
#include "codec.h"
#include "linnet.h"
#include <stdio.h>
#include <stdlib.h>

enum { WORDS = 11 };

int main(int argc, char **argv) {
    uint8_t cfg[4 * WORDS] = {0}, seed[48] = {7};
    int i, k, size, event = 0;
    size_t tracks;
    void *mem;
    for (i = 0; i + 1 < argc && i < WORDS; i++) {
        uint32_t word = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        for (k = 0; k < 4; k++) cfg[4 * i + k] = (uint8_t)(word >> 8 * k);
    }
    size = linnet_session_size(cfg, sizeof cfg);
    mem = size > 0 ? malloc((size_t)size) : NULL;
    if (!mem) return 1;
    i = linnet_session_init(mem, (size_t)size, cfg, sizeof cfg, seed, sizeof seed);
    if (i == 0) {
        event = linnet_poll_size(linnet_session_at(mem));
        linnet_session_wipe(linnet_session_at(mem));
    }
    free(mem);
    tracks = argc > 2 ? strtoul(argv[2], NULL, 10) : 2;
    printf("%d %d %d %zu %d\n", size, i, LINNET_TLS_ARENA, linnet_encoder_size() + tracks * linnet_decoder_size(),
           event);
    return i < 0;
}
