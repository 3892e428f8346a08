/* SPDX-License-Identifier: Apache-2.0
 * The exact vjp of every kernel against central differences of its double-precision path, the other modes against
 * their rule. */
#include "kernel_driver.h"

#define STEP 1e-4 /* kinks are at least 1e-3 away (driver_fill) */

static double weighted_sum(driver *d, const float *cotangent) {
    driver_forward(d, true);
    double sum = 0;
    for (size_t i = 0; i < d->out[0]->n; i++) {
        sum += (double)cotangent[i] * driver_get(d->out[0], i);
    }
    return sum;
}

/* Step of an input: integers are differenced by whole quanta, float32 scales (linear) by a power of two. */
static double step_of(const ox_tensor *t) {
    return t->dtype == ASSAY_F64 ? STEP : (t->dtype == ASSAY_F32 ? 0x1p-7 : 1);
}

static void compare_input(driver *f, driver *d, size_t i, const char *spec) {
    ox_tensor *t = d->in[i];
    for (size_t k = 0; k < t->n; k++) {
        double x = driver_get(t, k), h = step_of(t), lo = x - h, hi = x + h;
        if (t->dtype == ASSAY_I8 || t->dtype == ASSAY_U8) { /* stay inside the type */
            double min = t->dtype == ASSAY_I8 ? -128 : 0;
            lo = lo < min ? min : lo;
            hi = hi > min + 255 ? min + 255 : hi;
        }
        driver_put(t, k, hi);
        double up = weighted_sum(d, f->grad_out[0]);
        driver_put(t, k, lo);
        double down = weighted_sum(d, f->grad_out[0]);
        driver_put(t, k, x);
        double want = (up - down) / (hi - lo), got = (double)f->grad_in[i][k];
        if (!(fabs(got - want) <= 2e-6 + 2e-6 * fabs(want) + (t->dtype == ASSAY_F64 ? 0 : 2e-5 * fabs(up)))) {
            fail_msg("%s: d/d input %zu [%zu] is %.9g, central difference %.9g", spec, i, k, got, want);
        }
    }
}

static bool zero_gradient(const driver *d) {
    return (d->n.kernel->flags & OX_ZERO_GRADIENT) != 0;
}

static void one_case(const char *spec, bool reference) {
    driver f, d;
    driver_ready(&f, spec, 2, false, 7);
    driver_ready(&d, spec, 2, true, 7);
    for (size_t i = 0; i < f.n.n_in; i++) { /* the very same values: those of float32 */
        for (size_t k = 0; f.in[i] != NULL && k < f.in[i]->n; k++) {
            driver_put(d.in[i], k, driver_get(f.in[i], k));
        }
    }
    if (d.n.kernel->release != NULL) { /* constants were packed before */
        d.n.kernel->release(&d.n);
        assert_int_equal(d.n.kernel->prepare(&d.n, true, &d.err), STATUS_OK);
    }
    driver_gradients(&f, 3);
    driver_forward(&f, reference);
    driver_vjp(&f, reference, ASSAY_VJP_EXACT);
    for (size_t i = 0; i < f.n.n_in; i++) {
        if (f.grad_in[i] != NULL && !zero_gradient(&f)) {
            compare_input(&f, &d, i, spec);
        }
    }
    driver_close(&f);
    driver_close(&d);
}

static void exact_is_central_difference(void **state) {
    (void)state;
    for (size_t i = 0; i < N_DRIVER_CASES; i++) {
        one_case(driver_cases[i], false);
        one_case(driver_cases[i], true);
    }
}

static void every_kernel_has_a_case(void **state) {
    (void)state;
    size_t n = 0;
    const ox_kernel *const *all = ox_kernel_all(&n);
    for (size_t i = 0; i < n; i++) {
        bool found = (all[i]->flags & OX_NO_GRADIENT) != 0;
        assert_true(found == (all[i]->vjp == NULL));
        for (size_t k = 0; !found && k < N_DRIVER_CASES; k++) {
            driver d;
            (void)driver_open(&d, driver_cases[k], 2, false, 1);
            found = d.n.kernel == all[i];
            driver_close(&d);
        }
        if (!found) {
            fail_msg("kernel %s of opset %d on has no case", all[i]->op, all[i]->min_opset);
        }
    }
}

