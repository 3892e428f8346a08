/* SPDX-License-Identifier: Apache-2.0
 * Indices: values by hand, computed indices and their errors, generators, what a hostile file may ask for, and graphs
 * in which they meet the plan. */
#include "kernel_driver.h"
#include "plan.h"
#include "support.h"

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
    {"GatherElements 13 axis=1 | f:2x2=1,2,3,4 i64:2x2=0,0,1,0", "1,1,4,3"},
    {"GatherElements 13 | f:3x3=1,2,3,4,5,6,7,8,9 i32:2x3=-1,-2,0,-1,-3,0", "7,5,3,7,2,3"},
    {"GatherElements 13 | i64:2=9,8 i64:4=1,0,1,1", "8,9,8,8"},
    {"GatherND 11 | f:2x2=0,1,2,3 i64:2x2=0,0,1,1", "0,3"},
    {"GatherND 12 batch_dims=1 | f:2x2x2=0,1,2,3,4,5,6,7 i64:2x1=1,0", "2,3,4,5"},
    {"GatherND 13 | i8:2x2x2=0,1,2,3,4,5,6,7 i64:2x1x2=0,1,-1,0", "2,3,4,5"},
    {"Scatter 10 | f:3x3=0,0,0,0,0,0,0,0,0 i64:2x3=1,0,2,0,2,1 f:2x3=1,1.1,1.2,2,2.1,2.2", "2,1.1,0,1,0,2.2,0,2.1,1.2"},
    {"ScatterElements 11 axis=1 | f:1x5=1,2,3,4,5 i64:1x2=1,3 f:1x2=1.1,2.1", "1,1.1,3,2.1,5"},
    {"ScatterElements 13 axis=1 | f:1x3=1,2,3 i64:1x3=-2,1,-3 f:1x3=7,8,9", "9,8,3"}, /* the last stays */
    {"ScatterElements 16 reduction=add | f:3=1,2,3 i64:3=1,1,-1 f:3=10,20,30", "1,32,33"},
    {"ScatterElements 16 reduction=mul | i64:3=1,2,3 i64:3=1,1,-1 i64:3=10,20,30", "1,400,90"},
    {"ScatterElements 18 reduction=max | f:3=1,nan,3 i64:4=0,1,2,2 f:4=nan,5,2,4", "nan,nan,4"},
    {"ScatterElements 18 reduction=min | i32:3=1,2,3 i64:4=0,1,2,2 i32:4=-1,5,2,4", "-1,2,2"},
    {"ScatterElements 18 reduction=add | i8:2=100,-100 i64:2=0,1 i8:2=100,-100", "-56,56"},
    {"ScatterElements 18 reduction=mul | u8:2=16,3 i64:2=0,1 u8:2=17,5", "16,15"},
    {"ScatterElements 18 reduction=add | i32:1=2147483647 i64:1=0 i32:1=1", "-2147483648"},
    {"ScatterElements 18 reduction=add | bool:4=0,0,1,1 i64:4=0,1,2,3 bool:4=0,1,0,1", "0,1,1,1"},
    {"ScatterElements 18 reduction=mul | bool:4=0,0,1,1 i64:4=0,1,2,3 bool:4=0,1,0,1", "0,0,0,1"},
    {"ScatterElements 18 reduction=max | u8:2=200,3 i64:2=0,1 u8:2=100,5", "200,5"},
    {"ScatterND 11 | f:4=1,2,3,4 i64:2x1=2,-4 f:2=9,8", "8,2,9,4"},
    {"ScatterND 16 reduction=add | f:2x2=1,2,3,4 i64:3x1=0,1,0 f:3x2=1,1,2,2,3,3", "5,6,5,6"},
    {"ScatterND 16 reduction=mul | f64:3=1,2,3 i64:2x1=2,2 f64:2=2,5", "1,2,30"},
    {"ScatterND 18 reduction=min | i8:3=1,2,3 i64:2x1=2,0 i8:2=-7,5", "1,2,-7"},
    {"OneHot 9 | i64:3=0,2,-1 i64:=3 f:2=2,5", "5,2,2,2,2,5,2,2,2"},
    {"OneHot 11 | i64:3=0,3,-1 i32:=3 i8:2=0,1", "1,0,0,0,0,0,0,0,1"},
    {"OneHot 11 axis=0 | f:2=1.9,0 f:1=2 i64:2=0,7", "0,7,7,0"},
    {"OneHot 11 axis=1 | u8:1x2=1,0 i64:=2 f:2=0,1", "0,1,1,0"},
    {"OneHot 11 | f:2=nan,1e30 i64:=2 f:2=0,1", "0,0,0,0"},
    {"ConstantOfShape 9 | i64:2=2,1", "0,0"},
    {"ConstantOfShape 9 | i64:0=", "0"},
    {"Range 11 | f:=1 f:=5 f:=2", "1,3"},
    {"Range 11 | i32:=10 i32:=4 i32:=-2", "10,8,6"},
    {"Range 11 | i64:=3 i64:=3 i64:=1", ""},
    {"Range 11 | f64:=0 f64:=1 f64:=0.4", "0,0.4,0.8"},
    {"EyeLike 9 | i32:2x3", "1,0,0,0,1,0"},
    {"EyeLike 9 k=-1 dtype=1 | u8:3x2", "0,0,1,0,0,1"},
    {"EyeLike 9 k=1 dtype=9 | f:2x2", "0,1,0,0"},
    {"EyeLike 9 k=-9223372036854775808 | f:2x2", "0,0,0,0"},
    {"EyeLike 9 k=9223372036854775807 | f:2x2", "0,0,0,0"},
    {"NonZero 13 | bool:2x2=1,0,1,1", "0,1,1,0,0,1"},
    {"NonZero 9 | f:3=nan,0,-2", "0,2"},
    {"NonZero 13 | i64:=5", "0"},
    {"Trilu 14 | f:2x3=1,2,3,4,5,6", "1,2,3,0,5,6"},
    {"Trilu 14 upper=0 | i64:2x3=1,2,3,4,5,6 i64:=1", "1,2,0,4,5,6"},
    {"Trilu 14 upper=0 | i8:2x2=1,2,3,4 i64:=-9223372036854775808", "0,0,0,0"},
    {"Trilu 14 | bool:2x2=1,1,1,1 i64:=4611686018427387904", "0,0,0,0"},
    {"Compress 11 axis=1 | f:2x3=1,2,3,4,5,6 bool:3=0,1,1", "2,3,5,6"},
    {"Compress 9 | i64:2x2=1,2,3,4 bool:3=1,0,1", "1,3"},
    {"ReverseSequence 10 | f:3x2=1,2,3,4,5,6 i64:2=2,3", "3,6,1,4,5,2"},
    {"ReverseSequence 10 batch_axis=0 time_axis=1 | i8:2x3=1,2,3,4,5,6 i64:2=0,2", "1,2,3,5,4,6"},
    {"DepthToSpace 11 blocksize=2 mode=CRD | f:1x4x1x1=1,2,3,4", "1,2,3,4"},
    {"DepthToSpace 11 blocksize=2 | u8:1x8x1x1=1,2,3,4,5,6,7,8", "1,3,5,7,2,4,6,8"},
    {"DepthToSpace 11 blocksize=2 mode=CRD | u8:1x8x1x1=1,2,3,4,5,6,7,8", "1,2,3,4,5,6,7,8"},
    {"SpaceToDepth 1 blocksize=2 | f:1x1x2x4=1,2,3,4,5,6,7,8", "1,3,2,4,5,7,6,8"},
    {"Unique 11 | f:6=2,1,1,3,4,3", "1,2,3,4"},
    {"Unique 11 sorted=0 | i64:6=2,1,1,3,4,3", "2,1,3,4"},
    {"Unique 11 axis=0 | f:3x3=1,0,0,1,0,0,2,3,4", "1,0,0,2,3,4"},
    {"Unique 11 axis=1 | f:2x4=1,0,2,0,1,0,2,0", "0,1,2,0,1,2"},
    {"Unique 11 | f:4=nan,1,nan,-inf", "-inf,1,nan"},
};

