/* SPDX-License-Identifier: Apache-2.0
 * All that a report shows of one run, gathered from the store. Everything lives in the arena given to report_load. */
#ifndef REPORTS_DATA_H
#define REPORTS_DATA_H

#include "run/compare.h"
#include "store/store.h"

/* One (dataset, suite, model). Text fields are "" where unknown. */
typedef struct report_group {
    const store_group *g;
    const char *title, *licence, *provenance, *citation; /* of the dataset */
    double n_params, n_macs;                             /* of the model; NaN where it does not say */
    const store_metric **metrics;                        /* in the store's order */
    size_t n_metrics;
} report_group;

typedef struct report_data {
    bool empty; /* the store holds no run */
    store_run_row run;
    report_group *groups; /* in (dataset, suite, model) order */
    size_t n_groups;
    store_metric *metrics;
    size_t n_metrics;
    compare_set comparisons;        /* variants against their baselines */
    const char *comparison_problem; /* why there are none, "" if nothing is wrong */
} report_data;

/* The row with that name and slice, NULL if there is none. A name that ends in '{' matches by prefix. */
const store_metric *report_metric(const report_group *g, const char *name, const char *slice);

enum { REPORT_NUMBER_BYTES = 64 };
/* "0.9098"; "–" for NaN. Returns buf. */
char *report_number(double v, char buf[REPORT_NUMBER_BYTES]);
/* "0.9152 [0.9098, 0.9205]"; without interval only the value; m NULL or NaN: "–". */
char *report_with_interval(const store_metric *m, char buf[REPORT_NUMBER_BYTES]);
char *report_interval(double lo, double hi, char buf[REPORT_NUMBER_BYTES]);
/* "0.0414"; "< 0.0001" below that. */
char *report_p(double p, char buf[REPORT_NUMBER_BYTES]);
/* "OK", or "OK 3, FAILED 1": outcomes that occurred, "unfinished 2" included. */
char *report_outcomes(const int64_t n_outcome[OUTCOME_COUNT], arena *a);

#endif
