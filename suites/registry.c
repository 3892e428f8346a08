/* SPDX-License-Identifier: Apache-2.0
 * The registered suites, in the order of suites/registry.def. */
#include "suites/suites.h"

#include <string.h>

#define ASSAY_SUITE(name) extern const suite suite_##name;
#include "suites/registry.def"
#undef ASSAY_SUITE

static const suite *const all[] = {
#define ASSAY_SUITE(name) &suite_##name,
#include "suites/registry.def"
#undef ASSAY_SUITE
    NULL, /* an empty registry is still an array */
};

const suite *const *suite_all(size_t *n) {
    *n = sizeof all / sizeof all[0] - 1;
    return all;
}

const suite *suite_find(const char *id) {
    for (size_t i = 0; all[i] != NULL; i++) {
        if (strcmp(all[i]->info.id, id) == 0) {
            return all[i];
        }
    }
    return NULL;
}
