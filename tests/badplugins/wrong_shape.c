/* SPDX-License-Identifier: Apache-2.0
 * Declares an output with negative dimensions. */
#define ON_PORT(p) ((p)->shape[1] = direction == 1 ? -7 : F)
#include "bad.h"
