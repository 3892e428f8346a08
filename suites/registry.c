/* SPDX-License-Identifier: Apache-2.0
 * The registered suites, in the order of suites/registry.def. */
#include "suites/suites.h"

#include "base/registry.h"

#define ASSAY_SUITE(name) extern const suite suite_##name;
#include "suites/registry.def"
#undef ASSAY_SUITE

static const suite *const all[] = {
#define ASSAY_SUITE(name) &suite_##name,
#include "suites/registry.def"
#undef ASSAY_SUITE
    NULL, /* an empty registry is still an array */
};

REGISTRY_FUNCTIONS(suite, all)
