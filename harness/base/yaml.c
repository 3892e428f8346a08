/* SPDX-License-Identifier: Apache-2.0
 * Loading: from libfyaml's events to the tree. The document API of libfyaml is not used: it recurses, resolves
 * aliases and compares keys pairwise; events let us count and refuse before anything grows. */
#include "base/yaml.h"

#include <libfyaml.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/str.h"

/* A node under construction; `next` chains the children of one parent. */
typedef struct built {
    yaml_node node; /* first */
    struct built *next;
} built;

typedef struct frame {
    built *parent, *first, *last;
    size_t n_children;
} frame;

typedef struct builder {
    const char *file;
    arena *mem;
    error *err;
    frame stack[YAML_MAX_DEPTH];
    size_t depth, n_nodes, n_documents;
    built *root;
    int line, col; /* of the last event that had a place, for those that have none */
} builder;

static status fail_here(const builder *b, const char *text) {
    return error_set(b->err, STATUS_USAGE, "%s:%d:%d: %s", b->file, b->line, b->col, text);
}

static void note_place(builder *b, struct fy_event *e) {
    const struct fy_mark *m = fy_event_start_mark(e);
    if (m != NULL && m->line >= 0 && m->column >= 0) {
        b->line = m->line + 1;
        b->col = m->column + 1;
    }
}

static built *add_node(builder *b, yaml_kind kind) {
    built *n = arena_alloc(b->mem, sizeof *n);
    n->node = (yaml_node){.kind = kind, .line = b->line, .col = b->col, .file = b->file};
    b->n_nodes++;
    if (b->depth == 0) {
        b->root = n;
        return n;
    }
    frame *f = &b->stack[b->depth - 1];
    if (f->last == NULL) {
        f->first = n;
    } else {
        f->last->next = n;
    }
    f->last = n;
    f->n_children++;
    return n;
}

static status add_scalar(builder *b, struct fy_event *e) {
    built *n = add_node(b, YAML_SCALAR);
    size_t len = 0;
    struct fy_token *token = e->scalar.value;
    const char *text = token == NULL ? "" : fy_token_get_text(token, &len);
    if (text == NULL) {
        return fail_here(b, "unreadable text");
    }
    if (memchr(text, '\0', len) != NULL) {
        return fail_here(b, "text with a NUL character");
    }
    if (str_utf8_valid(text, len) != len) { /* an escape wrote it: "\ud800" */
        return fail_here(b, "an escape that is no character");
    }
    n->node.text = arena_strndup(b->mem, text, len);
    enum fy_scalar_style style = token == NULL ? FYSS_PLAIN : fy_token_scalar_style(token);
    n->node.quoted = style != FYSS_PLAIN;
    if ((style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED) && n->node.col > 1) {
        n->node.col--; /* libfyaml's mark stands behind the quote */
    }
    return STATUS_OK;
}

static status open_node(builder *b, yaml_kind kind) {
    if (b->depth == YAML_MAX_DEPTH) {
        return fail_here(b, "nested deeper than 32 levels");
    }
    built *n = add_node(b, kind);
    b->stack[b->depth++] = (frame){.parent = n};
    return STATUS_OK;
}

static int by_text_then_place(const void *a, const void *b) {
    const yaml_node *x = *(const yaml_node *const *)a;
    const yaml_node *y = *(const yaml_node *const *)b;
    int c = strcmp(x->text, y->text);
    if (c == 0) {
        c = (x->line > y->line) - (x->line < y->line);
    }
    return c != 0 ? c : (x->col > y->col) - (x->col < y->col);
}

static status refuse_duplicates(const builder *b, const yaml_node *map) {
    if (map->n < 2) {
        return STATUS_OK;
    }
    const yaml_node **sorted = mem_zalloc(map->n * sizeof *sorted);
    memcpy(sorted, map->key, map->n * sizeof *sorted);
    qsort(sorted, map->n, sizeof *sorted, by_text_then_place);
    status s = STATUS_OK;
    for (size_t i = 1; s == STATUS_OK && i < map->n; i++) {
        if (strcmp(sorted[i - 1]->text, sorted[i]->text) == 0) {
            s = yaml_fail(sorted[i], b->err, "duplicate key \"%.80s\" (first on line %d)", sorted[i]->text,
                          sorted[i - 1]->line);
        }
    }
    mem_free(sorted);
    return s;
}

