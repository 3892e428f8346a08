/* SPDX-License-Identifier: Apache-2.0 */
#include "math/special.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/normal.h"

static const double two_pi = 6.283185307179586476925286766559;

double special_log_gamma(double x) {
    int sign = 0; /* lgamma() writes the global signgam; the _r form does not */
    return lgamma_r(x, &sign);
}

/* log(Gamma(z + 1)) - ((z + 1/2) log z - z + log(2 pi)/2): the error of Stirling's formula (Loader, "Fast and
 * accurate computation of binomial probabilities", 2000). Working with it avoids the cancellation of large
 * log-gammas, which alone would cost 1e-11 at arguments of 1e4. */
static double stirling_error(double z) {
    if (z >= 15.0) {
        const double r = 1.0 / (z * z);
        return (1.0 / 12 -
                (1.0 / 360 - (1.0 / 1260 - (1.0 / 1680 - (1.0 / 1188 - 691.0 / 360360 * r) * r) * r) * r) * r) /
               z;
    }
    return special_log_gamma(z + 1.0) - (z + 0.5) * log(z) + z - 0.5 * log(two_pi);
}

/* x log(x / m) + m - x without cancellation near x = m (Loader's bd0). `d` is x - m, which the caller may know
 * better than the subtraction does. */
static double deviance(double x, double m, double d) {
    if (fabs(d) >= 0.1 * (x + m)) {
        return x * log(x / m) - d;
    }
    const double v = d / (x + m);
    double sum = d * v;
    double term = 2.0 * x * v;
    for (int j = 1; j < 1000; j++) {
        term *= v * v;
        const double next = sum + term / (2.0 * j + 1.0);
        if (next == sum) {
            break;
        }
        sum = next;
    }
    return sum;
}

/* x^a y^b Gamma(a+b+1) / (Gamma(a+1) Gamma(b+1)), y = 1 - x, a, b > 0: a binomial probability, also at reals. */
static double saddle(double a, double b, double x, double y) {
    const double n = a + b;
    const double d = a * y - b * x; /* a - n x = -(b - n y) */
    const double e =
        stirling_error(n) - stirling_error(a) - stirling_error(b) - deviance(a, n * x, d) - deviance(b, n * y, -d);
    return exp(e) * sqrt(n / (two_pi * a * b));
}

double special_log_beta(double a, double b) {
    if (!(a > 0) || !(b > 0)) {
        return NAN;
    }
    const double small = fmin(a, b);
    const double large = fmax(a, b);
    if (small < 15.0 && large < 15.0) {
        return special_log_gamma(a) + special_log_gamma(b) - special_log_gamma(a + b);
    }
    /* Stirling for all three; log1p keeps the ratio of near-equal arguments */
    const double e = stirling_error(a) + stirling_error(b) - stirling_error(a + b);
    return e + 0.5 * log(two_pi) + (small - 0.5) * log(small / (a + b)) - (large - 0.5) * log1p(small / large) -
           0.5 * log(a + b);
}

double special_log_binomial(double n, double k) {
    if (!(k >= 0) || !(k <= n)) {
        return NAN;
    }
    const double lo = fmin(k, n - k);
    if (lo == 0) {
        return 0.0;
    }
    if (lo < 30.0 && lo == floor(lo) && n == floor(n)) { /* a short product: exact factors */
        double sum = 0;
        double product = 1;
        for (int j = 1; j <= (int)lo; j++) {
            product *= (n - lo + j) / j;
            if (product > 1e280) {
                sum += log(product);
                product = 1;
            }
        }
        return sum + log(product);
    }
    const double hi = n - lo;
    return stirling_error(n) - stirling_error(lo) - stirling_error(hi) + 0.5 * log(n / (two_pi * lo * hi)) -
           lo * log(lo / n) - hi * log1p(-lo / n);
}

/* The continued fraction of I_x(a, b) (DLMF 8.17.22) by the modified Lentz method; converges in about
 * sqrt(max(a, b)) steps for x below the mean. */
static double beta_fraction(double a, double b, double x) {
    const double tiny = 1e-300;
    double c = 1.0;
    double d = 1.0 - (a + b) * x / (a + 1.0);
    d = 1.0 / (fabs(d) < tiny ? tiny : d);
    double h = d;
    for (int m = 1; m < 1000000; m++) {
        const double m2 = 2.0 * m;
        double num = m * (b - m) * x / ((a + m2 - 1.0) * (a + m2));
        d = 1.0 + num * d;
        c = 1.0 + num / c;
        d = 1.0 / (fabs(d) < tiny ? tiny : d);
        c = fabs(c) < tiny ? tiny : c;
        h *= d * c;
        num = -(a + m) * (a + b + m) * x / ((a + m2) * (a + m2 + 1.0));
        d = 1.0 + num * d;
        c = 1.0 + num / c;
        d = 1.0 / (fabs(d) < tiny ? tiny : d);
        c = fabs(c) < tiny ? tiny : c;
        const double step = d * c;
        h *= step;
        if (fabs(step - 1.0) < DBL_EPSILON) {
            break;
        }
    }
    return h;
}

