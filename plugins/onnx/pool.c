/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <string.h>

static size_t aligned(size_t n) {
    return n == 0 ? MEM_ALIGN : (n + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
}

static void remove_at(pool *p, size_t i) {
    memmove(&p->free[i], &p->free[i + 1], (p->n_free - i - 1) * sizeof *p->free);
    p->n_free--;
}

bool pool_take(pool *p, size_t n, size_t *at) {
    if (n > p->limit) {
        return false;
    }
    n = aligned(n);
    for (size_t i = 0; i < p->n_free; i++) {
        pool_span *f = &p->free[i];
        if (f->n >= n) {
            *at = f->at;
            f->at += n;
            f->n -= n;
            if (f->n == 0) {
                remove_at(p, i);
            }
            return true;
        }
    }
    /* grow from a free span at the end, if there is one */
    pool_span *last = p->n_free > 0 ? &p->free[p->n_free - 1] : NULL;
    bool use_last = last != NULL && last->at + last->n == p->top;
    *at = use_last ? last->at : p->top;
    if (n > p->limit - *at) {
        return false;
    }
    p->top = *at + n;
    if (use_last) {
        p->n_free--;
    }
    return true;
}

void pool_give(pool *p, size_t at, size_t n) {
    n = aligned(n);
    size_t i = 0;
    while (i < p->n_free && p->free[i].at < at) {
        i++;
    }
    bool joins_before = i > 0 && p->free[i - 1].at + p->free[i - 1].n == at;
    bool joins_after = i < p->n_free && at + n == p->free[i].at;
    if (joins_before) {
        p->free[i - 1].n += n;
        if (joins_after) {
            p->free[i - 1].n += p->free[i].n;
            remove_at(p, i);
        }
    } else if (joins_after) {
        p->free[i].at = at;
        p->free[i].n += n;
    } else {
        p->free = mem_grow(p->free, &p->cap, p->n_free + 1, sizeof *p->free);
        memmove(&p->free[i + 1], &p->free[i], (p->n_free - i) * sizeof *p->free);
        p->free[i] = (pool_span){at, n};
        p->n_free++;
    }
}

void pool_destroy(pool *p) {
    mem_free(p->free);
    *p = (pool){0};
}