static void values_by_hand(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof by_hand / sizeof by_hand[0]; i++) {
        values_are(by_hand[i][0], by_hand[i][1]);
    }
}

/* Exactly, where a double would round. */
static void wide_integers(void **state) {
    (void)state;
    const int64_t big = INT64_C(9007199254740993); /* 2^53 + 1 */
    driver d;
    driver_ready(&d, "ScatterElements 16 reduction=add | i64:2=0,0 i64:2=0,1 i64:2=0,0", 1, false, 1);
    ((int64_t *)d.in[0]->data)[0] = big;
    ((int64_t *)d.in[2]->data)[0] = big;
    driver_forward(&d, false);
    assert_true(((int64_t *)d.out[0]->data)[0] == 2 * big);
    driver_close(&d);
    driver_ready(&d, "Range 11 | i64:=0 i64:=4 i64:=1", 1, false, 1);
    ((int64_t *)d.in[0]->data)[0] = big;
    ((int64_t *)d.in[1]->data)[0] = big + 4;
    driver_forward(&d, false);
    for (int64_t i = 0; i < 4; i++) {
        assert_true(((int64_t *)d.out[0]->data)[i] == big + i);
    }
    driver_close(&d);
}

static void unique_tables(void **state) {
    (void)state;
    static const char *const specs[] = {"Unique 11 | i64:6=2,1,1,3,4,3", "Unique 11 sorted=0 | i64:6=2,1,1,3,4,3"};
    static const int64_t want[2][3][6] = {{{1, 0, 3, 4}, {1, 0, 0, 2, 3, 2}, {2, 1, 2, 1}},
                                          {{0, 1, 3, 4}, {0, 1, 1, 2, 3, 2}, {1, 2, 2, 1}}};
    for (size_t s = 0; s < 2; s++) {
        driver d;
        assert_int_equal(driver_open(&d, specs[s], 1, false, 1), STATUS_OK);
        d.n.n_out = 4;
        for (size_t i = 1; i < 4; i++) {
            d.out[i] = &d.out_t[i];
        }
        assert_int_equal(d.n.kernel->infer(&d.n, &d.err), STATUS_OK);
        assert_int_equal(driver_prepare(&d, false), STATUS_OK);
        driver_forward(&d, false);
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(d.out[i + 1]->n, i == 1 ? 6 : 4);
            assert_memory_equal(d.out[i + 1]->data, want[s][i], d.out[i + 1]->n * sizeof(int64_t));
        }
        driver_close(&d);
    }
}

