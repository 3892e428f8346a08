/* SPDX-License-Identifier: Apache-2.0
 * The functions of vmath.c for vectors of LANES floats; included there once for each instruction set (no guard).
 * NAME(x) is x with the set's suffix, TARGET the attribute of its functions, LOW and HIGH
 * are the numbers of the lower and upper half of the lanes. */

typedef float NAME(vf) __attribute__((vector_size(LANES * 4)));
typedef int32_t NAME(vi) __attribute__((vector_size(LANES * 4)));
typedef float NAME(vh) __attribute__((vector_size(LANES * 2)));
typedef double NAME(vd) __attribute__((vector_size(LANES * 4)));
#define VF NAME(vf)
#define VI NAME(vi)
#define VD NAME(vd)
#define HALF ((size_t)LANES / 2) /* doubles of a vector */
#define HALVES (GROUP / HALF)    /* vectors of doubles in a group */

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

/* 0.5 x (1 + erf(x / sqrt(2))); -infinity times 0 is 0 here */
TARGET INLINE VF NAME(gelu1)(VF x) {
    VF y = 0.5F * x * (1 + NAME(erf1)(x * ROOT_HALF));
    return NAME(select)(x == -INFINITY, NAME(set)(0), y);
}

/* Its slope: 0.5 (1 + erf(x / sqrt(2))) + x e^(-x^2 / 2) / sqrt(2 pi). Far out the last term is 0, and x may be
 * infinite. */
