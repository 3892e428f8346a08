/* SPDX-License-Identifier: Apache-2.0
 * Comparisons, logic, bits, casts and arithmetic of two and more operands: values by hand (ties, NaN, signs, every
 * width of integers and their wrapping), the rules of the modes, what a hostile file may ask for. */
#include <inttypes.h>

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
    {"Add 14 | u8:3=250,1,2 u8:=10", "4,11,12"},
    {"Add 14 | i8:2=127,-128 i8:2=1,-1", "-128,127"},
    {"Add 14 | i32:1=2147483647 i32:=1", "-2147483648"},
    {"Sub 14 | u8:2=1,5 u8:=2", "255,3"},
    {"Sub 14 | i32:1=-2147483648 i32:=1", "2147483647"},
    {"Mul 14 | i8:2=64,-3 i8:2=4,5", "0,-15"},
    {"Mul 14 | i32:1=65536 i32:=65536", "0"},
    {"Div 14 | u8:3=200,7,1 u8:3=3,7,2", "66,1,0"},
    {"Div 14 | i8:3=-128,-7,7 i8:3=-1,2,-2", "-128,-3,-3"},
    {"Div 14 | i32:2=-2147483648,9 i32:2=-1,-4", "-2147483648,-2"},
    {"Div 13 | f:4=1,-1,0,6 f:4=0,0,0,4", "inf,-inf,nan,1.5"},
    {"Add 6 broadcast=1 axis=0 | f:2x3=0,0,0,0,0,0 f:2=1,2", "1,1,1,2,2,2"},
    {"Sub 6 broadcast=1 | f:2x3=0,0,0,0,0,0 f:3=1,2,3", "-1,-2,-3,-1,-2,-3"},
    {"Mul 1 broadcast=1 axis=1 | f:1x2x2=1,2,3,4 f:2=10,100", "10,20,300,400"},
    {"Div 6 broadcast=1 axis=1 | f:2=4,8 f:1=2", "2,4"},
    {"Pow 13 | f:6=2,-2,0,-2,nan,4 f:6=3,3,0,0.5,0,-0.5", "8,-8,1,nan,1,0.5"},
    {"Pow 13 | f:3=-inf,-0.0,4 f:=0.5", "inf,0,2"},
    {"Pow 13 | f:3=-3,2,nan i32:=2", "9,4,nan"},
    {"Pow 13 | i32:7=2,-2,0,1,-1,-1,2 i32:7=10,3,0,-5,-5,-4,-1", "1024,-8,1,1,-1,1,0"},
    {"Pow 12 | i32:2=3,2 i64:2=21,32", "1870418611,0"},
    {"Pow 12 | i32:4=4,2,0,-8 f:4=0.5,40,-1,0.5", "2,2147483647,2147483647,0"},
    {"Pow 12 | i64:2=7,-3 u8:=2", "49,9"},
    {"Pow 1 broadcast=1 axis=0 | f:2x2=2,3,2,3 f:2=1,2", "2,3,4,9"},
    {"Mod 10 | i32:8=5,-5,5,-5,0,7,-2147483648,-7 i32:8=3,3,-3,-3,3,7,-1,7", "2,1,-1,-2,0,0,0,0"},
    {"Mod 10 fmod=1 | i32:5=5,-5,5,-5,-2147483648 i32:5=3,3,-3,-3,-1", "2,-2,2,-2,0"},
    {"Mod 13 fmod=1 | f:6=5.5,-5.5,5.5,1,inf,0 f:6=2,2,-2,inf,2,0", "1.5,-1.5,1.5,1,nan,nan"},
    {"Mod 13 | u8:2=250,7 u8:2=7,8", "5,7"},
    {"Mod 13 | i8:2=-128,-128 i8:2=-1,127", "0,126"},
    {"Max 13 | f:4=1,nan,3,-0.0 f:4=2,0,nan,0", "2,nan,nan,0"},
    {"Min 13 | f:4=1,nan,3,5 f:4=2,0,nan,5", "1,nan,nan,5"},
    {"Max 13 | f:2=1,2 f:2=3,nan f:2=0,9", "3,nan"},
    {"Max 12 | u8:3=1,255,3 u8:3=2,0,3 u8:=2", "2,255,3"},
    {"Min 12 | i8:3=1,-128,3 i8:3=2,0,3", "1,-128,3"},
    {"Max 12 | i32:2x1=1,5 i32:3=0,3,9", "1,3,9,5,5,9"},
    {"Min 12 | i64:2=-9,9 i64:=0", "-9,0"},
    {"Max 8 | f:2=1,2", "1,2"},
    {"Sum 8 | f:2=1,2 f:2x1=10,20 f:=100", "111,112,121,122"},
    {"Mean 8 | f:2=1,2 f:2=4,8 f:2=1,2", "2,4"},
    {"Mean 13 | f:2=1,2", "1,2"},
    {"PRelu 9 | f:4=-2,0,3,nan f:=0.25", "-0.5,0,3,nan"},
    {"PRelu 9 | i32:3=-2,0,3 i32:=4", "-8,0,3"},
    {"PRelu 16 | i64:2=-2,3 i64:2=-5,7", "10,3"},
    {"PRelu 6 | f:1x2x2=-1,-1,-1,-1 f:2=2,3", "-2,-2,-3,-3"},
    {"Equal 11 | f:4=1,nan,-0.0,2 f:4=1,nan,0,3", "1,0,1,0"},
    {"Equal 13 | bool:4=0,1,0,1 bool:4=0,0,1,1", "1,0,0,1"},
    {"Equal 13 | u8:2=255,1 u8:=255", "1,0"},
    {"Equal 1 broadcast=1 axis=0 | i32:2x2=1,2,1,2 i32:2=1,2", "1,0,0,1"},
    {"Greater 9 | f:4=1,2,nan,3 f:4=1,1,1,nan", "0,1,0,0"},
    {"Greater 13 | i8:3=-1,0,1 i8:=0", "0,0,1"},
    {"Greater 13 | u8:2=200,100 u8:2x1=128,250", "1,0,0,0"},
    {"Greater 1 broadcast=1 axis=0 | f:2x2=1,2,1,2 f:2=0,1", "1,1,0,1"},
    {"GreaterOrEqual 12 | f:4=1,2,nan,3 f:4=1,3,1,nan", "1,0,0,0"},
    {"GreaterOrEqual 16 | i64:2x1=1,2 i64:3=0,1,2", "1,1,0,1,1,1"},
    {"Less 9 | f64:3=1,2,nan f64:=2", "1,0,0"},
    {"Less 1 | f:2=1,2 f:2=2,1", "1,0"},
    {"LessOrEqual 12 | i32:3=-1,0,1 i32:=0", "1,1,0"},
    {"And 7 | bool:4=0,1,0,1 bool:4=0,0,1,1", "0,0,0,1"},
    {"Or 7 | bool:4=0,1,0,1 bool:4=0,0,1,1", "0,1,1,1"},
    {"Xor 7 | bool:2=0,1 bool:2x1=0,1", "0,1,1,0"},
    {"And 1 broadcast=1 axis=0 | bool:2x2=1,1,1,1 bool:2=0,1", "0,0,1,1"},
    {"Where 9 | bool:2=0,1 f:2=1,2 f:2=10,nan", "10,2"},
    {"Where 16 | bool:2x1=1,0 i64:2=1,2 i64:=9", "1,2,9,9"},
    {"Where 9 | bool:=1 u8:2=1,2 u8:2x1=3,4", "1,2,1,2"},
    {"Where 9 | bool:2=1,0 bool:=0 bool:=1", "0,1"},
    {"BitShift 11 direction=LEFT | u8:4=1,255,3,255 u8:4=7,4,8,255", "128,240,0,0"},
    {"BitShift 11 direction=RIGHT | u8:2=128,255 u8:2x1=7,8", "1,1,0,0"},
    {"BitShift 11 direction=LEFT | i32:4=1,65535,3,7 i32:4=15,4,16,99", "32768,65520,0,0"},
    {"BitShift 11 direction=RIGHT | i32:3=32768,65535,7 i32:3=15,4,99", "1,4095,0"},
    {"BitShift 11 direction=LEFT | i64:3=1,0,3 i64:3=31,77,4", "2147483648,0,48"},
    {"BitShift 11 direction=RIGHT | i64:2=4294967295,7 i64:2=31,64", "1,0"},
    {"BitwiseAnd 18 | u8:2=12,255 u8:=10", "8,10"},
    {"BitwiseOr 18 | i8:2=-128,1 i8:=2", "-126,3"},
    {"BitwiseXor 18 | i32:2=-1,5 i32:=3", "-4,6"},
    {"BitwiseNot 18 | i64:3=0,-1,5", "-1,0,-6"},
    {"BitwiseNot 18 | u8:2=0,170", "255,85"},
    {"Cast 13 to=2 | f:6=-1,300,1.9,-0.5,nan,inf", "0,255,1,0,0,255"},
    {"Cast 13 to=3 | f:4=-200,200,-1.9,127.5", "-128,127,-1,127"},
    {"Cast 13 to=6 | f:4=-1e20,1e20,-7.9,nan", "-2147483648,2147483647,-7,0"},
    {"Cast 13 to=9 | f:4=0,-0.0,nan,0.1", "0,0,1,1"},
    {"Cast 13 to=3 | i32:3=128,-129,5", "-128,127,5"},
    {"Cast 13 to=9 | i64:2=0,-5", "0,1"},
    {"Cast 13 to=1 | bool:2=0,1", "0,1"},
    {"Cast 13 to=11 | u8:2=0,255", "0,255"},
    {"Cast 13 to=1 | i8:2=-128,127", "-128,127"},
    {"Cast 13 to=10 | f:7=1.00048828125,1.0015,65519,65520,-1e9,5e-8,nan",
     "1,1.001953125,65504,inf,-inf,5.9604645e-08,nan"},
    {"Cast 13 to=16 | f:4=1.00390625,1.01171875,3.3e38,-3.38e38", "1,1.015625,3.2964854e+38,-3.3762391e+38"},
    {"Cast 1 to=INT32 | f:2=-1.5,2", "-1,2"},
    {"CastLike 15 | f:2=-1.5,300 u8:=0", "0,255"},
    {"CastLike 19 | i64:2=3,0 bool:=0", "1,0"},
    {"Gelu 20 | f:5=-inf,-30,0,30,inf", "0,0,0,30,inf"},
    {"Gelu 20 approximate=tanh | f:5=-inf,-30,0,30,inf", "0,0,0,30,inf"},
};

