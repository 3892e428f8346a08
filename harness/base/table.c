/* SPDX-License-Identifier: Apache-2.0 */
#include "base/table.h"

#include <string.h>

#include "base/mem.h"

struct table {
    arena a;
    const char *align;
    size_t n_cols, n_rows, cap_rows;
    char ***rows; /* a NULL row is a rule */
};

table *table_new(const char *align) {
    table *t = mem_zalloc(sizeof *t);
    t->align = arena_strdup(&t->a, align);
    t->n_cols = strlen(align);
    return t;
}

static char *clean(arena *a, const char *s) {
    char *c = arena_strdup(a, s == NULL ? "" : s);
    str_make_printable(c, "");
    return c;
}

static void push(table *t, char **row) {
    t->rows = mem_grow(t->rows, &t->cap_rows, t->n_rows + 1, sizeof *t->rows);
    t->rows[t->n_rows++] = row;
}

void table_row(table *t, const char *const *cells) {
    char **row = arena_alloc(&t->a, t->n_cols * sizeof *row);
    for (size_t j = 0; j < t->n_cols; j++) {
        row[j] = clean(&t->a, cells[j]);
    }
    push(t, row);
}

void table_rule(table *t) {
    push(t, NULL);
}

static void pad(strbuf *out, size_t n, const char *with) {
    for (size_t i = 0; i < n; i++) {
        strbuf_add(out, with);
    }
}

static void render_row(const table *t, char **row, const size_t *width, strbuf *out) {
    size_t trailing = 0; /* spaces are held back so that lines do not end in them */
    for (size_t j = 0; j < t->n_cols; j++) {
        size_t gap = width[j] - str_width(row[j]);
        trailing += j == 0 ? 0 : 2;
        trailing += t->align[j] == 'r' ? gap : 0;
        if (row[j][0] != '\0') {
            pad(out, trailing, " ");
            strbuf_add(out, row[j]);
            trailing = 0;
        }
        trailing += t->align[j] == 'r' ? 0 : gap;
    }
    strbuf_add(out, "\n");
}

void table_render(const table *t, strbuf *out) {
    size_t *width = mem_zalloc((t->n_cols + 1) * sizeof *width);
    size_t total = 0;
    for (size_t j = 0; j < t->n_cols; j++) {
        for (size_t i = 0; i < t->n_rows; i++) {
            size_t w = t->rows[i] == NULL ? 0 : str_width(t->rows[i][j]);
            width[j] = w > width[j] ? w : width[j];
        }
        total += width[j] + (j > 0 ? 2 : 0);
    }
    for (size_t i = 0; i < t->n_rows; i++) {
        if (t->rows[i] == NULL) {
            pad(out, total, "─");
            strbuf_add(out, "\n");
        } else {
            render_row(t, t->rows[i], width, out);
        }
    }
    mem_free(width);
}

void table_free(table *t) {
    if (t != NULL) {
        mem_free(t->rows);
        arena_free(&t->a);
        mem_free(t);
    }
}
