/* SPDX-License-Identifier: Apache-2.0
 * BatchNormalization as inference uses it: y = (x - mean) / sqrt(var + epsilon) * scale + bias per channel, or (spatial
 * = 0, before opset 9) per element of an example. The fast path folds it to y = a x + b with a and b computed in
 * double. Training takes its statistics from the batch, so an example's result would depend on its neighbours: refused.
 */
#include <math.h>

#include "kernels/common.h"

#define DEFAULT_EPSILON 1e-5F

/* (N, channels, inner): where spatial = 0 every element of an example is a channel. */
static size_t channels_of(const ox_node *n) {
    const ox_tensor *x = n->in[0];
    return ox_attr_int(n, "spatial", 1) != 0 ? (size_t)x->shape[1] : ox_count(x, 1, x->n_dims);
}

static size_t inner_of(const ox_node *n) {
    return ox_attr_int(n, "spatial", 1) != 0 ? ox_count(n->in[0], 2, n->in[0]->n_dims) : 1;
}

/* Before opset 7 inference has to be asked for, from 14 on training. */
static status check_inference(const ox_node *n, error *err) {
    static const char *const ints[] = {"training_mode", "spatial", "is_test"};
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++) {
        TRY(ox_check_attr(n, ints[i], OX_INT, err));
    }
    bool training =
        n->opset < 7 ? ox_attr_int(n, "is_test", 0) == 0 : n->opset >= 14 && ox_attr_int(n, "training_mode", 0) != 0;
    if (training) {
        return error_set(err, STATUS_UNSUPPORTED, "training (%s): statistics of the batch couple its examples",
                         n->opset < 7 ? "is_test = 0" : "training_mode = 1");
    }
    for (size_t i = 1; i < n->n_out; i++) {
        if (n->out[i] != NULL) {
            return error_set(err, STATUS_UNSUPPORTED, "output %zu belongs to training", i);
        }
    }
    return STATUS_OK;
}

/* Input i has one value for each element of an example. */
static status need_example(const ox_node *n, size_t i, error *err) {
    TRY(ox_need_dtype_of_first(n, i, err));
    const ox_tensor *x = n->in[0], *t = n->in[i];
    if (t->n_dims + 1 != x->n_dims || memcmp(t->shape, x->shape + 1, t->n_dims * sizeof t->shape[0]) != 0) {
        return error_set(err, STATUS_MODEL, "input %zu has another shape than an example (spatial = 0)", i);
    }
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    TRY(ox_check_attr(n, "epsilon", OX_FLOAT, err));
    TRY(check_inference(n, err));
    const ox_tensor *x = n->in[0];
    bool spatial = ox_attr_int(n, "spatial", 1) != 0;
    if (x->n_dims < 2) {
        return error_set(err, STATUS_MODEL, "the input has %u dimensions; at least 2 are needed", x->n_dims);
    }
    for (size_t i = 1; i < 5; i++) {
        TRY(spatial ? ox_need_vector(n, i, (size_t)x->shape[1], err) : need_example(n, i, err));
    }
    return ox_infer_same(n, err);
}

typedef struct coefficients {
    double scale, bias, mean, sd;
} coefficients;

static coefficients at_channel(const ox_node *n, size_t c) {
    double epsilon = (double)ox_attr_float(n, "epsilon", DEFAULT_EPSILON);
    return (coefficients){.scale = ox_at(n->in[1], c),
                          .bias = ox_at(n->in[2], c),
                          .mean = ox_at(n->in[3], c),
                          .sd = sqrt(ox_at(n->in[4], c) + epsilon)};
}

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    const ox_tensor *x = n->in[0];
    size_t channels = channels_of(n), inner = inner_of(n);
    for (size_t i = 0, p = 0; p < (size_t)x->shape[0] * channels; p++) {
        coefficients k = at_channel(n, p % channels);
        for (size_t j = 0; j < inner; j++, i++) {
            ox_put(n->out[0], i, (ox_at(x, i) - k.mean) / k.sd * k.scale + k.bias);
        }
    }
    return STATUS_OK;
}

typedef struct bn_state {
    float *a, *b; /* (C) each */
    bool fixed;   /* computed at prepare */
} bn_state;

