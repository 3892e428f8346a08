/* SPDX-License-Identifier: Apache-2.0
 * AveragePool (opset 1 on; count_include_pad from 7, ceil_mode from 10, dilations from 19). Sums in double; the divisor
 * counts the taps inside the input or, with count_include_pad, inside the padded input. */
#include "kernels/blocked.h"
#include "kernels/pool_rows.h"

static status infer(ox_node *n, error *err) {
    ox_window w;
    TRY(ox_need_float(n, 0, err));
    TRY(ox_check_attr(n, "count_include_pad", OX_INT, err));
    return ox_pool_infer(n, &w, err);
}

/* Taps of dimension d at o that lie inside the padded input: all but those that ceil_mode pushes beyond its end. */
static size_t padded_taps(const ox_window *w, unsigned d, size_t o) {
    size_t end = w->in[d] + w->pad_lo[d] + w->pad_hi[d], start = o * w->stride[d];
    size_t room = end > start ? (end - start + w->dilation[d] - 1) / w->dilation[d] : 0;
    return room < w->k[d] ? room : w->k[d];
}

/* The factor of the divisor that dimension d gives at output o. */
static double taps_of(const ox_window *w, unsigned d, size_t o, bool include_pad) {
    ox_taps t = ox_window_taps(w, d, o);
    return (double)(include_pad ? padded_taps(w, d, o) : t.end - t.first);
}

static bool includes_pad(const ox_node *n) {
    return ox_attr_int(n, "count_include_pad", 0) != 0;
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    TRY(ox_pool_prepare(n, want_vjp, err));
    ox_pool *p = n->state;
    for (size_t o = 0; p->by_rows && o < p->w.out[2]; o++) {
        p->column[o] = 1 / taps_of(&p->w, 2, o, includes_pad(n));
    }
    return STATUS_OK;
}

/* ---- the plain loop ----------------------------------------------------------------------------- */

typedef struct place {
    ox_taps d, h, c;
    double divisor;
} place;

static place place_of(const ox_window *w, size_t o, bool include_pad) {
    size_t at[3] = {o / (w->out[1] * w->out[2]), o / w->out[2] % w->out[1], o % w->out[2]};
    place p = {ox_window_taps(w, 0, at[0]), ox_window_taps(w, 1, at[1]), ox_window_taps(w, 2, at[2]), 1};
    for (unsigned d = 0; d < 3; d++) {
        p.divisor *= taps_of(w, d, at[d], include_pad);
    }
    return p;
}

/* `at`: element of the plane, in scan order. */
#define EACH_TAP(p, w, body)                                                                                           \
    for (size_t i_ = (p).d.first; i_ < (p).d.end; i_++) {                                                              \
        for (size_t j_ = (p).h.first; j_ < (p).h.end; j_++) {                                                          \
            size_t row_ = ox_pool_row(w, (p).d, (p).h, i_, j_);                                                        \
            for (size_t t_ = 0; t_ < (p).c.end - (p).c.first; t_++) {                                                  \
                size_t at = row_ + (p).c.at + t_ * (w)->dilation[2];                                                   \
                body;                                                                                                  \
            }                                                                                                          \
        }                                                                                                              \
    }

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    const ox_window *w = &((const ox_pool *)n->state)->w;
    size_t planes = ox_count(n->in[0], 0, 2);
    for (size_t o = 0; o < w->out_plane; o++) {
        place p = place_of(w, o, includes_pad(n));
        for (size_t i = 0; i < planes; i++) {
            double sum = 0;
            EACH_TAP(p, w, sum += ox_at(n->in[0], i * w->in_plane + at))
            ox_put(n->out[0], i * w->out_plane + o, sum / p.divisor);
        }
    }
    return STATUS_OK;
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const ox_window *w = &((const ox_pool *)n->state)->w;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    size_t planes = ox_count(n->in[0], 0, 2);
    for (size_t o = 0; g != NULL && dx != NULL && o < w->out_plane; o++) {
        place p = place_of(w, o, includes_pad(n));
        for (size_t i = 0; i < planes; i++) {
            float share = (float)((double)g[i * w->out_plane + o] / p.divisor);
            EACH_TAP(p, w, dx[i * w->in_plane + at] += share)
        }
    }
    return STATUS_OK;
}

/* ---- by rows ------------------------------------------------------------------------------------ */

OX_POOL_PHASES(double)
OX_POOL_PHASES(float)

/* to = the sum of up to three rows, or to + it. */
static void sum_three(const float *const from[3], size_t n_rows, bool first, double *to, size_t len) {
    const float *a = from[0], *b = from[1], *c = from[2];
    for (size_t i = 0; !first && i < len; i++) {
        to[i] += (double)a[i];
    }
    for (size_t i = 0; first && n_rows == 1 && i < len; i++) {
        to[i] = (double)a[i];
    }
    for (size_t i = 0; first && n_rows == 2 && i < len; i++) {
        to[i] = (double)a[i] + (double)b[i];
    }
    for (size_t i = 0; first && n_rows == 3 && i < len; i++) {
        to[i] = (double)a[i] + (double)b[i] + (double)c[i];
    }
}

