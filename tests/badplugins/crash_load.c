/* SPDX-License-Identifier: Apache-2.0
 * Crashes in its constructor: inside dlopen. */
#include <signal.h>
static void __attribute__((constructor)) on_load(void) {
    (void)raise(SIGSEGV);
}
#include "bad.h"
