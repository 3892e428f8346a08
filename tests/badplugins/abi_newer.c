/* SPDX-License-Identifier: Apache-2.0
 * Built for an ABI that does not exist yet. */
#define BAD_ABI 2
#include "bad.h"
