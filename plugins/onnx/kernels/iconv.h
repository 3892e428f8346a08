/* SPDX-License-Identifier: Apache-2.0
 * Convolution of 8-bit integers with exact 32-bit sums: sum over taps and channels of (x - x_zero) * (w - w_zero), one
 * example at a time, without im2col. The image is copied once per example into a padded one whose layout lets every tap
 * be a shifted view of it (see iconv.c). */
#ifndef ONNX_KERNELS_ICONV_H
#define ONNX_KERNELS_ICONV_H

#include "kernels/conv.h"
#include "kernels/igemm.h"

typedef struct ox_iconv ox_iconv;
/* STATUS_UNSUPPORTED where the padded image would be far larger than input and output (a window of which most lies in
 * the padding): the plain loops do that. */
status ox_iconv_create(const ox_conv_shape *s, ox_int8_isa isa, ox_iconv **out, error *err);
void ox_iconv_destroy(ox_iconv *c);
/* w (c_out, c_in / groups, taps); zero: one per output channel. */
void ox_iconv_weights(ox_iconv *c, const void *w, bool is_signed, const int32_t *zero);
/* Before the examples of one call: their type and zero point. */
void ox_iconv_begin(ox_iconv *c, bool is_signed, int32_t zero);
/* Finished sums of one channel: n rows of `len` outputs, `pitch` apart; in the output's plane they are dense, from
 * `position` on. */
typedef struct ox_iconv_rows {
    size_t channel, position;
    const int32_t *acc;
    size_t pitch, len, n;
} ox_iconv_rows;
typedef void (*ox_iconv_sink)(void *ctx, const ox_iconv_rows *r);
/* One example. */
void ox_iconv_run(ox_iconv *c, const void *x, ox_iconv_sink sink, void *ctx);

/* The same by plain loops: one output element. x: one example. */
int32_t ox_iconv_at(const ox_conv_shape *s, const void *x, bool x_signed, int32_t x_zero, const void *w, bool w_signed,
                    int32_t w_zero, size_t channel, size_t position);

#endif
