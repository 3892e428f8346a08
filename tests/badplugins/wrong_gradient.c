/* SPDX-License-Identifier: Apache-2.0
 * Forgets the fourth input in its gradient. */
#define ON_GRADIENT(g, n)                                                                                              \
    for (int64_t i = 0; i < (n); i++) {                                                                                \
        (g)[i * F + 3] = 0;                                                                                            \
    }
#include "bad.h"
