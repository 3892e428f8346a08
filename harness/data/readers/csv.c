/* SPDX-License-Identifier: Apache-2.0
 * CSV (RFC 4180) through libcsv, strict: header line, quotes, missing spellings, declared encodings.
 * File: `table`. The text is cut into records here, by the parity of quotes, and libcsv parses one record at a
 * time: so every message names the line on which its cell really starts, quoted newlines or not. */
#include <csv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/str.h"
#include "data/reader.h"

/* The whole table as text. Sizes follow from counting separators before anything is allocated. */
typedef struct table {
    const char *path;
    char *text; /* NUL-terminated cells, one behind the other */
    size_t n_text;
    size_t *cell; /* offsets into text: header first, row by row */
    size_t n_cells, max_cells, n_columns, n_rows;
    int64_t *line; /* (1 + n_rows) on which each record starts */
    size_t *keep;  /* rows to keep, ascending */
    size_t n_keep;
    size_t n_record_cells, n_records; /* of the record being parsed */
} table;

static const char *cell_at(const table *t, size_t row, size_t column) {
    return t->text + t->cell[(row + 1) * t->n_columns + column];
}

static const char *column_name(const table *t, size_t column) {
    return t->text + t->cell[column];
}

/* The line on which a cell starts: newlines inside earlier cells of its record count. */
static long long cell_line(const table *t, size_t row, size_t column) {
    long long line = t->line[row + 1];
    for (size_t k = 0; k < column; k++) {
        for (const char *c = cell_at(t, row, k); *c != '\0'; c++) {
            line += *c == '\n' ? 1 : 0;
        }
    }
    return line;
}

static status cell_error(const table *t, size_t row, size_t column, const char *why, error *err) {
    return error_set(err, STATUS_DATA, "%s:%lld: column \"%.80s\": \"%.80s\" %s", t->path, cell_line(t, row, column),
                     column_name(t, column), cell_at(t, row, column), why);
}

/* ---- from bytes to cells --------------------------------------------------------------------------------- */

static void on_cell(void *text, size_t n, void *user) {
    table *t = user;
    if (t->n_cells < t->max_cells) { /* always: cells were counted */
        t->cell[t->n_cells++] = t->n_text;
        if (n > 0) {
            memcpy(t->text + t->n_text, text, n);
        }
        t->n_text += n;
        t->text[t->n_text++] = '\0';
    }
    t->n_record_cells++;
}

static void on_record(int terminator, void *user) {
    (void)terminator;
    ((table *)user)->n_records++;
}

/* One past the end of the record at `from`, its newline included. False: a quote is never closed. */
static bool record_end(const char *text, size_t n, size_t from, size_t *end) {
    bool quoted = false;
    size_t i = from;
    for (; i < n; i++) {
        if (text[i] == '"') {
            quoted = !quoted;
        } else if (text[i] == '\n' && !quoted) {
            *end = i + 1;
            return true;
        }
    }
    *end = n;
    return !quoted;
}

static size_t count_byte(const char *text, size_t n, char c) {
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        k += text[i] == c ? 1 : 0;
    }
    return k;
}

static status check_text(const char *path, const char *text, size_t n, error *err) {
    const char *nul = n == 0 ? NULL : memchr(text, '\0', n);
    size_t valid = str_utf8_valid(text, n);
    size_t at = nul != NULL && (size_t)(nul - text) < valid ? (size_t)(nul - text) : valid;
    if (at == n) {
        return STATUS_OK;
    }
    return error_set(err, STATUS_DATA, "%s:%zu: %s", path, 1 + count_byte(text, at, '\n'),
                     at == valid ? "invalid UTF-8" : "a NUL byte");
}

static status table_alloc(table *t, const char *text, size_t n, error *err) {
    size_t lines = count_byte(text, n, '\n') + 1;
    t->max_cells = lines + count_byte(text, n, ',');
    t->text = mem_try(n + t->max_cells, 1, t->path, err);
    t->cell = mem_try(t->max_cells, sizeof *t->cell, t->path, err);
    t->line = mem_try(lines + 1, sizeof *t->line, t->path, err);
    t->keep = mem_try(lines + 1, sizeof *t->keep, t->path, err);
    return t->text == NULL || t->cell == NULL || t->line == NULL || t->keep == NULL ? STATUS_MEMORY : STATUS_OK;
}

