/* SPDX-License-Identifier: Apache-2.0
 * MaxPool, AveragePool and their global forms on blocked values (N, C / block, H, W, block), with the rules of
 * pool_max.c, pool_average.c, pool_global_*.c: one vector is the same place in `block` channels, so that every
 * window, stride and pad is a loop over vectors. The plan puts these in place of the kernels by rows (blocked.c). */
#include "kernels/blocked.h"
#include "kernels/epilogue.h"
#include "kernels/window.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define FOR_AVX512 __attribute__((target("avx512f,avx512vl,avx512dq")))
#define FOR_AVX2 __attribute__((target("avx2")))
#endif
#pragma GCC diagnostic ignored "-Wpsabi" /* vectors wider than the baseline pass between inlined functions alone */
#define INLINE static inline __attribute__((always_inline))

typedef struct pool_state {
    ox_window w;
    ox_isa isa;
    uint32_t block;
    size_t planes;   /* N * blocks of channels */
    ox_taps *column; /* of each output column */
    double *factor;  /* average: one over the part of the divisor that the column gives */
    double *row_factor;
} pool_state;

/* Sixteen or eight floats, their comparison masks, and the same as doubles. */
typedef float f16 __attribute__((vector_size(64), aligned(4)));
typedef int32_t i16 __attribute__((vector_size(64), aligned(4)));
typedef double d16 __attribute__((vector_size(128), aligned(8)));
typedef float f8 __attribute__((vector_size(32), aligned(4)));
typedef int32_t i8x __attribute__((vector_size(32), aligned(4)));
typedef double d8 __attribute__((vector_size(64), aligned(8)));

/* Elements of x (in planes of vectors) under one output: `row` and `column` taps. */
typedef struct spot {
    const ox_window *w;
    ox_taps h, c;
} spot;

static size_t at(const spot *s, size_t j, size_t t) {
    size_t row = s->h.at + (j - s->h.first) * s->w->dilation[1];
    return row * s->w->in[2] + s->c.at + (t - s->c.first) * s->w->dilation[2];
}

/* A maximum that is NaN equals nothing: the last NaN in scan order gets g. */
static void add_to_nan(const spot *s, const float *x, const float *g, float *dx, size_t block, size_t lane) {
    size_t last = SIZE_MAX;
    for (size_t j = s->h.first; j < s->h.end; j++) {
        for (size_t t = s->c.first; t < s->c.end; t++) {
            float v = x[at(s, j, t) * block + lane];
            last = v != v ? at(s, j, t) : last;
        }
    }
    if (last != SIZE_MAX) {
        dx[last * block + lane] += g[lane];
    }
}

/* NOLINTBEGIN(bugprone-macro-parentheses): arguments that are types and attributes */
/* The loops for a vector of B floats, once for each instruction set: GCC takes vectors apart before it inlines, so
 * these functions must have the attribute too. */
