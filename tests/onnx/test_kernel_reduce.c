/* SPDX-License-Identifier: Apache-2.0
 * Reductions, normalisations, losses, ArgMax and TopK: values by hand (ties, NaN, integers, empty axes), gradients
 * through second outputs and of whole-batch losses, what a hostile file may ask for, and PyTorch's values. */
#include "kernel_driver.h"

static void values_match(const char *spec, const ox_tensor *t, const char *want) {
    char *next = NULL;
    size_t n = 0;
    for (const char *p = want; *p != '\0'; p = next + (*next == ','), n++) {
        double v = strtod(p, &next);
        assert_true(n < t->n);
        double got = driver_get(t, n);
        if (!(fabs(got - v) <= 2e-6 * (1 + fabs(v)) || got == v || (isnan(got) && isnan(v)))) {
            fail_msg("%s: [%zu] is %.9g, expected %.9g", spec, n, got, v);
        }
    }
    if (n != t->n) {
        fail_msg("%s: %zu values, expected %zu", spec, t->n, n);
    }
}

/* Opens with n_out outputs. */
static void ready(driver *d, const char *spec, size_t n_out, bool doubles) {
    (void)driver_open(d, spec, 2, doubles, 7);
    for (size_t i = 0; i < n_out; i++) {
        d->out[i] = &d->out_t[i];
    }
    d->n.n_out = n_out;
    if (d->n.kernel == NULL || d->n.kernel->infer(&d->n, &d->err) != STATUS_OK ||
        driver_prepare(d, true) != STATUS_OK) {
        fail_msg("%s: %s", spec, d->err.text);
    }
}

