/* SPDX-License-Identifier: Apache-2.0
 * An image (channels, in) and its columns (channels * taps, out_plane): row (c, t) holds what tap t of the window sees
 * of channel c at each output position. Padding is zero. */
#ifndef ONNX_KERNELS_COLUMNS_H
#define ONNX_KERNELS_COLUMNS_H

#include "kernels/window.h"

/* col2im: ADDS each column element to the image element it stands for. */
void ox_columns_add(const ox_window *w, size_t channels, const float *columns, float *image);
void ox_columns_add_double(const ox_window *w, size_t channels, const double *columns, double *image);
/* im2col: overwrites the columns. */
void ox_columns_take(const ox_window *w, size_t channels, const float *image, float *columns);

#endif
