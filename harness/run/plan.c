/* SPDX-License-Identifier: Apache-2.0 */
#include "run/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "run/worker_proc.h"

static const double PROBE_TIMEOUT_S = 60;

/* ---- models ------------------------------------------------------------------------------------- */

static int by_option_key(const void *a, const void *b) {
    const assay_option *x = a;
    const assay_option *y = b;
    int c = strcmp(x->key, y->key);
    return c != 0 ? c : strcmp(x->value, y->value);
}

/* What makes it this model: the file and the options that the plug-in applies, in whatever order they were written. */
static digest_value model_key(const plan_model *m) {
    arena a = {0};
    size_t n = m->config->n_options;
    assay_option *sorted = arena_alloc(&a, (n + 1) * sizeof *sorted);
    memcpy(sorted, m->config->options, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_option_key);
    digest *d = digest_new();
    digest_field(d, "file", m->sha256.bytes, DIGEST_BYTES);
    for (size_t i = 0; i < n; i++) {
        digest_field_str(d, "option", sorted[i].key);
        digest_field_str(d, "value", sorted[i].value);
    }
    for (size_t i = 0; i < m->config->n_columns; i++) {
        digest_field_str(d, "column", m->config->columns[i]);
    }
    arena_free(&a);
    return digest_finish(d);
}

static const char *copy_text(plan *p, const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return arena_strdup(&p->mem, s == NULL ? "" : s);
}

static bool runs_on(const config_model *m, const char *id) {
    for (size_t i = 0; i < m->n_datasets; i++) {
        if (strcmp(m->datasets[i], id) == 0) {
            return true;
        }
    }
    return m->n_datasets == 0;
}

static size_t first_with_plugin(const config *c, size_t i) {
    size_t j = 0;
    while (strcmp(c->models[j].plugin_path, c->models[i].plugin_path) != 0) {
        j++;
    }
    return j;
}

/* One worker per plug-in loads it while the data are being read here. The first model's worker also reads the data that
 * its first item will need, and serves the run later. */
static void start_probes(plan *p, worker_env env, bool preload) {
    const config *c = p->config;
    p->probes = mem_zalloc((c->n_models + 1) * sizeof *p->probes);
    for (size_t i = 0; i < c->n_models; i++) {
        error ignored = {0}; /* shows as a worker that gives no answer */
        if (first_with_plugin(c, i) == i && worker_start(&p->probes[i], env, &ignored) == STATUS_OK) {
            worker_ask(&p->probes[i], c->models[i].plugin_path);
        }
    }
    for (size_t d = 0; preload && p->probes[0].pid != 0 && d < c->n_datasets; d++) {
        if (runs_on(&c->models[0], c->datasets[d].id)) {
            worker_preload(&p->probes[0], c->manifest->path, c->datasets[d].id);
            break;
        }
    }
}

static void probe_plugin(plan *p, plan_model *m, worker_proc *w) {
    error err = {0};
    json_t *answer = NULL;
    m->fault = "";
    if (w->pid == 0) {
        (void)error_set(&err, STATUS_IO, "%s: no worker could be started", m->config->plugin_path);
        m->fault_outcome = OUTCOME_FAILED;
    }
    if (w->pid == 0 ||
        worker_answer(w, m->config->plugin_path, PROBE_TIMEOUT_S, &answer, &m->fault_outcome, &err) != STATUS_OK) {
        m->fault = arena_strdup(&p->mem, err.text);
        m->plugin_name = m->config->plugin;
        m->plugin_version = "";
        m->environment = "";
        return;
    }
    m->plugin_name = copy_text(p, answer, "name");
    m->plugin_version = copy_text(p, answer, "version");
    m->environment = copy_text(p, answer, "environment");
    json_decref(answer);
}

static status plan_models(plan *p, error *err) {
    const config *c = p->config;
    p->models = arena_alloc(&p->mem, (c->n_models + 1) * sizeof *p->models);
    for (size_t i = 0; i < c->n_models; i++) {
        plan_model *m = &p->models[i];
        m->config = &c->models[i];
        uint64_t bytes = 0;
        m->sha256 = digest_of("", 0);
        if (m->config->path != NULL && digest_file(m->config->path, &m->sha256, &bytes, err) != STATUS_OK) {
            return error_prefix(err, "%s:%d: model \"%s\": ", c->path, m->config->line, m->config->name);
        }
        m->n_bytes = (int64_t)bytes;
        m->key = model_key(m);
        if (digest_file(m->config->plugin_path, &m->plugin_sha256, NULL, err) != STATUS_OK) {
            return error_prefix(err, "%s:%d: model \"%s\": plug-in: ", c->path, m->config->line, m->config->name);
        }
        size_t first = first_with_plugin(c, i);
        const plan_model *same = &p->models[first];
        if (first == i) {
            probe_plugin(p, m, &p->probes[i]);
        } else {
            m->plugin_name = same->plugin_name;
            m->plugin_version = same->plugin_version;
            m->environment = same->environment;
            m->fault = same->fault;
            m->fault_outcome = same->fault_outcome;
        }
    }
    return STATUS_OK;
}

