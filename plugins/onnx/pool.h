/* SPDX-License-Identifier: Apache-2.0
 * Offsets in one block of memory for buffers with overlapping lifetimes: first fit over a sorted free list. */
#ifndef ONNX_POOL_H
#define ONNX_POOL_H

#include "base/mem.h"

typedef struct pool_span {
    size_t at, n;
} pool_span;

typedef struct pool {
    pool_span *free; /* sorted by `at`, never adjacent */
    size_t n_free, cap;
    size_t top;   /* end of the block in use */
    size_t limit; /* `top` never grows beyond */
} pool;

/* Multiples of MEM_ALIGN. False if the limit would be passed. */
bool pool_take(pool *p, size_t n, size_t *at);
void pool_give(pool *p, size_t at, size_t n); /* the `n` asked for in pool_take */
void pool_destroy(pool *p);

#endif
