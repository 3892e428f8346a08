/* SPDX-License-Identifier: Apache-2.0
 * An example's output and gradients are the same bits wherever it stands in the batch, whoever its neighbours are
 * (NaN included), and, as the kernels are built, whatever the batch's size. */
#include <unistd.h>

#include "kernel_driver.h"

static const char *const larger_cases[] = {
    "Conv 13 pads=1,1,1,1 | f:Nx1x28x28 f:16x1x3x3c f:16c",
    "Conv 13 pads=1,1,1,1 | f:Nx16x14x14 f:32x16x3x3c f:32c",
    "Conv 13 pads=1,1,1,1 | f:Nx32x7x7 f:64x32x3x3c f:64c",
    "Conv 13 strides=2,2 group=3 | f:Nx9x11x11 f:6x3x3x3c",
    "Gemm 13 transB=1 | f:Nx576 f:64x576c f:64c",
    "Gemm 13 transB=1 | f:Nx784 f:128x784c f:128c",
    "Gemm 13 transB=1 | f:Nx64 f:10x64c f:10c",
    "Gemm 13 | f:Nx13 f:13x2c f:2c",
    "MatMul 13 | f:Nx3x300 f:300x17c",
    "MatMul 13 | f:Nx9x33 f:Nx33x9",
    "MaxPool 12 kernel_shape=2,2 strides=2,2 | f:Nx16x28x28",
    "Relu 14 | f:Nx37",
    "Mul 14 | f:Nx13 f:13c",
    "Div 14 | f:Nx13x3 f:13x1c",
    "Softmax 13 | f:Nx10",
    "QuantizeLinear 13 | f:Nx37 s:1=0.0625 i8:1=0",
    "DequantizeLinear 13 | i8:Nx37 s:1=0.0625 i8:1=0",
};
#define N_LARGER (sizeof larger_cases / sizeof larger_cases[0])

/* Bytes of one example of a batched tensor. */
static size_t example_bytes(const ox_tensor *t) {
    return t->n / (size_t)t->shape[0] * ox_dtype_bytes(t->dtype);
}

static size_t example_floats(const ox_tensor *t) {
    return t->n / (size_t)t->shape[0];
}

/* Puts example `from` of `s` into place `to` of `d`: inputs and cotangent. Other inputs (weights) are made equal. */
static void move_example(driver *d, size_t to, const driver *s, size_t from) {
    for (size_t i = 0; i < d->n.n_in; i++) {
        if (d->in[i] == NULL) {
            continue;
        }
        size_t bytes = d->in[i]->has_batch ? example_bytes(d->in[i]) : d->in[i]->n * ox_dtype_bytes(d->in[i]->dtype);
        size_t step = d->in[i]->has_batch ? bytes : 0;
        memcpy((char *)d->in[i]->data + to * step, (const char *)s->in[i]->data + from * step, bytes);
    }
    size_t g = example_floats(d->out[0]);
    memcpy(d->grad_out[0] + to * g, s->grad_out[0] + from * g, g * sizeof(float));
}

static void poison(driver *d, size_t at, bool nan) {
    for (size_t i = 0; i < d->n.n_in; i++) {
        ox_tensor *t = d->in[i];
        if (t == NULL || !t->has_batch) {
            continue;
        }
        size_t n = example_floats(t);
        for (size_t k = at * n; k < (at + 1) * n; k++) {
            if (t->dtype == ASSAY_F32) {
                ((float *)t->data)[k] = nan ? NAN : (k % 3 == 0 ? -0.0F : 1e30F);
            } else {
                ((uint8_t *)t->data)[k] = 0x7f;
            }
        }
    }
    size_t g = example_floats(d->out[0]);
    for (size_t k = at * g; k < (at + 1) * g; k++) {
        d->grad_out[0][k] = nan ? NAN : 3;
    }
}

/* Gradients only of what has a batch: a weight's gradient is a sum over examples. */
static void batch_gradients(driver *d, uint64_t seed) {
    driver_gradients(d, seed);
    for (size_t i = 0; i < d->n.n_in; i++) {
        if (d->grad_in[i] != NULL && !d->in[i]->has_batch) {
            mem_free(d->grad_in[i]);
            d->grad_in[i] = NULL;
        }
    }
}

static void repack(driver *d) {
    if (d->n.kernel->release != NULL) {
        d->n.kernel->release(&d->n);
    }
    if (d->n.kernel->prepare != NULL) {
        assert_int_equal(d->n.kernel->prepare(&d->n, true, &d->err), STATUS_OK);
    }
}

static void run(driver *d, assay_vjp_mode mode) {
    driver_zero_gradients(d);
    driver_forward(d, false);
    driver_vjp(d, false, mode);
}

