/* SPDX-License-Identifier: Apache-2.0
 *
 * An item request (FRAME_ITEM):
 *   {plugin, plugin_sha256, model|null, model_sha256, options: [[key, value], ...], columns: [...], manifest, dataset,
 *    dataset_sha256, suite, params: {...}, seed, tile, threads, batch, unpadded, keep_logits, index: [example, ...] or
 * range: [first, last]} The answer is FACTS (unless the model could not be opened), any number of ROWS, and one DONE.
 */
#include "run/worker.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/proc.h"
#include "base/str.h"
#include "data/manifest.h"
#include "run/params.h"
#include "run/protocol.h"

/* One worker serves one plug-in and model; only datasets may change between its items. */
typedef struct worker {
    int fd;
    suite_list suites;
    plugin *plugin;
    model *model;
    char *plugin_path;
    manifest *manifest;
    dataset *data;
    char *manifest_path, *dataset_id;
} worker;

static void done(const worker *w, outcome o, const char *reason) {
    error err = {0};
    (void)frame_write_json(w->fd, FRAME_DONE, json_pack("{s:s, s:s}", "outcome", outcome_name(o), "reason", reason),
                           &err);
}

static status ensure_plugin(worker *w, const char *path, error *err) {
    if (w->plugin != NULL) {
        return strcmp(w->plugin_path, path) == 0 ? STATUS_OK
                                                 : error_set(err, STATUS_INTERNAL, "a worker serves one plug-in");
    }
    TRY(plugin_load(path, &w->plugin, err));
    w->plugin_path = mem_strdup(path);
    return STATUS_OK;
}

/* The files must still be those whose digests are in the item's key. */
static status check_unchanged(const worker *w, const json_t *req, const char *model_path, error *err) {
    char hex[DIGEST_HEX];
    digest_hex(plugin_sha256(w->plugin), hex);
    if (strcmp(hex, json_string_value(json_object_get(req, "plugin_sha256"))) != 0) {
        return error_set(err, STATUS_DATA, "%s: the plug-in changed while the run was going on", w->plugin_path);
    }
    digest_value v = {0};
    if (model_path == NULL) {
        return STATUS_OK;
    }
    TRY(digest_file(model_path, &v, NULL, err));
    digest_hex(&v, hex);
    return strcmp(hex, json_string_value(json_object_get(req, "model_sha256"))) == 0
               ? STATUS_OK
               : error_set(err, STATUS_DATA, "%s: the model changed while the run was going on", model_path);
}

static status ensure_model(worker *w, const json_t *req, arena *a, error *err) {
    const char *path = json_string_value(json_object_get(req, "model"));
    if (w->model != NULL) {
        return STATUS_OK; /* the supervisor starts a new worker for another model */
    }
    const json_t *list = json_object_get(req, "options");
    size_t n = json_array_size(list);
    assay_option *options = arena_alloc(a, (n + 1) * sizeof *options);
    for (size_t i = 0; i < n; i++) {
        const json_t *pair = json_array_get(list, i);
        options[i].key = json_string_value(json_array_get(pair, 0));
        options[i].value = json_string_value(json_array_get(pair, 1));
    }
    TRY(model_open(w->plugin, path, options, n, &w->model, err));
    status unchanged = check_unchanged(w, req, path, err);
    if (unchanged != STATUS_OK) {
        model_close(w->model);
        w->model = NULL;
        return unchanged;
    }
    const json_t *columns = json_object_get(req, "columns");
    size_t n_columns = json_array_size(columns);
    if (n_columns == 0) {
        return STATUS_OK;
    }
    const char **names = arena_alloc(a, n_columns * sizeof *names);
    for (size_t i = 0; i < n_columns; i++) {
        names[i] = json_string_value(json_array_get(columns, i));
    }
    return model_set_columns(w->model, names, n_columns, err);
}

static status load_data(worker *w, const json_t *req, error *err) {
    const char *path = json_string_value(json_object_get(req, "manifest"));
    const char *id = json_string_value(json_object_get(req, "dataset"));
    if (w->data == NULL || strcmp(w->manifest_path, path) != 0 || strcmp(w->dataset_id, id) != 0) {
        dataset_close(w->data);
        manifest_close(w->manifest);
        mem_free(w->manifest_path);
        mem_free(w->dataset_id);
        w->data = NULL;
        w->manifest = NULL;
        w->manifest_path = mem_strdup(path);
        w->dataset_id = mem_strdup(id);
        TRY(manifest_load(path, &w->manifest, err));
        const manifest_record *r = NULL;
        TRY(manifest_get(w->manifest, id, &r, err));
        TRY(dataset_load(r, &w->data, err));
    }
    return STATUS_OK;
}

