/* SPDX-License-Identifier: Apache-2.0
 * base/rng: golden streams of an independent implementation, quantiles against mpmath, distributions. */
#include "unit/base/check.h"

#include <math.h>

#include "base/rng.h"

static void test_golden(void **state) {
    (void)state;
    FILE *f = golden_open("rng.csv");
    char line[512];
    size_t n = 0;
    for (; fgets(line, sizeof line, f) != NULL; n++) {
        char *comma = strchr(line, ',');
        assert_non_null(comma);
        *comma = '\0';
        uint64_t v[12];
        char *s = comma + 1;
        for (size_t i = 0; i < N_OF(v); i++, s++) {
            v[i] = strtoull(s, &s, 16);
        }
        rng r = rng_at(v[0], line, v[1], v[2], v[3]);
        assert_int_equal(r.inc[1] & 1, 1);
        for (size_t i = 0; i < 8; i++) {
            assert_true(rng_u64(&r) == v[4 + i]);
        }
    }
    (void)fclose(f);
    assert_int_equal(n, 9);
}

/* A generator whose next draw is `v | 1`: from state 0 the next state is the increment, and the upper 6 bits of its
 * high word, the rotation, are 0. */
static rng next_is(uint64_t v) {
    return (rng){.state = {0, 0}, .inc = {0, v | 1}};
}

static void test_crafted(void **state) {
    (void)state;
    rng r = next_is(0x123456789abcdef0u);
    assert_true(rng_u64(&r) == 0x123456789abcdef1u);
}

static void test_fill(void **state) {
    (void)state;
    for (size_t n = 0; n < 40; n++) {
        rng a = rng_at(3, "t@1", n, 0, 0);
        rng b = a;
        uint64_t v[40];
        rng_fill_u64(&a, v, n);
        for (size_t i = 0; i < n; i++) {
            assert_true(v[i] == rng_u64(&b));
        }
        assert_memory_equal(&a, &b, sizeof a);
    }
}

/* A generator is a value of its key: nothing that was drawn elsewhere enters it, and no two keys share a start. */
static void test_independent(void **state) {
    (void)state;
    enum { N = 4000 };
    uint64_t *first = mem_zalloc(N * sizeof *first);
    for (size_t i = N; i-- > 0;) { /* in descending order, with draws between */
        rng r = rng_at(1, "t@1", i, 0, 0);
        first[i] = rng_u64(&r);
        (void)rng_normal(&r);
    }
    for (size_t i = 0; i < N; i++) {
        rng r = rng_at(1, "t@1", i, 0, 0);
        assert_true(rng_u64(&r) == first[i]);
    }
    double r01 = 0; /* neighbours do not move together */
    for (size_t i = 1; i < N; i++) {
        assert_true(first[i] != first[i - 1]);
        r01 += ((double)first[i] * 0x1p-64 - 0.5) * ((double)first[i - 1] * 0x1p-64 - 0.5) * 12;
    }
    assert_true(fabs(r01 / sqrt(N)) < 4);
    mem_free(first);
}

/* Chi-square with k-1 degrees of freedom, as a normal deviate (Wilson and Hilferty 1931). */
static double chi_square_z(const size_t *count, size_t k, double expected) {
    double x = 0;
    for (size_t i = 0; i < k; i++) {
        double d = (double)count[i] - expected;
        x += d * d / expected;
    }
    double v = (double)(k - 1);
    return (cbrt(x / v) - (1 - 2 / (9 * v))) / sqrt(2 / (9 * v));
}

static void test_uniform(void **state) {
    (void)state;
    rng r = rng_at(5, "uniform@1", 0, 0, 0);
    enum { N = 1 << 18, K = 256 };
    size_t high[K] = {0};
    size_t low[K] = {0};
    size_t unit[K] = {0};
    for (size_t i = 0; i < N; i++) {
        uint64_t v = rng_u64(&r);
        high[v >> 56]++;
        low[v & 255]++;
        double u = rng_unit(&r);
        assert_true(u >= 0 && u < 1);
        unit[(size_t)(u * K)]++;
    }
    assert_true(fabs(chi_square_z(high, K, (double)N / K)) < 4);
    assert_true(fabs(chi_square_z(low, K, (double)N / K)) < 4);
    assert_true(fabs(chi_square_z(unit, K, (double)N / K)) < 4);
    rng top = next_is(UINT64_MAX);
    assert_true(rng_unit(&top) == 1 - 0x1p-53);
    rng bottom = next_is(0);
    assert_true(rng_unit(&bottom) == 0);
}

static void test_below(void **state) {
    (void)state;
    static const uint64_t bounds[] = {1, 2, 3, 5, 7, 10, 12, 100, 101};
    for (size_t b = 0; b < N_OF(bounds); b++) {
        rng r = rng_at(6, "below@1", b, 0, 0);
        size_t count[128] = {0};
        enum { N = 60000 };
        for (size_t i = 0; i < N; i++) {
            uint64_t v = rng_below(&r, bounds[b]);
            assert_true(v < bounds[b]);
            count[v]++;
        }
        if (bounds[b] > 1) {
            assert_true(fabs(chi_square_z(count, bounds[b], (double)N / (double)bounds[b])) < 4);
        }
    }
}