static void expect_same(const driver *a, size_t ia, const driver *b, size_t ib, const char *spec) {
    size_t bytes = example_bytes(a->out[0]);
    bool same = memcmp((char *)a->out[0]->data + ia * bytes, (char *)b->out[0]->data + ib * bytes, bytes) == 0;
    for (size_t i = 0; same && i < a->n.n_in; i++) {
        if (a->grad_in[i] != NULL) {
            size_t n = example_floats(a->in[i]);
            same = memcmp(a->grad_in[i] + ia * n, b->grad_in[i] + ib * n, n * sizeof(float)) == 0;
        }
    }
    if (!same) {
        fail_msg("%s: example %zu of %zu differs from example %zu of %zu", spec, ia, a->batch, ib, b->batch);
    }
}

static void one_case(const char *spec, size_t batch, assay_vjp_mode mode) {
    driver base, moved, alone;
    driver_ready(&base, spec, batch, false, 11);
    driver_ready(&moved, spec, batch, false, 12);
    driver_ready(&alone, spec, 1, false, 13);
    batch_gradients(&base, 5);
    batch_gradients(&moved, 6);
    batch_gradients(&alone, 7);
    run(&base, mode);
    move_example(&moved, 0, &base, 0); /* the weights, before they are packed */
    move_example(&alone, 0, &base, 0);
    repack(&moved);
    repack(&alone);
    for (size_t to = 0; to < batch; to++) {
        size_t from = (to * 5 + 3) % batch;
        for (size_t other = 0; other < batch; other++) {
            poison(&moved, other, other % 2 == 0);
        }
        move_example(&moved, to, &base, from);
        run(&moved, mode);
        expect_same(&moved, to, &base, from, spec);
    }
    for (size_t from = 0; from < batch; from += 3) {
        move_example(&alone, 0, &base, from);
        run(&alone, mode);
        expect_same(&alone, 0, &base, from, spec);
    }
    driver_close(&base);
    driver_close(&moved);
    driver_close(&alone);
}

/* Flatten with an axis beyond 1 joins the batch with more. */
static bool batched(const char *spec) {
    driver d;
    driver_ready(&d, spec, 3, false, 1);
    bool yes = d.out[0]->n_dims > 0 && d.out[0]->shape[0] == 3 && d.n.kernel->vjp != NULL;
    driver_close(&d);
    return yes;
}

static void small_cases(void **state) {
    (void)state;
    size_t n = 0;
    for (size_t i = 0; i < N_DRIVER_CASES; i++) {
        if (batched(driver_cases[i])) {
            one_case(driver_cases[i], 8, ASSAY_VJP_EXACT);
            one_case(driver_cases[i], 8, ASSAY_VJP_STRAIGHT_THROUGH);
            n++;
        }
    }
    assert_int_equal(n, N_DRIVER_CASES - 6); /* Flatten and Reshape of the batch, RoiAlign, MaxUnpool, dynamic scale */
}

static void larger(void **state) {
    (void)state;
    for (size_t i = 0; i < N_LARGER; i++) {
        one_case(larger_cases[i], 32, ASSAY_VJP_EXACT);
        one_case(larger_cases[i], 8, ASSAY_VJP_LEAKY);
    }
}

static void repeatable(void **state) {
    (void)state;
    for (size_t i = 0; i < N_LARGER; i++) {
        driver a, b;
        driver_ready(&a, larger_cases[i], 5, false, 2);
        driver_ready(&b, larger_cases[i], 5, false, 2);
        batch_gradients(&a, 3);
        batch_gradients(&b, 3);
        run(&a, ASSAY_VJP_EXACT);
        run(&b, ASSAY_VJP_EXACT);
        run(&b, ASSAY_VJP_EXACT);
        for (size_t k = 0; k < 5; k++) {
            expect_same(&a, k, &b, k, larger_cases[i]);
        }
        driver_close(&a);
        driver_close(&b);
    }
}

/* A session that may be asked for gradients predicts the same bits as one that may not. */
static void forward_does_not_know_of_vjp(void **state) {
    (void)state;
    for (size_t i = 0; i < N_LARGER; i++) {
        driver a, b;
        driver_ready(&a, larger_cases[i], 3, false, 2);
        assert_int_equal(driver_open(&b, larger_cases[i], 3, false, 2), STATUS_OK);
        assert_int_equal(driver_prepare(&b, false), STATUS_OK);
        driver_forward(&a, false);
        driver_forward(&b, false);
        assert_memory_equal(a.out[0]->data, b.out[0]->data, example_bytes(a.out[0]) * 3);
        driver_close(&a);
        driver_close(&b);
    }
}

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_cases),
        cmocka_unit_test(larger),
        cmocka_unit_test(repeatable),
        cmocka_unit_test(forward_does_not_know_of_vjp),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    /* oneDNN reads its cap once: the narrower CPU is another process. */
    if (rc == 0 && getenv("ONEDNN_MAX_CPU_ISA") == NULL && setenv("ONEDNN_MAX_CPU_ISA", "AVX2", 1) == 0) {
        (void)execv("/proc/self/exe", argv);
        rc = 1;
    }
    return rc;
}
