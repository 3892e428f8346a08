/* SPDX-License-Identifier: Apache-2.0
 * What readers share: roles, kept rows, dense tensors to features and labels. */
#include "data/reader.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

status reader_fail(const manifest_record *r, error *err, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    (void)error_vset(err, STATUS_USAGE, fmt, ap);
    va_end(ap);
    (void)error_prefix(err, "%s:%d:%d: dataset \"%s\": ", r->manifest_path, r->line, r->col, r->id);
    return STATUS_USAGE;
}

const manifest_file *reader_file(const manifest_record *r, const char *role) {
    for (size_t i = 0; i < r->n_files; i++) {
        if (strcmp(r->files[i].role, role) == 0) {
            return &r->files[i];
        }
    }
    return NULL;
}

status reader_check_roles(const manifest_record *r, const char *const *roles, size_t n_roles, error *err) {
    for (size_t i = 0; i < r->n_files; i++) {
        const manifest_file *f = &r->files[i];
        size_t k = 0;
        while (k < n_roles && strcmp(f->role, roles[k]) != 0) {
            k++;
        }
        if (k == n_roles) {
            const char *near = str_nearest(f->role, roles, n_roles);
            return error_set(err, STATUS_USAGE, "%s:%d: dataset \"%s\": reader %s has no role \"%.80s\", but %s%s%s",
                             r->manifest_path, f->line, r->id, r->reader, f->role, near != NULL ? near : roles[0],
                             near == NULL && n_roles > 1 ? " and " : "", near == NULL && n_roles > 1 ? roles[1] : "");
        }
        if (reader_file(r, f->role) != f) {
            return error_set(err, STATUS_USAGE, "%s:%d: dataset \"%s\": two files with the role \"%s\"",
                             r->manifest_path, f->line, r->id, f->role);
        }
    }
    return reader_file(r, roles[0]) != NULL ? STATUS_OK : reader_fail(r, err, "no file with the role \"%s\"", roles[0]);
}

status reader_rows(const manifest_record *r, const manifest_file *f, size_t n_in_file, size_t *first, size_t *count,
                   error *err) {
    *first = (size_t)r->rows_first;
    size_t rest = *first <= n_in_file ? n_in_file - *first : 0;
    *count = r->rows_count < 0 ? rest : (size_t)r->rows_count;
    if (*first > n_in_file || *count > rest) {
        return error_set(err, STATUS_DATA, "%s: %zu examples, but the record keeps rows %zu to %zu", f->path, n_in_file,
                         *first, *first + *count);
    }
    return STATUS_OK;
}

status reader_tensor_keys(const manifest_record *r, error *err) {
    const char *key = r->n_columns > 0 ? "columns" : NULL;
    key = r->label_column != NULL ? "label_column" : key;
    key = r->split_column != NULL ? "split_column" : key;
    key = r->id_column != NULL ? "id_column" : key;
    if (key != NULL) {
        return reader_fail(r, err, "reader %s knows no \"%s\": that is for tables", r->reader, key);
    }
    if (r->n_missing > 1 || (r->n_missing == 1 && strcmp(r->missing[0], "nan") != 0)) {
        return reader_fail(r, err, "reader %s: the only spelling of a missing value is \"nan\"", r->reader);
    }
    return STATUS_OK;
}

void *reader_alloc(dataset *ds, size_t n, size_t item_bytes, const char *what, error *err) {
    /* An arena aborts without memory, which is right for what we decide and wrong for what a file decides:
     * large sizes are tried first. */
    enum { TRY_FROM = 16 * 1024 * 1024 };
    size_t bytes = 0;
    if (!mem_mul(n, item_bytes, &bytes) || bytes >= TRY_FROM) {
        void *p = mem_try(n, item_bytes, what, err);
        if (p == NULL) {
            return NULL;
        }
        mem_free(p);
    }
    return arena_alloc(&ds->mem, bytes);
}

size_t element_bytes(element_type t) {
    static const size_t bytes[] = {1, 1, 2, 4, 8, 4, 8};
    return bytes[t];
}

bool tensor_file_bytes(const tensor_file *t, size_t *n_bytes) {
    *n_bytes = element_bytes(t->type);
    for (uint32_t i = 0; i < t->n_dims; i++) {
        if (!mem_mul(*n_bytes, t->shape[i], n_bytes)) {
            return false;
        }
    }
    return true;
}

static uint64_t load_bits(const uint8_t *p, size_t n, bool big_endian) {
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        v = v << 8 | p[big_endian ? i : n - 1 - i];
    }
    return v;
}