static status close_node(builder *b) {
    const frame *f = &b->stack[--b->depth];
    yaml_node *n = &f->parent->node;
    bool is_map = n->kind == YAML_MAPPING;
    n->n = is_map ? f->n_children / 2 : f->n_children;
    const yaml_node **item = arena_alloc(b->mem, n->n * sizeof *item);
    const yaml_node **key = is_map ? arena_alloc(b->mem, n->n * sizeof *key) : NULL;
    size_t i = 0;
    for (const built *c = f->first; c != NULL && i < n->n; c = c->next, i++) {
        if (key != NULL) {
            if (c->node.kind != YAML_SCALAR) {
                return yaml_fail(&c->node, b->err, "a key must be plain text, not %s", yaml_kind_name(&c->node));
            }
            key[i] = &c->node;
            c = c->next;
        }
        item[i] = &c->node;
    }
    n->item = item;
    n->key = key;
    return is_map ? refuse_duplicates(b, n) : STATUS_OK;
}

static status refuse_marks(const builder *b, const struct fy_token *anchor, const struct fy_token *tag) {
    if (anchor != NULL) {
        return fail_here(b, "anchors (&name) are not allowed here");
    }
    return tag != NULL ? fail_here(b, "tags (!name) are not allowed here") : STATUS_OK;
}

static status take_event(builder *b, struct fy_event *e) {
    note_place(b, e);
    if (b->n_nodes >= YAML_MAX_NODES) {
        return fail_here(b, "more than 100000 values");
    }
    switch (e->type) {
    case FYET_DOCUMENT_START:
        return b->n_documents++ == 0 ? STATUS_OK : fail_here(b, "a second document: one file holds one document");
    case FYET_MAPPING_START:
        TRY(refuse_marks(b, e->mapping_start.anchor, e->mapping_start.tag));
        return open_node(b, YAML_MAPPING);
    case FYET_SEQUENCE_START:
        TRY(refuse_marks(b, e->sequence_start.anchor, e->sequence_start.tag));
        return open_node(b, YAML_SEQUENCE);
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END: return b->depth > 0 ? close_node(b) : fail_here(b, "unbalanced end");
    case FYET_SCALAR: TRY(refuse_marks(b, e->scalar.anchor, e->scalar.tag)); return add_scalar(b, e);
    case FYET_ALIAS: return fail_here(b, "aliases (*name) are not allowed here");
    case FYET_NONE:
    case FYET_STREAM_START:
    case FYET_STREAM_END:
    case FYET_DOCUMENT_END: return STATUS_OK;
    }
    return STATUS_OK;
}

/* libfyaml hands its messages here, and would write to stderr otherwise; the collected errors are used instead. */
static void swallow(struct fy_diag *diag, void *user, const char *text, size_t n) {
    (void)diag;
    (void)user;
    (void)text;
    (void)n;
}

static status syntax_error(const builder *b, struct fy_diag *diag) {
    void *at = NULL;
    const struct fy_diag_error *first = fy_diag_errors_iterate(diag, &at);
    if (first == NULL || first->msg == NULL) {
        return fail_here(b, "not well-formed YAML");
    }
    int line = first->line > 0 ? first->line : b->line;
    int col = first->column > 0 ? first->column : b->col;
    return error_set(b->err, STATUS_USAGE, "%s:%d:%d: not well-formed YAML: %.200s", b->file, line, col, first->msg);
}

static status parse_events(builder *b, struct fy_parser *parser, struct fy_diag *diag) {
    for (;;) {
        struct fy_event *e = fy_parser_parse(parser);
        if (e == NULL) {
            break;
        }
        bool end = e->type == FYET_STREAM_END;
        status s = take_event(b, e);
        fy_parser_event_free(parser, e);
        if (s != STATUS_OK) {
            return s;
        }
        if (end) {
            return STATUS_OK;
        }
    }
    return fy_parser_get_stream_error(parser) ? syntax_error(b, diag) : STATUS_OK;
}