static void table_free(table *t) {
    mem_free(t->text);
    mem_free(t->cell);
    mem_free(t->line);
    mem_free(t->keep);
}

static status take_record(table *t, struct csv_parser *p, const char *text, size_t n, int64_t line, error *err) {
    t->n_record_cells = 0;
    t->n_records = 0;
    bool parsed = csv_parse(p, text, n, on_cell, on_record, t) == n;
    if (parsed && (n == 0 || text[n - 1] != '\n')) {
        parsed = csv_fini(p, on_cell, on_record, t) == 0;
    }
    if (!parsed) {
        return error_set(err, STATUS_DATA, "%s:%lld: malformed quotes", t->path, (long long)line);
    }
    if (t->n_records == 0) {
        return STATUS_OK; /* a blank line */
    }
    if (t->n_records > 1) {
        return error_set(err, STATUS_DATA, "%s:%lld: a bare carriage return", t->path, (long long)line);
    }
    bool header = t->n_columns == 0;
    if (header) {
        t->n_columns = t->n_record_cells;
    } else {
        t->n_rows++;
    }
    t->line[t->n_rows] = line;
    return t->n_record_cells == t->n_columns
               ? STATUS_OK
               : error_set(err, STATUS_DATA, "%s:%lld: %zu cells where the header has %zu", t->path, (long long)line,
                           t->n_record_cells, t->n_columns);
}

static status take_records(table *t, const char *text, size_t n, error *err) {
    struct csv_parser p;
    if (csv_init(&p, CSV_STRICT | CSV_STRICT_FINI) != 0) {
        return error_set(err, STATUS_MEMORY, "%s: libcsv has no memory", t->path);
    }
    status s = STATUS_OK;
    int64_t line = 1;
    for (size_t at = 0, end = 0; s == STATUS_OK && at < n; at = end) {
        if (!record_end(text, n, at, &end)) {
            s = error_set(err, STATUS_DATA, "%s:%lld: a quote in this record is never closed", t->path,
                          (long long)line);
            break;
        }
        s = take_record(t, &p, text + at, end - at, line, err);
        line += (int64_t)count_byte(text + at, end - at, '\n');
    }
    csv_free(&p);
    if (s == STATUS_OK && t->n_columns == 0) {
        return error_set(err, STATUS_DATA, "%s: empty, not even a header", t->path);
    }
    return s;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static status check_header(const table *t, error *err) {
    const char **names = mem_zalloc(t->n_columns * sizeof *names);
    for (size_t i = 0; i < t->n_columns; i++) {
        names[i] = column_name(t, i);
    }
    qsort(names, t->n_columns, sizeof *names, by_name);
    status s = STATUS_OK;
    for (size_t i = 1; s == STATUS_OK && i < t->n_columns; i++) {
        if (strcmp(names[i - 1], names[i]) == 0) {
            s = error_set(err, STATUS_DATA, "%s:%lld: duplicate column \"%.80s\"", t->path, (long long)t->line[0],
                          names[i]);
        }
    }
    mem_free(names);
    return s;
}

static status table_read(table *t, const char *text, size_t n, error *err) {
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* the byte order mark that spreadsheets write */
        text += 3;
        n -= 3;
    }
    TRY(check_text(t->path, text, n, err));
    TRY(table_alloc(t, text, n, err));
    TRY(take_records(t, text, n, err));
    return check_header(t, err);
}

/* ---- from cells to columns ------------------------------------------------------------------------------- */

static status find_column(const manifest_record *r, int line, const table *t, const char *name, size_t *at,
                          error *err) {
    for (*at = 0; *at < t->n_columns; (*at)++) {
        if (strcmp(column_name(t, *at), name) == 0) {
            return STATUS_OK;
        }
    }
    const char **names = mem_zalloc(t->n_columns * sizeof *names);
    for (size_t i = 0; i < t->n_columns; i++) {
        names[i] = column_name(t, i);
    }
    const char *near = str_nearest(name, names, t->n_columns);
    status s = error_set(err, STATUS_DATA, "%s:%d: dataset \"%s\": %s has no column \"%.80s\"%s%.80s%s",
                         r->manifest_path, line, r->id, t->path, name, near == NULL ? "" : ", did you mean \"",
                         near == NULL ? "" : near, near == NULL ? "" : "\"?");
    mem_free(names);
    return s;
}

