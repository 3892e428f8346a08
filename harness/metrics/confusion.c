/* SPDX-License-Identifier: Apache-2.0
 * confusion: the non-empty cells of the confusion matrix, and recall, precision and F1 of every class. The classes are
 * the model's and whatever else occurs as label or prediction. 0/0 is 0 with the degenerate flag (as sklearn). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "math/interval.h"
#include "metrics/common.h"

typedef struct cell {
    int32_t label, pred; /* pred -1: non-finite outputs */
} cell;

typedef struct tally {
    int32_t id;
    int64_t n_label, n_pred, n_hit;
} tally;

typedef struct work {
    arena a;
    const columns *c;
    cell *cells; /* one per labelled example, sorted */
    size_t n_cells;
    tally *classes; /* ascending id */
    size_t n_classes;
    char **names; /* per class, unique and escaped */
} work;

static int by_cell(const void *x, const void *y) {
    const cell *a = x;
    const cell *b = y;
    return a->label != b->label ? (a->label > b->label) - (a->label < b->label)
                                : (a->pred > b->pred) - (a->pred < b->pred);
}

static int by_id(const void *x, const void *y) {
    const tally *a = x;
    const tally *b = y;
    return (a->id > b->id) - (a->id < b->id);
}

static tally *class_of(const work *w, int32_t id) {
    const tally key = {.id = id};
    return bsearch(&key, w->classes, w->n_classes, sizeof key, by_id);
}

static void gather_cells(work *w) {
    const columns *c = w->c;
    for (size_t i = 0; i < c->n; i++) {
        if (metric_labelled(c->flags[i], c->label[i])) {
            const bool none = (c->flags[i] & OBS_NONFINITE) != 0 || c->pred[i] < 0;
            w->cells[w->n_cells++] = (cell){c->label[i], none ? -1 : c->pred[i]};
        }
    }
    qsort(w->cells, w->n_cells, sizeof *w->cells, by_cell);
}

/* Sorted union of the model's classes, labels and predictions, with their counts. */
static void gather_classes(work *w) {
    size_t n = 0;
    for (size_t j = 0; j < w->c->n_classes; j++) {
        w->classes[n++].id = (int32_t)j;
    }
    for (size_t i = 0; i < w->n_cells; i++) {
        w->classes[n++].id = w->cells[i].label;
        if (w->cells[i].pred >= 0) {
            w->classes[n++].id = w->cells[i].pred;
        }
    }
    qsort(w->classes, n, sizeof *w->classes, by_id);
    for (size_t i = 0; i < n; i++) {
        if (w->n_classes == 0 || w->classes[w->n_classes - 1].id != w->classes[i].id) {
            w->classes[w->n_classes++] = (tally){.id = w->classes[i].id};
        }
    }
    for (size_t i = 0; i < w->n_cells; i++) {
        tally *t = class_of(w, w->cells[i].label);
        t->n_label++;
        t->n_hit += w->cells[i].pred == w->cells[i].label ? 1 : 0;
        if (w->cells[i].pred >= 0) {
            class_of(w, w->cells[i].pred)->n_pred++;
        }
    }
}

static const char *raw_name(const columns *c, int32_t id) {
    return c->class_names != NULL && (size_t)id < c->n_classes ? c->class_names[id] : NULL;
}

static int by_text(const void *x, const void *y) {
    const char *const *a = x;
    const char *const *b = y;
    return strcmp(*a, *b);
}

static const char no_prediction[] = "(none)";

/* '\', ',' and '=' are escaped by '\', so that a slice can be taken apart again; and so is the beginning of a class
 * that is called like the lack of a prediction. */
static char *escaped(arena *a, const char *s) {
    char *out = arena_alloc(a, 2 * strlen(s) + 2);
    char *o = out;
    if (strcmp(s, no_prediction) == 0) {
        *o++ = '\\';
    }
    for (; *s != '\0'; s++) {
        if (*s == '\\' || *s == ',' || *s == '=') {
            *o++ = '\\';
        }
        *o++ = *s;
    }
    return out;
}

/* The class name, or the index where there is none; index appended where two classes share a name. */
static void name_classes(work *w) {
    const char **sorted = arena_alloc(&w->a, (w->c->n_classes + 1) * sizeof *sorted);
    size_t n = 0;
    for (size_t j = 0; j < w->c->n_classes && w->c->class_names != NULL; j++) {
        sorted[n++] = w->c->class_names[j];
    }
    qsort(sorted, n, sizeof *sorted, by_text);
    w->names = arena_alloc(&w->a, (w->n_classes + 1) * sizeof *w->names);
    for (size_t i = 0; i < w->n_classes; i++) {
        const int32_t id = w->classes[i].id;
        const char *name = raw_name(w->c, id);
        if (name == NULL) {
            w->names[i] = arena_printf(&w->a, "%s%d", w->c->class_names != NULL ? "#" : "", (int)id);
            continue;
        }
        const char **hit = bsearch(&name, sorted, n, sizeof *sorted, by_text);
        const bool twice =
            (hit > sorted && strcmp(hit[-1], name) == 0) || (hit + 1 < sorted + n && strcmp(hit[1], name) == 0);
        const char *safe = escaped(&w->a, name);
        w->names[i] = twice ? arena_printf(&w->a, "%s#%d", safe, (int)id) : arena_strdup(&w->a, safe);
    }
}

