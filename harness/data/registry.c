/* SPDX-License-Identifier: Apache-2.0
 * The registered readers, in the order of data/readers/registry.def. */
#include "data/reader.h"

#include <string.h>

#define ASSAY_READER(name) extern const reader reader_##name;
#include "data/readers/registry.def"
#undef ASSAY_READER

static const reader *const all[] = {
#define ASSAY_READER(name) &reader_##name,
#include "data/readers/registry.def"
#undef ASSAY_READER
    NULL, /* an empty registry is still an array */
};

const reader *const *reader_all(size_t *n) {
    *n = sizeof all / sizeof all[0] - 1;
    return all;
}

const reader *reader_find(const char *id) {
    for (size_t i = 0; all[i] != NULL; i++) {
        if (strcmp(all[i]->info.id, id) == 0) {
            return all[i];
        }
    }
    return NULL;
}
