/* SPDX-License-Identifier: Apache-2.0 */
#include <fenv.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/guard.h"

static void sees_the_rounding_mode(void **state) {
    (void)state;
    guard_state g;
    guard_enter(&g);
    assert_int_equal(guard_leave(&g), 0);
    guard_enter(&g);
    (void)fesetround(FE_UPWARD);
    assert_int_equal(guard_leave(&g), GUARD_FP_MODE);
    assert_int_equal(fegetround(), FE_TONEAREST);
    guard_enter(&g);
    (void)feraiseexcept(FE_INEXACT | FE_DIVBYZERO); /* sticky flags are no breach */
    assert_int_equal(guard_leave(&g), 0);
}

#if defined(__x86_64__)
#include <xmmintrin.h>
static void sees_flush_to_zero(void **state) {
    (void)state;
    guard_state g;
    guard_enter(&g);
    _mm_setcsr(_mm_getcsr() | 0x8040u);
    assert_int_equal(guard_leave(&g), GUARD_FP_MODE);
    volatile double tiny = 0x1p-1074; /* the smallest denormal survives again */
    assert_true(tiny * 1.0 > 0);
}
#endif

static void sees_the_locale(void **state) {
    (void)state;
    guard_state g;
    guard_enter(&g);
    if (setlocale(LC_ALL, "C.UTF-8") == NULL) {
        skip();
    }
    assert_int_equal(guard_leave(&g), GUARD_LOCALE);
    assert_string_equal(setlocale(LC_ALL, NULL), "C");
    locale_t other = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
    guard_enter(&g);
    (void)uselocale(other);
    assert_int_equal(guard_leave(&g), GUARD_LOCALE);
    assert_true(uselocale((locale_t)0) == LC_GLOBAL_LOCALE);
    freelocale(other);
}

static void finds_overruns(void **state) {
    (void)state;
    error err = {0};
    guard_buffer b = {0};
    for (size_t n = 1; n < 200; n += 7) {
        assert_int_equal(guard_buffer_reserve(&b, n, "a buffer", &err), STATUS_OK);
        assert_int_equal((uintptr_t)b.data % 64, 0);
        memset(b.data, 0xff, n);
        assert_true(guard_buffer_intact(&b));
    }
    b.data[b.n] ^= 1;
    assert_false(guard_buffer_intact(&b));
    b.data[b.n] ^= 1;
    b.data[-1] ^= 1;
    assert_false(guard_buffer_intact(&b));
    assert_int_equal(guard_buffer_reserve(&b, 5000, "a buffer", &err), STATUS_OK);
    assert_true(guard_buffer_intact(&b));
    assert_int_equal(guard_buffer_reserve(&b, SIZE_MAX - 5, "a buffer", &err), STATUS_MEMORY);
    guard_buffer_free(&b);
}

static void poisons(void **state) {
    (void)state;
    error err = {0};
    guard_buffer b = {0};
    assert_int_equal(guard_buffer_reserve(&b, 40, "a buffer", &err), STATUS_OK);
    guard_buffer_poison(&b);
    float f[10];
    memcpy(f, b.data, sizeof f);
    for (int i = 0; i < 10; i++) {
        assert_true(isnan(f[i]));
    }
    assert_int_equal(guard_count_poison(b.data, 10), 10);
    memset(b.data, 0, 12);
    assert_int_equal(guard_count_poison(b.data, 10), 7);
    guard_buffer_free(&b);
}

static void keeps_stdout_clean(void **state) {
    (void)state;
    int saved = -1;
    error err = {0};
    int p[2];
    assert_int_equal(pipe(p), 0);
    int real = dup(STDOUT_FILENO);
    int real_err = dup(STDERR_FILENO);
    (void)fflush(stdout);
    assert_true(dup2(p[1], STDERR_FILENO) >= 0);
    status s = guard_redirect_stdout(&saved, &err);
    (void)printf("from a plug-in\n");
    status s2 = guard_restore_stdout(saved, &err);
    assert_true(dup2(real_err, STDERR_FILENO) >= 0 && dup2(real, STDOUT_FILENO) >= 0);
    assert_int_equal(s, STATUS_OK);
    assert_int_equal(s2, STATUS_OK);
    char buf[64] = "";
    assert_int_equal(read(p[0], buf, sizeof buf - 1), 15);
    assert_string_equal(buf, "from a plug-in\n");
    (void)close(p[0]);
    (void)close(p[1]);
    (void)close(real);
    (void)close(real_err);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sees_the_rounding_mode),
#if defined(__x86_64__)
        cmocka_unit_test(sees_flush_to_zero),
#endif
        cmocka_unit_test(sees_the_locale),
        cmocka_unit_test(finds_overruns),
        cmocka_unit_test(poisons),
        cmocka_unit_test(keeps_stdout_clean),
    };
    return cmocka_run_group_tests_name("model_guard", tests, NULL, NULL);
}
