/* SPDX-License-Identifier: Apache-2.0
 * A report as blocks: what sections write and renderers read. All text is copied and made harmless for display:
 * control characters, bidirectional overrides and bytes that are not UTF-8 become '?', newlines blanks. Escaping for a
 * format is the renderer's business. */
#ifndef REPORTS_DOC_H
#define REPORTS_DOC_H

#include "base/mem.h"
#include "base/str.h"

typedef struct report_doc report_doc;

typedef enum doc_kind { DOC_HEADING, DOC_TEXT, DOC_NOTICE, DOC_FACTS, DOC_TABLE } doc_kind;

typedef struct doc_column {
    const char *title;
    const char *unit; /* "" = none */
    char align;       /* 'l' or 'r' */
} doc_column;

typedef struct doc_block {
    doc_kind kind;
    int level;        /* of a heading, 1..3 */
    const char *text; /* heading, text, notice */
    doc_column *columns;
    size_t n_columns;
    char ***rows; /* table: n_columns cells each; facts: key and value */
    size_t n_rows, cap_rows;
} doc_block;

report_doc *doc_new(void);
void doc_free(report_doc *d); /* NULL is allowed */
const doc_block *doc_blocks(const report_doc *d, size_t *n);

void doc_heading(report_doc *d, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void doc_text(report_doc *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What a reader must not miss: limits used, numbers that are not there. */
void doc_notice(report_doc *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Facts that follow each other form one list. An empty value is left out. */
void doc_fact(report_doc *d, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* doc_row adds to the table begun last; NULL cells are empty. */
void doc_table(report_doc *d, const doc_column *columns, size_t n_columns);
void doc_row(report_doc *d, const char *const *cells);

/* The rules of the head comment; the result lives in the arena. */
char *doc_clean(arena *a, const char *s);
/* Only bytes that are not UTF-8 are replaced, by U+FFFD: for JSON, which escapes the rest. */
char *doc_utf8(arena *a, const char *s);

#endif
