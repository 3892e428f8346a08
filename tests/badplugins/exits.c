/* SPDX-License-Identifier: Apache-2.0
 * Ends the process, with success. */
#define ON_PREDICT(x, z, n) exit(0)
#include "bad.h"
