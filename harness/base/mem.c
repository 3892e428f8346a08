/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t round_up(size_t n) {
    return (n + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
}

static void *aligned_zeroed(size_t n_bytes) {
    if (n_bytes > PTRDIFF_MAX - MEM_ALIGN) { /* no object may be larger */
        return NULL;
    }
    size_t n = round_up(n_bytes == 0 ? 1 : n_bytes);
    void *p = aligned_alloc(MEM_ALIGN, n);
    if (p != NULL) {
        memset(p, 0, n);
    }
    return p;
}

void *mem_zalloc(size_t n_bytes) {
    void *p = aligned_zeroed(n_bytes);
    if (p == NULL) {
        (void)fprintf(stderr, "assay: out of memory (%zu bytes)\n", n_bytes);
        abort();
    }
    return p;
}

void mem_free(void *p) {
    free(p);
}

char *mem_strdup(const char *s) {
    size_t n = strlen(s) + 1;
    char *p = mem_zalloc(n);
    memcpy(p, s, n);
    return p;
}

void *mem_grow(void *p, size_t *cap, size_t need, size_t item_bytes) {
    if (need <= *cap) {
        return p;
    }
    size_t want = *cap < 8 ? 8 : *cap * 2;
    if (want < need) {
        want = need;
    }
    size_t bytes = 0;
    if (!mem_mul(want, item_bytes, &bytes)) {
        bytes = SIZE_MAX;
    }
    void *q = mem_zalloc(bytes);
    if (p != NULL) {
        memcpy(q, p, *cap * item_bytes);
        free(p);
    }
    *cap = want;
    return q;
}

void *mem_try(size_t n, size_t item_bytes, const char *what, error *err) {
    size_t bytes = 0;
    void *p = mem_mul(n, item_bytes, &bytes) ? aligned_zeroed(bytes) : NULL;
    if (p == NULL) {
        (void)error_set(err, STATUS_MEMORY, "%s: no memory for %zu x %zu bytes", what, n, item_bytes);
    }
    return p;
}

bool mem_mul(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

bool mem_add(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

struct arena_block {
    arena_block *next;
    size_t used, cap;
    /* payload follows at the next multiple of MEM_ALIGN */
};

enum { BLOCK_BYTES = 64 * 1024 };

static char *payload(arena_block *b) {
    return (char *)b + round_up(sizeof *b);
}

void *arena_alloc(arena *a, size_t n_bytes) {
    if (n_bytes > SIZE_MAX / 2) {
        return mem_zalloc(n_bytes); /* cannot succeed: aborts with the size */
    }
    size_t n = round_up(n_bytes == 0 ? 1 : n_bytes);
    arena_block *b = a->head;
    if (b == NULL || b->cap - b->used < n) {
        size_t cap = n > BLOCK_BYTES ? n : BLOCK_BYTES;
        b = mem_zalloc(round_up(sizeof *b) + cap);
        b->cap = cap;
        b->next = a->head;
        a->head = b;
    }
    void *p = payload(b) + b->used;
    b->used += n;
    a->n_bytes += n;
    return p;
}

char *arena_strndup(arena *a, const char *s, size_t n) {
    size_t len = strnlen(s, n);
    char *p = arena_alloc(a, len + 1);
    memcpy(p, s, len);
    return p;
}

char *arena_strdup(arena *a, const char *s) {
    return s == NULL ? NULL : arena_strndup(a, s, strlen(s));
}

char *arena_printf(arena *a, const char *fmt, ...) {
    va_list ap;
    va_list again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = arena_alloc(a, n < 0 ? 1 : (size_t)n + 1);
    if (n > 0) {
        (void)vsnprintf(p, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    return p;
}

void arena_free(arena *a) {
    while (a->head != NULL) {
        arena_block *next = a->head->next;
        free(a->head);
        a->head = next;
    }
    a->n_bytes = 0;
}
