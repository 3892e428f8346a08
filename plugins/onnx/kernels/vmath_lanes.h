/* SPDX-License-Identifier: Apache-2.0
 * The functions of vmath.c for vectors of LANES floats; included there once for each instruction set (no guard).
 * NAME(x) is x with the set's suffix, TARGET the attribute of its functions. */

typedef float NAME(vf) __attribute__((vector_size(LANES * 4)));
typedef int32_t NAME(vi) __attribute__((vector_size(LANES * 4)));
#define VF NAME(vf)
#define VI NAME(vi)
#define WHOLE (GROUP / LANES) /* vectors of a group */

TARGET INLINE VF NAME(set)(float x) {
    return (VF){0} + x;
}

TARGET INLINE VF NAME(select)(VI mask, VF yes, VF no) {
    return (VF)((mask & (VI)yes) | (~mask & (VI)no));
}

TARGET INLINE VF NAME(magnitude)(VF x) {
    return (VF)((VI)x & INT32_MAX);
}

/* |m| with the sign of x: of a zero too */
TARGET INLINE VF NAME(with_sign)(VF m, VF x) {
    return (VF)(((VI)m & INT32_MAX) | ((VI)x & INT32_MIN));
}

TARGET INLINE VF NAME(horner)(const float *terms, const size_t n, VF x) {
    VF p = NAME(set)(terms[n - 1]);
    UNROLL for (size_t i = n - 1; i-- > 0;) {
        p = p * x + terms[i];
    }
    return p;
}

/* 2^n e^r with n an integer and |r| <= ln(2) / 2. The scale is applied in two halves, so that the only rounding to a
 * denormal is the last. */
TARGET INLINE VF NAME(exp1)(VF x) {
    x = NAME(select)(x > EXP_MAX, NAME(set)(EXP_MAX), x); /* a NaN stays */
    x = NAME(select)(x < EXP_MIN, NAME(set)(EXP_MIN), x);
    VF shifted = x * LOG2_E + ROUND, n = shifted - ROUND;
    VF high = x - n * LN2_HIGH, low = n * LN2_LOW, r = high - low, lost = (high - r) - low;
    VF p = r * r * NAME(horner)(exp_terms, N_TERMS(exp_terms), r);
    VF y = 1 + (r + (p + lost));
    VI power = (VI)shifted - (VI)NAME(set)(ROUND), half = power >> 1;
    return y * (VF)((half + 127) << 23) * (VF)((power - half + 127) << 23);
}

/* Near 0 an odd polynomial, else 1 - 2 / (e^2|x| + 1). */
TARGET INLINE VF NAME(tanh1)(VF x) {
    VF a = NAME(magnitude)(x), z = x * x;
    VF small = x + x * (z * NAME(horner)(tanh_terms, N_TERMS(tanh_terms), z));
    VF large = 1 - 2 / (NAME(exp1)(a + a) + 1);
    return NAME(with_sign)(NAME(select)(a < 0.625F, small, large), x);
}

/* Near 0 an odd polynomial, else 1 - e^log(erfc |x|), which is 1 from 4 on. */
TARGET INLINE VF NAME(erf1)(VF x) {
    VF a = NAME(magnitude)(x), z = x * x;
    VF small = x + x * NAME(horner)(erf_terms, N_TERMS(erf_terms), z);
    VF near = NAME(select)(a > 4, NAME(set)(4), a);
    VF large = 1 - NAME(exp1)(NAME(horner)(log_erfc_terms, N_TERMS(log_erfc_terms), near));
    return NAME(with_sign)(NAME(select)(a < 1, small, large), x);
}

/* 1 / (1 + e^-|x|), or the same times e^-|x| for negative x; what rounding took from the divisor is made up for. */
TARGET INLINE VF NAME(sigmoid1)(VF x) {
    VF e = NAME(exp1)(-NAME(magnitude)(x));
    VF whole = 1 + e, lost = e - (whole - 1);
    VF y = NAME(select)(x < 0, e, NAME(set)(1)) / whole;
    return y - y * lost;
}