static const char *const by_hand[][2] = {
    {"ReduceSum 13 keepdims=0 | f:2x2=1,2,3,4", "10"},
    {"ReduceSum 13 | i64:2=9007199254740993,1", "9007199254740994"},
    {"ReduceSum 13 | i32:2=2147483647,1", "-2147483648"},
    {"ReduceSum 13 | f:2x0 i64:1=1", "0,0"},
    {"ReduceProd 18 | f:2x0 i64:1=1", "1,1"},
    {"ReduceMax 18 | f:1x0 i64:1=1", "-inf"},
    {"ReduceMin 18 | f:1x0 i64:1=1", "inf"},
    {"ReduceMean 18 | f:1x0 i64:1=1", "nan"},
    {"ReduceLogSum 18 | f:1x0 i64:1=1", "-inf"},
    {"ReduceLogSumExp 18 | f:1x0 i64:1=1", "-inf"},
    {"ReduceL2 18 | f:1x0 i64:1=1", "0"},
    {"ReduceProd 13 | i64:1x0", "1"},
    {"ReduceMax 13 axes=1, | f:2x3=1,nan,2,3,2,1", "nan,3"},
    {"ReduceMin 13 axes=0, keepdims=0 | f:2x3=1,nan,2,3,2,1", "1,nan,1"},
    {"ReduceMax 12 | i8:3=-128,-3,-4", "-3"},
    {"ReduceMin 13 | u8:3=255,3,4", "3"},
    {"ReduceMax 20 axes=1, | bool:2x2=0,0,0,1 i64:1=1", "0,1"},
    {"ReduceMin 20 | bool:2x2=0,1,1,1 i64:1=1", "0,1"},
    {"ReduceMean 13 | i32:3=1,2,5", "2"},
    {"ReduceL1 13 | i64:3=1,-2,5", "8"},
    {"ReduceL2 13 | i32:2=3,-4", "5"},
    {"ReduceSumSquare 13 axes=-1, | i32:2x2=3,-4,1,2", "25,5"},
    {"ReduceLogSumExp 13 | f:2=1000,1000", "1000.6931471805599"},
    {"ReduceLogSumExp 13 | f:2=inf,1", "inf"},
    {"ReduceLogSumExp 13 | f:2=-inf,-inf", "-inf"},
    {"ReduceSumSquare 18 noop_with_empty_axes=1 | f:2=3,4", "9,16"},
    {"ReduceSum 13 noop_with_empty_axes=1 | f:2=3,4 i64:0c", "3,4"},
    {"ReduceSum 13 | f:2=3,4 i64:0c", "7"},
    {"ArgMax 13 axis=1 | f:1x4=1,3,3,2", "1"},
    {"ArgMax 13 axis=1 select_last_index=1 | f:1x4=1,3,3,2", "2"},
    {"ArgMin 12 axis=1 keepdims=0 | i64:2x2=9007199254740993,9007199254740992,1,1", "1,0"},
    {"ArgMin 11 | f:2x2=1,2,0,2", "1,0"},
    {"ArgMax 13 axis=-1 | f:1x3=1,nan,5", "1"},
    {"ArgMin 13 axis=-1 | f:1x3=1,nan,-5", "1"},
    {"TopK 11 | f:1x5=1,nan,3,3,2 i64:1=3", "nan,3,3"},
    {"TopK 11 largest=0 | i64:1x4=9007199254740993,9007199254740992,5,7 i64:1=2", "5,7"},
    {"TopK 11 axis=0 sorted=0 | i8:3x1=-128,4,5 i64:1=2", "5,4"},
    {"TopK 10 | f:1x2=1,2 i64:1=0", ""},
    {"CumSum 11 | f:4=1,2,3,4 i64:=0", "1,3,6,10"},
    {"CumSum 11 exclusive=1 | i32:4=1,2,3,4 i32:1=0", "0,1,3,6"},
    {"CumSum 14 reverse=1 exclusive=1 | f:2x2=1,2,3,4 i64:=-2", "3,4,0,0"},
    {"LpNormalization 1 | f:2x2=3,4,0,0", "0.6,0.8,0,0"},
    {"LpNormalization 1 p=1 axis=0 | f:2x2=3,4,-1,0", "0.75,1,-0.25,0"},
    {"LRN 13 size=3 alpha=3.0 beta=1.0 bias=1.0 | f:1x3x1=1,2,3", "0.16666666667,0.13333333333,0.21428571429"},
    {"LRN 13 size=2 alpha=2.0 beta=1.0 | f:1x3x1=1,2,3", "0.16666666667,0.14285714286,0.3"},
    {"LayerNormalization 17 | f:2x2=1,3,1e8,1e8 f:2=1,1 f:2=5,5", "4.000005,5.999995,5,5"},
    {"MeanVarianceNormalization 13 axes=1, | f:2x2=1,3,7,7", "-1,1,0,0"},
    {"NegativeLogLikelihoodLoss 13 | f:2x2=-1,-2,-3,-5 i64:2=1,1 f:2=1,3", "3.5"},
    {"NegativeLogLikelihoodLoss 13 reduction=sum ignore_index=0 | f:2x2=-1,-2,-3,-5 i64:2=1,0", "2"},
    {"NegativeLogLikelihoodLoss 13 ignore_index=7 | f:2x2=-1,-2,-3,-5 i64:2=1,7", "2"},
    {"NegativeLogLikelihoodLoss 13 ignore_index=7 | f:1x2=-1,-2 i64:1=7", "nan"},
    {"SoftmaxCrossEntropyLoss 13 | f:1x2=1000,1000 i32:1=0", "0.69314718056"},
    {"SoftmaxCrossEntropyLoss 12 reduction=none | f:2x2=0,-1000,0,-1000 i64:2=0,1", "0,1000"},
};

static void values_by_hand(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof by_hand / sizeof by_hand[0]; i++) {
        const char *spec = by_hand[i][0];
        driver d;
        driver_ready(&d, spec, 2, false, 1);
        if (strstr(spec, "9007199254740993") != NULL) { /* strtod rounds it */
            ((int64_t *)d.in[0]->data)[0] = 9007199254740993;
        }
        driver_forward(&d, false);
        values_match(spec, d.out[0], by_hand[i][1]);
        driver_forward(&d, true);
        values_match(spec, d.out[0], by_hand[i][1]);
        driver_close(&d);
    }
}

static void second_outputs(void **state) {
    (void)state;
    static const char *const cases[][4] = {
        {"TopK 11 | f:1x5=1,3,2,3,-1 i64:1=4", "3,3,2,1", "1,3,2,0", ""},
        {"TopK 11 largest=0 axis=0 | f:3x2=1,9,2,8,2,7 i64:1=2", "1,7,2,8", "0,2,1,1", ""},
        {"LayerNormalization 17 epsilon=1.0 | f:2x2=1,3,5,5 f:2=1,1", "-0.70710678,0.70710678,0,0", "2,5",
         "0.70710678,1"},
        {"SoftmaxCrossEntropyLoss 13 reduction=sum | f:1x2=3,3 i64:1=1", "0.69314718056", "-0.69314718,-0.69314718",
         ""},
    };
    for (size_t i = 0; i < 4; i++) {
        driver d;
        ready(&d, cases[i][0], cases[i][3][0] != '\0' ? 3 : 2, false);
        driver_forward(&d, false);
        for (size_t o = 0; o < d.n.n_out; o++) {
            values_match(cases[i][0], d.out[o], cases[i][1 + o]);
        }
        driver_close(&d);
    }
}