/* A gradient is added, not written. */
static void gradients_accumulate(void **state) {
    (void)state;
    for (size_t c = 0; c < N_DRIVER_CASES; c++) {
        driver d;
        driver_ready(&d, driver_cases[c], 2, false, 5);
        driver_gradients(&d, 3);
        driver_forward(&d, false);
        driver_vjp(&d, false, ASSAY_VJP_STRAIGHT_THROUGH);
        float *once[DRIVER_MAX] = {NULL};
        for (size_t i = 0; i < d.n.n_in; i++) {
            if (d.grad_in[i] != NULL) {
                once[i] = mem_zalloc(d.in[i]->n * sizeof(float));
                memcpy(once[i], d.grad_in[i], d.in[i]->n * sizeof(float));
            }
        }
        driver_vjp(&d, false, ASSAY_VJP_STRAIGHT_THROUGH);
        for (size_t i = 0; i < d.n.n_in; i++) {
            for (size_t k = 0; once[i] != NULL && k < d.in[i]->n; k++) {
                float want = 2 * once[i][k];
                if (fabsf(d.grad_in[i][k] - want) > 1e-5F * (1 + fabsf(want))) {
                    fail_msg("%s: input %zu [%zu] does not accumulate", driver_cases[c], i, k);
                }
            }
            mem_free(once[i]);
        }
        driver_close(&d);
    }
}

static void zero_gradients_are_zero(void **state) {
    (void)state;
    static const assay_vjp_mode modes[] = {ASSAY_VJP_EXACT, ASSAY_VJP_LEAKY};
    static const char *const casts[] = {"Cast 13 to=6 | f:Nx5", "Cast 9 to=3 | f:Nx5", "Cast 13 to=9 | f:Nx5",
                                        "QuantizeLinear 13 | f:Nx40 s:1=0.0625"};
    for (size_t c = 0; c < N_DRIVER_CASES + 4; c++) {
        driver d;
        driver_ready(&d, c < 4 ? casts[c] : driver_cases[c - 4], 2, false, 5);
        driver_gradients(&d, 3);
        driver_forward(&d, false);
        for (size_t m = 0; m < 2 && (c < 4 || zero_gradient(&d)); m++) {
            driver_vjp(&d, false, modes[m]);
            driver_vjp(&d, true, modes[m]);
            for (size_t k = 0; k < d.in[0]->n; k++) {
                assert_true(d.grad_in[0][k] == 0);
            }
        }
        driver_close(&d);
    }
}

/* Straight through: Q then DQ has slope one inside the range and zero outside; ties and edges by the stated rule. */
static void straight_through_rule(void **state) {
    (void)state;
    driver q, dq;
    driver_ready(&q, "QuantizeLinear 13 | f:Nx3 s:1=0.5 i8:1=-3", 4, false, 1);
    driver_ready(&dq, "DequantizeLinear 13 | i8:Nx3 s:1=0.5 i8:1=-3", 4, false, 1);
    const float x[12] = {0, 0.25F, 0.75F, -62.5F, -62.74F, -62.76F, 65, 65.25F, 65.3F, 1e30F, NAN, -INFINITY};
    const float slope[12] = {1, 1, 1, 1, 1, 0, 1, 1, 0, 0, 0, 0};
    const int8_t want[12] = {-3, -3, -1, -128, -128, -128, 127, 127, 127, 127, -128, -128};
    memcpy(q.in[0]->data, x, sizeof x);
    driver_gradients(&q, 3);
    driver_gradients(&dq, 4);
    driver_forward(&q, false);
    assert_memory_equal(q.out[0]->data, want, sizeof want);
    driver_forward(&q, true);
    assert_memory_equal(q.out[0]->data, want, sizeof want);
    memcpy(dq.in[0]->data, q.out[0]->data, 12);
    driver_forward(&dq, false);
    driver_vjp(&dq, false, ASSAY_VJP_STRAIGHT_THROUGH);
    memcpy(q.grad_out[0], dq.grad_in[0], 12 * sizeof(float));
    driver_vjp(&q, false, ASSAY_VJP_STRAIGHT_THROUGH);
    for (size_t i = 0; i < 12; i++) {
        assert_true(q.grad_in[0][i] == slope[i] * dq.grad_out[0][i]);
    }
    driver_close(&q);
    driver_close(&dq);
}

