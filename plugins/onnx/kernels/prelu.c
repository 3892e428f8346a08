/* SPDX-License-Identifier: Apache-2.0
 * PRelu: x where x >= 0, slope * x below. From opset 7 on the slope broadcasts to x; before, it is one value or one for
 * each channel (dimension 1). int32 and int64 wrap. At 0 the gradient is that of the slope's side, as LeakyRelu's; a
 * slope is a rectifier's own leak, so that leaky mode adds none. */
#include "kernels/pairs.h"

static status slope_view(const ox_node *n, ox_tensor *s, error *err) {
    const ox_tensor *x = n->in[0];
    *s = *n->in[1];
    if (n->opset >= 7 || s->n == 1) {
        return STATUS_OK;
    }
    if (s->n_dims != 1 || x->n_dims < 2) {
        return error_set(err, STATUS_MODEL, "the slope is not a vector of one value for each channel");
    }
    for (uint32_t d = 1; d + 1 < x->n_dims; d++) {
        s->shape[d] = 1;
    }
    s->n_dims = x->n_dims - 1;
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_dtype_of_first(n, 1, err));
    const ox_tensor *x = n->in[0];
    bool integer = x->dtype == ASSAY_I32 || x->dtype == ASSAY_I64;
    if (!ox_is_float(x->dtype) && (!integer || n->opset < 9)) {
        return error_set(err, STATUS_UNSUPPORTED, "PRelu of %s is not supported", ox_dtype_name(x->dtype));
    }
    ox_tensor s;
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    uint32_t n_dims = 0;
    TRY(slope_view(n, &s, err));
    TRY(ox_broadcast(x, &s, shape, &n_dims, err));
    if (n_dims != x->n_dims || memcmp(shape, x->shape, n_dims * sizeof shape[0]) != 0) {
        return error_set(err, STATUS_MODEL, "the slope does not broadcast to input 0");
    }
    return ox_infer_same(n, err);
}

/* The node with a slope that broadcasts to x, as from opset 7 on. */
typedef struct aligned {
    ox_node n;
    ox_tensor slope;
    ox_tensor *in[2];
} aligned;

static void align(aligned *v, const ox_node *n) {
    error err = {0};
    v->n = *n;
    (void)slope_view(n, &v->slope, &err); /* infer has checked it */
    v->in[0] = n->in[0];
    v->in[1] = &v->slope;
    v->n.in = v->in;
    v->n.opset = 7;
}

static int64_t of_integers(int64_t x, int64_t s) {
    return x < 0 ? (int64_t)((uint64_t)x * (uint64_t)s) : x;
}

static status forward(ox_node *n, error *err) {
    (void)err;
    aligned v;
    align(&v, n);
    if (n->out[0]->dtype == ASSAY_F32) {
        OX_PAIR_MAP(&v.n, float, float, x < 0 ? x * y : x);
    } else if (n->out[0]->dtype == ASSAY_F64) {
        OX_PAIR_MAP(&v.n, double, double, x < 0 ? x * y : x);
    } else {
        ox_pair_integers(&v.n, of_integers);
    }
    return STATUS_OK;
}

static double input_term(double x, double s, double g, assay_vjp_mode mode) {
    (void)mode;
    return x > 0 ? g : g * s;
}

static double slope_term(double x, double s, double g, assay_vjp_mode mode) {
    (void)s, (void)mode;
    return x > 0 ? 0 : g * x;
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)err;
    aligned v;
    align(&v, n);
    ox_pair_gradient(&v.n, 0, input_term, mode);
    ox_pair_gradient(&v.n, 1, slope_term, mode);
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    if (!ox_pair_f32(n)) {
        return vjp_reference(n, mode, err);
    }
    aligned v;
    align(&v, n);
    if (ox_grad_out(n, 0) != NULL && ox_grad_in(n, 0) != NULL) {
        OX_PAIR_GRADIENT_F32(&v.n, 0, x > 0 ? g : g * y);
    }
    if (ox_grad_out(n, 0) != NULL && ox_grad_in(n, 1) != NULL) {
        OX_PAIR_GRADIENT_F32(&v.n, 1, x > 0 ? 0 : g * x);
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_prelu = {.op = "PRelu",
                                   .min_opset = 1,
                                   .max_opset = 9999,
                                   .flags = OX_KEEPS_BATCH,
                                   .min_in = 2,
                                   .max_in = 2,
                                   .min_out = 1,
                                   .max_out = 1,
                                   .infer = infer,
                                   .forward = forward,
                                   .vjp = vjp,
                                   .vjp_reference = vjp_reference};
