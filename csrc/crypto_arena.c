/* The allocator of the crypto backend; crypto_arena.h says what it is for.
 *
 * A block is an 8-byte header and its payload. The header holds the size of the block (a multiple
 * of 8, bit 0 = used) and the size of the block before it, so both neighbours are one step away. */
#include "crypto_arena.h"

#include "errors.h"
#include "wire.h"

/* A target without threads defines LINNET_THREAD_LOCAL as nothing. */
#ifndef LINNET_THREAD_LOCAL
#define LINNET_THREAD_LOCAL _Thread_local
#endif

/* A program that shares the library with the core names its own allocator (calloc and free, say):
 * it serves the calls from outside the core, which have selected no arena. It must be
 * thread-safe if the library is used on several threads. */
#ifdef LINNET_TLS_OUTSIDE_CALLOC
#include <stdlib.h>
#else
#define LINNET_TLS_OUTSIDE_CALLOC(n, size) ((void)(n), (void)(size), NULL)
#define LINNET_TLS_OUTSIDE_FREE(mem) ((void)(mem))
#endif

enum { HEADER = 8, USED = 1, SMALLEST = 16 };

typedef struct {
    uint32_t size_used;
    uint32_t before;
} block_t;

static LINNET_THREAD_LOCAL linnet_arena_t *current;

static block_t *block_at(const linnet_arena_t *arena, uint32_t offset) {
    return (block_t *)(void *)(arena->base + offset);
}

static uint32_t size_of(const block_t *block) {
    return block->size_used & ~(uint32_t)USED;
}

int linnet_arena_init(linnet_arena_t *arena, void *mem, size_t len) {
    if (arena == NULL || mem == NULL || ((uintptr_t)mem & 7) != 0) return LINNET_ERR_ARG;
    if (len < LINNET_ARENA_MIN || len > UINT32_MAX / 2) return LINNET_ERR_ARG;
    memset(arena, 0, sizeof *arena);
    arena->base = mem;
    arena->size = (uint32_t)len & ~(uint32_t)7;
    block_at(arena, 0)->size_used = arena->size;
    block_at(arena, 0)->before = 0;
    return 0;
}

linnet_arena_t *linnet_arena_enter(linnet_arena_t *arena) {
    linnet_arena_t *previous = current;
    current = arena;
    return previous;
}

void linnet_arena_leave(linnet_arena_t *previous) {
    current = previous;
}

/* Tells the block after `offset` how long the one at `offset` is now. */
static void link_next(linnet_arena_t *arena, uint32_t offset) {
    uint32_t size = size_of(block_at(arena, offset));
    if (offset + size < arena->size) block_at(arena, offset + size)->before = size;
}

static void take(linnet_arena_t *arena, uint32_t offset, uint32_t need) {
    block_t *block = block_at(arena, offset);
    uint32_t size = size_of(block);
    if (size - need >= SMALLEST) {
        block_t *rest = block_at(arena, offset + need);
        rest->size_used = size - need;
        rest->before = need;
        link_next(arena, offset + need);
        size = need;
    }
    block->size_used = size | USED;
    arena->in_use += size;
    if (offset + size > arena->peak) arena->peak = offset + size;
    if (offset == arena->first_free) arena->first_free = offset + size;
}

size_t linnet_arena_trim(linnet_arena_t *arena, size_t keep) {
    uint32_t at = 0, kept = ((uint32_t)keep + HEADER + 7) & ~(uint32_t)7;
    while (at + size_of(block_at(arena, at)) < arena->size) at += size_of(block_at(arena, at));
    if (block_at(arena, at)->size_used & USED || size_of(block_at(arena, at)) <= kept)
        return arena->size;
    block_at(arena, at)->size_used = kept;
    arena->size = at + kept;
    return arena->size;
}

void *linnet_tls_calloc(size_t n, size_t size) {
    linnet_arena_t *arena = current;
    if (arena == NULL) return LINNET_TLS_OUTSIDE_CALLOC(n, size);
    if (size != 0 && n > arena->size / size) {
        arena->failures++;
        return NULL;
    }
    uint32_t need = ((uint32_t)(n * size) + HEADER + 7) & ~(uint32_t)7;
    if (need < SMALLEST) need = SMALLEST;
    for (uint32_t at = arena->first_free; at < arena->size; at += size_of(block_at(arena, at))) {
        const block_t *block = block_at(arena, at);
        if (block->size_used & USED || size_of(block) < need) continue;
        take(arena, at, need);
        return memset(arena->base + at + HEADER, 0, need - HEADER);
    }
    arena->failures++;
    return NULL;
}

void linnet_tls_free(void *mem) {
    linnet_arena_t *arena = current;
    if (mem == NULL) return;
    if (arena == NULL) {
        LINNET_TLS_OUTSIDE_FREE(mem);
        return;
    }
    uintptr_t at = (uintptr_t)mem - (uintptr_t)arena->base;
    if (at < HEADER || at >= arena->size || (at & 7) != 0) {
        arena->foreign++;
        return;
    }
    uint32_t offset = (uint32_t)at - HEADER;
    block_t *block = block_at(arena, offset);
    if (!(block->size_used & USED)) {
        arena->foreign++;
        return;
    }
    uint32_t size = size_of(block);
    arena->in_use -= size;
    if (offset + size < arena->size && !(block_at(arena, offset + size)->size_used & USED))
        size += size_of(block_at(arena, offset + size));
    if (offset != 0 && !(block_at(arena, offset - block->before)->size_used & USED)) {
        uint32_t before = block->before;
        offset -= before;
        size += before;
    }
    block_at(arena, offset)->size_used = size;
    link_next(arena, offset);
    if (offset < arena->first_free) arena->first_free = offset;
}
