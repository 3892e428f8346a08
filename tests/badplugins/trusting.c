/* SPDX-License-Identifier: Apache-2.0
 * Believes whatever it is told about its tensors. */
#define BAD_TRUSTING 1
#include "bad.h"
