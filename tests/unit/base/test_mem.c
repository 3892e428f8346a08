/* SPDX-License-Identifier: Apache-2.0
 * base/mem: sizes that overflow, alignment, zeroing, growth, arenas. */
#include "unit/base/check.h"

#include <signal.h>
#include <sys/wait.h>

/* Under ASan an absurd size returns NULL, as it does from glibc, instead of ending the test. */
const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}

static bool aligned(const void *p) {
    return (uintptr_t)p % MEM_ALIGN == 0;
}

static bool all_zero(const void *p, size_t n) {
    const unsigned char *c = p;
    for (size_t i = 0; i < n; i++) {
        if (c[i] != 0) {
            return false;
        }
    }
    return true;
}

static void test_checked(void **state) {
    (void)state;
    size_t v = 0;
    assert_true(mem_mul(SIZE_MAX, 1, &v) && v == SIZE_MAX);
    assert_true(mem_mul(SIZE_MAX / 2, 2, &v) && v == SIZE_MAX - 1);
    assert_true(mem_mul(0, SIZE_MAX, &v) && v == 0);
    assert_false(mem_mul(SIZE_MAX, 2, &v));
    assert_false(mem_mul((size_t)1 << 32, (size_t)1 << 32, &v));
    assert_true(mem_add(SIZE_MAX - 1, 1, &v) && v == SIZE_MAX);
    assert_false(mem_add(SIZE_MAX, 1, &v));
}

static void test_zalloc(void **state) {
    (void)state;
    for (size_t n = 0; n < 300; n++) {
        unsigned char *p = mem_zalloc(n);
        assert_true(aligned(p));
        assert_true(all_zero(p, n));
        memset(p, 0xaa, n); /* the next one must be zeroed, not fresh by luck */
        mem_free(p);
    }
    mem_free(NULL);
    char *s = mem_strdup("text");
    assert_string_equal(s, "text");
    mem_free(s);
}

static void test_try(void **state) {
    (void)state;
    static const struct {
        size_t n, item;
    } absurd[] = {{SIZE_MAX, 1},      {SIZE_MAX, 2},      {SIZE_MAX, SIZE_MAX},           {SIZE_MAX / 2 + 1, 2},
                  {SIZE_MAX - 1, 1},  {SIZE_MAX - 63, 1}, {(size_t)1 << 62, 4},           {SIZE_MAX / 2, 1},
                  {SIZE_MAX - 64, 1}, {SIZE_MAX / 8, 8},  {(size_t)1 << 32, SIZE_MAX / 2}};
    for (size_t i = 0; i < N_OF(absurd); i++) {
        error err = {0};
        assert_null(mem_try(absurd[i].n, absurd[i].item, "images.idx", &err));
        assert_int_equal(err.code, STATUS_MEMORY);
        check_has(err.text, "images.idx");
        assert_null(mem_try(absurd[i].n, absurd[i].item, "x", NULL));
    }
    error err = {0};
    double *p = mem_try(1000, sizeof *p, "x", &err);
    assert_true(aligned(p) && all_zero(p, 8000));
    mem_free(p);
    p = mem_try(0, 8, "x", &err); /* nothing is not an error */
    assert_non_null(p);
    mem_free(p);
    assert_int_equal(err.code, STATUS_OK);
}

static void test_grow(void **state) {
    (void)state;
    int *v = NULL;
    size_t cap = 0;
    size_t moves = 0;
    for (size_t i = 0; i < 10000; i++) {
        size_t before = cap;
        v = mem_grow(v, &cap, i + 1, sizeof *v);
        moves += cap != before;
        assert_true(cap > i);
        assert_int_equal(v[i], 0);
        v[i] = (int)i + 1;
    }
    assert_true(moves < 16); /* doubling, not one step at a time */
    for (size_t i = 0; i < 10000; i++) {
        assert_int_equal(v[i], i + 1);
    }
    assert_true(all_zero(v + 10000, (cap - 10000) * sizeof *v));
    assert_ptr_equal(mem_grow(v, &cap, 5, sizeof *v), v);
    v = mem_grow(v, &cap, 100000, sizeof *v); /* one jump beyond the double */
    assert_int_equal(cap, 100000);
    assert_int_equal(v[9999], 10000);
    mem_free(v);
}

