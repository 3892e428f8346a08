/* SPDX-License-Identifier: Apache-2.0
 * From datasets.manifest to records. The tree stays in the manifest's arena: records point into it. */
#include "data/manifest.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/str.h"
#include "base/yaml.h"
#include "data/reader.h"

enum { MAX_RECORDS = 4096, MAX_ID = 64 };

static int by_text(const void *a, const void *b) {
    const yaml_node *x = *(const yaml_node *const *)a;
    const yaml_node *y = *(const yaml_node *const *)b;
    int c = strcmp(x->text, y->text);
    return c != 0 ? c : (x->line > y->line) - (x->line < y->line);
}

/* `nodes` (scalars, reordered here) must all have different texts. */
static status refuse_repeats(const yaml_node **nodes, size_t n, const char *what, error *err) {
    if (n < 2) {
        return STATUS_OK;
    }
    qsort(nodes, n, sizeof *nodes, by_text);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(nodes[i - 1]->text, nodes[i]->text) == 0) {
            return yaml_fail(nodes[i], err, "duplicate %s \"%.80s\" (first on line %d)", what, nodes[i]->text,
                             nodes[i - 1]->line);
        }
    }
    return STATUS_OK;
}

/* A list of different texts. Absent: *out is left alone. */
static status names_of(const yaml_node *map, const char *key, const char *what, arena *a, const char *const **out,
                       size_t *n, error *err) {
    const yaml_node *v = yaml_get(map, key);
    if (v == NULL) {
        return STATUS_OK;
    }
    TRY(yaml_want(v, YAML_SEQUENCE, key, err));
    TRY(yaml_strings(v, key, a, out, n, err));
    const yaml_node **sorted = arena_alloc(a, v->n * sizeof *sorted);
    memcpy(sorted, v->item, v->n * sizeof *sorted);
    return refuse_repeats(sorted, v->n, what, err);
}

static status need_string(const yaml_node *map, const char *key, const char *what, const char **out, error *err) {
    const yaml_node *v = NULL;
    TRY(yaml_need(map, key, what, &v, err));
    TRY(yaml_string(v, key, out, err));
    return (*out)[0] == '\0' ? yaml_fail(v, err, "\"%s\" must not be empty", key) : STATUS_OK;
}

static status parse_file(const yaml_node *map, const char *manifest_path, arena *a, manifest_file *f, error *err) {
    static const char *const keys[] = {"role", "path", "bytes", "sha256"};
    TRY(yaml_check_keys(map, "a file", keys, sizeof keys / sizeof keys[0], err));
    const char *path = NULL;
    const char *hex = NULL;
    int64_t bytes = 0;
    TRY(need_string(map, "role", "a file", &f->role, err));
    TRY(need_string(map, "path", "a file", &path, err));
    TRY(yaml_opt_int(map, "bytes", 1, INT64_MAX, &bytes, err));
    TRY(yaml_opt_string(map, "sha256", &hex, err));
    if (hex != NULL) {
        const yaml_node *at = yaml_get(map, "sha256");
        if (digest_parse(hex, &f->sha256, NULL) != STATUS_OK) {
            return yaml_fail(at, err, "\"sha256\" must be 64 hexadecimal digits, not \"%.80s\"", hex);
        }
        f->has_sha256 = true;
    }
    f->path = io_join_dir(a, manifest_path, path);
    f->n_bytes = (uint64_t)bytes;
    f->line = map->line;
    return STATUS_OK;
}

static status parse_files(const yaml_node *rec, arena *a, manifest_record *r, error *err) {
    const yaml_node *list = NULL;
    TRY(yaml_need(rec, "files", "a dataset record", &list, err));
    TRY(yaml_want(list, YAML_SEQUENCE, "files", err));
    if (list->n == 0) {
        return yaml_fail(list, err, "\"files\" must not be empty");
    }
    manifest_file *files = arena_alloc(a, list->n * sizeof *files);
    for (size_t i = 0; i < list->n; i++) {
        TRY(parse_file(list->item[i], r->manifest_path, a, &files[i], err));
    }
    r->files = files;
    r->n_files = list->n;
    return STATUS_OK;
}

