/* SPDX-License-Identifier: Apache-2.0
 * The evaluation's configuration (YAML; docs/CONFIG.md documents every key). Input paths are relative to the
 * configuration's folder, the store's path to the current one. */
#ifndef RUN_CONFIG_H
#define RUN_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "assay/plugin.h"
#include "data/manifest.h"
#include "metrics/metric.h"
#include "run/suite.h"

typedef struct text_pair {
    const char *key, *value;
} text_pair;

typedef struct config_model {
    const char *name;
    const char *plugin;      /* as written: "onnx", or a path with a '/' */
    const char *plugin_path; /* resolved */
    const char *path;        /* resolved model file; NULL where the plug-in needs none */
    const char *variant_of;  /* name of the model it is compared with; NULL */
    const assay_option *options;
    size_t n_options;
    const char *const *columns; /* input columns of a tabular model, over what the model says; n 0 = the model's own */
    size_t n_columns;
    const char *const *datasets; /* ids this model runs on; n 0 = all of the config */
    size_t n_datasets;
    int line, col;
} config_model;

typedef struct config_dataset {
    const char *id;
    int64_t limit; /* examples; 0 = all */
    int line, col;
} config_dataset;

typedef struct config_metric {
    const metric *metric;
    const text_pair *params;
    size_t n_params;
} config_metric;

typedef struct config_suite {
    const suite *suite;
    void *params; /* the suite's own block, defaults filled in */
    const char *params_json;
    const config_metric *metrics;
    size_t n_metrics;
    int64_t limit; /* 0: the dataset's */
    int line, col;
} config_suite;

typedef enum logits_policy { KEEP_CLEAN, KEEP_ALL, KEEP_NONE } logits_policy;

typedef struct config {
    const char *path;
    const char *text;
    const char *json;    /* canonical: resolved values, sorted keys */
    digest_value sha256; /* of json */
    const char *label;
    int64_t seed;
    const char *store;
    logits_policy logits;
    int64_t workers, threads, tile, batch, shard;
    double timeout_s;   /* per item */
    int64_t memory_mib; /* per worker; 0 = no limit */
    int64_t limit;      /* examples per dataset; 0 = all */
    manifest *manifest;
    const config_model *models;
    size_t n_models;
    const config_dataset *datasets;
    size_t n_datasets;
    const config_suite *suites;
    size_t n_suites;
    arena mem;
} config;

/* What the command line says over the file; negative or NULL = not given. */
typedef struct config_override {
    int64_t workers, threads, batch, limit, seed;
    const char *store, *label, *logits;
} config_override;

#define CONFIG_OVERRIDE_NONE                                                                                           \
    { -1, -1, -1, -1, -1, NULL, NULL, NULL }

/* STATUS_USAGE with file:line:column for anything wrong in it. Model files need not exist yet (that is the plan's
 * business); datasets must be in the manifest. */
status config_load(const char *path, suite_list suites, const config_override *over, config **out, error *err);
/* The same from a text that was kept; `path` is where relative paths start and what errors name. */
status config_load_text(const char *path, const char *text, suite_list suites, const config_override *over,
                        config **out, error *err);
void config_close(config *c);

/* Where plug-in "onnx" is: $ASSAY_PLUGIN_PATH folders, beside the binary (plugins/), then the installed folder. A name
 * with a '/' is taken as it is. NULL if it is nowhere. */
const char *config_plugin_path(const char *name, arena *a);
const char *const *config_plugin_dirs(arena *a, size_t *n); /* where it looks, in this order */
/* datasets.manifest: $ASSAY_MANIFEST, or the nearest one in `dir` and the folders above. NULL if none. */
const char *config_find_manifest(const char *dir, arena *a);

#endif
