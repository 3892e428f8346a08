/* SPDX-License-Identifier: Apache-2.0
 * Writes two values more than there is room for. */
#define ON_PREDICT(x, z, n) ((z)[(n)*K] = (z)[(n)*K + 1] = 1)
#include "bad.h"
