/* SPDX-License-Identifier: Apache-2.0
 * NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss: -w[label] log p[label] at every place of (N, D1...), from
 * log-probabilities or scores (N, C, D1...). Reduced to a mean it is the sum over the sum of weights. Places whose
 * label is ignore_index count nothing. A label that is no class is an error where labels are constant; where they are
 * computed, it makes the loss at its place NaN. The sums run in order and in double. */
#include <math.h>

#include "kernels/axis.h"
#include "kernels/integer.h"
#include "kernels/moves.h"

typedef enum reduction { NONE, SUM, MEAN } reduction;

typedef struct loss {
    ox_axis a; /* of the classes */
    reduction reduction;
    bool cross;     /* SoftmaxCrossEntropyLoss */
    bool ignores;   /* there is an ignore_index */
    int64_t ignore; /* which */
} loss;

static status read(const ox_node *n, loss *l, error *err) {
    static const char *const names[] = {"none", "sum", "mean"};
    TRY(ox_check_attr(n, "reduction", OX_STRING, err));
    TRY(ox_check_attr(n, "ignore_index", OX_INT, err));
    const ox_attr *reduction_attr = ox_attr_find(n, "reduction");
    size_t k = 0;
    while (reduction_attr != NULL && k < 3 && strcmp(reduction_attr->s, names[k]) != 0) {
        k++;
    }
    if (k == 3) {
        return error_set(err, STATUS_MODEL, "reduction \"%s\"", reduction_attr->s);
    }
    *l = (loss){.a = ox_axis_of(n->in[0], 1),
                .reduction = reduction_attr != NULL ? (reduction)k : MEAN,
                .cross = n->op[0] == 'S',
                .ignores = ox_attr_find(n, "ignore_index") != NULL,
                .ignore = ox_attr_int(n, "ignore_index", 0)};
    return STATUS_OK;
}

static status check_labels(const ox_node *n, const loss *l, error *err) {
    const ox_tensor *x = n->in[0], *t = ox_input(n, 1);
    if (t == NULL || (t->dtype != ASSAY_I32 && t->dtype != ASSAY_I64)) {
        return error_set(err, STATUS_MODEL, "input 1 is missing or not int32 or int64");
    }
    bool same = t->n_dims + 1 == x->n_dims && t->shape[0] == x->shape[0];
    for (uint32_t d = 1; d < t->n_dims && same; d++) {
        same = t->shape[d] == x->shape[d + 1];
    }
    if (!same) {
        return error_set(err, STATUS_MODEL, "the labels' shape is not the scores' without the classes");
    }
    for (size_t i = 0; i < t->n && t->is_const; i++) {
        int64_t v = ox_int_at(t, i);
        if ((v < 0 || v >= x->shape[1]) && !(l->ignores && v == l->ignore)) {
            return error_set(err, STATUS_MODEL, "label %lld of %lld classes", (long long)v, (long long)x->shape[1]);
        }
    }
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    TRY(ox_need_in_out(n, err));
    const ox_tensor *x = n->in[0];
    if (x->n_dims < 2) {
        return error_set(err, STATUS_MODEL, "the scores have %u dimensions; at least 2 are needed", x->n_dims);
    }
    loss l = {0};
    TRY(read(n, &l, err));
    TRY(check_labels(n, &l, err));
    if (ox_input(n, 2) != NULL) {
        TRY(ox_need_vector(n, 2, (size_t)x->shape[1], err));
    }
    if (ox_output(n, 1) != NULL) {
        TRY(ox_set_shape(n->out[1], x->dtype, x->shape, x->n_dims, err));
    }
    const ox_tensor *t = n->in[1];
    return ox_set_shape(n->out[0], x->dtype, t->shape, l.reduction == NONE ? t->n_dims : 0, err);
}

/* log p of every class is x - log_sum_of. */
static double log_sum_of(const loss *l, const ox_tensor *x, size_t at) {
    double max = -INFINITY, sum = 0;
    if (!l->cross) {
        return 0;
    }
    for (size_t k = 0; k < l->a.len; k++) {
        double v = ox_at(x, at + k * l->a.inner);
        max = v > max ? v : max;
    }
    for (size_t k = 0; k < l->a.len; k++) {
        sum += exp(ox_at(x, at + k * l->a.inner) - max);
    }
    return max + log(sum);
}

/* What the label at place r says: its weight (0: ignored; NaN: no class), and which class it is. */
static double weight_at(const ox_node *n, const loss *l, size_t r, size_t *label) {
    int64_t v = ox_int_at(n->in[1], r);
    *label = 0;
    if (l->ignores && v == l->ignore) {
        return 0;
    }
    if (v < 0 || (uint64_t)v >= l->a.len) {
        return NAN;
    }
    *label = (size_t)v;
    return ox_input(n, 2) != NULL ? ox_at(n->in[2], *label) : 1;
}

