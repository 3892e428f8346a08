/* SPDX-License-Identifier: Apache-2.0
 * An entry whose struct_size is 0. */
#define BAD_STRUCT_SIZE 0
#include "bad.h"