/* ---- gradients that kernel_cases_reduce.h has not: all outputs, and reductions over the batch ---------- */

static double weighted_sum(driver *d, const driver *f) {
    double sum = 0;
    driver_forward(d, true);
    for (size_t o = 0; o < d->n.n_out; o++) {
        for (size_t i = 0; i < d->out[o]->n; i++) {
            sum += (double)f->grad_out[o][i] * driver_get(d->out[o], i);
        }
    }
    return sum;
}

static void compare_gradients(driver *f, driver *d, const char *spec) {
    for (size_t i = 0; i < f->n.n_in; i++) {
        for (size_t k = 0; f->grad_in[i] != NULL && k < f->in[i]->n; k++) {
            double x = driver_get(d->in[i], k), h = 1e-4;
            driver_put(d->in[i], k, x + h);
            double up = weighted_sum(d, f);
            driver_put(d->in[i], k, x - h);
            double want = (up - weighted_sum(d, f)) / (2 * h), got = (double)f->grad_in[i][k];
            driver_put(d->in[i], k, x);
            if (!(fabs(got - want) <= 1e-5 + 1e-5 * fabs(want))) {
                fail_msg("%s: d/d input %zu [%zu] is %.9g, central difference %.9g", spec, i, k, got, want);
            }
        }
    }
}

static void gradients_of_all_outputs(void **state) {
    (void)state;
    static const struct {
        const char *spec;
        size_t n_out;
    } cases[] = {
        {"LayerNormalization 17 stash_type=11 | f:Nx3x5 f:5 f:5", 3},
        {"LayerNormalization 17 stash_type=11 | f:Nx3x5 f:3x5 f:3x5", 3},
        {"LayerNormalization 17 stash_type=11 axis=1 | f:Nx3x5 f:3x5c", 3},
        {"SoftmaxCrossEntropyLoss 13 | f:Nx4 i64:N=1,3 f:4p", 2},
        {"SoftmaxCrossEntropyLoss 13 reduction=sum ignore_index=2 | f:Nx4x3 i64:Nx3=1,3,2,2,0,1 f:4p", 2},
        {"SoftmaxCrossEntropyLoss 13 | f:Nx4x3 i64:Nx3=1,3,2,2,0,1", 1},
        {"NegativeLogLikelihoodLoss 13 | f:Nx4 i64:N=1,3 f:4p", 1},
        {"NegativeLogLikelihoodLoss 13 ignore_index=2 | f:Nx4x3 i64:Nx3=1,3,2,2,0,1 f:4p", 1},
        {"ReduceProd 13 | f:Nx3p", 1},
        {"ReduceLogSumExp 13 axes=0,2 | f:Nx3x70", 1},
        {"ReduceL2 13 axes=0, | f:Nx70", 1},
        {"ReduceMean 13 axes=0,2 | f:Nx2x3x2", 1},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        driver f, d;
        ready(&f, cases[c].spec, cases[c].n_out, false);
        ready(&d, cases[c].spec, cases[c].n_out, true);
        for (size_t i = 0; i < f.n.n_in; i++) {
            for (size_t k = 0; f.in[i] != NULL && k < f.in[i]->n; k++) {
                driver_put(d.in[i], k, driver_get(f.in[i], k));
            }
        }
        driver_gradients(&f, 3);
        for (size_t o = 1; o < f.n.n_out; o++) {
            for (size_t i = 0; i < f.out[o]->n; i++) {
                f.grad_out[o][i] = (float)((i * 7 + o) % 11) / 5 - 1;
            }
        }
        driver_forward(&f, false);
        driver_vjp(&f, false, ASSAY_VJP_EXACT);
        compare_gradients(&f, &d, cases[c].spec);
        driver_zero_gradients(&f);
        driver_vjp(&f, true, ASSAY_VJP_EXACT);
        compare_gradients(&f, &d, cases[c].spec);
        driver_close(&f);
        driver_close(&d);
    }
}

