/* SPDX-License-Identifier: Apache-2.0
 * The store: one SQLite file, one writer (the supervisor). Natural keys are content hashes (hex SHA-256);
 * integer ids are local to one file. docs/STORE.md documents tables and views. A store object belongs to one thread. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/observation.h"
#include "base/status.h"

typedef struct store store;
typedef enum store_mode { STORE_READ, STORE_WRITE /* creates, migrates */ } store_mode;

/* Foreign application or newer schema: STATUS_REFUSED; unreadable or damaged: STATUS_IO; missing in STORE_READ:
 * STATUS_IO. */
status store_open(const char *path, store_mode mode, store **out, error *err);
void store_close(store *s);                /* commits what is pending, checkpoints; NULL is allowed */
const char *store_warning(const store *s); /* "" or e.g. that WAL is not available here */

/* ---- parents: put gives the id of the row with that natural key, new or old --------------------- */
typedef struct store_build {
    const char *sha256, *version, *git, *compiler, *libraries_json;
    bool dirty;
} store_build;
typedef struct store_host {
    const char *hw_sha256, *name, *cpu, *cpu_flags, *kernel, *blas_core, *json;
    int64_t n_cores, ram_bytes;
} store_host;
/* key_sha256: of file, plug-in options and columns: what makes it this model; sha256: of the file(s). */
typedef struct store_model {
    const char *key_sha256, *sha256, *name, *format, *json;
    int64_t size_bytes;
} store_model;
typedef struct store_plugin {
    const char *so_sha256, *name, *version;
    int64_t abi;
} store_plugin;
typedef struct store_dataset {
    const char *sha256, *name, *split, *json;
    int64_t n;
} store_dataset;
typedef struct store_suite {
    const char *spec_sha256, *name, *params_json;
    int64_t version;
} store_suite;
/* kind: clean, perturbation, attack, load. key is canonical text ("clean", "fog@1/3"). */
typedef struct store_condition {
    const char *key, *kind, *algo, *params_json;
    int64_t version;
    double severity; /* NaN: none */
} store_condition;

status store_put_build(store *s, const store_build *b, int64_t *id, error *err);
status store_put_host(store *s, const store_host *h, int64_t *id, error *err);
status store_put_model(store *s, const store_model *m, int64_t *id, error *err);
status store_put_plugin(store *s, const store_plugin *p, int64_t *id, error *err);
status store_put_dataset(store *s, const store_dataset *d, int64_t *id, error *err);
status store_put_suite(store *s, const store_suite *u, int64_t *id, error *err);
status store_put_condition(store *s, const store_condition *c, int64_t *id, error *err);

/* ---- runs --------------------------------------------------------------------------------------- */
typedef struct store_run_spec {
    const char *run_uid, *label, *config_path, *config_text, *config_json, *config_sha256, *plan_sha256, *command_line,
        *git_revision;
    int64_t build_id, host_id, seed;
    bool limited; /* --limit or a config limit: can never become a baseline */
} store_run_spec;
status store_run_begin(store *s, const store_run_spec *spec, int64_t *run_id, error *err);
/* run_status: "done", "failed", "interrupted". decisions/results: hex digests ("" if not complete). */
status store_run_end(store *s, int64_t run_id, const char *run_status, const char *decisions, const char *results,
                     const char *numeric_env, error *err);
status store_run_event(store *s, int64_t run_id, const char *level, const char *kind, const char *message, error *err);

/* ---- items -------------------------------------------------------------------------------------- */
typedef struct store_item_spec {
    const char *item_key; /* hex SHA-256, UNIQUE */
    int64_t model_id, plugin_id, suite_id, dataset_id, i_shard, i_first, n_expected;
    const char *model_name; /* as the config calls it (a variant's label) */
    const char *params_json, *numeric_env, *comparability_key, *comparability_json;
    int64_t n_conditions, n_repeats; /* rows that one example gives; 0 = 1 */
} store_item_spec;
typedef struct store_item_state {
    int64_t item_id; /* 0: not in the store */
    outcome outcome; /* NONE: unfinished */
    char reason[512];
    int64_t n_observed, n_attempts; /* n_observed: examples with all their conditions and repeats */
} store_item_state;
status store_item_find(store *s, const char *item_key, store_item_state *out, error *err);
status store_item_put(store *s, const store_item_spec *spec, int64_t *item_id, error *err); /* insert or find */
status store_item_reset(store *s, int64_t item_id,
                        error *err); /* forget outcome and observations (a retry or a verified rerun) */
status store_run_item(store *s, int64_t run_id, int64_t item_id, const char *model_name, bool reused, error *err);
/* What the run's config says of a model besides the model itself. variant_of: "" or NULL = none. */
status store_run_model(store *s, int64_t run_id, const char *model_name, const char *variant_of, error *err);
/* Replaces the facts of a model (what it says of itself is known only once a worker has opened it), except for those of
 * other plug-ins, which stand under "plugins". */
status store_set_model_json(store *s, int64_t model_id, const char *json, error *err);
/* Rows of the item that have any of these OBS_* flags. */
status store_item_count_flag(store *s, int64_t item_id, uint32_t flags, int64_t *n, error *err);
/* Example indexes already stored for the item with every condition 0..n_conditions-1 present (ascending, in arena). */
status store_item_examples(store *s, int64_t item_id, arena *a, int64_t **i_example, size_t *n, error *err);
/* Appends rows (a row whose natural key is there is left alone) to the current batch. A batch of >= 1,000 rows or older
 * than 250 ms is committed at the next call: another append, store_tick, store_item_end, ... One call is never split
 * between batches. condition_id[i_condition] maps the rows' i_condition. */