/* The last vector of an array is filled up with zeros: its values are computed as all others are. */
#define ARRAY(fn)                                                                                                      \
    TARGET static void NAME(array_##fn)(const float *x, float *y, size_t n) {                                          \
        VF v;                                                                                                          \
        size_t i = 0;                                                                                                  \
        for (; i + LANES <= n; i += LANES) {                                                                           \
            memcpy(&v, x + i, sizeof v);                                                                               \
            v = NAME(fn##1)(v);                                                                                        \
            memcpy(y + i, &v, sizeof v);                                                                               \
        }                                                                                                              \
        if (i < n) {                                                                                                   \
            v = NAME(set)(0);                                                                                          \
            memcpy(&v, x + i, (n - i) * sizeof *x);                                                                    \
            v = NAME(fn##1)(v);                                                                                        \
            memcpy(y + i, &v, (n - i) * sizeof *x);                                                                    \
        }                                                                                                              \
    }
ARRAY(exp)
ARRAY(tanh)
ARRAY(erf)
ARRAY(sigmoid)

/* ---- rows --------------------------------------------------------------------------------------- */

/* The largest value, NaN apart; -INFINITY if there is none. */
TARGET INLINE float NAME(max)(const float *x, size_t n) {
    VF best = NAME(set)(-INFINITY), v;
    float lanes[LANES], max = -INFINITY;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        memcpy(&v, x + i, sizeof v);
        best = NAME(select)(v > best, v, best);
    }
    memcpy(lanes, &best, sizeof best);
    for (size_t j = 0; j < LANES; j++) {
        max = lanes[j] > max ? lanes[j] : max;
    }
    for (; i < n; i++) {
        max = x[i] > max ? x[i] : max;
    }
    return max;
}

/* Adds a group's values to its 16 sums in double. */
TARGET INLINE void NAME(add)(double sums[GROUP], const float v[GROUP]) {
    UNROLL for (size_t j = 0; j < GROUP; j++) {
        sums[j] += (double)v[j];
    }
}

TARGET INLINE double NAME(total)(const double sums[GROUP]) {
    double even = 0, odd = 0;
    UNROLL for (size_t j = 0; j < GROUP; j += 2) {
        even += sums[j];
        odd += sums[j + 1];
    }
    return even + odd;
}

/* Sum of e^(x - max); the terms go to y where it is not NULL. */
TARGET INLINE double NAME(exp_sum)(const float *x, float *y, size_t n, float max) {
    double sums[GROUP] = {0};
    float terms[GROUP];
    size_t i = 0;
    for (; i + GROUP <= n; i += GROUP) {
        UNROLL for (size_t k = 0; k < WHOLE; k++) {
            VF v;
            memcpy(&v, x + i + k * LANES, sizeof v);
            v = NAME(exp1)(v - max);
            memcpy(terms + k * LANES, &v, sizeof v);
        }
        if (y != NULL) {
            memcpy(y + i, terms, sizeof terms);
        }
        NAME(add)(sums, terms);
    }
    size_t rest = n - i;
    if (rest > 0) {
        memset(terms, 0, sizeof terms);
        for (size_t j = 0; j < rest; j++) {
            terms[j] = x[i + j] - max;
        }
        NAME(array_exp)(terms, terms, rest);
        if (y != NULL) {
            memcpy(y + i, terms, rest * sizeof *y);
        }
        NAME(add)(sums, terms);
    }
    return NAME(total)(sums);
}

TARGET static void NAME(softmax)(const float *x, float *y, size_t rows, size_t len) {
    for (size_t r = 0; r < rows; r++, x += len, y += len) {
        float scale = (float)(1 / NAME(exp_sum)(x, y, len, NAME(max)(x, len)));
        for (size_t i = 0; i < len; i++) {
            y[i] *= scale;
        }
    }
}

TARGET static void NAME(log_softmax)(const float *x, float *y, size_t rows, size_t len) {
    for (size_t r = 0; r < rows; r++, x += len, y += len) {
        float max = NAME(max)(x, len);
        double total = (double)max + log(NAME(exp_sum)(x, NULL, len, max));
        for (size_t i = 0; i < len; i++) {
            y[i] = (float)((double)x[i] - total);
        }
    }
}

#define SUM(name, parameters, term)                                                                                    \
    TARGET static double NAME(name) parameters {                                                                       \
        double sums[GROUP] = {0};                                                                                      \
        size_t i = 0;                                                                                                  \
        for (; i + GROUP <= n; i += GROUP) {                                                                           \
            UNROLL for (size_t j = 0; j < GROUP; j++) {                                                                \
                sums[j] += (term);                                                                                     \
            }                                                                                                          \
        }                                                                                                              \
        for (size_t j = 0; i + j < n; j++) {                                                                           \
            sums[j] += (term);                                                                                         \
        }                                                                                                              \
        return NAME(total)(sums);                                                                                      \
    }
SUM(sum, (const float *x, size_t n), (double)x[i + j])
SUM(sum_squares, (const float *x, double shift, size_t n), ((double)x[i + j] - shift) * ((double)x[i + j] - shift))
SUM(dot, (const float *a, const float *b, size_t n), (double)a[i + j] * (double)b[i + j])

static const ox_vmath NAME(functions) = {.exp = NAME(array_exp),
                                         .tanh = NAME(array_tanh),
                                         .erf = NAME(array_erf),
                                         .sigmoid = NAME(array_sigmoid),
                                         .softmax = NAME(softmax),
                                         .log_softmax = NAME(log_softmax),
                                         .sum = NAME(sum),
                                         .sum_squares = NAME(sum_squares),
                                         .dot = NAME(dot)};
#undef VF
#undef VI
#undef WHOLE
#undef ARRAY
#undef SUM
