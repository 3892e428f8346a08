/* SPDX-License-Identifier: Apache-2.0
 * AveragePool (opset 7 on; ceil_mode from 10, dilations from 19) and GlobalAveragePool. Sums in double, in scan
 * order; forward is the plain loop. The divisor counts the taps inside the input or, with count_include_pad, inside
 * the padded input. */
#include "kernels/window.h"

static status infer(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    TRY(ox_check_attr(n, "count_include_pad", OX_INT, err));
    const ox_tensor *x = n->in[0];
    ox_window w;
    TRY(ox_window_read(n, NULL, true, &w, err));
    int64_t shape[5] = {x->shape[0], x->shape[1]};
    for (uint32_t i = 0; i < w.n_spatial; i++) {
        shape[2 + i] = (int64_t)w.out[3 - w.n_spatial + i];
    }
    return ox_set_shape(n->out[0], x->dtype, shape, x->n_dims, err);
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    ox_window *w = mem_zalloc(sizeof *w);
    status st = ox_window_read(n, NULL, true, w, err);
    if (st != STATUS_OK) {
        mem_free(w);
        return st;
    }
    n->state = w;
    return STATUS_OK;
}

static void release(ox_node *n) {
    mem_free(n->state);
    n->state = NULL;
}

/* Taps of dimension d at o that lie inside the padded input: all but those that ceil_mode pushes beyond its end. */
static size_t padded_taps(const ox_window *w, unsigned d, size_t o) {
    size_t end = w->in[d] + w->pad_lo[d] + w->pad_hi[d], start = o * w->stride[d];
    size_t room = end > start ? (end - start + w->dilation[d] - 1) / w->dilation[d] : 0;
    return room < w->k[d] ? room : w->k[d];
}

typedef struct place {
    ox_taps d, h, c;
    double divisor;
} place;

static place place_of(const ox_window *w, size_t o, bool include_pad) {
    size_t at[3] = {o / (w->out[1] * w->out[2]), o / w->out[2] % w->out[1], o % w->out[2]};
    place p = {ox_window_taps(w, 0, at[0]), ox_window_taps(w, 1, at[1]), ox_window_taps(w, 2, at[2]), 1};
    if (include_pad) {
        p.divisor = (double)(padded_taps(w, 0, at[0]) * padded_taps(w, 1, at[1]) * padded_taps(w, 2, at[2]));
    } else {
        p.divisor = (double)((p.d.end - p.d.first) * (p.h.end - p.h.first) * (p.c.end - p.c.first));
    }
    return p;
}

/* `at`: element of the plane, in scan order. */
#define EACH_TAP(p, w, body)                                                                                           \
    for (size_t i_ = 0; i_ < (p).d.end - (p).d.first; i_++) {                                                          \
        for (size_t j_ = 0; j_ < (p).h.end - (p).h.first; j_++) {                                                      \
            size_t z_ = (p).d.at + i_ * (w)->dilation[0], y_ = (p).h.at + j_ * (w)->dilation[1];                       \
            for (size_t t_ = 0; t_ < (p).c.end - (p).c.first; t_++) {                                                  \
                size_t at = (z_ * (w)->in[1] + y_) * (w)->in[2] + (p).c.at + t_ * (w)->dilation[2];                    \
                body;                                                                                                  \
            }                                                                                                          \
        }                                                                                                              \
    }

static status forward(ox_node *n, error *err) {
    (void)err;
    const ox_window *w = n->state;
    bool include_pad = ox_attr_int(n, "count_include_pad", 0) != 0;
    size_t planes = ox_count(n->in[0], 0, 2);
    for (size_t o = 0; o < w->out_plane; o++) {
        place p = place_of(w, o, include_pad);
        for (size_t i = 0; i < planes; i++) {
            double sum = 0;
            EACH_TAP(p, w, sum += ox_at(n->in[0], i * w->in_plane + at))
            ox_put(n->out[0], i * w->out_plane + o, sum / p.divisor);
        }
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const ox_window *w = n->state;
    bool include_pad = ox_attr_int(n, "count_include_pad", 0) != 0;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    size_t planes = ox_count(n->in[0], 0, 2);
    for (size_t o = 0; g != NULL && dx != NULL && o < w->out_plane; o++) {
        place p = place_of(w, o, include_pad);
        for (size_t i = 0; i < planes; i++) {
            float share = (float)((double)g[i * w->out_plane + o] / p.divisor);
            EACH_TAP(p, w, dx[i * w->in_plane + at] += share)
        }
    }
    return STATUS_OK;
}

static status global_infer(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    const ox_tensor *x = n->in[0];
    if (x->n_dims < 3) {
        return error_set(err, STATUS_MODEL, "the input has %u dimensions; at least 3 are needed", x->n_dims);
    }
    int64_t shape[ASSAY_MAX_DIMS] = {x->shape[0], x->shape[1], 1, 1, 1, 1, 1, 1};
    if (ox_count(x, 2, x->n_dims) == 0) {
        return error_set(err, STATUS_MODEL, "the mean of no elements");
    }
    return ox_set_shape(n->out[0], x->dtype, shape, x->n_dims, err);
}

static status global_forward(ox_node *n, error *err) {
    (void)err;
    const ox_tensor *x = n->in[0];
    size_t inner = ox_count(x, 2, x->n_dims);
    for (size_t p = 0; p < n->out[0]->n; p++) {
        double sum = 0;
        for (size_t i = 0; i < inner; i++) {
            sum += ox_at(x, p * inner + i);
        }
        ox_put(n->out[0], p, sum / (double)inner);
    }
    return STATUS_OK;
}

static status global_vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const ox_tensor *x = n->in[0];
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    size_t inner = ox_count(x, 2, x->n_dims);
    for (size_t p = 0; g != NULL && dx != NULL && p < n->out[0]->n; p++) {
        float share = (float)((double)g[p] / (double)inner);
        for (size_t i = 0; i < inner; i++) {
            dx[p * inner + i] += share;
        }
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_average_pool = {.op = "AveragePool",
                                          .min_opset = 7,
                                          .max_opset = 9999,
                                          .flags = OX_KEEPS_BATCH,
                                          .min_in = 1,
                                          .max_in = 1,
                                          .min_out = 1,
                                          .max_out = 1,
                                          .infer = infer,
                                          .prepare = prepare,
                                          .release = release,
                                          .forward = forward,
                                          .vjp = vjp};

const ox_kernel ox_kernel_global_average_pool = {.op = "GlobalAveragePool",
                                                 .min_opset = 1,
                                                 .max_opset = 9999,
                                                 .flags = OX_KEEPS_BATCH,
                                                 .min_in = 1,
                                                 .max_in = 1,
                                                 .min_out = 1,
                                                 .max_out = 1,
                                                 .infer = global_infer,
                                                 .forward = global_forward,
                                                 .vjp = global_vjp};