static void straight_through_cast(void **state) {
    (void)state;
    driver d;
    driver_ready(&d, "Cast 13 to=3 | f:Nx3", 2, false, 1);
    const float x[6] = {1.5F, 127.9F, 128, -128.5F, -129, NAN};
    const int8_t want[6] = {1, 127, 127, -128, -128, 0};
    const float slope[6] = {1, 1, 0, 1, 0, 0};
    memcpy(d.in[0]->data, x, sizeof x);
    driver_gradients(&d, 3);
    driver_forward(&d, false);
    assert_memory_equal(d.out[0]->data, want, sizeof want);
    driver_vjp(&d, false, ASSAY_VJP_STRAIGHT_THROUGH);
    for (size_t i = 0; i < 6; i++) {
        assert_true(d.grad_in[0][i] == slope[i] * d.grad_out[0][i]);
    }
    driver_close(&d);
}

/* Relu at 0 belongs to the flat side; a dead one leaks 0.1 in leaky mode; LeakyRelu is unchanged. */
static void kinks_and_leaks(void **state) {
    (void)state;
    static const char *const specs[] = {"Relu 14 | f:Nx3", "LeakyRelu 16 alpha=0.25 | f:Nx3"};
    const float dead[2][3] = {{0, 0.1F, 0}, {0.25F, 0.25F, 0.25F}}; /* by mode */
    for (size_t s = 0; s < 2; s++) {
        driver d;
        driver_ready(&d, specs[s], 1, false, 1);
        const float x[3] = {-1, 0, 2};
        memcpy(d.in[0]->data, x, sizeof x);
        driver_gradients(&d, 3);
        driver_forward(&d, false);
        for (unsigned mode = 0; mode < 3; mode++) {
            for (int reference = 0; reference < 2; reference++) {
                driver_zero_gradients(&d);
                driver_vjp(&d, reference == 1, (assay_vjp_mode)mode);
                assert_true(d.grad_in[0][0] == dead[s][mode] * d.grad_out[0][0]);
                assert_true(d.grad_in[0][1] == dead[s][mode] * d.grad_out[0][1]);
                assert_true(d.grad_in[0][2] == d.grad_out[0][2]);
            }
        }
        driver_close(&d);
    }
}

static void max_pool_ties_go_to_the_first(void **state) {
    (void)state;
    static const char *const specs[] = {"MaxPool 12 kernel_shape=2,2 strides=2,2 | f:Nx1x2x4",
                                        "MaxPool 12 kernel_shape=2,2 strides=2,2 pads=0,0,1,0 | f:Nx1x2x4"};
    for (size_t s = 0; s < 2; s++) {
        driver d;
        driver_ready(&d, specs[s], 1, false, 1);
        const float x[8] = {1, 2, 0, 0, 2, 2, 0, 0};
        memcpy(d.in[0]->data, x, sizeof x);
        driver_gradients(&d, 3);
        driver_forward(&d, false);
        const float *g = d.grad_out[0];
        driver_vjp(&d, false, ASSAY_VJP_EXACT);
        const float want[8] = {0, g[0], g[1], 0, 0, 0, 0, 0};
        for (size_t i = 0; i < 8; i++) {
            assert_true(d.grad_in[0][i] == want[i]);
        }
        driver_close(&d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_has_a_case), cmocka_unit_test(exact_is_central_difference),
        cmocka_unit_test(gradients_accumulate),    cmocka_unit_test(zero_gradients_are_zero),
        cmocka_unit_test(straight_through_rule),   cmocka_unit_test(straight_through_cast),
        cmocka_unit_test(kinks_and_leaks),         cmocka_unit_test(max_pool_ties_go_to_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
