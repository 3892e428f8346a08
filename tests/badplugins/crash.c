/* SPDX-License-Identifier: Apache-2.0
 * Reads through a NULL pointer in predict. */
static const float *volatile nowhere;
#define ON_PREDICT(x, z, n) ((z)[0] += *nowhere)
#include "bad.h"
