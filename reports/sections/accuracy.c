/* SPDX-License-Identifier: Apache-2.0
 * Section accuracy: recall, precision and F1 of every class, and the most confused pairs. The whole confusion matrix is
 * in the JSON report. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reports/section.h"

enum { MAX_CLASSES = 50, MAX_PAIRS = 10 };

/* Undoes the escaping of slices: "a\,b" -> "a,b". Ends at an unescaped ','; *rest is what follows it. */
static char *unescape(const char *s, const char **rest, arena *a) {
    char *out = arena_alloc(a, strlen(s) + 1);
    char *o = out;
    for (; *s != '\0' && *s != ','; s++) {
        if (*s == '\\' && s[1] != '\0') {
            s++;
        }
        *o++ = *s;
    }
    *rest = *s == ',' ? s + 1 : s;
    return out;
}

typedef struct class_row {
    const store_metric *recall;
    size_t position;
} class_row;

/* Lowest recall first; equal ones in the store's order; last the classes without examples, whose 0 says nothing. */
static int by_recall(const void *x, const void *y) {
    const class_row *a = x;
    const class_row *b = y;
    if ((a->recall->n == 0) != (b->recall->n == 0)) {
        return a->recall->n == 0 ? 1 : -1;
    }
    if (a->recall->value != b->recall->value) {
        return a->recall->value < b->recall->value ? -1 : 1;
    }
    return (a->position > b->position) - (a->position < b->position);
}

static void add_class(const report_group *r, const store_metric *recall, report_doc *doc, arena *a) {
    const char *rest = NULL;
    char buf[3][REPORT_NUMBER_BYTES];
    doc_row(doc,
            (const char *const[]){unescape(recall->slice + strlen("class="), &rest, a),
                                  arena_printf(a, "%lld", (long long)recall->n), report_with_interval(recall, buf[0]),
                                  report_with_interval(report_metric(r, "precision", recall->slice), buf[1]),
                                  report_with_interval(report_metric(r, "f1", recall->slice), buf[2])});
}

static void add_classes(const report_group *r, report_doc *doc, arena *a) {
    static const doc_column columns[] = {
        {"class", "", 'l'}, {"n", "", 'r'}, {"recall", "", 'r'}, {"precision", "", 'r'}, {"F1", "", 'r'}};
    class_row *rows = arena_alloc(a, (r->n_metrics + 1) * sizeof *rows);
    size_t n = 0;
    for (size_t i = 0; i < r->n_metrics; i++) {
        if (strcmp(r->metrics[i]->name, "recall") == 0 && strncmp(r->metrics[i]->slice, "class=", 6) == 0) {
            rows[n] = (class_row){r->metrics[i], n};
            n++;
        }
    }
    qsort(rows, n, sizeof *rows, by_recall);
    doc_table(doc, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < n && i < MAX_CLASSES; i++) {
        add_class(r, rows[i].recall, doc, a);
    }
    if (n > MAX_CLASSES) {
        doc_text(doc, "The %d classes with the lowest recall of %zu.", (int)MAX_CLASSES, n);
    }
}

typedef struct pair_row {
    const store_metric *cell;
    const char *label, *pred;
    size_t position;
} pair_row;

static int by_count(const void *x, const void *y) {
    const pair_row *a = x;
    const pair_row *b = y;
    if (a->cell->value != b->cell->value) {
        return a->cell->value > b->cell->value ? -1 : 1;
    }
    return (a->position > b->position) - (a->position < b->position);
}

/* The cell "true=A,pred=B" off the diagonal; false for any other row. */
static bool read_pair(const store_metric *m, size_t position, pair_row *out, arena *a) {
    const char *rest = NULL;
    if (strcmp(m->name, "confusion") != 0 || strncmp(m->slice, "true=", 5) != 0) {
        return false;
    }
    const char *label = unescape(m->slice + 5, &rest, a);
    if (strncmp(rest, "pred=", 5) != 0) {
        return false;
    }
    const char *own = arena_strndup(a, m->slice + 5, (size_t)(rest - 1 - (m->slice + 5)));
    const bool diagonal = strcmp(own, rest + 5) == 0; /* as written: "\\(none)" is a class, "(none)" no prediction */
    *out = (pair_row){m, label, unescape(rest + 5, &rest, a), position};
    return !diagonal;
}

static void add_pairs(const report_group *r, report_doc *doc, arena *a) {
    static const doc_column columns[] = {{"true class", "", 'l'}, {"predicted", "", 'l'}, {"examples", "", 'r'}};
    pair_row *pairs = arena_alloc(a, (r->n_metrics + 1) * sizeof *pairs);
    size_t n = 0;
    for (size_t i = 0; i < r->n_metrics; i++) {
        n += read_pair(r->metrics[i], i, &pairs[n], a) ? 1 : 0;
    }
    if (n == 0) {
        return;
    }
    qsort(pairs, n, sizeof *pairs, by_count);
    doc_text(doc, "Most confused, the first %zu of %zu pairs:", n < MAX_PAIRS ? n : (size_t)MAX_PAIRS, n);
    doc_table(doc, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < n && i < MAX_PAIRS; i++) {
        doc_row(doc,
                (const char *const[]){pairs[i].label, pairs[i].pred, arena_printf(a, "%.0f", pairs[i].cell->value)});
    }
}

static bool has_classes(const report_group *r) {
    for (size_t i = 0; i < r->n_metrics; i++) {
        if (strcmp(r->metrics[i]->name, "recall") == 0) {
            return true;
        }
    }
    return false;
}

static status render(const report_data *d, report_doc *doc, error *err) {
    (void)err;
    bool begun = false;
    for (size_t i = 0; i < d->n_groups; i++) {
        const report_group *r = &d->groups[i];
        if (!has_classes(r)) {
            continue;
        }
        if (!begun) {
            doc_heading(doc, 2, "Classes");
            doc_text(doc,
                     "Recall: share of a class's n examples that are found. Precision: share of its predictions that "
                     "are right. Lowest recall first.");
            begun = true;
        }
        arena a = {0};
        doc_heading(doc, 3, "%s on %s, suite %s", r->g->model_name, r->g->dataset, r->g->suite);
        add_classes(r, doc, &a);
        add_pairs(r, doc, &a);
        arena_free(&a);
    }
    return STATUS_OK;
}

const section section_accuracy = {
    .info = {.id = "accuracy",
             .summary = "recall, precision and F1 per class, most confused pairs",
             .cite = "",
             .version = 1},
    .render = render,
};
