/* SPDX-License-Identifier: Apache-2.0
 * The vectorised functions against libm in double: error in units in the last place over the whole range of float32,
 * the ends of it, and the same bits from every instruction set and every place in an array. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kernels/vmath.h"

#define N 4096u
#define MAX_ULPS 2.0

typedef void array_fn(const float *x, float *y, size_t n);

static double logistic(double x) {
    return 1 / (1 + exp(-x));
}

static array_fn *function_of(const ox_vmath *v, size_t i) {
    array_fn *const fns[] = {v->exp, v->tanh, v->erf, v->sigmoid};
    return fns[i];
}

static const struct {
    const char *name;
    double (*exact)(double);
    array_fn *plain;
} functions[] = {
    {"exp", exp, ox_v_exp}, {"tanh", tanh, ox_v_tanh}, {"erf", erf, ox_v_erf}, {"sigmoid", logistic, ox_v_sigmoid}};
#define N_FUNCTIONS (sizeof functions / sizeof functions[0])

static float of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* |got - want| in units of the last place of the float nearest to want; denormals share the smallest unit. */
static double ulps(float got, double want) {
    float rounded = (float)want;
    if (isnan(want) || isinf(rounded) || isinf(got)) {
        return (isnan(want) && isnan(got)) || got == rounded ? 0 : INFINITY;
    }
    int e = 0;
    (void)frexp((double)rounded, &e);
    return fabs((double)got - want) / ldexp(1, e - 24 < -149 || rounded == 0 ? -149 : e - 24);
}

/* Every 2039th float of all 2^32, through every instruction set. */
static void errors_over_the_range(void **state) {
    (void)state;
    static float x[N], y[N];
    for (int isa = OX_ISA_PORTABLE; isa <= (int)ox_isa_best(); isa++) {
        const ox_vmath *v = ox_vmath_of((ox_isa)isa);
        for (size_t f = 0; f < N_FUNCTIONS; f++) {
            double worst = 0;
            float at = 0;
            uint64_t bits = 0;
            while (bits <= UINT32_MAX) {
                size_t n = 0;
                for (; n < N && bits <= UINT32_MAX; n++, bits += 2039) {
                    x[n] = of_bits((uint32_t)bits);
                }
                function_of(v, f)(x, y, n);
                for (size_t i = 0; i < n; i++) {
                    double e = ulps(y[i], functions[f].exact((double)x[i]));
                    if (!(e <= worst)) {
                        worst = e;
                        at = x[i];
                    }
                }
            }
            print_message("%s, instruction set %d: %.3f units at %a\n", functions[f].name, isa, worst, (double)at);
            assert_true(worst <= MAX_ULPS);
        }
    }
}

static const struct {
    float x, want[N_FUNCTIONS];
} ends[] = {
    {0, {1, 0, 0, 0.5F}},
    {-0.0F, {1, -0.0F, -0.0F, 0.5F}},
    {INFINITY, {INFINITY, 1, 1, 1}},
    {-INFINITY, {0, -1, -1, 0}},
    {3e38F, {INFINITY, 1, 1, 1}},
    {-3e38F, {0, -1, -1, 0}},
    {0x1p-149F, {1, 0x1p-149F, 0x1p-149F, 0.5F}},
    {-0x1p-140F, {1, -0x1p-140F, -0x1.20cp-140F, 0.5F}},
    {NAN, {NAN, NAN, NAN, NAN}},
    {-NAN, {NAN, NAN, NAN, NAN}},
};

static void ends_of_the_range(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        for (size_t f = 0; f < N_FUNCTIONS; f++) {
            float y = 7, want = ends[i].want[f];
            functions[f].plain(&ends[i].x, &y, 1);
            if (isnan(want) ? !isnan(y) : (y != want || signbit(y) != signbit(want))) {
                fail_msg("%s(%a) is %a, expected %a", functions[f].name, (double)ends[i].x, (double)y, (double)want);
            }
        }
    }
}

/* Bits of each element alone, in arrays of every length up to 70 at every offset, in place, on every CPU. */
static void bits_do_not_depend_on_place(void **state) {
    (void)state;
    float x[96], y[96], one;
    for (size_t i = 0; i < 96; i++) {
        x[i] = i % 13 == 0 ? NAN : (float)((double)i * 0.31 - 14);
    }
    for (size_t f = 0; f < N_FUNCTIONS; f++) {
        for (int isa = OX_ISA_PORTABLE; isa <= (int)ox_isa_best(); isa++) {
            array_fn *fn = function_of(ox_vmath_of((ox_isa)isa), f);
            for (size_t n = 0; n < 70; n++) {
                memcpy(y, x, sizeof x);
                fn(y + n % 17, y + n % 17, n);
                for (size_t i = 0; i < n; i++) {
                    function_of(ox_vmath_of(OX_ISA_PORTABLE), f)(&x[n % 17 + i], &one, 1);
                    assert_memory_equal(&one, &y[n % 17 + i], sizeof one);
                }
                assert_memory_equal(y + n % 17 + n, x + n % 17 + n, (96 - n % 17 - n) * sizeof *x);
            }
        }
    }
}

