/* SPDX-License-Identifier: Apache-2.0
 * The registered sections and renderers. */
#include "base/registry.h"
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

REGISTRY_FUNCTIONS(section, sections)
REGISTRY_FUNCTIONS(renderer, renderers)