static void fold(const ox_node *n, bn_state *s) {
    for (size_t c = 0; c < channels_of(n); c++) {
        coefficients k = at_channel(n, c);
        s->a[c] = (float)(k.scale / k.sd);
        s->b[c] = (float)(k.bias - k.mean * k.scale / k.sd);
    }
}

static void release(ox_node *n) {
    bn_state *s = n->state;
    if (s != NULL) {
        mem_free(s->a);
        mem_free(s->b);
        mem_free(s);
        n->state = NULL;
    }
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    if (n->in[0]->dtype != ASSAY_F32) {
        return STATUS_OK;
    }
    bn_state *s = mem_zalloc(sizeof *s);
    size_t channels = channels_of(n);
    n->state = s;
    s->a = mem_try(channels, sizeof(float), "normalisation", err);
    s->b = mem_try(channels, sizeof(float), "normalisation", err);
    if (s->a == NULL || s->b == NULL) {
        release(n);
        return STATUS_MEMORY;
    }
    s->fixed = n->in[1]->is_const && n->in[2]->is_const && n->in[3]->is_const && n->in[4]->is_const;
    if (s->fixed) {
        fold(n, s);
    }
    return STATUS_OK;
}

static status forward(ox_node *n, error *err) {
    bn_state *s = n->state;
    if (s == NULL) {
        return forward_reference(n, err);
    }
    if (!s->fixed) {
        fold(n, s);
    }
    const ox_tensor *x = n->in[0];
    size_t channels = channels_of(n), inner = inner_of(n);
    const float *from = x->data;
    float *to = n->out[0]->data;
    for (size_t i = 0; i < (size_t)x->shape[0]; i++) {
        for (size_t c = 0; c < channels; c++, from += inner, to += inner) {
            float a = s->a[c], b = s->b[c];
            for (size_t j = 0; j < inner; j++) {
                to[j] = a * from[j] + b;
            }
        }
    }
    return STATUS_OK;
}

/* dx = g scale/sd; dscale = sum g (x-mean)/sd; dbias = sum g; dmean = -sum g scale/sd;
 * dvar = -1/2 scale/sd^3 sum g (x-mean). */
static void vjp_channel(const ox_node *n, size_t c, const float *g) {
    const ox_tensor *x = n->in[0];
    size_t channels = channels_of(n), inner = inner_of(n);
    coefficients k = at_channel(n, c);
    float *dx = ox_grad_in(n, 0), a = (float)(k.scale / k.sd);
    double sum_g = 0, sum_gx = 0;
    bool parameters = false;
    for (size_t i = 1; i < 5; i++) {
        parameters = parameters || ox_grad_in(n, i) != NULL;
    }
    for (size_t b = 0; b < (size_t)x->shape[0]; b++) {
        size_t at = (b * channels + c) * inner;
        for (size_t j = at; dx != NULL && j < at + inner; j++) {
            dx[j] += g[j] * a;
        }
        for (size_t j = at; parameters && j < at + inner; j++) {
            sum_g += (double)g[j];
            sum_gx += (double)g[j] * (ox_at(x, j) - k.mean);
        }
    }
    const double add[5] = {0, sum_gx / k.sd, sum_g, -sum_g * k.scale / k.sd,
                           -0.5 * k.scale / (k.sd * k.sd * k.sd) * sum_gx};
    for (size_t i = 1; i < 5; i++) {
        if (ox_grad_in(n, i) != NULL) {
            n->grad_in[i][c] += (float)add[i];
        }
    }
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const float *g = ox_grad_out(n, 0);
    for (size_t c = 0; g != NULL && c < channels_of(n); c++) {
        vjp_channel(n, c, g);
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_batch_normalization = {.op = "BatchNormalization",
                                                 .min_opset = 1,
                                                 .max_opset = 9999,
                                                 .flags = OX_KEEPS_BATCH,
                                                 .min_in = 5,
                                                 .max_in = 5,
                                                 .min_out = 1,
                                                 .max_out = 5,
                                                 .infer = infer,
                                                 .prepare = prepare,
                                                 .release = release,
                                                 .forward = forward,
                                                 .forward_reference = forward_reference,
                                                 .vjp = vjp};
