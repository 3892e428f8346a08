/* SPDX-License-Identifier: Apache-2.0
 * The 8-bit kernels beside their float32 counterparts, same shapes, one thread; link: onnx_core assay_base
 * GOP/s count a multiplication and an addition as two. Processor time, best of several runs; oneDNN needs
 * OMP_NUM_THREADS=1 to have one thread, too. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../plugins/onnx/kernels/iconv.h"
#include "../plugins/onnx/kernels/igemm.h"
#include "../plugins/onnx/kernels/sgemm.h"

static double now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *bytes(size_t n) {
    uint8_t *p = mem_zalloc(n + 64);
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)(i * 2654435761u >> 13);
    }
    return p;
}

static float *reals(size_t n) {
    float *p = mem_zalloc(n * sizeof *p);
    for (size_t i = 0; i < n; i++) {
        p[i] = (float)(int)(i * 2654435761u >> 20 & 255) / 256.0F - 0.5F;
    }
    return p;
}

typedef void (*job)(void *ctx);

/* Seconds of one run. */
static double best(job f, void *ctx) {
    double shortest = 1e9;
    f(ctx);
    for (int round = 0; round < 7; round++) {
        int n = 0;
        double start = now(), end = start;
        while (end - start < 0.02) {
            f(ctx);
            n++;
            end = now();
        }
        double each = (end - start) / n;
        shortest = each < shortest ? each : shortest;
    }
    return shortest;
}

typedef struct product {
    size_t m, n, k;
    ox_int8_isa isa;
    ox_isa float_isa;
    const uint8_t *a;
    uint8_t *packed, *y;
    float *fa, *fpacked, *fy, scale[4096];
    void *scratch;
    ox_requant q;
} product;

static void store(void *ctx, size_t row, size_t col, const int32_t *acc, size_t len) {
    product *p = ctx;
    ox_requantize_columns(p->q, acc, p->scale + col, p->y + row * p->n + col, len);
}

static void run_int8(void *ctx) {
    product *p = ctx;
    ox_igemm(p->isa, p->m, p->n, p->k, p->a, false, p->k, 1, p->packed, p->scratch, store, p);
}

static void run_float(void *ctx) {
    product *p = ctx;
    ox_gemm(p->float_isa, p->m, p->n, p->k, p->fa, p->k, 1, p->fpacked, p->fy, p->n);
}

static void one_product(size_t m, size_t n, size_t k) {
    static product p;
    size_t packed = 0, scratch = 0, floats = 0;
    p = (product){
        .m = m, .n = n, .k = k, .isa = ox_int8_best(), .float_isa = ox_isa_best(), .q = {128, 0, 255, ox_int8_best()}};
    if (!ox_igemm_packed(k, n, &packed) || !ox_igemm_scratch(k, &scratch) || !ox_gemm_packed(k, n, &floats)) {
        return;
    }
    uint8_t *a = bytes(m * k), *b = bytes(k * n);
    int32_t *sums = mem_zalloc(n * sizeof *sums);
    float *fb = reals(k * n);
    p.a = a;
    p.packed = mem_zalloc(packed);
    p.scratch = mem_zalloc(scratch);
    p.y = mem_zalloc(m * n);
    p.fa = reals(m * k);
    p.fpacked = mem_zalloc(floats * sizeof(float));
    p.fy = mem_zalloc(m * n * sizeof(float));
    for (size_t i = 0; i < n; i++) {
        p.scale[i] = 0.001F;
    }
    ox_igemm_pack(b, true, k, n, n, 1, p.packed, sums);
    ox_gemm_pack(fb, k, n, n, 1, p.fpacked);
    double ops = 2.0 * (double)m * (double)n * (double)k, i8 = best(run_int8, &p), f32 = best(run_float, &p);
    printf("gemm  m %4zu n %4zu k %4zu  int8 %7.1f GOP/s  float32 %6.1f GOP/s  ratio %.2f\n", m, n, k, ops / i8 / 1e9,
           ops / f32 / 1e9, f32 / i8);
    void *const all[] = {a, b, sums, fb, p.packed, p.scratch, p.y, p.fa, p.fpacked, p.fy};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        mem_free(all[i]);
    }
}

typedef struct convolution {
    ox_iconv *int8;
    ox_conv_dnnl *float32;
    const uint8_t *x;
    uint8_t *y;
    float *fx, *fy;
    size_t plane;
    ox_requant q;
} convolution;