static void values_by_hand(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof by_hand / sizeof by_hand[0]; i++) {
        values_are(by_hand[i][0], by_hand[i][1]);
    }
}

/* What a double would lose. */
static const struct {
    const char *spec;
    int64_t x, y, want;
} exact[] = {
    {"Add 14 | i64:1 i64:1", INT64_MAX, 1, INT64_MIN},
    {"Sub 14 | i64:1 i64:1", INT64_MIN, 1, INT64_MAX},
    {"Mul 14 | i64:1 i64:1", INT64_MAX, 3, INT64_MAX - 2},
    {"Div 14 | i64:1 i64:1", INT64_MIN, -1, INT64_MIN},
    {"Div 14 | i64:1 i64:1", INT64_MAX, 2, INT64_MAX / 2},
    {"Mod 13 | i64:1 i64:1", INT64_MIN, INT64_MAX, INT64_MAX - 1},
    {"Mod 13 | i64:1 i64:1", INT64_MIN, -1, 0},
    {"Mod 13 fmod=1 | i64:1 i64:1", INT64_MIN, INT64_MAX, -1},
    {"Pow 13 | i64:1 i64:1", 3, 39, 4052555153018976267},
    {"Max 13 | i64:1 i64:1", INT64_MAX - 1, INT64_MAX, INT64_MAX},
    {"Min 13 | i64:1 i64:1", INT64_MAX - 1, INT64_MAX, INT64_MAX - 1},
    {"Equal 13 | i64:1 i64:1", INT64_MAX - 1, INT64_MAX, 0},
    {"Less 13 | i64:1 i64:1", INT64_MAX - 1, INT64_MAX, 1},
    {"Greater 13 | i64:1 i64:1", INT64_MAX - 1, INT64_MAX, 0},
    {"LessOrEqual 16 | i64:1 i64:1", INT64_MAX, INT64_MAX - 1, 0},
    {"GreaterOrEqual 16 | i64:1 i64:1", INT64_MAX - 1, INT64_MAX, 0},
    {"BitwiseXor 18 | i64:1 i64:1", INT64_MAX, INT64_MIN, -1},
    {"PRelu 16 | i64:1 i64:1", INT64_MIN + 1, -1, INT64_MAX},
    {"CastLike 15 | i64:1 i64:1", INT64_MAX - 1, 0, INT64_MAX - 1},
};

