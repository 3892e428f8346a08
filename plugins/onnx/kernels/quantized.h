/* SPDX-License-Identifier: Apache-2.0
 * What the quantised operators share: checks of 8-bit values with their scales and zero points, and how a real number
 * becomes a quantum. */
#ifndef ONNX_KERNELS_QUANTIZED_H
#define ONNX_KERNELS_QUANTIZED_H

#include <math.h>

#include "kernels/igemm.h"
#include "kernels/integer.h"

static inline bool ox_is_byte(uint32_t dtype) {
    return dtype == ASSAY_I8 || dtype == ASSAY_U8;
}

/* Input i is there and int8 or uint8. */
status ox_need_byte(const ox_node *n, size_t i, error *err);
/* Zero point i (may be absent) of the values of input `of`: their type, and 1 element. */
status ox_need_zero(const ox_node *n, size_t i, size_t of, error *err);
/* Scale i is float32 with 1 element, and positive and finite if it is known. */
status ox_need_scale(const ox_node *n, size_t i, error *err);
/* The elements of scale i are positive and finite if they are known; float32, any shape. */
status ox_need_scales(const ox_node *n, size_t i, error *err);
/* Scale and zero point of an output: the zero point says the output's type (absent: uint8, no zero point). */
status ox_need_output(const ox_node *n, size_t scale, size_t zero, uint32_t *dtype, error *err);

/* Element i, or the only one, or 0 where there is none. */
static inline int32_t ox_zero_of(const ox_tensor *z, size_t i) {
    return z == NULL ? 0 : (int32_t)ox_int_at(z, z->n == 1 ? 0 : i);
}
static inline float ox_scale_of(const ox_tensor *s, size_t i) {
    return ox_f32(s)[s->n == 1 ? 0 : i];
}

static inline ox_requant ox_requant_of(uint32_t dtype, int32_t zero) {
    bool s = dtype == ASSAY_I8;
    return (ox_requant){
        .zero = (float)zero, .lo = s ? -128.0F : 0.0F, .hi = s ? 127.0F : 255.0F, .isa = ox_int8_best()};
}

/* QuantizeLinear of one value, float32 throughout; open: before saturation. */
static inline float ox_quantum_open(ox_requant q, float real, float scale) {
    return rintf(real / scale) + q.zero;
}
static inline uint8_t ox_quantum_saturate(ox_requant q, float v) {
    v = v > q.hi ? q.hi : (v >= q.lo ? v : q.lo); /* NaN: the lowest */
    return (uint8_t)(int)v;
}
/* Of the value before saturation. */
static inline bool ox_in_range(ox_requant q, float v) {
    return v >= q.lo && v <= q.hi;
}

/* The 256 real values of a byte, by its bits: DequantizeLinear. */
void ox_dequantize_table(uint32_t dtype, float scale, int32_t zero, float table[256]);

#endif
