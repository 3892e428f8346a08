/* SPDX-License-Identifier: Apache-2.0 */
#include "math/interval.h"

#include <math.h>

#include "math/special.h"

static double z_of(double level) {
    return -special_normal_quantile(0.5 * (1.0 - level)); /* the lower tail keeps its digits */
}

interval interval_wilson(int64_t k, int64_t n, double level) {
    if (n <= 0) {
        return (interval){0.0, 1.0};
    }
    const double z = z_of(level);
    const double m = (double)n;
    const double p = (double)k / m;
    const double scale = 1.0 + z * z / m;
    const double centre = (p + z * z / (2.0 * m)) / scale;
    const double half = z / scale * sqrt(p * (1.0 - p) / m + z * z / (4.0 * m * m));
    /* at the ends one bound is the estimate itself, without rounding; inside, rounding must not pass it */
    return (interval){k == 0 ? 0.0 : fmin(fmax(centre - half, 0.0), p),
                      k == n ? 1.0 : fmax(fmin(centre + half, 1.0), p)};
}

static interval beta_interval(double a_lo, double b_lo, double a_hi, double b_hi, int64_t k, int64_t n, double level) {
    const double tail = 0.5 * (1.0 - level);
    interval r = {0.0, 1.0};
    double other = 0;
    if (k > 0) {
        special_beta_inc_inv_xy(a_lo, b_lo, tail, &r.lo, &other);
    }
    if (k < n) { /* the upper quantile of Beta(a, b) is one minus the lower quantile of Beta(b, a) */
        special_beta_inc_inv_xy(b_hi, a_hi, tail, &other, &r.hi);
    }
    return r;
}

interval interval_clopper_pearson(int64_t k, int64_t n, double level) {
    const double s = (double)k;
    const double f = (double)(n - k);
    return n <= 0 ? (interval){0.0, 1.0} : beta_interval(s, f + 1.0, s + 1.0, f, k, n, level);
}

interval interval_jeffreys(int64_t k, int64_t n, double level) {
    const double s = (double)k + 0.5;
    const double f = (double)(n - k) + 0.5;
    return n <= 0 ? (interval){0.0, 1.0} : beta_interval(s, f, s, f, k, n, level);
}

interval interval_mean_t(double mean, double variance, size_t n, double level) {
    if (n < 2) {
        return (interval){-INFINITY, INFINITY};
    }
    const double t = -special_t_quantile(0.5 * (1.0 - level), (double)n - 1.0);
    const double half = t * sqrt(variance / (double)n);
    return (interval){mean - half, mean + half};
}

/* Tango's score statistic of H0: p12 - p21 = delta, with p21 at its restricted maximum likelihood. */
static double tango_statistic(double b, double c, double n, double delta) {
    const double qa = 2.0 * n;
    const double qb = (2.0 * n - b + c) * delta - b - c;
    const double qc = -c * delta * (1.0 - delta);
    const double root = sqrt(fmax(qb * qb - 4.0 * qa * qc, 0.0));
    const double p21 = qb <= 0 ? (root - qb) / (2.0 * qa) : -2.0 * qc / (root + qb); /* the form without cancellation */
    const double variance = n * (2.0 * p21 + delta * (1.0 - delta));
    const double d = b - c - n * delta;
    return variance > 0 ? d / sqrt(variance) : d > 0 ? INFINITY : d < 0 ? -INFINITY : 0.0;
}

/* The statistic falls with delta: the upper bound is where it reaches -z. Bisection to the last bit. */
static double tango_upper(double b, double c, double n, double z) {
    double lo = (b - c) / n;
    double hi = 1.0;
    if (tango_statistic(b, c, n, hi) >= -z) {
        return hi;
    }
    for (int i = 0; i < 200; i++) {
        const double mid = lo + 0.5 * (hi - lo);
        if (mid <= lo || mid >= hi) {
            break;
        }
        if (tango_statistic(b, c, n, mid) >= -z) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return hi;
}

interval interval_paired_difference(int64_t b, int64_t c, int64_t n, double level) {
    if (n <= 0) {
        return (interval){-1.0, 1.0};
    }
    const double z = z_of(level);
    return (interval){-tango_upper((double)c, (double)b, (double)n, z),
                      tango_upper((double)b, (double)c, (double)n, z)};
}
