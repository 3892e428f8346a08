/* SPDX-License-Identifier: Apache-2.0
 * Gelu (opset 20): x Phi(x), or its approximation by tanh, 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). The
 * plain loops work in double and are rounded once; the fast ones are float32 with vectorised erf, exp and tanh, off by
 * about one unit in the last place of x. */
#include "kernels/epilogue.h"
#include "kernels/map.h"
#include "kernels/vmath.h"

#define CHUNK 256                        /* elements at a time, in the first-level cache */
#define ROOT_HALF 0.70710678118654752440 /* sqrt(1 / 2) */
#define DENSITY 0.39894228040143267794   /* 1 / sqrt(2 pi) */
#define SCALE 0.79788456080286535588     /* sqrt(2 / pi) */
#define CUBIC 0.044715

static bool by_tanh(const ox_node *n) {
    const ox_attr *a = ox_attr_find(n, "approximate");
    return a != NULL && strcmp(a->s, "tanh") == 0;
}

static status infer(ox_node *n, error *err) {
    const ox_attr *a = ox_attr_find(n, "approximate");
    if (a != NULL && (a->kind != OX_STRING || (strcmp(a->s, "none") != 0 && strcmp(a->s, "tanh") != 0))) {
        return error_set(err, STATUS_MODEL, "attribute approximate is neither none nor tanh");
    }
    TRY(ox_need_float(n, 0, err));
    return ox_infer_same(n, err);
}

/* erfc keeps the digits on the negative side, where 1 + erf(x) cancels. */
static double exact(double x, double a, double b) {
    (void)a, (void)b;
    return x == -INFINITY ? 0 : 0.5 * x * erfc(-x * ROOT_HALF);
}

static double exact_slope(double x, double a, double b, assay_vjp_mode mode) {
    (void)a, (void)b, (void)mode;
    return 0.5 * erfc(-x * ROOT_HALF) + (isinf(x) ? 0 : x * DENSITY * exp(-0.5 * x * x));
}

/* 0.5 (1 + tanh(u)) = 1 / (1 + exp(-2 u)) */
static double approximate(double x, double a, double b) {
    (void)a, (void)b;
    return x == -INFINITY ? 0 : x / (1 + exp(-2 * SCALE * (x + CUBIC * x * x * x)));
}

static double approximate_slope(double x, double a, double b, assay_vjp_mode mode) {
    (void)a, (void)b, (void)mode;
    double e = exp(-2 * SCALE * (x + CUBIC * x * x * x)), half = 1 / (1 + e);
    double bend = isinf(e) || e == 0 ? 0 : e * half * half * 2 * SCALE * (1 + 3 * CUBIC * x * x);
    return half + (bend == 0 ? 0 : x * bend);
}

static const ox_map_attrs none = {{NULL, NULL}, {0, 0}};

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    return by_tanh(n) ? ox_map_forward(n, &none, approximate) : ox_map_forward(n, &none, exact);
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)err;
    return by_tanh(n) ? ox_map_vjp(n, &none, approximate_slope, mode) : ox_map_vjp(n, &none, exact_slope, mode);
}

/* t = tanh of the polynomial: the approximation is 0.5 x (1 + t). */
static void bent(const ox_vmath *v, const float *x, float *t, size_t len) {
    for (size_t i = 0; i < len; i++) {
        t[i] = (float)SCALE * (x[i] + (float)CUBIC * x[i] * x[i] * x[i]);
    }
    v->tanh(t, t, len);
}

static status forward(ox_node *n, error *err) {
    if (n->out[0]->dtype != ASSAY_F32) {
        return forward_reference(n, err);
    }
    const ox_vmath *v = ox_vmath_of(ox_isa_best());
    const float *x = n->in[0]->data;
    float *y = n->out[0]->data, t[CHUNK];
    if (!by_tanh(n)) {
        v->gelu(x, y, n->out[0]->n);
        return STATUS_OK;
    }
    for (size_t c = 0; c < n->out[0]->n; c += CHUNK, x += CHUNK, y += CHUNK) {
        size_t len = n->out[0]->n - c < CHUNK ? n->out[0]->n - c : CHUNK;
        bent(v, x, t, len);
        for (size_t i = 0; i < len; i++) { /* -infinity times 0 is 0 here */
            y[i] = x[i] == -INFINITY ? 0 : 0.5F * x[i] * (1 + t[i]);
        }
    }
    return STATUS_OK;
}

/* The slope of 0.5 x (1 + t). Far out that of t is 0, and x may be infinite. */
static void slopes(const float *x, const float *t, float *d, size_t len) {
    for (size_t i = 0; i < len; i++) {
        d[i] = (1 - t[i] * t[i]) * (float)SCALE * (1 + 3 * (float)CUBIC * x[i] * x[i]);
        d[i] = 0.5F * (1 + t[i]) + (fabsf(x[i]) > 20 ? 0 : 0.5F * x[i] * d[i]);
    }
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    float *dx = ox_grad_in(n, 0);
    const float *g = ox_grad_out(n, 0), *x = n->in[0]->data;
    if (n->in[0]->dtype != ASSAY_F32 || dx == NULL || g == NULL) {
        ox_clear_fresh(n);
        return vjp_reference(n, mode, err);
    }
    const ox_vmath *v = ox_vmath_of(ox_isa_best());
    float t[CHUNK], d[CHUNK];
    if (!by_tanh(n)) {
        v->gelu_vjp(x, g, dx, n->out[0]->n, ox_is_fresh(n, 0));
        return STATUS_OK;
    }
    ox_clear_fresh(n);
    for (size_t c = 0; c < n->out[0]->n; c += CHUNK) {
        size_t len = n->out[0]->n - c < CHUNK ? n->out[0]->n - c : CHUNK;
        bent(v, x + c, t, len);
        slopes(x + c, t, d, len);
        for (size_t i = 0; i < len; i++) {
            dx[c + i] += g[c + i] * d[i];
        }
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_gelu = {.op = "Gelu",
                                  .min_opset = 20,
                                  .max_opset = 9999,
                                  .flags = OX_KEEPS_BATCH | OX_STORES_GRADIENT | OX_POINTWISE,
                                  .min_in = 1,
                                  .max_in = 1,
                                  .min_out = 1,
                                  .max_out = 1,
                                  .infer = infer,
                                  .forward = forward,
                                  .forward_reference = forward_reference,
                                  .vjp = vjp,
                                  .vjp_reference = vjp_reference};