static status parse_codes(const yaml_node *map, arena *a, manifest_columns *c, error *err) {
    const yaml_node *v = yaml_get(map, "codes");
    if (v == NULL) {
        return STATUS_OK;
    }
    size_t n = 0;
    TRY(yaml_reals(v, "codes", -1e30, 1e30, a, &c->codes, &n, err));
    if (c->levels == NULL || n != c->n_levels) {
        return yaml_fail(v, err, "column \"%s\": \"codes\" must have one value per level (%zu), not %zu", c->name,
                         c->n_levels, n);
    }
    return STATUS_OK;
}

static status parse_column(const yaml_node *map, arena *a, manifest_columns *c, error *err) {
    static const char *const keys[] = {"name", "type", "levels", "codes", "feature", "sensitive"};
    static const char *const types[] = {"real", "category"};
    TRY(yaml_check_keys(map, "a column", keys, sizeof keys / sizeof keys[0], err));
    TRY(need_string(map, "name", "a column", &c->name, err));
    const yaml_node *type = NULL;
    size_t which = 0;
    TRY(yaml_need(map, "type", "a column", &type, err));
    TRY(yaml_choice(type, "type", types, 2, &which, err));
    c->type = types[which];
    c->line = map->line;
    TRY(names_of(map, "levels", "level", a, &c->levels, &c->n_levels, err));
    TRY(parse_codes(map, a, c, err));
    TRY(yaml_opt_bool(map, "feature", &c->feature, err));
    TRY(yaml_opt_bool(map, "sensitive", &c->sensitive, err));
    if (which == 0 && c->levels != NULL) {
        return yaml_fail(map, err, "column \"%s\": a real column has no levels", c->name);
    }
    if (c->levels != NULL && c->n_levels == 0) {
        return yaml_fail(map, err, "column \"%s\": \"levels\" must not be empty", c->name);
    }
    if (which == 1 && c->feature && c->levels == NULL) {
        /* codes that follow from whatever a file holds would differ between splits of one table */
        return yaml_fail(map, err, "column \"%s\": a category used as a feature must declare its levels", c->name);
    }
    return STATUS_OK;
}

static status parse_columns(const yaml_node *rec, arena *a, manifest_record *r, error *err) {
    const yaml_node *list = yaml_get(rec, "columns");
    if (list == NULL) {
        return STATUS_OK;
    }
    TRY(yaml_want(list, YAML_SEQUENCE, "columns", err));
    manifest_columns *columns = arena_alloc(a, list->n * sizeof *columns);
    const yaml_node **names = arena_alloc(a, list->n * sizeof *names);
    for (size_t i = 0; i < list->n; i++) {
        TRY(parse_column(list->item[i], a, &columns[i], err));
        names[i] = yaml_get(list->item[i], "name");
        if (r->label_column != NULL && columns[i].feature && strcmp(columns[i].name, r->label_column) == 0) {
            return yaml_fail(names[i], err, "column \"%s\" is the label: it cannot be a feature", columns[i].name);
        }
    }
    r->columns = columns;
    r->n_columns = list->n;
    return refuse_repeats(names, list->n, "column", err);
}

static status parse_shape(const yaml_node *rec, arena *a, manifest_record *r, error *err) {
    const yaml_node *v = yaml_get(rec, "shape");
    if (v == NULL) {
        return STATUS_OK;
    }
    const int64_t *dims = NULL;
    size_t n = 0;
    TRY(yaml_want(v, YAML_SEQUENCE, "shape", err));
    TRY(yaml_ints(v, "shape", 1, INT32_MAX, a, &dims, &n, err));
    if (n < 1 || n > DATASET_MAX_DIMS) {
        return yaml_fail(v, err, "\"shape\" must have 1..%d dimensions, not %zu", DATASET_MAX_DIMS, n);
    }
    memcpy(r->shape, dims, n * sizeof *dims);
    r->n_dims = (uint32_t)n;
    return STATUS_OK;
}

