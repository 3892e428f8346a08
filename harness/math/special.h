/* SPDX-License-Identifier: Apache-2.0
 * Special functions behind the intervals and tests. Relative error below 1e-12 against mpmath over the
 * ranges of tests/golden/stats/special.csv. Arguments outside a function's domain give NaN. */
#ifndef MATH_SPECIAL_H
#define MATH_SPECIAL_H

double special_log_gamma(double x);              /* log |Gamma(x)| */
double special_log_beta(double a, double b);     /* a, b > 0 */
double special_log_binomial(double n, double k); /* log of n choose k, 0 <= k <= n */

/* Regularised incomplete beta I_x(a, b), a, b > 0, and its inverse in x. The _xy forms take or give 1 - x as
 * well, so that neither end loses digits. */
double special_beta_inc(double a, double b, double x);
double special_beta_inc_xy(double a, double b, double x, double y);
double special_beta_inc_inv(double a, double b, double p);
void special_beta_inc_inv_xy(double a, double b, double p, double *x, double *y);

double special_binomial_pmf(double k, double n, double p);
double special_binomial_cdf(double k, double n, double p); /* P(X <= k) */
double special_binomial_sf(double k, double n, double p);  /* P(X > k) */

double special_normal_cdf(double z);
double special_normal_quantile(double p); /* Wichura, AS 241; -inf at 0, inf at 1 */
double special_t_cdf(double t, double df);
double special_t_quantile(double p, double df);

#endif
