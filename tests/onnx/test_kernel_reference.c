/* SPDX-License-Identifier: Apache-2.0
 * Fast paths against the plain loops over many shapes: forward and vjp, with residual thresholds. */
#include <unistd.h>

#include "kernel_driver.h"
#include "kernels/sgemm.h"

/* |fast - reference| relative to the largest reference value of the tensor. */
#define FAIL_AT 1e-5
#define WARN_AT 2e-6

static double residual(const float *a, const float *b, size_t n) {
    double worst = 0, scale = 1e-6;
    for (size_t i = 0; i < n; i++) {
        scale = fmax(scale, fabs((double)b[i]));
    }
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        worst = d <= worst ? worst : d; /* NaN sticks */
    }
    return worst / scale;
}

static void judge(const char *spec, size_t batch, const char *what, double r) {
    if (!(r <= FAIL_AT)) {
        fail_msg("%s, batch %zu: %s residual %g", spec, batch, what, r);
    }
    if (r > WARN_AT) {
        print_message("warning: %s, batch %zu: %s residual %g\n", spec, batch, what, r);
    }
}

/* Runs fast, then reference, and compares the output and each gradient. */
static void compare(const char *spec, size_t batch) {
    driver d;
    driver_ready(&d, spec, batch, false, batch);
    driver_gradients(&d, batch + 1);
    size_t n_out = d.out[0]->n, item = d.out[0]->dtype == ASSAY_F32 ? sizeof(float) : 1;
    float *y = mem_zalloc(n_out * sizeof(float)), *g[DRIVER_MAX] = {NULL};
    driver_forward(&d, false);
    driver_vjp(&d, false, ASSAY_VJP_STRAIGHT_THROUGH);
    memcpy(y, d.out[0]->data, n_out * item);
    for (size_t i = 0; i < d.n.n_in; i++) {
        if (d.grad_in[i] != NULL) {
            g[i] = mem_zalloc(d.in[i]->n * sizeof(float));
            memcpy(g[i], d.grad_in[i], d.in[i]->n * sizeof(float));
        }
    }
    driver_zero_gradients(&d);
    driver_forward(&d, true);
    driver_vjp(&d, true, ASSAY_VJP_STRAIGHT_THROUGH);
    if (d.out[0]->dtype == ASSAY_F32) {
        judge(spec, batch, "forward", residual(y, d.out[0]->data, n_out));
    } else if (d.out[0]->dtype == ASSAY_U8 || d.out[0]->dtype == ASSAY_I8) {
        assert_memory_equal(y, d.out[0]->data, n_out);
    }
    for (size_t i = 0; i < d.n.n_in; i++) {
        if (g[i] != NULL) {
            judge(spec, batch, "gradient", residual(g[i], d.grad_in[i], d.in[i]->n));
        }
        mem_free(g[i]);
    }
    /* what unpadded sessions run, against the reference that is in out[0] now */
    memcpy(y, d.out[0]->data, n_out * item);
    d.n.unpadded = true;
    driver_forward(&d, false);
    if (d.out[0]->dtype == ASSAY_F32) {
        judge(spec, batch, "unpadded forward", residual(d.out[0]->data, y, n_out));
    }
    mem_free(y);
    driver_close(&d);
}

static void compare_batches(const char *spec) {
    compare(spec, 1);
    compare(spec, 8);
    compare(spec, 32);
}

static void small_cases(void **state) {
    (void)state;
    for (size_t i = 0; i < N_DRIVER_CASES; i++) {
        compare_batches(driver_cases[i]);
    }
}

