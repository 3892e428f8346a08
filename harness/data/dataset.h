/* SPDX-License-Identifier: Apache-2.0
 * A dataset in memory: n examples of one shape in raw units, labels, named columns for slices. Immutable
 * after loading; may be read from any thread. */
#ifndef DATA_DATASET_H
#define DATA_DATASET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/status.h"

#define DATASET_MAX_DIMS 7

typedef enum dataset_task { TASK_CLASSIFICATION, TASK_REGRESSION } dataset_task;
typedef enum column_type { COLUMN_REAL, COLUMN_CATEGORY } column_type;

/* A column that can slice, group or feed a model. Length: dataset.n. */
typedef struct data_column {
    const char *name;
    column_type type;
    bool sensitive;      /* declared as a sensitive attribute */
    const double *value; /* COLUMN_REAL: NaN = missing; else NULL */
    const int32_t *code; /* COLUMN_CATEGORY: index into levels, -1 = missing; else NULL */
    const char *const *levels;
    size_t n_levels;
} data_column;

typedef struct dataset {
    const char *id, *title, *split, *modality; /* modality: image, tabular, text, ... */
    const char *reader;                        /* id@version of the reader that made it */
    dataset_task task;
    size_t n;
    /* One example: (shape[0], ..., shape[n_dims-1]); images are (C, H, W). n_features is the product. */
    uint32_t n_dims;
    int64_t shape[DATASET_MAX_DIMS];
    size_t n_features;
    const char *const *feature_names; /* n_features names for tabular data, else NULL */
    /* Legal raw range per example value, as declared (images of uint8: 0..1 after scale); +-inf = unbounded */
    double range_lo, range_hi;
    /* Exactly one storage is set. uint8 is widened as float(u8) / 255 where scale_255, else float(u8). */
    const uint8_t *x_u8; /* (n, n_features) */
    bool scale_255;
    const float *x_f32;   /* (n, n_features) */
    const int32_t *label; /* (n) in 0..n_classes-1, -1 = none; NULL for regression */
    const double *target; /* (n) regression; else NULL */
    const char *const *class_names;
    size_t n_classes;
    const data_column *columns;
    size_t n_columns;
    /* Of the content (dataset_digest): task, shape, range, values, labels, class, feature and column names,
     * columns. Not of the files: compression, file names, id and title do not enter. */
    digest_value sha256;
    arena mem; /* owns everything above */
} dataset;

/* Raw float32 values of examples index[0..n) into out (n, n_features). Indexes are < ds->n (asserted). */
void dataset_gather(const dataset *ds, const uint32_t *index, size_t n, float *out);
const data_column *dataset_column(const dataset *ds, const char *name); /* NULL if there is none */
void dataset_close(dataset *ds);                                        /* NULL is allowed */

/* A deterministic stratified sample of `limit` example indexes, ascending: per class in proportion, largest remainders
 * first, drawn with rng_at(seed, "limit@1", ...). limit >= n or limit == 0 gives all. `index` has room for n. Returns
 * how many. */
size_t dataset_limit(const dataset *ds, size_t limit, uint64_t seed, uint32_t *index);

#endif