static void store_conv(void *ctx, const ox_iconv_rows *r) {
    convolution *c = ctx;
    ox_requantize_rows(c->q, r->acc, r->pitch, r->len, r->n, 17, 0.001F, c->y + r->channel * c->plane + r->position);
}

static void conv_int8(void *ctx) {
    convolution *c = ctx;
    ox_iconv_run(c->int8, c->x, store_conv, c);
}

static void conv_float(void *ctx) {
    convolution *c = ctx;
    (void)ox_conv_dnnl_forward(c->float32, c->fx, c->fy, NULL);
}

static void one_conv(size_t in, size_t out, size_t k, size_t size, size_t stride, size_t groups) {
    size_t o = (size + 2 * (k / 2) - k) / stride + 1;
    ox_window w = {.n_spatial = 2,
                   .k = {1, k, k},
                   .stride = {1, stride, stride},
                   .dilation = {1, 1, 1},
                   .pad_lo = {0, k / 2, k / 2},
                   .pad_hi = {0, k / 2, k / 2},
                   .in = {1, size, size},
                   .out = {1, o, o},
                   .in_plane = size * size,
                   .out_plane = o * o,
                   .taps = k * k};
    ox_conv_shape s = {.w = w, .batch = 1, .groups = groups, .c_in = in, .c_out = out};
    error err = {0};
    convolution c = {.plane = o * o, .q = {128, 0, 255, ox_int8_best()}};
    if (ox_iconv_create(&s, ox_int8_best(), &c.int8, &err) != STATUS_OK ||
        ox_conv_dnnl_create(&s, false, false, &c.float32, &err) != STATUS_OK) {
        printf("%s\n", err.text);
        return;
    }
    uint8_t *x = bytes(in * size * size), *wi = bytes(out * in / groups * k * k);
    float *wf = reals(out * in / groups * k * k);
    int32_t *zero = mem_zalloc(out * sizeof *zero);
    c.x = x;
    c.fx = reals(in * size * size);
    c.y = mem_zalloc(out * o * o);
    c.fy = mem_zalloc(out * o * o * sizeof(float));
    ox_iconv_weights(c.int8, wi, true, zero);
    ox_iconv_begin(c.int8, false, 128);
    (void)ox_conv_dnnl_weights(c.float32, wf, NULL, &err);
    double ops = 2.0 * (double)(out * o * o) * (double)(in / groups * k * k);
    double i8 = best(conv_int8, &c), f32 = best(conv_float, &c);
    printf("conv  %3zu -> %3zu  %zux%zu / %zu on %3zux%-3zu groups %3zu  int8 %7.1f GOP/s (%7.2f us)  float32 %6.1f "
           "GOP/s (%7.2f us)  ratio %.2f\n",
           in, out, k, k, stride, size, size, groups, ops / i8 / 1e9, 1e6 * i8, ops / f32 / 1e9, 1e6 * f32, f32 / i8);
    ox_iconv_destroy(c.int8);
    ox_conv_dnnl_destroy(c.float32);
    void *const all[] = {x, wi, wf, zero, c.fx, c.y, c.fy};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        mem_free(all[i]);
    }
}

int main(void) {
    static const size_t products[][3] = {{1, 512, 512},   {32, 128, 784},   {32, 10, 128},
                                         {128, 256, 256}, {196, 128, 64},   {256, 512, 512},
                                         {512, 768, 768}, {128, 3072, 768}, {512, 512, 2048}};
    printf("instructions: %d (4: AVX-512 VNNI, 2: AVX-VNNI, 1: AVX2, 0: portable)\n", (int)ox_int8_best());
    for (size_t i = 0; i < sizeof products / sizeof products[0]; i++) {
        one_product(products[i][0], products[i][1], products[i][2]);
    }
    one_conv(1, 16, 3, 28, 1, 1);
    one_conv(3, 64, 7, 64, 2, 1);
    one_conv(16, 32, 3, 26, 1, 1);
    one_conv(64, 64, 3, 16, 1, 1);
    one_conv(64, 128, 3, 16, 2, 1);
    one_conv(64, 128, 1, 14, 1, 1);
    one_conv(128, 128, 3, 7, 1, 1);
    one_conv(32, 32, 3, 28, 1, 32);
    one_conv(64, 64, 3, 28, 2, 64);
    one_conv(128, 128, 3, 14, 1, 128);
    one_conv(32, 32, 3, 56, 1, 4);
    return 0;
}
