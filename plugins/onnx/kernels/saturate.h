/* SPDX-License-Identifier: Apache-2.0
 * A double as an integer of some dtype: truncated towards zero; where that is beyond the range, the nearest bound; NaN
 * is 0. ONNX leaves the last two undefined. */
#ifndef ONNX_KERNELS_SATURATE_H
#define ONNX_KERNELS_SATURATE_H

#include <math.h>

#include "kernels/integer.h"

/* Bounds of a dtype as doubles: lo <= trunc(x) < hi is inside. */
static inline void ox_integer_range(uint32_t dtype, double *lo, double *hi) {
    switch (dtype) {
    case ASSAY_U8: *lo = 0, *hi = 0x1p8; break;
    case ASSAY_I8: *lo = -0x1p7, *hi = 0x1p7; break;
    case ASSAY_I32: *lo = -0x1p31, *hi = 0x1p31; break;
    default: *lo = -0x1p63, *hi = 0x1p63;
    }
}

static inline int64_t ox_saturate(double x, uint32_t dtype) {
    double lo = 0, hi = 0;
    ox_integer_range(dtype, &lo, &hi);
    x = trunc(x);
    if (x != x) {
        return 0;
    }
    if (x < lo) {
        return (int64_t)lo;
    }
    if (x >= hi) {
        return dtype == ASSAY_I64 ? INT64_MAX : (int64_t)hi - 1;
    }
    return (int64_t)x;
}

#endif