static status parse_values(const yaml_node *rec, arena *a, manifest_record *r, error *err) {
    static const char *const layouts[] = {"hwc", "chw"};
    TRY(parse_shape(rec, a, r, err));
    TRY(yaml_opt_bool(rec, "scale_255", &r->scale_255, err));
    r->range_lo = r->scale_255 ? 0.0 : -INFINITY;
    r->range_hi = r->scale_255 ? 1.0 : INFINITY;
    const yaml_node *range = yaml_get(rec, "range");
    if (range != NULL) {
        const double *v = NULL;
        size_t n = 0;
        TRY(yaml_want(range, YAML_SEQUENCE, "range", err));
        TRY(yaml_reals(range, "range", -INFINITY, INFINITY, a, &v, &n, err));
        if (n != 2 || !(v[0] < v[1])) {
            return yaml_fail(range, err, "\"range\" must be [low, high] with low < high");
        }
        r->range_lo = v[0];
        r->range_hi = v[1];
    }
    const yaml_node *layout = yaml_get(rec, "layout");
    size_t which = 0;
    if (layout != NULL) {
        TRY(yaml_choice(layout, "layout", layouts, 2, &which, err));
    }
    r->channels_first = which == 1;
    return STATUS_OK;
}

static status parse_rows(const yaml_node *rec, manifest_record *r, error *err) {
    static const char *const keys[] = {"first", "count"};
    r->rows_count = -1;
    const yaml_node *rows = yaml_get(rec, "rows");
    if (rows == NULL) {
        return STATUS_OK;
    }
    TRY(yaml_check_keys(rows, "\"rows\"", keys, 2, err));
    TRY(yaml_opt_int(rows, "first", 0, UINT32_MAX, &r->rows_first, err));
    return yaml_opt_int(rows, "count", 1, UINT32_MAX, &r->rows_count, err);
}

static status check_id(const yaml_node *rec, const char *id, error *err) {
    size_t n = strlen(id);
    if (n == 0 || n > MAX_ID || strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != n) {
        return yaml_fail(yaml_get(rec, "id"), err,
                         "\"id\" must be 1..%d of lower-case letters, digits, '-', '_' and '.', not \"%.80s\"", MAX_ID,
                         id);
    }
    return STATUS_OK;
}

/* An SPDX licence expression: ids, AND, OR, WITH and parentheses. */
static status check_licence(const yaml_node *rec, const char *text, error *err) {
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.+() ";
    return strspn(text, allowed) == strlen(text)
               ? STATUS_OK
               : yaml_fail(yaml_get(rec, "licence"), err, "\"licence\" must be an SPDX expression, not \"%.80s\"",
                           text);
}

static status parse_reader(const yaml_node *rec, manifest_record *r, error *err) {
    size_t n = 0;
    size_t which = 0;
    const reader *const *all = reader_all(&n);
    const char *ids[64];
    n = n > 64 ? 64 : n;
    for (size_t i = 0; i < n; i++) {
        ids[i] = all[i]->info.id;
    }
    const yaml_node *v = NULL;
    TRY(yaml_need(rec, "reader", "a dataset record", &v, err));
    TRY(yaml_choice(v, "reader", ids, n, &which, err));
    r->reader = ids[which];
    return STATUS_OK;
}

static status parse_texts(const yaml_node *rec, manifest_record *r, error *err) {
    static const char *const modalities[] = {"image", "tabular", "text", "other"};
    static const char *const tasks[] = {"classification", "regression"};
    static const char what[] = "a dataset record";
    TRY(need_string(rec, "id", what, &r->id, err));
    TRY(check_id(rec, r->id, err));
    TRY(need_string(rec, "title", what, &r->title, err));
    r->split = "all";
    r->citation = "";
    TRY(yaml_opt_string(rec, "split", &r->split, err));
    TRY(need_string(rec, "licence", what, &r->licence, err));
    TRY(check_licence(rec, r->licence, err));
    TRY(need_string(rec, "provenance", what, &r->provenance, err));
    TRY(yaml_opt_string(rec, "citation", &r->citation, err));
    TRY(yaml_opt_string(rec, "installer", &r->installer_hint, err));
    const yaml_node *modality = NULL;
    const yaml_node *task = yaml_get(rec, "task");
    size_t i = 0;
    size_t k = 0;
    TRY(yaml_need(rec, "modality", what, &modality, err));
    TRY(yaml_choice(modality, "modality", modalities, 4, &i, err));
    if (task != NULL) {
        TRY(yaml_choice(task, "task", tasks, 2, &k, err));
    }
    r->modality = modalities[i];
    r->task = k == 0 ? TASK_CLASSIFICATION : TASK_REGRESSION;
    return STATUS_OK;
}

