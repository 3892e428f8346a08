/* SPDX-License-Identifier: Apache-2.0
 * Section summary: one table per dataset and suite with the headline numbers of every model. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "metrics/metric.h"
#include "reports/section.h"

enum { MAX_EXTRA = 12 };

/* Names of the top-k rows in these groups by k, then of the log-loss rows. */
typedef struct extras {
    const char *name[MAX_EXTRA];
    size_t n;
} extras;

/* k of "topk{k=5}" and "topk{k=5,ties=highest}", -1 for other names. */
static int64_t k_of(const char *name) {
    static const char head[] = "topk{k=";
    char digits[24];
    int64_t k = -1;
    if (strncmp(name, head, sizeof head - 1) != 0) {
        return -1;
    }
    const char *s = name + sizeof head - 1;
    (void)snprintf(digits, sizeof digits, "%.*s", (int)strspn(s, "0123456789"), s);
    return str_to_i64(digits, &k) ? k : -1;
}

static bool is_loss(const char *name) {
    return strncmp(name, "log-loss{", 9) == 0;
}

static void add_name(extras *e, const char *name) {
    for (size_t j = 0; j < e->n; j++) {
        if (strcmp(e->name[j], name) == 0) {
            return;
        }
    }
    if (e->n == MAX_EXTRA) {
        return;
    }
    size_t at = e->n++;
    for (; at > 0 && k_of(name) >= 0 && (k_of(e->name[at - 1]) > k_of(name) || is_loss(e->name[at - 1])); at--) {
        e->name[at] = e->name[at - 1];
    }
    e->name[at] = name;
}

static void collect(extras *e, const report_group *r) {
    for (size_t i = 0; i < r->n_metrics; i++) {
        const char *name = r->metrics[i]->name;
        /* k = 1 is the accuracy again, and k not below the number of classes is always 1 */
        const bool says = k_of(name) > 1 && (r->metrics[i]->flags & METRIC_FLAG_DEGENERATE) == 0;
        if (r->metrics[i]->slice[0] == '\0' && (says || is_loss(name))) {
            add_name(e, name);
        }
    }
}

/* "topk{k=5}" -> "top-5"; "log-loss{clip=0,from=logits}" -> "log-loss": the usual one needs no qualification. */
static const char *title_of(const char *name, arena *a) {
    if (k_of(name) >= 0 && strchr(name, ',') == NULL) {
        return arena_printf(a, "top-%lld", (long long)k_of(name));
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

static bool has_note(const store_metric *m) {
    return m->slice[0] == '\0' && m->reason[0] != '\0' && (isnan(m->value) || strcmp(m->name, "accuracy") == 0);
}

/* Reasons of headline numbers (not of slices), each with the metrics that give it. */
static void add_notes(const report_group *r, report_doc *doc) {
    for (size_t i = 0; i < r->n_metrics; i++) {
        bool before = !has_note(r->metrics[i]);
        for (size_t j = 0; j < i && !before; j++) {
            before = has_note(r->metrics[j]) && strcmp(r->metrics[j]->reason, r->metrics[i]->reason) == 0;
        }
        if (before) {
            continue;
        }
        strbuf names = {0};
        for (size_t j = i; j < r->n_metrics; j++) {
            if (has_note(r->metrics[j]) && strcmp(r->metrics[j]->reason, r->metrics[i]->reason) == 0) {
                strbuf_addf(&names, "%s%s", names.len > 0 ? ", " : "", r->metrics[j]->name);
            }
        }
        doc_text(doc, "%s (%s): %s", r->g->model_name, strbuf_str(&names), r->metrics[i]->reason);
        strbuf_free(&names);
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
    doc_column cols[4 + MAX_EXTRA] = {{"model", "", 'l'}, {"n", "", 'r'}, {"accuracy", "", 'r'}};
    for (size_t j = 0; j < e.n; j++) {
        cols[3 + j] = (doc_column){title_of(e.name[j], &a), is_loss(e.name[j]) ? "nats" : "", 'r'};
    }
    cols[3 + e.n] = (doc_column){"outcome", "", 'l'};
    const store_group *g = first->g;
    doc_heading(doc, 3, "%s%s%s, suite %s", g->dataset, g->split[0] != '\0' ? ", split " : "", g->split, g->suite);
    doc_table(doc, cols, 4 + e.n);
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
