/* SPDX-License-Identifier: Apache-2.0
 * Loses 64 KB per open. */
static void *volatile lost;
#define ON_OPEN                                                                                                        \
    lost = malloc(65536);                                                                                              \
    if (lost != NULL) {                                                                                                \
        memset(lost, 1, 65536);                                                                                        \
    }                                                                                                                  \
    lost = NULL
#include "bad.h"