static void int64_exactly(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof exact / sizeof exact[0]; i++) {
        driver d;
        driver_ready(&d, exact[i].spec, 1, false, 1);
        *(int64_t *)d.in[0]->data = exact[i].x;
        *(int64_t *)d.in[1]->data = exact[i].y;
        driver_forward(&d, false);
        bool truth = d.out[0]->dtype == ASSAY_BOOL;
        int64_t got = truth ? *(uint8_t *)d.out[0]->data : *(int64_t *)d.out[0]->data;
        if (got != exact[i].want) {
            fail_msg("%s: %" PRId64 ", expected %" PRId64, exact[i].spec, got, exact[i].want);
        }
        driver_close(&d);
    }
}

static void division_by_zero_is_an_error(void **state) {
    (void)state;
    static const char *const specs[] = {"Div 14 | i64:3=1,2,3 i64:3=1,0,2", "Div 14 | u8:2=1,2 u8:=0",
                                        "Mod 13 | i32:3=1,2,3 i32:3=1,0,2", "Mod 13 fmod=1 | i8:2=1,2 i8:=0"};
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        driver d;
        driver_ready(&d, specs[i], 1, false, 1);
        assert_int_equal(d.n.kernel->forward(&d.n, &d.err), STATUS_MODEL);
        assert_non_null(strstr(d.err.text, "zero"));
        driver_close(&d);
    }
}