/* Ties, zeros and NaN: slopes by the stated rules. */
static void gradients_at_corners(void **state) {
    (void)state;
    static const struct {
        const char *spec;
        float want[4];
    } cases[] = {
        {"ReduceMax 13 | f:1x4=1,3,3,2", {0, 1, 0, 0}},
        {"ReduceMin 13 | f:1x4=1,3,1,2", {1, 0, 0, 0}},
        {"ReduceProd 13 | f:1x4=2,0,3,4", {0, 24, 0, 0}},
        {"ReduceProd 13 | f:1x4=2,0,0,4", {0, 0, 0, 0}},
        {"ReduceL1 13 | f:1x4=2,0,-3,4", {1, 0, -1, 1}},
        {"ReduceL2 13 | f:1x4=0,0,0,0", {0, 0, 0, 0}},
        {"TopK 11 | f:1x4=3,1,3,3 i64:1=1", {1, 0, 0, 0}},
        {"LpNormalization 1 | f:1x4=0,0,0,0", {0, 0, 0, 0}},
        {"MeanVarianceNormalization 13 axes=1, | f:1x4=2,2,2,2", {0, 0, 0, 0}},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        driver d;
        driver_ready(&d, cases[c].spec, 1, false, 1);
        d.in[0]->is_const = false;
        driver_gradients(&d, 3);
        for (size_t i = 0; i < d.out[0]->n; i++) {
            d.grad_out[0][i] = 1;
        }
        driver_forward(&d, false);
        driver_vjp(&d, false, ASSAY_VJP_EXACT);
        for (size_t i = 0; i < 4; i++) {
            if (!(fabsf(d.grad_in[0][i] - cases[c].want[i]) <= 1e-6F)) {
                fail_msg("%s: slope %zu is %g", cases[c].spec, i, (double)d.grad_in[0][i]);
            }
        }
        driver_close(&d);
    }
}

/* A computed label that is no class spoils its own place and no other. */
static void computed_labels(void **state) {
    (void)state;
    driver d;
    driver_ready(&d, "SoftmaxCrossEntropyLoss 13 reduction=none | f:Nx2 i64:N", 3, false, 1);
    const int64_t labels[3] = {1, 2, -1};
    memcpy(d.in[1]->data, labels, sizeof labels);
    driver_gradients(&d, 3);
    driver_forward(&d, false);
    driver_vjp(&d, false, ASSAY_VJP_EXACT);
    for (size_t i = 0; i < 3; i++) {
        assert_true(isnan(((float *)d.out[0]->data)[i]) == (i > 0) && isnan(d.grad_in[0][2 * i]) == (i > 0));
    }
    driver_close(&d);
}

