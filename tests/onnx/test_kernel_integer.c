/* SPDX-License-Identifier: Apache-2.0
 * Integer and quantised operators: every instruction set gives the same integers as plain loops, hostile nodes are
 * errors, straight-through gradients follow their rule, values computed by hand. */
#include "kernel_driver.h"
#include "kernels/iconv.h"

static const ox_int8_isa all_isas[] = {OX_INT8_PORTABLE, OX_INT8_AVX2, OX_INT8_AVX_VNNI, OX_INT8_AVX512_VNNI_256,
                                       OX_INT8_AVX512_VNNI};
#define N_ISAS (sizeof all_isas / sizeof all_isas[0])

static void fill_bytes(uint8_t *p, size_t n, uint64_t seed) {
    for (size_t i = 0; i < n; i++) {
        uint64_t v = driver_random(&seed);
        p[i] = v % 7 == 0 ? 255 : (v % 7 == 1 ? 0 : (v % 7 == 2 ? 128 : (uint8_t)(v >> 8))); /* extremes often */
    }
}

enum { MAX_M = 29, MAX_K = 70, MAX_N = 300 };

typedef struct matrix {
    int32_t *c;
    size_t ldc;
} matrix;

static void keep(void *ctx, size_t row, size_t col, const int32_t *acc, size_t len) {
    const matrix *m = ctx;
    memcpy(m->c + row * m->ldc + col, acc, len * sizeof *acc);
}

static void one_product(size_t m, size_t n, size_t k, bool a_signed, bool b_signed) {
    static uint8_t a[MAX_M * MAX_K], b[MAX_K * MAX_N];
    static int32_t c[MAX_M * MAX_N], sums[MAX_N];
    size_t packed = 0, scratch = 0;
    fill_bytes(a, sizeof a, m);
    fill_bytes(b, sizeof b, n);
    assert_true(ox_igemm_packed(k, n, &packed) && ox_igemm_scratch(k, &scratch));
    uint8_t *p = mem_zalloc(packed + 1);
    void *s = mem_zalloc(scratch);
    ox_igemm_pack(b, b_signed, k, n, n, 1, p, sums);
    for (size_t v = 0; v < N_ISAS; v++) {
        if (!ox_int8_has(all_isas[v])) {
            continue;
        }
        memset(c, 0x55, sizeof c);
        ox_igemm(all_isas[v], m, n, k, a, a_signed, k, 1, p, s, keep, &(matrix){c, n});
        for (size_t i = 0; i < m * n; i++) {
            int32_t want = 0;
            for (size_t q = 0; q < k; q++) {
                int32_t x = a[i / n * k + q], y = b[q * n + i % n];
                want += (a_signed ? (int8_t)x + 128 : x) * (b_signed ? (int8_t)y : y - 128);
            }
            if (c[i] != want) {
                fail_msg("isa %d, %zu x %zu x %zu: element %zu is %d, not %d", (int)all_isas[v], m, n, k, i, c[i],
                         want);
            }
        }
    }
    mem_free(p);
    mem_free(s);
}

static void products_are_exact(void **state) {
    (void)state;
    static const size_t ms[] = {1, 2, 3, 5, 8, 12, 16, 29}, ns[] = {1, 15, 16, 17, 33, 256, 300};
    static const size_t ks[] = {0, 1, 3, 4, 7, 64, 70};
    for (size_t v = 0; v < 8 * 7 * 7; v++) {
        one_product(ms[v % 8], ns[v / 8 % 7], ks[v / 56], v % 3 == 0, v % 2 == 0);
    }
}

/* ---- convolutions ------------------------------------------------------------------------------- */

typedef struct plane {
    int32_t *y;
    size_t len;
} plane;

static void keep_rows(void *ctx, const ox_iconv_rows *r) {
    const plane *p = ctx;
    for (size_t i = 0; i < r->n; i++) {
        memcpy(p->y + r->channel * p->len + r->position + i * r->len, r->acc + i * r->pitch, r->len * sizeof *p->y);
    }
}

