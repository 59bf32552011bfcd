/* memcpy and its kin as boards have them: words where both ends are aligned, else bytes.
 *
 * Debian's picolibc is built for size and works byte by byte; the ESP32's ROM, newlib and MicroPython's own do not. */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);

static int is_aligned(const void *a, const void *b) {
    return (((uintptr_t)a | (uintptr_t)b) & 3) == 0;
}

void *memcpy(void *to, const void *from, size_t n) {
    uint8_t *t = to;
    const uint8_t *f = from;
    if (is_aligned(t, f)) {
        for (; n >= 16; n -= 16, t += 16, f += 16) {
            uint32_t *t4 = (uint32_t *)(void *)t;
            const uint32_t *f4 = (const uint32_t *)(const void *)f;
            t4[0] = f4[0], t4[1] = f4[1], t4[2] = f4[2], t4[3] = f4[3];
        }
        for (; n >= 4; n -= 4, t += 4, f += 4)
            *(uint32_t *)(void *)t = *(const uint32_t *)(const void *)f;
    }
    while (n--) *t++ = *f++;
    return to;
}

void *memmove(void *to, const void *from, size_t n) {
    uint8_t *t = to;
    const uint8_t *f = from;
    if (t <= f || t >= f + n) return memcpy(to, from, n);
    t += n, f += n;
    if (is_aligned(t, f)) {
        for (; n >= 4; n -= 4) {
            t -= 4, f -= 4;
            *(uint32_t *)(void *)t = *(const uint32_t *)(const void *)f;
        }
    }
    while (n--) *--t = *--f;
    return to;
}

void *memset(void *to, int value, size_t n) {
    uint8_t *t = to;
    uint32_t word = (uint8_t)value * UINT32_C(0x01010101);
    for (; n && ((uintptr_t)t & 3); n--) *t++ = (uint8_t)value;
    for (; n >= 16; n -= 16, t += 16) {
        uint32_t *t4 = (uint32_t *)(void *)t;
        t4[0] = word, t4[1] = word, t4[2] = word, t4[3] = word;
    }
    for (; n >= 4; n -= 4, t += 4) *(uint32_t *)(void *)t = word;
    while (n--) *t++ = (uint8_t)value;
    return to;
}
