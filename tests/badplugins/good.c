/* SPDX-License-Identifier: Apache-2.0
 * The rules kept: the base of all the others. */
#include "bad.h"
