/* SPDX-License-Identifier: Apache-2.0
 * Transpose of any dtype; without perm the dimensions are reversed. Dimensions that stay neighbours count as one. What
 * keeps the last dimension moves in runs, (B, T, H, D) -> (B, H, T, D) of attention; anything else is a stack of
 * transposed matrices, which go tile by tile so that both sides stay in cache. The reference is the plain loop. */
#include <inttypes.h>

#include "kernels/moves.h"

static status get_perm(const ox_node *n, uint32_t perm[ASSAY_MAX_DIMS], error *err) {
    uint32_t rank = n->in[0]->n_dims;
    bool seen[ASSAY_MAX_DIMS] = {false};
    const int64_t *v = NULL;
    TRY(ox_attr_ints(n, "perm", rank, &v, NULL, err));
    for (uint32_t i = 0; i < rank; i++) {
        int64_t p = v != NULL ? v[i] : (int64_t)(rank - 1 - i);
        if (p < 0 || p >= (int64_t)rank || seen[p]) {
            return error_set(err, STATUS_MODEL, "perm[%u] = %" PRId64 " makes no permutation of %u dimensions", i, p,
                             rank);
        }
        seen[p] = true;
        perm[i] = (uint32_t)p;
    }
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    if (n->in[0] == NULL || n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "input 0 or output 0 is missing");
    }
    uint32_t perm[ASSAY_MAX_DIMS] = {0};
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    TRY(get_perm(n, perm, err));
    for (uint32_t i = 0; i < n->in[0]->n_dims; i++) {
        shape[i] = n->in[0]->shape[perm[i]];
    }
    return ox_set_shape(n->out[0], n->in[0]->dtype, shape, n->in[0]->n_dims, err);
}

/* Walks the output in order; `at` follows in the input. The innermost run has one stride. */
typedef struct walk {
    uint32_t rank;
    size_t shape[ASSAY_MAX_DIMS], stride[ASSAY_MAX_DIMS], idx[ASSAY_MAX_DIMS], at;
} walk;

static status walk_init(const ox_node *n, walk *w, error *err) {
    const ox_tensor *x = n->in[0];
    uint32_t perm[ASSAY_MAX_DIMS] = {0};
    TRY(get_perm(n, perm, err));
    *w = (walk){.rank = x->n_dims > 0 ? x->n_dims : 1};
    w->shape[0] = w->stride[0] = 1; /* a scalar */
    for (uint32_t i = 0; i < x->n_dims; i++) {
        w->shape[i] = (size_t)x->shape[perm[i]];
        w->stride[i] = ox_count(x, perm[i] + 1, x->n_dims);
    }
    return STATUS_OK;
}

static bool walk_next(walk *w) {
    for (uint32_t i = 1; i < w->rank; i++) {
        uint32_t d = w->rank - 1 - i;
        w->at += w->stride[d];
        if (++w->idx[d] < w->shape[d]) {
            return true;
        }
        w->at -= w->stride[d] * w->shape[d];
        w->idx[d] = 0;
    }
    return false;
}

#define COPY_RUN(type)                                                                                                 \
    for (size_t i = 0; i < len; i++) {                                                                                 \
        ((type *)n->out[0]->data)[o + i] = ((const type *)n->in[0]->data)[w.at + i * stride];                          \
    }                                                                                                                  \
    break

static status forward_reference(ox_node *n, error *err) {
    walk w;
    TRY(walk_init(n, &w, err));
    size_t len = w.shape[w.rank - 1], stride = w.stride[w.rank - 1], o = 0;
    if (n->out[0]->n == 0) {
        return STATUS_OK;
    }
    do {
        switch (ox_dtype_bytes(n->out[0]->dtype)) {
        case 1: COPY_RUN(uint8_t);
        case 4: COPY_RUN(uint32_t);
        default: COPY_RUN(uint64_t);
        }
        o += len;
    } while (walk_next(&w));
    return STATUS_OK;
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    walk w;
    TRY(walk_init(n, &w, err));
    size_t len = w.shape[w.rank - 1], stride = w.stride[w.rank - 1];
    if (g == NULL || dx == NULL || n->out[0]->n == 0) {
        return STATUS_OK;
    }
    do {
        for (size_t i = 0; i < len; i++) {
            dx[w.at + i * stride] += *g++;
        }
    } while (walk_next(&w));
    return STATUS_OK;
}

/* ---- runs and tiles ----------------------------------------------------------------------------- */

#define TILE 16u

