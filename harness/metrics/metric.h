/* SPDX-License-Identifier: Apache-2.0
 * Metrics: pure functions over stored columns. One file, one line in registry.def. */
#ifndef METRICS_METRIC_H
#define METRICS_METRIC_H

#include <stdbool.h>

#include "base/info.h"
#include "base/observation.h"

/* What a metric may need; a missing column makes it SKIPPED with the setting that would have stored it. */
#define METRIC_NEEDS_LABEL 1u
#define METRIC_NEEDS_PRED 2u
#define METRIC_NEEDS_SCORE 4u
#define METRIC_NEEDS_LOGITS 8u

/* Columns of one (model, dataset, suite, condition), in example order. Not owned. Invariants: pred is -1
 * where OBS_NONFINITE is set; such examples count as wrong and are never dropped. */
typedef struct columns {
    size_t n;
    size_t n_expected; /* what the plan wanted; n < n_expected when items are missing */
    const int64_t *i_example;
    const int32_t *label, *pred;
    const double *score;
    const uint32_t *flags;
    const float *logits; /* (n, n_classes) or NULL */
    size_t n_classes;
    const char *const *class_names; /* n_classes or NULL */
    bool probabilities;             /* `logits` holds probabilities: the model exposes nothing else */
} columns;

typedef enum better { BETTER_NONE, BETTER_HIGHER, BETTER_LOWER } better;

#define METRIC_FLAG_DEGENERATE 1u  /* value by convention, not by data (reason says which) */
#define METRIC_FLAG_NO_INTERVAL 2u /* a count or a table cell: exact for the data, no interval */

/* One reported number. NaN = undefined; then reason says why. lo <= value <= hi where all are finite. */
typedef struct metric_row {
    const char *name;  /* "accuracy", "topk{k=5}", "recall" */
    const char *slice; /* "" = all; "class=Shirt"; "true=Shirt,pred=Coat" */
    double value, lo, hi, level;
    int64_t n;             /* examples behind the number */
    const char *ci_method; /* "wilson", "" */
    const char *unit;      /* "fraction", "nats", "count" */
    better better;
    uint32_t flags;
    const char *reason; /* "" */
} metric_row;

/* Receives rows; copies what it keeps. */
typedef struct metric_sink {
    void *context;
    void (*row)(void *context, const metric_row *row);
} metric_sink;

typedef struct metric {
    info info; /* info.flags: METRIC_NEEDS_* */
    /* `params` is a block as described by info.params. Deterministic; no I/O. n == 0 gives one row with
     * value NaN and a reason. */
    status (*compute)(const void *params, const columns *c, double level, const metric_sink *sink, error *err);
} metric;

const metric *metric_find(const char *id);
const metric *const *metric_all(size_t *n);

#endif