static bool is_real(element_type t) {
    return t == ELEMENT_F32 || t == ELEMENT_F64;
}

static int64_t load_int(const uint8_t *p, element_type t, bool big_endian) {
    uint64_t v = load_bits(p, element_bytes(t), big_endian);
    switch (t) {
    case ELEMENT_I8: return (int8_t)v;
    case ELEMENT_I16: return (int16_t)v;
    case ELEMENT_I32: return (int32_t)v;
    default: return (int64_t)v;
    }
}

static double load_double(const uint8_t *p, element_type t, bool big_endian) {
    if (!is_real(t)) {
        return (double)load_int(p, t, big_endian);
    }
    uint64_t bits = load_bits(p, element_bytes(t), big_endian);
    double d = 0;
    if (t == ELEMENT_F32) {
        uint32_t half = (uint32_t)bits;
        float f = 0;
        memcpy(&f, &half, sizeof f);
        d = (double)f;
    } else {
        memcpy(&d, &bits, sizeof d);
    }
    return isnan(d) ? (double)NAN : d; /* one NaN only, so that digests do not depend on payloads */
}

/* ---- features -------------------------------------------------------------------------------------------- */

static void format_shape(const int64_t *shape, uint32_t n, char *buf, size_t cap) {
    strbuf b = {0};
    for (uint32_t i = 0; i < n; i++) {
        strbuf_addf(&b, "%s%lld", i == 0 ? "(" : ", ", (long long)shape[i]);
    }
    (void)snprintf(buf, cap, "%s)", strbuf_str(&b));
    strbuf_free(&b);
}

/* The shape of one example: images are (C, H, W), others as in the file, single numbers are (1). */
static status example_shape(const manifest_record *r, const manifest_file *f, const tensor_file *t, dataset *out,
                            error *err) {
    bool image = strcmp(r->modality, "image") == 0;
    if (image && t->n_dims != 3 && t->n_dims != 4) {
        return error_set(err, STATUS_DATA, "%s: images have 3 or 4 dimensions, (N, H, W) or (N, H, W, C), not %u",
                         f->path, t->n_dims);
    }
    out->n_dims = 0;
    bool grey = image && t->n_dims == 3;
    if (grey || t->n_dims == 1) {
        out->shape[out->n_dims++] = 1;
    }
    for (uint32_t i = 1; i < t->n_dims; i++) {
        out->shape[out->n_dims++] = (int64_t)t->shape[i];
    }
    if (image && !grey && !r->channels_first) {
        int64_t h = out->shape[0];
        int64_t w = out->shape[1];
        out->shape[0] = out->shape[2];
        out->shape[1] = h;
        out->shape[2] = w;
    }
    out->n_features = 1;
    for (uint32_t i = 0; i < out->n_dims; i++) {
        out->n_features *= (size_t)out->shape[i]; /* part of a product that did not overflow */
    }
    if (r->n_dims != 0 &&
        (r->n_dims != out->n_dims || memcmp(r->shape, out->shape, r->n_dims * sizeof r->shape[0]) != 0)) {
        char is[200];
        char should[200];
        format_shape(out->shape, out->n_dims, is, sizeof is);
        format_shape(r->shape, r->n_dims, should, sizeof should);
        return error_set(err, STATUS_DATA, "%s: examples of shape %s, the manifest says %s%s", f->path, is, should,
                         image && t->n_dims == 4 ? " (see the key \"layout\")" : "");
    }
    return STATUS_OK;
}

/* Where in the file's example does value k of ours stand? (C, H, W) from (H, W, C). */
static size_t source_index(const dataset *ds, size_t k) {
    size_t c = (size_t)ds->shape[0];
    size_t hw = ds->n_features / c;
    return k % hw * c + k / hw;
}

static status copy_values(const tensor_file *t, const uint8_t *from, bool from_hwc, dataset *out, error *err) {
    size_t n = out->n;
    size_t d = out->n_features;
    if (t->type == ELEMENT_U8) {
        uint8_t *x = reader_alloc(out, n * d, 1, "features", err);
        if (x == NULL) {
            return STATUS_MEMORY;
        }
        if (!from_hwc) {
            memcpy(x, from, n * d);
        }
        for (size_t i = 0; from_hwc && i < n * d; i++) {
            x[i] = from[i / d * d + source_index(out, i % d)];
        }
        out->x_u8 = x;
        return STATUS_OK;
    }
    size_t item = element_bytes(t->type);
    float *x = reader_alloc(out, n * d, sizeof *x, "features", err);
    if (x == NULL) {
        return STATUS_MEMORY;
    }
    for (size_t i = 0; i < n * d; i++) {
        size_t at = from_hwc ? i / d * d + source_index(out, i % d) : i;
        x[i] = (float)load_double(from + at * item, t->type, t->big_endian);
    }
    out->x_f32 = x;
    return STATUS_OK;
}

