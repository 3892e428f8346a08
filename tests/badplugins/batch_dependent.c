/* SPDX-License-Identifier: Apache-2.0
 * Normalises over the batch. */
#define ON_PREDICT(x, z, n)                                                                                            \
    for (int64_t i = 1; i < (n); i++) {                                                                                \
        (z)[i * K] += 0.001F * (z)[(i - 1) * K];                                                                       \
    }
#include "bad.h"
