/* SPDX-License-Identifier: Apache-2.0
 * OneHot (opset 9 on): indices of any type (floats truncate), depth a constant, values [off, on] of any type. An index
 * outside [0, depth), from opset 11 on outside [-depth, depth), is off everywhere. The gradient of the values is the
 * sum of the cotangents at them; the one of float indices is exactly zero. */
#include "kernels/moves.h"

typedef struct shape {
    uint32_t axis; /* of the output */
    int64_t depth;
    size_t outer, inner;
} shape;

static status read_shape(const ox_node *n, shape *s, error *err) {
    const ox_tensor *depth = n->in[1], *x = n->in[0];
    if (!depth->is_const) {
        return error_set(err, STATUS_UNSUPPORTED, "the depth is computed from the graph's input");
    }
    if (depth->n != 1 || depth->n_dims > 1) {
        return error_set(err, STATUS_MODEL, "the depth is not one value");
    }
    double d = ox_at(depth, 0);
    if (!(d >= 0 && d < 0x1p40)) {
        return error_set(err, STATUS_MODEL, "the depth is %g", d);
    }
    s->depth = (int64_t)d;
    TRY(ox_attr_axis(n, "axis", -1, x->n_dims + 1, false, &s->axis, err));
    s->outer = ox_count(x, 0, s->axis);
    s->inner = ox_count(x, s->axis, x->n_dims);
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    const ox_tensor *x = n->in[0], *values = n->in[2];
    shape s = {0};
    if (n->in[1] == NULL || values == NULL || values->n_dims != 1 || values->n != 2 || x->n_dims >= ASSAY_MAX_DIMS) {
        return error_set(err, STATUS_MODEL, "the depth or the two values are missing, or too many dimensions");
    }
    TRY(read_shape(n, &s, err));
    int64_t to[ASSAY_MAX_DIMS] = {0};
    for (uint32_t d = 0; d <= x->n_dims; d++) {
        to[d] = d < s.axis ? x->shape[d] : d == s.axis ? s.depth : x->shape[d - 1];
    }
    return ox_set_shape(n->out[0], values->dtype, to, x->n_dims + 1, err);
}

/* The place of index i along the depth, or -1. */
static int64_t hot(const ox_node *n, const shape *s, size_t i) {
    const ox_tensor *x = n->in[0];
    int64_t v = -1;
    if (x->dtype == ASSAY_I64) {
        v = ((const int64_t *)x->data)[i];
    } else {
        double f = ox_at(x, i);
        if (!(f > -0x1p41 && f < 0x1p41)) { /* NaN too */
            return -1;
        }
        v = (int64_t)f;
    }
    v += v < 0 && v >= -s->depth && n->opset >= 11 ? s->depth : 0;
    return v >= 0 && v < s->depth ? v : -1;
}

static status forward(ox_node *n, error *err) {
    shape s = {0};
    TRY(read_shape(n, &s, err));
    size_t item = ox_dtype_bytes(n->out[0]->dtype), row = s.inner * item;
    const char *off = n->in[2]->data, *on = off + item;
    char *y = n->out[0]->data;
    for (size_t i = 0; i < n->out[0]->n; i++) {
        memcpy(y + i * item, off, item);
    }
    for (size_t o = 0; o < s.outer; o++) {
        for (size_t i = 0; i < s.inner; i++) {
            int64_t v = hot(n, &s, o * s.inner + i);
            if (v >= 0) {
                memcpy(y + (o * (size_t)s.depth + (size_t)v) * row + i * item, on, item);
            }
        }
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    shape s = {0};
    TRY(read_shape(n, &s, err));
    const float *g = ox_grad_out(n, 0);
    float *dv = ox_grad_in(n, 2);
    if (g == NULL || dv == NULL) {
        return STATUS_OK;
    }
    double all = 0, on = 0;
    for (size_t i = 0; i < n->out[0]->n; i++) {
        all += (double)g[i];
    }
    for (size_t o = 0; o < s.outer; o++) {
        for (size_t i = 0; i < s.inner; i++) {
            int64_t v = hot(n, &s, o * s.inner + i);
            on += v < 0 ? 0 : (double)g[(o * (size_t)s.depth + (size_t)v) * s.inner + i];
        }
    }
    dv[0] += (float)(all - on);
    dv[1] += (float)on;
    return STATUS_OK;
}

const ox_kernel ox_kernel_one_hot = {.op = "OneHot",
                                     .min_opset = 9,
                                     .max_opset = 9999,
                                     .flags = 0,
                                     .min_in = 3,
                                     .max_in = 3,
                                     .min_out = 1,
                                     .max_out = 1,
                                     .infer = infer,
                                     .forward = forward,
                                     .vjp = vjp};
