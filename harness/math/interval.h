/* SPDX-License-Identifier: Apache-2.0
 * Confidence intervals. `level` is 0.95 and the like. Without data (n = 0) an interval is the whole range. */
#ifndef MATH_INTERVAL_H
#define MATH_INTERVAL_H

#include <stddef.h>
#include <stdint.h>

typedef struct interval {
    double lo, hi;
} interval;

/* k successes of n; 0 <= lo <= k/n <= hi <= 1. */
interval interval_wilson(int64_t k, int64_t n, double level);          /* Wilson 1927, score interval */
interval interval_clopper_pearson(int64_t k, int64_t n, double level); /* exact, conservative */
interval interval_jeffreys(int64_t k, int64_t n, double level);        /* Beta(k+1/2, n-k+1/2); 0 and 1 at the ends */

/* Student's t interval of a mean; (-inf, inf) for n < 2. */
interval interval_mean_t(double mean, double variance, size_t n, double level);

/* Difference of two paired proportions, (b - c)/n with b and c the discordant counts of n pairs: Tango's score
 * interval (Tango 1998, Statistics in Medicine 17:891). Within [-1, 1]. */
interval interval_paired_difference(int64_t b, int64_t c, int64_t n, double level);

#endif