/* Every combination of size, kernel, stride, dilation, pad, group that makes a window. */
static void convolutions(void **state) {
    (void)state;
    static const int channels[][3] = {{1, 16, 1}, {3, 5, 1}, {16, 32, 1}, {4, 6, 2}, {17, 17, 17}, {32, 32, 4}};
    static const int sizes[][2] = {{7, 7}, {5, 12}, {14, 9}};
    char spec[256];
    unsigned n = 0;
    for (unsigned v = 0; v < 6 * 3 * 3 * 2 * 2 * 3; v++) {
        const int *c = channels[v % 6], *s = sizes[v / 6 % 3];
        int k = (const int[]){1, 3, 4}[v / 18 % 3], stride = 1 + (int)(v / 54 % 2), dil = 1 + (int)(v / 108 % 2);
        int pad = (int)(v / 216 % 3);
        if ((k - 1) * dil + 1 > s[0] + pad || (k - 1) * dil + 1 > s[1] + pad) {
            continue;
        }
        (void)snprintf(spec, sizeof spec,
                       "Conv 13 strides=%d,%d dilations=%d,1 pads=%d,0,0,%d group=%d | f:Nx%dx%dx%d f:%dx%dx%dx%d%s%s",
                       stride, 3 - stride, dil, pad, pad, c[2], c[0], s[0], s[1], c[1], c[0] / c[2], k, k,
                       v % 2 == 0 ? "c" : "", v % 3 == 0 ? " f:0" : "");
        char *zero = strstr(spec, " f:0");
        if (zero != NULL) {
            (void)snprintf(zero, 16, " f:%d", c[1]);
        }
        compare(spec, n++ % 3 == 0 ? 3 : 1);
    }
    assert_true(n > 400);
}

static void other_convolutions(void **state) {
    (void)state;
    static const char *const specs[] = {
        "Conv 13 pads=3,0 strides=2, | f:Nx8x33 f:16x8x5c f:16c",
        "Conv 13 pads=5,5 | f:Nx2x4 f:3x2x2c", /* windows in the padding alone */
        "Conv 13 strides=5,5 | f:Nx3x6x6 f:4x3x2x2c",
        "Conv 13 kernel_shape=1,1 | f:Nx64x7x7 f:32x64x1x1c f:32c",
        "Conv 13 pads=1,1,1,1,1,1 strides=1,2,1 | f:Nx3x5x6x7 f:8x3x3x3x3c f:8c",
        "Conv 13 dilations=1,2,2 group=2 | f:Nx4x3x7x8 f:6x2x2x3x3c",
        "Conv 13 pads=1,1,1,1 | f:Nx1x28x28 f:16x1x3x3c f:16c",
        "Conv 13 pads=1,1,1,1 | f:Nx16x14x14 f:32x16x3x3c f:32c",
        "Conv 13 pads=1,1,1,1 | f:Nx32x7x7 f:64x32x3x3c f:64c",
        "Conv 13 group=16 pads=1,1,1,1 | f:Nx16x9x9 f:16x1x3x3c f:16c",
        "Conv 13 auto_pad=VALID strides=3,2 | f:Nx3x10x11 f:5x3x3x3c",
        "Conv 13 auto_pad=SAME_LOWER strides=2,3 dilations=2,1 | f:Nx3x10x11 f:5x3x3x2c",
    };
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        compare_batches(specs[i]);
    }
}

static void products(void **state) {
    (void)state;
    static const int sizes[] = {1, 2, 5, 6, 7, 11, 12, 13, 15, 16, 17, 31, 33, 64, 100, 255, 256, 257, 576, 784};
    char spec[128];
    uint64_t s = 1;
    for (unsigned v = 0; v < 150; v++) {
        int k = sizes[driver_random(&s) % 20], n = sizes[driver_random(&s) % 16];
        size_t m = (size_t)sizes[driver_random(&s) % 14];
        (void)snprintf(spec, sizeof spec,
                       v % 2 == 0 ? "Gemm 13 transB=1 | f:Nx%d f:%dx%d%s f:%d" : "MatMul 13 | f:Nx%d f:%dx%d%s", k,
                       v % 2 == 0 ? n : k, v % 2 == 0 ? k : n, v % 3 == 0 ? "c" : "", n);
        compare(spec, m);
    }
    compare("Gemm 13 transA=1 alpha=0.5 beta=2.0 | f:7x33 f:7x18 f:18", 1);
    compare("Gemm 13 transA=1 transB=1 | f:7x33 f:18x7 f:1", 1);
    compare("MatMul 13 | f:6x2x3x20 f:2x20x5", 1);
    compare("MatMul 13 | f:2x1x3x4 f:1x5x4x3c", 1);
    compare("MatMul 13 | f:4 f:5x4x3", 1);
    compare("MatMul 13 | f:4 f:4", 1);
    compare("MatMul 13 | f:0x4 f:4x2", 1);
    compare("Gemm 13 | f:3x0 f:0x2 f:2", 1);
}

