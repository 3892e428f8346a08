/* SPDX-License-Identifier: Apache-2.0
 * Hypothesis tests, multiplicity and power. All p-values are two-sided. */
#ifndef MATH_TESTS_H
#define MATH_TESTS_H

#include <stddef.h>
#include <stdint.h>

/* Paired yes/no outcomes with discordant counts b and c: Binomial(min(b, c); b + c, 1/2) doubled. b + c = 0: 1. */
double tests_mcnemar_exact(int64_t b, int64_t c);
double tests_mcnemar_mid_p(int64_t b, int64_t c); /* minus the probability of the observed value */

/* k of n against probability p: sum over outcomes no more likely than k (as scipy's binomtest). NaN if n < 0 or
 * p is outside 0..1. */
double tests_binomial(int64_t k, int64_t n, double p);

/* Holm's family-wise adjusted p-values. NaN entries stay NaN and are not counted. `order` is scratch for n
 * indexes; `out` is not `p`. */
void tests_holm(const double *p, size_t n, size_t *order, double *out);

/* Pairs needed to see difference d between paired proportions whose discordant rate is psi (Connor 1987). */
double tests_paired_pairs_needed(double psi, double d, double alpha, double power);

/* The smallest difference that n pairs with discordant rate `psi` detect at two-sided `alpha` with `power`. Where
 * that exceeds psi, which no difference can, the discordant rate is taken to be the difference itself (all
 * changes in one direction). NaN if not even a difference of 1 is detectable. */
double tests_paired_detectable(int64_t n, double psi, double alpha, double power);

#endif
