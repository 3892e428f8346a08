/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/vmath.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Polynomials by weighted least squares, reweighted towards the least maximum, then rounded coefficient by
 * coefficient with the rest fitted again. Errors, relative to the function, in units of 2^-24:
 * (e^r - 1 - r) / r^2 on |r| <= 0.35: 0.06; (tanh(x) / x - 1) / x^2 in x^2 on |x| <= 0.63: 0.08;
 * erf(x) / x - 1 in x^2 on |x| <= 1: 0.02; log(erfc(x)) on 1..4, times erfc: 0.02. */
static const float exp_terms[] = {0.5F, 0.16666515171527863F, 0.04166637733578682F, 0.008369393646717072F,
                                  0.0013942924560979009F};
static const float tanh_terms[] = {-0.33333277702331543F, 0.1333131194114685F, -0.05372777581214905F,
                                   0.020597167313098907F, -0.005655292887240648F};
static const float erf_terms[] = {0.12837916612625122F,  -0.3761262893676758F,  0.11283618211746216F,
                                  -0.02685512602329254F, 0.005190733820199966F, -0.0008030761382542551F,
                                  7.920368079794571e-05F};
static const float log_erfc_terms[] = {-0.00035371718695387244F, -1.1270400285720825F, -0.6382257342338562F,
                                       -0.1030372679233551F,     0.02180524170398712F, -0.0029395809397101402F,
                                       0.00018557067960500717F};

#define N_TERMS(terms) (sizeof(terms) / sizeof(terms)[0])
#define LOG2_E 0x1.715476p+0F
#define LN2_HIGH 0x1.62e4p-1F /* 15 bits: its product with -150..128 is exact */
#define LN2_LOW 0x1.7f7d1cp-20F
#define ROUND 0x1.8p23F   /* x + ROUND - ROUND is x rounded to an integer */
#define EXP_MIN (-104.0F) /* exp is 0 below, and infinite above EXP_MAX */
#define EXP_MAX 89.0F
#define ROOT_HALF 0.70710678118654752440F /* sqrt(1 / 2) */
#define DENSITY 0.39894228040143267794F   /* 1 / sqrt(2 pi) */
#define GROUP 16u /* values that a sum takes at a time: the order of its additions on every CPU */

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16") /* at -O2 too */
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

#define LANES 4
#define LOW 0, 1
#define HIGH 2, 3
#define NAME(x) JOIN(x, _portable)
#define TARGET
#include "kernels/vmath_lanes.h"
#undef LANES
#undef LOW
#undef HIGH
#undef NAME
#undef TARGET

#if defined(__x86_64__)
#define LANES 8
#define LOW 0, 1, 2, 3
#define HIGH 4, 5, 6, 7
#define NAME(x) JOIN(x, _avx2)
#define TARGET __attribute__((target("avx2")))
#include "kernels/vmath_lanes.h"
#undef LANES
#undef LOW
#undef HIGH
#undef NAME
#undef TARGET

#define LANES 16
#define LOW 0, 1, 2, 3, 4, 5, 6, 7
#define HIGH 8, 9, 10, 11, 12, 13, 14, 15
#define NAME(x) JOIN(x, _avx512)
#define TARGET __attribute__((target("avx512f")))
#include "kernels/vmath_lanes.h"
#endif

const ox_vmath *ox_vmath_of(ox_isa isa) {
#if defined(__x86_64__)
    if (isa == OX_ISA_AVX512) {
        return &functions_avx512;
    }
    if (isa == OX_ISA_AVX2) {
        return &functions_avx2;
    }
#endif
    (void)isa;
    return &functions_portable;
}

void ox_v_exp(const float *x, float *y, size_t n) {
    ox_vmath_of(ox_isa_best())->exp(x, y, n);
}

void ox_v_tanh(const float *x, float *y, size_t n) {
    ox_vmath_of(ox_isa_best())->tanh(x, y, n);
}

void ox_v_erf(const float *x, float *y, size_t n) {
    ox_vmath_of(ox_isa_best())->erf(x, y, n);
}

void ox_v_sigmoid(const float *x, float *y, size_t n) {
    ox_vmath_of(ox_isa_best())->sigmoid(x, y, n);
}
