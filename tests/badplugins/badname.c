/* SPDX-License-Identifier: Apache-2.0
 * A name that could not be a file name. */
#define BAD_NAME "../Bad Name"
#include "bad.h"