static void one_convolution(const ox_conv_shape *s, bool x_signed, bool w_signed, unsigned seed) {
    size_t n_x = s->c_in * s->w.in_plane, n_w = s->c_out * (s->c_in / s->groups) * s->w.taps;
    size_t n_y = s->c_out * s->w.out_plane;
    uint8_t *x = mem_zalloc(n_x), *w = mem_zalloc(n_w);
    int32_t *y = mem_zalloc(n_y * sizeof *y), zero[64];
    int32_t x_zero = x_signed ? -5 : 117;
    fill_bytes(x, n_x, seed);
    fill_bytes(w, n_w, seed + 1);
    for (size_t k = 0; k < s->c_out; k++) {
        zero[k] = seed % 2 == 0 ? (w_signed ? 0 : 128) : (int32_t)k;
    }
    for (size_t v = 0; v < N_ISAS; v++) {
        ox_iconv *c = NULL;
        error err = {0};
        if (!ox_int8_has(all_isas[v])) {
            continue;
        }
        assert_int_equal(ox_iconv_create(s, all_isas[v], &c, &err), STATUS_OK);
        memset(y, 0x55, n_y * sizeof *y);
        ox_iconv_weights(c, w, w_signed, zero);
        ox_iconv_begin(c, x_signed, x_zero);
        ox_iconv_run(c, x, keep_rows, &(plane){y, s->w.out_plane});
        for (size_t i = 0; i < n_y; i++) {
            size_t k = i / s->w.out_plane;
            int32_t want = ox_iconv_at(s, x, x_signed, x_zero, w, w_signed, zero[k], k, i % s->w.out_plane);
            if (y[i] != want) {
                fail_msg("isa %d, case %u: output %zu is %d, not %d", (int)all_isas[v], seed, i, y[i], want);
            }
        }
        ox_iconv_destroy(c);
    }
    mem_free(x);
    mem_free(w);
    mem_free(y);
}

static void convolutions_are_exact(void **state) {
    (void)state;
    static const size_t channels[][3] = {{1, 5, 1}, {3, 13, 1}, {6, 16, 1}, {4, 6, 2}, {7, 7, 7}, {10, 20, 2}};
    unsigned n = 0;
    for (unsigned v = 0; v < 6 * 3 * 3 * 2 * 3 * 3; v++) {
        const size_t *c = channels[v % 6], k = (size_t[]){1, 3, 5}[v / 6 % 3], stride = 1 + v / 18 % 3;
        size_t dil = 1 + v / 54 % 2, pad = v / 108 % 3, size = (size_t[]){7, 19, 40}[v / 324 % 3];
        size_t extent = (k - 1) * dil + 1, in[2] = {size, size + 3};
        ox_conv_shape s = {.batch = 1, .groups = c[2], .c_in = c[0], .c_out = c[1]};
        s.w = (ox_window){.n_spatial = 2,
                          .k = {1, k, k},
                          .stride = {1, stride, stride},
                          .dilation = {1, dil, dil},
                          .pad_lo = {0, pad, 0},
                          .pad_hi = {0, 0, pad},
                          .in = {1, in[0], in[1]},
                          .out = {1, 1, 1},
                          .in_plane = in[0] * in[1],
                          .taps = k * k};
        if (extent > in[0] + pad || (size == 40 && v % 5 != 0)) {
            continue;
        }
        s.w.out[1] = (in[0] + pad - extent) / stride + 1;
        s.w.out[2] = (in[1] + pad - extent) / stride + 1;
        s.w.out_plane = s.w.out[1] * s.w.out[2];
        one_convolution(&s, v % 2 == 0, v % 3 == 0, v);
        n++;
    }
    assert_true(n > 500);
}

/* Rounding half to even, saturation, per-channel scale and bias, by hand. */
static void requantisation(void **state) {
    (void)state;
    const int32_t acc[19] = {0,   1,   3,   5,   -1,   -3, 1000, -1000,     7,        2,
                             255, 254, 253, 511, -509, 4,  6,    INT32_MIN, INT32_MAX};
    for (size_t v = 0; v < N_ISAS; v++) {
        uint8_t y[19], z[19];
        float scale[19];
        for (size_t i = 0; i < 19; i++) {
            scale[i] = 0.5F;
        }
        const ox_requant q = {.zero = 3, .lo = 0, .hi = 255, .isa = all_isas[v]};
        if (!ox_int8_has(all_isas[v])) {
            continue;
        }
        ox_requantize_rows(q, acc, 19, 19, 1, 0, 0.5F, y);
        ox_requantize_columns(q, acc, scale, z, 19);
        const uint8_t want[19] = {3, 3, 5, 5, 3, 1, 255, 0, 7, 4, 131, 130, 129, 255, 0, 5, 6, 0, 255};
        assert_memory_equal(y, want, 19);
        assert_memory_equal(z, want, 19);
    }
}

