/* SPDX-License-Identifier: Apache-2.0
 * Loading, checking and digesting a dataset; gathering batches; deterministic samples. */
#include "data/dataset.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "data/reader.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "content digests are of little-endian values");

void dataset_gather(const dataset *ds, const uint32_t *index, size_t n, float *out) {
    size_t d = ds->n_features;
    for (size_t i = 0; i < n; i++) {
        assert(index[i] < ds->n);
        float *to = out + i * d;
        if (ds->x_f32 != NULL) {
            memcpy(to, ds->x_f32 + (size_t)index[i] * d, d * sizeof *to);
            continue;
        }
        const uint8_t *from = ds->x_u8 + (size_t)index[i] * d;
        if (ds->scale_255) {
            for (size_t k = 0; k < d; k++) {
                to[k] = (float)from[k] / 255.0F;
            }
        } else {
            for (size_t k = 0; k < d; k++) {
                to[k] = (float)from[k];
            }
        }
    }
}

const data_column *dataset_column(const dataset *ds, const char *name) {
    for (size_t i = 0; i < ds->n_columns; i++) {
        if (strcmp(ds->columns[i].name, name) == 0) {
            return &ds->columns[i];
        }
    }
    return NULL;
}

void dataset_close(dataset *ds) {
    if (ds != NULL) {
        arena mem = ds->mem;
        arena_free(&mem);
        mem_free(ds);
    }
}

/* ---- checks ---------------------------------------------------------------------------------------------- */

static const char *labels_path(const manifest_record *r) {
    const manifest_file *f = reader_file(r, "labels");
    return f != NULL ? f->path : r->files[0].path;
}

static status check_labels(const manifest_record *r, const dataset *ds, error *err) {
    if (ds->task == TASK_REGRESSION) {
        for (size_t i = 0; i < ds->n; i++) {
            if (!isfinite(ds->target[i])) {
                return error_set(err, STATUS_DATA, "%s: example %zu: the target is not finite", labels_path(r), i);
            }
        }
        return STATUS_OK;
    }
    for (size_t i = 0; i < ds->n; i++) {
        if (ds->label[i] < -1 || (ds->label[i] >= 0 && (size_t)ds->label[i] >= ds->n_classes)) {
            return error_set(err, STATUS_DATA, "%s: example %zu: label %d is outside of 0..%zu", labels_path(r), i,
                             (int)ds->label[i], ds->n_classes - 1);
        }
    }
    return STATUS_OK;
}

static status bad_value(const manifest_record *r, const dataset *ds, size_t at, const char *why, error *err) {
    size_t i = at / ds->n_features;
    size_t k = at % ds->n_features;
    if (ds->feature_names != NULL) {
        return error_set(err, STATUS_DATA, "%s: example %zu, feature \"%s\": %s", r->files[0].path, i,
                         ds->feature_names[k], why);
    }
    return error_set(err, STATUS_DATA, "%s: example %zu, value %zu: %s", r->files[0].path, i, k, why);
}

/* Extremes first: a loop that vectorises; which value it was is looked up only if one is wrong. */
static status check_bytes(const manifest_record *r, const dataset *ds, size_t n, error *err) {
    double scale = ds->scale_255 ? 255.0 : 1.0;
    uint8_t least = UINT8_MAX;
    uint8_t most = 0;
    for (size_t i = 0; i < n; i++) {
        least = ds->x_u8[i] < least ? ds->x_u8[i] : least;
        most = ds->x_u8[i] > most ? ds->x_u8[i] : most;
    }
    if (least / scale >= ds->range_lo && most / scale <= ds->range_hi) {
        return STATUS_OK;
    }
    size_t i = 0;
    while (ds->x_u8[i] / scale >= ds->range_lo && ds->x_u8[i] / scale <= ds->range_hi) {
        i++;
    }
    return bad_value(r, ds, i, "outside of the declared range", err);
}

