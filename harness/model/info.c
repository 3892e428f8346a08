/* SPDX-License-Identifier: Apache-2.0 */
#include "model/info.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"
#include "model/guard.h"
#include "model/host.h"

#define MAX_DOCUMENT ((size_t)256 << 20)
#define TILE 32u /* of the padded session whose memory is told: the default of a configuration */

/* ---- the child: the document -------------------------------------------------------------------- */

static void put(json_t *o, const char *key, json_t *value) {
    if (json_object_set_new(o, key, value) != 0) {
        abort(); /* only without memory: every value here is valid */
    }
}

static void push(json_t *list, json_t *value) {
    if (json_array_append_new(list, value) != 0) {
        abort();
    }
}

/* Names of ports have been checked; what is not UTF-8 all the same becomes "?". */
static json_t *text(const char *s) {
    json_t *t = s == NULL ? json_null() : json_string(s);
    return t == NULL ? json_string("?") : t;
}

static json_t *count(uint64_t v) {
    return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

static json_t *bound(double v) {
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *shape_of(const int64_t *shape, uint32_t n) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < n; i++) {
        push(list, json_integer(shape[i]));
    }
    return list;
}

static const char *dtype_name(uint32_t dtype) {
    static const char *const names[] = {"?", "float32", "uint8", "int8", "int32", "int64", "float64", "bool"};
    return dtype < sizeof names / sizeof names[0] ? names[dtype] : "?";
}

static const char *kind_name(uint32_t kind) {
    static const char *const names[] = {"?", "features", "logits", "probabilities", "regression", "other"};
    return kind < sizeof names / sizeof names[0] ? names[kind] : "?";
}

static json_t *ports(const model *m, uint32_t direction) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < model_n_ports(m, direction); i++) {
        const assay_port *p = model_port(m, direction, i);
        json_t *o = json_object();
        put(o, "name", text(p->name));
        put(o, "kind", text(kind_name(p->kind)));
        put(o, "dtype", text(dtype_name(p->dtype)));
        put(o, "shape", shape_of(p->shape, p->n_dims));
        if (direction == ASSAY_DIRECTION_INPUT) {
            json_t *range = json_array();
            push(range, bound(p->range_lo));
            push(range, bound(p->range_hi));
            put(o, "range", range);
        } else {
            put(o, "used", json_boolean(strcmp(p->name, model_get_facts(m)->output_name) == 0));
        }
        push(list, o);
    }
    return list;
}

static json_t *capabilities(const model *m) {
    static const char *const ids[] = {ASSAY_PREDICT_1, ASSAY_VJP_1,    ASSAY_VJP_2,    ASSAY_EMBED_1, ASSAY_LABELS_1,
                                      ASSAY_COST_1,    ASSAY_LAYERS_1, ASSAY_MEMORY_1, ASSAY_TEXT_1};
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        if (model_has(m, ids[i])) {
            push(list, text(ids[i]));
        }
    }
    return list;
}

static json_t *vjp_modes(const model *m) {
    static const char *const names[] = {"exact", "leaky", "straight-through"};
    json_t *list = json_array();
    for (uint32_t i = 0; i < 3; i++) {
        if ((model_vjp_modes(m) & (1u << i)) != 0) {
            push(list, text(names[i]));
        }
    }
    return list;
}

static void add_cost(const model *m, json_t *doc) {
    assay_cost_info c;
    if (!model_cost(m, &c)) {
        return;
    }
    json_t *o = json_object();
    put(o, "params", count(c.n_params));
    put(o, "params_zero", count(c.n_params_zero));
    put(o, "macs", count(c.n_macs));
    put(o, "weight_bytes", count(c.weight_bytes));
    put(o, "weight_bits", bound(c.weight_bits));
    put(o, "peak_bytes", count(c.peak_bytes));
    put(doc, "cost", o);
}