static bool is_missing(const manifest_record *r, const char *text) {
    for (size_t i = 0; i < r->n_missing; i++) {
        if (strcmp(text, r->missing[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* `split_column` first, then the window `rows` of what is left. */
static status choose_rows(const manifest_record *r, table *t, error *err) {
    size_t column = 0;
    if (r->split_column != NULL) {
        TRY(find_column(r, r->line, t, r->split_column, &column, err));
    }
    size_t n = 0;
    for (size_t i = 0; i < t->n_rows; i++) {
        if (r->split_column == NULL || strcmp(cell_at(t, i, column), r->split) == 0) {
            t->keep[n++] = i;
        }
    }
    if (n == 0 && t->n_rows > 0) {
        return error_set(err, STATUS_DATA, "%s: no row has \"%.80s\" in the column \"%s\": the dataset \"%s\" is empty",
                         t->path, r->split, r->split_column, r->id);
    }
    size_t first = 0;
    TRY(reader_rows(r, reader_file(r, "table"), n, &first, &t->n_keep, err));
    memmove(t->keep, t->keep + first, t->n_keep * sizeof *t->keep);
    return t->n_keep > 0 ? STATUS_OK : error_set(err, STATUS_DATA, "%s: the dataset \"%s\" is empty", t->path, r->id);
}

static status read_real(const manifest_record *r, const table *t, size_t column, dataset *out, double **value,
                        error *err) {
    double *v = reader_alloc(out, t->n_keep, sizeof *v, "a column", err);
    if (v == NULL) {
        return STATUS_MEMORY;
    }
    for (size_t i = 0; i < t->n_keep; i++) {
        const char *text = cell_at(t, t->keep[i], column);
        if (is_missing(r, text)) {
            v[i] = (double)NAN;
        } else if (!str_to_double(text, &v[i])) {
            return cell_error(t, t->keep[i], column, "is not a number", err);
        } else if (!isfinite(v[i])) {
            return cell_error(t, t->keep[i], column, "is not finite", err);
        }
    }
    *value = v;
    return STATUS_OK;
}

/* The different spellings of a column, sorted: its levels where none are declared. */
static status levels_found(const manifest_record *r, const table *t, size_t column, dataset *out,
                           const char *const **levels, size_t *n_levels, error *err) {
    const char **all = mem_try(t->n_keep, sizeof *all, t->path, err);
    if (all == NULL) {
        return STATUS_MEMORY;
    }
    size_t n = 0;
    for (size_t i = 0; i < t->n_keep; i++) {
        const char *text = cell_at(t, t->keep[i], column);
        if (!is_missing(r, text)) {
            all[n++] = text;
        }
    }
    qsort(all, n, sizeof *all, by_name);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(all[i], all[k - 1]) != 0) {
            all[k++] = all[i];
        }
    }
    const char **copy = reader_alloc(out, k, sizeof *copy, "levels", err);
    for (size_t i = 0; copy != NULL && i < k; i++) {
        copy[i] = arena_strdup(&out->mem, all[i]);
    }
    mem_free(all);
    *levels = copy;
    *n_levels = k;
    return copy == NULL ? STATUS_MEMORY : STATUS_OK;
}

static int32_t level_code(const char *const *levels, size_t n, bool sorted, const char *text) {
    if (sorted) { /* found levels may be many */
        const char *const *hit = bsearch(&text, levels, n, sizeof *levels, by_name);
        return hit == NULL ? -1 : (int32_t)(hit - levels);
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(levels[i], text) == 0) {
            return (int32_t)i;
        }
    }
    return -1;
}

static status read_category(const manifest_record *r, const manifest_columns *m, const table *t, size_t column,
                            dataset *out, data_column *c, error *err) {
    bool declared = m->levels != NULL;
    if (declared) {
        const char **copy = arena_alloc(&out->mem, m->n_levels * sizeof *copy);
        for (size_t i = 0; i < m->n_levels; i++) {
            copy[i] = arena_strdup(&out->mem, m->levels[i]);
        }
        c->levels = copy;
        c->n_levels = m->n_levels;
    } else {
        TRY(levels_found(r, t, column, out, &c->levels, &c->n_levels, err));
    }
    int32_t *code = reader_alloc(out, t->n_keep, sizeof *code, "a column", err);
    if (code == NULL) {
        return STATUS_MEMORY;
    }
    for (size_t i = 0; i < t->n_keep; i++) {
        const char *text = cell_at(t, t->keep[i], column);
        code[i] = is_missing(r, text) ? -1 : level_code(c->levels, c->n_levels, !declared, text);
        if (code[i] < 0 && !is_missing(r, text)) {
            return cell_error(t, t->keep[i], column, "is not one of the declared levels", err);
        }
    }
    c->code = code;
    return STATUS_OK;
}

/* A feature becomes float32 and must stay in the record's range; told here, where the line is known. */
static status check_feature(const manifest_record *r, const table *t, size_t column, const double *value, error *err) {
    for (size_t i = 0; value != NULL && i < t->n_keep; i++) {
        float v = (float)value[i];
        if (isinf(v)) {
            return cell_error(t, t->keep[i], column, "is too large for float32", err);
        }
        if (v < (float)r->range_lo || v > (float)r->range_hi) { /* false for NaN: declared missing */
            return cell_error(t, t->keep[i], column, "is outside of the declared range", err);
        }
    }
    return STATUS_OK;
}

/* Value of a feature column in kept row i. */
static float feature_value(const manifest_columns *m, const data_column *c, size_t i) {
    if (c->type == COLUMN_REAL) {
        return (float)c->value[i];
    }
    int32_t k = c->code[i];
    return k < 0 ? (float)NAN : m->codes != NULL ? (float)m->codes[k] : (float)k;
}

static status make_features(const manifest_record *r, const data_column *columns, dataset *out, error *err) {
    size_t d = 0;
    for (size_t k = 0; k < r->n_columns; k++) {
        d += r->columns[k].feature ? 1 : 0;
    }
    if (d == 0) {
        return reader_fail(r, err, "no column is a feature (`feature: true`)");
    }
    if (r->n_dims != 0 && (r->n_dims != 1 || r->shape[0] != (int64_t)d)) {
        return reader_fail(r, err, "\"shape\" does not match the %zu feature columns", d);
    }
    size_t n = 0;
    float *x = mem_mul(out->n, d, &n) ? reader_alloc(out, n, sizeof *x, "features", err) : NULL;
    if (x == NULL) {
        return error_set(err, STATUS_MEMORY, "%s: no memory for the features", r->id);
    }
    const char **names = arena_alloc(&out->mem, d * sizeof *names);
    size_t f = 0;
    for (size_t k = 0; k < r->n_columns; k++) {
        if (r->columns[k].feature) {
            for (size_t i = 0; i < out->n; i++) {
                x[i * d + f] = feature_value(&r->columns[k], &columns[k], i);
            }
            names[f++] = columns[k].name;
        }
    }
    out->x_f32 = x;
    out->n_dims = 1;
    out->shape[0] = (int64_t)d;
    out->n_features = d;
    out->feature_names = names;
    return STATUS_OK;
}

static status read_class(const manifest_record *r, const table *t, size_t row, size_t column, int32_t *label,
                         error *err) {
    const char *text = cell_at(t, row, column);
    int64_t v = 0;
    *label = is_missing(r, text) ? -1 : level_code(r->class_names, r->n_classes, false, text);
    if (*label >= 0 || is_missing(r, text)) {
        return STATUS_OK;
    }
    if (!str_to_i64(text, &v)) {
        return cell_error(t, row, column, "is none of the declared classes", err);
    }
    if (v < 0 || (uint64_t)v >= r->n_classes) {
        char why[80];
        (void)snprintf(why, sizeof why, "is a label outside of 0..%zu", r->n_classes - 1);
        return cell_error(t, row, column, why, err);
    }
    *label = (int32_t)v;
    return STATUS_OK;
}

static status read_labels(const manifest_record *r, const table *t, dataset *out, error *err) {
    if (r->label_column == NULL) {
        return reader_no_labels(r, out, err);
    }
    size_t column = 0;
    TRY(find_column(r, r->line, t, r->label_column, &column, err));
    if (r->task == TASK_REGRESSION) {
        double *target = NULL;
        TRY(read_real(r, t, column, out, &target, err));
        out->target = target;
        return STATUS_OK;
    }
    int32_t *label = reader_alloc(out, out->n, sizeof *label, "labels", err);
    if (label == NULL) {
        return STATUS_MEMORY;
    }
    for (size_t i = 0; i < out->n; i++) {
        TRY(read_class(r, t, t->keep[i], column, &label[i], err));
    }
    out->label = label;
    return STATUS_OK;
}

/* Ids tell examples apart: present and all different. */
static status check_ids(const manifest_record *r, const table *t, error *err) {
    if (r->id_column == NULL) {
        return STATUS_OK;
    }
    size_t column = 0;
    TRY(find_column(r, r->line, t, r->id_column, &column, err));
    const char **ids = mem_try(t->n_keep, sizeof *ids, t->path, err);
    if (ids == NULL) {
        return STATUS_MEMORY;
    }
    status s = STATUS_OK;
    for (size_t i = 0; s == STATUS_OK && i < t->n_keep; i++) {
        ids[i] = cell_at(t, t->keep[i], column);
        if (ids[i][0] == '\0' || is_missing(r, ids[i])) {
            s = cell_error(t, t->keep[i], column, "is no id: ids must not be missing", err);
        }
    }
    if (s == STATUS_OK) {
        qsort(ids, t->n_keep, sizeof *ids, by_name);
    }
    for (size_t i = 1; s == STATUS_OK && i < t->n_keep; i++) {
        if (strcmp(ids[i - 1], ids[i]) == 0) {
            s = error_set(err, STATUS_DATA, "%s: column \"%s\": the id \"%.80s\" stands twice", t->path, r->id_column,
                          ids[i]);
        }
    }
    mem_free(ids);
    return s;
}

static status convert(const manifest_record *r, table *t, dataset *out, error *err) {
    TRY(choose_rows(r, t, err));
    TRY(check_ids(r, t, err));
    out->n = t->n_keep;
    data_column *columns = arena_alloc(&out->mem, r->n_columns * sizeof *columns);
    for (size_t k = 0; k < r->n_columns; k++) {
        const manifest_columns *m = &r->columns[k];
        data_column *c = &columns[k];
        size_t column = 0;
        TRY(find_column(r, m->line, t, m->name, &column, err));
        c->name = arena_strdup(&out->mem, m->name);
        c->sensitive = m->sensitive;
        c->type = strcmp(m->type, "real") == 0 ? COLUMN_REAL : COLUMN_CATEGORY;
        if (c->type == COLUMN_REAL) {
            double *value = NULL;
            TRY(read_real(r, t, column, out, &value, err));
            c->value = value;
            TRY(m->feature ? check_feature(r, t, column, value, err) : STATUS_OK);
        } else {
            TRY(read_category(r, m, t, column, out, c, err));
        }
    }
    out->columns = columns;
    out->n_columns = r->n_columns;
    TRY(make_features(r, columns, out, err));
    return read_labels(r, t, out, err);
}

static status csv_read(const manifest_record *r, dataset *out, error *err) {
    static const char *const roles[] = {"table"};
    TRY(reader_check_roles(r, roles, 1, err));
    if (r->scale_255) {
        return reader_fail(r, err, "\"scale_255\" is for uint8 tensors, not for tables");
    }
    table t = {.path = reader_file(r, "table")->path};
    io_map map;
    TRY(io_map_file(t.path, &map, err));
    status s = table_read(&t, map.data == NULL ? "" : (const char *)map.data, map.n, err);
    if (s == STATUS_OK) {
        s = convert(r, &t, out, err);
    }
    table_free(&t);
    io_unmap(&map);
    return s;
}

const reader reader_csv = {
    .info =
        {
            .id = "csv",
            .summary = "a table with a header line (RFC 4180): file `table`, columns declared in the manifest",
            .cite = "RFC 4180",
            .version = 1,
        },
    .read = csv_read,
};