#define LOOPS(B, F, I, D, attribute, isa)                                                                              \
    attribute INLINE F load_##B##_##isa(const float *p) {                                                              \
        F v;                                                                                                           \
        memcpy(&v, p, sizeof v);                                                                                       \
        return v;                                                                                                      \
    }                                                                                                                  \
    attribute INLINE void store_##B##_##isa(float *p, F v) {                                                           \
        memcpy(p, &v, sizeof v);                                                                                       \
    }                                                                                                                  \
    attribute INLINE F select_##B##_##isa(I mask, F yes, F no) {                                                       \
        return (F)((mask & (I)yes) | (~mask & (I)no));                                                                 \
    }                                                                                                                  \
    attribute INLINE void max_taps_##B##_##isa(const spot *s, const float *x, float *y, const size_t rows,             \
                                               const size_t columns) {                                                 \
        const float *first = x + at(s, s->h.first, s->c.first) * B;                                                    \
        const size_t down = s->w->dilation[1] * s->w->in[2] * B, across = s->w->dilation[2] * B;                       \
        F best = load_##B##_##isa(first);                                                                              \
        for (size_t j = 0; j < rows; j++, first += down) {                                                             \
            for (size_t t = 0; t < columns; t++) {                                                                     \
                F v = load_##B##_##isa(first + t * across);                                                            \
                best = select_##B##_##isa((I)(v > best) | (I)(v != v), v, best);                                       \
            }                                                                                                          \
        }                                                                                                              \
        store_##B##_##isa(y, best);                                                                                    \
    }                                                                                                                  \
    attribute INLINE void max_one_##B##_##isa(const spot *s, const float *x, float *y) {                               \
        size_t rows = s->h.end - s->h.first, columns = s->c.end - s->c.first;                                          \
        if (rows == 2 && columns == 2) { /* constants: the common windows without loops */                             \
            max_taps_##B##_##isa(s, x, y, 2, 2);                                                                       \
        } else if (rows == 3 && columns == 3) {                                                                        \
            max_taps_##B##_##isa(s, x, y, 3, 3);                                                                       \
        } else {                                                                                                       \
            max_taps_##B##_##isa(s, x, y, rows, columns);                                                              \
        }                                                                                                              \
    }                                                                                                                  \
    attribute INLINE void max_vjp_one_##B##_##isa(const spot *s, const float *x, const float *y, const float *g,       \
                                                  float *dx) {                                                         \
        F best = load_##B##_##isa(y), share = load_##B##_##isa(g);                                                     \
        I open = (I)(best == best) | ~(I)(best == best);                                                               \
        for (size_t j = s->h.first; j < s->h.end; j++) {                                                               \
            for (size_t t = s->c.first; t < s->c.end; t++) {                                                           \
                size_t k = at(s, j, t) * B;                                                                            \
                I is = (I)(load_##B##_##isa(x + k) == best) & open;                                                    \
                open &= ~is;                                                                                           \
                store_##B##_##isa(dx + k, load_##B##_##isa(dx + k) + (F)(is & (I)share));                              \
            }                                                                                                          \
        }                                                                                                              \
        int32_t any = 0;                                                                                               \
        for (size_t lane = 0; lane < B; lane++) {                                                                      \
            any |= open[lane];                                                                                         \
        }                                                                                                              \
        for (size_t lane = 0; any != 0 && lane < B; lane++) {                                                          \
            if (open[lane] != 0) {                                                                                     \
                add_to_nan(s, x, g, dx, B, lane);                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    attribute INLINE void mean_one_##B##_##isa(const spot *s, const float *x, double factor, float *y) {               \
        D sum = {0};                                                                                                   \
        for (size_t j = s->h.first; j < s->h.end; j++) {                                                               \
            const float *row = x + at(s, j, s->c.first) * B;                                                           \
            for (size_t t = s->c.first; t < s->c.end; t++, row += s->w->dilation[2] * B) {                             \
                sum += __builtin_convertvector(load_##B##_##isa(row), D);                                              \
            }                                                                                                          \
        }                                                                                                              \
        store_##B##_##isa(y, __builtin_convertvector(sum * factor, F));                                                \
    }                                                                                                                  \
    attribute INLINE void mean_vjp_one_##B##_##isa(const spot *s, const float *g, double factor, float *dx) {          \
        F share = __builtin_convertvector(__builtin_convertvector(load_##B##_##isa(g), D) * factor, F);                \
        for (size_t j = s->h.first; j < s->h.end; j++) {                                                               \
            for (size_t t = s->c.first; t < s->c.end; t++) {                                                           \
                float *to = dx + at(s, j, t) * B;                                                                      \
                store_##B##_##isa(to, load_##B##_##isa(to) + share);                                                   \
            }                                                                                                          \
        }                                                                                                              \
    }
/* One pass over all outputs; g and dx only backwards. */
typedef struct pass {
    const pool_state *p;
    const float *x, *y, *g;
    float *to; /* y forwards, dx backwards */
} pass;

#define EACH_OUTPUT(q, B, body)                                                                                        \
    do {                                                                                                               \
        const ox_window *w = &(q)->p->w;                                                                               \
        for (size_t plane = 0; plane < (q)->p->planes; plane++) {                                                      \
            size_t in = plane * w->in_plane * B, o = plane * w->out_plane * B;                                         \
            for (size_t oh = 0; oh < w->out[1]; oh++) {                                                                \
                spot s = {.w = w, .h = ox_window_taps(w, 1, oh)};                                                      \
                for (size_t ow = 0; ow < w->out[2]; ow++, o += B) {                                                    \
                    s.c = (q)->p->column[ow];                                                                          \
                    body;                                                                                              \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)
#define FACTOR(q) ((q)->p->row_factor[oh] * (q)->p->factor[ow])

#define PASSES(B, attribute, isa)                                                                                      \
    attribute static void max_##B##_##isa(const pass *q) {                                                             \
        EACH_OUTPUT(q, B, max_one_##B##_##isa(&s, q->x + in, q->to + o));                                              \
    }                                                                                                                  \
    attribute static void max_vjp_##B##_##isa(const pass *q) {                                                         \
        EACH_OUTPUT(q, B, max_vjp_one_##B##_##isa(&s, q->x + in, q->y + o, q->g + o, q->to + in));                     \
    }                                                                                                                  \
    attribute static void mean_##B##_##isa(const pass *q) {                                                            \
        EACH_OUTPUT(q, B, mean_one_##B##_##isa(&s, q->x + in, FACTOR(q), q->to + o));                                  \
    }                                                                                                                  \
    attribute static void mean_vjp_##B##_##isa(const pass *q) {                                                        \
        EACH_OUTPUT(q, B, mean_vjp_one_##B##_##isa(&s, q->g + o, FACTOR(q), q->to + in));                              \
    }
/* NOLINTEND(bugprone-macro-parentheses) */
#define NO_ATTRIBUTE
LOOPS(16, f16, i16, d16, NO_ATTRIBUTE, plain)
PASSES(16, NO_ATTRIBUTE, plain)
LOOPS(8, f8, i8x, d8, NO_ATTRIBUTE, plain)
PASSES(8, NO_ATTRIBUTE, plain)
#if defined(__x86_64__)
/* vmaxps forgets a NaN on one side, so its result counts only where no tap is one: 2 operations a tap instead of 5. */
FOR_AVX512 INLINE bool max_ordered(const float *x, float *y, size_t down, size_t across, const size_t rows,
                                   const size_t columns) {
    __m512 best = _mm512_loadu_ps(x);
    __mmask16 nan = 0;
    for (size_t j = 0; j < rows; j++, x += down) {
        for (size_t t = 0; t < columns; t++) {
            __m512 v = _mm512_loadu_ps(x + t * across);
            nan = (__mmask16)(nan | _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q));
            best = _mm512_max_ps(v, best);
        }
    }
    _mm512_storeu_ps(y, best);
    return nan == 0;
}
LOOPS(16, f16, i16, d16, FOR_AVX512, avx512)
FOR_AVX512 INLINE void max_fast(const spot *s, const float *x, float *y) {
    size_t rows = s->h.end - s->h.first, columns = s->c.end - s->c.first;
    size_t down = s->w->dilation[1] * s->w->in[2] * 16, across = s->w->dilation[2] * 16;
    const float *first = x + at(s, s->h.first, s->c.first) * 16;
    bool done = rows == 2 && columns == 2   ? max_ordered(first, y, down, across, 2, 2)
                : rows == 3 && columns == 3 ? max_ordered(first, y, down, across, 3, 3)
                                            : max_ordered(first, y, down, across, rows, columns);
    if (!done) {
        max_one_16_avx512(s, x, y);
    }
}
PASSES(16, FOR_AVX512, avx512)
FOR_AVX512 static void max_16_fast(const pass *q) {
    EACH_OUTPUT(q, 16, max_fast(&s, q->x + in, q->to + o));
}
LOOPS(16, f16, i16, d16, FOR_AVX2, avx2)
PASSES(16, FOR_AVX2, avx2)
LOOPS(8, f8, i8x, d8, FOR_AVX2, avx2)
PASSES(8, FOR_AVX2, avx2)
#define RUN(name, q)                                                                                                   \
    do {                                                                                                               \
        if ((q)->p->block == 16 && (q)->p->isa == OX_ISA_AVX512) {                                                     \
            name##_16_avx512(q);                                                                                       \
        } else if ((q)->p->block == 16) {                                                                              \
            ((q)->p->isa == OX_ISA_PORTABLE ? name##_16_plain : name##_16_avx2)(q);                                    \
        } else {                                                                                                       \
            ((q)->p->isa == OX_ISA_PORTABLE ? name##_8_plain : name##_8_avx2)(q);                                      \
        }                                                                                                              \
    } while (0)
#else
#define RUN(name, q) ((q)->p->block == 16 ? name##_16_plain : name##_8_plain)(q)
#endif

/* ---- windows ------------------------------------------------------------------------------------ */

static void release(ox_node *n) {
    pool_state *p = n->state;
    if (p != NULL) {
        mem_free(p->column);
        mem_free(p->factor);
        mem_free(p->row_factor);
        mem_free(p);
        n->state = NULL;
    }
}

/* Taps of dimension d at o inside the padded input. */
static size_t padded_taps(const ox_window *w, unsigned d, size_t o) {
    size_t end = w->in[d] + w->pad_lo[d] + w->pad_hi[d], start = o * w->stride[d];
    size_t room = end > start ? (end - start + w->dilation[d] - 1) / w->dilation[d] : 0;
    return room < w->k[d] ? room : w->k[d];
}

static void fill_factors(const ox_node *n, pool_state *p) {
    bool include_pad = ox_attr_int(n, "count_include_pad", 0) != 0;
    for (unsigned d = 1; d < 3; d++) {
        double *to = d == 1 ? p->row_factor : p->factor;
        for (size_t o = 0; o < p->w.out[d]; o++) {
            ox_taps t = ox_window_taps(&p->w, d, o);
            to[o] = 1 / (double)(include_pad ? padded_taps(&p->w, d, o) : t.end - t.first);
        }
    }
}

static status fill_state(const ox_node *n, pool_state *p, error *err) {
    const ox_tensor *x = n->in[0];
    TRY(ox_window_read(n, NULL, true, &p->w, err));
    p->isa = ox_isa_best();
    p->block = x->block;
    p->planes = (size_t)(x->shape[0] * x->shape[1]);
    p->column = mem_try(p->w.out[2], sizeof *p->column, "window", err);
    p->factor = mem_try(p->w.out[2], sizeof *p->factor, "window", err);
    p->row_factor = mem_try(p->w.out[1], sizeof *p->row_factor, "window", err);
    TRY(p->column == NULL || p->factor == NULL || p->row_factor == NULL ? STATUS_MEMORY : STATUS_OK);
    for (size_t o = 0; o < p->w.out[2]; o++) {
        p->column[o] = ox_window_taps(&p->w, 2, o);
    }
    fill_factors(n, p);
    return STATUS_OK;
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    n->state = mem_zalloc(sizeof(pool_state));
    status s = fill_state(n, n->state, err);
    if (s != STATUS_OK) {
        release(n);
    }
    return s;
}

static status max_forward(ox_node *n, error *err) {
    (void)err;
    pass q = {.p = n->state, .x = n->in[0]->data, .to = n->out[0]->data};
#if defined(__x86_64__)
    if (q.p->block == 16 && q.p->isa == OX_ISA_AVX512) {
        max_16_fast(&q);
        return STATUS_OK;
    }
#endif
    RUN(max, &q);
    return STATUS_OK;
}

static status mean_forward(ox_node *n, error *err) {
    (void)err;
    pass q = {.p = n->state, .x = n->in[0]->data, .to = n->out[0]->data};
    RUN(mean, &q);
    return STATUS_OK;
}

/* False: there is nothing to do. Windows may overlap, so what is stored starts as zero. */
static bool ready(const ox_node *n, pass *q) {
    ox_clear_fresh(n);
    *q = (pass){
        .p = n->state, .x = n->in[0]->data, .y = n->out[0]->data, .g = ox_grad_out(n, 0), .to = ox_grad_in(n, 0)};
    return q->g != NULL && q->to != NULL;
}

static status max_vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    pass q;
    if (ready(n, &q)) {
        RUN(max_vjp, &q);
    }
    return STATUS_OK;
}

static status mean_vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    pass q;
    if (ready(n, &q)) {
        RUN(mean_vjp, &q);
    }
    return STATUS_OK;
}

static void same_block(const ox_node *n, uint32_t *in_block, uint32_t *out_block) {
    *in_block = *out_block = n->in[0]->block;
}

/* ---- all of a plane ----------------------------------------------------------------------------- */

/* The result has one element a channel, so it is given in rows. */
static void rows_out(const ox_node *n, uint32_t *in_block, uint32_t *out_block) {
    *in_block = n->in[0]->block;
    *out_block = 0;
}

typedef struct plane {
    size_t first; /* channel, of all examples */
    size_t lanes; /* channels that the block really has */
    size_t inner; /* elements of a channel */
    const float *x;
} plane;

static plane plane_of(const ox_node *n, size_t i) {
    const ox_tensor *x = n->in[0];
    size_t blocks = (size_t)x->shape[1], b = i % blocks, channels = (size_t)x->channels;
    size_t inner = (size_t)(x->shape[2] * x->shape[3]), left = channels - b * x->block;
    return (plane){.first = i / blocks * channels + b * x->block,
                   .lanes = left < x->block ? left : x->block,
                   .inner = inner,
                   .x = ox_f32(x) + i * inner * x->block};
}

static status global_mean_forward(ox_node *n, error *err) {
    (void)err;
    const ox_tensor *x = n->in[0];
    float *y = n->out[0]->data;
    for (size_t i = 0; i < (size_t)(x->shape[0] * x->shape[1]); i++) {
        plane p = plane_of(n, i);
        double sum[16] = {0};
        for (size_t k = 0; k < p.inner; k++) {
            for (size_t lane = 0; lane < x->block; lane++) {
                sum[lane] += (double)p.x[k * x->block + lane];
            }
        }
        for (size_t lane = 0; lane < p.lanes; lane++) {
            y[p.first + lane] = (float)(sum[lane] / (double)p.inner);
        }
    }
    return STATUS_OK;
}

static status global_mean_vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const ox_tensor *x = n->in[0];
    pass q;
    size_t planes = ready(n, &q) ? (size_t)(x->shape[0] * x->shape[1]) : 0;
    for (size_t i = 0; i < planes; i++) {
        plane p = plane_of(n, i);
        float share[16] = {0}, *to = q.to + (p.x - q.x);
        for (size_t lane = 0; lane < p.lanes; lane++) {
            share[lane] = (float)((double)q.g[p.first + lane] / (double)p.inner);
        }
        for (size_t k = 0; k < p.inner; k++) {
            for (size_t lane = 0; lane < x->block; lane++) {
                to[k * x->block + lane] += share[lane];
            }
        }
    }
    return STATUS_OK;
}

#define BLOCKED(symbol, name, prep, rel, fwd, back, blocks)                                                            \
    const ox_kernel ox_kernel_##symbol##_blocked = {.op = (name),                                                      \
                                                    .min_opset = 1,                                                    \
                                                    .max_opset = 9999,                                                 \
                                                    .flags = OX_KEEPS_BATCH | OX_STORES_GRADIENT,                      \
                                                    .min_in = 1,                                                       \
                                                    .max_in = 1,                                                       \
                                                    .min_out = 1,                                                      \
                                                    .max_out = 1,                                                      \
                                                    .prepare = (prep),                                                 \
                                                    .release = (rel),                                                  \
                                                    .forward = (fwd),                                                  \
                                                    .vjp = (back),                                                     \
                                                    .layout = (blocks)}
BLOCKED(max_pool, "MaxPool", prepare, release, max_forward, max_vjp, same_block);
BLOCKED(average_pool, "AveragePool", prepare, release, mean_forward, mean_vjp, same_block);
BLOCKED(global_average_pool, "GlobalAveragePool", NULL, NULL, global_mean_forward, global_mean_vjp, rows_out);
