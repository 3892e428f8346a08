/* SPDX-License-Identifier: Apache-2.0
 * The registered sections and renderers. */
#include <string.h>

#include "reports/renderer.h"
#include "reports/section.h"

#define ASSAY_SECTION(name) extern const section section_##name;
#include "reports/sections/registry.def"
#undef ASSAY_SECTION

static const section *const sections[] = {
#define ASSAY_SECTION(name) &section_##name,
#include "reports/sections/registry.def"
#undef ASSAY_SECTION
    NULL, /* an empty registry is still an array */
};

#define ASSAY_RENDERER(name) extern const renderer renderer_##name;
#include "reports/renderers.def"
#undef ASSAY_RENDERER

static const renderer *const renderers[] = {
#define ASSAY_RENDERER(name) &renderer_##name,
#include "reports/renderers.def"
#undef ASSAY_RENDERER
    NULL,
};

const section *const *section_all(size_t *n) {
    *n = sizeof sections / sizeof sections[0] - 1;
    return sections;
}

const section *section_find(const char *id) {
    for (size_t i = 0; sections[i] != NULL; i++) {
        if (strcmp(sections[i]->info.id, id) == 0) {
            return sections[i];
        }
    }
    return NULL;
}

const renderer *const *renderer_all(size_t *n) {
    *n = sizeof renderers / sizeof renderers[0] - 1;
    return renderers;
}

const renderer *renderer_find(const char *id) {
    for (size_t i = 0; renderers[i] != NULL; i++) {
        if (strcmp(renderers[i]->info.id, id) == 0) {
            return renderers[i];
        }
    }
    return NULL;
}