/* The rule of straight-through: an output that needed no saturation passes scale * (w - zero). */
static void straight_through(void **state) {
    (void)state;
    driver d;
    driver_ready(&d, "QLinearConv 10 | u8:1x1x4 s:1=0.5 u8:1=2 i8:1x1x1=3 s:1=0.25 i8:1=1 s:1=0.125 u8:1=10", 1, false,
                 1);
    const uint8_t x[4] = {2, 0, 130, 100}; /* sums 2 (x - 2): 0, -4, 256, 196; times 1, plus 10 */
    const uint8_t want[4] = {10, 6, 255, 206};
    memcpy(d.in[0]->data, x, sizeof x);
    driver_gradients(&d, 3);
    driver_forward(&d, false);
    assert_memory_equal(d.out[0]->data, want, 4);
    for (int plain = 0; plain < 2; plain++) {
        driver_zero_gradients(&d);
        driver_vjp(&d, plain == 1, ASSAY_VJP_STRAIGHT_THROUGH);
        for (size_t i = 0; i < 4; i++) {
            assert_true(d.grad_in[0][i] == (i == 2 ? 0 : 2 * d.grad_out[0][i]));
        }
    }
    driver_close(&d);
}

static void dynamic_quantisation(void **state) {
    (void)state;
    driver d;
    assert_int_equal(driver_open(&d, "DynamicQuantizeLinear 11 | f:Nx3", 2, false, 1), STATUS_UNSUPPORTED);
    assert_non_null(strstr(d.err.text, "depend on each other"));
    driver_close(&d);
    driver_ready(&d, "DynamicQuantizeLinear 11 | f:6=0,2,-3,-2.5,1.34,0.5", 1, false, 1);
    driver_forward(&d, false);
    const uint8_t want[6] = {153, 255, 0, 26, 221, 179}; /* the operator's own example */
    assert_memory_equal(d.out[0]->data, want, 6);
    driver_close(&d);
}