static status check_values(const manifest_record *r, const dataset *ds, error *err) {
    size_t n = ds->n * ds->n_features;
    float lo = (float)ds->range_lo;
    float hi = (float)ds->range_hi;
    bool nan_ok = r->n_missing > 0;
    if (ds->x_u8 != NULL) {
        return check_bytes(r, ds, n, err);
    }
    for (size_t i = 0; i < n; i++) {
        float v = ds->x_f32[i];
        if (isnan(v)) {
            if (!nan_ok) {
                return bad_value(r, ds, i, "NaN, and the record declares no \"missing\"", err);
            }
        } else if (isinf(v)) {
            return bad_value(r, ds, i, "infinite, or too large for float32", err);
        } else if (v < lo || v > hi) {
            return bad_value(r, ds, i, "outside of the declared range", err);
        }
    }
    return STATUS_OK;
}

static status check_dataset(const manifest_record *r, const dataset *ds, error *err) {
    if (ds->n == 0 || ds->n_features == 0) {
        return error_set(err, STATUS_DATA, "%s: the dataset \"%s\" is empty", r->files[0].path, r->id);
    }
    if (ds->n > UINT32_MAX) {
        return error_set(err, STATUS_DATA, "%s: more than %u examples", r->files[0].path, UINT32_MAX);
    }
    assert((ds->x_u8 != NULL) != (ds->x_f32 != NULL));
    assert(ds->task == TASK_REGRESSION ? ds->target != NULL : ds->label != NULL);
    TRY(check_labels(r, ds, err));
    return check_values(r, ds, err);
}

/* ---- the content digest ---------------------------------------------------------------------------------- */

static void add_doubles(digest *d, const char *tag, const double *v, size_t n) {
    digest_field(d, tag, v, n * sizeof *v);
}

static void add_column(digest *d, const data_column *c, size_t n) {
    digest_field_str(d, "column", c->name);
    digest_field_u64(d, "sensitive", c->sensitive ? 1 : 0);
    if (c->type == COLUMN_REAL) {
        add_doubles(d, "real", c->value, n);
        return;
    }
    digest_field_u64(d, "levels", c->n_levels);
    for (size_t i = 0; i < c->n_levels; i++) {
        digest_field_str(d, "level", c->levels[i]);
    }
    digest_field(d, "codes", c->code, n * sizeof *c->code);
}

/* The fields and their order are documented in docs/DATA.md; a change of either changes every digest. */
static digest_value content_digest(const dataset *ds) {
    digest *d = digest_new();
    digest_field_str(d, "assay.dataset", "1");
    digest_field_u64(d, "task", (uint64_t)ds->task);
    digest_field_u64(d, "n", ds->n);
    digest_field(d, "shape", ds->shape, ds->n_dims * sizeof ds->shape[0]);
    const double range[2] = {ds->range_lo, ds->range_hi};
    add_doubles(d, "range", range, 2);
    if (ds->x_u8 != NULL) {
        digest_field_u64(d, "scale_255", ds->scale_255 ? 1 : 0);
        digest_field(d, "u8", ds->x_u8, ds->n * ds->n_features);
    } else {
        digest_field(d, "f32", ds->x_f32, ds->n * ds->n_features * sizeof(float));
    }
    if (ds->label != NULL) {
        digest_field(d, "label", ds->label, ds->n * sizeof ds->label[0]);
    }
    if (ds->target != NULL) {
        add_doubles(d, "target", ds->target, ds->n);
    }
    for (size_t i = 0; i < ds->n_classes; i++) {
        digest_field_str(d, "class", ds->class_names[i]);
    }
    for (size_t i = 0; ds->feature_names != NULL && i < ds->n_features; i++) {
        digest_field_str(d, "feature", ds->feature_names[i]);
    }
    for (size_t i = 0; i < ds->n_columns; i++) {
        add_column(d, &ds->columns[i], ds->n);
    }
    return digest_finish(d);
}

/* ---- loading --------------------------------------------------------------------------------------------- */

