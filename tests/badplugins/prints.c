/* SPDX-License-Identifier: Apache-2.0
 * Prints to stdout. */
#define ON_PREDICT(x, z, n) (void)printf("predicting %d examples\n", (int)(n))
#include "bad.h"
