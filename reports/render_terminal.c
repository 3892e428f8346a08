/* SPDX-License-Identifier: Apache-2.0
 * Plain text for a terminal: no colour, so that it can be piped and diffed. */
#include <string.h>

#include "base/table.h"
#include "reports/renderer.h"

enum { LINE = 100 };

/* Breaks text at blanks. `indent` blanks from the second line on. */
static void add_wrapped(strbuf *out, const char *text, const char *first, size_t indent) {
    strbuf_add(out, first);
    size_t at = str_width(first);
    bool line_begun = false;
    arena a = {0};
    for (const char *s = text; *s != '\0';) {
        const size_t blanks = strspn(s, " ");
        const size_t len = strcspn(s + blanks, " ");
        const char *word = arena_strndup(&a, s + blanks, len);
        const size_t width = str_width(word);
        if (line_begun && at + 1 + width > LINE) {
            strbuf_addf(out, "\n%*s", (int)indent, "");
            at = indent;
            line_begun = false;
        }
        strbuf_add(out, line_begun && len > 0 ? " " : "");
        at += line_begun ? 1 : 0;
        strbuf_add(out, word);
        at += width;
        line_begun = line_begun || len > 0;
        s += blanks + len;
    }
    arena_free(&a);
    strbuf_add(out, "\n");
}

static void add_heading(strbuf *out, const doc_block *b) {
    strbuf_addf(out, "%s\n", b->text);
    if (b->level < 3) {
        for (size_t i = 0; i < str_width(b->text); i++) {
            strbuf_add(out, b->level == 1 ? "═" : "─");
        }
        strbuf_add(out, "\n");
    }
}

static void add_facts(strbuf *out, const doc_block *b) {
    table *t = table_new("ll");
    for (size_t i = 0; i < b->n_rows; i++) {
        table_row(t, (const char *const *)b->rows[i]);
    }
    table_render(t, out);
    table_free(t);
}

static void add_table(strbuf *out, const doc_block *b) {
    arena a = {0};
    char *align = arena_alloc(&a, b->n_columns + 1);
    const char **title = arena_alloc(&a, b->n_columns * sizeof *title);
    for (size_t j = 0; j < b->n_columns; j++) {
        const doc_column *c = &b->columns[j];
        align[j] = c->align;
        title[j] = c->unit[0] == '\0' ? c->title : arena_printf(&a, "%s (%s)", c->title, c->unit);
    }
    table *t = table_new(align);
    table_row(t, title);
    table_rule(t);
    for (size_t i = 0; i < b->n_rows; i++) {
        table_row(t, (const char *const *)b->rows[i]);
    }
    table_render(t, out);
    table_free(t);
    arena_free(&a);
}

static void add_doc(const report_doc *doc, strbuf *out) {
    size_t n = 0;
    const doc_block *b = doc_blocks(doc, &n);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && b[i - 1].kind != DOC_HEADING) {
            strbuf_add(out, "\n");
        }
        switch (b[i].kind) {
        case DOC_HEADING: add_heading(out, &b[i]); break;
        case DOC_TEXT: add_wrapped(out, b[i].text, "", 0); break;
        case DOC_NOTICE: add_wrapped(out, b[i].text, "! ", 2); break;
        case DOC_FACTS: add_facts(out, &b[i]); break;
        case DOC_TABLE: add_table(out, &b[i]); break;
        }
    }
}

static status report(const report_data *d, const report_doc *doc, strbuf *out, error *err) {
    (void)d;
    (void)err;
    add_doc(doc, out);
    return STATUS_OK;
}

static status comparison(const compare_set *set, const report_doc *doc, strbuf *out, error *err) {
    (void)set;
    (void)err;
    add_doc(doc, out);
    return STATUS_OK;
}

const renderer renderer_terminal = {
    .info = {.id = "terminal", .summary = "plain text with aligned tables", .cite = "", .version = 1},
    .extension = "txt",
    .report = report,
    .comparison = comparison,
};