TARGET INLINE VF NAME(gelu_slope1)(VF x) {
    VF bend = 0.5F * x * (NAME(exp1)(-0.5F * x * x) * (2 * DENSITY));
    bend = NAME(select)(NAME(magnitude)(x) > 20, NAME(set)(0), bend);
    return 0.5F * (1 + NAME(erf1)(x * ROOT_HALF)) + bend;
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
ARRAY(gelu)

/* Lanes i.. of an array's last vector; zeros beyond n. */
TARGET INLINE VF NAME(load_some)(const float *x, size_t n) {
    VF v = NAME(set)(0);
    memcpy(&v, x, (n < LANES ? n : LANES) * sizeof *x);
    return v;
}

TARGET static void NAME(gelu_vjp)(const float *x, const float *g, float *dx, size_t n, bool store) {
    for (size_t i = 0; i < n; i += LANES) {
        size_t len = n - i < LANES ? n - i : LANES;
        VF d = NAME(load_some)(g + i, len) * NAME(gelu_slope1)(NAME(load_some)(x + i, len));
        d = store ? d : NAME(load_some)(dx + i, len) + d;
        memcpy(dx + i, &d, len * sizeof *dx);
    }
}

TARGET static void NAME(softmax_vjp)(const float *y, const float *g, float *dx, float dot, size_t n, bool store) {
    for (size_t i = 0; store && i < n; i++) {
        dx[i] = y[i] * (g[i] - dot);
    }
    for (size_t i = 0; !store && i < n; i++) {
        dx[i] += y[i] * (g[i] - dot);
    }
}

TARGET static void NAME(normalise)(const float *x, float *y, size_t n, const ox_moments *m, const float *scale,
                                   const float *bias) {
    const float mean = m->mean, lost = m->lost, inv_sd = m->inv_sd;
    for (size_t i = 0; bias != NULL && i < n; i++) {
        y[i] = (x[i] - mean - lost) * inv_sd * scale[i] + bias[i];
    }
    for (size_t i = 0; bias == NULL && i < n; i++) {
        y[i] = (x[i] - mean - lost) * inv_sd * scale[i];
    }
}

TARGET static void NAME(normalise_vjp)(const float *x, const float *g, const float *scale, float *dx, size_t n,
                                       const double by[3], bool store) {
    const double inv_sd = by[0], slope = by[1], shift = by[2];
    for (size_t i = 0; store && i < n; i++) {
        dx[i] = (float)((double)g[i] * (inv_sd * (double)scale[i]) + slope * (double)x[i] + shift);
    }
    for (size_t i = 0; !store && i < n; i++) {
        dx[i] += (float)((double)g[i] * (inv_sd * (double)scale[i]) + slope * (double)x[i] + shift);
    }
}

/* ---- rows --------------------------------------------------------------------------------------- */

/* The largest value, NaN apart; -INFINITY if there is none. Two chains of comparisons, as one would wait for itself. */
TARGET INLINE float NAME(max)(const float *x, size_t n) {
    VF best = NAME(set)(-INFINITY), other = best, v, w;
    float lanes[LANES];
    size_t i = 0;
    for (; i + (size_t)2 * LANES <= n; i += (size_t)2 * LANES) {
        memcpy(&v, x + i, sizeof v);
        memcpy(&w, x + i + LANES, sizeof w);
        best = NAME(select)(v > best, v, best);
        other = NAME(select)(w > other, w, other);
    }
    best = NAME(select)(other > best, other, best);
    memcpy(lanes, &best, sizeof best);
    for (size_t j = 0; i < n; i++, j = (j + 1) % LANES) {
        lanes[j] = x[i] > lanes[j] ? x[i] : lanes[j];
    }
    UNROLL for (size_t k = LANES / 2; k > 0; k /= 2) {
        UNROLL for (size_t j = 0; j < k; j++) {
            lanes[j] = lanes[j + k] > lanes[j] ? lanes[j + k] : lanes[j];
        }
    }
    return lanes[0];
}

/* HALF values in double. */
TARGET INLINE VD NAME(wide)(const float *x) {
    NAME(vh) h;
    memcpy(&h, x, sizeof h);
    return __builtin_convertvector(h, VD);
}

TARGET INLINE double NAME(total)(const VD acc[HALVES], const double more[GROUP]) {
    double sums[GROUP];
    memcpy(sums, acc, sizeof sums);
    if (more != NULL) {
        UNROLL for (size_t j = 0; j < GROUP; j++) {
            sums[j] += more[j];
        }
    }
    UNROLL for (size_t k = GROUP / 2; k > 0; k /= 2) {
        UNROLL for (size_t j = 0; j < k; j++) {
            sums[j] += sums[j + k];
        }
    }
    return sums[0];
}

/* e^(x - max) of a group into y; adds them to the sums. */
TARGET INLINE void NAME(exp_group)(const float *x, float *y, float max, VD acc[HALVES]) {
    UNROLL for (size_t k = 0; k < GROUP / LANES; k++) {
        VF v;
        memcpy(&v, x + k * LANES, sizeof v);
        v = NAME(exp1)(v - max);
        memcpy(y + k * LANES, &v, sizeof v);
        acc[2 * k] += __builtin_convertvector(__builtin_shufflevector(v, v, LOW), VD);
        acc[2 * k + 1] += __builtin_convertvector(__builtin_shufflevector(v, v, HIGH), VD);
    }
}

/* The same for a row: its sum. Without y the terms are not kept. */
TARGET INLINE double NAME(exp_sum)(const float *x, float *y, size_t n, float max) {
    VD acc[HALVES] = {{0}};
    float terms[GROUP], last[GROUP];
    size_t i = 0;
    for (; i + GROUP <= n; i += GROUP) {
        NAME(exp_group)(x + i, y != NULL ? y + i : terms, max, acc);
    }
    if (i < n) {
        for (size_t j = 0; j < GROUP; j++) {
            last[j] = i + j < n ? x[i + j] : -INFINITY;
        }
        NAME(exp_group)(last, terms, max, acc);
        if (y != NULL) {
            memcpy(y + i, terms, (n - i) * sizeof *y);
        }
    }
    return NAME(total)(acc, NULL);
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

/* Body of a sum of n terms: WIDE gives HALF of them from element i on, ONE the term of element i. */
#define SUM(WIDE, ONE)                                                                                                 \
    VD acc[HALVES] = {{0}};                                                                                            \
    double more[GROUP] = {0};                                                                                          \
    size_t at = 0;                                                                                                     \
    for (; at + GROUP <= n; at += GROUP) {                                                                             \
        UNROLL for (size_t k = 0; k < HALVES; k++) {                                                                   \
            size_t i = at + k * HALF;                                                                                  \
            acc[k] += (WIDE);                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    for (size_t i = at; i < n; i++) {                                                                                  \
        more[i - at] = (ONE);                                                                                          \
    }                                                                                                                  \
    return NAME(total)(acc, at < n ? more : NULL)

TARGET static double NAME(sum)(const float *x, size_t n) {
    SUM(NAME(wide)(x + i), (double)x[i]);
}

TARGET static double NAME(sum_squares)(const float *x, double shift, size_t n) {
    SUM((NAME(wide)(x + i) - shift) * (NAME(wide)(x + i) - shift), ((double)x[i] - shift) * ((double)x[i] - shift));
}

TARGET static double NAME(dot)(const float *a, const float *b, size_t n) {
    SUM(NAME(wide)(a + i) * NAME(wide)(b + i), (double)a[i] * (double)b[i]);
}

static const ox_vmath NAME(functions) = {.exp = NAME(array_exp),
                                         .tanh = NAME(array_tanh),
                                         .erf = NAME(array_erf),
                                         .sigmoid = NAME(array_sigmoid),
                                         .gelu = NAME(array_gelu),
                                         .gelu_vjp = NAME(gelu_vjp),
                                         .softmax = NAME(softmax),
                                         .softmax_vjp = NAME(softmax_vjp),
                                         .normalise = NAME(normalise),
                                         .normalise_vjp = NAME(normalise_vjp),
                                         .log_softmax = NAME(log_softmax),
                                         .sum = NAME(sum),
                                         .sum_squares = NAME(sum_squares),
                                         .dot = NAME(dot)};
#undef VF
#undef VI
#undef VD
#undef HALF
#undef HALVES
#undef ARRAY
#undef SUM