/* No elements: nothing is read, and nothing divided. */
static void empty_tensors(void **state) {
    (void)state;
    static const char *const specs[] = {
        "Add 14 | f:0x3 f:3",   "Div 14 | i64:0 i64:=0",       "Pow 13 | f:2x0 f:=2", "Max 13 | f:0x3 f:3 f:",
        "Mean 13 | f:0 f:0",    "Where 9 | bool:2x1 f:2x0 f:", "Equal 13 | f:0 f:1",  "BitwiseAnd 18 | u8:0x2 u8:2",
        "PRelu 16 | f:0x3 f:3", "Where 9 | bool:0x3 f:3 f:3",  "Gelu 20 | f:0x3",     "CastLike 15 | f:0 i64:1",
    };
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        driver d;
        driver_ready(&d, specs[i], 1, false, 1);
        assert_int_equal(d.out[0]->n, 0);
        driver_forward(&d, false);
        if (d.n.kernel->vjp != NULL) {
            driver_gradients(&d, 3);
            driver_vjp(&d, false, ASSAY_VJP_EXACT);
        }
        for (size_t k = 0; k < d.n.n_in; k++) {
            for (size_t e = 0; d.grad_in[k] != NULL && e < d.in[k]->n; e++) {
                assert_true(d.grad_in[k][e] == 0);
            }
        }
        driver_close(&d);
    }
}

