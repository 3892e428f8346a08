/* SPDX-License-Identifier: Apache-2.0
 * The plug-in's side of assay/plugin.h. In the core library, so that tests call the tables without dlopen. */
#ifndef ONNX_API_H
#define ONNX_API_H

#include "assay/plugin.h"

assay_status ox_api_init(const assay_host *host, assay_error *err);
void ox_api_deinit(void);
const void *ox_api_get(const char *id);

size_t ox_environment_describe(char *text, size_t capacity);

#endif
