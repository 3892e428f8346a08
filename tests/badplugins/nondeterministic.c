/* SPDX-License-Identifier: Apache-2.0
 * Adds a counter to a class. */
static _Atomic int count;
#define ON_PREDICT(x, z, n) ((z)[0] += (float)(count++ % 3))
#include "bad.h"
