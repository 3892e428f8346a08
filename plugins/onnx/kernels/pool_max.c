/* SPDX-License-Identifier: Apache-2.0
 * MaxPool (opset 1 on; Indices from 8, dilations and ceil_mode from 10, int8 and uint8 from 12), one to three spatial
 * dimensions. Padding never wins. A NaN wins over everything, the last of several in scan order. Of equal maxima the
 * first in scan order (D, H, W) gets the whole gradient, and is what Indices names: its place in the whole input, with
 * storage_order 1 the spatial dimensions counted from the first on. */
#include <math.h>

#include "kernels/blocked.h"
#include "kernels/pool_rows.h"
#include "kernels/simd.h"

static status infer(ox_node *n, error *err) {
    TRY(ox_need_dtype_of_first(n, 0, err));
    TRY(ox_check_attr(n, "storage_order", OX_INT, err));
    const ox_tensor *x = n->in[0];
    if (!ox_is_float(x->dtype) && x->dtype != ASSAY_I8 && x->dtype != ASSAY_U8) {
        return error_set(err, STATUS_UNSUPPORTED, "MaxPool of %s is not supported", ox_dtype_name(x->dtype));
    }
    int64_t order = ox_attr_int(n, "storage_order", 0);
    if (order != 0 && order != 1) {
        return error_set(err, STATUS_MODEL, "storage_order is neither 0 nor 1");
    }
    ox_window w;
    TRY(ox_pool_infer(n, &w, err));
    ox_tensor *indices = ox_output(n, 1);
    return indices == NULL ? STATUS_OK : ox_set_shape(indices, ASSAY_I64, n->out[0]->shape, n->out[0]->n_dims, err);
}

/* ---- the plain loop ----------------------------------------------------------------------------- */

/* Index in its plane of the maximum of one window; `base` is the plane's first element. */
static size_t argmax(const ox_tensor *x, size_t base, const ox_window *w, ox_taps d, ox_taps h, ox_taps c) {
    size_t best_at = ox_pool_row(w, d, h, d.first, h.first) + c.at;
    double best = ox_at(x, base + best_at);
    for (size_t i = d.first; i < d.end; i++) {
        for (size_t j = h.first; j < h.end; j++) {
            size_t row = ox_pool_row(w, d, h, i, j);
            for (size_t k = c.first; k < c.end; k++) {
                size_t at = row + c.at + (k - c.first) * w->dilation[2];
                double v = ox_at(x, base + at);
                if (v > best || v != v) {
                    best = v;
                    best_at = at;
                }
            }
        }
    }
    return best_at;
}

/* Calls `body` for each window with its argmax: `base` (plane of x), `at` in the plane, `i` (element of y). */
#define EACH_WINDOW(n, w, body)                                                                                        \
    for (size_t p = 0, planes = ox_count((n)->in[0], 0, 2); p < planes; p++) {                                         \
        size_t base = p * (w)->in_plane;                                                                               \
        OX_POOL_EACH_ROW(                                                                                              \
            w, for (size_t ow = 0; ow < (w)->out[2]; ow++) {                                                           \
                size_t at = argmax((n)->in[0], base, w, d, h, ox_window_taps(w, 2, ow));                               \
                size_t i = p * (w)->out_plane + row * (w)->out[2] + ow;                                                \
                body;                                                                                                  \
            })                                                                                                         \
    }

/* Place `at` of a plane where the first spatial dimension varies fastest. */
static size_t by_columns(const ox_window *w, size_t at) {
    size_t d = at / (w->in[1] * w->in[2]), h = at / w->in[2] % w->in[1], c = at % w->in[2];
    return d + w->in[0] * (h + w->in[1] * c);
}

