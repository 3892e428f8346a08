/* SPDX-License-Identifier: Apache-2.0
 * Writes what a run refers to (build, host, models, plug-ins, datasets, suites, items) into the store. */
#ifndef RUN_REGISTER_H
#define RUN_REGISTER_H

#include "run/plan.h"
#include "run/protocol.h"
#include "store/store.h"

/* Row ids in this store, by index of the plan. */
typedef struct registered {
    int64_t build_id, host_id, clean_id;
    int64_t *model, *plugin, *dataset, *suite;
    bool *has_facts; /* per model */
} registered;

status registered_make(registered *r, const plan *p, store *s, const char *blas_core, error *err);
status registered_run(const registered *r, const plan *p, store *s, const char *command_line, const char *git_revision,
                      int64_t *run_id, error *err);
status registered_item(const registered *r, const plan *p, store *s, const plan_item *it, const char *key_hex,
                       int64_t *item_id, error *err);
/* A FACTS frame of a worker: what the model says of itself goes into its row, once. */
status registered_facts(registered *r, const plan *p, store *s, size_t i_model, const frame *f, error *err);
void registered_free(registered *r);

/* All distinct numeric environments of the plan's models, sorted, one line each. */
char *plan_environments(const plan *p, arena *a);

#endif
