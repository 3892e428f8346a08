/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/fused_activation.h"

#include <math.h>

#include "kernels/map.h"

static const struct {
    const char *name;
    ox_fused_kind kind;
    unsigned n_params;
    double a, b; /* defaults of the operators */
} kinds[] = {{"", OX_FUSED_NONE, 0, 0, 0},
             {"Relu", OX_FUSED_RELU, 0, 0, 0},
             {"LeakyRelu", OX_FUSED_LEAKY_RELU, 1, 0.01, 0},
             {"Clip", OX_FUSED_CLIP, 2, -INFINITY, INFINITY},
             {"Sigmoid", OX_FUSED_SIGMOID, 0, 0, 0},
             {"Tanh", OX_FUSED_TANH, 0, 0, 0},
             {"HardSigmoid", OX_FUSED_HARD_SIGMOID, 2, 0.2, 0.5}};

static status read_params(const ox_node *n, unsigned count, ox_fused *f, error *err) {
    const ox_attr *p = ox_attr_find(n, "activation_params");
    if (p != NULL && (p->kind != OX_FLOATS || p->n < count)) {
        return error_set(err, STATUS_MODEL, "attribute activation_params does not have %u values", count);
    }
    TRY(ox_check_attr(n, "activation_alpha", OX_FLOAT, err));
    TRY(ox_check_attr(n, "activation_beta", OX_FLOAT, err));
    if (count > 0) {
        f->a = p != NULL ? (double)p->floats[0] : (double)ox_attr_float(n, "activation_alpha", (float)f->a);
    }
    if (count > 1) {
        f->b = p != NULL ? (double)p->floats[1] : (double)ox_attr_float(n, "activation_beta", (float)f->b);
    }
    if (f->kind == OX_FUSED_LEAKY_RELU && !(f->a > 0)) {
        return error_set(err, STATUS_UNSUPPORTED, "a LeakyRelu with slope %g", f->a);
    }
    if (f->kind == OX_FUSED_HARD_SIGMOID && !(f->a > 0)) {
        return error_set(err, STATUS_UNSUPPORTED, "a HardSigmoid with alpha %g", f->a);
    }
    if (f->kind == OX_FUSED_CLIP && !(f->a < f->b)) {
        return error_set(err, STATUS_UNSUPPORTED, "a Clip to [%g, %g]", f->a, f->b);
    }
    return STATUS_OK;
}

status ox_fused_read(const ox_node *n, ox_fused *f, error *err) {
    TRY(ox_check_attr(n, "activation", OX_STRING, err));
    const ox_attr *a = ox_attr_find(n, "activation");
    const char *name = a == NULL ? "" : a->s;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            *f = (ox_fused){kinds[i].kind, kinds[i].a, kinds[i].b};
            return read_params(n, kinds[i].n_params, f, err);
        }
    }
    return error_set(err, STATUS_UNSUPPORTED, "activation \"%s\"", name);
}

static inline double value(const ox_fused *f, double x) {
    double e = 0;
    switch (f->kind) {
    case OX_FUSED_RELU: return x < 0 ? 0 : x; /* a NaN stays one */
    case OX_FUSED_LEAKY_RELU: return x < 0 ? f->a * x : x;
    case OX_FUSED_CLIP: return x < f->a ? f->a : (x > f->b ? f->b : x);
    case OX_FUSED_SIGMOID: e = exp(-fabs(x)); return (x >= 0 ? 1 : e) / (1 + e);
    case OX_FUSED_TANH: return tanh(x);
    case OX_FUSED_HARD_SIGMOID: e = f->a * x + f->b; return e < 0 ? 0 : (e > 1 ? 1 : e);
    default: return x;
    }
}

static void relu(float *y, size_t n) {
    for (size_t i = 0; i < n; i++) {
        y[i] = y[i] < 0 ? 0 : y[i];
    }
}

void ox_fused_apply(const ox_fused *f, ox_tensor *y) {
    if (f->kind == OX_FUSED_NONE) {
        return;
    }
    if (f->kind == OX_FUSED_RELU && y->dtype == ASSAY_F32) {
        relu(y->data, y->n);
        return;
    }
    for (size_t i = 0; i < y->n; i++) {
        ox_put(y, i, value(f, ox_at(y, i)));
    }
}

static inline double slope(const ox_fused *f, assay_vjp_mode mode, double y) {
    const double dead = mode == ASSAY_VJP_LEAKY ? OX_LEAKY_SLOPE : 0;
    switch (f->kind) {
    case OX_FUSED_RELU: return y > 0 ? 1 : dead;
    case OX_FUSED_LEAKY_RELU: return y > 0 ? 1 : f->a;
    case OX_FUSED_CLIP: return (y > f->a && y < f->b) || mode == ASSAY_VJP_STRAIGHT_THROUGH ? 1 : dead;
    case OX_FUSED_SIGMOID: return y * (1 - y);
    case OX_FUSED_TANH: return 1 - y * y;
    case OX_FUSED_HARD_SIGMOID: return y > 0 && y < 1 ? f->a : 0;
    default: return 1;
    }
}

void ox_fused_vjp(const ox_fused *f, assay_vjp_mode mode, const ox_tensor *y, const float *g, float *to) {
    for (size_t i = 0; i < y->n; i++) {
        to[i] = (float)((double)g[i] * slope(f, mode, ox_at(y, i)));
    }
}
