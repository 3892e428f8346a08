/* SPDX-License-Identifier: Apache-2.0
 * What the shared cases of kernel_driver.h do not reach: values of data movement by hand, every dtype, several
 * outputs, and kernels that have no gradient. */
#include "kernel_driver.h"

/* Runs `spec` at batch 1 with input 0 = 1, 2, 3, ... and compares output 0. */
static void expect(const char *spec, size_t n, const double *want) {
    for (int reference = 0; reference < 2; reference++) {
        driver d;
        driver_ready(&d, spec, 1, false, 1);
        for (size_t i = 0; d.in[0] != NULL && !d.in[0]->is_const && i < d.in[0]->n; i++) {
            driver_put(d.in[0], i, (double)(i + 1));
        }
        driver_forward(&d, reference == 1);
        if (d.out[0]->n != n) {
            fail_msg("%s: %zu values", spec, d.out[0]->n);
        }
        for (size_t i = 0; i < n; i++) {
            if (!(fabs(driver_get(d.out[0], i) - want[i]) <= 1e-6)) {
                fail_msg("%s: [%zu] is %g, not %g", spec, i, driver_get(d.out[0], i), want[i]);
            }
        }
        driver_close(&d);
    }
}
#define EXPECT(spec, ...)                                                                                              \
    do {                                                                                                               \
        const double want_[] = {__VA_ARGS__};                                                                          \
        expect(spec, sizeof want_ / sizeof want_[0], want_);                                                           \
    } while (0)

static void moves_by_hand(void **state) {
    (void)state;
    EXPECT("Slice 13 | f:Nx2x3 i64:1=-1 i64:1=-9223372036854775807 i64:1=2 i64:1=-2", 3, 1, 6, 4);
    EXPECT("Slice 1 axes=1, starts=1, ends=-1, | f:Nx4", 2, 3);
    EXPECT("Gather 13 axis=2 | f:Nx2x3 i64:2=-1,0", 3, 1, 6, 4);
    EXPECT("Gather 13 | i64:4c=5,6,7,8 i64:=1", 6);
    EXPECT("Expand 13 | f:2x1 i64:3=2,1,2", 1, 1, 2, 2, 1, 1, 2, 2);
    EXPECT("Tile 13 | f:Nx2 i64:2=1,2", 1, 2, 1, 2);
    EXPECT("Pad 13 mode=reflect | f:Nx3 i64:4=0,2,0,1", 3, 2, 1, 2, 3, 2);
    EXPECT("Pad 13 mode=edge | f:Nx2 i64:4=0,2,0,1", 1, 1, 1, 2, 2);
    EXPECT("Pad 13 | f:Nx2x2 i64:6=0,1,0,0,0,1 f:1=9", 9, 9, 9, 1, 2, 9, 3, 4, 9);
    EXPECT("Pad 2 pads=0,-1,0,1 value=7.0 | f:Nx3", 2, 3, 7);
    EXPECT("Pad 19 mode=wrap | f:Nx3 i64:4=0,4,0,2", 3, 1, 2, 3, 1, 2, 3, 1, 2);
    EXPECT("Pad 19 mode=wrap | f:Nx3 i64:2=-1,4 - i64:1=-1", 2, 3, 1, 2, 3, 1);
    EXPECT("Pad 1 paddings=0,1,0,0 value=2.0 | f:Nx2", 2, 1, 2);
    EXPECT("Tile 1 | f:Nx2 f:=2 f:=1", 1, 2, 1, 2);
    EXPECT("Reshape 1 shape=0,-1,1 | f:Nx4", 1, 2, 3, 4);
    EXPECT("Concat 1 | f:1x2c=1,2 f:1x1c=3", 1, 2, 3);
    EXPECT("Transpose 1 | f:2x3", 1, 4, 2, 5, 3, 6);
    EXPECT("GlobalMaxPool 1 | f:Nx2x3", 3, 6);
    EXPECT("Shape 13 | f:Nx2x3", 1, 2, 3);
    EXPECT("Shape 15 start=-2 end=9 | f:Nx2x3", 2, 3);
    EXPECT("Size 13 | f:Nx2x3", 6);
}

static void every_dtype_moves(void **state) {
    (void)state;
    static const char *const dtypes[] = {"f", "f64", "u8", "i8", "i32", "i64", "bool"};
    static const char *const forms[][2] = {{"Slice 13 |", "Nx3 i64:1=2 i64:1=0 i64:1=1 i64:1=-1"},
                                           {"Gather 13 axis=1 |", "Nx3 i64:2=2,1"},
                                           {"Pad 13 |", "Nx3 i64:4=0,-1,0,0"},
                                           {"Split 13 axis=1 |", "Nx3"},
                                           {"Squeeze 13 |", "Nx1x3 i64:1=1"},
                                           {"Unsqueeze 13 |", "Nx3 i64:1=1"},
                                           {"Expand 13 |", "Nx3 i64:2=1,1"},
                                           {"Tile 13 |", "Nx3 i64:2=1,1"}};
    const int want[][4] = {{2, 2, 1},    {2, 2, 1},    {2, 1, 2},    {3, 0, 1, 2},
                           {3, 0, 1, 2}, {3, 0, 1, 2}, {3, 0, 1, 2}, {3, 0, 1, 2}};
    char spec[128];
    for (size_t i = 0; i < 7 * sizeof forms / sizeof forms[0]; i++) {
        driver d;
        const int *w = want[i / 7];
        (void)snprintf(spec, sizeof spec, "%s %s:%s", forms[i / 7][0], dtypes[i % 7], forms[i / 7][1]);
        driver_ready(&d, spec, 1, false, i);
        driver_forward(&d, false);
        assert_int_equal(d.out[0]->n, w[0]);
        assert_int_equal(d.out[0]->dtype, d.in[0]->dtype);
        for (size_t k = 0; k < d.out[0]->n; k++) {
            assert_true(driver_get(d.out[0], k) == driver_get(d.in[0], (size_t)w[1 + k]));
        }
        driver_close(&d);
    }
}