static void fill(float *x, size_t n, unsigned seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525U + 1013904223U;
        x[i] = (float)(seed >> 8) / 0x1p24F * 20 - 10;
    }
}

static double exact_softmax(const float *x, size_t len, size_t i, bool logarithm) {
    double max = -INFINITY, sum = 0;
    for (size_t k = 0; k < len; k++) {
        max = fmax(max, (double)x[k]);
    }
    for (size_t k = 0; k < len; k++) {
        sum += exp((double)x[k] - max);
    }
    return logarithm ? (double)x[i] - max - log(sum) : exp((double)x[i] - max) / sum;
}

static void softmax_rows(void **state) {
    (void)state;
    static float x[2 * 1030], y[2 * 1030], first[2 * 1030];
    static const size_t lengths[] = {1, 2, 7, 15, 16, 17, 32, 100, 127, 128, 129, 145, 257, 1030};
    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
        size_t len = lengths[l];
        fill(x, 2 * len, (unsigned)len);
        for (int logarithm = 0; logarithm < 2; logarithm++) {
            for (int isa = OX_ISA_PORTABLE; isa <= (int)ox_isa_best(); isa++) {
                const ox_vmath *v = ox_vmath_of((ox_isa)isa);
                (logarithm == 1 ? v->log_softmax : v->softmax)(x, y, 2, len);
                if (isa == OX_ISA_PORTABLE) {
                    memcpy(first, y, sizeof y);
                }
                assert_memory_equal(first, y, 2 * len * sizeof *y);
            }
            for (size_t i = 0; i < 2 * len; i++) {
                double want = exact_softmax(x + i / len * len, len, i % len, logarithm == 1);
                assert_true(fabs((double)y[i] - want) <= 2e-6 * fabs(want)); /* x - max, up to 20, is rounded */
            }
        }
    }
}

/* Rows without a finite largest value, as the plain loops have them. */
static void softmax_of_infinities(void **state) {
    (void)state;
    const float x[4][3] = {{NAN, 1, 2}, {-INFINITY, -INFINITY, -INFINITY}, {INFINITY, 1, 2}, {-INFINITY, 1, 1}};
    float y[4][3];
    ox_vmath_of(ox_isa_best())->softmax(x[0], y[0], 4, 3);
    assert_true(isnan(y[0][0]) && isnan(y[0][1]) && isnan(y[1][0]) && isnan(y[2][0]) && isnan(y[2][2]));
    assert_true(y[3][0] == 0 && y[3][1] == 0.5F && y[3][2] == 0.5F);
}

static void sums(void **state) {
    (void)state;
    static float a[1000], b[1000];
    fill(a, 1000, 1);
    fill(b, 1000, 2);
    for (size_t n = 0; n <= 1000; n = n < 40 ? n + 1 : n + 160) {
        double sum = 0, squares = 0, dot = 0;
        for (size_t i = 0; i < n; i++) {
            sum += (double)a[i];
            squares += ((double)a[i] - 0.5) * ((double)a[i] - 0.5);
            dot += (double)a[i] * (double)b[i];
        }
        const ox_vmath *first = ox_vmath_of(OX_ISA_PORTABLE);
        for (int isa = OX_ISA_PORTABLE; isa <= (int)ox_isa_best(); isa++) {
            const ox_vmath *v = ox_vmath_of((ox_isa)isa);
            assert_true(fabs(v->sum(a, n) - sum) <= 1e-10 && v->sum(a, n) == first->sum(a, n));
            assert_true(fabs(v->sum_squares(a, 0.5, n) - squares) <= 1e-9 &&
                        v->sum_squares(a, 0.5, n) == first->sum_squares(a, 0.5, n));
            assert_true(fabs(v->dot(a, b, n) - dot) <= 1e-9 && v->dot(a, b, n) == first->dot(a, b, n));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_over_the_range),       cmocka_unit_test(ends_of_the_range),
        cmocka_unit_test(bits_do_not_depend_on_place), cmocka_unit_test(softmax_rows),
        cmocka_unit_test(softmax_of_infinities),       cmocka_unit_test(sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
