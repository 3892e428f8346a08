/* SPDX-License-Identifier: Apache-2.0
 * Memory: arenas for what lives as long as a run or an item, checked sizes for what a file claims. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define MEM_ALIGN 64u

/* For small sizes that the program itself decides. Zeroed, aligned to MEM_ALIGN; aborts when there is no
 * memory left (nothing sensible can be done with 40 bytes missing). Free with mem_free. */
void *mem_zalloc(size_t n_bytes);
void mem_free(void *p);
char *mem_strdup(const char *s);
/* Grows an array to hold at least `need` items (doubling); aborts like mem_zalloc. New space is zeroed. */
void *mem_grow(void *p, size_t *cap, size_t need, size_t item_bytes);

/* For sizes that come from outside: NULL with STATUS_MEMORY when n * item overflows or is not to be had.
 * Zeroed, aligned to MEM_ALIGN. `what` names the thing in the error text. Free with mem_free. */
void *mem_try(size_t n, size_t item_bytes, const char *what, error *err);

/* False on overflow. */
bool mem_mul(size_t a, size_t b, size_t *out);
bool mem_add(size_t a, size_t b, size_t *out);

/* An arena: everything in it is freed at once. Zero-initialise it (`arena a = {0}`). Not thread-safe. */
typedef struct arena_block arena_block;
typedef struct arena {
    arena_block *head;
    size_t n_bytes; /* handed out so far */
} arena;

void *arena_alloc(arena *a, size_t n_bytes); /* zeroed, aligned to 64; aborts without memory */
char *arena_strdup(arena *a, const char *s); /* NULL -> NULL */
char *arena_strndup(arena *a, const char *s, size_t n);
char *arena_printf(arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_free(arena *a);

#endif