static void indices(const ox_node *n) {
    const ox_window *w = &((const ox_pool *)n->state)->w;
    bool columns = ox_attr_int(n, "storage_order", 0) == 1;
    int64_t *to = n->out[1]->data;
    EACH_WINDOW(n, w, to[i] = (int64_t)(base + (columns ? by_columns(w, at) : at)))
}

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    const ox_window *w = &((const ox_pool *)n->state)->w;
    size_t item = ox_dtype_bytes(n->in[0]->dtype);
    EACH_WINDOW(n, w,
                memcpy((char *)n->out[0]->data + i * item, (const char *)n->in[0]->data + (base + at) * item, item))
    if (ox_output(n, 1) != NULL) {
        indices(n);
    }
    return STATUS_OK;
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const ox_window *w = &((const ox_pool *)n->state)->w;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    if (g != NULL && dx != NULL) {
        EACH_WINDOW(n, w, dx[base + at] += g[i])
    }
    return STATUS_OK;
}

/* ---- 2x2 windows -------------------------------------------------------------------------------- */

static inline float wins(float v, float best) {
    float r = v > best ? v : best;
    return v != v ? v : r;
}

static inline ox_vf v_wins(ox_vf v, ox_vf best) {
    ox_vf r = ox_v_max(v, best);
    return ox_v_select(v != v, v, r);
}

/* 2x2 windows, stride 2 across, without padding: the case of most small networks. */
static void plane_2x2(const float *x, float *y, const ox_window *w) {
    for (size_t oh = 0; oh < w->out[1]; oh++, y += w->out[2]) {
        const float *r0 = x + oh * w->stride[1] * w->in[2], *r1 = r0 + w->in[2];
        size_t ow = 0;
        for (; ow + OX_LANES <= w->out[2]; ow += OX_LANES) {
            ox_vf a0 = ox_v_load(r0 + 2 * ow), a1 = ox_v_load(r0 + 2 * ow + OX_LANES);
            ox_vf b0 = ox_v_load(r1 + 2 * ow), b1 = ox_v_load(r1 + 2 * ow + OX_LANES);
            ox_vf best = v_wins(ox_v_odd(a0, a1), ox_v_even(a0, a1));
            ox_v_store(y + ow, v_wins(ox_v_odd(b0, b1), v_wins(ox_v_even(b0, b1), best)));
        }
        for (; ow < w->out[2]; ow++) {
            y[ow] = wins(r1[2 * ow + 1], wins(r1[2 * ow], wins(r0[2 * ow + 1], r0[2 * ow])));
        }
    }
}

static bool is_2x2(const ox_window *w) {
    bool plain = w->k[0] == 1 && w->k[1] == 2 && w->k[2] == 2 && w->stride[2] == 2 && w->dilation[1] == 1 &&
                 w->dilation[2] == 1 && w->in[0] == 1;
    for (unsigned d = 0; d < 3; d++) {
        plain = plain && w->pad_lo[d] == 0 && w->pad_hi[d] == 0 &&
                (w->out[d] - 1) * w->stride[d] + w->k[d] <= w->in[d]; /* ceil_mode may reach beyond */
    }
    return plain;
}

/* Four windows of two rows: g goes to the first place that equals the maximum m. */
static void vjp_four(const float *r0, const float *r1, ox_vf m, ox_vf g, float *d0, float *d1) {
    ox_vf a0 = ox_v_load(r0), a1 = ox_v_load(r0 + OX_LANES), b0 = ox_v_load(r1);
    ox_vf b1 = ox_v_load(r1 + OX_LANES);
    ox_vi first = ox_v_even(a0, a1) == m, second = ox_v_odd(a0, a1) == m, third = ox_v_even(b0, b1) == m;
    ox_vi above = first | second;
    ox_vf p0 = (ox_vf)(first & (ox_vi)g), p1 = (ox_vf)(~first & second & (ox_vi)g);
    ox_vf p2 = (ox_vf)(~above & third & (ox_vi)g), p3 = (ox_vf)(~(above | third) & (ox_vi)g);
    ox_v_store(d0, ox_v_load(d0) + __builtin_shufflevector(p0, p1, 0, 4, 1, 5));
    ox_v_store(d0 + OX_LANES, ox_v_load(d0 + OX_LANES) + __builtin_shufflevector(p0, p1, 2, 6, 3, 7));
    ox_v_store(d1, ox_v_load(d1) + __builtin_shufflevector(p2, p3, 0, 4, 1, 5));
    ox_v_store(d1 + OX_LANES, ox_v_load(d1 + OX_LANES) + __builtin_shufflevector(p2, p3, 2, 6, 3, 7));
}