enum { MAX_BLANKS = 256 };

/* What libfyaml 0.7.12 reads in quadratic time, and no honest file holds: a line of many '%' (40 kB took ten seconds)
 * and a long run of blanks behind "- " (30 kB took two). Directives (%YAML, %TAG) serve tags, which are refused. */
static status refuse_slow(const char *file, const char *text, size_t n, error *err) {
    int line = 1;
    size_t blanks = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '%' && (i == 0 || text[i - 1] == '\n' || text[i - 1] == '\r')) {
            return error_set(err, STATUS_USAGE, "%s:%d:1: directives (%%NAME) are not allowed here", file, line);
        }
        blanks = text[i] == ' ' || text[i] == '\t' ? blanks + 1 : 0;
        if (blanks > MAX_BLANKS) {
            return error_set(err, STATUS_USAGE, "%s:%d:1: more than %d blanks in a row", file, line, MAX_BLANKS);
        }
        line += text[i] == '\n' ? 1 : 0;
    }
    return STATUS_OK;
}

static status check_bytes(const char *file, const char *text, size_t n, error *err) {
    size_t valid = str_utf8_valid(text, n);
    const char *nul = n == 0 ? NULL : memchr(text, '\0', n);
    if (valid == n && nul == NULL) {
        return refuse_slow(file, text, n, err);
    }
    size_t at = nul != NULL && (size_t)(nul - text) < valid ? (size_t)(nul - text) : valid;
    int line = 1;
    int col = 1;
    for (size_t i = 0; i < at; i++) {
        col = text[i] == '\n' ? 1 : col + 1;
        line += text[i] == '\n' ? 1 : 0;
    }
    return error_set(err, STATUS_USAGE, "%s:%d:%d: %s", file, line, col,
                     at == valid ? "invalid UTF-8" : "a NUL byte: this is not a text file");
}

status yaml_load_text(const char *file, const char *text, size_t n, arena *a, const yaml_node **root, error *err) {
    *root = NULL;
    TRY(check_bytes(file, text, n, err));
    builder b = {.file = arena_strdup(a, file), .mem = a, .err = err, .line = 1, .col = 1};
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    diag_cfg.output_fn = swallow;
    diag_cfg.colorize = false;
    struct fy_diag *diag = fy_diag_create(&diag_cfg);
    if (diag == NULL) {
        return error_set(err, STATUS_MEMORY, "%s: libfyaml has no memory", file);
    }
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg cfg = {
        .flags = FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE | FYPCF_QUIET | FYPCF_COLLECT_DIAG,
        .diag = diag,
    };
    struct fy_parser *parser = fy_parser_create(&cfg);
    status s = STATUS_OK;
    if (parser == NULL || fy_parser_set_string(parser, text, n) != 0) {
        s = error_set(err, STATUS_MEMORY, "%s: libfyaml has no memory", file);
    } else {
        s = parse_events(&b, parser, diag);
    }
    if (parser != NULL) {
        fy_parser_destroy(parser);
    }
    fy_diag_destroy(diag);
    TRY(s);
    if (b.depth != 0) {
        return fail_here(&b, "not well-formed YAML: the file ends too early");
    }
    if (b.root == NULL || yaml_is_empty(&b.root->node)) {
        b.root = arena_alloc(a, sizeof *b.root);
        b.root->node = (yaml_node){.kind = YAML_MAPPING, .line = 1, .col = 1, .file = b.file};
    }
    *root = &b.root->node;
    return STATUS_OK;
}

status yaml_load_file(const char *path, size_t limit, arena *a, const yaml_node **root, error *err) {
    *root = NULL;
    char *text = NULL;
    size_t n = 0;
    status s = io_read_file(path, limit, &text, &n, err);
    if (s != STATUS_OK) {
        return s == STATUS_DATA ? error_set(err, STATUS_USAGE, "%s: more than %zu bytes", path, limit) : s;
    }
    s = yaml_load_text(path, text, n, a, root, err);
    mem_free(text);
    return s;
}