static status add_layers(const model *m, json_t *doc, arena *a, error *err) {
    assay_layer_info *l = NULL;
    size_t n = 0;
    TRY(model_layers(m, a, &l, &n, err));
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *o = json_object();
        put(o, "name", text(l[i].name));
        put(o, "op", text(l[i].op));
        put(o, "dtype", text(dtype_name(l[i].dtype)));
        put(o, "shape", shape_of(l[i].shape, l[i].n_dims));
        put(o, "macs", count(l[i].n_macs));
        put(o, "params", count(l[i].n_params));
        put(o, "params_zero", count(l[i].n_params_zero));
        put(o, "weight_bytes", count(l[i].weight_bytes));
        put(o, "weight_bits", bound(l[i].weight_bits));
        push(list, o);
    }
    put(doc, "layers", list);
    return STATUS_OK;
}

static status add_embeddings(const model *m, json_t *doc, arena *a, error *err) {
    model_embedding *e = NULL;
    size_t n = 0;
    TRY(model_embeddings(m, a, &e, &n, err));
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *o = json_object();
        put(o, "name", text(e[i].name));
        put(o, "size", count(e[i].size));
        put(o, "alias_of", text(e[i].alias_of));
        push(list, o);
    }
    put(doc, "embeddings", list);
    return STATUS_OK;
}

/* A padded session as a run has it, and an unpadded one that takes the batch at once. */
static status add_memory(const model *m, json_t *doc, uint64_t batch, arena *a, error *err) {
    if (!model_has(m, ASSAY_MEMORY_1)) {
        return STATUS_OK;
    }
    json_t *list = json_array();
    put(doc, "memory", list);
    for (int unpadded = 0; unpadded < 2; unpadded++) {
        session_options o = {.tile = TILE, .n_threads = 1, .unpadded = unpadded == 1};
        assay_memory_info info;
        TRY(model_memory(m, &o, batch, a, &info, err));
        json_t *row = json_object();
        put(row, "batch", count(batch));
        put(row, "padded", json_boolean(unpadded == 0));
        put(row, "step", count(info.step));
        put(row, "forward_bytes", count(info.forward_bytes));
        put(row, "vjp_bytes", count(info.vjp_bytes));
        put(row, "one_by_one", text(info.reason));
        push(list, row);
    }
    return STATUS_OK;
}

static status describe(const model *m, json_t *doc, uint64_t batch, arena *a, error *err) {
    const model_facts *f = model_get_facts(m);
    put(doc, "inputs", ports(m, ASSAY_DIRECTION_INPUT));
    put(doc, "outputs", ports(m, ASSAY_DIRECTION_OUTPUT));
    put(doc, "labels", count(f->labels == NULL ? 0 : f->n_outputs));
    put(doc, "columns", count(f->n_columns));
    put(doc, "capabilities", capabilities(m));
    put(doc, "vjp_modes", vjp_modes(m));
    add_cost(m, doc);
    TRY(add_layers(m, doc, a, err));
    TRY(add_embeddings(m, doc, a, err));
    return add_memory(m, doc, batch, a, err);
}

/* What the file says without being opened. A plug-in that cannot inspect is none to complain about. */
static void add_facts(plugin *p, const char *path, json_t *doc, arena *a) {
    error local = {0};
    model_fact *f = NULL;
    size_t n = 0;
    json_t *list = json_array();
    (void)plugin_inspect(p, path, a, &f, &n, &local);
    for (size_t i = 0; i < n; i++) {
        json_t *o = json_object();
        put(o, "key", text(f[i].key));
        put(o, "value", text(f[i].value));
        push(list, o);
    }
    put(doc, "facts", list);
}

