/* SPDX-License-Identifier: Apache-2.0
 * Ignores options that it does not know. */
#define ON_UNKNOWN_OPTION ASSAY_OK
#include "bad.h"
