/* SPDX-License-Identifier: Apache-2.0
 * All registered kinds, for `assay list` and `assay explain`: one line per kind in kinds.c. */
#ifndef CLI_KINDS_H
#define CLI_KINDS_H

#include "base/info.h"

typedef struct kind {
    const char *name; /* plural: "metrics" */
    /* Every registered thing begins with its info, so its address is that of the info. */
    const info *(*at)(size_t i); /* NULL past the end */
} kind;

const kind *kind_all(size_t *n);
const kind *kind_find(const char *name);

#endif
