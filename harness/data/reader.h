/* SPDX-License-Identifier: Apache-2.0
 * A reader turns the files of a manifest record into a dataset. One file, one line in readers/registry.def. */
#ifndef DATA_READER_H
#define DATA_READER_H

#include "base/info.h"
#include "data/manifest.h"

typedef struct reader {
    info info; /* first, as for every registered kind */
    /* Fills in x, shape, label or target, columns of `out` (allocated in out->mem) from the record's files.
     * The caller has verified the files, and digests and cross-checks afterwards. Hostile bytes give
     * STATUS_DATA with file and place (byte offset, or line and column name); allocations are bounded by
     * what the file can really hold. */
    status (*read)(const manifest_record *r, dataset *out, error *err);
} reader;

const reader *reader_find(const char *id); /* NULL if there is none */
const reader *const *reader_all(size_t *n);

/* ---- what most readers need (reader.c) ------------------------------------------------------------------- */

/* STATUS_USAGE at MANIFEST:LINE unless every file's role is one of `roles`, none twice, and the first is there. */
status reader_check_roles(const manifest_record *r, const char *const *roles, size_t n_roles, error *err);
const manifest_file *reader_file(const manifest_record *r, const char *role); /* NULL if there is none */
/* STATUS_USAGE with `MANIFEST:LINE:COL: dataset "ID": `. */
status reader_fail(const manifest_record *r, error *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The rows to keep of n_in_file: *first and *count; STATUS_DATA if the record's `rows` ask for more. */
status reader_rows(const manifest_record *r, const manifest_file *f, size_t n_in_file, size_t *first, size_t *count,
                   error *err);
/* STATUS_USAGE if the record has keys that only tables know: columns, label_column, split_column, id_column, or
 * spellings of missing values other than "nan". */
status reader_tensor_keys(const manifest_record *r, error *err);
/* In the dataset's arena, zeroed; STATUS_MEMORY instead of an abort for what a file made large. */
void *reader_alloc(dataset *ds, size_t n, size_t item_bytes, const char *what, error *err);

/* A dense tensor as a file holds it, first dimension = examples. `data` has exactly the bytes of the shape. */
typedef enum element_type {
    ELEMENT_U8,
    ELEMENT_I8,
    ELEMENT_I16,
    ELEMENT_I32,
    ELEMENT_I64,
    ELEMENT_F32,
    ELEMENT_F64
} element_type;
typedef struct tensor_file {
    element_type type;
    bool big_endian;
    uint32_t n_dims; /* 1..4 for idx, 1..8 for npy */
    size_t shape[DATASET_MAX_DIMS + 1];
    const uint8_t *data;
} tensor_file;

size_t element_bytes(element_type t);
/* Product of the shape times the element's bytes; false on overflow. */
bool tensor_file_bytes(const tensor_file *t, size_t *n_bytes);
/* The kept rows as out's x: uint8 stays, other types become float32. Images become (C, H, W). */
status reader_features(const manifest_record *r, const manifest_file *f, const tensor_file *t, dataset *out,
                       error *err);
/* The kept rows as label (integers in 0..n_classes-1) or target, after reader_features. `n_in_file` is the number
 * of examples in the features' file: the labels' file must have as many. */
status reader_labels(const manifest_record *r, const manifest_file *f, const tensor_file *t, size_t n_in_file,
                     dataset *out, error *err);
/* No labels in the record: every label is -1 (inputs without truth, for OOD). */
status reader_no_labels(const manifest_record *r, dataset *out, error *err);

#endif
