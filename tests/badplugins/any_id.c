/* SPDX-License-Identifier: Apache-2.0
 * Gives a table for every id. */
#define ON_UNKNOWN_ID &io
#include "bad.h"