static status ensure_data(worker *w, const json_t *req, error *err) {
    char hex[DIGEST_HEX];
    TRY(load_data(w, req, err));
    digest_hex(&w->data->sha256, hex);
    const char *expected = json_string_value(json_object_get(req, "dataset_sha256"));
    return strcmp(hex, expected) == 0
               ? STATUS_OK
               : error_set(err, STATUS_DATA, "%s: the data changed while the run was going on", w->dataset_id);
}

/* A tabular model that names its columns gets those, whatever else the data hold. */
static status fit_data(const worker *w, error *err) {
    const dataset *d = w->data;
    if (d->feature_names != NULL && model_get_facts(w->model)->columns != NULL) {
        return model_bind_columns(w->model, d->feature_names, d->n_features, err);
    }
    return model_check_shape(w->model, d->shape, d->n_dims, err);
}

static json_t *names_json(const char *const *names, size_t n) {
    if (names == NULL) {
        return json_null();
    }
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *s = names[i] == NULL ? NULL : json_string(names[i]); /* NULL for invalid UTF-8 */
        (void)json_array_append_new(list, s == NULL ? json_string("?") : s);
    }
    return list;
}

static void send_facts(const worker *w) {
    const model_facts *f = model_get_facts(w->model);
    error err = {0};
    json_t *o = json_pack("{s:I, s:b, s:o, s:o, s:s}", "n_classes", (json_int_t)f->n_outputs, "probabilities",
                          f->probabilities, "labels", names_json(f->labels, f->n_outputs), "columns",
                          names_json(f->columns, f->n_columns), "warnings", plugin_warnings(w->plugin));
    assay_cost_info c = {.struct_size = sizeof c};
    if (model_cost(w->model, &c)) {
        (void)json_object_set_new(o, "cost",
                                  json_pack("{s:I, s:I, s:I, s:I, s:f, s:I}", "params", (json_int_t)c.n_params,
                                            "params_zero", (json_int_t)c.n_params_zero, "macs", (json_int_t)c.n_macs,
                                            "weight_bytes", (json_int_t)c.weight_bytes, "weight_bits", c.weight_bits,
                                            "peak_bytes", (json_int_t)c.peak_bytes));
    }
    (void)frame_write_json(w->fd, FRAME_FACTS, o, &err);
}

static status send_rows(void *sink, const observation *rows, size_t n, error *err) {
    const worker *w = sink;
    return frame_write_rows(w->fd, rows, n, err);
}

/* NULL if the model has all that the suite needs. */
static const char *missing_capability(const worker *w, const suite *s) {
    for (size_t i = 0; s->needs != NULL && s->needs[i] != NULL; i++) {
        if (!model_has(w->model, s->needs[i])) {
            return s->needs[i];
        }
    }
    return NULL;
}

static status check_classes(const worker *w, error *err) {
    const model_facts *f = model_get_facts(w->model);
    if (w->data->task == TASK_CLASSIFICATION && f->n_outputs < w->data->n_classes) {
        return error_set(err, STATUS_MODEL, "the model has %zu outputs, but %s has %zu classes", f->n_outputs,
                         w->data->id, w->data->n_classes);
    }
    return STATUS_OK;
}

static int64_t get_int(const json_t *req, const char *key) {
    return json_integer_value(json_object_get(req, key));
}

/* "index": [example, ...], or "range": [first, last] */
static status read_index(const worker *w, const json_t *req, arena *a, uint32_t **index, size_t *n, error *err) {
    const json_t *range = json_object_get(req, "range");
    const json_t *list = range != NULL ? range : json_object_get(req, "index");
    size_t n_list = json_array_size(list);
    for (size_t i = 0; i < n_list; i++) {
        json_int_t v = json_integer_value(json_array_get(list, i));
        if (v < 0 || (uint64_t)v >= w->data->n) {
            return error_set(err, STATUS_INTERNAL, "example %lld is not in the data", (long long)v);
        }
    }
    json_int_t first = json_integer_value(json_array_get(list, 0));
    json_int_t last = json_integer_value(json_array_get(list, n_list == 0 ? 0 : n_list - 1));
    *n = range == NULL ? n_list : last < first ? 0 : (size_t)(last - first) + 1;
    *index = arena_alloc(a, (*n + 1) * sizeof **index);
    for (size_t i = 0; i < *n; i++) {
        (*index)[i] = (uint32_t)(range != NULL ? first + (json_int_t)i : json_integer_value(json_array_get(list, i)));
    }
    return STATUS_OK;
}