static const char *const bad_specs[] = {
    "ReduceSum 13 | u8:Nx3",
    "ReduceMax 13 | bool:Nx3",
    "ReduceMax 11 axes=2, | f:Nx3",
    "ReduceMax 11 axes=-3, | f:Nx3",
    "ReduceMax 11 axes=1,-1 | f:Nx3",
    "ReduceMax 11 axes=1 | f:Nx3",
    "ReduceMax 11 axes=1.0 | f:Nx3",
    "ReduceMax 11 axes=1, keepdims=yes | f:Nx3",
    "ReduceMax 18 | f:Nx3 i64:1",
    "ReduceMax 18 | f:Nx3 f:1=1",
    "ReduceMax 18 | f:Nx3 i64:1x1=1",
    "ReduceMax 18 | f:Nx3 i64:1=-9223372036854775808",
    "ReduceMax 18 | i64:Nx0 i64:1=1",
    "ReduceMean 18 | i64:Nx0 i64:1=1",
    "ReduceSum 13 | -",
    "ArgMax 13 axis=1 | f:Nx0",
    "ArgMax 13 axis=2 | f:Nx3",
    "ArgMax 13 axis=1 | bool:Nx3",
    "ArgMax 13 | f:",
    "ArgMax 13 | -",
    "TopK 11 | f:Nx3 i64:1=4",
    "TopK 11 | f:Nx3 i64:1=-1",
    "TopK 11 | f:Nx3 i64:1",
    "TopK 11 | f:Nx3 i64:2=1,1",
    "TopK 11 axis=0 | f:Nx3 i64:1=1",
    "TopK 11 axis=2 | f:Nx3 i64:1=1",
    "TopK 10 | i64:Nx3 i64:1=1",
    "TopK 1 | f:Nx3",
    "TopK 1 k=9223372036854775807 | f:Nx3",
    "CumSum 11 | f:Nx3 i64:=2",
    "CumSum 11 | f:Nx3 i64:=0",
    "CumSum 11 | f:Nx3 i64:",
    "CumSum 11 | f:Nx3 i64:2=1,1",
    "CumSum 11 | u8:Nx3 i64:=1",
    "LpNormalization 1 p=3 | f:Nx3",
    "LpNormalization 1 axis=0 | f:Nx3",
    "LRN 13 | f:Nx3x2",
    "LRN 13 size=0 | f:Nx3x2",
    "LRN 13 size=3 alpha=1 | f:Nx3x2",
    "LRN 13 size=3 | f:N",
    "LayerNormalization 17 | f:Nx3 f:2",
    "LayerNormalization 17 | f:Nx3 f:3 f:1x1",
    "LayerNormalization 17 axis=0 | f:Nx3 f:2x3",
    "LayerNormalization 17 axis=2 | f:Nx3 f:3",
    "LayerNormalization 17 stash_type=10 | f:Nx3 f:3",
    "LayerNormalization 17 | f:Nx3 i32:3",
    "LayerNormalization 17 | i32:Nx3 i32:3",
    "InstanceNormalization 6 | f:Nx3x2 f:2 f:3",
    "InstanceNormalization 6 | f:Nx3 f:3 f:3",
    "GroupNormalization 18 | f:Nx4x2 f:2 f:2",
    "GroupNormalization 18 num_groups=0 | f:Nx4x2 f:2 f:2",
    "GroupNormalization 18 num_groups=3 | f:Nx4x2 f:3 f:3",
    "GroupNormalization 18 num_groups=2 | f:Nx4x2 f:4 f:4",
    "GroupNormalization 21 num_groups=2 | f:Nx4x2 f:2 f:2",
    "MeanVarianceNormalization 13 | f:Nx3x2x2",
    "MeanVarianceNormalization 13 axes=3, | f:Nx3x2",
    "NegativeLogLikelihoodLoss 13 | f:Nx3 i64:Nx1",
    "NegativeLogLikelihoodLoss 13 | f:Nx3 i64:N=3",
    "NegativeLogLikelihoodLoss 13 | f:Nx3 i64:N=-1",
    "NegativeLogLikelihoodLoss 13 | f:Nx3 f:N",
    "NegativeLogLikelihoodLoss 13 | f:Nx3x2 i64:Nx3",
    "NegativeLogLikelihoodLoss 13 | f:Nx3 i64:N=1 f:2",
    "NegativeLogLikelihoodLoss 13 | f:N i64:N=1",
    "SoftmaxCrossEntropyLoss 13 reduction=max | f:Nx3 i64:N=1",
    "SoftmaxCrossEntropyLoss 13 reduction=1 | f:Nx3 i64:N=1",
    "SoftmaxCrossEntropyLoss 13 ignore_index=1.0 | f:Nx3 i64:N=1",
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

static void edges_run(void **state) {
    (void)state;
    static const char *const specs[] = {
        "ReduceSum 13 | f:",
        "ReduceMax 18 | f:0x3 i64:1=1",
        "ReduceL2 18 | f:Nx0x3 i64:1=2",
        "ReduceMean 13 axes=1,2,3,4,5,6 | f:Nx1x1x1x1x1x1",
        "ReduceLogSum 13 axes=0,2,4 | f:2x2x2x2x2p",
        "TopK 11 | f:0x3 i64:1=2",
        "TopK 11 | f:Nx0 i64:1=0",
        "CumSum 11 | f:Nx0 i64:=1",
        "LpNormalization 1 | f:Nx0",
        "LRN 13 size=1000000000000 | f:Nx3x2",
        "LRN 13 size=9223372036854775807 | f:Nx3",
        "LRN 1 size=1 | f:0x3",
        "LayerNormalization 17 | f:0x3 f:3",
        "LayerNormalization 17 | f:Nx0 f:0",
        "LayerNormalization 17 | f:Nx1 f:1 f:1",
        "InstanceNormalization 6 | f:Nx3x0 f:3 f:3",
        "GroupNormalization 21 num_groups=3 | f:0x3x2 f:3 f:3",
        "GroupNormalization 18 num_groups=1 | f:Nx0x2 f:1 f:1",
        "MeanVarianceNormalization 13 axes=1,2 | f:Nx0x2",
        "SoftmaxCrossEntropyLoss 13 reduction=none | f:0x3 i64:0c",
        "NegativeLogLikelihoodLoss 13 | f:Nx0x0 i64:Nx0",
    };
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        driver d;
        driver_ready(&d, specs[i], 2, false, 1);
        driver_gradients(&d, 3);
        driver_forward(&d, false);
        driver_vjp(&d, false, ASSAY_VJP_EXACT);
        driver_forward(&d, true);
        driver_vjp(&d, true, ASSAY_VJP_EXACT);
        driver_close(&d);
    }
}

