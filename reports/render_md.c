/* SPDX-License-Identifier: Apache-2.0
 * GitHub Flavored Markdown. Every text is escaped: names come from models, datasets and configurations. */
#include <ctype.h>
#include <string.h>

#include "reports/renderer.h"

/* Characters with a meaning inside a line. '<', '>' and '&' could open HTML, '$' mathematics, '@' would call people. */
static void add_escaped(strbuf *out, const char *s, bool line_start) {
    /* at the start of a line also what would make a heading, list, quote, rule or fence */
    if (line_start && strchr("#+-=", s[0]) != NULL && s[0] != '\0') {
        strbuf_addf(out, "\\%c", s[0]);
        s++;
    } else if (line_start && isdigit((unsigned char)s[0])) {
        const size_t n = strspn(s, "0123456789");
        strbuf_addn(out, s, n);
        s += n;
        if (*s == '.' || *s == ')') {
            strbuf_addf(out, "\\%c", *s++);
        }
    }
    for (; *s != '\0'; s++) {
        switch (*s) {
        case '<': strbuf_add(out, "&lt;"); break;
        case '>': strbuf_add(out, "&gt;"); break;
        case '&': strbuf_add(out, "&amp;"); break;
        case '@': strbuf_add(out, "&#64;"); break;
        case '$': strbuf_add(out, "&#36;"); break;
        case '\\':
        case '`':
        case '*':
        case '_':
        case '[':
        case ']':
        case '~':
        case '|': strbuf_addf(out, "\\%c", *s); break;
        default: strbuf_addn(out, s, 1); break;
        }
    }
}

static void add_table(strbuf *out, const doc_block *b) {
    strbuf_add(out, "|");
    for (size_t j = 0; j < b->n_columns; j++) {
        strbuf_add(out, " ");
        add_escaped(out, b->columns[j].title, false);
        if (b->columns[j].unit[0] != '\0') {
            strbuf_add(out, " (");
            add_escaped(out, b->columns[j].unit, false);
            strbuf_add(out, ")");
        }
        strbuf_add(out, " |");
    }
    strbuf_add(out, "\n|");
    for (size_t j = 0; j < b->n_columns; j++) {
        strbuf_add(out, b->columns[j].align == 'r' ? " ---: |" : " :--- |");
    }
    strbuf_add(out, "\n");
    for (size_t i = 0; i < b->n_rows; i++) {
        strbuf_add(out, "|");
        for (size_t j = 0; j < b->n_columns; j++) {
            strbuf_add(out, " ");
            add_escaped(out, b->rows[i][j], false);
            strbuf_add(out, " |");
        }
        strbuf_add(out, "\n");
    }
}

static void add_block(strbuf *out, const doc_block *b) {
    switch (b->kind) {
    case DOC_HEADING:
        strbuf_addf(out, "%.*s ", b->level, "######");
        add_escaped(out, b->text, false);
        strbuf_add(out, "\n");
        break;
    case DOC_TEXT:
        add_escaped(out, b->text, true);
        strbuf_add(out, "\n");
        break;
    case DOC_NOTICE:
        strbuf_add(out, "> **Note:** ");
        add_escaped(out, b->text, false);
        strbuf_add(out, "\n");
        break;
    case DOC_FACTS:
        for (size_t i = 0; i < b->n_rows; i++) {
            strbuf_add(out, "- **");
            add_escaped(out, b->rows[i][0], false);
            strbuf_add(out, ":** ");
            add_escaped(out, b->rows[i][1], false);
            strbuf_add(out, "\n");
        }
        break;
    case DOC_TABLE: add_table(out, b); break;
    }
}

static void add_doc(const report_doc *doc, strbuf *out) {
    size_t n = 0;
    const doc_block *b = doc_blocks(doc, &n);
    for (size_t i = 0; i < n; i++) {
        strbuf_add(out, i > 0 ? "\n" : "");
        add_block(out, &b[i]);
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

const renderer renderer_md = {
    .info = {.id = "md", .summary = "GitHub Flavored Markdown", .cite = "", .version = 1},
    .extension = "md",
    .report = report,
    .comparison = comparison,
};
