/* SPDX-License-Identifier: Apache-2.0
 * An entry whose struct_size is larger than the symbol. */
#define BAD_STRUCT_SIZE 4096
#include "bad.h"
