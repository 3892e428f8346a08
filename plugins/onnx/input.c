/* SPDX-License-Identifier: Apache-2.0 */
#include "input.h"

#include <math.h>
#include <string.h>

/* lo <= x < hi: exact as floats. */
static bool range_of(uint32_t dtype, float *lo, float *hi) {
    switch (dtype) {
    case ASSAY_BOOL: *lo = 0, *hi = 2; return true;
    case ASSAY_U8: *lo = 0, *hi = 0x1p8F; return true;
    case ASSAY_I8: *lo = -0x1p7F, *hi = 0x1p7F; return true;
    case ASSAY_I32: *lo = -0x1p31F, *hi = 0x1p31F; return true;
    case ASSAY_I64: *lo = -0x1p63F, *hi = 0x1p63F; return true;
    default: return false;
    }
}

static void put(void *to, uint32_t dtype, size_t i, float x) {
    switch (dtype) {
    case ASSAY_I8: ((int8_t *)to)[i] = (int8_t)x; break;
    case ASSAY_I32: ((int32_t *)to)[i] = (int32_t)x; break;
    case ASSAY_I64: ((int64_t *)to)[i] = (int64_t)x; break;
    default: ((uint8_t *)to)[i] = (uint8_t)x; break;
    }
}

status ox_input_fill(const char *name, const float *x, size_t n, uint32_t dtype, void *to, error *err) {
    float lo = 0, hi = 0;
    if (dtype == ASSAY_F32) {
        memcpy(to, x, n * sizeof *x);
        return STATUS_OK;
    }
    for (size_t i = 0; dtype == ASSAY_F64 && i < n; i++) {
        ((double *)to)[i] = (double)x[i];
    }
    if (dtype == ASSAY_F64) {
        return STATUS_OK;
    }
    if (!range_of(dtype, &lo, &hi)) {
        return error_set(err, STATUS_UNSUPPORTED, "input \"%s\" has dtype %u", name, dtype);
    }
    for (size_t i = 0; i < n; i++) {
        if (!(x[i] >= lo && x[i] < hi) || x[i] != truncf(x[i])) {
            return error_set(err, STATUS_DATA, "input \"%s\": value %zu is %.9g, which %s does not hold", name, i,
                             (double)x[i], dtype == ASSAY_BOOL ? "bool" : "its integer type");
        }
        put(to, dtype, i, x[i]);
    }
    return STATUS_OK;
}
