/* SPDX-License-Identifier: Apache-2.0
 * The registered metrics, in the order of metrics/registry.def. */
#include "metrics/metric.h"

#include <string.h>

#define ASSAY_METRIC(name) extern const metric metric_##name;
#include "metrics/registry.def"
#undef ASSAY_METRIC

static const metric *const all[] = {
#define ASSAY_METRIC(name) &metric_##name,
#include "metrics/registry.def"
#undef ASSAY_METRIC
    NULL, /* an empty registry is still an array */
};

const metric *const *metric_all(size_t *n) {
    *n = sizeof all / sizeof all[0] - 1;
    return all;
}

const metric *metric_find(const char *id) {
    for (size_t i = 0; all[i] != NULL; i++) {
        if (strcmp(all[i]->info.id, id) == 0) {
            return all[i];
        }
    }
    return NULL;
}
