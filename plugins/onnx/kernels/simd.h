/* SPDX-License-Identifier: Apache-2.0
 * Four lanes of the compilers' vector extension, for loops that GCC leaves scalar because a comparison might trap.
 * 16 bytes are every x86-64's and AArch64's; these loops wait for memory, so wider vectors would not pay. */
#ifndef ONNX_KERNELS_SIMD_H
#define ONNX_KERNELS_SIMD_H

#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define OX_LANES 4u

typedef float ox_vf __attribute__((vector_size(16)));
typedef int32_t ox_vi __attribute__((vector_size(16)));
typedef uint8_t ox_vb __attribute__((vector_size(16)));

static inline ox_vf ox_v_load(const float *p) {
    ox_vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void ox_v_store(float *p, ox_vf v) {
    memcpy(p, &v, sizeof v);
}

static inline ox_vf ox_v_set(float x) {
    return (ox_vf){x, x, x, x};
}

/* mask: all ones or all zeros per lane, as comparisons give it */
static inline ox_vf ox_v_select(ox_vi mask, ox_vf yes, ox_vf no) {
    return (ox_vf)((mask & (ox_vi)yes) | (~mask & (ox_vi)no));
}

/* The larger and the smaller of a and b; b where either is NaN. */
static inline ox_vf ox_v_max(ox_vf a, ox_vf b) {
#if defined(__SSE2__)
    return _mm_max_ps(a, b);
#else
    return ox_v_select(a > b, a, b);
#endif
}
static inline ox_vf ox_v_min(ox_vf a, ox_vf b) {
#if defined(__SSE2__)
    return _mm_min_ps(a, b);
#else
    return ox_v_select(a < b, a, b);
#endif
}

/* Lanes 0, 2, 4, 6 and 1, 3, 5, 7 of two vectors. */
static inline ox_vf ox_v_even(ox_vf a, ox_vf b) {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6);
}
static inline ox_vf ox_v_odd(ox_vf a, ox_vf b) {
    return __builtin_shufflevector(a, b, 1, 3, 5, 7);
}

/* The low bytes of sixteen integers (lanes are little-endian). */
static inline ox_vb ox_v_bytes(ox_vi a, ox_vi b, ox_vi c, ox_vi d) {
    typedef int16_t half __attribute__((vector_size(16)));
    half ab = __builtin_shufflevector((half)a, (half)b, 0, 2, 4, 6, 8, 10, 12, 14);
    half cd = __builtin_shufflevector((half)c, (half)d, 0, 2, 4, 6, 8, 10, 12, 14);
    return __builtin_shufflevector((ox_vb)ab, (ox_vb)cd, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}

#endif
