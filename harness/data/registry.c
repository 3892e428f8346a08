/* SPDX-License-Identifier: Apache-2.0
 * The registered readers, in the order of data/readers/registry.def. */
#include "data/reader.h"

#include "base/registry.h"

#define ASSAY_READER(name) extern const reader reader_##name;
#include "data/readers/registry.def"
#undef ASSAY_READER

static const reader *const all[] = {
#define ASSAY_READER(name) &reader_##name,
#include "data/readers/registry.def"
#undef ASSAY_READER
    NULL, /* an empty registry is still an array */
};

REGISTRY_FUNCTIONS(reader, all)
