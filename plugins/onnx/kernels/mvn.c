/* SPDX-License-Identifier: Apache-2.0
 * MeanVarianceNormalization: (x - mean) / (sd + 1e-9) over any axes, as the function that ONNX defines it by. */
#include <math.h>

#include "kernels/reduce.h"

#define EPSILON 1e-9

static status read_axes(const ox_node *n, bool reduced[ASSAY_MAX_DIMS], error *err) {
    ox_list axes;
    TRY(ox_list_read(n, "axes", SIZE_MAX, &axes, err));
    if (!axes.present) {
        axes = (ox_list){.n = 3, .v = {0, 2, 3}};
    }
    TRY(ox_list_axes(&axes, n->in[0]->n_dims, err));
    for (uint32_t d = 0; d < ASSAY_MAX_DIMS; d++) {
        reduced[d] = false;
    }
    for (size_t i = 0; i < axes.n; i++) {
        reduced[axes.v[i]] = true;
    }
    if (reduced[0] && n->in[0]->has_batch) {
        return error_set(err, STATUS_UNSUPPORTED, "an axis is the batch's: examples would depend on each other");
    }
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    bool reduced[ASSAY_MAX_DIMS];
    TRY(ox_need_float(n, 0, err));
    TRY(read_axes(n, reduced, err));
    return ox_infer_same(n, err);
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    bool reduced[ASSAY_MAX_DIMS];
    TRY(read_axes(n, reduced, err));
    ox_reduction *r = mem_zalloc(sizeof *r);
    ox_reduction_init(r, n->in[0], reduced);
    n->state = r;
    return STATUS_OK;
}

static void release(ox_node *n) {
    mem_free(n->state);
    n->state = NULL;
}

/* Mean and standard deviation of the elements of one group; with g, the sum of g and of g (x - mean). */
typedef struct moments {
    double mean, sd, sum_g, sum_gx;
} moments;

static moments moments_of(const ox_reduction *r, const ox_tensor *x, size_t base, const float *g) {
    moments m = {0};
    size_t idx[ASSAY_MAX_DIMS] = {0}, at = base;
    do {
        for (size_t i = at; i < at + r->run; i++) {
            m.mean += ox_at(x, i) / (double)r->n;
        }
    } while (ox_odometer_next(&r->reduced, idx, &at));
    do {
        for (size_t i = at; i < at + r->run; i++) {
            double d = ox_at(x, i) - m.mean;
            m.sd += d * d;
            m.sum_g += g != NULL ? (double)g[i] : 0;
            m.sum_gx += g != NULL ? (double)g[i] * d : 0;
        }
    } while (ox_odometer_next(&r->reduced, idx, &at));
    m.sd = sqrt(m.sd / (double)r->n);
    return m;
}

static void forward_group(const ox_node *n, size_t base) {
    const ox_reduction *r = n->state;
    moments m = moments_of(r, n->in[0], base, NULL);
    size_t idx[ASSAY_MAX_DIMS] = {0}, at = base;
    do {
        for (size_t i = at; i < at + r->run; i++) {
            ox_put(n->out[0], i, (ox_at(n->in[0], i) - m.mean) / (m.sd + EPSILON));
        }
    } while (ox_odometer_next(&r->reduced, idx, &at));
}

/* With s = sd + epsilon: dx = (g - mean g) / s - (x - mean) sum(g (x - mean)) / (n sd s^2); flat where sd is 0. */
static void vjp_group(const ox_node *n, size_t base, const float *g, float *dx) {
    const ox_reduction *r = n->state;
    moments m = moments_of(r, n->in[0], base, g);
    double s = m.sd + EPSILON, slope = m.sd == 0 ? 0 : m.sum_gx / ((double)r->n * m.sd * s * s);
    size_t idx[ASSAY_MAX_DIMS] = {0}, at = base;
    do {
        for (size_t i = at; i < at + r->run; i++) {
            double d = ox_at(n->in[0], i) - m.mean;
            dx[i] += (float)(((double)g[i] - m.sum_g / (double)r->n) / s - d * slope);
        }
    } while (ox_odometer_next(&r->reduced, idx, &at));
}

static void each_group(const ox_node *n, const float *g, float *dx) {
    const ox_reduction *r = n->state;
    size_t idx[ASSAY_MAX_DIMS] = {0}, base = 0;
    if (n->in[0]->n == 0) {
        return;
    }
    do {
        for (size_t j = 0; j < r->width; j++) {
            if (g != NULL) {
                vjp_group(n, base + j, g, dx);
            } else {
                forward_group(n, base + j);
            }
        }
    } while (ox_odometer_next(&r->kept, idx, &base));
}

static status forward(ox_node *n, error *err) {
    (void)err;
    each_group(n, NULL, NULL);
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    if (ox_grad_in(n, 0) != NULL && ox_grad_out(n, 0) != NULL) {
        each_group(n, ox_grad_out(n, 0), ox_grad_in(n, 0));
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_mvn = {.op = "MeanVarianceNormalization",
                                 .min_opset = 9,
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
