/* SPDX-License-Identifier: Apache-2.0
 * base/clock: the monotonic clock does not go back; ISO 8601 at known instants. */
#include "unit/base/check.h"

#include "base/clock.h"

static void test_monotonic(void **state) {
    (void)state;
    int64_t before = clock_ns();
    for (int i = 0; i < 100000; i++) {
        int64_t now = clock_ns();
        assert_true(now >= before);
        before = now;
    }
    assert_true(clock_wall_ns() > 1700000000000000000);
}

static void test_iso(void **state) {
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } rows[] = {{0, "1970-01-01T00:00:00.000Z"},
                {999999, "1970-01-01T00:00:00.000Z"},
                {1000000, "1970-01-01T00:00:00.001Z"},
                {951782400123456789, "2000-02-29T00:00:00.123Z"}, /* a leap day */
                {1795535999999999999, "2026-11-24T15:59:59.999Z"},
                {4102444800000000000, "2100-01-01T00:00:00.000Z"},
                {INT64_MAX, "2262-04-11T23:47:16.854Z"},
                {-1, "1969-12-31T23:59:59.999Z"},
                {-1000000000, "1969-12-31T23:59:59.000Z"},
                {INT64_MIN, "1677-09-21T00:12:43.145Z"}};
    for (size_t i = 0; i < N_OF(rows); i++) {
        char text[CLOCK_ISO_BYTES];
        assert_ptr_equal(clock_iso(rows[i].ns, text), text);
        assert_string_equal(text, rows[i].text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_monotonic), cmocka_unit_test(test_iso)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