/* ---- computed indices --------------------------------------------------------------------------- */

/* The same node with constant and with computed indices, forward and vjp. `indices`: input 1, of an example. */
typedef struct computed {
    const char *constant, *computed;
    size_t dim; /* one past the last index */
} computed;

static const computed computed_cases[] = {
    {"Gather 13 | f:5x3 i64:2x3=4,0,-5,1,1,2", "Gather 13 | f:5x3 i64:2x3", 5},
    {"Gather 13 | f:7 i64:2x3=4,0,-5,1,1,2", "Gather 13 | f:7 i64:2x3", 7},
    {"Gather 13 axis=1 | f:2x6x3 i32:6=4,0,-5,1,1,2", "Gather 13 axis=1 | f:2x6x3 i32:6", 6},
    {"Gather 13 axis=-1 | u8:2x6 i32:6=4,0,-5,1,1,2", "Gather 13 axis=-1 | u8:2x6 i32:6", 6},
    {"GatherElements 13 axis=1 | f:2x6 i64:2x3=4,0,-5,1,1,2", "GatherElements 13 axis=1 | f:2x6 i64:2x3", 6},
    {"GatherND 12 batch_dims=1 | f:2x6 i64:2x3x1=4,0,-5,1,1,2", "GatherND 12 batch_dims=1 | f:2x6 i64:2x3x1", 6},
    {"ScatterElements 16 axis=1 reduction=mul | f:2x6 i64:2x3=4,0,-5,1,1,2 f:2x3",
     "ScatterElements 16 axis=1 reduction=mul | f:2x6 i64:2x3 f:2x3", 6},
    {"ScatterND 16 | f:6x2 i64:6x1=4,0,-5,1,1,2 f:6x2", "ScatterND 16 | f:6x2 i64:6x1 f:6x2", 6},
};