/* Without a gradient there is no other test of it: an example depends neither on its place nor on its neighbours. */
static void examples_are_independent(void **state) {
    (void)state;
    static const char *const specs[] = {"ArgMax 13 axis=1 | f:Nx5x2", "ArgMin 12 axis=-1 | i64:Nx5"};
    for (size_t c = 0; c < 2; c++) {
        driver all, one;
        driver_ready(&all, specs[c], 8, false, 5);
        driver_forward(&all, false);
        for (size_t e = 0; e < 8; e++) {
            driver_ready(&one, specs[c], 1, false, 9);
            size_t in = one.in[0]->n * ox_dtype_bytes(one.in[0]->dtype), out = one.out[0]->n * sizeof(int64_t);
            memcpy(one.in[0]->data, (char *)all.in[0]->data + e * in, in);
            driver_forward(&one, false);
            assert_memory_equal(one.out[0]->data, (char *)all.out[0]->data + e * out, out);
            driver_close(&one);
        }
        driver_close(&all);
    }
}

/* Shapes of transformers and odd ones: fast paths against the plain loops. */
static void fast_is_reference(void **state) {
    (void)state;
    static const char *const specs[] = {
        "Softmax 13 | f:Nx4x197",
        "Softmax 13 | f:Nx1000w",
        "LogSoftmax 13 | f:Nx1000w",
        "LayerNormalization 17 | f:Nx7x768 f:768 f:768",
        "LayerNormalization 17 | f:Nx33 f:33c",
        "ReduceMean 18 | f:Nx197x64 i64:1=1",
        "ReduceSum 13 | f:Nx3x197 i64:1=2",
        "ReduceL2 13 axes=1,3 | f:Nx5x6x67",
        "InstanceNormalization 6 | f:Nx3x17x5 f:3 f:3",
        "Tanh 13 | f:Nx1001w",
        "Erf 13 | f:Nx1001w",
        "Sigmoid 13 | f:Nx1001w",
        "Exp 13 | f:Nx1001w",
    };
    for (size_t c = 0; c < sizeof specs / sizeof specs[0]; c++) {
        driver d;
        driver_ready(&d, specs[c], 3, false, 1);
        driver_gradients(&d, 3);
        size_t n = d.out[0]->n, m = d.in[0]->n;
        float *y = mem_zalloc(n * sizeof *y), *dx = mem_zalloc(m * sizeof *dx);
        driver_forward(&d, false);
        driver_vjp(&d, false, ASSAY_VJP_EXACT);
        memcpy(y, d.out[0]->data, n * sizeof *y);
        memcpy(dx, d.grad_in[0], m * sizeof *dx);
        driver_zero_gradients(&d);
        driver_forward(&d, true);
        driver_vjp(&d, true, ASSAY_VJP_EXACT);
        for (size_t i = 0; i < n; i++) {
            double want = driver_get(d.out[0], i);
            assert_true(fabs((double)y[i] - want) <= 2e-6 * fabs(want) + 3e-7);
        }
        for (size_t i = 0; i < m; i++) {
            assert_true(fabsf(dx[i] - d.grad_in[0][i]) <= 3e-6F * (1 + fabsf(dx[i])));
        }
        mem_free(y);
        mem_free(dx);
        driver_close(&d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_by_hand),
        cmocka_unit_test(second_outputs),
        cmocka_unit_test(gradients_of_all_outputs),
        cmocka_unit_test(gradients_at_corners),
        cmocka_unit_test(computed_labels),
        cmocka_unit_test(bad_specs_are_errors),
        cmocka_unit_test(edges_run),
        cmocka_unit_test(examples_are_independent),
        cmocka_unit_test(fast_is_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