typedef uint32_t words __attribute__((vector_size(16)));
typedef float floats __attribute__((vector_size(16)));

/* to[r * to_step + c] = from[c * from_step + r] */
typedef struct matrix {
    size_t rows, columns; /* of `to` */
    size_t from_step, to_step;
} matrix;

/* The dimensions without those of one element and with neighbours joined: the walk's, in the output's order. */
typedef struct moved {
    walk outer; /* all but the last, and but the one that is contiguous in the input where that is not the last */
    size_t to[ASSAY_MAX_DIMS]; /* steps of the outer dimensions in the output */
    bool runs;
    size_t run;
    matrix m; /* of the output */
} moved;

static void join(const walk *all, walk *w) {
    *w = (walk){0};
    for (uint32_t d = 0; d < all->rank; d++) {
        if (all->shape[d] == 1) {
            continue;
        }
        uint32_t k = w->rank;
        if (k > 0 && w->stride[k - 1] == all->stride[d] * all->shape[d]) {
            w->shape[k - 1] *= all->shape[d];
            w->stride[k - 1] = all->stride[d];
            continue;
        }
        w->shape[k] = all->shape[d];
        w->stride[k] = all->stride[d];
        w->rank++;
    }
    if (w->rank == 0) { /* one element */
        w->rank = 1;
        w->shape[0] = w->stride[0] = 1;
    }
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    walk all, w;
    TRY(walk_init(n, &all, err));
    if (n->out[0]->n == 0) {
        return STATUS_OK;
    }
    moved *v = mem_zalloc(sizeof *v);
    n->state = v;
    join(&all, &w);
    size_t step = 1, steps[ASSAY_MAX_DIMS] = {0};
    for (uint32_t d = w.rank; d-- > 0; step *= w.shape[d]) {
        steps[d] = step;
    }
    uint32_t last = w.rank - 1;
    v->runs = w.stride[last] == 1;
    v->run = w.shape[last];
    for (uint32_t d = 0; d < last; d++) {
        if (w.stride[d] == 1) { /* contiguous in the input: the rows of the output's matrices */
            v->m = (matrix){w.shape[d], w.shape[last], w.stride[last], steps[d]};
            continue;
        }
        uint32_t k = v->outer.rank++;
        v->outer.shape[k] = w.shape[d];
        v->outer.stride[k] = w.stride[d];
        v->to[k] = steps[d];
    }
    return STATUS_OK;
}

static void release(ox_node *n) {
    mem_free(n->state);
    n->state = NULL;
}

/* Next step of all outer dimensions; false at the end. */
static bool outer_next(walk *w, const size_t *to_step, size_t *to) {
    for (uint32_t d = w->rank; d-- > 0;) {
        w->at += w->stride[d];
        *to += to_step[d];
        if (++w->idx[d] < w->shape[d]) {
            return true;
        }
        w->at -= w->stride[d] * w->shape[d];
        *to -= to_step[d] * w->shape[d];
        w->idx[d] = 0;
    }
    return false;
}