static status fill(const char *plugin_path, const char *path, uint64_t batch, const assay_option *options,
                   size_t n_options, json_t *doc, error *err) {
    arena a = {0};
    plugin *p = NULL;
    model *m = NULL;
    status s = plugin_load(plugin_path, &p, err);
    if (s == STATUS_OK) {
        json_t *o = json_object();
        put(o, "name", text(plugin_name(p)));
        put(o, "version", text(plugin_version(p)));
        put(doc, "plugin", o);
        add_facts(p, path, doc, &a);
        s = model_open(p, path, options, n_options, &m, err);
    }
    if (s == STATUS_OK) {
        s = describe(m, doc, batch, &a, err);
    }
    model_close(m);
    plugin_unload(p);
    arena_free(&a);
    return s;
}

static void put_error(json_t *doc, status s, const error *err) {
    char line[sizeof err->text];
    memcpy(line, err->text, sizeof line);
    str_make_printable(line, "\n");
    json_t *o = json_object();
    put(o, "code", json_integer((json_int_t)s));
    put(o, "text", text(line));
    put(doc, "error", o);
}

int info_child(int argc, char **argv) {
    int64_t batch = 0;
    if (argc < 3 || !str_to_i64(argv[2], &batch) || batch < 1) {
        (void)fprintf(stderr, "assay: %s is for assay itself\n", INFO_VERB);
        return status_exit_code(STATUS_USAGE);
    }
    error err = {0};
    int saved = -1;
    (void)fcntl(PROC_CHANNEL_FD, F_SETFD, FD_CLOEXEC);
    if (guard_redirect_stdout(&saved, &err) != STATUS_OK) {
        return status_exit_code(STATUS_IO);
    }
    arena a = {0};
    size_t n = (size_t)argc - 3;
    json_t *doc = json_object();
    put(doc, "schema", json_string("assay.model-info/1"));
    put(doc, "file", text(io_basename(argv[1])));
    status s = fill(argv[0], argv[1], (uint64_t)batch, child_options(argv + 3, n, &a), n, doc, &err);
    if (s != STATUS_OK) {
        put_error(doc, s, &err);
    }
    char *dump = json_dumps(doc, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    s = dump == NULL ? STATUS_MEMORY : io_write_all(PROC_CHANNEL_FD, dump, strlen(dump), &err);
    free(dump);
    json_decref(doc);
    arena_free(&a);
    return status_exit_code(s);
}

/* ---- the parent --------------------------------------------------------------------------------- */

status info_run(const info_spec *spec, arena *a, const char **document, error *err) {
    const char **argv = arena_alloc(a, (spec->n_options + 6) * sizeof *argv);
    size_t n = 0;
    argv[n++] = "assay";
    argv[n++] = INFO_VERB;
    argv[n++] = spec->plugin;
    argv[n++] = spec->model;
    argv[n++] = arena_printf(a, "%lld", (long long)spec->batch);
    for (size_t i = 0; i < spec->n_options; i++) {
        argv[n++] = arena_printf(a, "%s=%s", spec->options[i].key, spec->options[i].value);
    }
    child_spec c = {.exe = spec->exe,
                    .argv = argv,
                    .timeout_s = spec->timeout_s,
                    .rss_limit = spec->rss_limit,
                    .max_isa = spec->max_isa,
                    .max_bytes = MAX_DOCUMENT};
    child_result r;
    TRY(child_run(&c, a, &r, err));
    if (r.killed != NULL) {
        return error_set(err, STATUS_MODEL, "%s: %s", spec->model, r.killed);
    }
    if (WIFSIGNALED(r.wait_status)) {
        return error_set(err, STATUS_MODEL, "%s: the plug-in crashed: %s", spec->model,
                         proc_signal_name(WTERMSIG(r.wait_status)));
    }
    if (!WIFEXITED(r.wait_status) || WEXITSTATUS(r.wait_status) != 0 || r.n == 0) {
        return error_set(err, STATUS_MODEL, "%s: the process that opened it ended with exit code %d", spec->model,
                         WEXITSTATUS(r.wait_status));
    }
    *document = r.text;
    return STATUS_OK;
}