/* Windows of stride 2 both ways do not overlap: each of the four places is decided by comparisons alone. y is the
 * maximum that forward left. Where it is NaN no place equals it and the last one gets g. */
static void vjp_plane_2x2(const float *x, const float *y, const float *g, float *dx, const ox_window *w) {
    for (size_t oh = 0; oh < w->out[1]; oh++, y += w->out[2], g += w->out[2]) {
        size_t at = oh * 2 * w->in[2], ow = 0;
        const float *r0 = x + at, *r1 = r0 + w->in[2];
        float *d0 = dx + at, *d1 = d0 + w->in[2];
        for (; ow + OX_LANES <= w->out[2]; ow += OX_LANES) {
            vjp_four(r0 + 2 * ow, r1 + 2 * ow, ox_v_load(y + ow), ox_v_load(g + ow), d0 + 2 * ow, d1 + 2 * ow);
        }
        for (; ow < w->out[2]; ow++) {
            float m = y[ow];
            size_t place = r0[2 * ow] == m ? 0 : (r0[2 * ow + 1] == m ? 1 : (r1[2 * ow] == m ? 2 : 3));
            (place < 2 ? d0 : d1)[2 * ow + place % 2] += g[ow];
        }
    }
}

/* ---- by rows ------------------------------------------------------------------------------------ */

typedef float f32;
typedef uint8_t u8;
typedef int8_t i8;

/* b = the winner of a and b, element by element. */
static void wins_row_f32(const float *a, float *b, size_t n) {
    size_t i = 0;
    for (; i + OX_LANES <= n; i += OX_LANES) {
        ox_v_store(b + i, v_wins(ox_v_load(a + i), ox_v_load(b + i)));
    }
    for (; i < n; i++) {
        b[i] = wins(a[i], b[i]);
    }
}

/* NOLINTBEGIN(bugprone-macro-parentheses): arguments that are types, and bodies */
#define WINS_ROW(T)                                                                                                    \
    static void wins_row_##T(const T *a, T *b, size_t n) {                                                             \
        for (size_t i = 0; i < n; i++) {                                                                               \
            b[i] = a[i] > b[i] ? a[i] : b[i];                                                                          \
        }                                                                                                              \
    }
WINS_ROW(u8)
WINS_ROW(i8)

/* One plane; `low` is below every element. The rows under a window win into the middle of a padded row, whose pads
 * are `low`, and its taps into y. */
#define PLANE_BY_ROWS(T, low)                                                                                          \
    OX_POOL_PHASES(T)                                                                                                  \
    static void plane_##T(const ox_pool *p, const T *x, T *y) {                                                        \
        const ox_window *w = &p->w;                                                                                    \
        T *padded = p->buffer[0], *best = padded + w->pad_lo[2];                                                       \
        for (size_t i = 0; i < p->width; i++) {                                                                        \
            padded[i] = low;                                                                                           \
        }                                                                                                              \
        OX_POOL_EACH_ROW(w, {                                                                                          \
            memcpy(best, x + ox_pool_row(w, d, h, d.first, h.first), p->middle * sizeof(T));                           \
            for (size_t i = d.first; i < d.end; i++) {                                                                 \
                for (size_t j = i == d.first ? h.first + 1 : h.first; j < h.end; j++) {                                \
                    wins_row_##T(x + ox_pool_row(w, d, h, i, j), best, p->middle);                                     \
                }                                                                                                      \
            }                                                                                                          \
            const T *phases = ox_pool_split_##T(p, padded, p->buffer[1]);                                              \
            T *to = y + row * w->out[2];                                                                               \
            memcpy(to, phases, w->out[2] * sizeof(T));                                                                 \
            for (size_t t = 1; t < w->k[2]; t++) {                                                                     \
                wins_row_##T(phases + p->tap_at[t], to, w->out[2]);                                                    \
            }                                                                                                          \
        })                                                                                                             \
    }