static void set_indices(driver *d, const driver *from) {
    for (size_t k = 0; k < d->in[1]->n; k++) {
        driver_put(d->in[1], k, driver_get(from->in[1], k));
    }
}

static void computed_indices(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof computed_cases / sizeof computed_cases[0]; i++) {
        const computed *c = &computed_cases[i];
        driver a, b;
        driver_ready(&a, c->constant, 2, false, 3);
        driver_ready(&b, c->computed, 2, false, 3);
        set_indices(&b, &a);
        driver_gradients(&a, 9);
        driver_gradients(&b, 9);
        driver_forward(&a, false);
        driver_forward(&b, false);
        driver_vjp(&a, false, ASSAY_VJP_EXACT);
        driver_vjp(&b, false, ASSAY_VJP_EXACT);
        assert_true(ox_same_shape(a.out[0], b.out[0]));
        assert_memory_equal(a.out[0]->data, b.out[0]->data, a.out[0]->n * ox_dtype_bytes(a.out[0]->dtype));
        for (size_t k = 0; k < a.n.n_in; k += 2) {
            assert_memory_equal(a.grad_in[k], b.grad_in[k], a.in[k]->n * sizeof(float));
        }
        static const int wrong[] = {0, -1};
        for (size_t k = 0; k < 2; k++) { /* one past either end, at the last place */
            double v = wrong[k] == 0 ? (double)c->dim : -(double)c->dim - 1;
            char text[32];
            (void)snprintf(text, sizeof text, "index %.0f ", v);
            driver_put(b.in[1], b.in[1]->n - 1, v);
            assert_int_equal(b.n.kernel->forward(&b.n, &b.err), STATUS_MODEL);
            assert_non_null(strstr(b.err.text, text));
            memset(&b.err, 0, sizeof b.err);
        }
        driver_close(&a);
        driver_close(&b);
    }
}

/* An example with indices of its own gives the same bits wherever it stands. */
static void computed_indices_by_example(void **state) {
    (void)state;
    static const char *const specs[] = {
        "Gather 13 | f:5x3 i64:Nx4",
        "GatherElements 13 axis=1 | f:Nx5 i64:Nx4",
        "GatherElements 13 | f:5x4 i64:Nx4",
        "GatherND 12 batch_dims=1 | f:Nx5x2 i64:Nx4x1",
        "ScatterElements 18 axis=1 reduction=add | f:Nx5 i64:Nx4 f:Nx4",
        "ScatterElements 18 axis=1 | f:1x5 i64:Nx4 f:1x4",
    };
    for (size_t s = 0; s < sizeof specs / sizeof specs[0]; s++) {
        driver all, one;
        driver_ready(&all, specs[s], 6, false, 3);
        driver_ready(&one, specs[s], 1, false, 3);
        for (size_t k = 0; k < all.in[1]->n; k++) {
            driver_put(all.in[1], k, (double)(k * 7 % 10) - 5);
        }
        driver_forward(&all, false);
        size_t item = ox_dtype_bytes(all.out[0]->dtype), bytes = one.out[0]->n * item;
        for (size_t e = 0; e < 6; e++) {
            for (size_t i = 0; i < all.n.n_in; i++) {
                size_t n = one.in[i]->n * ox_dtype_bytes(one.in[i]->dtype);
                memcpy(one.in[i]->data, (const char *)all.in[i]->data + (all.in[i]->has_batch ? e * n : 0), n);
            }
            driver_forward(&one, false);
            assert_memory_equal(one.out[0]->data, (const char *)all.out[0]->data + e * bytes, bytes);
        }
        driver_close(&all);
        driver_close(&one);
    }
}

