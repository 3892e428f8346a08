/* SPDX-License-Identifier: Apache-2.0
 * Loses 1 MB per open. */
static void *volatile lost;
#define ON_OPEN                                                                                                        \
    lost = malloc(1 << 20);                                                                                            \
    if (lost != NULL) {                                                                                                \
        memset(lost, 1, 1 << 20);                                                                                      \
    }                                                                                                                  \
    lost = NULL
#include "bad.h"
