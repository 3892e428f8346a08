/* SPDX-License-Identifier: Apache-2.0
 * One axis of Resize: which inputs an output is made of, and with what weights. */
#ifndef ONNX_KERNELS_RESIZE_WEIGHTS_H
#define ONNX_KERNELS_RESIZE_WEIGHTS_H

#include "kernels/common.h"

typedef enum ox_interpolation { OX_RESIZE_NEAREST, OX_RESIZE_LINEAR, OX_RESIZE_CUBIC } ox_interpolation;
typedef enum ox_nearest { OX_ROUND_PREFER_FLOOR, OX_ROUND_PREFER_CEIL, OX_FLOOR, OX_CEIL } ox_nearest;
typedef enum ox_transform {
    OX_HALF_PIXEL,
    OX_PYTORCH_HALF_PIXEL,
    OX_ALIGN_CORNERS,
    OX_ASYMMETRIC,
    OX_TF_CROP_AND_RESIZE,
    OX_TF_HALF_PIXEL_FOR_NN,
    OX_HALF_PIXEL_SYMMETRIC
} ox_transform;

/* What all axes have in common. */
typedef struct ox_resampling {
    ox_interpolation mode;
    ox_nearest nearest;
    ox_transform transform;
    double cubic_a;
    bool exclude_outside, antialias;
} ox_resampling;

/* scale = num / den, kept apart so that x * den / num is rounded once. width: the output's length before it was rounded
 * down to `out` (where a scale was given). */
typedef struct ox_resize_geometry {
    size_t in, out;
    double num, den, width, roi_lo, roi_hi;
} ox_resize_geometry;

/* The axis is copied as it is. */
bool ox_resize_is_identity(const ox_resampling *r, const ox_resize_geometry *g);
/* Nearest input of output i; -1: outside the region (tf_crop_and_resize). */
int64_t ox_resize_nearest(const ox_resampling *r, const ox_resize_geometry *g, size_t i);

/* A sparse matrix (out, in) by rows: row i has the entries start[i]..start[i + 1]-1. */
typedef struct ox_resize_axis {
    size_t in, out, taps; /* taps: of every row, 0 where they differ */
    size_t *start;
    size_t *at;    /* input */
    double *exact; /* weight */
    float *weight;
} ox_resize_axis;

/* Rows without an entry lie outside the region. */
status ox_resize_axis_make(const ox_resampling *r, const ox_resize_geometry *g, ox_resize_axis *a, error *err);
status ox_resize_axis_transpose(const ox_resize_axis *a, ox_resize_axis *t, error *err);
void ox_resize_axis_free(ox_resize_axis *a);
/* y (outer, a->out, inner) = a x (outer, a->in, inner); `fill` in rows without an entry. */
void ox_resize_axis_apply(const ox_resize_axis *a, size_t outer, size_t inner, const float *x, float *y, float fill);

#endif
