/* SPDX-License-Identifier: Apache-2.0
 * log-loss: mean of -log p(label) in nats, from logits by log-sum-exp in double. From probabilities, and from logits
 * when `clip` is given, as sklearn 1.2: clip to [clip, 1 - clip], then divide by the row sum. */
#include <float.h>
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/str.h"
#include "math/interval.h"
#include "math/sum.h"
#include "metrics/common.h"

typedef struct log_loss_params {
    double clip;
} log_loss_params;

static double clipped(double p, double eps) {
    return p < eps ? eps : p > 1.0 - eps ? 1.0 - eps : p;
}

/* log(sum exp(z - max)) and the maximum. */
static double log_sum_exp(const float *z, size_t k, double *max) {
    *max = (double)z[0];
    for (size_t j = 1; j < k; j++) {
        *max = (double)z[j] > *max ? (double)z[j] : *max;
    }
    sum_acc sum = {0};
    for (size_t j = 0; j < k; j++) {
        sum_add(&sum, exp((double)z[j] - *max));
    }
    return log(sum_value(&sum));
}

/* z: (k) logits or probabilities, all finite. eps = 0: unclipped. */
static double loss_of(const float *z, size_t k, size_t label, bool probabilities, double eps) {
    double max = 0;
    const double lse = probabilities ? 0 : log_sum_exp(z, k, &max);
    if (eps == 0) { /* always from logits */
        return lse + (max - (double)z[label]);
    }
    sum_acc sum = {0};
    double own = 0;
    for (size_t j = 0; j < k; j++) {
        const double p = clipped(probabilities ? (double)z[j] : exp((double)z[j] - max - lse), eps);
        own = j == label ? p : own;
        sum_add(&sum, p);
    }
    return -log(own / sum_value(&sum));
}

static bool all_finite(const float *z, size_t k) {
    for (size_t j = 0; j < k; j++) {
        if (!isfinite(z[j])) {
            return false;
        }
    }
    return true;
}

/* Losses of the labelled examples; how many of them have none. */
static size_t gather(const columns *c, double eps, double *loss, size_t *n_undefined) {
    size_t n = 0;
    *n_undefined = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (!metric_labelled(c->flags[i], c->label[i])) {
            continue;
        }
        const float *z = c->logits + i * c->n_classes;
        const bool bad = (c->flags[i] & (OBS_NONFINITE | OBS_LABEL_UNKNOWN)) != 0 ||
                         (size_t)c->label[i] >= c->n_classes || !all_finite(z, c->n_classes);
        *n_undefined += bad ? 1 : 0;
        loss[n++] = bad ? NAN : loss_of(z, c->n_classes, (size_t)c->label[i], c->probabilities, eps);
    }
    return n;
}

static void emit_mean(const char *name, const double *loss, size_t n, double level, const char *note,
                      const metric_sink *sink) {
    double mean = 0;
    double variance = 0;
    sum_mean_variance(loss, n, &mean, &variance);
    const interval v = interval_mean_t(mean, variance, n, level);
    const bool one = n == 1;
    sink->row(sink->context, &(metric_row){.name = name,
                                           .slice = "",
                                           .value = mean,
                                           .lo = one ? NAN : fmin(fmax(v.lo, 0.0), mean), /* a loss is never negative */
                                           .hi = one ? NAN : v.hi,
                                           .level = level,
                                           .n = (int64_t)n,
                                           .ci_method = one ? "" : "mean-t",
                                           .unit = "nats",
                                           .better = BETTER_LOWER,
                                           .flags = one ? METRIC_FLAG_DEGENERATE : 0,
                                           .reason = one && note[0] == '\0' ? "one example: no interval" : note});
}

static status compute(const void *params, const columns *c, double level, const metric_sink *sink, error *err) {
    const log_loss_params *p = params;
    const double eps = p->clip == 0 && c->probabilities ? DBL_EPSILON : p->clip;
    char number[STR_DOUBLE_BYTES];
    char name[96];
    (void)snprintf(name, sizeof name, "log-loss{clip=%s,from=%s}", str_from_double(eps, number),
                   c->probabilities ? "probabilities" : "logits");
    double *loss = mem_try(c->n + 1, sizeof *loss, "the losses of all examples", err);
    if (loss == NULL) {
        return STATUS_MEMORY;
    }
    size_t n_undefined = 0;
    const size_t n = gather(c, eps, loss, &n_undefined);
    char note[METRIC_NOTE_BYTES];
    if (n == 0) {
        metric_undefined(sink, name, "nats", BETTER_LOWER, 0, level, "no labelled examples");
    } else if (n_undefined > 0) {
        (void)snprintf(note, sizeof note, "undefined: %zu of %zu examples have non-finite outputs or an unknown label",
                       n_undefined, n);
        metric_undefined(sink, name, "nats", BETTER_LOWER, (int64_t)n, level, note);
    } else {
        emit_mean(name, loss, n, level, metric_note(c, note), sink);
    }
    mem_free(loss);
    return STATUS_OK;
}

static const param params[] = {
    {.name = "clip",
     .help =
         "clip probabilities to [clip, 1 - clip] and renormalise; 0: no clipping of logits, 2.2e-16 for models that "
         "give probabilities only",
     .unit = "",
     .offset = offsetof(log_loss_params, clip),
     .type = PARAM_REAL,
     .def = 0,
     .min = 0,
     .max = 0.1},
};

const metric metric_log_loss = {
    .info = {.id = "log-loss",
             .summary = "mean negative log-likelihood of the label, with Student's t interval of the mean",
             .cite = "Good 1952, Rational decisions",
             .version = 1,
             .flags = METRIC_NEEDS_LABEL | METRIC_NEEDS_LOGITS,
             .params = params,
             .n_params = sizeof params / sizeof params[0],
             .params_bytes = sizeof(log_loss_params)},
    .compute = compute,
};