static status parse_classes(const yaml_node *rec, arena *a, manifest_record *r, error *err) {
    TRY(names_of(rec, "classes", "class", a, &r->class_names, &r->n_classes, err));
    if (r->class_names != NULL && (r->task == TASK_REGRESSION || r->n_classes < 2)) {
        return yaml_fail(yaml_get(rec, "classes"), err,
                         r->task == TASK_REGRESSION ? "a regression has no classes"
                                                    : "\"classes\" must name at least two classes");
    }
    if (r->task == TASK_CLASSIFICATION && r->label_column != NULL && r->n_classes == 0) {
        return yaml_fail(rec, err, "dataset \"%s\": \"classes\" is missing for \"label_column\"", r->id);
    }
    return STATUS_OK;
}

static status parse_record(const yaml_node *rec, arena *a, manifest_record *r, error *err) {
    static const char *const keys[] = {
        "id",           "title",     "split",   "modality", "task",    "reader",  "licence",   "provenance",
        "citation",     "installer", "files",   "shape",    "layout",  "range",   "scale_255", "label_column",
        "split_column", "id_column", "classes", "rows",     "columns", "missing",
    };
    TRY(yaml_check_keys(rec, "a dataset record", keys, sizeof keys / sizeof keys[0], err));
    r->manifest_path = rec->file;
    r->line = rec->line;
    r->col = rec->col;
    TRY(parse_texts(rec, r, err));
    TRY(parse_reader(rec, r, err));
    TRY(parse_files(rec, a, r, err));
    TRY(parse_values(rec, a, r, err));
    TRY(parse_rows(rec, r, err));
    TRY(yaml_opt_string(rec, "label_column", &r->label_column, err));
    TRY(yaml_opt_string(rec, "split_column", &r->split_column, err));
    TRY(yaml_opt_string(rec, "id_column", &r->id_column, err));
    TRY(parse_classes(rec, a, r, err));
    TRY(names_of(rec, "missing", "spelling", a, &r->missing, &r->n_missing, err));
    return parse_columns(rec, a, r, err);
}

static status parse_manifest(const yaml_node *root, manifest *m, error *err) {
    static const char *const keys[] = {"datasets"};
    const yaml_node *list = NULL;
    TRY(yaml_check_keys(root, "the manifest", keys, 1, err));
    TRY(yaml_need(root, "datasets", "the manifest", &list, err));
    TRY(yaml_want(list, YAML_SEQUENCE, "datasets", err));
    if (list->n > MAX_RECORDS) {
        return yaml_fail(list, err, "more than %d datasets", MAX_RECORDS);
    }
    manifest_record *records = arena_alloc(&m->mem, list->n * sizeof *records);
    const yaml_node **ids = arena_alloc(&m->mem, list->n * sizeof *ids);
    for (size_t i = 0; i < list->n; i++) {
        TRY(parse_record(list->item[i], &m->mem, &records[i], err));
        ids[i] = yaml_get(list->item[i], "id");
    }
    m->records = records;
    m->n_records = list->n;
    return refuse_repeats(ids, list->n, "dataset id", err);
}

status manifest_load(const char *path, manifest **out, error *err) {
    *out = NULL;
    manifest *m = mem_zalloc(sizeof *m);
    m->path = arena_strdup(&m->mem, path);
    const yaml_node *root = NULL;
    status s = yaml_load_file(path, YAML_MAX_BYTES, &m->mem, &root, err);
    if (s == STATUS_OK) {
        s = parse_manifest(root, m, err);
    }
    if (s != STATUS_OK) {
        manifest_close(m);
        return s;
    }
    *out = m;
    return STATUS_OK;
}

