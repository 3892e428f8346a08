/* SPDX-License-Identifier: Apache-2.0
 * datasets.manifest: YAML, one record per dataset (docs/DATA.md documents every key). */
#ifndef DATA_MANIFEST_H
#define DATA_MANIFEST_H

#include "base/digest.h"
#include "base/info.h"
#include "data/dataset.h"

/* One named option of a record with the place where it stands, so that readers can complain precisely. */
typedef struct manifest_file {
    const char *role; /* "images", "labels", "table", ... as the reader asks for it */
    const char *path; /* as resolved: absolute, or relative to the manifest's directory */
    uint64_t n_bytes; /* 0: not declared (an empty file is no dataset) */
    bool has_sha256;
    digest_value sha256;
    int line;
} manifest_file;

typedef struct manifest_columns {
    const char *name;
    const char *type;          /* "real" or "category" */
    const char *const *levels; /* category: declared encoding, code = position; NULL = sorted as found */
    size_t n_levels;
    const double *codes;     /* category used as a feature: value per level; NULL = position */
    bool feature, sensitive; /* feature: part of x, in record order */
    int line;
} manifest_columns;

typedef struct manifest_record {
    const char *manifest_path;
    int line, col;
    const char *id, *title, *split, *modality, *reader, *licence, *provenance, *citation, *installer_hint;
    dataset_task task;
    const manifest_file *files;
    size_t n_files;
    int64_t shape[DATASET_MAX_DIMS]; /* of one example; n_dims 0: as in the file */
    uint32_t n_dims;
    double range_lo, range_hi;
    bool scale_255;
    bool channels_first;      /* `layout: chw`: images stand as (N, C, H, W) in the file; else (N, H, W, C) */
    const char *label_column; /* tabular */
    const char *split_column; /* tabular: keep rows whose column equals `split` */
    const char *id_column;
    const char *const *class_names;
    size_t n_classes;
    int64_t rows_first, rows_count; /* keep rows [first, first+count) of the file; count -1: to the end */
    const manifest_columns *columns;
    size_t n_columns;
    const char *const *missing; /* spellings of a missing value, e.g. "", "NA" */
    size_t n_missing;
} manifest_record;

typedef struct manifest {
    const char *path;
    const manifest_record *records;
    size_t n_records;
    arena mem;
} manifest;

/* STATUS_USAGE with file:line:column for anything wrong in it; STATUS_IO if unreadable. */
status manifest_load(const char *path, manifest **out, error *err);
void manifest_close(manifest *m);
const manifest_record *manifest_find(const manifest *m, const char *id); /* NULL if there is none */
/* As manifest_find, with STATUS_USAGE, the known ids and "did you mean". */
status manifest_get(const manifest *m, const char *id, const manifest_record **out, error *err);

/* Checks presence, bytes and SHA-256 of every file; STATUS_DATA names record, file, and both values;
 * a missing file names the installer hint. */
status manifest_verify(const manifest_record *r, error *err);

/* Verify, read, check (labels in range, n > 0, finite or declared missing), digest. */
status dataset_load(const manifest_record *r, dataset **out, error *err);

#endif