static const char *const bad_specs[] = {
    "Add 13 | bool:Nx3 bool:3",
    "Add 13 | f:Nx3 i64:3",
    "Add 13 | f:Nx3 -",
    "Add 13 | f:Nx3 f:4",
    "Add 6 | f:Nx3 f:3",
    "Add 6 broadcast=1 | f:3 f:Nx3",
    "Add 6 broadcast=1 axis=1 | f:Nx3x4 f:4",
    "Add 6 broadcast=1 axis=2 | f:Nx3x4 f:3x4",
    "Add 6 broadcast=1 axis=9223372036854775807 | f:Nx3x4 f:4",
    "Add 6 broadcast=1 axis=-4 | f:Nx3x4 f:4",
    "Add 6 broadcast=1.0 | f:Nx3 f:3",
    "Add 6 broadcast=1 axis=0.5 | f:Nx3 f:3",
    "Mul 1 broadcast=1 | f:3x1 f:3x4",
    "Pow 7 | f:Nx3 i64:3",
    "Pow 13 | u8:Nx3 i64:3",
    "Pow 13 | bool:Nx3 f:3",
    "Pow 13 | f:Nx3 bool:3",
    "Pow 13 | f:Nx3 -",
    "Mod 10 | f:Nx3 f:3",
    "Mod 10 fmod=2 | i64:Nx3 i64:3",
    "Mod 10 fmod=1.0 | f:Nx3 f:3",
    "Mod 10 | bool:Nx3 bool:3",
    "Max 8 | i64:Nx3 i64:3",
    "Max 6 | f:Nx3 f:3",
    "Max 13 | f:Nx3 f:2",
    "Max 13 | f:Nx3 i64:3",
    "Max 13 | f:Nx3 -",
    "Min 13 | bool:Nx3 bool:3",
    "Sum 13 | i64:Nx3 i64:3",
    "Mean 13 | - f:3",
    "PRelu 16 | f:Nx3 f:Nx3x3",
    "PRelu 16 | f:1x3 f:2x3",
    "PRelu 6 | f:Nx3x4 f:4",
    "PRelu 6 | f:Nx3x4 f:3x4",
    "PRelu 1 | f:3 f:3",
    "PRelu 7 | i64:Nx3 i64:3",
    "PRelu 16 | u8:Nx3 u8:3",
    "Equal 13 | f:Nx3 i64:3",
    "Equal 6 | i32:Nx3 i32:3",
    "Less 13 | bool:Nx3 bool:3",
    "Greater 13 | f:Nx3 f:4",
    "And 7 | f:Nx3 f:3",
    "Xor 7 | bool:Nx3 u8:3",
    "Or 1 broadcast=1 axis=1 | bool:Nx3 bool:2",
    "Where 9 | f:Nx3 f:3 f:3",
    "Where 9 | bool:Nx3 f:3 i64:3",
    "Where 9 | bool:Nx3 f:4 f:3",
    "Where 9 | bool:Nx3 f:3 f:4",
    "Where 9 | bool:Nx3 f:3 -",
    "BitShift 11 | u8:Nx3 u8:3",
    "BitShift 11 direction=UP | u8:Nx3 u8:3",
    "BitShift 11 direction=1 | u8:Nx3 u8:3",
    "BitShift 11 direction=LEFT | i8:Nx3 i8:3",
    "BitwiseAnd 18 | f:Nx3 f:3",
    "BitwiseAnd 18 | u8:Nx3 i8:3",
    "BitwiseNot 18 | bool:Nx3",
    "Cast 13 | f:Nx3",
    "Cast 13 to=8 | f:Nx3",
    "Cast 13 to=INT32 | f:Nx3",
    "Cast 5 to=6 | f:Nx3",
    "Cast 1 to=STRING | f:Nx3",
    "Cast 13 to=-1 | f:Nx3",
    "CastLike 15 | f:Nx3 -",
    "CastLike 15 | - f:3",
    "Gelu 20 | i64:Nx3",
    "Gelu 20 approximate=sigmoid | f:Nx3",
    "Gelu 20 approximate=1 | f:Nx3",
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

/* Three dimensions of 2^21 against each other: the product overflows, and is refused before anything is allocated. */
static void huge_broadcasts_are_refused(void **state) {
    (void)state;
    static const char *const ops[] = {"Add", "Equal", "Max", "Pow", "Where", "BitwiseOr"};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        driver d;
        char spec[128];
        bool where = strcmp(ops[i], "Where") == 0, bits = strcmp(ops[i], "BitwiseOr") == 0;
        (void)snprintf(spec, sizeof spec, "%s 18 | %s:2x1x1 %s:1x2x1 %s", ops[i], where ? "bool" : (bits ? "u8" : "f"),
                       bits ? "u8" : "f", where ? "f:1x1x2" : "");
        assert_int_equal(driver_open(&d, spec, 1, false, 1), STATUS_OK);
        d.in[0]->shape[0] = d.in[1]->shape[1] = (int64_t)1 << 42;
        assert_int_equal(d.n.kernel->infer(&d.n, &d.err), STATUS_MODEL);
        driver_close(&d);
    }
}

