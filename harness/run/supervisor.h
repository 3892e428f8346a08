/* SPDX-License-Identifier: Apache-2.0
 * The supervisor: gives items to worker processes, is the store's only writer, turns crashes, hangs, memory
 * overruns and garbage into outcomes of items. */
#ifndef RUN_SUPERVISOR_H
#define RUN_SUPERVISOR_H

#include "run/plan.h"
#include "run/worker_proc.h"
#include "store/store.h"

/* What a person may want to see while it runs. Every member may be NULL. */
typedef struct run_progress {
    size_t n_items, n_done, n_cached; /* items */
    size_t n_examples, n_examples_done;
    int64_t started_ns;
    size_t n_seen, n_correct; /* of the model that answered last: a running accuracy */
    const char *model;
} run_progress;

typedef struct run_observer {
    void *context;
    void (*tick)(void *context, const run_progress *p);               /* at least every 100 ms */
    void (*note)(void *context, const char *level, const char *text); /* one line */
} run_observer;

typedef struct run_options {
    bool retry_failed;   /* FAILED, CRASHED and TIMEOUT items run again */
    double verify_cache; /* fraction of cached items to run again and compare bit for bit; 0 = none */
    const char *command_line, *git_revision;
    worker_env env;
    const char *blas_core;
    run_observer observer;
} run_options;

typedef struct run_result {
    int64_t run_id;
    size_t n_cached, n_run;          /* items */
    size_t n_outcome[OUTCOME_COUNT]; /* of all items of the run */
    bool verify;                     /* --verify-cache was asked for */
    size_t n_verified, n_different;  /* by it */
    size_t n_examples_run;
    int64_t elapsed_ns;
    int64_t first_row_ns, rows_ns; /* clock_ns of the first row; from there to the last commit */
    bool interrupted;
} run_result;

/* Collects everything that the plan wants and the store does not have. The run stays open (not judged) on success.
 * STATUS_INTERRUPTED after SIGINT/SIGTERM/SIGHUP (the run is closed as interrupted), STATUS_IO when the store fails;
 * outcomes of items are no error. */
status run_collect(plan *p, store *s, const run_options *o, run_result *out, error *err);

/* One example of one item through a fresh worker: its observation with logits. */
status run_one(const plan *p, const plan_item *item, uint32_t example, worker_env env, observation *out, float **logits,
               error *err);

#endif
