/* SPDX-License-Identifier: Apache-2.0
 * The layout of an ABI header as data. layout.c is compiled once per header (the two cannot meet in one unit). */
#ifndef ABI_LAYOUT_H
#define ABI_LAYOUT_H

#include <stddef.h>

typedef struct layout_entry {
    const char *name;     /* "assay_tensor.data", or "sizeof assay_tensor", or a constant, or an id */
    size_t offset, bytes; /* a constant's value in `offset` */
    const char *text;     /* an id's text, else NULL */
} layout_entry;

const layout_entry *layout_frozen(size_t *n);
const layout_entry *layout_current(size_t *n);

#endif
