/* SPDX-License-Identifier: Apache-2.0
 * Functions of one and of several variables and reductions: values by hand (ties, NaN, rounding, integers, empty
 * axes), the rules of the modes, kernels without a gradient, and what a hostile file may ask for. */
#include "kernel_driver.h"

static void values_are(const char *spec, const char *want) {
    driver d;
    driver_ready(&d, spec, 2, false, 1);
    driver_forward(&d, false);
    char *next = NULL;
    size_t n = 0;
    for (const char *p = want; *p != '\0'; p = next + (*next == ','), n++) {
        double v = strtod(p, &next);
        assert_true(n < d.out[0]->n);
        double got = driver_get(d.out[0], n);
        if (!(fabs(got - v) <= 1e-6 * (1 + fabs(v)) || got == v || (isnan(got) && isnan(v)))) {
            fail_msg("%s: [%zu] is %.9g, expected %.9g", spec, n, got, v);
        }
    }
    if (n != d.out[0]->n) {
        fail_msg("%s: %zu values, expected %zu", spec, d.out[0]->n, n);
    }
    driver_close(&d);
}

static const char *const by_hand[][2] = {
    {"Round 11 | f:7=0.5,1.5,2.5,-0.5,-1.5,-2.6,nan", "0,2,2,0,-2,-3,nan"},
    {"Sign 13 | f:4=-3,0,2,nan", "-1,0,1,nan"},
    {"Sign 13 | i64:3=-3,0,2", "-1,0,1"},
    {"Abs 13 | i8:3=-128,-3,4", "-128,3,4"},
    {"Neg 13 | i32:2=5,-2147483648", "-5,-2147483648"},
    {"Floor 13 | f:3=-1.5,1.5,2", "-2,1,2"},
    {"Ceil 13 | f:3=-1.5,1.5,2", "-1,2,2"},
    {"Softplus 1 | f:3=-1000,0,1000", "0,0.6931471805599453,1000"},
    {"Elu 6 | f:3=-1000,0,1000", "-1,0,1000"},
    {"Celu 12 alpha=-1.0 | f:2=1,-1", "1,-1.7182818284590452"},
    {"HardSigmoid 6 | f:4=-3,0,3,nan", "0,0.5,1,nan"},
    {"HardSwish 14 | f:4=-4,-1.5,0,4", "0,-0.375,0,4"},
    {"ThresholdedRelu 10 | f:4=1,1.5,-2,nan", "0,1.5,0,nan"},
    {"Shrink 9 lambd=1.5 bias=0.5 | f:4=-2,1.5,2,0", "-1.5,0,1.5,0"},
    {"Clip 6 min=-1.0 max=2.0 | f:4=-9,0,9,nan", "-1,0,2,nan"},
    {"Clip 13 | f:3=-9,0,9 f:=2 f:=-2", "-2,-2,-2"},
    {"Clip 13 | i8:3=-9,0,9 - i8:=5", "-9,0,5"},
    {"Clip 13 | i64:3=-9,0,9 i64:=-5", "-5,0,9"},
    {"LogSoftmax 13 | f:1x2=1000,1000", "-0.6931471805599453,-0.6931471805599453"},
    {"LogSoftmax 13 | f:1x2=-1000,0", "-1000,0"},
    {"Hardmax 13 | f:1x4=1,3,3,2", "0,1,0,0"},
    {"Hardmax 13 axis=0 | f:2x2=1,3,3,2", "0,1,1,0"},
    {"Not 1 | bool:3=0,1,0", "1,0,1"},
    {"IsNaN 13 | f:3=nan,inf,0", "1,0,0"},
    {"IsInf 10 | f:4=inf,-inf,nan,1", "1,1,0,0"},
    {"IsInf 10 detect_negative=0 | f:2=inf,-inf", "1,0"},
    {"IsInf 10 detect_positive=0 | f:2=inf,-inf", "0,1"},
};

static void values_by_hand(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof by_hand / sizeof by_hand[0]; i++) {
        values_are(by_hand[i][0], by_hand[i][1]);
    }
}

static const char *const bad_specs[] = {
    "Neg 13 | u8:Nx3",
    "Floor 13 | i64:Nx3",
    "Exp 13 | i32:Nx3",
    "Exp 13 | -",
    "Elu 6 alpha=1 | f:Nx3",
    "Celu 12 alpha=0.0 | f:Nx3",
    "Celu 12 alpha=1 | f:Nx3",
    "Selu 6 gamma=big | f:Nx3",
    "LogSoftmax 13 axis=0 | f:Nx3",
    "LogSoftmax 13 axis=2 | f:Nx3",
    "LogSoftmax 11 axis=3 | f:Nx3",
    "Hardmax 13 axis=-3 | f:Nx3",
    "Hardmax 11 axis=0 | f:Nx3",
    "Clip 6 | f:Nx3 f:",
    "Clip 11 | f:Nx3 f:2",
    "Clip 11 | f:Nx3 i64:",
    "Clip 11 | f:Nx3 f:1x1",
    "Clip 13 | bool:Nx3",
    "Clip 6 min=1 | f:Nx3",
    "Not 1 | f:Nx3",
    "IsInf 10 detect_negative=1.0 | f:Nx3",
    "IsNaN 9 | i64:Nx3",
};

