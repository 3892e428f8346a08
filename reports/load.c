/* SPDX-License-Identifier: Apache-2.0
 * From the store to report_data. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "reports/report.h"

static const char *text_of(const json_t *o, const char *key, arena *a) {
    const char *s = json_string_value(json_object_get(o, key));
    return s == NULL ? "" : arena_strdup(a, s);
}

static double number_of(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static void load_facts(report_group *r, arena *a) {
    json_error_t ignored;
    json_t *dataset = json_loads(r->g->dataset_json, 0, &ignored);
    json_t *model = json_loads(r->g->model_json, 0, &ignored);
    r->title = text_of(dataset, "title", a);
    r->licence = text_of(dataset, "licence", a);
    r->provenance = text_of(dataset, "provenance", a);
    r->citation = text_of(dataset, "citation", a);
    const json_t *cost = json_object_get(model, "cost");
    r->n_params = number_of(cost, "params");
    r->n_macs = number_of(cost, "macs");
    json_decref(dataset);
    json_decref(model);
}

static bool belongs(const store_metric *m, const store_group *g) {
    return strcmp(m->model_name, g->model_name) == 0 && strcmp(m->dataset, g->dataset) == 0 &&
           strcmp(m->suite, g->suite) == 0;
}

static void load_metrics(report_data *d, report_group *r, arena *a) {
    for (size_t i = 0; i < d->n_metrics; i++) {
        r->n_metrics += belongs(&d->metrics[i], r->g) ? 1 : 0;
    }
    r->metrics = arena_alloc(a, (r->n_metrics + 1) * sizeof *r->metrics);
    size_t k = 0;
    for (size_t i = 0; i < d->n_metrics; i++) {
        if (belongs(&d->metrics[i], r->g)) {
            r->metrics[k++] = &d->metrics[i];
        }
    }
}

/* A refusal is part of the report, not its end. */
static status load_comparisons(report_data *d, store *s, arena *a, error *err) {
    const compare_options o = {0};
    error why = {0};
    const status st = compare_variants(s, &d->run, &o, a, &d->comparisons, &why);
    if (st == STATUS_REFUSED) {
        d->comparison_problem = arena_strdup(a, why.text);
        return STATUS_OK;
    }
    return st == STATUS_OK ? st : error_set(err, st, "%s", why.text);
}

status report_load(store *s, int64_t run_id, arena *a, report_data *out, error *err) {
    *out = (report_data){.empty = true, .comparison_problem = ""};
    store_run_row *runs = NULL;
    size_t n_runs = 0;
    TRY(store_runs(s, a, &runs, &n_runs, err));
    for (size_t i = 0; i < n_runs; i++) {
        if (runs[i].run_id == run_id) {
            out->run = runs[i];
            out->empty = false;
        }
    }
    if (out->empty) {
        return run_id == 0 || n_runs == 0 ? STATUS_OK
                                          : error_set(err, STATUS_USAGE, "there is no run %lld", (long long)run_id);
    }
    store_group *g = NULL;
    TRY(store_groups(s, run_id, a, &g, &out->n_groups, err));
    TRY(store_metrics(s, run_id, a, &out->metrics, &out->n_metrics, err));
    out->groups = arena_alloc(a, (out->n_groups + 1) * sizeof *out->groups);
    for (size_t i = 0; i < out->n_groups; i++) {
        out->groups[i].g = &g[i];
        load_facts(&out->groups[i], a);
        load_metrics(out, &out->groups[i], a);
    }
    return load_comparisons(out, s, a, err);
}
