/* SPDX-License-Identifier: Apache-2.0
 * Section summary: one table per dataset and suite with the headline numbers of every model. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "reports/section.h"

enum { MAX_EXTRA = 12 };

/* Names of the top-k and log-loss rows in these groups, in order of appearance. */
typedef struct extras {
    const char *name[MAX_EXTRA];
    size_t n;
} extras;

static bool is_extra(const store_metric *m) {
    /* k = 1 is the accuracy again */
    const bool topk = strncmp(m->name, "topk{", 5) == 0 && strcmp(m->name, "topk{k=1}") != 0;
    return m->slice[0] == '\0' && (topk || strncmp(m->name, "log-loss{", 9) == 0);
}

static void collect(extras *e, const report_group *r) {
    for (size_t i = 0; i < r->n_metrics; i++) {
        bool seen = !is_extra(r->metrics[i]);
        for (size_t j = 0; j < e->n; j++) {
            seen = seen || strcmp(e->name[j], r->metrics[i]->name) == 0;
        }
        if (!seen && e->n < MAX_EXTRA) {
            e->name[e->n++] = r->metrics[i]->name;
        }
    }
}

/* "topk{k=5}" -> "top-5"; "log-loss{clip=0,from=logits}" -> "log-loss": the usual one needs no qualification. */
static const char *title_of(const char *name, arena *a) {
    long long k = 0;
    if (sscanf(name, "topk{k=%lld}", &k) == 1) {
        return arena_printf(a, "top-%lld", k);
    }
    return strcmp(name, "log-loss{clip=0,from=logits}") == 0 ? "log-loss" : name;
}

static void add_row(const report_group *r, const extras *e, report_doc *doc, arena *a) {
    const char **cell = arena_alloc(a, (4 + e->n) * sizeof *cell);
    char buf[REPORT_NUMBER_BYTES];
    const store_metric *accuracy = report_metric(r, "accuracy", "");
    cell[0] = r->g->model_name;
    cell[1] = accuracy == NULL ? "–" : arena_printf(a, "%lld", (long long)accuracy->n);
    cell[2] = arena_strdup(a, report_with_interval(accuracy, buf));
    for (size_t j = 0; j < e->n; j++) {
        cell[3 + j] = arena_strdup(a, report_with_interval(report_metric(r, e->name[j], ""), buf));
    }
    cell[3 + e->n] = report_outcomes(r->g->n_outcome, a);
    doc_row(doc, cell);
}

/* Reasons of headline numbers (not of slices), once each. */
static void add_notes(const report_group *r, report_doc *doc) {
    for (size_t i = 0; i < r->n_metrics; i++) {
        const store_metric *m = r->metrics[i];
        const bool headline = m->slice[0] == '\0' && (strcmp(m->name, "accuracy") == 0 || isnan(m->value));
        if (headline && m->reason[0] != '\0') {
            doc_text(doc, "%s, %s: %s", r->g->model_name, m->name, m->reason);
        }
    }
}

static void add_place(const report_group *first, size_t n, report_doc *doc) {
    arena a = {0};
    extras e = {0};
    double level = NAN;
    for (size_t i = 0; i < n; i++) {
        collect(&e, &first[i]);
        const store_metric *m = report_metric(&first[i], "accuracy", "");
        level = m != NULL ? m->level : level;
    }
    doc_column columns[4 + MAX_EXTRA] = {{"model", "", 'l'}, {"n", "", 'r'}, {"accuracy", "", 'r'}};
    for (size_t j = 0; j < e.n; j++) {
        columns[3 + j] =
            (doc_column){title_of(e.name[j], &a), strncmp(e.name[j], "log-loss", 8) == 0 ? "nats" : "", 'r'};
    }
    columns[3 + e.n] = (doc_column){"outcome", "", 'l'};
    const store_group *g = first->g;
    doc_heading(doc, 3, "%s%s%s, suite %s", g->dataset, g->split[0] != '\0' ? ", split " : "", g->split, g->suite);
    doc_table(doc, columns, 4 + e.n);
    for (size_t i = 0; i < n; i++) {
        add_row(&first[i], &e, doc, &a);
    }
    for (size_t i = 0; i < n; i++) {
        add_notes(&first[i], doc);
    }
    if (!isnan(level)) {
        doc_text(doc, "Fractions of 1; in brackets %.0f %% intervals (proportions: Wilson; log-loss: Student's t).",
                 level * 100);
    }
    arena_free(&a);
}

static bool same_place(const store_group *a, const store_group *b) {
    return a->dataset_id == b->dataset_id && strcmp(a->suite, b->suite) == 0 && a->suite_id == b->suite_id;
}

static status render(const report_data *d, report_doc *doc, error *err) {
    (void)err;
    doc_heading(doc, 2, "Summary");
    if (d->n_groups == 0) {
        doc_text(doc, "The run holds no items.");
    }
    for (size_t i = 0; i < d->n_groups;) {
        size_t end = i + 1;
        while (end < d->n_groups && same_place(d->groups[i].g, d->groups[end].g)) {
            end++;
        }
        add_place(&d->groups[i], end - i, doc);
        i = end;
    }
    return STATUS_OK;
}

const section section_summary = {
    .info = {.id = "summary",
             .summary = "headline numbers of every model per dataset",
             .cite = "",
             .version = 1,
             .flags = SECTION_BRIEF},
    .render = render,
};