/* NOLINTEND(bugprone-macro-parentheses) */
PLANE_BY_ROWS(f32, -INFINITY)
PLANE_BY_ROWS(u8, 0)
PLANE_BY_ROWS(i8, INT8_MIN)

static void one_plane(const ox_node *n, size_t i, bool small) {
    const ox_pool *p = n->state;
    size_t item = ox_dtype_bytes(n->in[0]->dtype);
    const void *x = (const char *)n->in[0]->data + i * p->w.in_plane * item;
    void *y = (char *)n->out[0]->data + i * p->w.out_plane * item;
    switch (n->in[0]->dtype) {
    case ASSAY_U8: plane_u8(p, x, y); break;
    case ASSAY_I8: plane_i8(p, x, y); break;
    default:
        if (small) {
            plane_2x2(x, y, &p->w);
        } else {
            plane_f32(p, x, y);
        }
    }
}

static status forward(ox_node *n, error *err) {
    const ox_pool *p = n->state;
    if (n->in[0]->dtype == ASSAY_F64 || !p->by_rows) {
        return forward_reference(n, err);
    }
    bool small = is_2x2(&p->w);
    for (size_t i = 0, planes = ox_count(n->in[0], 0, 2); i < planes; i++) {
        one_plane(n, i, small);
    }
    if (ox_output(n, 1) != NULL) {
        indices(n);
    }
    return STATUS_OK;
}

/* One row of outputs: where in the plane each has its maximum, less o * stride. Buffers: 0 a padded row of x (pads are
 * NaN: equal to nothing), 1 its phases, 2 the row of y where it is not float32. */
typedef struct search {
    const ox_pool *p;
    const float *y;
    int32_t *place; /* out[2]; NOWHERE where a NaN won */
} search;
#define NOWHERE INT32_MIN

static void load_row(const ox_tensor *t, size_t at, float *to, size_t len) {
    switch (t->dtype) {
    case ASSAY_F32: memcpy(to, ox_f32(t) + at, len * sizeof *to); break;
    case ASSAY_U8:
        for (size_t i = 0; i < len; i++) {
            to[i] = (float)((const uint8_t *)t->data)[at + i];
        }
        break;
    default:
        for (size_t i = 0; i < len; i++) {
            to[i] = (float)((const int8_t *)t->data)[at + i];
        }
    }
}

/* The taps of one row of x, the last first: so that the first of equals stays. `row` is its offset less pad_lo[2]. Up
 * to three taps at a time, t and those after it. */
static inline __attribute__((always_inline)) void search_taps(const search *s, const float *phases, int32_t row,
                                                              size_t t, size_t taps) {
    const float *y = s->y, *tap[3] = {NULL};
    int32_t *place = s->place, at[3] = {0};
    size_t o = 0, len = s->p->w.out[2];
    for (size_t i = 0; i < taps; i++) {
        tap[i] = phases + s->p->tap_at[t + i];
        at[i] = row + (int32_t)((t + i) * s->p->w.dilation[2]);
    }
    for (; o + OX_LANES <= len; o += OX_LANES) {
        ox_vf best = ox_v_load(y + o);
        ox_vi found;
        memcpy(&found, place + o, sizeof found);
        for (size_t i = taps; i-- > 0;) {
            ox_vi is = (ox_vi)(ox_v_load(tap[i] + o) == best);
            found = (is & (ox_vi){at[i], at[i], at[i], at[i]}) | (~is & found);
        }
        memcpy(place + o, &found, sizeof found);
    }
    for (; o < len; o++) {
        for (size_t i = taps; i-- > 0;) {
            place[o] = tap[i][o] == y[o] ? at[i] : place[o];
        }
    }
}

