/* SPDX-License-Identifier: Apache-2.0
 * Normalises its input in place. */
#define ON_PREDICT(x, z, n) ((x)[0] -= 0.5F)
#include "bad.h"
