/* SPDX-License-Identifier: Apache-2.0
 * LRN, local response normalisation across channels (Krizhevsky et al. 2012, section 3.3): y = x s^-beta with
 * s = bias + alpha / size * (sum of x^2 over the channels c - floor((size-1)/2) .. c + ceil((size-1)/2)). */
#include <math.h>

#include "kernels/axis.h"

typedef struct lrn {
    double alpha, beta, bias; /* alpha is divided by size */
    size_t below, above;      /* channels of a window on both sides */
    double *s, *t;            /* (C): s, and in vjp g x s^(-beta-1) */
} lrn;

static status infer(ox_node *n, error *err) {
    static const char *const floats[] = {"alpha", "beta", "bias"};
    TRY(ox_need_float(n, 0, err));
    for (size_t i = 0; i < 3; i++) {
        TRY(ox_check_attr(n, floats[i], OX_FLOAT, err));
    }
    TRY(ox_check_attr(n, "size", OX_INT, err));
    if (ox_attr_int(n, "size", 0) < 1 || n->in[0]->n_dims < 2) {
        return error_set(err, STATUS_MODEL, "size is missing or below 1, or the input has no channels");
    }
    return ox_infer_same(n, err);
}

static void release(ox_node *n) {
    lrn *k = n->state;
    if (k != NULL) {
        mem_free(k->s);
        mem_free(k->t);
        mem_free(k);
        n->state = NULL;
    }
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    size_t channels = (size_t)n->in[0]->shape[1], size = (size_t)ox_attr_int(n, "size", 1);
    lrn *k = mem_zalloc(sizeof *k);
    n->state = k;
    *k = (lrn){.alpha = (double)ox_attr_float(n, "alpha", 1e-4F) / (double)size,
               .beta = (double)ox_attr_float(n, "beta", 0.75F),
               .bias = (double)ox_attr_float(n, "bias", 1),
               .below = (size - 1) / 2,
               .above = size / 2};
    k->s = mem_try(channels + 1, sizeof(double), "normalisation", err);
    k->t = mem_try(channels + 1, sizeof(double), "normalisation", err);
    if (k->s == NULL || k->t == NULL) {
        release(n);
        return STATUS_MEMORY;
    }
    return STATUS_OK;
}

/* First channel and one past the last of the window from c - below to c + above. */
static size_t window_begin(size_t c, size_t below) {
    return c < below ? 0 : c - below;
}
static size_t window_end(size_t c, size_t above, size_t channels) {
    return channels - c <= above ? channels : c + above + 1;
}

/* s of all channels at one place; the input's channels are `inner` apart from `at` on. */
static void scales(const lrn *k, const ox_tensor *x, const ox_axis *a, size_t at) {
    for (size_t c = 0; c < a->len; c++) {
        double sum = 0;
        for (size_t i = window_begin(c, k->below); i < window_end(c, k->above, a->len); i++) {
            double v = ox_at(x, at + i * a->inner);
            sum += v * v;
        }
        k->s[c] = k->bias + k->alpha * sum;
    }
}

static status forward(ox_node *n, error *err) {
    (void)err;
    const lrn *k = n->state;
    const ox_axis a = ox_axis_of(n->in[0], 1);
    for (size_t r = 0; r < ox_axis_rows(&a); r++) {
        size_t at = ox_axis_row(&a, r);
        scales(k, n->in[0], &a, at);
        for (size_t c = 0; c < a.len; c++) {
            ox_put(n->out[0], at + c * a.inner, ox_at(n->in[0], at + c * a.inner) * pow(k->s[c], -k->beta));
        }
    }
    return STATUS_OK;
}

/* dx_i = g_i s_i^-beta - 2 alpha beta / size x_i (sum of g x s^(-beta-1) over the channels whose window has i) */
static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const lrn *k = n->state;
    const ox_axis a = ox_axis_of(n->in[0], 1);
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    for (size_t r = 0; g != NULL && dx != NULL && r < ox_axis_rows(&a); r++) {
        size_t at = ox_axis_row(&a, r);
        scales(k, n->in[0], &a, at);
        for (size_t c = 0; c < a.len; c++) {
            size_t i = at + c * a.inner;
            k->t[c] = (double)g[i] * ox_at(n->in[0], i) * pow(k->s[c], -k->beta - 1);
        }
        for (size_t c = 0; c < a.len; c++) {
            size_t i = at + c * a.inner;
            double sum = 0;
            for (size_t j = window_begin(c, k->above); j < window_end(c, k->below, a.len); j++) {
                sum += k->t[j];
            }
            dx[i] += (float)((double)g[i] * pow(k->s[c], -k->beta) - 2 * k->alpha * k->beta * ox_at(n->in[0], i) * sum);
        }
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_lrn = {.op = "LRN",
                                 .min_opset = 1,
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
