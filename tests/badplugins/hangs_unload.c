/* SPDX-License-Identifier: Apache-2.0
 * Does all that is asked, then never ends: its destructor hangs. */
#include <unistd.h>

__attribute__((destructor)) static void hang(void) {
    for (;;) {
        (void)pause();
    }
}
#include "bad.h"