/* Of equal values the data wins before the updates, an update before later ones; without a reduction the last one. */
static void scatter_ties(void **state) {
    (void)state;
    static const char *const specs[] = {"ScatterElements 18 reduction=max | f:2 i64:3=0,1,1 f:3",
                                        "ScatterElements 18 reduction=min | f:2 i64:3=0,1,1 f:3",
                                        "ScatterElements 18 | f:2 i64:3=0,1,1 f:3"};
    const float want[3][5] = {{1, 0, 0, 1, 0}, {1, 1, 0, 0, 0}, {0, 0, 1, 0, 1}};
    for (size_t s = 0; s < 3; s++) {
        driver d;
        driver_ready(&d, specs[s], 1, false, 1);
        memcpy(d.in[0]->data, (const float[]){2, 1}, 2 * sizeof(float));
        memcpy(d.in[2]->data, (const float[]){2, 3, 3}, 3 * sizeof(float));
        driver_gradients(&d, 1);
        d.grad_out[0][0] = d.grad_out[0][1] = 1;
        driver_forward(&d, false);
        driver_vjp(&d, false, ASSAY_VJP_EXACT);
        assert_memory_equal(d.grad_in[0], want[s], 2 * sizeof(float));
        assert_memory_equal(d.grad_in[2], want[s] + 2, 3 * sizeof(float));
        driver_close(&d);
    }
}

/* Products with a factor of 0 have a gradient, too. */
static void scatter_products_with_zero(void **state) {
    (void)state;
    driver d;
    driver_ready(&d, "ScatterElements 18 reduction=mul | f:1 i64:3=0,0,0 f:3", 1, false, 1);
    *(float *)d.in[0]->data = 2;
    memcpy(d.in[2]->data, (const float[]){3, 0, 5}, 3 * sizeof(float));
    driver_gradients(&d, 1);
    d.grad_out[0][0] = 1;
    driver_forward(&d, false);
    driver_vjp(&d, false, ASSAY_VJP_EXACT);
    const float want[] = {0, 30, 0};
    assert_true(d.grad_in[0][0] == 0);
    assert_memory_equal(d.grad_in[2], want, sizeof want);
    driver_close(&d);
}

/* ---- errors ------------------------------------------------------------------------------------- */

