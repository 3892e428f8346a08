/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "math/sum.h"

static void compensated(void **state) {
    (void)state;
    sum_acc s = {0};
    const double v[] = {1.0, 1e100, 1.0, -1e100}; /* Kahan's sum loses the two; Neumaier's keeps them */
    for (size_t i = 0; i < 4; i++) {
        sum_add(&s, v[i]);
    }
    assert_true(sum_value(&s) == 2.0);
    sum_add(&s, INFINITY);
    assert_true(isinf(sum_value(&s)));
    sum_add(&s, -INFINITY);
    assert_true(isnan(sum_value(&s)));
}

static void pairwise(void **state) {
    (void)state;
    static double v[100003];
    for (size_t i = 0; i < 100003; i++) {
        v[i] = 0.1;
    }
    assert_true(fabs(sum_pairwise(v, 100003) - 10000.3) < 1e-9);
    assert_true(sum_pairwise(v, 0) == 0);
    assert_true(sum_pairwise(v, 3) == 0.1 + 0.1 + 0.1);
}

static void variance(void **state) {
    (void)state;
    const double v[] = {1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16}; /* the textbook one-pass formula gives nonsense */
    double m = 0;
    double s2 = 0;
    sum_mean_variance(v, 4, &m, &s2);
    assert_true(m == 1e9 + 10);
    assert_true(s2 == 30.0);
    sum_mean_variance(v, 1, &m, &s2);
    assert_true(m == v[0] && isnan(s2));
    sum_mean_variance(v, 0, &m, &s2);
    assert_true(isnan(m) && isnan(s2));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(compensated), cmocka_unit_test(pairwise),
                                       cmocka_unit_test(variance)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
