/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_NORMAL_H
#define BASE_NORMAL_H

#ifdef __cplusplus
extern "C" {
#endif

/* The standard normal quantile of p in [0, 1], relative error about 1e-16 (AS 241); -inf at 0, inf at 1, NaN outside.
 */
double normal_quantile(double p);

#ifdef __cplusplus
}
#endif
#endif
