/* SPDX-License-Identifier: Apache-2.0 */
#include "run/config.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/str.h"
#include "base/yaml.h"

enum { TEXT_LIMIT = YAML_MAX_BYTES };

static const char *const logits_words[] = {"clean", "all", "none"};

/* ---- where things are --------------------------------------------------------------------------- */

static const char *binary_dir(arena *a) {
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0) {
        return ".";
    }
    path[n] = '\0';
    return io_dirname(a, path);
}

const char *const *config_plugin_dirs(arena *a, size_t *n) {
    const char *env = getenv("ASSAY_PLUGIN_PATH");
    const char *text = env == NULL ? "" : env;
    const char **v = arena_alloc(a, (strlen(text) + 3) * sizeof *v);
    *n = 0;
    for (const char *s = text; *s != '\0';) {
        size_t len = strcspn(s, ":");
        if (len > 0) {
            v[(*n)++] = arena_strndup(a, s, len);
        }
        s += len + (s[len] == ':' ? 1 : 0);
    }
    const char *dir = binary_dir(a);
    v[(*n)++] = arena_printf(a, "%s/plugins", dir);
    v[(*n)++] = arena_printf(a, "%s/../lib/assay/plugins", dir);
    v[(*n)++] = arena_printf(a, "%s/%s/assay/plugins", dir, ASSAY_LIBDIR);
    return v;
}

const char *config_plugin_path(const char *name, arena *a) {
    if (strchr(name, '/') != NULL) {
        return arena_strdup(a, name);
    }
    size_t n = 0;
    const char *const *dirs = config_plugin_dirs(a, &n);
    for (size_t i = 0; i < n; i++) {
        char *path = arena_printf(a, "%s/%s.so", dirs[i], name);
        if (io_exists(path)) {
            return path;
        }
    }
    return NULL;
}

const char *config_find_manifest(const char *dir, arena *a) {
    const char *env = getenv("ASSAY_MANIFEST");
    if (env != NULL && env[0] != '\0') {
        return arena_strdup(a, env);
    }
    char *real = realpath(dir, NULL);
    char *d = real == NULL ? NULL : arena_strdup(a, real);
    free(real);
    while (d != NULL) {
        char *path = arena_printf(a, "%s/datasets.manifest", strcmp(d, "/") == 0 ? "" : d);
        if (io_exists(path)) {
            return path;
        }
        if (strcmp(d, "/") == 0) {
            break;
        }
        d = io_dirname(a, d);
    }
    return NULL;
}

/* ---- models ------------------------------------------------------------------------------------- */

/* A scalar or a list of scalars as the ABI's option text: items separated by newlines. */
static status option_text(const yaml_node *n, const char *name, arena *a, const char **out, error *err) {
    const char *const *v = NULL;
    size_t k = 0;
    TRY(yaml_strings(n, name, a, &v, &k, err));
    strbuf b = {0};
    for (size_t i = 0; i < k; i++) {
        strbuf_addf(&b, "%s%s", i == 0 ? "" : "\n", v[i]);
    }
    *out = arena_strdup(a, strbuf_str(&b));
    strbuf_free(&b);
    return STATUS_OK;
}

static status add_options(const yaml_node *map, const char *what, const char *prefix, arena *a, assay_option *v,
                          size_t *n, error *err) {
    if (map == NULL) {
        return STATUS_OK;
    }
    TRY(yaml_want(map, YAML_MAPPING, what, err));
    for (size_t i = 0; i < map->n; i++) {
        assay_option *o = &v[(*n)++];
        o->key = arena_printf(a, "%s%s", prefix, map->key[i]->text);
        TRY(option_text(map->item[i], map->key[i]->text, a, &o->value, err));
    }
    return STATUS_OK;
}

static size_t pairs(const yaml_node *map) {
    return map == NULL ? 0 : map->n;
}

