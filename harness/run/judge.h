/* SPDX-License-Identifier: Apache-2.0
 * Judging: metrics over what the store holds of a run; the numbers go back into the store. Needs no model. */
#ifndef RUN_JUDGE_H
#define RUN_JUDGE_H

#include "store/store.h"

/* A metric's parameter as text ("topk", "k", "1,3"). suite NULL: for every suite. Later entries win. */
typedef struct judge_param {
    const char *suite, *metric, *name, *text;
} judge_param;

typedef struct judge_options {
    double level; /* of the intervals; 0 = 0.95 */
    /* Metric ids for a suite, NULL-terminated; NULL = none. */
    const char *const *(*metrics_for)(void *context, const char *suite, const char *suite_params_json);
    void *context;
    const judge_param *params;
    size_t n_params;
    /* May be NULL: told before each metric of each group. */
    void (*progress)(void *context, const char *model, const char *dataset, const char *metric);
} judge_options;

/* Replaces the run's metric rows. A metric whose columns were not stored gives one row with value NaN and a reason
 * that begins with "SKIPPED: ". An unknown metric id or a bad parameter is STATUS_USAGE. */
status judge_run(store *s, int64_t run_id, const judge_options *o, error *err);

#endif