/* Two parts: values, gradients where one or both outputs have one. */
static void split_in_two(void **state) {
    (void)state;
    static const char *const specs[] = {"Split 2 axis=1 split=1,2 | f:Nx3x2", "Split 13 axis=1 | f:Nx3x2 i64:2=1,2",
                                        "Split 18 axis=2 num_outputs=2 | f:Nx2x3", "Split 13 axis=1 | f:Nx4"};
    const size_t outer[] = {1, 1, 2, 1}, first[] = {2, 2, 2, 2}, second[] = {4, 4, 1, 2};
    for (size_t s = 0; s < 4; s++) {
        driver d;
        (void)driver_open(&d, specs[s], 1, false, 1);
        d.n.n_out = 2;
        d.out[1] = &d.out_t[1];
        assert_int_equal(d.n.kernel->infer(&d.n, &d.err), STATUS_OK);
        assert_int_equal(driver_prepare(&d, true), STATUS_OK);
        driver_gradients(&d, 3);
        driver_forward(&d, false);
        for (size_t i = 0; i < d.out[1]->n; i++) {
            d.grad_out[1][i] = (float)i + 0.5F;
        }
        driver_vjp(&d, false, ASSAY_VJP_EXACT);
        size_t at = 0, a = 0, b = 0;
        for (size_t o = 0; o < outer[s]; o++) {
            for (size_t i = 0; i < first[s]; i++, a++, at++) {
                assert_true(driver_get(d.out[0], a) == driver_get(d.in[0], at));
                assert_true(d.grad_in[0][at] == d.grad_out[0][a]);
            }
            for (size_t i = 0; i < second[s]; i++, b++, at++) {
                assert_true(driver_get(d.out[1], b) == driver_get(d.in[0], at));
                assert_true(d.grad_in[0][at] == d.grad_out[1][b]);
            }
        }
        assert_true(at == d.in[0]->n && a == d.out[0]->n && b == d.out[1]->n);
        driver_close(&d);
    }
}

/* Runs, tiles and their edges against the plain loop; stores where the gradient is fresh. */
static void one_transpose(const char *spec) {
    driver d;
    driver_ready(&d, spec, 3, false, 5);
    size_t item = ox_dtype_bytes(d.out[0]->dtype), len = d.in[0]->n;
    char *y = mem_zalloc(len * item);
    float *g = mem_zalloc(len * sizeof *g);
    bool fresh[DRIVER_MAX] = {true};
    driver_gradients(&d, 6);
    driver_forward(&d, false);
    memcpy(y, d.out[0]->data, len * item);
    driver_forward(&d, true);
    assert_memory_equal(y, d.out[0]->data, len * item);
    if (d.grad_in[0] != NULL) {
        driver_vjp(&d, true, ASSAY_VJP_EXACT);
        memcpy(g, d.grad_in[0], len * sizeof *g);
        driver_zero_gradients(&d);
        driver_vjp(&d, false, ASSAY_VJP_EXACT);
        assert_memory_equal(d.grad_in[0], g, len * sizeof *g);
        d.n.fresh = fresh;
        d.grad_in[0][0] = NAN;
        driver_vjp(&d, false, ASSAY_VJP_EXACT);
        assert_memory_equal(d.grad_in[0], g, len * sizeof *g);
    }
    mem_free(y);
    mem_free(g);
    driver_close(&d);
}

static void transposes(void **state) {
    (void)state;
    static const char *const perms[] = {"0,2,1,3", "0,1,3,2", "0,2,3,1", "0,3,1,2", "0,3,2,1", "3,2,1,0",
                                        "1,0,2,3", "2,3,0,1", "0,1,2,3", "3,0,1,2", "2,1,0,3", "1,3,0,2"};
    static const char *const shapes[] = {"Nx4x5x8", "Nx1x17x33", "Nx16x1x4", "Nx7x3x2", "Nx20x19x1", "Nx1x1x1"};
    static const char *const dtypes[] = {"f", "u8", "i64"};
    char spec[128];
    for (size_t i = 0; i < (size_t)12 * 6 * 3; i++) {
        (void)snprintf(spec, sizeof spec, "Transpose 13 perm=%s | %s:%s", perms[i % 12], dtypes[i / 72],
                       shapes[i / 12 % 6]);
        one_transpose(spec);
    }
    one_transpose("Transpose 13 perm=1,0,2 | f:2x0x3");
    one_transpose("Transpose 13 | f:");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_by_hand),
        cmocka_unit_test(every_dtype_moves),
        cmocka_unit_test(split_in_two),
        cmocka_unit_test(transposes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