/* ---- data --------------------------------------------------------------------------------------- */

static status plan_data(plan *p, error *err) {
    const config *c = p->config;
    p->datasets = arena_alloc(&p->mem, (c->n_datasets + 1) * sizeof *p->datasets);
    for (size_t i = 0; i < c->n_datasets; i++) {
        plan_dataset *d = &p->datasets[i];
        d->config = &c->datasets[i];
        if (manifest_get(c->manifest, d->config->id, &d->record, err) != STATUS_OK) {
            return error_prefix(err, "%s:%d:%d: ", c->path, d->config->line, d->config->col);
        }
        TRY(dataset_load(d->record, &d->data, err));
    }
    return STATUS_OK;
}

/* The examples that a suite sees: the smallest of the limits that are set. */
static size_t plan_index(plan *p, const plan_dataset *d, const config_suite *s, uint32_t **index) {
    int64_t limits[] = {p->config->limit, d->config->limit, s->limit};
    size_t limit = 0;
    for (size_t i = 0; i < 3; i++) {
        if (limits[i] > 0 && (limit == 0 || (size_t)limits[i] < limit)) {
            limit = (size_t)limits[i];
        }
    }
    *index = arena_alloc(&p->mem, (d->data->n + 1) * sizeof **index);
    size_t n = dataset_limit(d->data, limit, (uint64_t)p->config->seed, *index);
    p->limited = p->limited || n < d->data->n;
    return n;
}

/* ---- items -------------------------------------------------------------------------------------- */

static digest_value index_digest(const uint32_t *index, size_t n) {
    digest *d = digest_new();
    for (size_t i = 0; i < n; i++) {
        digest_field_u64(d, "i", index[i]);
    }
    return digest_finish(d);
}

static json_t *finite_or_text(double v) {
    char buf[STR_DOUBLE_BYTES];
    return v > -1e300 && v < 1e300 ? json_real(v) : json_string(str_from_double(v, buf));
}

static char *dump(arena *a, json_t *o) {
    char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    char *copy = arena_strdup(a, text == NULL ? "{}" : text);
    free(text);
    json_decref(o);
    return copy;
}

/* Two results may be compared when this is equal: the model and its plug-in are what is being compared and stay out. */
static void make_comparable(plan *p, plan_item *it) {
    const plan_dataset *d = &p->datasets[it->i_dataset];
    const config_suite *s = &p->config->suites[it->i_suite];
    char data_hex[DIGEST_HEX];
    char index_hex[DIGEST_HEX];
    digest_hex(&d->data->sha256, data_hex);
    digest_value iv = index_digest(it->index, it->n_index);
    digest_hex(&iv, index_hex);
    char *suite_id = arena_printf(&p->mem, "%s@%u", s->suite->info.id, s->suite->info.version);
    json_t *range = json_array();
    (void)json_array_append_new(range, finite_or_text(d->data->range_lo));
    (void)json_array_append_new(range, finite_or_text(d->data->range_hi));
    json_error_t je;
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:I}", "dataset", d->config->id, "dataset_sha256", data_hex,
                          "index_sha256", index_hex, "suite", suite_id, "params", json_loads(s->params_json, 0, &je),
                          "input_range", range, "seed", (json_int_t)p->config->seed);
    it->comparability_json = dump(&p->mem, o);
    /* the dataset's name is for the reader of a refusal; the content decides */
    digest *k = digest_new();
    digest_field_str(k, "dataset_sha256", data_hex);
    digest_field_str(k, "index_sha256", index_hex);
    digest_field_str(k, "suite", suite_id);
    digest_field_str(k, "params", s->params_json);
    char lo[STR_DOUBLE_BYTES];
    char hi[STR_DOUBLE_BYTES];
    digest_field_str(k, "range_lo", str_from_double(d->data->range_lo, lo));
    digest_field_str(k, "range_hi", str_from_double(d->data->range_hi, hi));
    digest_field_u64(k, "seed", (uint64_t)p->config->seed);
    digest_value v = digest_finish(k);
    digest_hex(&v, it->comparability_key);
}