static const char *name_of(const work *w, int32_t id) {
    return id < 0 ? no_prediction : w->names[class_of(w, id) - w->classes];
}

static void emit_zero(const metric_sink *sink, const char *name, const char *slice, double level, const char *reason) {
    sink->row(sink->context, &(metric_row){.name = name,
                                           .slice = slice,
                                           .value = 0.0,
                                           .lo = NAN,
                                           .hi = NAN,
                                           .level = level,
                                           .n = 0,
                                           .ci_method = "",
                                           .unit = "fraction",
                                           .better = BETTER_HIGHER,
                                           .flags = METRIC_FLAG_DEGENERATE | METRIC_FLAG_NO_INTERVAL,
                                           .reason = reason});
}

/* F1 = 2J/(1 + J) of the Jaccard share J = hits / (labelled or predicted so), which is a proportion: its Wilson
 * interval, mapped by the same monotone function (Hand, Christen, Kirielle 2021). */
static void emit_f1(const metric_sink *sink, const char *slice, const tally *t, double level) {
    const int64_t n = t->n_label + t->n_pred - t->n_hit;
    if (n == 0) {
        emit_zero(sink, "f1", slice, level, "neither labelled nor predicted: 0 by convention");
        return;
    }
    const interval v = interval_wilson(t->n_hit, n, level);
    const double f = 2.0 * (double)t->n_hit / (double)(t->n_label + t->n_pred);
    sink->row(sink->context, &(metric_row){.name = "f1",
                                           .slice = slice,
                                           .value = f,
                                           .lo = fmin(2.0 * v.lo / (1.0 + v.lo), f),
                                           .hi = fmax(2.0 * v.hi / (1.0 + v.hi), f),
                                           .level = level,
                                           .n = n,
                                           .ci_method = "wilson-jaccard",
                                           .unit = "fraction",
                                           .better = BETTER_HIGHER,
                                           .reason = ""});
}

static void emit_classes(work *w, double level, const metric_sink *sink) {
    for (size_t i = 0; i < w->n_classes; i++) {
        const tally *t = &w->classes[i];
        const char *slice = arena_printf(&w->a, "class=%s", w->names[i]);
        if (t->n_label > 0) {
            metric_proportion(sink, "recall", slice, t->n_hit, t->n_label, level, 0, "");
        } else {
            emit_zero(sink, "recall", slice, level, "no example has this label: 0 by convention");
        }
        if (t->n_pred > 0) {
            metric_proportion(sink, "precision", slice, t->n_hit, t->n_pred, level, 0, "");
        } else {
            emit_zero(sink, "precision", slice, level, "never predicted: 0 by convention");
        }
        emit_f1(sink, slice, t, level);
    }
}

static void emit_cells(work *w, double level, const metric_sink *sink) {
    for (size_t i = 0; i < w->n_cells;) {
        size_t j = i;
        while (j < w->n_cells && by_cell(&w->cells[i], &w->cells[j]) == 0) {
            j++;
        }
        const char *slice =
            arena_printf(&w->a, "true=%s,pred=%s", name_of(w, w->cells[i].label), name_of(w, w->cells[i].pred));
        sink->row(sink->context, &(metric_row){.name = "confusion",
                                               .slice = slice,
                                               .value = (double)(j - i),
                                               .lo = NAN,
                                               .hi = NAN,
                                               .level = level,
                                               .n = (int64_t)w->n_cells,
                                               .ci_method = "",
                                               .unit = "count",
                                               .better = BETTER_NONE,
                                               .flags = METRIC_FLAG_NO_INTERVAL,
                                               .reason = ""});
        i = j;
    }
}

static status compute(const void *params, const columns *c, double level, const metric_sink *sink, error *err) {
    (void)params;
    work w = {.c = c};
    size_t n_ids = 0;
    if (!mem_mul(c->n, 2, &n_ids) || !mem_add(n_ids, c->n_classes + 1, &n_ids)) {
        return error_set(err, STATUS_MEMORY, "the confusion matrix of %zu examples is too large", c->n);
    }
    w.cells = mem_try(c->n + 1, sizeof *w.cells, "the confusion matrix", err);
    w.classes = mem_try(n_ids, sizeof *w.classes, "the confusion matrix", err);
    const bool ok = w.cells != NULL && w.classes != NULL;
    if (ok) {
        gather_cells(&w);
    }
    if (ok && w.n_cells == 0) {
        metric_undefined(sink, "confusion", "count", BETTER_NONE, 0, level, "no labelled examples");
    } else if (ok) {
        gather_classes(&w);
        name_classes(&w);
        emit_classes(&w, level, sink);
        emit_cells(&w, level, sink);
    }
    mem_free(w.cells);
    mem_free(w.classes);
    arena_free(&w.a);
    return ok ? STATUS_OK : STATUS_MEMORY;
}

const metric metric_confusion = {
    .info = {.id = "confusion",
             .summary = "confusion counts (rows are the truth); recall, precision and F1 of every class",
             .cite = "Hand, Christen, Kirielle 2021, F*: an interpretable transformation of the F-measure",
             .version = 1,
             .flags = METRIC_NEEDS_LABEL | METRIC_NEEDS_PRED},
    .compute = compute,
};