static const char *const bad_specs[] = {
    "Gather 13 | f:3 i64:1=3",
    "Gather 13 axis=1 | f:Nx3 i64:Nx2",
    "Gather 13 | f:Nx3 i64:2",
    "Gather 13 | f:3 i8:1",
    "GatherElements 13 | f:3 i64:1=3",
    "GatherElements 13 | f:3 i64:1x1=0",
    "GatherElements 13 axis=1 | f:2x3 i64:3x1=0,0,0",
    "GatherElements 13 axis=2 | f:2x3 i64:2x3",
    "GatherElements 13 | f:Nx3 i64:Nx3",
    "GatherElements 13 axis=1 | f:Nx3 i64:4x3",
    "GatherElements 13 axis=1 | f:4x3 i64:Nx3",
    "GatherElements 13 | f:3 f:1",
    "GatherElements 13 | f: i64:",
    "GatherElements 13 | f:3 -",
    "GatherND 12 batch_dims=-1 | f:2x3 i64:2x1",
    "GatherND 12 batch_dims=2 | f:2x3 i64:2x1",
    "GatherND 12 batch_dims=1 | f:2x3 i64:3x1=0,0,0",
    "GatherND 12 batch_dims=1 | f:2x3 i64:2x2",
    "GatherND 12 batch_dims=1.0 | f:2x3 i64:2x1",
    "GatherND 12 | f:2x3 i64:",
    "GatherND 12 | f:2x3 i64:0",
    "GatherND 12 | f:2x3 i64:1x2=1,3",
    "GatherND 12 | f:Nx3 i64:1x2=1,0",
    "GatherND 12 | f:Nx3 i64:1x2",
    "GatherND 12 | f:Nx3 i64:2x2=0,0,0,1",
    "Scatter 9 | f:3 i64:1=3 f:1",
    "Scatter 11 | f:3 i64:1=0 f:1",
    "ScatterElements 13 | f:3 i64:1=-4 f:1",
    "ScatterElements 13 | f:3 i64:2 f:1",
    "ScatterElements 13 | f:3 i64:1 i64:1",
    "ScatterElements 13 | f:3 i64:1x1 f:1",
    "ScatterElements 13 axis=1 | f:2x3 i64:3x1 f:3x1",
    "ScatterElements 13 | f:Nx3 i64:Nx3 f:Nx3",
    "ScatterElements 13 axis=1 | f:Nx3 i64:2x3 f:2x3",
    "ScatterElements 18 reduction=mean | f:3 i64:1 f:1",
    "ScatterElements 18 reduction=1 | f:3 i64:1 f:1",
    "ScatterND 13 | f:3 i64:1x1=3 f:1",
    "ScatterND 13 | f:3 i64:1x2=0,0 f:1",
    "ScatterND 13 | f:3 i64:1x0 f:1x3",
    "ScatterND 13 | f:3x2 i64:2x1 f:2x3",
    "ScatterND 13 | f:3x2 i64:2x1 f:2",
    "ScatterND 13 | f:3 i64: f:1",
    "ScatterND 13 | f:Nx3 i64:1x2=1,0 f:1",
    "ScatterND 13 | f:Nx3 i64:Nx2 f:N",
    "OneHot 11 | i64:3 i64: f:2",
    "OneHot 11 | i64:3 i64:=-1 f:2",
    "OneHot 11 | i64:3 f:=nan f:2",
    "OneHot 11 | i64:3 i64:2=1,1 f:2",
    "OneHot 11 | i64:3 i64:=4611686018427387904 f:2",
    "OneHot 11 | i64:3 i64:=549755813888 f:2",
    "OneHot 11 axis=2 | i64:3 i64:=2 f:2",
    "OneHot 11 | i64:3 i64:=2 f:3",
    "OneHot 11 | i64:1x1x1x1x1x1x1x1 i64:=2 f:2",
    "ConstantOfShape 9 | i64:2",
    "ConstantOfShape 9 | i64:1=-1",
    "ConstantOfShape 9 | i64:2=4611686018427387904,4",
    "ConstantOfShape 9 | i64:9=1,1,1,1,1,1,1,1,1",
    "ConstantOfShape 9 | i64:1x1=1",
    "ConstantOfShape 9 value=1 | i64:1=1",
    "Range 11 | f:=0 f:=1 f:=0",
    "Range 11 | i64:=0 i64:=1 i64:=0",
    "Range 11 | i64:=-4611686018427387904 i64:=4611686018427387904 i64:=1",
    "Range 11 | f:=0 f:=inf f:=1",
    "Range 11 | f:=0 f:=nan f:=1",
    "Range 11 | f:=0 f:=1 f:",
    "Range 11 | f:=0 i64:=1 f:=1",
    "Range 11 | bool:=0 bool:=1 bool:=1",
    "Range 11 | f:2=0,1 f:=1 f:=1",
    "EyeLike 9 | f:3",
    "EyeLike 9 dtype=8 | f:3x3",
    "EyeLike 9 dtype=99 | f:3x3",
    "EyeLike 9 dtype=-1 | f:3x3",
    "EyeLike 9 k=1.0 | f:3x3",
    "NonZero 13 | f:3",
    "Trilu 14 | f:3",
    "Trilu 14 | f:Nx3",
    "Trilu 14 | f:3x3 i32:=1",
    "Trilu 14 | f:3x3 i64:2=1,1",
    "Trilu 14 upper=1.0 | f:3x3",
    "Compress 11 | f:Nx3 bool:3=1,1,1",
    "Compress 11 axis=0 | f:Nx3 bool:1=1",
    "Compress 11 axis=1 | f:Nx3 bool:4=1,1,1,1",
    "Compress 11 axis=1 | f:Nx3 bool:3",
    "Compress 11 axis=1 | f:Nx3 i64:3=1,1,1",
    "Compress 11 axis=2 | f:Nx3 bool:3=1,1,1",
    "ReverseSequence 10 | f:3 i64:3=1,1,1",
    "ReverseSequence 10 | f:Nx3 i64:3=1,1,1",
    "ReverseSequence 10 batch_axis=0 time_axis=1 | f:4x3 i64:3=1,1,1",
    "ReverseSequence 10 batch_axis=0 time_axis=1 | f:2x3 i64:2=1,4",
    "ReverseSequence 10 batch_axis=0 time_axis=1 | f:2x3 i64:2=1,-1",
    "ReverseSequence 10 batch_axis=1 time_axis=1 | f:3x3 i64:3=1,1,1",
    "ReverseSequence 10 batch_axis=2 time_axis=0 | f:3x3x3 i64:3=1,1,1",
    "DepthToSpace 13 | f:Nx4x1x1",
    "DepthToSpace 13 blocksize=2 | f:Nx3x1x1",
    "DepthToSpace 13 blocksize=2 | f:Nx4x1",
    "DepthToSpace 13 blocksize=2 mode=ABC | f:Nx4x1x1",
    "DepthToSpace 13 blocksize=9223372036854775807 | f:Nx4x1x1",
    "DepthToSpace 13 blocksize=2147483647 | f:Nx0x1152921504606846976x1",
    "SpaceToDepth 13 blocksize=2 | f:Nx1x3x2",
    "SpaceToDepth 13 blocksize=0 | f:Nx1x2x2",
    "Unique 11 | f:3",
    "Unique 11 axis=1 | f:3=1,2,3",
    "Unique 11 sorted=1.0 | f:3=1,2,3",
};

