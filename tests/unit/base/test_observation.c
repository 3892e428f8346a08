/* SPDX-License-Identifier: Apache-2.0
 * base/observation: names of outcomes are stored in databases: both ways, and nothing else. */
#include "unit/base/check.h"

#include <math.h>

#include "base/observation.h"

static void test_outcomes(void **state) {
    (void)state;
    static const char *const names[] = {"", "OK", "SKIPPED", "FAILED", "UNTRUSTWORTHY", "CRASHED", "TIMEOUT"};
    assert_int_equal(N_OF(names), OUTCOME_COUNT);
    for (unsigned i = 0; i < OUTCOME_COUNT; i++) {
        assert_string_equal(outcome_name((outcome)i), names[i]);
        assert_int_equal(outcome_parse(names[i]), i);
    }
    assert_string_equal(outcome_name(OUTCOME_COUNT), "");
    assert_string_equal(outcome_name((outcome)-1), "");
    static const char *const others[] = {"ok", "OK ", " OK", "NONE", "CRASH", "TIMEOUTS"};
    for (size_t i = 0; i < N_OF(others); i++) {
        assert_int_equal(outcome_parse(others[i]), OUTCOME_NONE);
    }
}

/* Bit for bit, but one NaN is as good as another: "none" has many spellings. */
static void test_same_score(void **state) {
    (void)state;
    assert_true(observation_same_score(0.1, 0.1));
    assert_false(observation_same_score(0.1, nextafter(0.1, 1)));
    assert_false(observation_same_score(0.0, -0.0));
    assert_true(observation_same_score((double)NAN, -(double)NAN));
    assert_true(observation_same_score((double)NAN, nan("7")));
    assert_false(observation_same_score((double)NAN, 0));
    assert_false(observation_same_score((double)INFINITY, -(double)INFINITY));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_outcomes), cmocka_unit_test(test_same_score)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