status store_append(store *s, int64_t item_id, const int64_t *condition_id, const observation *rows, size_t n,
                    error *err);
status store_flush(store *s, error *err); /* commit now */
/* Commits if the batch is due (>= 1,000 rows or older than 250 ms): call it in a supervisor's idle loop. */
status store_tick(store *s, error *err);
typedef struct store_attempt {
    int64_t host_id, started_ns, ended_ns, signal, max_rss_bytes, user_us, system_us;
    outcome outcome;
    const char *reason;
} store_attempt;
/* Records the attempt; o == OUTCOME_NONE means interrupted (the item stays open). Otherwise sets outcome and reason,
 * computes the item digests. OK with fewer than n_expected examples is an error (STATUS_INTERNAL). Commits. */
status store_item_end(store *s, int64_t item_id, outcome o, const char *reason, const store_attempt *attempt,
                      error *err);

/* ---- judged numbers ----------------------------------------------------------------------------- */
typedef struct store_metric {
    int64_t run_id;
    const char *model_name, *dataset, *suite, *condition; /* condition key, "" = clean */
    const char *metric_id;                                /* registry id; */
    int64_t metric_version;
    const char *name, *slice;    /* as emitted: "topk{k=5}", "class=Shirt" */
    double value, lo, hi, level; /* NaN is stored as NULL */
    int64_t n, flags;
    const char *ci_method, *unit, *better /* higher, lower, none */, *reason;
} store_metric;
status store_metrics_clear(store *s, int64_t run_id, error *err);
status store_metric_put(store *s, const store_metric *m, error *err);

/* ---- queries (results in the arena) ------------------------------------------------------------- */
typedef struct store_run_row {
    int64_t run_id, seed;
    const char *run_uid, *label, *status, *started_at, *finished_at, *config_path, *config_text, *config_json,
        *decisions, *results, *numeric_env, *command_line, *git_revision, *host_name, *cpu, *version;
    bool limited;
    int64_t n_items, n_reused, n_outcome[OUTCOME_COUNT]; /* [NONE]: unfinished */
} store_run_row;
status store_runs(store *s, arena *a, store_run_row **out, size_t *n, error *err); /* newest first */
/* `ref`: run_uid or unique prefix (>= 4 chars), label (the newest with it), integer id, or "latest". STATUS_USAGE if
 * unknown or ambiguous. */
status store_run_get(store *s, const char *ref, arena *a, store_run_row *out, error *err);

/* One (model, dataset, suite) of a run: what is judged, reported and compared as a unit. */
typedef struct store_group {
    const char *model_name, *model_sha256, *model_json, *plugin, *plugin_version, *plugin_sha256, *dataset,
        *dataset_sha256, *dataset_json, *split, *suite;
    int64_t model_size_bytes, dataset_n, model_id, dataset_id, suite_id, suite_version;
    const char *suite_params_json;
    /* One digest over the comparability keys of the items in order, and the JSON behind the first of them (field ->
     * value). */
    const char *comparability_key, *comparability_json;
    int64_t n_items, n_expected, n_outcome[OUTCOME_COUNT];
    const char *variant_of; /* name of the model it is compared with, "" if none */
    const char *reasons;    /* distinct reasons of items that are not OK, newline-separated, "" if none */
} store_group;
status store_groups(store *s, int64_t run_id, arena *a, store_group **out, size_t *n,
                    error *err); /* in (dataset, suite, model_name) order */

typedef struct store_columns {
    size_t n, n_expected, n_classes;
    int64_t *i_example; /* ascending */
    int32_t *label, *pred;
    double *score;
    uint32_t *flags;
    float *logits; /* (n, n_classes) or NULL if any is missing or not asked for */
} store_columns;
/* condition_key "" = clean. Only items of that run and group whose outcome is OK or UNTRUSTWORTHY. */
status store_load_columns(store *s, int64_t run_id, const store_group *g, const char *condition_key, bool want_logits,
                          arena *a, store_columns *out, error *err);

/* The same for one item, whatever its outcome. */
status store_load_item_columns(store *s, int64_t item_id, const char *condition_key, bool want_logits, arena *a,
                               store_columns *out, error *err);

status store_metrics(store *s, int64_t run_id, arena *a, store_metric **out, size_t *n,
                     error *err); /* in group, metric, slice order */

/* Digests over all items of a run in natural-key order: decisions over (label, pred, flags), results over scores (and
 * logits) too. */
status store_run_digests(store *s, int64_t run_id, char decisions[65], char results[65], error *err);

/* ---- `assay db` --------------------------------------------------------------------------------- */
status store_check(store *s, void (*line)(void *, const char *), void *context,
                   error *err); /* integrity, foreign keys, digests of every item; STATUS_IO on damage */
status store_export(store *s, const char *table_or_view, const char *format /* csv, json */, int fd, error *err);
status store_backup(store *s, const char *path, error *err); /* VACUUM INTO */
/* Deletes runs (all but the newest `keep`, or those named) and items that no run refers to; returns counts. */
status store_prune(store *s, int64_t keep, const int64_t *run_ids, size_t n_run_ids, bool dry_run, int64_t *n_runs,
                   int64_t *n_items, int64_t *n_observations, error *err);

#endif
