/* SPDX-License-Identifier: Apache-2.0
 * com.microsoft.QLinearAveragePool and QLinearGlobalAveragePool: X, X_scale, X_zero, Y_scale, Y_zero, per tensor. The
 * sum of a window is exact; times X_scale over its number of elements it is rounded to float32 once, then quantised.
 * Padding that counts is the real zero. Exact and leaky gradients are zero; straight-through, per quantum, where no
 * saturation was needed. */
#include "kernels/quantized.h"
#include "kernels/window.h"

enum { X, X_SCALE, X_ZERO, Y_SCALE, Y_ZERO };

static bool is_global(const ox_node *n) {
    return strcmp(n->kernel->op, "com.microsoft.QLinearGlobalAveragePool") == 0;
}

/* The whole plane is one window of the global pool. */
static status get_window(const ox_node *n, ox_window *w, error *err) {
    const ox_tensor *x = n->in[X];
    TRY(ox_check_attr(n, "channels_last", OX_INT, err));
    if (ox_attr_int(n, "channels_last", 0) != 0) {
        return error_set(err, STATUS_UNSUPPORTED, "channels_last");
    }
    if (!is_global(n)) {
        TRY(ox_check_attr(n, "count_include_pad", OX_INT, err));
        return ox_window_read(n, NULL, true, w, err);
    }
    if (x->n_dims < 3) {
        return error_set(err, STATUS_MODEL, "the input has %u dimensions; at least 3 are needed", x->n_dims);
    }
    size_t plane = ox_count(x, 2, x->n_dims);
    if (plane == 0) {
        return error_set(err, STATUS_MODEL, "the mean of nothing");
    }
    *w = (ox_window){.n_spatial = 1,
                     .k = {1, 1, plane},
                     .stride = {1, 1, 1},
                     .dilation = {1, 1, 1},
                     .in = {1, 1, plane},
                     .out = {1, 1, 1},
                     .in_plane = plane,
                     .out_plane = 1,
                     .taps = plane};
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    uint32_t dtype = 0;
    ox_window w = {0};
    TRY(ox_need_byte(n, X, err));
    TRY(ox_need_scale(n, X_SCALE, err));
    TRY(ox_need_zero(n, X_ZERO, X, err));
    TRY(ox_need_output(n, Y_SCALE, Y_ZERO, &dtype, err));
    TRY(get_window(n, &w, err));
    if (n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "the output is missing");
    }
    int64_t shape[ASSAY_MAX_DIMS] = {n->in[X]->shape[0], n->in[X]->shape[1]};
    for (uint32_t i = 2; i < n->in[X]->n_dims; i++) {
        shape[i] = is_global(n) ? 1 : (int64_t)w.out[3 - w.n_spatial + i - 2];
    }
    return ox_set_shape(n->out[0], dtype, shape, n->in[X]->n_dims, err);
}

/* Taps of dimension d at output o that lie in the input or its padding. */
static size_t counted(const ox_window *w, unsigned d, size_t o) {
    size_t start = o * w->stride[d], padded = w->in[d] + w->pad_lo[d] + w->pad_hi[d];
    size_t n = padded > start ? (padded - start + w->dilation[d] - 1) / w->dilation[d] : 0;
    return n < w->k[d] ? n : w->k[d];
}

typedef struct job {
    ox_window w;
    ox_requant q;
    int32_t zero;
    double sx;
    float sy;
    bool with_pad;
} job;

/* The window of one output: the sum of its elements where x is given; and the weight `add` to each of dx. */
typedef struct visit {
    const ox_tensor *x;
    float *dx;
    float add;
    int64_t sum;
    size_t count;
} visit;

static void look(const job *j, size_t channel, size_t o, visit *v) {
    const ox_window *w = &j->w;
    const size_t at[3] = {o / (w->out[1] * w->out[2]), o / w->out[2] % w->out[1], o % w->out[2]};
    ox_taps t[3];
    size_t inside = 1, all = 1;
    for (unsigned d = 0; d < 3; d++) {
        t[d] = ox_window_taps(w, d, at[d]);
        inside *= t[d].end - t[d].first;
        all *= counted(w, d, at[d]);
    }
    v->count = j->with_pad ? all : inside;
    v->sum = -(int64_t)inside * j->zero;
    for (size_t a = 0; a < t[0].end - t[0].first; a++) {
        for (size_t b = 0; b < t[1].end - t[1].first; b++) {
            size_t z = t[0].at + a * w->dilation[0], y = t[1].at + b * w->dilation[1];
            size_t row = channel * w->in_plane + (z * w->in[1] + y) * w->in[2] + t[2].at;
            for (size_t c = 0; c < t[2].end - t[2].first; c++) {
                size_t i = row + c * w->dilation[2];
                v->sum += ox_int_at(v->x, i);
                if (v->dx != NULL) {
                    v->dx[i] += v->add;
                }
            }
        }
    }
}

static float open_at(const job *j, const visit *v) {
    double mean = v->count == 0 ? 0 : (double)v->sum * j->sx / (double)v->count;
    return ox_quantum_open(j->q, (float)mean, j->sy);
}

static status open_job(const ox_node *n, job *j, error *err) {
    TRY(get_window(n, &j->w, err));
    j->q = ox_requant_of(n->out[0]->dtype, ox_zero_of(ox_input(n, Y_ZERO), 0));
    j->zero = ox_zero_of(ox_input(n, X_ZERO), 0);
    j->sx = (double)ox_f32(n->in[X_SCALE])[0];
    j->sy = ox_f32(n->in[Y_SCALE])[0];
    j->with_pad = ox_attr_int(n, "count_include_pad", 0) != 0;
    return STATUS_OK;
}

static status forward(ox_node *n, error *err) {
    job j;
    TRY(open_job(n, &j, err));
    visit v = {.x = n->in[X]};
    for (size_t i = 0; i < n->out[0]->n; i++) {
        look(&j, i / j.w.out_plane, i % j.w.out_plane, &v);
        ((uint8_t *)n->out[0]->data)[i] = ox_quantum_saturate(j.q, open_at(&j, &v));
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, X);
    if (mode != ASSAY_VJP_STRAIGHT_THROUGH || g == NULL || dx == NULL) {
        return STATUS_OK;
    }
    job j;
    TRY(open_job(n, &j, err));
    for (size_t i = 0; i < n->out[0]->n; i++) {
        visit v = {.x = n->in[X]};
        look(&j, i / j.w.out_plane, i % j.w.out_plane, &v);
        if (v.count > 0 && ox_in_range(j.q, open_at(&j, &v))) {
            v.dx = dx;
            v.add = (float)((double)g[i] * j.sx / ((double)j.sy * (double)v.count));
            look(&j, i / j.w.out_plane, i % j.w.out_plane, &v);
        }
    }
    return STATUS_OK;
}

#define QLINEAR_POOL(symbol, name)                                                                                     \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = 1,                                                              \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH | OX_ZERO_GRADIENT,                                  \
                                          .min_in = 4,                                                                 \
                                          .max_in = 5,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = infer,                                                              \
                                          .forward = forward,                                                          \
                                          .vjp = vjp}
QLINEAR_POOL(qlinear_average_pool, "com.microsoft.QLinearAveragePool");
QLINEAR_POOL(qlinear_global_average_pool, "com.microsoft.QLinearGlobalAveragePool");
