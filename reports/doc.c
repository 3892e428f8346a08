/* SPDX-License-Identifier: Apache-2.0 */
#include "reports/doc.h"

#include <string.h>

struct report_doc {
    arena a;
    doc_block *blocks;
    size_t n, cap;
};

report_doc *doc_new(void) {
    return mem_zalloc(sizeof(report_doc));
}

void doc_free(report_doc *d) {
    if (d == NULL) {
        return;
    }
    for (size_t i = 0; i < d->n; i++) {
        mem_free(d->blocks[i].rows);
    }
    mem_free(d->blocks);
    arena_free(&d->a);
    mem_free(d);
}

const doc_block *doc_blocks(const report_doc *d, size_t *n) {
    *n = d->n;
    return d->blocks;
}

/* Bytes of one character at s that must not reach a terminal or a page, 0 if it may: C0 (newline apart), DEL, C1,
 * U+200E/F, U+202A..E, U+2066..9 (text that runs backwards disguises names), U+2028/9. */
static size_t harmful(const unsigned char *s) {
    if (s[0] < 0x20 || s[0] == 0x7f) {
        return 1;
    }
    if (s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f) {
        return 2;
    }
    if (s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0x8e || s[2] == 0x8f || (s[2] >= 0xa8 && s[2] <= 0xae))) {
        return 3;
    }
    return s[0] == 0xe2 && s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9 ? 3 : 0;
}

char *doc_clean(arena *a, const char *s) {
    if (s == NULL) {
        s = "";
    }
    const size_t n = strlen(s);
    char *out = arena_alloc(a, n + 1);
    char *o = out;
    for (size_t i = 0; i < n;) {
        const size_t good = str_utf8_valid(s + i, n - i);
        const size_t end = i + good;
        while (i < end) {
            const size_t bad = harmful((const unsigned char *)s + i);
            *o++ = bad == 0 ? s[i] : s[i] == '\n' || s[i] == '\t' ? ' ' : '?';
            i += bad == 0 ? 1 : bad;
        }
        if (i < n) {
            *o++ = '?';
            i++;
        }
    }
    return out;
}

char *doc_utf8(arena *a, const char *s) {
    if (s == NULL) {
        s = "";
    }
    const size_t n = strlen(s);
    char *out = arena_alloc(a, 3 * n + 1);
    char *o = out;
    for (size_t i = 0; i < n;) {
        const size_t good = str_utf8_valid(s + i, n - i);
        memcpy(o, s + i, good);
        o += good;
        i += good;
        if (i < n) {
            for (const char *c = "\xef\xbf\xbd"; *c != '\0'; c++) {
                *o++ = *c;
            }
            i++;
        }
    }
    return out;
}

static doc_block *push(report_doc *d, doc_kind kind) {
    d->blocks = mem_grow(d->blocks, &d->cap, d->n + 1, sizeof *d->blocks);
    doc_block *b = &d->blocks[d->n++];
    *b = (doc_block){.kind = kind};
    return b;
}

static char *vtext(report_doc *d, const char *fmt, va_list ap) {
    strbuf b = {0};
    strbuf_vaddf(&b, fmt, ap);
    char *clean = doc_clean(&d->a, strbuf_str(&b));
    strbuf_free(&b);
    return clean;
}

void doc_heading(report_doc *d, int level, const char *fmt, ...) {
    doc_block *b = push(d, DOC_HEADING);
    va_list ap;
    va_start(ap, fmt);
    b->text = vtext(d, fmt, ap);
    va_end(ap);
    b->level = level;
}

void doc_text(report_doc *d, const char *fmt, ...) {
    doc_block *b = push(d, DOC_TEXT);
    va_list ap;
    va_start(ap, fmt);
    b->text = vtext(d, fmt, ap);
    va_end(ap);
}

void doc_notice(report_doc *d, const char *fmt, ...) {
    doc_block *b = push(d, DOC_NOTICE);
    va_list ap;
    va_start(ap, fmt);
    b->text = vtext(d, fmt, ap);
    va_end(ap);
}

static char **push_row(doc_block *b, arena *a, size_t n_cells) {
    b->rows = mem_grow(b->rows, &b->cap_rows, b->n_rows + 1, sizeof *b->rows);
    char **row = arena_alloc(a, n_cells * sizeof *row);
    b->rows[b->n_rows++] = row;
    return row;
}

void doc_fact(report_doc *d, const char *key, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *value = vtext(d, fmt, ap);
    va_end(ap);
    if (value[0] == '\0') {
        return;
    }
    doc_block *b = d->n > 0 && d->blocks[d->n - 1].kind == DOC_FACTS ? &d->blocks[d->n - 1] : push(d, DOC_FACTS);
    char **row = push_row(b, &d->a, 2);
    row[0] = doc_clean(&d->a, key);
    row[1] = value;
}

void doc_table(report_doc *d, const doc_column *columns, size_t n_columns) {
    doc_block *b = push(d, DOC_TABLE);
    b->columns = arena_alloc(&d->a, n_columns * sizeof *b->columns);
    b->n_columns = n_columns;
    for (size_t j = 0; j < n_columns; j++) {
        b->columns[j].title = doc_clean(&d->a, columns[j].title);
        b->columns[j].unit = doc_clean(&d->a, columns[j].unit);
        b->columns[j].align = columns[j].align;
    }
}

void doc_row(report_doc *d, const char *const *cells) {
    doc_block *b = &d->blocks[d->n - 1];
    char **row = push_row(b, &d->a, b->n_columns);
    for (size_t j = 0; j < b->n_columns; j++) {
        row[j] = doc_clean(&d->a, cells[j]);
    }
}
