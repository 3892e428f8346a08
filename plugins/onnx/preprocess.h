/* SPDX-License-Identifier: Apache-2.0
 * From the host's raw features to the graph's input and back: x' = (x * scale - mean) / std in float32, per channel of
 * an image (rank 4) or per feature of a vector (rank 2), then channel order and layout. The lists are in the order of
 * the model's channels, that is after BGR has swapped red and blue. */
#ifndef ONNX_PREPROCESS_H
#define ONNX_PREPROCESS_H

#include "graph.h"

typedef struct ox_preprocess {
    bool identity; /* nothing to compute; order and layout may still differ */
    bool nhwc;     /* the graph's input is (N, H, W, C) */
    bool bgr;
    uint32_t n_dims;               /* of the host's input: (N, C, H, W) or (N, D) or other */
    int64_t shape[ASSAY_MAX_DIMS]; /* shape[0] = -1 */
    size_t n_channels;             /* C, or D of a vector, else 1 */
    size_t n_inner;                /* H * W, else 1; the whole example for other ranks */
    size_t n_features;             /* per example */
    float *scale, *mean, *std;     /* n_channels each */
    double range_lo, range_hi;
} ox_preprocess;

/* Option or metadata text; NULL where not given. `where` of an error is the key, e.g. "preprocess.mean". */
typedef struct ox_preprocess_text {
    const char *scale, *mean, *std, *layout, *channels, *range;
    const char *scale_key, *mean_key, *std_key, *layout_key, *channels_key, *range_key;
} ox_preprocess_text;

/* STATUS_USAGE for a bad text, STATUS_UNSUPPORTED for a graph input that has no batch or no fixed size. */
status ox_preprocess_init(ox_preprocess *p, const ox_graph *g, const ox_preprocess_text *t, arena *memory, error *err);
/* n examples of the host's layout -> n of the graph's. */
void ox_preprocess_forward(const ox_preprocess *p, const float *raw, size_t n, float *x);
/* Gradient with respect to x -> gradient with respect to raw. */
void ox_preprocess_backward(const ox_preprocess *p, const float *gx, size_t n, float *graw);

#endif
