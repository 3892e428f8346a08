/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/kinds.h"

#include <string.h>

#include "data/reader.h"
#include "metrics/metric.h"
#include "reports/renderer.h"
#include "reports/section.h"
#include "suites/suites.h"

/* A kind's all() gives an array of pointers to structs that begin with their info. */
#define KIND_AT(kind)                                                                                                  \
    static const info *kind##_info_at(size_t i) {                                                                      \
        size_t n = 0;                                                                                                  \
        const kind *const *all = kind##_all(&n);                                                                       \
        return i < n ? &all[i]->info : NULL;                                                                           \
    }
KIND_AT(suite)
KIND_AT(metric)
KIND_AT(reader)
KIND_AT(section)
KIND_AT(renderer)

static const kind kinds[] = {
    {"suites", suite_info_at},     {"metrics", metric_info_at},     {"readers", reader_info_at},
    {"sections", section_info_at}, {"renderers", renderer_info_at},
};

const kind *kind_all(size_t *n) {
    *n = sizeof kinds / sizeof kinds[0];
    return kinds;
}

const kind *kind_find(const char *name) {
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}