static status parse_options(const yaml_node *n, config_model *m, arena *a, error *err) {
    static const char *const preprocess_keys[] = {"scale", "mean", "std", "layout", "channels", "range"};
    const yaml_node *pre = yaml_get(n, "preprocess");
    const yaml_node *opt = yaml_get(n, "options");
    assay_option *v = arena_alloc(a, (pairs(pre) + pairs(opt) + 1) * sizeof *v);
    if (pre != NULL) {
        TRY(yaml_check_keys(pre, "preprocess", preprocess_keys, sizeof preprocess_keys / sizeof preprocess_keys[0],
                            err));
    }
    TRY(add_options(pre, "preprocess", "preprocess.", a, v, &m->n_options, err));
    TRY(add_options(opt, "options", "", a, v, &m->n_options, err));
    for (size_t i = pairs(pre); i < m->n_options; i++) {
        for (size_t j = 0; j < pairs(pre); j++) {
            if (strcmp(v[i].key, v[j].key) == 0) {
                return yaml_fail(opt->key[i - pairs(pre)], err, "%s is given under preprocess already", v[i].key);
            }
        }
    }
    m->options = v;
    return STATUS_OK;
}

static status parse_model(const config *c, const yaml_node *n, config_model *m, arena *a, error *err) {
    static const char *const keys[] = {"name",       "plugin",  "path",    "variant_of",
                                       "preprocess", "options", "columns", "datasets"};
    TRY(yaml_check_keys(n, "a model", keys, sizeof keys / sizeof keys[0], err));
    m->line = n->line;
    m->col = n->col;
    const yaml_node *name = NULL;
    TRY(yaml_need(n, "name", "a model", &name, err));
    TRY(yaml_string(name, "name", &m->name, err));
    if (m->name[0] == '\0') {
        return yaml_fail(name, err, "\"name\" must not be empty");
    }
    m->plugin = "onnx";
    const char *path = NULL;
    TRY(yaml_opt_string(n, "plugin", &m->plugin, err));
    TRY(yaml_opt_string(n, "path", &path, err));
    TRY(yaml_opt_string(n, "variant_of", &m->variant_of, err));
    m->path = path == NULL ? NULL : io_join_dir(a, c->path, path);
    bool is_path = strchr(m->plugin, '/') != NULL;
    m->plugin_path = is_path ? io_join_dir(a, c->path, m->plugin) : config_plugin_path(m->plugin, a);
    if (m->plugin_path == NULL) {
        return yaml_fail(n, err,
                         "model \"%s\": there is no plug-in \"%s\" (`assay list plugins` shows them; a plug-in of your "
                         "own is named by its path)",
                         m->name, m->plugin);
    }
    TRY(parse_options(n, m, a, err));
    const yaml_node *cols = yaml_get(n, "columns");
    if (cols != NULL) {
        TRY(yaml_strings(cols, "columns", a, &m->columns, &m->n_columns, err));
    }
    const yaml_node *ds = yaml_get(n, "datasets");
    if (ds != NULL) {
        TRY(yaml_strings(ds, "datasets", a, &m->datasets, &m->n_datasets, err));
    }
    return STATUS_OK;
}

