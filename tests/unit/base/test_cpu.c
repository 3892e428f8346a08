/* SPDX-License-Identifier: Apache-2.0
 * base/cpu: a cap lowers and never raises; what each level tells the libraries of a worker. */
#include "unit/base/check.h"

#include "base/cpu.h"

static const char *const names[] = {"baseline", "avx2", "avx512", "avx512_vnni"};

static void test_cap(void **state) {
    (void)state;
    cpu_isa here = cpu_detect();
    cpu_isa got = CPU_BASELINE;
    error err = {0};
    assert_int_equal(cpu_choose(NULL, &got, &err), STATUS_OK);
    assert_int_equal(got, here);
    assert_int_equal(cpu_choose("", &got, &err), STATUS_OK);
    assert_int_equal(got, here);
    for (size_t i = 0; i < N_OF(names); i++) {
        assert_string_equal(cpu_isa_name((cpu_isa)i), names[i]);
        assert_int_equal(cpu_choose(names[i], &got, &err), STATUS_OK);
        assert_int_equal(got, (cpu_isa)i < here ? (cpu_isa)i : here);
    }
}

static void test_unknown(void **state) {
    (void)state;
    static const char *const words[] = {"avx", "AVX2", "avx2 ", "sse", "avx512_vnni_bf16", "native", "1", "\x1b[2J"};
    for (size_t i = 0; i < N_OF(words); i++) {
        cpu_isa got = CPU_BASELINE;
        error err = {0};
        assert_int_equal(cpu_choose(words[i], &got, &err), STATUS_USAGE);
        check_has(err.text, "baseline, avx2, avx512 or avx512_vnni");
        assert_null(strchr(err.text, '\x1b'));
    }
}

/* The variable `name` among env, "" if it is not there; more than once is a failure. */
static const char *value_of(const char *const *env, size_t n, const char *name) {
    const char *v = "";
    size_t times = 0;
    for (size_t i = 0; i < n; i++) {
        if (strncmp(env[i], name, strlen(name)) == 0 && env[i][strlen(name)] == '=') {
            v = env[i] + strlen(name) + 1;
            times++;
        }
    }
    assert_true(times <= 1);
    return v;
}

static void test_env(void **state) {
    (void)state;
    for (size_t i = 0; i < N_OF(names); i++) {
        const char *env[CPU_ENV_MAX];
        size_t n = cpu_worker_env((cpu_isa)i, env);
        assert_true(n <= CPU_ENV_MAX);
        assert_string_equal(value_of(env, n, "OMP_NUM_THREADS"), "1");
        assert_string_equal(value_of(env, n, "OPENBLAS_NUM_THREADS"), "1");
#if defined(__x86_64__)
        const char *core = cpu_openblas_core((cpu_isa)i);
        assert_string_equal(value_of(env, n, "OPENBLAS_CORETYPE"), core == NULL ? "" : core);
        assert_string_equal(value_of(env, n, "ONEDNN_MAX_CPU_ISA"), cpu_onednn_isa((cpu_isa)i));
#endif
    }
#if defined(__x86_64__)
    assert_string_equal(cpu_openblas_core(CPU_BASELINE), "PRESCOTT");
    assert_string_equal(cpu_openblas_core(CPU_AVX2), "HASWELL");
    assert_string_equal(cpu_openblas_core(CPU_AVX512), "SKYLAKEX");
    assert_string_equal(cpu_onednn_isa(CPU_BASELINE), "SSE41");
    assert_string_equal(cpu_onednn_isa(CPU_AVX512_VNNI), "AVX512_CORE_VNNI");
#endif
}

static void test_machine(void **state) {
    (void)state;
    char name[CPU_MODEL_BYTES];
    cpu_model_name(name);
    assert_true(strlen(name) > 0 && strlen(name) < CPU_MODEL_BYTES);
    assert_null(strchr(name, '\n'));
    assert_true(cpu_count() >= 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cap),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_env),
        cmocka_unit_test(test_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