static void test_arena(void **state) {
    (void)state;
    arena a = {0};
    unsigned char *p[400];
    size_t total = 0;
    for (size_t i = 0; i < N_OF(p); i++) {
        size_t n = i * 7 % 1000;
        p[i] = arena_alloc(&a, n);
        assert_true(aligned(p[i]) && all_zero(p[i], n));
        memset(p[i], (int)i, n);
        total += n;
    }
    assert_true(a.n_bytes >= total);
    for (size_t i = 0; i < N_OF(p); i++) { /* nobody wrote into a neighbour */
        for (size_t k = 0; k < i * 7 % 1000; k++) {
            assert_int_equal(p[i][k], (unsigned char)i);
        }
    }
    /* larger than a block, exactly a block, and small ones after it */
    static const size_t sizes[] = {65535, 65536, 65537, 1 << 20, 1, 64, 65472};
    for (size_t i = 0; i < N_OF(sizes); i++) {
        unsigned char *big = arena_alloc(&a, sizes[i]);
        assert_true(aligned(big) && all_zero(big, sizes[i]));
        memset(big, 0x55, sizes[i]);
    }
    arena_free(&a);
    assert_null(a.head);
    assert_int_equal(a.n_bytes, 0);
    assert_non_null(arena_alloc(&a, 1)); /* usable again */
    arena_free(&a);
    arena_free(&a);
}

static void test_arena_text(void **state) {
    (void)state;
    arena a = {0};
    assert_null(arena_strdup(&a, NULL));
    assert_string_equal(arena_strdup(&a, ""), "");
    assert_string_equal(arena_strndup(&a, "abcdef", 3), "abc");
    assert_string_equal(arena_strndup(&a, "ab", 100), "ab");
    const char unterminated[] = {'x', 'y'};
    assert_string_equal(arena_strndup(&a, unterminated, 2), "xy");
    assert_string_equal(arena_printf(&a, "%s-%d", "n", 5), "n-5");
    assert_string_equal(arena_printf(&a, "%s", ""), "");
    char *long_text = arena_printf(&a, "%0200000d", 7); /* longer than a block */
    assert_int_equal(strlen(long_text), 200000);
    arena_free(&a);
}

typedef void (*fatal)(void);

static void ask_zalloc(void) {
    mem_free(mem_zalloc(SIZE_MAX));
}

static void ask_grow(void) {
    size_t cap = 4;
    mem_free(mem_grow(NULL, &cap, SIZE_MAX / 2, 16));
}

static void ask_arena(void) {
    arena a = {0};
    (void)arena_alloc(&a, SIZE_MAX);
    arena_free(&a);
}

/* The allocators of the program's own sizes end it instead of handing out too little. */
static void test_aborts(void **state) {
    (void)state;
    static const fatal asks[] = {ask_zalloc, ask_grow, ask_arena};
    for (size_t i = 0; i < N_OF(asks); i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            if (freopen("/dev/null", "w", stderr) == NULL) {
                _exit(1);
            }
            (void)signal(SIGABRT, SIG_DFL);
            asks[i]();
            _exit(0);
        }
        int st = 0;
        assert_int_equal(waitpid(pid, &st, 0), pid);
        assert_true(WIFSIGNALED(st) && WTERMSIG(st) == SIGABRT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checked), cmocka_unit_test(test_zalloc), cmocka_unit_test(test_try),
        cmocka_unit_test(test_grow),    cmocka_unit_test(test_arena),  cmocka_unit_test(test_arena_text),
        cmocka_unit_test(test_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