static words load(const uint32_t *p) {
    words w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* 4 x 4 elements. */
static void transpose_4(const uint32_t *from, size_t from_step, words to[4]) {
    words a = load(from), b = load(from + from_step), c = load(from + 2 * from_step), d = load(from + 3 * from_step);
    words ab_lo = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_hi = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    words cd_lo = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_hi = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    to[0] = __builtin_shufflevector(ab_lo, cd_lo, 0, 1, 4, 5);
    to[1] = __builtin_shufflevector(ab_lo, cd_lo, 2, 3, 6, 7);
    to[2] = __builtin_shufflevector(ab_hi, cd_hi, 0, 1, 4, 5);
    to[3] = __builtin_shufflevector(ab_hi, cd_hi, 2, 3, 6, 7);
}

/* Calls `block` for each 4 x 4 block at (r, c), `one` for each element that is left at the edges. */
#define EACH_BLOCK(m, block, one)                                                                                      \
    for (size_t r0 = 0; r0 < (m)->rows; r0 += TILE) {                                                                  \
        size_t r1 = r0 + TILE < (m)->rows ? r0 + TILE : (m)->rows, r4 = r0 + (r1 - r0) / 4 * 4;                        \
        for (size_t c0 = 0; c0 < (m)->columns; c0 += TILE) {                                                           \
            size_t c1 = c0 + TILE < (m)->columns ? c0 + TILE : (m)->columns, c4 = c0 + (c1 - c0) / 4 * 4;              \
            for (size_t r = r0; r < r4; r += 4) {                                                                      \
                for (size_t c = c0; c < c4; c += 4) {                                                                  \
                    block;                                                                                             \
                }                                                                                                      \
            }                                                                                                          \
            for (size_t r = r0; r < r1; r++) {                                                                         \
                for (size_t c = r < r4 ? c4 : c0; c < c1; c++) {                                                       \
                    one;                                                                                               \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }

static void copy_4(const matrix *m, const uint32_t *from, uint32_t *to) {
    words t[4];
    EACH_BLOCK(
        m,
        {
            transpose_4(from + c * m->from_step + r, m->from_step, t);
            for (size_t k = 0; k < 4; k++) {
                memcpy(to + (r + k) * m->to_step + c, &t[k], sizeof t[k]);
            }
        },
        to[r * m->to_step + c] = from[c * m->from_step + r])
}

/* to += from */
static void add_4(const matrix *m, const float *from, float *to) {
    union {
        words w[4];
        floats f[4];
    } t;
    const void *bits = from;
    const uint32_t *source = bits;
    EACH_BLOCK(
        m,
        {
            transpose_4(source + c * m->from_step + r, m->from_step, t.w);
            for (size_t k = 0; k < 4; k++) {
                floats sum;
                memcpy(&sum, to + (r + k) * m->to_step + c, sizeof sum);
                sum += t.f[k];
                memcpy(to + (r + k) * m->to_step + c, &sum, sizeof sum);
            }
        },
        to[r * m->to_step + c] += from[c * m->from_step + r])
}

#define COPY_MATRIX(type)                                                                                              \
    for (size_t r0 = 0; r0 < m->rows; r0 += TILE) {                                                                    \
        size_t r1 = r0 + TILE < m->rows ? r0 + TILE : m->rows;                                                         \
        for (size_t c = 0; c < m->columns; c++) {                                                                      \
            for (size_t r = r0; r < r1; r++) {                                                                         \
                ((type *)to)[r * m->to_step + c] = ((const type *)from)[c * m->from_step + r];                         \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    break

static void copy_matrix(const matrix *m, const void *from, void *to, size_t item) {
    switch (item) {
    case 1: COPY_MATRIX(uint8_t);
    case 4: copy_4(m, from, to); break;
    default: COPY_MATRIX(uint64_t);
    }
}

static status forward(ox_node *n, error *err) {
    (void)err;
    const moved *v = n->state;
    size_t item = ox_dtype_bytes(n->out[0]->dtype), to = 0;
    const char *x = n->in[0]->data;
    char *y = n->out[0]->data;
    if (v == NULL) {
        return STATUS_OK;
    }
    walk w = v->outer;
    do {
        if (v->runs) {
            memcpy(y + to * item, x + w.at * item, v->run * item);
        } else {
            copy_matrix(&v->m, x + w.at * item, y + to * item, item);
        }
    } while (outer_next(&w, v->to, &to));
    return STATUS_OK;
}

/* Stores where the gradient is fresh: every element is written once. */
static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const moved *v = n->state;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    bool fresh = ox_is_fresh(n, 0);
    if (dx == NULL || v == NULL || g == NULL) {
        if (dx != NULL && fresh) {
            memset(dx, 0, n->in[0]->n * sizeof *dx);
        }
        return STATUS_OK;
    }
    matrix back = {v->m.columns, v->m.rows, v->m.to_step, v->m.from_step};
    walk w = v->outer;
    size_t to = 0;
    do {
        if (v->runs && fresh) {
            memcpy(dx + w.at, g + to, v->run * sizeof *dx);
        } else if (v->runs) {
            ox_add_run(dx + w.at, g + to, v->run);
        } else if (fresh) {
            copy_matrix(&back, g + to, dx + w.at, sizeof *dx);
        } else {
            add_4(&back, g + to, dx + w.at);
        }
    } while (outer_next(&w, v->to, &to));
    return STATUS_OK;
}

const ox_kernel ox_kernel_transpose = {.op = "Transpose",
                                       .min_opset = 1,
                                       .max_opset = 9999,
                                       .flags = OX_STORES_GRADIENT,
                                       .min_in = 1,
                                       .max_in = 1,
                                       .min_out = 1,
                                       .max_out = 1,
                                       .infer = infer,
                                       .prepare = prepare,
                                       .release = release,
                                       .forward = forward,
                                       .forward_reference = forward_reference,
                                       .vjp = vjp,
                                       .vjp_reference = vjp_reference};
