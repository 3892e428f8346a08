/* SPDX-License-Identifier: Apache-2.0
 * The plug-in host: loads plug-ins, guards every call, opens models and sessions. Used in worker processes
 * only (a model never runs in the supervisor). */
#ifndef MODEL_HOST_H
#define MODEL_HOST_H

#include <stdbool.h>

#include "assay/plugin.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/status.h"

typedef struct plugin plugin;
typedef struct model model;
typedef struct session session;

/* [main] `path` is an explicit path to a .so (containing a '/'), never searched for. dlopen with RTLD_NOW|RTLD_LOCAL;
 * the floating-point environment, locale and stdout are restored if the load changed them (reported through
 * plugin_warnings). Checks ABI version, struct sizes, name; calls init. STATUS_MODEL on failure. */
status plugin_load(const char *path, plugin **out, error *err);
void plugin_unload(plugin *p); /* NULL is allowed */
const char *plugin_name(const plugin *p);
const char *plugin_version(const plugin *p);
const char *plugin_description(const plugin *p);
const digest_value *plugin_sha256(const plugin *p); /* of the .so */
const char *plugin_environment(const plugin *p);    /* assay.environment/1, or "" */
/* Breaches seen so far that were repaired ("changed the floating-point environment in init"); newline-separated, "" if
 * none. */
const char *plugin_warnings(const plugin *p); /* [main] */

/* [main] options as in the ABI. Checks io ports: one float32 input and at least one float32 (N, K) output. A wrong
 * option is STATUS_USAGE, an unreadable file STATUS_IO, a bad model STATUS_MODEL. */
status model_open(plugin *p, const char *path, const assay_option *options, size_t n_options, model **out, error *err);
void model_close(model *m); /* NULL is allowed */
plugin *model_plugin(const model *m);

typedef struct model_facts {
    uint32_t n_dims; /* of one example, without the batch */
    int64_t shape[ASSAY_MAX_DIMS];
    size_t n_features;         /* per example: what session_predict reads (the dataset's width after a binding) */
    size_t n_model_features;   /* per example: what the plug-in reads */
    double range_lo, range_hi; /* legal raw range */
    size_t n_outputs;          /* K of the output that is used */
    bool probabilities;        /* the output holds probabilities, not logits */
    const char *output_name;
    const char *const *labels;  /* K names or NULL */
    const char *const *columns; /* input columns of a tabular model or NULL */
    size_t n_columns;
} model_facts;
const model_facts *model_get_facts(const model *m);

/* [main] Names of the columns that the model reads, in order, where the config knows better than the plug-in:
 * replaces facts.columns. n must be the model's number of features. */
status model_set_columns(model *m, const char *const *columns, size_t n, error *err);
/* [main] Before sessions are opened. Maps a dataset's features to the model's columns by name: from now on x and
 * gradients have the DATASET's width n_features, the host gathers and scatters, and facts say so. STATUS_USAGE with a
 * "did you mean" if the dataset lacks a column, or if the model names no columns. */
status model_bind_columns(model *m, const char *const *dataset_feature_names, size_t n_features, error *err);
/* Without a binding: does one example of this shape fit? Dimensions of 1 do not count ((28, 28) fits (1, 28, 28)),
 * and a flat side takes any shape of as many values. STATUS_USAGE naming both shapes if not. */
status model_check_shape(const model *m, const int64_t *shape, size_t n_dims, error *err);

typedef struct session_options {
    uint32_t tile;      /* 1, 8 or 32 */
    uint32_t n_threads; /* >= 1 */
    bool unpadded;
} session_options;

bool model_has(const model *m, const char *capability); /* "assay.vjp/1" */
const void *model_capability(const model *m, const char *capability);
bool model_cost(const model *m, assay_cost_info *out); /* false without assay.cost/1 */

/* [main] assay.layers/1 behind the guards. *n is 0 without it; names are copied into `a`, STATUS_MODEL where one is
 * missing or no text. */
status model_layers(const model *m, arena *a, assay_layer_info **out, size_t *n, error *err);
/* [main] The layers of assay.embed/1, likewise. */
typedef struct model_embedding {
    const char *name, *alias_of; /* alias_of: the layer that "penultimate" stands for, or NULL */
    uint64_t size;               /* values per example */
} model_embedding;
status model_embeddings(const model *m, arena *a, model_embedding **out, size_t *n, error *err);
/* [main] assay.memory/1; STATUS_UNSUPPORTED without it. reason is copied into `a`. */
status model_memory(const model *m, const session_options *o, uint64_t batch, arena *a, assay_memory_info *out,
                    error *err);

/* [main] assay.inspect/1: facts about a file that need not open. STATUS_UNSUPPORTED without it. */
typedef struct model_fact {
    const char *key, *value;
} model_fact;
status plugin_inspect(plugin *p, const char *path, arena *a, model_fact **out, size_t *n, error *err);

/* Ports as the plug-in declares them; names stay valid while the model is open. */
uint32_t model_n_ports(const model *m, uint32_t direction);
const assay_port *model_port(const model *m, uint32_t direction, uint32_t i);
uint32_t model_vjp_modes(const model *m); /* bit mask; 0 without assay.vjp/1 */

/* [any] */
status session_open(model *m, const session_options *o, session **out, error *err);
void session_close(session *s); /* NULL is allowed */

/* [session] x: (n, n_features) raw float32, read-only. out: (n, n_outputs) logits (or probabilities). n = 0 is nothing
 * to do. Guards: the plug-in works on copies between canaries; FP environment and locale are restored. A plug-in error,
 * an overrun, a mutated input or a changed tensor struct is STATUS_MODEL; values are left for the caller to judge: they
 * may be non-finite, and what the plug-in did not write is NaN. */
status session_predict(session *s, const float *x, size_t n, float *out, error *err);

/* [session] cotangent: (n, n_outputs); gradient: (n, n_features); out may be NULL. mode: assay_vjp_mode. */
status session_vjp(session *s, const float *x, size_t n, const float *cotangent, uint32_t mode, float *out,
                   float *gradient, error *err);

/* [session] Several sets of cotangents at the same inputs, (n_sets, n, n_outputs), give as many gradients, (n_sets, n,
 * n_features), with the bits of session_vjp for each: in one forward pass where the model has assay.vjp/2, else in
 * n_sets. */
status session_vjp_sets(session *s, const float *x, size_t n, const float *cotangents, size_t n_sets, uint32_t mode,
                        float *out, float *gradients, error *err);

#endif
