/* SPDX-License-Identifier: Apache-2.0
 * Sets flush-to-zero and denormals-are-zero when loaded, as objects built with -Ofast do, and rounds upwards in
 * predict. */
#include <fenv.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
static void __attribute__((constructor)) on_load(void) {
    _mm_setcsr(_mm_getcsr() | 0x8040u);
}
#else
static void __attribute__((constructor)) on_load(void) {
    (void)fesetround(FE_TOWARDZERO);
}
#endif
#define ON_PREDICT(x, z, n) (void)fesetround(FE_UPWARD)
#include "bad.h"
