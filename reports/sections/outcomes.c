/* SPDX-License-Identifier: Apache-2.0
 * Section outcomes: how the items ended, all six kinds also when zero, and what has no number and why. */
#include <stdio.h>
#include <string.h>

#include "reports/section.h"

static void add_counts(const report_data *d, report_doc *doc) {
    static const doc_column columns[] = {{"outcome", "", 'l'}, {"items", "", 'r'}};
    doc_table(doc, columns, 2);
    for (int i = 1; i <= OUTCOME_COUNT; i++) {
        char n[24];
        const int o = i % OUTCOME_COUNT; /* unfinished items last */
        (void)snprintf(n, sizeof n, "%lld", (long long)d->run.n_outcome[o]);
        if (o != OUTCOME_NONE || d->run.n_outcome[o] > 0) {
            doc_row(doc, (const char *const[]){o == OUTCOME_NONE ? "unfinished" : outcome_name((outcome)o), n});
        }
    }
    doc_text(doc, "%lld items, of which %lld were taken from earlier runs.", (long long)d->run.n_items,
             (long long)d->run.n_reused);
}

static void add_items(const report_data *d, report_doc *doc) {
    static const doc_column columns[] = {
        {"model", "", 'l'}, {"dataset", "", 'l'}, {"suite", "", 'l'}, {"outcome", "", 'l'}, {"reasons", "", 'l'}};
    bool begun = false;
    arena a = {0};
    for (size_t i = 0; i < d->n_groups; i++) {
        const store_group *g = d->groups[i].g;
        if (g->n_outcome[OUTCOME_OK] == g->n_items) {
            continue;
        }
        if (!begun) {
            doc_text(doc, "Items that are not OK:");
            doc_table(doc, columns, sizeof columns / sizeof columns[0]);
            begun = true;
        }
        doc_row(doc, (const char *const[]){g->model_name, g->dataset, g->suite, report_outcomes(g->n_outcome, &a),
                                           g->reasons});
    }
    arena_free(&a);
}

static void add_skipped(const report_data *d, report_doc *doc) {
    static const doc_column columns[] = {
        {"model", "", 'l'}, {"dataset", "", 'l'}, {"metric", "", 'l'}, {"reason", "", 'l'}};
    bool begun = false;
    for (size_t i = 0; i < d->n_metrics; i++) {
        const store_metric *m = &d->metrics[i];
        if (strncmp(m->reason, "SKIPPED", 7) != 0) {
            continue;
        }
        if (!begun) {
            doc_text(doc, "Metrics without a value:");
            doc_table(doc, columns, sizeof columns / sizeof columns[0]);
            begun = true;
        }
        doc_row(doc, (const char *const[]){m->model_name, m->dataset, m->name, m->reason});
    }
}

static status render(const report_data *d, report_doc *doc, error *err) {
    (void)err;
    doc_heading(doc, 2, "Outcomes");
    add_counts(d, doc);
    add_items(d, doc);
    add_skipped(d, doc);
    return STATUS_OK;
}

const section section_outcomes = {
    .info = {.id = "outcomes", .summary = "how the items ended; what was skipped and why", .cite = "", .version = 1},
    .render = render,
};
