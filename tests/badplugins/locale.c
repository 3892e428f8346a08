/* SPDX-License-Identifier: Apache-2.0
 * Changes the locale in open. */
#include <locale.h>
#define ON_OPEN (void)setlocale(LC_ALL, "C.UTF-8")
#include "bad.h"