/* Slopes of input 0 in the exact, leaky and straight-through mode. Ties: a constant wins, else the first. */
static const struct {
    const char *spec;
    float slope[3][4];
} rules[] = {
    {"Max 13 | f:1x4=-3,0,1,4 f:4=1,0,0,5", {{0, 0, 1, 0}, {0.1F, 0.1F, 1, 0.1F}, {1, 1, 1, 1}}},
    {"Min 13 | f:1x4=-3,0,1,4 f:4=1,0,0,5", {{1, 0, 0, 1}, {1, 0.1F, 0.1F, 1}, {1, 1, 1, 1}}},
    {"Max 13 | f:1x4=-3,0,1,4 f:1x4", {{0, 1, 1, 1}, {0, 1, 1, 1}, {0, 1, 1, 1}}},
    {"Max 13 | f:1x4=-3,nan,1,4 f:1x4", {{0, 1, 1, 1}, {0, 1, 1, 1}, {0, 1, 1, 1}}},
    {"PRelu 16 | f:1x4=-3,0,1,4 f:=0.5", {{0.5F, 0.5F, 1, 1}, {0.5F, 0.5F, 1, 1}, {0.5F, 0.5F, 1, 1}}},
    {"Where 9 | bool:4=1,0,1,0 f:1x4=1,1,1,1 f:1x4", {{1, 0, 1, 0}, {1, 0, 1, 0}, {1, 0, 1, 0}}},
    {"Pow 13 | f:1x4=-3,0,1,4 f:4=2,0,0,0.5", {{-6, 0, 0, 0.25F}, {-6, 0, 0, 0.25F}, {-6, 0, 0, 0.25F}}},
    {"Cast 13 to=2 | f:1x4=-3,-0.5,1,300", {{0}, {0}, {0, 1, 1, 0}}},
    {"CastLike 15 | f:1x4=-3,-0.5,1,300 i8:", {{0}, {0}, {1, 1, 1, 0}}},
};

