/* SPDX-License-Identifier: Apache-2.0
 * The registered metrics, in the order of metrics/registry.def. */
#include "metrics/metric.h"

#include "base/registry.h"

#define ASSAY_METRIC(name) extern const metric metric_##name;
#include "metrics/registry.def"
#undef ASSAY_METRIC

static const metric *const all[] = {
#define ASSAY_METRIC(name) &metric_##name,
#include "metrics/registry.def"
#undef ASSAY_METRIC
    NULL, /* an empty registry is still an array */
};

REGISTRY_FUNCTIONS(metric, all)