/* At 3 * 2^62 a quarter of the draws must be rejected: without that, every third value would come twice as often. */
static void test_below_large(void **state) {
    (void)state;
    const uint64_t bound = 3ull << 62;
    rng r = rng_at(7, "below@1", 0, 0, 0);
    enum { N = 60000 };
    size_t third[3] = {0};
    size_t residue[3] = {0};
    for (size_t i = 0; i < N; i++) {
        uint64_t v = rng_below(&r, bound);
        assert_true(v < bound);
        third[v >> 62]++;
        residue[v % 3]++;
    }
    assert_true(fabs(chi_square_z(third, 3, N / 3.0)) < 4);
    assert_true(fabs(chi_square_z(residue, 3, N / 3.0)) < 4);
    assert_true(rng_below(&r, UINT64_MAX) < UINT64_MAX);
    rng same = r;
    assert_true(rng_below(&r, 1ull << 63) == rng_u64(&same) >> 1); /* nothing to reject */
}

static void test_normal_moments(void **state) {
    (void)state;
    rng r = rng_at(8, "normal@1", 0, 0, 0);
    enum { N = 200000 };
    double m[5] = {0};
    for (size_t i = 0; i < N; i++) {
        double z = rng_normal(&r);
        assert_true(isfinite(z));
        for (int k = 1; k <= 4; k++) {
            m[k] += pow(z, k) / N;
        }
    }
    /* five standard errors: sd of z, z^2, z^3, z^4 is 1, sqrt 2, sqrt 15, sqrt 96 */
    double se = 5 / sqrt(N);
    assert_true(fabs(m[1]) < se);
    assert_true(fabs(m[2] - 1) < se * sqrt(2));
    assert_true(fabs(m[3]) < se * sqrt(15));
    assert_true(fabs(m[4] - 3) < se * sqrt(96));
}

static void test_normal_golden(void **state) {
    (void)state;
    FILE *f = golden_open("quantile.csv");
    unsigned long long k = 0;
    double want = 0;
    size_t n = 0;
    for (; fscanf(f, "%llx,%lf\n", &k, &want) == 2; n++) {
        rng r = next_is((uint64_t)k << 12);
        double got = rng_normal(&r);
        if (!(fabs(got - want) <= 1e-14 * fabs(want))) {
            fail_msg("k = %llx: %.17g, not %.17g", k, got, want);
        }
        rng mirror = next_is(~((uint64_t)k << 12));
        assert_true(rng_normal(&mirror) == -got); /* exactly symmetric */
    }
    (void)fclose(f);
    assert_int_equal(n, 272);
}

/* The ends of the range are finite for every one of the draws next to them. */
static void test_normal_ends(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 1 << 14; i++) {
        rng lo = next_is(i);
        rng hi = next_is(UINT64_MAX - i);
        double a = rng_normal(&lo);
        double b = rng_normal(&hi);
        assert_true(isfinite(a) && isfinite(b) && a < -7 && b > 7);
    }
}

static int by_u32(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void test_shuffle(void **state) {
    (void)state;
    uint32_t v[1000];
    for (size_t n = 0; n <= N_OF(v); n += n < 10 ? 1 : 99) {
        for (size_t i = 0; i < n; i++) {
            v[i] = (uint32_t)i;
        }
        rng r = rng_at(9, "shuffle@1", n, 0, 0);
        rng_shuffle_u32(&r, v, n);
        qsort(v, n, sizeof *v, by_u32);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(v[i], i);
        }
    }
}

/* All 24 orders of four come equally often. */
static void test_shuffle_orders(void **state) {
    (void)state;
    size_t count[256] = {0};
    size_t orders[24] = {0};
    enum { N = 48000 };
    rng r = rng_at(10, "shuffle@1", 0, 0, 0);
    for (size_t i = 0; i < N; i++) {
        uint32_t v[] = {0, 1, 2, 3};
        rng_shuffle_u32(&r, v, 4);
        count[v[0] << 6 | v[1] << 4 | v[2] << 2 | v[3]]++;
    }
    size_t k = 0;
    for (size_t i = 0; i < 256; i++) {
        if (count[i] > 0) {
            assert_true(k < 24);
            orders[k++] = count[i];
        }
    }
    assert_int_equal(k, 24);
    assert_true(fabs(chi_square_z(orders, 24, N / 24.0)) < 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),        cmocka_unit_test(test_crafted),
        cmocka_unit_test(test_fill),          cmocka_unit_test(test_independent),
        cmocka_unit_test(test_uniform),       cmocka_unit_test(test_below),
        cmocka_unit_test(test_below_large),   cmocka_unit_test(test_normal_moments),
        cmocka_unit_test(test_normal_golden), cmocka_unit_test(test_normal_ends),
        cmocka_unit_test(test_shuffle),       cmocka_unit_test(test_shuffle_orders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
