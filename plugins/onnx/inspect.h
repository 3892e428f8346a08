/* SPDX-License-Identifier: Apache-2.0
 * Facts about a model file, read from its protobuf alone: also about files that no plan can be made for. */
#ifndef ONNX_INSPECT_H
#define ONNX_INSPECT_H

#include "base/status.h"

/* [main] Calls `fact` with the keys that assay/plugin.h lists. */
status ox_inspect(const char *path, void (*fact)(void *context, const char *key, const char *value), void *context,
                  error *err);

#endif
