/* The memory of the crypto backend: a first-fit allocator with coalescing over a fixed piece of
 * caller-owned memory.
 *
 * Mbed TLS calls linnet_tls_calloc and linnet_tls_free without a context, so the arena in use is
 * selected by a thread-local pointer, set around every call into the backend: the one static
 * variable of the core, and the reason why sessions may run on several threads. Exhaustion is NULL
 * and a counter, never a crash. Invariant: the blocks tile the arena without a gap, and no two
 * neighbours are both free. */
#ifndef LINNET_CRYPTO_ARENA_H
#define LINNET_CRYPTO_ARENA_H

#include <stddef.h>
#include <stdint.h>

enum { LINNET_ARENA_MIN = 64 }; /* the smallest piece of memory that can be an arena */

typedef struct {
    uint8_t *base;
    uint32_t size;       /* of the blocks, headers included */
    uint32_t first_free; /* no free block lies below this offset */
    uint32_t in_use;     /* bytes of used blocks, headers included */
    uint32_t peak; /* the highest end of a used block so far: what the arena would have had to be */
    uint32_t failures; /* requests that found no room */
    uint32_t foreign;  /* frees of memory that is not ours: a bug, survived */
} linnet_arena_t;

/* mem must be aligned to 8 bytes and stay where it is. 0 or LINNET_ERR_ARG. */
int linnet_arena_init(linnet_arena_t *arena, void *mem, size_t len);

/* Makes `arena` the one of this thread and returns the one before it, which leave takes back. */
linnet_arena_t *linnet_arena_enter(linnet_arena_t *arena);
void linnet_arena_leave(linnet_arena_t *previous);

/* Cuts off what is free behind the last used block, but for `keep` bytes; the new size. The memory from there on is the
 * caller's again. */
size_t linnet_arena_trim(linnet_arena_t *arena, size_t keep);
/* Zeroed memory from the current arena, aligned to 8 bytes; NULL without an arena or without room.
 */
void *linnet_tls_calloc(size_t n, size_t size);
void linnet_tls_free(void *mem);

#endif