static status collect(worker *w, const json_t *req, const suite *s, arena *a, error *err) {
    uint32_t *index = NULL;
    size_t n = 0;
    TRY(read_index(w, req, a, &index, &n, err));
    void *params = arena_alloc(a, s->info.params_bytes + 1);
    TRY(params_from_json(&s->info, json_object_get(req, "params"), params, a, err));
    session_options so = {.tile = (uint32_t)get_int(req, "tile"),
                          .n_threads = (uint32_t)get_int(req, "threads"),
                          .unpadded = json_is_true(json_object_get(req, "unpadded"))};
    suite_context ctx = {.data = w->data,
                         .model = w->model,
                         .index = index,
                         .n_index = n,
                         .seed = (uint64_t)get_int(req, "seed"),
                         .batch = (size_t)get_int(req, "batch"),
                         .keep_logits = json_is_true(json_object_get(req, "keep_logits")),
                         .sink = w,
                         .emit = send_rows};
    TRY(session_open(w->model, &so, &ctx.session, err));
    status st = s->collect(&ctx, params, err);
    session_close(ctx.session);
    return st;
}

static const suite *find_suite(const worker *w, const char *id) {
    for (size_t i = 0; i < w->suites.n; i++) {
        if (strcmp(w->suites.v[i]->info.id, id) == 0) {
            return w->suites.v[i];
        }
    }
    return NULL;
}

/* An error becomes FAILED; a missing capability SKIPPED. */
static status run_item(worker *w, const json_t *req, arena *a, error *err) {
    const suite *s = find_suite(w, json_string_value(json_object_get(req, "suite")));
    if (s == NULL) {
        return error_set(err, STATUS_INTERNAL, "no such suite");
    }
    TRY(ensure_plugin(w, json_string_value(json_object_get(req, "plugin")), err));
    TRY(ensure_model(w, req, a, err));
    TRY(ensure_data(w, req, err));
    TRY(fit_data(w, err));
    send_facts(w);
    const char *lacks = missing_capability(w, s);
    if (lacks != NULL) {
        done(w, OUTCOME_SKIPPED, arena_printf(a, "model lacks %s", lacks));
        return STATUS_OK;
    }
    TRY(check_classes(w, err));
    TRY(collect(w, req, s, a, err));
    done(w, OUTCOME_OK, "");
    return STATUS_OK;
}

static void probe(worker *w, const json_t *req) {
    error err = {0};
    json_t *answer = NULL;
    if (ensure_plugin(w, json_string_value(json_object_get(req, "plugin")), &err) != STATUS_OK) {
        answer = json_pack("{s:s}", "error", err.text);
    } else {
        char hex[DIGEST_HEX];
        digest_hex(plugin_sha256(w->plugin), hex);
        answer = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "name", plugin_name(w->plugin), "version",
                           plugin_version(w->plugin), "environment", plugin_environment(w->plugin), "description",
                           plugin_description(w->plugin), "sha256", hex, "warnings", plugin_warnings(w->plugin));
    }
    if (answer == NULL) { /* a name that is not UTF-8 */
        answer = json_pack("{s:s}", "error", "the plug-in's texts are not UTF-8");
    }
    (void)frame_write_json(w->fd, FRAME_PROBED, answer, &err);
}

static void serve(worker *w, const frame *f) {
    error err = {0};
    arena a = {0};
    json_t *req = frame_json(f, &err);
    if (req == NULL) {
        done(w, OUTCOME_FAILED, err.text);
    } else if (f->type == FRAME_PROBE) {
        probe(w, req);
    } else if (f->type == FRAME_PRELOAD) {
        (void)load_data(w, req, &err); /* what is wrong with it is told when an item needs it */
    } else if (run_item(w, req, &a, &err) != STATUS_OK) {
        done(w, OUTCOME_FAILED, err.text);
    }
    json_decref(req);
    arena_free(&a);
}

/* A model is a guest: its prints go to stderr, it leaves no core file and does not outlive the supervisor. */
static void become_guest(void) {
    (void)dup2(STDERR_FILENO, STDOUT_FILENO);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
}

int worker_main(suite_list suites) {
    become_guest();
    worker w = {.fd = PROC_CHANNEL_FD, .suites = suites};
    frame f;
    error err = {0};
    while (frame_read(w.fd, &f, &err) == STATUS_OK) {
        serve(&w, &f);
        frame_free(&f);
    }
    dataset_close(w.data);
    manifest_close(w.manifest);
    model_close(w.model);
    plugin_unload(w.plugin);
    mem_free(w.plugin_path);
    mem_free(w.manifest_path);
    mem_free(w.dataset_id);
    return 0;
}