static void bad_specs_are_errors(void **state) {
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

/* Nothing in them, and still no error. */
static void empty_tensors(void **state) {
    (void)state;
    static const char *const specs[] = {
        "Gather 13 | f:5x0 i64:2=0,1",
        "Gather 13 axis=1 | f:Nx3 i64:0",
        "GatherElements 13 axis=1 | f:Nx0 i64:Nx0",
        "GatherND 13 | f:0x3 i64:0x1",
        "ScatterElements 18 axis=1 reduction=mul | f:Nx3 i64:Nx0 f:Nx0",
        "ScatterElements 18 axis=1 reduction=max | f:Nx0 i64:Nx0 f:Nx0",
        "ScatterND 18 reduction=mul | f:3x0 i64:2x1=1,0 f:2x0",
        "ScatterND 18 | f:3 i64:0x1 f:0",
        "OneHot 11 | i64:Nx2 i64:=0 f:2",
        "Trilu 14 | f:Nx3x0",
        "Compress 11 axis=1 | f:Nx3 bool:0c",
        "ReverseSequence 10 batch_axis=0 time_axis=1 | f:Nx0x2 i64:1=0",
        "DepthToSpace 13 blocksize=2 | f:Nx4x0x1",
        "SpaceToDepth 13 blocksize=2 | f:Nx0x2x2",
    };
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        driver d;
        driver_ready(&d, specs[i], 2, false, 1);
        driver_gradients(&d, 1);
        driver_forward(&d, false);
        driver_vjp(&d, false, ASSAY_VJP_EXACT);
        driver_close(&d);
    }
}