status reader_features(const manifest_record *r, const manifest_file *f, const tensor_file *t, dataset *out,
                       error *err) {
    size_t first = 0;
    size_t count = 0;
    TRY(reader_rows(r, f, t->shape[0], &first, &count, err));
    TRY(example_shape(r, f, t, out, err));
    if (r->scale_255 && t->type != ELEMENT_U8) {
        return reader_fail(r, err, "\"scale_255\" needs uint8 values, which %s does not hold", f->path);
    }
    out->n = count;
    if (count == 0 || out->n_features == 0) {
        return error_set(err, STATUS_DATA, "%s: the dataset \"%s\" is empty", f->path, r->id);
    }
    if (t->type == ELEMENT_U8 && isinf(out->range_lo) && isinf(out->range_hi)) {
        out->range_lo = 0;
        out->range_hi = 255;
    }
    bool from_hwc = strcmp(r->modality, "image") == 0 && t->n_dims == 4 && !r->channels_first;
    const uint8_t *from = t->data + first * out->n_features * element_bytes(t->type);
    return copy_values(t, from, from_hwc, out, err);
}

/* ---- labels ---------------------------------------------------------------------------------------------- */

static status copy_classes(const manifest_record *r, const manifest_file *f, const tensor_file *t, size_t first,
                           dataset *out, error *err) {
    if (is_real(t->type)) {
        return error_set(err, STATUS_DATA, "%s: class labels must be integers, not floating-point numbers", f->path);
    }
    if (r->n_classes == 0) {
        return reader_fail(r, err, "\"classes\" is missing for the labels of %s", f->path);
    }
    int32_t *label = reader_alloc(out, out->n, sizeof *label, "labels", err);
    if (label == NULL) {
        return STATUS_MEMORY;
    }
    size_t item = element_bytes(t->type);
    for (size_t i = 0; i < out->n; i++) {
        int64_t v = load_int(t->data + (first + i) * item, t->type, t->big_endian);
        if (v < 0 || (uint64_t)v >= r->n_classes) {
            return error_set(err, STATUS_DATA, "%s: row %zu: label %lld is outside of 0..%zu", f->path, first + i,
                             (long long)v, r->n_classes - 1);
        }
        label[i] = (int32_t)v;
    }
    out->label = label;
    return STATUS_OK;
}

static status copy_targets(const tensor_file *t, size_t first, dataset *out, error *err) {
    double *target = reader_alloc(out, out->n, sizeof *target, "targets", err);
    if (target == NULL) {
        return STATUS_MEMORY;
    }
    size_t item = element_bytes(t->type);
    for (size_t i = 0; i < out->n; i++) {
        target[i] = load_double(t->data + (first + i) * item, t->type, t->big_endian);
    }
    out->target = target;
    return STATUS_OK;
}

status reader_labels(const manifest_record *r, const manifest_file *f, const tensor_file *t, size_t n_in_file,
                     dataset *out, error *err) {
    if (t->n_dims != 1 && !(t->n_dims == 2 && t->shape[1] == 1)) {
        return error_set(err, STATUS_DATA, "%s: labels must have the shape (N) or (N, 1)", f->path);
    }
    if (t->shape[0] != n_in_file) {
        return error_set(err, STATUS_DATA, "%s: %zu labels for %zu examples", f->path, t->shape[0], n_in_file);
    }
    size_t first = 0;
    size_t count = 0;
    TRY(reader_rows(r, f, t->shape[0], &first, &count, err));
    assert(count == out->n);
    return r->task == TASK_CLASSIFICATION ? copy_classes(r, f, t, first, out, err) : copy_targets(t, first, out, err);
}

status reader_no_labels(const manifest_record *r, dataset *out, error *err) {
    if (r->task == TASK_REGRESSION) {
        return reader_fail(r, err, "a regression needs targets: a file with the role \"labels\"");
    }
    int32_t *label = reader_alloc(out, out->n, sizeof *label, "labels", err);
    if (label == NULL) {
        return STATUS_MEMORY;
    }
    for (size_t i = 0; i < out->n; i++) {
        label[i] = -1;
    }
    out->label = label;
    return STATUS_OK;
}
