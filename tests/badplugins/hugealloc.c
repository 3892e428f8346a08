/* SPDX-License-Identifier: Apache-2.0
 * Takes memory without end, and touches it. */
#include <unistd.h>
#define ON_PREDICT(x, z, n)                                                                                            \
    for (size_t mb = 8;; usleep(1000)) {                                                                               \
        char *block = malloc(mb << 20);                                                                                \
        if (block != NULL) {                                                                                           \
            memset(block, 1, mb << 20);                                                                                \
        }                                                                                                              \
    }
#include "bad.h"