static void bad_specs_are_errors(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad_specs / sizeof bad_specs[0]; i++) {
        driver d;
        status st = driver_open(&d, bad_specs[i], 2, false, 1);
        if (st != STATUS_MODEL && st != STATUS_UNSUPPORTED) {
            fail_msg("%s: status %s", bad_specs[i], status_name(st));
        }
        assert_true(d.n.kernel != NULL && d.err.text[0] != '\0');
        driver_close(&d);
    }
}

/* What each mode makes of a cotangent of 1, or of those that driver_gradients draws: slopes at the values given. */
static const struct {
    const char *spec;
    float slope[3][4]; /* by mode, by element */
} rules[] = {
    {"Sign 13 | f:1x4", {{0}, {0}, {1, 1, 1, 1}}},
    {"Round 13 | f:1x4", {{0}, {0}, {1, 1, 1, 1}}},
    {"Floor 13 | f:1x4", {{0}, {0}, {1, 1, 1, 1}}},
    {"Ceil 13 | f:1x4", {{0}, {0}, {1, 1, 1, 1}}},
    {"Hardmax 13 | f:1x4", {{0}, {0}, {0}}},
    {"Abs 13 | f:1x4", {{-1, 0, 1, 1}, {-1, 0, 1, 1}, {-1, 0, 1, 1}}},
    {"Clip 6 min=-0.5 max=1.0 | f:1x4", {{0, 1, 0, 0}, {0.1F, 1, 0.1F, 0.1F}, {1, 1, 1, 1}}},
    {"HardSwish 14 | f:1x4", {{0, 0.5F, 0.83333333F, 1}, {0.1F, 0.5F, 0.83333333F, 1}, {0, 0.5F, 0.83333333F, 1}}},
    {"ThresholdedRelu 10 | f:1x4", {{0, 0, 0, 1}, {0.1F, 0.1F, 0.1F, 1}, {0, 0, 0, 1}}},
    {"Shrink 9 lambd=1.0 | f:1x4", {{1, 0, 0, 1}, {1, 0.1F, 0.1F, 1}, {1, 0, 0, 1}}},
    {"HardSigmoid 6 alpha=0.5 beta=0.0 | f:1x4", {{0, 0, 0.5F, 0}, {0, 0, 0.5F, 0}, {0, 0, 0.5F, 0}}},
    {"Elu 6 alpha=0.5 | f:1x4", {{0.0249F, 0.5F, 1, 1}, {0.0249F, 0.5F, 1, 1}, {0.0249F, 0.5F, 1, 1}}},
};

static void modes_by_their_rule(void **state) {
    (void)state;
    const float x[4] = {-3, 0, 1, 4};
    for (size_t r = 0; r < sizeof rules / sizeof rules[0]; r++) {
        driver d;
        driver_ready(&d, rules[r].spec, 1, false, 1);
        memcpy(d.in[0]->data, x, sizeof x);
        driver_gradients(&d, 3);
        driver_forward(&d, false);
        for (unsigned mode = 0; mode < 3; mode++) {
            driver_zero_gradients(&d);
            driver_vjp(&d, false, (assay_vjp_mode)mode);
            for (size_t i = 0; i < 4; i++) {
                float want = rules[r].slope[mode][i] * d.grad_out[0][i];
                if (!(fabsf(d.grad_in[0][i] - want) <= 1e-4F)) {
                    fail_msg("%s: mode %u, element %zu", rules[r].spec, mode, i);
                }
            }
        }
        driver_close(&d);
    }
}

/* A cotangent of zero stays zero at an infinite slope. */
static void no_nan_from_zero(void **state) {
    (void)state;
    driver d;
    driver_ready(&d, "Sqrt 13 | f:1x2=0,0", 1, false, 1);
    d.in[0]->is_const = false;
    driver_gradients(&d, 3);
    d.grad_out[0][0] = 0;
    d.grad_out[0][1] = 1;
    driver_forward(&d, false);
    driver_vjp(&d, false, ASSAY_VJP_EXACT);
    assert_true(d.grad_in[0][0] == 0 && isinf(d.grad_in[0][1]));
    driver_close(&d);
}

/* Kernels without a gradient have no other test of it: an example does not depend on its place or neighbours. */
static const char *const flat_cases[] = {
    "Not 1 | bool:Nx3",
    "IsNaN 13 | f:Nx3",
    "IsInf 10 | f:Nx3",
};

static void examples_are_independent(void **state) {
    (void)state;
    for (size_t c = 0; c < sizeof flat_cases / sizeof flat_cases[0]; c++) {
        driver all, one;
        driver_ready(&all, flat_cases[c], 8, false, 5);
        driver_forward(&all, false);
        for (size_t e = 0; e < 8; e++) {
            driver_ready(&one, flat_cases[c], 1, false, 9);
            for (size_t i = 0; i < one.n.n_in; i++) {
                size_t bytes = one.in[i]->n * ox_dtype_bytes(one.in[i]->dtype);
                size_t at = one.in[i]->has_batch ? e * bytes : 0;
                memcpy(one.in[i]->data, (char *)all.in[i]->data + at, bytes);
            }
            driver_forward(&one, false);
            size_t bytes = one.out[0]->n * ox_dtype_bytes(one.out[0]->dtype);
            assert_memory_equal(one.out[0]->data, (char *)all.out[0]->data + e * bytes, bytes);
            driver_close(&one);
        }
        driver_close(&all);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_by_hand),           cmocka_unit_test(bad_specs_are_errors),
        cmocka_unit_test(modes_by_their_rule),      cmocka_unit_test(no_nan_from_zero),
        cmocka_unit_test(examples_are_independent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