void manifest_close(manifest *m) {
    if (m != NULL) {
        arena_free(&m->mem);
        mem_free(m);
    }
}

const manifest_record *manifest_find(const manifest *m, const char *id) {
    for (size_t i = 0; i < m->n_records; i++) {
        if (strcmp(m->records[i].id, id) == 0) {
            return &m->records[i];
        }
    }
    return NULL;
}

status manifest_get(const manifest *m, const char *id, const manifest_record **out, error *err) {
    *out = manifest_find(m, id);
    if (*out != NULL) {
        return STATUS_OK;
    }
    const char **ids = mem_zalloc((m->n_records + 1) * sizeof *ids);
    strbuf list = {0};
    for (size_t i = 0; i < m->n_records; i++) {
        ids[i] = m->records[i].id;
        strbuf_addf(&list, "%s%s", i == 0 ? "" : ", ", ids[i]);
    }
    const char *near = str_nearest(id, ids, m->n_records);
    status s = error_set(err, STATUS_USAGE, "%s: there is no dataset \"%.80s\"%s%s%s (known: %s)", m->path, id,
                         near == NULL ? "" : ", did you mean \"", near == NULL ? "" : near, near == NULL ? "" : "\"?",
                         m->n_records == 0 ? "none" : strbuf_str(&list));
    strbuf_free(&list);
    mem_free(ids);
    return s;
}

/* Bytes before digest: a file of the wrong size need not be hashed. Only regular files: a FIFO would block. */
static status verify_bytes(const manifest_record *r, const manifest_file *f, error *err) {
    struct stat st;
    if (stat(f->path, &st) != 0) {
        if (errno != ENOENT && errno != ENOTDIR) {
            return error_set(err, STATUS_IO, "%s:%d: dataset \"%s\": %s: %s", r->manifest_path, f->line, r->id, f->path,
                             strerror(errno));
        }
        return error_set(
            err, STATUS_DATA, "%s:%d: dataset \"%s\": %s is missing%s%s", r->manifest_path, f->line, r->id, f->path,
            r->installer_hint == NULL ? "" : "; to get it: ", r->installer_hint == NULL ? "" : r->installer_hint);
    }
    if (!S_ISREG(st.st_mode)) {
        return error_set(err, STATUS_DATA, "%s:%d: dataset \"%s\": %s is not a regular file", r->manifest_path, f->line,
                         r->id, f->path);
    }
    if (f->n_bytes != 0 && (uint64_t)st.st_size != f->n_bytes) {
        return error_set(err, STATUS_DATA, "%s:%d: dataset \"%s\": %s has %llu bytes, the manifest says %llu",
                         r->manifest_path, f->line, r->id, f->path, (unsigned long long)st.st_size,
                         (unsigned long long)f->n_bytes);
    }
    return STATUS_OK;
}

static status verify_file(const manifest_record *r, const manifest_file *f, error *err) {
    TRY(verify_bytes(r, f, err));
    if (!f->has_sha256) {
        return STATUS_OK;
    }
    digest_value got;
    status s = digest_file(f->path, &got, NULL, err);
    if (s != STATUS_OK) {
        (void)error_prefix(err, "%s:%d: dataset \"%s\": ", r->manifest_path, f->line, r->id);
        return s;
    }
    if (!digest_equal(&got, &f->sha256)) {
        char is[DIGEST_HEX];
        char should[DIGEST_HEX];
        digest_hex(&got, is);
        digest_hex(&f->sha256, should);
        return error_set(err, STATUS_DATA, "%s:%d: dataset \"%s\": %s has SHA-256 %s, the manifest says %s",
                         r->manifest_path, f->line, r->id, f->path, is, should);
    }
    return STATUS_OK;
}

status manifest_verify(const manifest_record *r, error *err) {
    for (size_t i = 0; i < r->n_files; i++) {
        TRY(verify_file(r, &r->files[i], err));
    }
    return STATUS_OK;
}
