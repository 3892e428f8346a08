/* SPDX-License-Identifier: Apache-2.0
 * Sums of doubles in a fixed order, so that the same data give the same bits everywhere. */
#ifndef MATH_SUM_H
#define MATH_SUM_H

#include <stddef.h>

/* Running compensated sum (Neumaier 1974). Zero-initialise. After an infinity or NaN the value follows IEEE. */
typedef struct sum_acc {
    double sum, compensation;
} sum_acc;
void sum_add(sum_acc *s, double v);
double sum_value(const sum_acc *s);

double sum_pairwise(const double *v, size_t n); /* blocks of 128, as numpy; 0 for n = 0 */
/* Mean and unbiased variance in two passes (variance NaN for n < 2, mean NaN for n = 0). */
void sum_mean_variance(const double *v, size_t n, double *mean, double *variance);

#endif
