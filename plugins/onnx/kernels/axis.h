/* SPDX-License-Identifier: Apache-2.0
 * A tensor as (outer, len, inner), for operators that work along one axis of len elements. */
#ifndef ONNX_KERNELS_AXIS_H
#define ONNX_KERNELS_AXIS_H

#include "kernels/common.h"

typedef struct ox_axis {
    size_t outer, len, inner; /* inner is also the stride of the axis */
} ox_axis;

static inline ox_axis ox_axis_of(const ox_tensor *x, uint32_t axis) {
    return (ox_axis){ox_count(x, 0, axis), (size_t)x->shape[axis], ox_count(x, axis + 1, x->n_dims)};
}

static inline size_t ox_axis_rows(const ox_axis *a) {
    return a->outer * a->inner;
}

/* Offset of the first element of row r. */
static inline size_t ox_axis_row(const ox_axis *a, size_t r) {
    return a->inner == 1 ? r * a->len : r / a->inner * a->len * a->inner + r % a->inner;
}

#endif
