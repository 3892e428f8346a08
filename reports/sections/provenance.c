/* SPDX-License-Identifier: Apache-2.0
 * Section provenance: what produced the numbers, by digest. */
#include <stdio.h>
#include <string.h>

#include "reports/section.h"

static void add_run(const store_run_row *r, report_doc *doc) {
    doc_fact(doc, "run", "%s", r->run_uid);
    doc_fact(doc, "label", "%s", r->label);
    doc_fact(doc, "status", "%s", r->status);
    doc_fact(doc, "limited", "%s", r->limited ? "yes: a part of the data only" : "no");
    doc_fact(doc, "started", "%s", r->started_at);
    doc_fact(doc, "finished", "%s", r->finished_at);
    doc_fact(doc, "seed", "%lld", (long long)r->seed);
    doc_fact(doc, "assay", "%s", r->version);
    doc_fact(doc, "git revision", "%s", r->git_revision);
    doc_fact(doc, "host", "%s", r->host_name);
    doc_fact(doc, "CPU", "%s", r->cpu);
    doc_fact(doc, "numeric environment", "%s", r->numeric_env);
    doc_fact(doc, "command line", "%s", r->command_line);
    doc_fact(doc, "configuration", "%s", r->config_path);
    doc_fact(doc, "decisions digest", "%s", r->decisions);
    doc_fact(doc, "results digest", "%s", r->results);
}

static bool model_before(const report_data *d, size_t i) {
    for (size_t j = 0; j < i; j++) {
        const store_group *g = d->groups[i].g;
        const store_group *h = d->groups[j].g;
        if (g->model_id == h->model_id && strcmp(g->model_name, h->model_name) == 0) {
            return true;
        }
    }
    return false;
}

static bool dataset_before(const report_data *d, size_t i) {
    for (size_t j = 0; j < i; j++) {
        if (d->groups[i].g->dataset_id == d->groups[j].g->dataset_id) {
            return true;
        }
    }
    return false;
}

static void add_models(const report_data *d, report_doc *doc) {
    static const doc_column columns[] = {{"model", "", 'l'},
                                         {"SHA-256", "", 'l'},
                                         {"size", "bytes", 'r'},
                                         {"plug-in", "", 'l'},
                                         {"variant of", "", 'l'}};
    doc_table(doc, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < d->n_groups; i++) {
        const store_group *g = d->groups[i].g;
        if (model_before(d, i)) {
            continue;
        }
        arena a = {0};
        doc_row(doc, (const char *const[]){g->model_name, g->model_sha256,
                                           arena_printf(&a, "%lld", (long long)g->model_size_bytes),
                                           arena_printf(&a, "%s %s", g->plugin, g->plugin_version), g->variant_of});
        arena_free(&a);
    }
}

static void add_datasets(const report_data *d, report_doc *doc) {
    static const doc_column columns[] = {{"dataset", "", 'l'},   {"split", "", 'l'}, {"n", "", 'r'},
                                         {"SHA-256", "", 'l'},   {"title", "", 'l'}, {"licence", "", 'l'},
                                         {"provenance", "", 'l'}};
    doc_table(doc, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < d->n_groups; i++) {
        const report_group *r = &d->groups[i];
        if (dataset_before(d, i)) {
            continue;
        }
        char n[24];
        (void)snprintf(n, sizeof n, "%lld", (long long)r->g->dataset_n);
        doc_row(doc, (const char *const[]){r->g->dataset, r->g->split, n, r->g->dataset_sha256, r->title, r->licence,
                                           r->provenance});
    }
}

static status render(const report_data *d, report_doc *doc, error *err) {
    (void)err;
    doc_heading(doc, 2, "Provenance");
    add_run(&d->run, doc);
    if (d->n_groups > 0) {
        add_models(d, doc);
        add_datasets(d, doc);
    }
    return STATUS_OK;
}

const section section_provenance = {
    .info = {.id = "provenance",
             .summary = "run, models and datasets by digest; host, versions, command line",
             .cite = "",
             .version = 1},
    .render = render,
};