static void search_row(const search *s, const ox_tensor *x, size_t base, size_t row) {
    const ox_pool *p = s->p;
    float *padded = p->buffer[0];
    load_row(x, base + row, padded + p->w.pad_lo[2], p->middle);
    const float *phases = ox_pool_split_f32(p, padded, p->buffer[1]);
    int32_t at = (int32_t)row - (int32_t)p->w.pad_lo[2];
    for (size_t t = p->w.k[2]; t > 0;) {
        if (t == 2) {
            search_taps(s, phases, at, 0, 2);
            return;
        }
        size_t taps = t < 3 ? 1 : 3;
        t -= taps;
        if (taps == 3) {
            search_taps(s, phases, at, t, 3);
        } else {
            search_taps(s, phases, at, t, 1);
        }
    }
}

/* False: some maximum is a NaN, which equals nothing. */
static bool add_found(const search *s, const float *g, float *dx) {
    size_t stride = s->p->w.stride[2], len = s->p->w.out[2];
    const int32_t *place = s->place;
    bool all = true;
    for (size_t o = 0; o < len; o++) {
        if (place[o] != NOWHERE) {
            dx[(ptrdiff_t)place[o] + (ptrdiff_t)(o * stride)] += g[o];
        } else {
            all = false;
        }
    }
    return all;
}

static void vjp_plane(const ox_node *n, size_t plane, const float *g, float *dx) {
    const ox_pool *p = n->state;
    const ox_window *w = &p->w;
    const ox_tensor *x = n->in[0];
    search s = {.p = p, .place = (int32_t *)(void *)p->column};
    float *padded = p->buffer[0], *y_row = p->buffer[2];
    size_t base = plane * w->in_plane;
    for (size_t i = 0; i < p->width; i++) {
        padded[i] = NAN;
    }
    OX_POOL_EACH_ROW(w, {
        size_t out = plane * w->out_plane + row * w->out[2];
        if (x->dtype != ASSAY_F32) {
            load_row(n->out[0], out, y_row, w->out[2]);
        }
        s.y = x->dtype == ASSAY_F32 ? ox_f32(n->out[0]) + out : y_row;
        for (size_t o = 0, len = w->out[2]; o < len; o++) {
            s.place[o] = NOWHERE;
        }
        for (size_t i = d.end; i-- > d.first;) {
            for (size_t j = h.end; j-- > h.first;) {
                search_row(&s, x, base, ox_pool_row(w, d, h, i, j));
            }
        }
        bool all = add_found(&s, g + out, dx + base);
        for (size_t o = 0; !all && o < w->out[2]; o++) {
            if (s.place[o] == NOWHERE) {
                dx[base + argmax(x, base, w, d, h, ox_window_taps(w, 2, o))] += g[out + o];
            }
        }
    })
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    const ox_pool *p = n->state;
    const ox_window *w = &p->w;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    if (g == NULL || dx == NULL || n->in[0]->dtype == ASSAY_F64 || !p->by_rows || w->in_plane > INT32_MAX / 2) {
        return vjp_reference(n, mode, err);
    }
    bool small = n->in[0]->dtype == ASSAY_F32 && is_2x2(w) && w->stride[1] == 2;
    for (size_t i = 0, planes = ox_count(n->in[0], 0, 2); i < planes; i++) {
        if (small) {
            vjp_plane_2x2(ox_f32(n->in[0]) + i * w->in_plane, ox_f32(n->out[0]) + i * w->out_plane,
                          g + i * w->out_plane, dx + i * w->in_plane, w);
        } else {
            vjp_plane(n, i, g, dx);
        }
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_max_pool = {.op = "MaxPool",
                                      .min_opset = 1,
                                      .max_opset = 9999,
                                      .flags = OX_KEEPS_BATCH,
                                      .min_in = 1,
                                      .max_in = 1,
                                      .min_out = 1,
                                      .max_out = 2,
                                      .infer = infer,
                                      .prepare = ox_pool_prepare,
                                      .release = ox_pool_release,
                                      .forward = forward,
                                      .forward_reference = forward_reference,
                                      .vjp = vjp,
                                      .vjp_reference = vjp_reference,
                                      .blocked = &ox_kernel_max_pool_blocked};