static const char *const bad_specs[] = {
    "ConvInteger 10 | f:Nx2x5x5 i8:3x2x3x3",
    "ConvInteger 10 | u8:Nx2x5x5 i8:3x1x3x3",
    "ConvInteger 10 | u8:Nx2x5x5 i8:3x2x3x3 i8:1=0",
    "ConvInteger 10 | u8:Nx2x5x5 i8:3x2x3x3 u8:2=0,0",
    "ConvInteger 10 | u8:Nx2x5x5 i8:3x2x3x3 u8:1=0 i8:2=0,0",
    "ConvInteger 10 | u8:Nx2x5x5 i8:3x2x6x3",
    "ConvInteger 10 group=0 | u8:Nx2x5x5 i8:3x2x3x3",
    "MatMulInteger 10 | u8:Nx3 i8:4x5",
    "MatMulInteger 10 | u8:Nx3 i8:Nx3x5 u8:7=0,0,0,0,0,0,0",
    "MatMulInteger 10 | u8:Nx3 i8:3x5 u8:1=0 i8:3=0,0,0",
    "MatMulInteger 10 | u8:Nx3 i32:3x5",
    "MatMulInteger 10 | u8:N i8:N",
    "QLinearConv 10 | u8:Nx2x5x5 s:1=0 u8:1=0 i8:3x2x3x3 s:1=1 i8:1=0 s:1=1 u8:1=0",
    "QLinearConv 10 | u8:Nx2x5x5 s:1=1 u8:1=0 i8:3x2x3x3 s:2=1,1 i8:1=0 s:1=1 u8:1=0",
    "QLinearConv 10 | u8:Nx2x5x5 s:1=1 u8:1=0 i8:3x2x3x3 s:1=1 i8:1=0 s:1=1 i32:1=0",
    "QLinearMatMul 10 | u8:Nx3 s:1=1 u8:1=0 i8:3x2 s:3=1,1,1 i8:1=0 s:1=1 u8:1=0",
    "QLinearMatMul 10 | u8:Nx3 - u8:1=0 i8:3x2 s:1=1 i8:1=0 s:1=1 u8:1=0",
    "com.microsoft.QGemm 1 | u8:Nx3 s:1=1 u8:1=0 i8:3x2 s:1=1 i8:1=0 i32:3=0,0,0",
    "com.microsoft.QGemm 1 transA=1 | u8:Nx3 s:1=1 u8:1=0 i8:Nx2 s:1=1 i8:1=0",
    "com.microsoft.QGemm 1 | u8:Nx3 s:1=1 u8:1=0 i8:3 s:1=1 i8:1=0",
    "com.microsoft.QLinearAdd 1 | u8:Nx3 s:1=1 u8:1=0 i8:Nx3 s:1=1 i8:1=0 s:1=1 u8:1=0",
    "com.microsoft.QLinearAdd 1 | u8:Nx3 s:1=1 u8:1=0 u8:Nx4 s:1=1 u8:1=0 s:1=1 u8:1=0",
    "com.microsoft.QLinearConcat 1 axis=0 | s:1=1 u8:1=0 u8:Nx3 s:1=1 u8:1=0",
    "com.microsoft.QLinearConcat 1 axis=1 | s:1=1 u8:1=0 u8:Nx3 s:1=1 u8:1=0 u8:Nx3",
    "com.microsoft.QLinearSoftmax 1 axis=0 opset=13 | u8:Nx3 s:1=1 u8:1=0 s:1=1 u8:1=0",
    "com.microsoft.QLinearAveragePool 1 kernel_shape=2,2 channels_last=1 | u8:Nx3x3x3 s:1=1 u8:1=0 s:1=1 u8:1=0",
    "com.microsoft.QLinearGlobalAveragePool 1 | u8:Nx3x0 s:1=1 u8:1=0 s:1=1 u8:1=0",
    "com.microsoft.FusedConv 1 activation=Swish | f:Nx2x5x5 f:3x2x3x3",
    "com.microsoft.FusedConv 1 activation=Relu | f:Nx2x5x5 f:3x2x3x3 f:3 f:Nx3x5x5",
    "com.microsoft.FusedMatMul 1 transBatchA=1 | f:Nx2x3 f:Nx3x2",
    "com.microsoft.FusedMatMul 1 transA=1 | f:Nx2 f:Nx3",
    "com.microsoft.BiasGelu 1 | f:Nx3 f:4",
    "com.microsoft.SkipLayerNormalization 1 | f:Nx3 f:Nx2 f:3",
    "com.microsoft.SkipLayerNormalization 1 | f:Nx3 f:Nx3 f:2",
    "QuantizeLinear 21 axis=1 block_size=2 | f:Nx5 s:Nx2",
    "QuantizeLinear 21 axis=1 block_size=-1 | f:Nx5 s:1=1",
    "DequantizeLinear 19 axis=1 block_size=2 | i8:Nx4 s:Nx2",
};

static void hostile(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad_specs / sizeof bad_specs[0]; i++) {
        driver d;
        status st = driver_open(&d, bad_specs[i], 2, false, 1);
        if (st != STATUS_MODEL && st != STATUS_UNSUPPORTED) {
            fail_msg("%s: status %s", bad_specs[i], status_name(st));
        }
        assert_true(d.err.text[0] != '\0');
        driver_close(&d);
    }
}

/* Blocks along the axis, the last one shorter. */
static void blocks(void **state) {
    (void)state;
    driver d;
    driver_ready(&d, "DequantizeLinear 21 axis=1 block_size=2 | i8:2x3=1,2,3,4,5,6 s:2x2=1,10,100,1000 i8:2x2=0,1,2,3",
                 2, false, 1);
    const float want[6] = {1, 2, 20, 200, 300, 3000};
    driver_forward(&d, false);
    assert_memory_equal(d.out[0]->data, want, sizeof want);
    driver_close(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_exact),
        cmocka_unit_test(convolutions_are_exact),
        cmocka_unit_test(requantisation),
        cmocka_unit_test(straight_through),
        cmocka_unit_test(dynamic_quantisation),
        cmocka_unit_test(hostile),
        cmocka_unit_test(blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
