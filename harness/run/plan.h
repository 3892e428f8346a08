/* SPDX-License-Identifier: Apache-2.0
 * The plan: a run is a list of items (model x suite x dataset x shard) in a deterministic order. An item's
 * key is a digest of all that determines its result (docs/ARCHITECTURE.md, item keys). */
#ifndef RUN_PLAN_H
#define RUN_PLAN_H

#include "run/config.h"
#include "run/worker_proc.h"

typedef struct plan_model {
    const config_model *config;
    /* What a probe worker said of the plug-in; fault != "" when it could not be loaded: the model's items then
     * end with that outcome. */
    const char *plugin_name, *plugin_version, *environment, *fault;
    outcome fault_outcome;
    digest_value plugin_sha256, sha256 /* of the model file, or of nothing */,
        key /* file, options: what makes it this model */;
    int64_t n_bytes;
} plan_model;

typedef struct plan_dataset {
    const config_dataset *config;
    const manifest_record *record;
    dataset *data;   /* loaded in the supervisor for digest and stratified limits */
    uint32_t *index; /* the examples of the run, ascending; by suite limit a prefix-free subset, see plan_index */
    size_t n_index;
} plan_dataset;

typedef struct plan_item {
    size_t i_model, i_dataset, i_suite, i_shard;
    const uint32_t *index; /* the shard's examples, ascending */
    size_t n_index;
    digest_value key;
    const char *params_json, *comparability_json;
    char comparability_key[DIGEST_HEX];
    bool cached; /* in the store with a final outcome */
} plan_item;

typedef struct plan {
    const config *config;
    plan_model *models;
    worker_proc *probes;    /* per model; after planning only the first may live: preloaded for the run */
    plan_dataset *datasets; /* as config->datasets */
    plan_item *items;
    size_t n_items;
    bool limited;        /* some item sees fewer examples than its dataset has */
    digest_value sha256; /* over the item keys in order */
    arena mem;
} plan;

/* Loads the data, asks a probe worker per plug-in for its version and numeric environment, lays out items. preload: a
 * worker is left in probes[0] that has read the data of the first item. A missing model file is STATUS_IO; data that do
 * not match are STATUS_DATA. */
status plan_make(const config *c, worker_env env, bool preload, plan **out, error *err);
void plan_close(plan *p);

/* One line for people: "cnn-fp32 · accuracy · fashion-mnist · shard 3 (1,024 examples)". */
char *plan_item_title(const plan *p, const plan_item *item, arena *a);

#endif
