/* SPDX-License-Identifier: Apache-2.0 */
#include "run/judge.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "metrics/metric.h"

typedef struct judging {
    store *s;
    int64_t run_id;
    const judge_options *o;
    double level;
    arena *a; /* of the current group */
    const store_group *g;
    const metric *m;
    status failed; /* of store_metric_put, which the sink cannot return */
    error *err;
} judging;

static const char *better_name(better b) {
    return b == BETTER_HIGHER ? "higher" : b == BETTER_LOWER ? "lower" : "none";
}

static void put_row(void *context, const metric_row *r) {
    judging *j = context;
    if (j->failed != STATUS_OK) {
        return;
    }
    const store_metric row = {.run_id = j->run_id,
                              .model_name = j->g->model_name,
                              .dataset = j->g->dataset,
                              .suite = j->g->suite,
                              .condition = "",
                              .metric_id = j->m->info.id,
                              .metric_version = j->m->info.version,
                              .name = r->name,
                              .slice = r->slice,
                              .value = r->value,
                              .lo = r->lo,
                              .hi = r->hi,
                              .level = r->level,
                              .n = r->n,
                              .flags = r->flags,
                              .ci_method = r->ci_method,
                              .unit = r->unit,
                              .better = better_name(r->better),
                              .reason = r->reason};
    j->failed = store_metric_put(j->s, &row, j->err);
}

/* class_names of the dataset, if there is one name for each of n classes. */
static const char *const *class_names(arena *a, const json_t *dataset, size_t *n) {
    const json_t *list = json_object_get(dataset, "class_names");
    const size_t count = json_array_size(list);
    if (count == 0 || (*n != 0 && count != *n)) {
        return NULL;
    }
    const char **names = arena_alloc(a, count * sizeof *names);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text == NULL) {
            return NULL;
        }
        names[i] = arena_strdup(a, text);
    }
    *n = count;
    return names;
}

/* Two plug-ins may open one file, the one for its logits and the other for its probabilities. */
static const json_t *model_fact(const json_t *model, const char *plugin_sha256, const char *key) {
    const json_t *own = json_object_get(json_object_get(json_object_get(model, "plugins"), plugin_sha256), key);
    return own != NULL ? own : json_object_get(model, key);
}

static void load_facts(judging *j, columns *c) {
    json_error_t ignored;
    json_t *dataset = json_loads(j->g->dataset_json, JSON_REJECT_DUPLICATES, &ignored);
    json_t *model = json_loads(j->g->model_json, JSON_REJECT_DUPLICATES, &ignored);
    if (c->n_classes == 0) { /* no logits: the model may still say how many outputs it has */
        const json_int_t n = json_integer_value(model_fact(model, j->g->plugin_sha256, "n_classes"));
        c->n_classes = n > 0 && n <= (1 << 20) ? (size_t)n : 0;
    }
    c->class_names = class_names(j->a, dataset, &c->n_classes);
    c->probabilities = json_is_true(model_fact(model, j->g->plugin_sha256, "probabilities"));
    json_decref(dataset);
    json_decref(model);
}

static status load_group(judging *j, bool want_logits, columns *c, error *err) {
    store_columns v = {0};
    TRY(store_load_columns(j->s, j->run_id, j->g, "", want_logits, j->a, &v, err));
    *c = (columns){.n = v.n,
                   .n_expected = v.n_expected,
                   .i_example = v.i_example,
                   .label = v.label,
                   .pred = v.pred,
                   .score = v.score,
                   .flags = v.flags,
                   .logits = v.logits,
                   .n_classes = v.logits == NULL ? 0 : v.n_classes};
    load_facts(j, c);
    return STATUS_OK;
}

static status make_params(const judging *j, void **block, error *err) {
    const info *i = &j->m->info;
    *block = arena_alloc(j->a, i->params_bytes + 1);
    params_default(i, *block, j->a);
    for (size_t k = 0; k < j->o->n_params; k++) {
        const judge_param *p = &j->o->params[k];
        const bool mine = strcmp(p->metric, i->id) == 0 && (p->suite == NULL || strcmp(p->suite, j->g->suite) == 0);
        if (mine && param_set_text(i, *block, p->name, p->text, j->a, err) != STATUS_OK) {
            return error_prefix(err, "metric %s: ", i->id);
        }
    }
    return STATUS_OK;
}

static void put_skipped(judging *j, const char *reason) {
    put_row(j, &(metric_row){.name = j->m->info.id,
                             .slice = "",
                             .value = NAN,
                             .lo = NAN,
                             .hi = NAN,
                             .level = j->level,
                             .n = 0,
                             .ci_method = "",
                             .unit = "",
                             .better = BETTER_NONE,
                             .flags = METRIC_FLAG_DEGENERATE,
                             .reason = reason});
}

static status judge_metric(judging *j, const columns *c, error *err) {
    void *block = NULL;
    TRY(make_params(j, &block, err));
    if (j->o->progress != NULL) {
        j->o->progress(j->o->context, j->g->model_name, j->g->dataset, j->m->info.id);
    }
    const bool no_logits = (j->m->info.flags & METRIC_NEEDS_LOGITS) != 0 && c->logits == NULL;
    if (no_logits && c->n > 0) {
        put_skipped(j, "SKIPPED: logits were not stored (store: {logits: clean})");
        return j->failed;
    }
    if (c->n == 0) {
        put_skipped(j, "SKIPPED: no example was observed");
        return j->failed;
    }
    const metric_sink sink = {j, put_row};
    TRY(j->m->compute(block, c, j->level, &sink, err));
    return j->failed;
}

static status judge_group(judging *j, error *err) {
    const char *const *ids = j->o->metrics_for(j->o->context, j->g->suite, j->g->suite_params_json);
    bool want_logits = false;
    for (size_t i = 0; ids != NULL && ids[i] != NULL; i++) {
        const metric *m = metric_find(ids[i]);
        if (m == NULL) {
            return error_set(err, STATUS_USAGE, "suite %s: there is no metric \"%s\"", j->g->suite, ids[i]);
        }
        want_logits = want_logits || (m->info.flags & METRIC_NEEDS_LOGITS) != 0;
    }
    if (ids == NULL || ids[0] == NULL) {
        return STATUS_OK;
    }
    columns c = {0};
    TRY(load_group(j, want_logits, &c, err));
    for (size_t i = 0; ids[i] != NULL; i++) {
        j->m = metric_find(ids[i]);
        TRY(judge_metric(j, &c, err));
    }
    return STATUS_OK;
}

status judge_run(store *s, int64_t run_id, const judge_options *o, error *err) {
    arena groups_mem = {0};
    store_group *groups = NULL;
    size_t n = 0;
    status st = store_metrics_clear(s, run_id, err);
    if (st == STATUS_OK) {
        st = store_groups(s, run_id, &groups_mem, &groups, &n, err);
    }
    for (size_t i = 0; st == STATUS_OK && i < n; i++) {
        arena mem = {0};
        judging j = {.s = s,
                     .run_id = run_id,
                     .o = o,
                     .level = o->level > 0 ? o->level : 0.95,
                     .a = &mem,
                     .g = &groups[i],
                     .err = err};
        st = judge_group(&j, err);
        arena_free(&mem);
    }
    arena_free(&groups_mem);
    return st == STATUS_OK ? store_flush(s, err) : st;
}