static status check_models(const config *c, const yaml_node *list, error *err) {
    const char **names = mem_zalloc((c->n_models + 1) * sizeof *names);
    status s = STATUS_OK;
    for (size_t i = 0; i < c->n_models; i++) {
        names[i] = c->models[i].name;
    }
    for (size_t i = 0; s == STATUS_OK && i < c->n_models; i++) {
        const config_model *m = &c->models[i];
        bool known = m->variant_of == NULL;
        for (size_t j = 0; j < c->n_models; j++) {
            if (j < i && strcmp(names[j], m->name) == 0) {
                s = yaml_fail(list->item[i], err, "two models are called \"%s\"", m->name);
            }
            known = known || (j != i && strcmp(names[j], m->variant_of) == 0);
        }
        if (s == STATUS_OK && !known) {
            const char *near = str_nearest(m->variant_of, names, c->n_models);
            s = yaml_fail(yaml_get(list->item[i], "variant_of"), err,
                          "variant_of: there is no other model \"%s\"%s%s%s", m->variant_of,
                          near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
        }
    }
    mem_free(names);
    return s;
}

static status parse_models(config *c, const yaml_node *root, error *err) {
    const yaml_node *list = NULL;
    TRY(yaml_need(root, "models", "the configuration", &list, err));
    TRY(yaml_want(list, YAML_SEQUENCE, "models", err));
    config_model *v = arena_alloc(&c->mem, (list->n + 1) * sizeof *v);
    c->models = v;
    c->n_models = list->n;
    for (size_t i = 0; i < list->n; i++) {
        TRY(parse_model(c, list->item[i], &v[i], &c->mem, err));
    }
    return list->n == 0 ? yaml_fail(list, err, "models is empty") : check_models(c, list, err);
}

/* ---- datasets ----------------------------------------------------------------------------------- */

static status parse_dataset(const config *c, const yaml_node *n, config_dataset *d, error *err) {
    static const char *const keys[] = {"id", "limit"};
    const yaml_node *id = n;
    if (n->kind == YAML_MAPPING) {
        TRY(yaml_check_keys(n, "a dataset", keys, 2, err));
        TRY(yaml_need(n, "id", "a dataset", &id, err));
        TRY(yaml_opt_int(n, "limit", 1, INT64_MAX, &d->limit, err));
    }
    d->line = id->line;
    d->col = id->col;
    TRY(yaml_string(id, "id", &d->id, err));
    const manifest_record *r = NULL;
    if (manifest_get(c->manifest, d->id, &r, err) != STATUS_OK) {
        return error_prefix(err, "%s:%d:%d: ", c->path, id->line, id->col);
    }
    return STATUS_OK;
}

static status check_model_datasets(const config *c, const yaml_node *root, error *err) {
    const yaml_node *models = yaml_get(root, "models");
    const char **ids = mem_zalloc((c->n_datasets + 1) * sizeof *ids);
    status s = STATUS_OK;
    for (size_t i = 0; i < c->n_datasets; i++) {
        ids[i] = c->datasets[i].id;
    }
    for (size_t i = 0; i < c->n_models; i++) {
        const config_model *m = &c->models[i];
        for (size_t j = 0; s == STATUS_OK && j < m->n_datasets; j++) {
            bool known = false;
            for (size_t k = 0; k < c->n_datasets; k++) {
                known = known || strcmp(ids[k], m->datasets[j]) == 0;
            }
            const char *near = str_nearest(m->datasets[j], ids, c->n_datasets);
            if (!known) {
                s = yaml_fail(yaml_get(models->item[i], "datasets"), err,
                              "model \"%s\": \"%s\" is not among the datasets of this configuration%s%s%s", m->name,
                              m->datasets[j], near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
            }
        }
    }
    mem_free(ids);
    return s;
}

static status parse_datasets(config *c, const yaml_node *root, error *err) {
    const yaml_node *list = NULL;
    TRY(yaml_need(root, "datasets", "the configuration", &list, err));
    TRY(yaml_want(list, YAML_SEQUENCE, "datasets", err));
    config_dataset *v = arena_alloc(&c->mem, (list->n + 1) * sizeof *v);
    c->datasets = v;
    c->n_datasets = list->n;
    for (size_t i = 0; i < list->n; i++) {
        TRY(parse_dataset(c, list->item[i], &v[i], err));
        for (size_t j = 0; j < i; j++) {
            if (strcmp(v[j].id, v[i].id) == 0) {
                return yaml_fail(list->item[i], err, "dataset \"%s\" is listed twice", v[i].id);
            }
        }
    }
    return list->n == 0 ? yaml_fail(list, err, "datasets is empty") : check_model_datasets(c, root, err);
}

/* ---- suites ------------------------------------------------------------------------------------- */

static status find_metric(const yaml_node *at, const char *id, const metric **out, error *err) {
    *out = metric_find(id);
    if (*out != NULL) {
        return STATUS_OK;
    }
    size_t n = 0;
    const metric *const *all = metric_all(&n);
    const char **ids = mem_zalloc((n + 1) * sizeof *ids);
    for (size_t i = 0; i < n; i++) {
        ids[i] = all[i]->info.id;
    }
    const char *near = str_nearest(id, ids, n);
    status s = yaml_fail(at, err, "there is no metric \"%s\"%s%s%s (`assay list metrics` shows them)", id,
                         near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    mem_free(ids);
    return s;
}

/* Every parameter as text, so that the judge can set it again; validated here, where the place is known. */
static status metric_params(const yaml_node *map, config_metric *m, arena *a, error *err) {
    void *block = arena_alloc(a, m->metric->info.params_bytes + 1);
    params_default(&m->metric->info, block, a);
    TRY(yaml_set_params(map, &m->metric->info, NULL, 0, block, a, err));
    text_pair *v = arena_alloc(a, (map->n + 1) * sizeof *v);
    for (size_t i = 0; i < map->n; i++) {
        v[i].key = map->key[i]->text;
        TRY(option_text(map->item[i], map->key[i]->text, a, &v[i].value, err));
    }
    m->params = v;
    m->n_params = map->n;
    return STATUS_OK;
}

/* metrics: [accuracy, {topk: {k: [1, 3]}}] */
static status parse_metrics(const yaml_node *list, config_suite *s, arena *a, error *err) {
    TRY(yaml_want(list, YAML_SEQUENCE, "metrics", err));
    config_metric *v = arena_alloc(a, (list->n + 1) * sizeof *v);
    s->metrics = v;
    s->n_metrics = list->n;
    for (size_t i = 0; i < list->n; i++) {
        const yaml_node *n = list->item[i];
        if (n->kind == YAML_MAPPING && n->n == 1) {
            TRY(find_metric(n->key[0], n->key[0]->text, &v[i].metric, err));
            TRY(yaml_want(n->item[0], YAML_MAPPING, n->key[0]->text, err));
            TRY(metric_params(n->item[0], &v[i], a, err));
        } else {
            const char *id = NULL;
            TRY(yaml_string(n, "a metric", &id, err));
            TRY(find_metric(n, id, &v[i].metric, err));
        }
        for (size_t j = 0; j < i; j++) { /* the judge finds a metric's parameters by its id */
            if (v[j].metric == v[i].metric) {
                return yaml_fail(n, err, "metric \"%s\" is listed twice", v[i].metric->info.id);
            }
        }
    }
    return STATUS_OK;
}

static void default_metrics(config_suite *s, arena *a) {
    size_t n = 0;
    while (s->suite->metrics != NULL && s->suite->metrics[n] != NULL) {
        n++;
    }
    config_metric *v = arena_alloc(a, (n + 1) * sizeof *v);
    for (size_t i = 0; i < n; i++) {
        v[i].metric = metric_find(s->suite->metrics[i]);
    }
    s->metrics = v;
    s->n_metrics = n;
}

static status find_suite(const yaml_node *at, suite_list suites, const suite **out, error *err) {
    const char **ids = mem_zalloc((suites.n + 1) * sizeof *ids);
    *out = NULL;
    for (size_t i = 0; i < suites.n; i++) {
        ids[i] = suites.v[i]->info.id;
        *out = strcmp(ids[i], at->text) == 0 ? suites.v[i] : *out;
    }
    status s = STATUS_OK;
    if (*out == NULL) {
        const char *near = str_nearest(at->text, ids, suites.n);
        s = yaml_fail(at, err, "there is no suite \"%s\"%s%s%s (`assay list suites` shows them)", at->text,
                      near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    mem_free(ids);
    return s;
}

static status parse_suite(const yaml_node *key, const yaml_node *body, suite_list suites, config_suite *s, arena *a,
                          error *err) {
    static const char *const also[] = {"limit", "metrics"};
    TRY(find_suite(key, suites, &s->suite, err));
    s->line = key->line;
    s->col = key->col;
    s->params = arena_alloc(a, s->suite->info.params_bytes + 1);
    params_default(&s->suite->info, s->params, a);
    const yaml_node *metrics = NULL;
    if (!yaml_is_empty(body)) {
        TRY(yaml_want(body, YAML_MAPPING, key->text, err));
        TRY(yaml_set_params(body, &s->suite->info, also, 2, s->params, a, err));
        TRY(yaml_opt_int(body, "limit", 1, INT64_MAX, &s->limit, err));
        metrics = yaml_get(body, "metrics");
    }
    s->params_json = params_json(&s->suite->info, s->params, a);
    if (metrics != NULL) {
        return parse_metrics(metrics, s, a, err);
    }
    default_metrics(s, a);
    return STATUS_OK;
}

static status parse_suites(config *c, const yaml_node *root, suite_list suites, error *err) {
    const yaml_node *map = NULL;
    TRY(yaml_need(root, "suites", "the configuration", &map, err));
    TRY(yaml_want(map, YAML_MAPPING, "suites", err));
    config_suite *v = arena_alloc(&c->mem, (map->n + 1) * sizeof *v);
    c->suites = v;
    c->n_suites = map->n;
    for (size_t i = 0; i < map->n; i++) {
        TRY(parse_suite(map->key[i], map->item[i], suites, &v[i], &c->mem, err));
    }
    return map->n == 0 ? yaml_fail(map, err, "suites is empty") : STATUS_OK;
}

/* ---- the rest ----------------------------------------------------------------------------------- */

static status parse_store(config *c, const yaml_node *root, error *err) {
    static const char *const keys[] = {"path", "logits"};
    const yaml_node *n = yaml_get(root, "store");
    c->store = "assay.db";
    if (n == NULL) {
        return STATUS_OK;
    }
    if (n->kind == YAML_SCALAR) {
        return yaml_string(n, "store", &c->store, err);
    }
    TRY(yaml_check_keys(n, "store", keys, 2, err));
    TRY(yaml_opt_string(n, "path", &c->store, err));
    const yaml_node *logits = yaml_get(n, "logits");
    size_t i = 0;
    if (logits != NULL) {
        TRY(yaml_choice(logits, "logits", logits_words, 3, &i, err));
        c->logits = (logits_policy)i;
    }
    return STATUS_OK;
}

static status parse_limits(config *c, const yaml_node *root, error *err) {
    static const char *const keys[] = {"timeout_s", "memory_mib"};
    c->timeout_s = 600;
    c->memory_mib = 8192;
    const yaml_node *n = yaml_get(root, "limits");
    if (n == NULL) {
        return STATUS_OK;
    }
    TRY(yaml_check_keys(n, "limits", keys, 2, err));
    TRY(yaml_opt_real(n, "timeout_s", 0.001, 1e7, &c->timeout_s, err));
    return yaml_opt_int(n, "memory_mib", 0, 1 << 24, &c->memory_mib, err);
}

static status parse_scalars(config *c, const yaml_node *root, error *err) {
    c->workers = 1;
    c->threads = 1;
    c->tile = 32;
    c->batch = 128;
    c->shard = 1024;
    TRY(yaml_opt_string(root, "label", &c->label, err));
    TRY(yaml_opt_int(root, "seed", 0, INT64_MAX, &c->seed, err));
    TRY(yaml_opt_int(root, "workers", 1, 256, &c->workers, err));
    TRY(yaml_opt_int(root, "threads", 1, 256, &c->threads, err));
    TRY(yaml_opt_int(root, "batch", 1, 1 << 20, &c->batch, err));
    TRY(yaml_opt_int(root, "shard", 1, 1 << 20, &c->shard, err));
    TRY(yaml_opt_int(root, "limit", 1, INT64_MAX, &c->limit, err));
    TRY(yaml_opt_int(root, "tile", 1, 32, &c->tile, err));
    if (c->tile != 1 && c->tile != 8 && c->tile != 32) {
        return yaml_fail(yaml_get(root, "tile"), err, "tile must be 1, 8 or 32, not %lld", (long long)c->tile);
    }
    return STATUS_OK;
}

static status open_manifest(config *c, const yaml_node *root, error *err) {
    const yaml_node *n = yaml_get(root, "manifest");
    const char *path = NULL;
    TRY(yaml_opt_string(root, "manifest", &path, err));
    path = path != NULL ? io_join_dir(&c->mem, c->path, path)
                        : config_find_manifest(io_dirname(&c->mem, c->path), &c->mem);
    if (path == NULL) {
        return yaml_fail(root, err,
                         "no datasets.manifest in this folder or above; name one with `manifest:` or ASSAY_MANIFEST");
    }
    if (manifest_load(path, &c->manifest, err) != STATUS_OK) {
        return n == NULL ? err->code : error_prefix(err, "%s:%d:%d: manifest: ", c->path, n->line, n->col);
    }
    return STATUS_OK;
}

static status apply_override(config *c, const config_override *o, error *err) {
    const struct {
        int64_t from, *to;
    } ints[] = {{o->workers, &c->workers},
                {o->threads, &c->threads},
                {o->batch, &c->batch},
                {o->limit, &c->limit},
                {o->seed, &c->seed}};
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++) {
        *ints[i].to = ints[i].from >= 0 ? ints[i].from : *ints[i].to;
    }
    c->store = o->store != NULL ? arena_strdup(&c->mem, o->store) : c->store;
    c->label = o->label != NULL ? arena_strdup(&c->mem, o->label) : c->label;
    for (size_t i = 0; o->logits != NULL; i++) {
        if (i == 3) {
            return error_set(err, STATUS_USAGE, "--logits must be clean, all or none, not \"%.40s\"", o->logits);
        }
        if (strcmp(o->logits, logits_words[i]) == 0) {
            c->logits = (logits_policy)i;
            break;
        }
    }
    return STATUS_OK;
}

/* ---- canonical JSON ------------------------------------------------------------------------------ */

static json_t *json_text(const char *s) {
    return s == NULL ? json_null() : json_string(s);
}

static json_t *model_json(const config_model *m) {
    json_t *options = json_object();
    json_t *datasets = json_array();
    for (size_t i = 0; i < m->n_options; i++) {
        (void)json_object_set_new(options, m->options[i].key, json_text(m->options[i].value));
    }
    for (size_t i = 0; i < m->n_datasets; i++) {
        (void)json_array_append_new(datasets, json_text(m->datasets[i]));
    }
    json_t *cols = json_array();
    for (size_t i = 0; i < m->n_columns; i++) {
        (void)json_array_append_new(cols, json_text(m->columns[i]));
    }
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "name", m->name, "plugin", m->plugin, "path",
                     json_text(m->path == NULL ? NULL : io_basename(m->path)), "variant_of", json_text(m->variant_of),
                     "options", options, "columns", cols, "datasets", datasets);
}

/* With defaults filled in, so that writing one out changes nothing. */
static json_t *metric_json(const config_metric *m, arena *a) {
    const info *i = &m->metric->info;
    json_error_t je;
    void *block = arena_alloc(a, i->params_bytes + 1);
    params_default(i, block, a);
    for (size_t k = 0; k < m->n_params; k++) {
        (void)param_set_text(i, block, m->params[k].key, m->params[k].value, a, NULL); /* was set before: in range */
    }
    return json_pack("{s:s, s:o}", "id", i->id, "params", json_loads(params_json(i, block, a), 0, &je));
}

static json_t *suite_json(const config_suite *s, arena *a) {
    json_error_t je;
    json_t *metrics = json_array();
    for (size_t i = 0; i < s->n_metrics; i++) {
        (void)json_array_append_new(metrics, metric_json(&s->metrics[i], a));
    }
    return json_pack("{s:s, s:I, s:o, s:o}", "id", s->suite->info.id, "limit", (json_int_t)s->limit, "params",
                     json_loads(s->params_json, 0, &je), "metrics", metrics);
}

static int by_suite_id(const void *a, const void *b) {
    const config_suite *const *x = a;
    const config_suite *const *y = b;
    return strcmp((*x)->suite->info.id, (*y)->suite->info.id);
}

/* By id: they are keys of a mapping, whose order says nothing. */
static json_t *suites_json(config *c) {
    const config_suite **sorted = arena_alloc(&c->mem, (c->n_suites + 1) * sizeof *sorted);
    for (size_t i = 0; i < c->n_suites; i++) {
        sorted[i] = &c->suites[i];
    }
    qsort(sorted, c->n_suites, sizeof *sorted, by_suite_id);
    json_t *list = json_array();
    for (size_t i = 0; i < c->n_suites; i++) {
        (void)json_array_append_new(list, suite_json(sorted[i], &c->mem));
    }
    return list;
}

static void make_json(config *c) {
    json_t *models = json_array();
    json_t *datasets = json_array();
    for (size_t i = 0; i < c->n_models; i++) {
        (void)json_array_append_new(models, model_json(&c->models[i]));
    }
    for (size_t i = 0; i < c->n_datasets; i++) {
        (void)json_array_append_new(
            datasets, json_pack("{s:s, s:I}", "id", c->datasets[i].id, "limit", (json_int_t)c->datasets[i].limit));
    }
    json_t *o = json_pack("{s:I, s:I, s:I, s:I, s:s, s:o, s:o, s:o}", "seed", (json_int_t)c->seed, "tile",
                          (json_int_t)c->tile, "shard", (json_int_t)c->shard, "limit", (json_int_t)c->limit, "logits",
                          logits_words[c->logits], "models", models, "datasets", datasets, "suites", suites_json(c));
    char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    c->json = arena_strdup(&c->mem, text == NULL ? "{}" : text);
    c->sha256 = digest_of(c->json, strlen(c->json));
    free(text);
    json_decref(o);
}

static status parse(config *c, suite_list suites, const config_override *over, error *err) {
    static const char *const keys[] = {"label", "seed",  "manifest", "store",  "workers", "threads",  "tile",
                                       "batch", "shard", "limit",    "limits", "models",  "datasets", "suites"};
    const yaml_node *root = NULL;
    TRY(yaml_load_text(c->path, c->text, strlen(c->text), &c->mem, &root, err));
    TRY(yaml_check_keys(root, "the configuration", keys, sizeof keys / sizeof keys[0], err));
    TRY(parse_scalars(c, root, err));
    TRY(parse_limits(c, root, err));
    TRY(parse_store(c, root, err));
    TRY(open_manifest(c, root, err));
    TRY(parse_models(c, root, err));
    TRY(parse_datasets(c, root, err));
    TRY(parse_suites(c, root, suites, err));
    TRY(apply_override(c, over, err));
    make_json(c);
    return STATUS_OK;
}

status config_load_text(const char *path, const char *text, suite_list suites, const config_override *over,
                        config **out, error *err) {
    config *c = mem_zalloc(sizeof *c);
    c->path = arena_strdup(&c->mem, path);
    c->text = arena_strdup(&c->mem, text);
    c->label = "";
    c->seed = 1;
    status s = parse(c, suites, over, err);
    if (s != STATUS_OK) {
        config_close(c);
        return s;
    }
    *out = c;
    return STATUS_OK;
}

status config_load(const char *path, suite_list suites, const config_override *over, config **out, error *err) {
    char *text = NULL;
    size_t n = 0;
    status s = io_read_file(path, TEXT_LIMIT, &text, &n, err);
    if (s != STATUS_OK) {
        return s == STATUS_DATA ? error_set(err, STATUS_USAGE, "%s: more than %u bytes", path, TEXT_LIMIT) : s;
    }
    s = strlen(text) != n ? error_set(err, STATUS_USAGE, "%s: holds a NUL byte", path)
                          : config_load_text(path, text, suites, over, out, err);
    mem_free(text);
    return s;
}

void config_close(config *c) {
    if (c != NULL) {
        manifest_close(c->manifest);
        arena_free(&c->mem);
        mem_free(c);
    }
}
