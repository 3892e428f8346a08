/* SPDX-License-Identifier: Apache-2.0
 * The geometry that Conv and the pools share: kernel_shape, strides, pads, dilations, auto_pad, ceil_mode, over one
 * to three spatial dimensions. */
#ifndef ONNX_KERNELS_WINDOW_H
#define ONNX_KERNELS_WINDOW_H

#include "kernels/common.h"

/* Always three dimensions (D, H, W); missing leading ones have size 1 and kernel 1. */
typedef struct ox_window {
    uint32_t n_spatial; /* as the model says: 1..3 */
    size_t k[3], stride[3], dilation[3], pad_lo[3], pad_hi[3], in[3], out[3];
    size_t in_plane, out_plane, taps; /* products of in, out, k */
} ox_window;

/* x is (N, C, spatial...). kernel: the spatial shape of the weights, or NULL (then kernel_shape is needed). */
status ox_window_read(const ox_node *n, const int64_t *kernel, bool pool, ox_window *w, error *err);

/* ConvTranspose: the window of the convolution whose transpose it is: in and pads are of the OUTPUT y, out is the shape
 * of the input x. `kernel` as above. */
status ox_window_read_transposed(const ox_node *n, const int64_t *kernel, ox_window *w, error *err);
/* Attributes of ox_window_read without kernel_shape, auto_pad and input: for Col2Im, which has the image's shape and
 * the block's as inputs. w->in and w->k are set; sets the rest. */
status ox_window_read_image(const ox_node *n, ox_window *w, error *err);

/* Taps first..end-1 of dimension d at output position o lie inside the input, the first at input index `at`. */
typedef struct ox_taps {
    size_t first, end, at;
} ox_taps;
static inline ox_taps ox_window_taps(const ox_window *w, unsigned d, size_t o) {
    size_t start = o * w->stride[d], lo = w->pad_lo[d], dil = w->dilation[d];
    size_t first = start >= lo ? 0 : (lo - start + dil - 1) / dil;
    size_t room = w->in[d] + lo > start ? w->in[d] + lo - start : 0; /* taps t with t * dil < room are in */
    size_t end = (room + dil - 1) / dil;
    end = end < w->k[d] ? end : w->k[d];
    first = first < end ? first : end;
    return (ox_taps){first, end, first < end ? start + first * dil - lo : 0};
}

#endif