static void describe(const manifest_record *r, const reader *rd, dataset *ds) {
    arena *a = &ds->mem;
    ds->id = arena_strdup(a, r->id);
    ds->title = arena_strdup(a, r->title);
    ds->split = arena_strdup(a, r->split);
    ds->modality = arena_strdup(a, r->modality);
    ds->reader = arena_printf(a, "%s@%u", rd->info.id, rd->info.version);
    ds->task = r->task;
    ds->range_lo = r->range_lo;
    ds->range_hi = r->range_hi;
    ds->scale_255 = r->scale_255;
    ds->n_classes = r->n_classes;
    const char **names = arena_alloc(a, r->n_classes * sizeof *names);
    for (size_t i = 0; i < r->n_classes; i++) {
        names[i] = arena_strdup(a, r->class_names[i]);
    }
    ds->class_names = names;
}

status dataset_load(const manifest_record *r, dataset **out, error *err) {
    *out = NULL;
    const reader *rd = reader_find(r->reader);
    if (rd == NULL) {
        return reader_fail(r, err, "there is no reader \"%.80s\"", r->reader);
    }
    TRY(manifest_verify(r, err));
    dataset *ds = mem_zalloc(sizeof *ds);
    describe(r, rd, ds);
    status s = rd->read(r, ds, err);
    if (s == STATUS_OK) {
        s = check_dataset(r, ds, err);
    }
    if (s != STATUS_OK) {
        dataset_close(ds);
        return s;
    }
    ds->sha256 = content_digest(ds);
    *out = ds;
    return STATUS_OK;
}

/* ---- samples --------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

typedef struct stratum {
    size_t n, take;
    uint64_t remainder;
    uint32_t *member;
} stratum;

/* `limit` seats in proportion to the strata's sizes, largest remainders first, ties to the lower stratum
 * (Hamilton's method). limit < total, so no stratum gets more than it has. */
static void apportion(stratum *s, size_t n_strata, size_t limit, size_t total) {
    size_t given = total > 0 ? 0 : limit; /* nobody to give a seat to */
    for (size_t i = 0; i < n_strata && total > 0; i++) {
        uint64_t share = (uint64_t)limit * s[i].n; /* both below 2^32 */
        s[i].take = (size_t)(share / total);
        s[i].remainder = share % total;
        given += s[i].take;
    }
    for (; given < limit; given++) {
        size_t best = n_strata;
        for (size_t i = 0; i < n_strata; i++) {
            if (s[i].remainder > 0 && (best == n_strata || s[i].remainder > s[best].remainder)) {
                best = i;
            }
        }
        assert(best < n_strata);
        s[best].take++;
        s[best].remainder = 0;
    }
}

static size_t stratum_of(const dataset *ds, size_t i) {
    return ds->label == NULL ? 0 : (size_t)(ds->label[i] + 1); /* -1, no label, is a stratum of its own */
}

size_t dataset_limit(const dataset *ds, size_t limit, uint64_t seed, uint32_t *index) {
    if (limit == 0 || limit >= ds->n) {
        for (size_t i = 0; i < ds->n; i++) {
            index[i] = (uint32_t)i;
        }
        return ds->n;
    }
    size_t n_strata = ds->label == NULL ? 1 : ds->n_classes + 1;
    stratum *s = mem_zalloc(n_strata * sizeof *s);
    uint32_t *members = mem_zalloc(ds->n * sizeof *members);
    for (size_t i = 0; i < ds->n; i++) {
        s[stratum_of(ds, i)].n++;
    }
    size_t at = 0;
    for (size_t k = 0; k < n_strata; k++) {
        s[k].member = members + at;
        at += s[k].n;
        s[k].n = 0;
    }
    for (size_t i = 0; i < ds->n; i++) {
        stratum *t = &s[stratum_of(ds, i)];
        t->member[t->n++] = (uint32_t)i;
    }
    apportion(s, n_strata, limit, ds->n);
    size_t got = 0;
    for (size_t k = 0; k < n_strata; k++) {
        rng r = rng_at(seed, "limit@1", k, 0, 0);
        rng_shuffle_u32(&r, s[k].member, s[k].n);
        memcpy(index + got, s[k].member, s[k].take * sizeof *index);
        got += s[k].take;
    }
    qsort(index, got, sizeof *index, by_value);
    mem_free(members);
    mem_free(s);
    return got;
}