/* The rows under the window, summed into the middle of a padded row (whose pads stay zero). */
static void sum_rows(const ox_pool *p, const float *x, ox_taps d, ox_taps h, double *sum) {
    const float *from[3] = {NULL};
    size_t waiting = 0;
    bool first = true;
    for (size_t i = d.first; i < d.end; i++) {
        for (size_t j = h.first; j < h.end; j++) {
            from[waiting++] = x + ox_pool_row(&p->w, d, h, i, j);
            bool last = i + 1 == d.end && j + 1 == h.end;
            if (!first || waiting == 3 || last) {
                sum_three(from, waiting, first, sum, p->middle);
                waiting = 0;
                first = false;
            }
        }
    }
}

/* `factor` is one over the part of the divisor that a row of outputs has in common. */
static void forward_row(const ox_pool *p, const double *phases, double factor, double *sum, float *y) {
    const ox_window *w = &p->w;
    const double *column = p->column; /* a local: a store to y might change what is read through p */
    const double *a = phases, *b = w->k[2] > 1 ? phases + p->tap_at[1] : a,
                 *c = w->k[2] > 2 ? phases + p->tap_at[2] : a;
    size_t len = w->out[2];
    switch (w->k[2]) {
    case 2:
        for (size_t o = 0; o < len; o++) {
            y[o] = (float)((a[o] + b[o]) * factor * column[o]);
        }
        return;
    case 3:
        for (size_t o = 0; o < len; o++) {
            y[o] = (float)((a[o] + b[o] + c[o]) * factor * column[o]);
        }
        return;
    default: memcpy(sum, phases, len * sizeof *sum);
    }
    for (size_t t = 1; t < w->k[2]; t++) {
        a = phases + p->tap_at[t];
        for (size_t o = 0; o < len; o++) {
            sum[o] += a[o];
        }
    }
    for (size_t o = 0; o < len; o++) {
        y[o] = (float)(sum[o] * factor * column[o]);
    }
}

static double factor_of(const ox_window *w, size_t row, bool include_pad) {
    return 1 / (taps_of(w, 0, row / w->out[1], include_pad) * taps_of(w, 1, row % w->out[1], include_pad));
}

static status forward(ox_node *n, error *err) {
    const ox_pool *p = n->state;
    const ox_window *w = &p->w;
    if (n->in[0]->dtype != ASSAY_F32 || !p->by_rows) {
        return forward_reference(n, err);
    }
    double *padded = p->buffer[0], *phases = p->buffer[1], *sum = p->buffer[2];
    bool include_pad = includes_pad(n);
    for (size_t i = 0, planes = ox_count(n->in[0], 0, 2); i < planes; i++) {
        const float *x = ox_f32(n->in[0]) + i * w->in_plane;
        float *y = (float *)n->out[0]->data + i * w->out_plane;
        OX_POOL_EACH_ROW(w, {
            sum_rows(p, x, d, h, padded + w->pad_lo[2]);
            forward_row(p, ox_pool_split_double(p, padded, phases), factor_of(w, row, include_pad), sum,
                        y + row * w->out[2]);
        })
    }
    return STATUS_OK;
}

/* One row of cotangents, spread over its taps. */
static void spread_row(const ox_pool *p, const float *g, double factor, float *share, float *phases) {
    const ox_window *w = &p->w;
    const double *column = p->column;
    size_t len = w->out[2];
    for (size_t o = 0; o < len; o++) {
        share[o] = (float)((double)g[o] * factor * column[o]);
    }
    memset(phases, 0, w->stride[2] * p->phase * sizeof *phases);
    for (size_t t = 0; t < w->k[2]; t++) {
        float *to = phases + p->tap_at[t];
        for (size_t o = 0; o < len; o++) {
            to[o] += share[o];
        }
    }
}

static void add_rows(const ox_pool *p, const float *from, ox_taps d, ox_taps h, float *dx) {
    size_t len = p->middle;
    for (size_t i = d.first; i < d.end; i++) {
        for (size_t j = h.first; j < h.end; j++) {
            float *to = dx + ox_pool_row(&p->w, d, h, i, j);
            for (size_t c = 0; c < len; c++) {
                to[c] += from[c];
            }
        }
    }
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    const ox_pool *p = n->state;
    const ox_window *w = &p->w;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    if (g == NULL || dx == NULL || !p->by_rows) {
        return vjp_reference(n, mode, err);
    }
    /* buffer 0 is the forward pass's: its pads stay zero */
    float *phases = p->buffer[1], *share = p->buffer[2], *padded = p->buffer[3];
    bool include_pad = includes_pad(n);
    for (size_t i = 0, planes = ox_count(n->in[0], 0, 2); i < planes; i++) {
        OX_POOL_EACH_ROW(w, {
            spread_row(p, g + i * w->out_plane + row * w->out[2], factor_of(w, row, include_pad), share, phases);
            add_rows(p, ox_pool_join_float(p, phases, padded) + w->pad_lo[2], d, h, dx + i * w->in_plane);
        })
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_average_pool = {.op = "AveragePool",
                                          .min_opset = 1,
                                          .max_opset = 9999,
                                          .flags = OX_KEEPS_BATCH,
                                          .min_in = 1,
                                          .max_in = 1,
                                          .min_out = 1,
                                          .max_out = 1,
                                          .infer = infer,
                                          .prepare = prepare,
                                          .release = ox_pool_release,
                                          .forward = forward,
                                          .forward_reference = forward_reference,
                                          .vjp = vjp,
                                          .vjp_reference = vjp_reference,
                                          .blocked = &ox_kernel_average_pool_blocked};
