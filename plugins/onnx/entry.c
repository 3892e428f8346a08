/* SPDX-License-Identifier: Apache-2.0
 * The one exported symbol. */
#include "api.h"
#include "model.h"

ASSAY_EXPORT extern const assay_plugin assay_plugin_entry;
const assay_plugin assay_plugin_entry = {
    .struct_size = sizeof(assay_plugin),
    .abi_version = ASSAY_ABI_VERSION,
    .name = "onnx",
    .version = OX_VERSION,
    .description = "ONNX models on the CPU: forward and vjp with oneDNN and OpenBLAS",
    .init = ox_api_init,
    .deinit = ox_api_deinit,
    .get_api = ox_api_get,
};
