/* SPDX-License-Identifier: Apache-2.0 */
#include "math/sum.h"

#include <math.h>

void sum_add(sum_acc *s, double v) {
    const double t = s->sum + v;
    if (isfinite(t)) { /* else the compensation would turn an infinity into NaN */
        s->compensation += fabs(s->sum) >= fabs(v) ? (s->sum - t) + v : (v - t) + s->sum;
    }
    s->sum = t;
}

double sum_value(const sum_acc *s) {
    return s->sum + s->compensation;
}

double sum_pairwise(const double *v, size_t n) {
    if (n <= 128) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) {
            sum += v[i];
        }
        return sum;
    }
    const size_t half = n / 2 / 8 * 8; /* a multiple of eight, as numpy splits */
    return sum_pairwise(v, half) + sum_pairwise(v + half, n - half);
}

void sum_mean_variance(const double *v, size_t n, double *mean, double *variance) {
    *mean = n == 0 ? NAN : sum_pairwise(v, n) / (double)n;
    if (n < 2) {
        *variance = NAN;
        return;
    }
    sum_acc squares = {0};
    sum_acc rest = {0}; /* sum of deviations: 0 but for the rounding of the mean (Chan, Golub, LeVeque 1983) */
    for (size_t i = 0; i < n; i++) {
        const double d = v[i] - *mean;
        sum_add(&squares, d * d);
        sum_add(&rest, d);
    }
    const double r = sum_value(&rest);
    *variance = (sum_value(&squares) - r * r / (double)n) / ((double)n - 1.0);
}
