/* SPDX-License-Identifier: Apache-2.0
 * The report as data: docs/report-schema.md documents "assay.report/1" and "assay.compare/1". NaN and infinities are
 * null. Order and number format are fixed, so that the same store gives the same bytes. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/metric.h"
#include "reports/renderer.h"

static json_t *text(const char *s) {
    json_t *as_it_is = json_string(s == NULL ? "" : s); /* NULL: not UTF-8 */
    if (as_it_is != NULL) {
        return as_it_is;
    }
    arena a = {0};
    json_t *v = json_string(doc_utf8(&a, s));
    arena_free(&a);
    return v;
}

static json_t *number(double v) {
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *count(int64_t v) {
    return json_integer((json_int_t)v);
}

static void put(json_t *o, const char *key, json_t *value) {
    if (json_object_set_new(o, key, value) != 0) {
        abort(); /* only without memory: every value here is valid */
    }
}

static void put_text(json_t *o, const char *key, const char *s) {
    put(o, key, text(s));
}

static void push(json_t *list, json_t *value) {
    if (json_array_append_new(list, value) != 0) {
        abort();
    }
}

static json_t *outcomes(const int64_t n_outcome[OUTCOME_COUNT]) {
    json_t *o = json_object();
    for (int i = 1; i < OUTCOME_COUNT; i++) { /* all six, also when zero */
        put(o, outcome_name((outcome)i), count(n_outcome[i]));
    }
    put(o, "unfinished", count(n_outcome[OUTCOME_NONE]));
    return o;
}

static json_t *run_json(const store_run_row *r) {
    json_t *o = json_object();
    put_text(o, "uid", r->run_uid);
    put_text(o, "label", r->label);
    put_text(o, "status", r->status);
    put(o, "limited", json_boolean(r->limited));
    put(o, "seed", count(r->seed));
    put_text(o, "started_at", r->started_at);
    put_text(o, "finished_at", r->finished_at);
    put_text(o, "version", r->version);
    put_text(o, "git_revision", r->git_revision);
    put_text(o, "command_line", r->command_line);
    put_text(o, "config_path", r->config_path);
    put_text(o, "host", r->host_name);
    put_text(o, "cpu", r->cpu);
    put_text(o, "numeric_environment", r->numeric_env);
    put_text(o, "decisions_digest", r->decisions);
    put_text(o, "results_digest", r->results);
    put(o, "n_items", count(r->n_items));
    put(o, "n_reused", count(r->n_reused));
    put(o, "outcomes", outcomes(r->n_outcome));
    return o;
}

/* The first group with this group's model (or dataset): later ones repeat its facts. */
static bool first_of(const report_data *d, size_t i, bool model) {
    const store_group *g = d->groups[i].g;
    for (size_t j = 0; j < i; j++) {
        const store_group *h = d->groups[j].g;
        const bool same = model ? g->model_id == h->model_id && strcmp(g->model_name, h->model_name) == 0
                                : g->dataset_id == h->dataset_id;
        if (same) {
            return false;
        }
    }
    return true;
}

static json_t *model_json(const report_group *r) {
    json_t *o = json_object();
    put_text(o, "name", r->g->model_name);
    put_text(o, "sha256", r->g->model_sha256);
    put(o, "size_bytes", count(r->g->model_size_bytes));
    put_text(o, "plugin", r->g->plugin);
    put_text(o, "plugin_version", r->g->plugin_version);
    put(o, "variant_of",
        r->g->variant_of != NULL && r->g->variant_of[0] != '\0' ? text(r->g->variant_of) : json_null());
    put(o, "n_params", number(r->n_params));
    put(o, "n_macs", number(r->n_macs));
    return o;
}

static json_t *dataset_json(const report_group *r) {
    json_t *o = json_object();
    put_text(o, "name", r->g->dataset);
    put_text(o, "split", r->g->split);
    put_text(o, "sha256", r->g->dataset_sha256);
    put(o, "n", count(r->g->dataset_n));
    put_text(o, "title", r->title);
    put_text(o, "licence", r->licence);
    put_text(o, "provenance", r->provenance);
    put_text(o, "citation", r->citation);
    return o;
}

static json_t *lines(const char *s) {
    json_t *list = json_array();
    arena a = {0};
    while (s != NULL && *s != '\0') {
        const size_t n = strcspn(s, "\n");
        push(list, text(arena_strndup(&a, s, n)));
        s += n + (s[n] == '\n' ? 1 : 0);
    }
    arena_free(&a);
    return list;
}

static json_t *group_json(const report_group *r) {
    json_t *o = json_object();
    put_text(o, "model", r->g->model_name);
    put_text(o, "dataset", r->g->dataset);
    put_text(o, "suite", r->g->suite);
    put(o, "suite_version", count(r->g->suite_version));
    put_text(o, "comparability_key", r->g->comparability_key);
    put(o, "n_items", count(r->g->n_items));
    put(o, "n_expected", count(r->g->n_expected));
    put(o, "outcomes", outcomes(r->g->n_outcome));
    put(o, "reasons", lines(r->g->reasons));
    return o;
}

static json_t *metric_json(const store_metric *m) {
    json_t *o = json_object();
    put_text(o, "model", m->model_name);
    put_text(o, "dataset", m->dataset);
    put_text(o, "suite", m->suite);
    put_text(o, "condition", m->condition);
    put_text(o, "metric", m->metric_id);
    put(o, "metric_version", count(m->metric_version));
    put_text(o, "name", m->name);
    put_text(o, "slice", m->slice);
    put(o, "value", number(m->value));
    put(o, "lo", number(m->lo));
    put(o, "hi", number(m->hi));
    put(o, "level", number(m->level));
    put(o, "n", count(m->n));
    put_text(o, "ci_method", m->ci_method);
    put_text(o, "unit", m->unit);
    put_text(o, "better", m->better);
    put(o, "degenerate", json_boolean((m->flags & METRIC_FLAG_DEGENERATE) != 0));
    put_text(o, "reason", m->reason);
    return o;
}

static json_t *range(interval v) {
    json_t *list = json_array();
    push(list, number(v.lo));
    push(list, number(v.hi));
    return list;
}

static json_t *flips_json(const compare_result *r) {
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_flips; i++) {
        json_t *o = json_object();
        put(o, "example", count(r->flips[i].i_example));
        put(o, "label", count(r->flips[i].label));
        put(o, "prediction_baseline", count(r->flips[i].pred_a));
        put(o, "prediction", count(r->flips[i].pred_b));
        put(o, "newly_right", json_boolean(r->flips[i].newly_right));
        push(list, o);
    }
    return list;
}

