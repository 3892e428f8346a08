/* SPDX-License-Identifier: Apache-2.0
 * Never returns from predict. */
#include <unistd.h>
#define ON_PREDICT(x, z, n)                                                                                            \
    for (;;) {                                                                                                         \
        (void)pause();                                                                                                 \
    }
#include "bad.h"
