/* SPDX-License-Identifier: Apache-2.0
 * What kernels share beyond kernel.h: typed access, checks of inputs and attributes, strided walks. */
#ifndef ONNX_KERNELS_COMMON_H
#define ONNX_KERNELS_COMMON_H

#include <string.h>

#include "kernel.h"

/* Every kernel on floats takes float32 (fast path) and float64. The float64 path is the reference loop, so
 * that tests difference a kernel in double precision; models in double run through it as well. */
static inline bool ox_is_float(uint32_t dtype) {
    return dtype == ASSAY_F32 || dtype == ASSAY_F64;
}

static inline const float *ox_f32(const ox_tensor *t) {
    return t->data;
}

/* Element i as a double; 64-bit integers above 2^53 lose bits (kernels that care read them as such). */
double ox_at_other(const ox_tensor *t, size_t i);
static inline double ox_at(const ox_tensor *t, size_t i) {
    return t->dtype == ASSAY_F32 ? (double)((const float *)t->data)[i] : ox_at_other(t, i);
}

/* Float tensors only. */
static inline void ox_put(ox_tensor *t, size_t i, double v) {
    if (t->dtype == ASSAY_F32) {
        ((float *)t->data)[i] = (float)v;
    } else {
        ((double *)t->data)[i] = v;
    }
}

/* The gradient buffers of input and output i; NULL where none is wanted, or the output has none (zero). */
static inline float *ox_grad_in(const ox_node *n, size_t i) {
    return i < n->n_in ? n->grad_in[i] : NULL;
}
static inline const float *ox_grad_out(const ox_node *n, size_t i) {
    return i < n->n_out ? n->grad_out[i] : NULL;
}
static inline ox_tensor *ox_input(const ox_node *n, size_t i) {
    return i < n->n_in ? n->in[i] : NULL;
}
static inline ox_tensor *ox_output(const ox_node *n, size_t i) {
    return i < n->n_out ? n->out[i] : NULL;
}

const char *ox_dtype_name(uint32_t dtype);
/* Input i is there and float32 or float64; the others named have the dtype of input 0. */
status ox_need_float(const ox_node *n, size_t i, error *err);
status ox_need_dtype_of_first(const ox_node *n, size_t i, error *err);
/* Input i is a vector of `len` elements of input 0's dtype. */
status ox_need_vector(const ox_node *n, size_t i, size_t len, error *err);
/* out[0] has the shape and dtype of in[0]. */
status ox_infer_same(ox_node *n, error *err);
/* An attribute of another kind than asked for is an error, where ox_attr_int and friends take the default. */
status ox_check_attr(const ox_node *n, const char *name, ox_attr_kind kind, error *err);
/* Attribute `name` as an axis of `rank` dimensions: -rank..rank-1, or rank itself where one_past. */
status ox_attr_axis(const ox_node *n, const char *name, int64_t def, uint32_t rank, bool one_past, uint32_t *axis,
                    error *err);
/* Product of shape[from..to). */
size_t ox_count(const ox_tensor *t, uint32_t from, uint32_t to);
/* Elements of a and of b for each step of an output shape, with runs of dimensions merged: stride 0 where an
 * operand is broadcast. The innermost strides are 0 or 1. */
typedef struct ox_walk {
    uint32_t n_dims;
    size_t shape[ASSAY_MAX_DIMS], sa[ASSAY_MAX_DIMS], sb[ASSAY_MAX_DIMS];
} ox_walk;
void ox_walk_init(ox_walk *w, const ox_tensor *a, const ox_tensor *b, const ox_tensor *out);
/* Moves idx over all dimensions but the innermost; false at the end. Offsets of a and b follow. */
bool ox_walk_next(const ox_walk *w, size_t idx[ASSAY_MAX_DIMS], size_t *a, size_t *b);

#endif