/* ---- in a plan ---------------------------------------------------------------------------------- */

static const int64_t in_shape[] = {-1, 3}, one[] = {1}, zero[] = {0}, four[] = {4}, table_shape[] = {5, 4};

/* Token ids come as floats; their embeddings, plus a state of zeros whose shape was computed from the batch. */
static void embeddings(pb *graph) {
    static const float table[20] = {0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33, 40, 41, 42, 43};
    pb attrs = {0};
    onnx_input(graph, "x", in_shape, 2);
    onnx_f32(graph, "table", table_shape, 2, table);
    onnx_i64(graph, "zero", one, 1, zero);
    onnx_i64(graph, "one", one, 1, one);
    onnx_i64(graph, "four", one, 1, four);
    onnx_attr_int(&attrs, "to", 7);
    onnx_node(graph, "Cast", "ids", "x", "ids", &attrs);
    onnx_node(graph, "Gather", "e", "table ids", "e", NULL);
    onnx_node(graph, "Shape", "s", "x", "s", NULL);
    onnx_node(graph, "Gather", "n", "s zero", "n", NULL);
    pb axis = {0};
    onnx_attr_int(&axis, "axis", 0);
    onnx_node(graph, "Concat", "shape", "n one four", "shape", &axis);
    onnx_node(graph, "ConstantOfShape", "h0", "shape", "h0", NULL);
    onnx_node(graph, "Add", "y", "e h0", "y", NULL);
    onnx_output(graph, "y");
}

static void tokens(void **state) {
    (void)state;
    pb graph = {0};
    embeddings(&graph);
    pb m = onnx_model(&graph, 13, NULL);
    ox_graph g;
    error err = {0};
    if (ox_graph_parse(m.data, m.n, "test", &g, &err) != STATUS_OK) {
        fail_msg("%s", err.text);
    }
    pb_free(&m);
    for (int64_t batch = 1; batch < 5; batch++) {
        ox_plan *p = NULL;
        ox_plan_args a = {.batch = batch, .wanted = g.outputs, .n_wanted = 1, .want_vjp = true};
        if (ox_plan_make(&g, &a, &p, &err) != STATUS_OK) {
            fail_msg("batch %d: %s", (int)batch, err.text);
        }
        const ox_tensor *y = &p->tensors[g.outputs[0]];
        float *x = p->tensors[g.input].data;
        for (int64_t i = 0; i < batch * 3; i++) {
            x[i] = (float)(i % 10 - 5); /* -5..4 */
        }
        assert_int_equal(ox_plan_forward(p, &err), STATUS_OK);
        for (int64_t i = 0; i < batch * 3; i++) {
            for (int64_t k = 0; k < 4; k++) {
                assert_true(((float *)y->data)[i * 4 + k] == (float)((i % 10 % 5) * 10 + k));
            }
        }
        x[batch * 3 - 1] = 5;
        assert_int_equal(ox_plan_forward(p, &err), STATUS_MODEL);
        assert_non_null(strstr(err.text, "index 5 "));
        memset(&err, 0, sizeof err);
        ox_plan_free(p);
    }
    ox_graph_free(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_by_hand),
        cmocka_unit_test(wide_integers),
        cmocka_unit_test(unique_tables),
        cmocka_unit_test(computed_indices),
        cmocka_unit_test(computed_indices_by_example),
        cmocka_unit_test(scatter_ties),
        cmocka_unit_test(scatter_products_with_zero),
        cmocka_unit_test(bad_specs_are_errors),
        cmocka_unit_test(empty_tensors),
        cmocka_unit_test(tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