/* The loss at place r, ignored ones 0. */
static double loss_at(const ox_node *n, const loss *l, size_t r, double weight, size_t label) {
    size_t at = ox_axis_row(&l->a, r);
    if (l->a.len == 0 || isnan(weight)) {
        return NAN;
    }
    return weight == 0 ? 0 : weight * (log_sum_of(l, n->in[0], at) - ox_at(n->in[0], at + label * l->a.inner));
}

typedef struct totals {
    double loss, weight;
} totals;

static totals totals_of(const ox_node *n, const loss *l) {
    totals t = {0, 0};
    for (size_t r = 0; r < ox_axis_rows(&l->a); r++) {
        size_t label = 0;
        double weight = weight_at(n, l, r, &label), at = loss_at(n, l, r, weight, label);
        t.loss += at;
        t.weight += weight;
        if (l->reduction == NONE) {
            ox_put(n->out[0], r, at);
        }
    }
    return t;
}

static status forward(ox_node *n, error *err) {
    loss l = {0};
    TRY(read(n, &l, err));
    totals t = totals_of(n, &l);
    if (l.reduction != NONE) {
        ox_put(n->out[0], 0, l.reduction == SUM ? t.loss : t.loss / t.weight);
    }
    for (size_t r = 0; ox_output(n, 1) != NULL && r < ox_axis_rows(&l.a); r++) {
        size_t at = ox_axis_row(&l.a, r);
        double all = log_sum_of(&l, n->in[0], at);
        for (size_t k = 0; k < l.a.len; k++, at += l.a.inner) {
            ox_put(n->out[1], at, ox_at(n->in[0], at) - all);
        }
    }
    return STATUS_OK;
}

/* Scores: dx = g w (p - [label]) and, through log_prob, dx += g_log - p sum g_log; log-probabilities: dx = -g w at
 * the label. g: of the loss at this place, w included. */
static void vjp_place(const ox_node *n, const loss *l, size_t r, size_t label, double g, const float *g_log) {
    size_t at = ox_axis_row(&l->a, r);
    float *dx = ox_grad_in(n, 0);
    if (dx == NULL) {
        return;
    }
    if (!l->cross) {
        dx[at + label * l->a.inner] -= (float)g;
        return;
    }
    double all = log_sum_of(l, n->in[0], at), sum = 0;
    for (size_t k = 0; g_log != NULL && k < l->a.len; k++) {
        sum += (double)g_log[at + k * l->a.inner];
    }
    for (size_t k = 0; k < l->a.len; k++) {
        size_t i = at + k * l->a.inner;
        double p = exp(ox_at(n->in[0], i) - all), direct = g_log != NULL ? (double)g_log[i] : 0;
        dx[i] += (float)(g * (p - (k == label ? 1 : 0)) + direct - p * sum);
    }
}

/* dw[label] += g (log p at the label, negated); under a mean, less the mean itself, as the weight divides too. */
static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    loss l = {0};
    TRY(read(n, &l, err));
    const float *g = ox_grad_out(n, 0), *g_log = ox_grad_out(n, 1);
    float *dw = ox_grad_in(n, 2);
    totals t = {0, 1};
    if (l.reduction == MEAN) {
        t = totals_of(n, &l);
    }
    for (size_t r = 0; r < ox_axis_rows(&l.a) && l.a.len > 0; r++) {
        size_t label = 0;
        double weight = weight_at(n, &l, r, &label), d = g == NULL ? 0 : (double)g[l.reduction == NONE ? r : 0];
        d /= l.reduction == MEAN ? t.weight : 1;
        bool counts = weight != 0 || (dw != NULL && !(l.ignores && ox_int_at(n->in[1], r) == l.ignore));
        vjp_place(n, &l, r, label, weight == 0 || g == NULL ? 0 : d * weight, g_log);
        if (dw != NULL && g != NULL && counts && !isnan(weight)) {
            double mean = l.reduction == MEAN ? t.loss / t.weight : 0;
            dw[label] += (float)(d * (loss_at(n, &l, r, 1, label) - mean));
        }
    }
    return STATUS_OK;
}

#define LOSS(symbol, name, outputs)                                                                                    \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = 12,                                                             \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH,                                                     \
                                          .min_in = 2,                                                                 \
                                          .max_in = 3,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = (outputs),                                                        \
                                          .infer = infer,                                                              \
                                          .forward = forward,                                                          \
                                          .vjp = vjp}
LOSS(negative_log_likelihood, "NegativeLogLikelihoodLoss", 1);
LOSS(softmax_cross_entropy, "SoftmaxCrossEntropyLoss", 2);
