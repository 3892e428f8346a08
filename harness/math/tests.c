/* SPDX-License-Identifier: Apache-2.0 */
#include "math/tests.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "math/special.h"

double tests_mcnemar_exact(int64_t b, int64_t c) {
    if (b < 0 || c < 0) {
        return NAN;
    }
    if (b == c) {
        return 1.0;
    }
    return fmin(1.0, 2.0 * special_binomial_cdf((double)(b < c ? b : c), (double)(b + c), 0.5));
}

double tests_mcnemar_mid_p(int64_t b, int64_t c) {
    if (b < 0 || c < 0) {
        return NAN;
    }
    if (b == c) {
        return 1.0; /* 2 P(X <= k) - P(X = k) = 1 at the centre */
    }
    const double k = (double)(b < c ? b : c);
    const double n = (double)(b + c);
    /* P(X < k) doubled plus P(X = k): no subtraction, so that small values keep their digits */
    const double below = k == 0 ? 0.0 : 2.0 * special_binomial_cdf(k - 1.0, n, 0.5);
    return fmin(1.0, below + special_binomial_pmf(k, n, 0.5));
}

/* Number of i in lo..hi with pmf(i) <= limit, where the pmf rises (rising) or falls over lo..hi. */
static double count_unlikely(double lo, double hi, double n, double p, double limit, bool rising) {
    double a = lo; /* the first index of the falling side (or one past the last of the rising side) that counts */
    double b = hi + 1.0;
    while (a < b) {
        const double mid = floor(a + 0.5 * (b - a));
        const bool small = special_binomial_pmf(mid, n, p) <= limit;
        if (small == rising) {
            a = mid + 1.0;
        } else {
            b = mid;
        }
    }
    return rising ? a - lo : hi + 1.0 - a;
}

double tests_binomial(int64_t k, int64_t n, double p) {
    if (n < 0 || k < 0 || k > n || !(p >= 0) || !(p <= 1)) {
        return NAN;
    }
    const double x = (double)k;
    const double m = (double)n;
    const double limit = special_binomial_pmf(x, m, p) * (1.0 + 1e-7); /* ties in exact arithmetic count as equal */
    if (x == p * m) {
        return 1.0;
    }
    if (x < p * m) {
        const double n_upper = count_unlikely(ceil(p * m), m, m, p, limit, false);
        return fmin(1.0, special_binomial_cdf(x, m, p) + special_binomial_sf(m - n_upper, m, p));
    }
    const double n_lower = count_unlikely(0, floor(p * m), m, p, limit, true);
    return fmin(1.0, special_binomial_cdf(n_lower - 1.0, m, p) + special_binomial_sf(x - 1.0, m, p));
}

/* qsort_r order of indexes: by p-value, NaN last, ties by position. */
static int by_p(const void *x, const void *y, void *context) {
    const double *p = context;
    const size_t i = *(const size_t *)x;
    const size_t j = *(const size_t *)y;
    if (isnan(p[i]) || isnan(p[j])) {
        return isnan(p[i]) == isnan(p[j]) ? (i > j) - (i < j) : isnan(p[i]) ? 1 : -1;
    }
    return p[i] != p[j] ? (p[i] > p[j]) - (p[i] < p[j]) : (i > j) - (i < j);
}

void tests_holm(const double *p, size_t n, size_t *order, double *out) {
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        order[i] = i;
        m += isnan(p[i]) ? 0 : 1;
    }
    qsort_r(order, n, sizeof *order, by_p, (void *)(uintptr_t)p);
    double worst = 0;
    for (size_t r = 0; r < n; r++) {
        worst = r < m ? fmax(worst, p[order[r]] * (double)(m - r)) : NAN;
        out[order[r]] = fmin(worst, 1.0);
        if (r >= m) {
            out[order[r]] = NAN; /* fmin would drop it */
        }
    }
}

static double z_upper(double tail) {
    return -special_normal_quantile(tail);
}

double tests_paired_pairs_needed(double psi, double d, double alpha, double power) {
    if (!(psi > 0) || !(psi <= 1) || !(fabs(d) <= psi) || d == 0) {
        return NAN;
    }
    const double root = z_upper(0.5 * alpha) * sqrt(psi) + z_upper(1.0 - power) * sqrt(psi - d * d);
    return root * root / (d * d);
}

/* With psi = d the condition is n d = (z_alpha + z_power sqrt(1 - d))^2; the left side rises, the right falls. */
static double detectable_one_way(double n, double za, double zp) {
    double lo = 0;
    double hi = 1.0;
    if (n < za * za) {
        return NAN;
    }
    for (int i = 0; i < 200 && lo < hi; i++) {
        const double d = lo + 0.5 * (hi - lo);
        if (d <= lo || d >= hi) {
            break;
        }
        const double root = za + zp * sqrt(1.0 - d);
        if (n * d < root * root) {
            lo = d;
        } else {
            hi = d;
        }
    }
    return hi;
}

double tests_paired_detectable(int64_t n_pairs, double psi, double alpha, double power) {
    if (n_pairs <= 0 || !(psi >= 0) || !(psi <= 1)) {
        return NAN;
    }
    const double n = (double)n_pairs;
    const double za = z_upper(0.5 * alpha);
    const double zp = z_upper(1.0 - power);
    /* d sqrt(n) = za sqrt(psi) + zp sqrt(psi - d^2), squared and solved for d (the larger root) */
    const double radicand = n - za * za + zp * zp;
    const double d = radicand < 0 ? INFINITY : sqrt(psi) * (za * sqrt(n) + zp * sqrt(radicand)) / (n + zp * zp);
    return psi > 0 && d <= psi ? d : detectable_one_way(n, za, zp);
}
