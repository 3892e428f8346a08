/* SPDX-License-Identifier: Apache-2.0
 * Hypothesis tests, Holm and power against scipy, mpmath and the values of the literature. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "math/tests.h"
#include "unit/math/golden.h"

static double value_of(const golden_row *r, double *tolerance) {
    const double *v = r->v;
    *tolerance = 1e-12;
    if (strcmp(r->name, "mcnemar_exact") == 0) {
        return tests_mcnemar_exact((int64_t)v[0], (int64_t)v[1]);
    }
    if (strcmp(r->name, "mcnemar_mid_p") == 0) {
        return tests_mcnemar_mid_p((int64_t)v[0], (int64_t)v[1]);
    }
    if (strcmp(r->name, "pairs_needed") == 0) {
        return tests_paired_pairs_needed(v[0], v[1], 0.05, 0.8);
    }
    *tolerance = 1e-11; /* scipy's own accuracy */
    if (strcmp(r->name, "binomial") == 0) {
        return tests_binomial((int64_t)v[0], (int64_t)v[1], v[2]);
    }
    return tests_paired_detectable((int64_t)v[0], v[1], 0.05, 0.8);
}

static void golden(void **state) {
    (void)state;
    FILE *f = golden_open("tests.csv");
    golden_row r;
    size_t n = 0;
    while (golden_next(f, &r)) {
        assert_int_equal(r.n, 4);
        double tolerance = 0;
        const double got = value_of(&r, &tolerance);
        if (!(golden_error(got, r.v[3]) < tolerance)) {
            fail_msg("%s(%g, %g, %g) = %.17g, not %.17g", r.name, r.v[0], r.v[1], r.v[2], got, r.v[3]);
        }
        n++;
    }
    (void)fclose(f);
    assert_true(n > 35);
}

static void holm(void **state) {
    (void)state;
    /* shuffled; statistics literature values for m = 8 */
    static const double p[] = {.205, .001, .042, .008, .06, NAN, .041, .039, .074};
    static const double want[] = {.234, .008, .234, .056, .234, NAN, .234, .234, .234};
    double got[9];
    size_t order[9];
    tests_holm(p, 9, order, got);
    for (size_t i = 0; i < 9; i++) {
        assert_true(golden_error(got[i], want[i]) < 1e-12);
    }
    static const double two[] = {0.9, 0.7};
    tests_holm(two, 2, order, got);
    assert_true(got[0] == 1.0 && got[1] == 1.0);
    tests_holm(two, 0, order, got);
}

static void power(void **state) {
    (void)state;
    assert_int_equal(ceil(tests_paired_pairs_needed(0.05, 0.01, 0.05, 0.8)), 3923);
    assert_int_equal(ceil(tests_paired_pairs_needed(0.02, 0.01, 0.05, 0.8)), 1568);
    assert_true(isnan(tests_paired_detectable(3, 0.5, 0.05, 0.8)));
    assert_true(isnan(tests_paired_detectable(0, 0.5, 0.05, 0.8)));
    /* detectable and pairs needed are inverse to each other */
    const double d = tests_paired_detectable(5000, 0.04, 0.05, 0.8);
    assert_true(fabs(tests_paired_pairs_needed(0.04, d, 0.05, 0.8) - 5000) < 1e-6);
}

static void nonsense(void **state) {
    (void)state;
    assert_true(isnan(tests_mcnemar_exact(-1, 3)));
    assert_true(isnan(tests_mcnemar_mid_p(3, -1)));
    assert_true(isnan(tests_binomial(4, 3, 0.5)));
    assert_true(isnan(tests_binomial(1, 3, 1.5)));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden), cmocka_unit_test(holm), cmocka_unit_test(power),
                                       cmocka_unit_test(nonsense)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