static void pools(void **state) {
    (void)state;
    static const char *const geometries[] = {
        "kernel_shape=2,2 strides=2,2 | f:Nx16x28x28",
        "kernel_shape=2,2 strides=2,2 | f:Nx5x7x9",
        "kernel_shape=2,2 strides=1,2 | f:Nx3x7x9",
        "kernel_shape=2,2 strides=2,2 ceil_mode=1 | f:Nx3x7x9",
        "kernel_shape=3,3 strides=2,2 pads=1,1,1,1 | f:Nx3x14x15",
        "kernel_shape=3,2 strides=3,1 pads=0,1,2,0 | f:Nx2x11x7",
        "kernel_shape=5,5 strides=1,1 pads=2,2,2,2 | f:Nx2x8x8",
        "kernel_shape=2, strides=3, ceil_mode=1 | f:Nx4x11",
        "kernel_shape=2,3,2 strides=2,2,1 pads=1,0,1,0,1,0 | f:Nx2x5x6x7",
        "kernel_shape=3,3 auto_pad=SAME_UPPER strides=2,2 | f:Nx2x7x8",
        "kernel_shape=7,7 | f:Nx4x7x7",
    };
    static const char *const ops[] = {"MaxPool 12", "AveragePool 11", "AveragePool 11 count_include_pad=1"};
    char spec[256];
    for (size_t i = 0; i < 3 * sizeof geometries / sizeof geometries[0]; i++) {
        (void)snprintf(spec, sizeof spec, "%s %s", ops[i % 3], geometries[i / 3]);
        compare_batches(spec);
    }
    compare_batches("MaxPool 12 kernel_shape=2,2 strides=2,2 | i8:Nx2x6x6");
    compare_batches("MaxPool 12 kernel_shape=2,2 strides=2,2 | u8:Nx2x6x6");
}

enum { M = 37, MAX_K = 600, MAX_N = 70 };

/* The same bits from every width of vector, and for any number of rows. */
static void gemm_bits(void **state) {
    (void)state;
    const size_t rows = M;
    static float a[M * MAX_K], b[MAX_K * MAX_N], c[M * MAX_N], d[M * MAX_N];
    static const size_t ks[] = {1, 3, 255, 256, 257, 576, 600}, ns[] = {1, 10, 16, 17, 32, 33, 64, 70};
    uint64_t s = 9;
    for (size_t i = 0; i < rows * MAX_K; i++) {
        a[i] = (float)(driver_random(&s) % 20001) / 10000 - 1;
    }
    for (size_t i = 0; i < (size_t)MAX_K * MAX_N; i++) {
        b[i] = (float)(driver_random(&s) % 20001) / 10000 - 1;
    }
    for (size_t v = 0; v < 56; v++) {
        size_t k = ks[v % 7], n = ns[v / 7], floats = 0;
        assert_true(ox_gemm_packed(k, n, &floats));
        float *packed = mem_zalloc(floats * sizeof(float));
        ox_gemm_pack(b, k, n, n, 1, packed);
        ox_gemm(OX_ISA_PORTABLE, M, n, k, a, k, 1, packed, c, n);
        for (int isa = OX_ISA_AVX2; isa <= (int)ox_isa_best(); isa++) {
            memset(d, 0, sizeof d);
            ox_gemm((ox_isa)isa, M, n, k, a, k, 1, packed, d, n);
            assert_memory_equal(c, d, M * n * sizeof(float));
            for (size_t i = 0; i < M; i++) {
                ox_gemm((ox_isa)isa, 1, n, k, a + i * k, k, 1, packed, d + i * n, n);
            }
            assert_memory_equal(c, d, M * n * sizeof(float));
        }
        mem_free(packed);
    }
}

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_cases), cmocka_unit_test(convolutions), cmocka_unit_test(other_convolutions),
        cmocka_unit_test(products),    cmocka_unit_test(pools),        cmocka_unit_test(gemm_bits),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    /* oneDNN reads its cap once: the narrower CPU is another process. */
    if (rc == 0 && getenv("ONEDNN_MAX_CPU_ISA") == NULL && setenv("ONEDNN_MAX_CPU_ISA", "AVX2", 1) == 0) {
        (void)execv("/proc/self/exe", argv);
        rc = 1;
    }
    return rc;
}