/* Host name, threads, workers, evaluation batch, paths and labels stay out: they change no bit. */
static digest_value item_key(const plan *p, const plan_item *it) {
    const plan_model *m = &p->models[it->i_model];
    const plan_dataset *d = &p->datasets[it->i_dataset];
    const config_suite *s = &p->config->suites[it->i_suite];
    digest *k = digest_new();
    digest_field_str(k, "format", "assay item key 1");
    digest_field(k, "model", m->key.bytes, DIGEST_BYTES);
    digest_field(k, "plugin", m->plugin_sha256.bytes, DIGEST_BYTES);
    digest_field_str(k, "plugin_name", m->plugin_name);
    digest_field_str(k, "plugin_version", m->plugin_version);
    digest_field_u64(k, "abi", ASSAY_ABI_VERSION);
    digest_field(k, "dataset", d->data->sha256.bytes, DIGEST_BYTES);
    digest_field_str(k, "dataset_id", d->config->id); /* an item belongs to one dataset, whatever else equals it */
    digest_field_str(k, "split", d->data->split == NULL ? "" : d->data->split);
    digest_value iv = index_digest(it->index, it->n_index);
    digest_field(k, "index", iv.bytes, DIGEST_BYTES);
    digest_field_str(k, "suite", s->suite->info.id);
    digest_field_u64(k, "suite_version", s->suite->info.version);
    digest_field_str(k, "params", s->params_json);
    digest_field_u64(k, "seed", (uint64_t)p->config->seed);
    digest_field_u64(k, "tile", (uint64_t)p->config->tile);
    digest_field_u64(k, "logits", p->config->logits != KEEP_NONE);
    digest_field_str(k, "environment", m->environment);
    return digest_finish(k);
}

static void add_shard(plan *p, size_t *cap, plan_item proto, const uint32_t *index, size_t n) {
    p->items = mem_grow(p->items, cap, p->n_items + 1, sizeof *p->items);
    plan_item *it = &p->items[p->n_items++];
    *it = proto;
    it->index = index;
    it->n_index = n;
    it->params_json = p->config->suites[it->i_suite].params_json;
    make_comparable(p, it);
    it->key = item_key(p, it);
}

static void plan_items(plan *p) {
    const config *c = p->config;
    size_t cap = 0;
    for (size_t m = 0; m < c->n_models; m++) {
        for (size_t d = 0; d < c->n_datasets; d++) {
            if (!runs_on(&c->models[m], c->datasets[d].id)) {
                continue;
            }
            for (size_t s = 0; s < c->n_suites; s++) {
                uint32_t *index = NULL;
                size_t n = plan_index(p, &p->datasets[d], &c->suites[s], &index);
                size_t shard = (size_t)c->shard;
                for (size_t i = 0; i < n; i += shard) {
                    plan_item proto = {.i_model = m, .i_dataset = d, .i_suite = s, .i_shard = i / shard};
                    add_shard(p, &cap, proto, index + i, n - i < shard ? n - i : shard);
                }
            }
        }
    }
}

/* Keeps the first worker, which knows its plug-in and perhaps its data; the others have said what they know. */
static void end_probes(plan *p, bool keep_first) {
    for (size_t i = keep_first ? 1 : 0; p->probes != NULL && i < p->config->n_models; i++) {
        (void)worker_stop(&p->probes[i], true);
    }
}

status plan_make(const config *c, worker_env env, bool preload, plan **out, error *err) {
    plan *p = mem_zalloc(sizeof *p);
    p->config = c;
    start_probes(p, env, preload);
    status s = plan_data(p, err);
    if (s == STATUS_OK) {
        s = plan_models(p, err);
    }
    end_probes(p, preload && s == STATUS_OK);
    if (s != STATUS_OK) {
        plan_close(p);
        return s;
    }
    plan_items(p);
    digest *d = digest_new();
    for (size_t i = 0; i < p->n_items; i++) {
        digest_field(d, "item", p->items[i].key.bytes, DIGEST_BYTES);
    }
    p->sha256 = digest_finish(d);
    *out = p;
    return STATUS_OK;
}

void plan_close(plan *p) {
    if (p == NULL) {
        return;
    }
    for (size_t i = 0; p->datasets != NULL && i < p->config->n_datasets; i++) {
        dataset_close(p->datasets[i].data);
    }
    end_probes(p, false);
    mem_free(p->probes);
    mem_free(p->items);
    arena_free(&p->mem);
    mem_free(p);
}

char *plan_item_title(const plan *p, const plan_item *it, arena *a) {
    return arena_printf(a, "%s · %s · %s · shard %zu (%zu examples)", p->models[it->i_model].config->name,
                        p->config->suites[it->i_suite].suite->info.id, p->config->datasets[it->i_dataset].id,
                        it->i_shard, it->n_index);
}
