/* SPDX-License-Identifier: Apache-2.0
 * Integers of any width as 64 bits, exactly; written back they wrap. */
#ifndef ONNX_KERNELS_INTEGER_H
#define ONNX_KERNELS_INTEGER_H

#include "kernels/common.h"

static inline bool ox_is_integer(uint32_t dtype) {
    return dtype == ASSAY_I8 || dtype == ASSAY_U8 || dtype == ASSAY_I32 || dtype == ASSAY_I64;
}

/* Bool counts as 0 or 1. */
static inline int64_t ox_int_at(const ox_tensor *t, size_t i) {
    switch (t->dtype) {
    case ASSAY_I8: return ((const int8_t *)t->data)[i];
    case ASSAY_U8: return ((const uint8_t *)t->data)[i];
    case ASSAY_BOOL: return ((const uint8_t *)t->data)[i] != 0;
    case ASSAY_I32: return ((const int32_t *)t->data)[i];
    default: return ((const int64_t *)t->data)[i];
    }
}

static inline void ox_int_put(ox_tensor *t, size_t i, int64_t v) {
    switch (t->dtype) {
    case ASSAY_I8:
    case ASSAY_U8: ((uint8_t *)t->data)[i] = (uint8_t)(uint64_t)v; break;
    case ASSAY_BOOL: ((uint8_t *)t->data)[i] = v != 0; break;
    case ASSAY_I32: ((int32_t *)t->data)[i] = (int32_t)(uint32_t)(uint64_t)v; break;
    default: ((int64_t *)t->data)[i] = v;
    }
}

#endif
