/* SPDX-License-Identifier: Apache-2.0
 * Intervals against mpmath and scipy, and what must hold for every k and n. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "math/interval.h"
#include "math/special.h"
#include "unit/math/golden.h"

static interval value_of(const golden_row *r) {
    const int64_t a = (int64_t)r->v[0];
    const int64_t b = (int64_t)r->v[1];
    const double level = r->v[3];
    return strcmp(r->name, "wilson") == 0            ? interval_wilson(a, b, level)
           : strcmp(r->name, "clopper_pearson") == 0 ? interval_clopper_pearson(a, b, level)
           : strcmp(r->name, "jeffreys") == 0        ? interval_jeffreys(a, b, level)
           : strcmp(r->name, "mean_t") == 0          ? interval_mean_t(r->v[0], r->v[1], (size_t)r->v[2], level)
                                                     : interval_paired_difference(a, b, (int64_t)r->v[2], level);
}

static void golden(void **state) {
    (void)state;
    FILE *f = golden_open("interval.csv");
    golden_row r;
    size_t n = 0;
    while (golden_next(f, &r)) {
        assert_int_equal(r.n, 6);
        const interval got = value_of(&r);
        /* bounds are differences of numbers up to one: 1e-12 of the range or of the value */
        const double lo = fmin(golden_error(got.lo, r.v[4]), fabs(got.lo - r.v[4]) * 1e2);
        const double hi = fmin(golden_error(got.hi, r.v[5]), fabs(got.hi - r.v[5]) * 1e2);
        if (!(lo < 1e-12) || !(hi < 1e-12)) {
            fail_msg("%s(%g, %g, %g): [%.17g, %.17g], not [%.17g, %.17g]", r.name, r.v[0], r.v[1], r.v[2], got.lo,
                     got.hi, r.v[4], r.v[5]);
        }
        n++;
    }
    (void)fclose(f);
    assert_true(n > 90);
}

static void contains_the_estimate(void **state) {
    (void)state;
    for (int64_t n = 0; n <= 60; n++) {
        for (int64_t k = 0; k <= n; k++) {
            const double p = n == 0 ? 0.5 : (double)k / (double)n;
            const interval v[] = {interval_wilson(k, n, 0.95), interval_clopper_pearson(k, n, 0.95),
                                  interval_jeffreys(k, n, 0.95)};
            for (size_t i = 0; i < 3; i++) {
                assert_true(v[i].lo >= 0 && v[i].lo <= p && p <= v[i].hi && v[i].hi <= 1);
            }
        }
    }
}

static void paired_is_antisymmetric(void **state) {
    (void)state;
    for (int64_t n = 0; n <= 14; n++) {
        for (int64_t b = 0; b <= n; b++) {
            for (int64_t c = 0; b + c <= n; c++) {
                const interval x = interval_paired_difference(b, c, n, 0.95);
                const interval y = interval_paired_difference(c, b, n, 0.95);
                const double d = n == 0 ? 0 : (double)(b - c) / (double)n;
                assert_true(x.lo == -y.hi && x.hi == -y.lo);
                assert_true(x.lo >= -1 && x.lo <= d && d <= x.hi && x.hi <= 1);
            }
        }
    }
}

static void without_data(void **state) {
    (void)state;
    const interval t = interval_mean_t(3.0, NAN, 1, 0.95);
    assert_true(isinf(t.lo) && isinf(t.hi));
}

/* The definition: exact coverage of Clopper-Pearson is at least the level at every p of a grid. */
static void exact_coverage(void **state) {
    (void)state;
    for (double p = 0.01; p < 1; p += 0.03) {
        double covered = 0;
        for (int64_t k = 0; k <= 25; k++) {
            const interval v = interval_clopper_pearson(k, 25, 0.95);
            covered += v.lo <= p && p <= v.hi ? special_binomial_pmf((double)k, 25, p) : 0;
        }
        assert_true(covered >= 0.95);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),
        cmocka_unit_test(contains_the_estimate),
        cmocka_unit_test(paired_is_antisymmetric),
        cmocka_unit_test(without_data),
        cmocka_unit_test(exact_coverage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