/* I_x(a, b) for x below the mean. x^a y^b / (a B(a, b)) = saddle * b / (a + b). */
static double beta_lower(double a, double b, double x, double y) {
    return saddle(a, b, x, y) * (b / (a + b)) * beta_fraction(a, b, x);
}

double special_beta_inc_xy(double a, double b, double x, double y) {
    if (!(a > 0) || !(b > 0) || !(x >= 0) || !(y >= 0) || isinf(a) || isinf(b)) {
        return NAN;
    }
    if (x == 0 || y == 0) {
        return x == 0 ? 0.0 : 1.0;
    }
    if (x * (a + b + 2.0) < a + 1.0) {
        return beta_lower(a, b, x, y);
    }
    return 1.0 - beta_lower(b, a, y, x);
}

double special_beta_inc(double a, double b, double x) {
    return x > 1 ? NAN : special_beta_inc_xy(a, b, x, 1.0 - x);
}

static void from_logit(double u, double *x, double *y) {
    const double e = exp(-fabs(u));
    *x = u < 0 ? e / (1.0 + e) : 1.0 / (1.0 + e);
    *y = u < 0 ? 1.0 / (1.0 + e) : e / (1.0 + e);
}

/* Solves log I_x(a, b) = log p in u = logit(x) by Newton's method inside a shrinking bracket; p <= about 1/2.
 * In u the derivative is  density * x * y / I = saddle * a b / (a + b) / I. */
static void invert_lower(double a, double b, double p, double *x, double *y) {
    double lo = -745.0; /* exp(-745) is the smallest double */
    double hi = 745.0;
    double u = log(a / b);
    u = u < lo ? lo : u > hi ? hi : u;
    for (int i = 0; i < 400; i++) {
        from_logit(u, x, y);
        const double value = special_beta_inc_xy(a, b, *x, *y);
        const double g = value > 0 ? log(value / p) : -INFINITY;
        lo = g < 0 ? u : lo;
        hi = g > 0 ? u : hi;
        const double slope = saddle(a, b, *x, *y) * (a * b / (a + b)) / value;
        double next = u - g / slope;
        if (!(next > lo && next < hi)) {
            next = lo + 0.5 * (hi - lo);
        }
        const bool done = fabs(next - u) <= 1e-16 * fmax(1.0, fabs(u)) || g == 0;
        u = next;
        if (done) {
            break;
        }
    }
    from_logit(u, x, y);
    if (u <= -744.0) {
        *x = 0.0;
        *y = 1.0;
    }
}

void special_beta_inc_inv_xy(double a, double b, double p, double *x, double *y) {
    if (!(a > 0) || !(b > 0) || !(p >= 0) || !(p <= 1) || isinf(a) || isinf(b)) {
        *x = *y = NAN;
    } else if (p == 0 || p == 1) {
        *x = p;
        *y = 1.0 - p;
    } else if (p <= 0.5) {
        invert_lower(a, b, p, x, y);
    } else {
        invert_lower(b, a, 1.0 - p, y, x);
    }
}

double special_beta_inc_inv(double a, double b, double p) {
    double x = 0;
    double y = 0;
    special_beta_inc_inv_xy(a, b, p, &x, &y);
    return x;
}

double special_binomial_pmf(double k, double n, double p) {
    if (!(k >= 0) || !(k <= n) || !(p >= 0) || !(p <= 1)) {
        return k < 0 || k > n ? 0.0 : NAN;
    }
    if (p == 0 || p == 1) {
        return k == (p == 0 ? 0 : n) ? 1.0 : 0.0;
    }
    if (k == 0) {
        return exp(n * log1p(-p));
    }
    return k == n ? exp(n * log(p)) : saddle(k, n - k, p, 1.0 - p);
}

double special_binomial_cdf(double k, double n, double p) {
    if (k < 0) {
        return 0.0;
    }
    return k >= n ? 1.0 : special_beta_inc_xy(n - floor(k), floor(k) + 1.0, 1.0 - p, p);
}

double special_binomial_sf(double k, double n, double p) {
    if (k < 0) {
        return 1.0;
    }
    return k >= n ? 0.0 : special_beta_inc_xy(floor(k) + 1.0, n - floor(k), p, 1.0 - p);
}

double special_normal_cdf(double z) {
    return 0.5 * erfc(-z * 0.70710678118654752440);
}

double special_normal_quantile(double p) {
    return normal_quantile(p);
}

double special_t_cdf(double t, double df) {
    if (!(df > 0) || isnan(t)) {
        return NAN;
    }
    const double x = df / (df + t * t);
    const double y = isinf(t) ? 1.0 : t * t / (df + t * t);
    const double tail = 0.5 * special_beta_inc_xy(0.5 * df, 0.5, isinf(t) ? 0.0 : x, y);
    return t < 0 ? tail : 1.0 - tail;
}

double special_t_quantile(double p, double df) {
    if (!(p >= 0) || !(p <= 1) || !(df > 0)) {
        return NAN;
    }
    if (p == 0.5) {
        return 0.0;
    }
    double x = 0;
    double y = 0;
    special_beta_inc_inv_xy(0.5 * df, 0.5, 2.0 * fmin(p, 1.0 - p), &x, &y);
    const double t = sqrt(df * y / x);
    return p < 0.5 ? -t : t;
}
