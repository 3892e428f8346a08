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

#endif
