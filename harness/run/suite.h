/* SPDX-License-Identifier: Apache-2.0
 * A suite says WHAT TO COLLECT; it knows neither SQLite nor metrics' meaning nor reports. It runs inside a
 * worker process. One file in suites/, one line in suites/registry.def. */
#ifndef RUN_SUITE_H
#define RUN_SUITE_H

#include "base/info.h"
#include "base/observation.h"
#include "data/dataset.h"
#include "model/host.h"

typedef struct suite_context {
    const dataset *data;
    session *session; /* opened with the item's tile */
    const model *model;
    const uint32_t *index; /* the item's examples still to do, ascending */
    size_t n_index;
    uint64_t seed;
    size_t batch; /* examples per call; never changes a result bit */
    bool keep_logits;
    void *sink;
    /* Hands rows over (copied before it returns). A failure ends the item. */
    status (*emit)(void *sink, const observation *rows, size_t n, error *err);
} suite_context;

typedef struct suite {
    info info;
    const char *const *needs;   /* capability ids, NULL-terminated; a missing one gives SKIPPED */
    const char *const *metrics; /* default metric ids of the judge, NULL-terminated */
    /* Collects observations for ctx->index. Errors: STATUS_MODEL etc. become the outcome FAILED(text). */
    status (*collect)(const suite_context *ctx, const void *params, error *err);
} suite;

/* The run layer gets its suites handed down by the CLI (includes point downward). */
typedef struct suite_list {
    size_t n;
    const suite *const *v;
} suite_list;

#endif
