/* SPDX-License-Identifier: Apache-2.0
 * A tensor as what stays and what is reduced, for reductions over any set of axes. Neighbouring axes of one kind are
 * merged. The last of them is either kept (then `width` neighbouring elements belong to as many outputs) or reduced
 * (then `run` neighbouring elements belong to one): width and run are the lengths of these, 1 where it is the other. */
#ifndef ONNX_KERNELS_REDUCE_H
#define ONNX_KERNELS_REDUCE_H

#include "kernels/moves.h"

#define OX_REDUCE_WIDTH 64u /* outputs that are worked on together */

typedef struct ox_odometer {
    uint32_t n_dims;
    size_t shape[ASSAY_MAX_DIMS], stride[ASSAY_MAX_DIMS]; /* strides in elements of the input */
    size_t n;                                             /* product of shape */
} ox_odometer;

typedef struct ox_reduction {
    ox_odometer kept, reduced; /* without the last dimension, which is in width and run */
    size_t width, run;
    size_t n; /* elements reduced to each output */
} ox_reduction;

void ox_reduction_init(ox_reduction *r, const ox_tensor *x, const bool reduced[ASSAY_MAX_DIMS]);

/* Moves idx on by one; the offset follows. False at the end, with idx and offset back at the start. */
static inline bool ox_odometer_next(const ox_odometer *o, size_t idx[ASSAY_MAX_DIMS], size_t *at) {
    for (uint32_t d = o->n_dims; d-- > 0;) {
        *at += o->stride[d];
        if (++idx[d] < o->shape[d]) {
            return true;
        }
        *at -= o->stride[d] * o->shape[d];
        idx[d] = 0;
    }
    return false;
}

#endif