static json_t *side(const char *run, const char *model, const char *sha256, int64_t n, double accuracy, interval ci) {
    json_t *o = json_object();
    put_text(o, "run", run);
    put_text(o, "model", model);
    put_text(o, "sha256", sha256);
    put(o, "n", count(n));
    put(o, "accuracy", number(accuracy));
    put(o, "interval", range(ci));
    return o;
}

static json_t *pair(int64_t baseline, int64_t candidate) {
    json_t *list = json_array();
    push(list, count(baseline));
    push(list, count(candidate));
    return list;
}

static json_t *comparison_json(const compare_result *r) {
    json_t *o = json_object();
    put_text(o, "dataset", r->dataset);
    put_text(o, "suite", r->suite);
    put(o, "limited", json_boolean(r->limited));
    put(o, "baseline", side(r->run_a, r->model_a, r->model_sha256_a, r->n_a, r->accuracy_a, r->accuracy_a_ci));
    put(o, "candidate", side(r->run_b, r->model_b, r->model_sha256_b, r->n_b, r->accuracy_b, r->accuracy_b_ci));
    put(o, "n_pair", count(r->n_pair));
    put(o, "n_missing", pair(r->n_missing_a, r->n_missing_b));
    put(o, "n_untrustworthy_items", pair(r->n_doubtful_a, r->n_doubtful_b));
    put(o, "difference", number(r->difference));
    put(o, "difference_interval", range(r->difference_ci));
    put(o, "level", number(r->level));
    put_text(o, "ci_method", "tango");
    put(o, "newly_wrong", count(r->n_newly_wrong));
    put(o, "newly_right", count(r->n_newly_right));
    put(o, "p_mcnemar_exact", number(r->p_exact));
    put(o, "p_mcnemar_mid", number(r->p_mid));
    put(o, "p_holm", number(r->p_holm));
    put(o, "minimal_detectable_difference", number(r->detectable));
    put(o, "power", number(r->power));
    put_text(o, "verdict", compare_verdict_name(compare_verdict_of(r)));
    put_text(o, "allowed_to_differ", r->allowed);
    put(o, "changed", flips_json(r));
    return o;
}

static json_t *comparisons_json(const compare_set *set) {
    json_t *list = json_array();
    for (size_t i = 0; i < set->n; i++) {
        push(list, comparison_json(&set->v[i]));
    }
    return list;
}

static json_t *unmatched_json(const compare_set *set) {
    json_t *list = json_array();
    for (size_t i = 0; i < set->n_unmatched; i++) {
        push(list, text(set->unmatched[i]));
    }
    return list;
}

static status dump(json_t *root, strbuf *out, error *err) {
    char *s = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(root);
    if (s == NULL) {
        return error_set(err, STATUS_INTERNAL, "the report could not be written as JSON");
    }
    strbuf_add(out, s);
    strbuf_add(out, "\n");
    free(s);
    return STATUS_OK;
}

static status report(const report_data *d, const report_doc *doc, strbuf *out, error *err) {
    (void)doc;
    json_t *root = json_object();
    json_t *models = json_array();
    json_t *datasets = json_array();
    json_t *groups = json_array();
    json_t *metrics = json_array();
    for (size_t i = 0; i < d->n_groups; i++) {
        if (first_of(d, i, true)) {
            push(models, model_json(&d->groups[i]));
        }
        if (first_of(d, i, false)) {
            push(datasets, dataset_json(&d->groups[i]));
        }
        push(groups, group_json(&d->groups[i]));
    }
    for (size_t i = 0; i < d->n_metrics; i++) {
        push(metrics, metric_json(&d->metrics[i]));
    }
    put_text(root, "schema", "assay.report/1");
    put(root, "run", d->empty ? json_null() : run_json(&d->run));
    put(root, "models", models);
    put(root, "datasets", datasets);
    put(root, "groups", groups);
    put(root, "metrics", metrics);
    put(root, "comparisons", comparisons_json(&d->comparisons));
    put(root, "not_compared", unmatched_json(&d->comparisons));
    put_text(root, "comparison_problem", d->comparison_problem);
    return dump(root, out, err);
}

static status comparison(const compare_set *set, const report_doc *doc, strbuf *out, error *err) {
    (void)doc;
    json_t *root = json_object();
    put_text(root, "schema", "assay.compare/1");
    put(root, "comparisons", comparisons_json(set));
    put(root, "not_compared", unmatched_json(set));
    return dump(root, out, err);
}

const renderer renderer_json = {
    .info = {.id = "json", .summary = "everything as data, schema assay.report/1", .cite = "RFC 8259", .version = 1},
    .extension = "json",
    .report = report,
    .comparison = comparison,
};