static void modes_by_their_rule(void **state) {
    (void)state;
    for (size_t r = 0; r < sizeof rules / sizeof rules[0]; r++) {
        driver d;
        driver_ready(&d, rules[r].spec, 1, false, 1);
        size_t at = strncmp(rules[r].spec, "Where", 5) == 0 ? 1 : 0;
        d.in[at]->is_const = false;
        for (size_t i = at + 1; i < d.n.n_in && !d.in[i]->is_const; i++) { /* variable operands: zero */
            memset(d.in[i]->data, 0, d.in[i]->n * sizeof(float));
        }
        driver_gradients(&d, 3);
        driver_forward(&d, false);
        for (unsigned mode = 0; mode < 3; mode++) {
            driver_zero_gradients(&d);
            driver_vjp(&d, false, (assay_vjp_mode)mode);
            for (size_t i = 0; i < 4; i++) {
                float want = rules[r].slope[mode][i] * d.grad_out[0][i];
                if (!(fabsf(d.grad_in[at][i] - want) <= 1e-6F)) {
                    fail_msg("%s: mode %u, element %zu is %g", rules[r].spec, mode, i, (double)d.grad_in[at][i]);
                }
            }
        }
        driver_close(&d);
    }
}

/* The loops of rows and planes against an index computed for each element. */
static void broadcasts_of_every_kind(void **state) {
    (void)state;
    static const int64_t shapes[][4] = {{2, 3, 4, 5}, {1, 3, 4, 5}, {2, 1, 4, 5}, {2, 3, 1, 5}, {2, 3, 4, 1},
                                        {1, 3, 1, 1}, {2, 1, 1, 5}, {1, 1, 4, 1}, {1, 1, 1, 1}, {2, 1, 4, 1}};
    enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };
    for (size_t a = 0; a < N_SHAPES * N_SHAPES; a++) {
        const int64_t *s = shapes[a / N_SHAPES], *t = shapes[a % N_SHAPES];
        char spec[160];
        (void)snprintf(spec, sizeof spec, "Sub 14 | f:%dx%dx%dx%d f:%dx%dx%dx%d", (int)s[0], (int)s[1], (int)s[2],
                       (int)s[3], (int)t[0], (int)t[1], (int)t[2], (int)t[3]);
        driver d;
        driver_ready(&d, spec, 1, false, 1);
        driver_gradients(&d, 3);
        driver_forward(&d, false);
        driver_vjp(&d, false, ASSAY_VJP_EXACT);
        double sums[2][120] = {{0}};
        for (size_t i = 0; i < d.out[0]->n; i++) {
            size_t at[2] = {0}, rest = i, step[2] = {1, 1};
            for (size_t k = 4; k-- > 0;) {
                size_t dim = (size_t)d.out[0]->shape[k], x = rest % dim;
                rest /= dim;
                for (size_t o = 0; o < 2; o++) {
                    at[o] += d.in[o]->shape[k] == 1 ? 0 : x * step[o];
                    step[o] *= (size_t)d.in[o]->shape[k];
                }
            }
            float want = ((float *)d.in[0]->data)[at[0]] - ((float *)d.in[1]->data)[at[1]];
            assert_true(((float *)d.out[0]->data)[i] == want);
            sums[0][at[0]] += (double)d.grad_out[0][i];
            sums[1][at[1]] -= (double)d.grad_out[0][i];
        }
        for (size_t i = 0; i < d.in[0]->n + d.in[1]->n; i++) {
            size_t o = i < d.in[0]->n ? 0 : 1, k = o == 0 ? i : i - d.in[0]->n;
            assert_true(fabs((double)d.grad_in[o][k] - sums[o][k]) < 1e-4);
        }
        driver_close(&d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(values_by_hand),
                                       cmocka_unit_test(int64_exactly),
                                       cmocka_unit_test(empty_tensors),
                                       cmocka_unit_test(division_by_zero_is_an_error),
                                       cmocka_unit_test(bad_specs_are_errors),
                                       cmocka_unit_test(huge_broadcasts_are_refused),
                                       cmocka_unit_test(broadcasts_of_every_kind),
                                       cmocka_unit_test(modes_by_their_rule)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
