/* SPDX-License-Identifier: Apache-2.0
 * Recurrent networks and Einsum beyond the shared cases: values by hand and from PyTorch, every output and activation,
 * lengths, the modes of vjp, equations of several operands, what a hostile file can say. */
#include "kernel_driver.h"

/* ---- attributes that a spec cannot say ---------------------------------------------------------- */

/* Adds an attribute and infers again. */
static status add_attr(driver *d, ox_attr a) {
    assert_true(d->n.n_attrs < DRIVER_MAX);
    d->attrs[d->n.n_attrs++] = a;
    d->err = (error){0};
    return d->n.kernel->infer(&d->n, &d->err);
}

/* "Einsum 12 | ..." with an equation that has commas. */
static status open_einsum(driver *d, const char *equation, const char *inputs, size_t batch, bool doubles) {
    char spec[256];
    (void)snprintf(spec, sizeof spec, "Einsum 12 | %s", inputs);
    (void)driver_open(d, spec, batch, doubles, 7);
    return add_attr(d, (ox_attr){.name = "equation", .kind = OX_STRING, .s = equation});
}

typedef struct functions {
    const char *names; /* each with its NUL, as the loader gives a list of strings */
    size_t n;
    float alpha[6], beta[6];
    size_t n_alpha, n_beta;
} functions;

static status add_functions(driver *d, const functions *f) {
    status s = add_attr(d, (ox_attr){.name = "activations", .kind = OX_OTHER, .s = f->names, .n = f->n});
    if (f->n_alpha > 0) {
        s = add_attr(d, (ox_attr){.name = "activation_alpha", .kind = OX_FLOATS, .floats = f->alpha, .n = f->n_alpha});
    }
    if (f->n_beta > 0) {
        s = add_attr(d, (ox_attr){.name = "activation_beta", .kind = OX_FLOATS, .floats = f->beta, .n = f->n_beta});
    }
    return s;
}

/* Outputs 1 and 2 as well. */
static status add_outputs(driver *d) {
    d->n.n_out = d->n.kernel->max_out;
    for (size_t i = 1; i < d->n.n_out; i++) {
        d->out[i] = &d->out_t[i];
    }
    d->err = (error){0};
    return d->n.kernel->infer(&d->n, &d->err);
}

/* ---- central differences over all outputs ------------------------------------------------------- */

static void cotangents(driver *d) {
    uint64_t seed = 5;
    driver_gradients(d, 3);
    for (size_t o = 0; o < d->n.n_out; o++) {
        for (size_t i = 0; i < d->out[o]->n; i++) {
            d->grad_out[o][i] = (float)(int)(driver_random(&seed) % 1001) / 500 - 1;
        }
    }
}

static double weighted(driver *d, const driver *f) {
    double sum = 0;
    driver_forward(d, true);
    for (size_t o = 0; o < d->n.n_out; o++) {
        for (size_t i = 0; i < d->out[o]->n; i++) {
            sum += (double)f->grad_out[o][i] * driver_get(d->out[o], i);
        }
    }
    return sum;
}

/* f: float32 with gradients, d: the same in double. Both are closed. */
static void check_gradients(driver *f, driver *d, const char *what) {
    assert_int_equal(driver_prepare(d, true), STATUS_OK);
    assert_int_equal(driver_prepare(f, true), STATUS_OK);
    cotangents(f);
    for (size_t i = 0; i < f->n.n_in; i++) {
        for (size_t k = 0; f->in[i] != NULL && k < f->in[i]->n; k++) {
            driver_put(d->in[i], k, driver_get(f->in[i], k));
        }
    }
    for (int reference = 0; reference < 2; reference++) {
        driver_zero_gradients(f);
        driver_forward(f, reference == 1);
        driver_vjp(f, reference == 1, ASSAY_VJP_EXACT);
        for (size_t i = 0; i < f->n.n_in; i++) {
            for (size_t k = 0; f->grad_in[i] != NULL && k < f->in[i]->n; k++) {
                double x = driver_get(d->in[i], k), h = 1e-4;
                driver_put(d->in[i], k, x + h);
                double up = weighted(d, f);
                driver_put(d->in[i], k, x - h);
                double want = (up - weighted(d, f)) / (2 * h), got = (double)f->grad_in[i][k];
                driver_put(d->in[i], k, x);
                if (!(fabs(got - want) <= 3e-6 + 3e-6 * fabs(want))) {
                    fail_msg("%s: d/d input %zu [%zu] is %.9g, central difference %.9g", what, i, k, got, want);
                }
            }
        }
    }
    driver_close(f);
    driver_close(d);
}

/* ---- recurrent ---------------------------------------------------------------------------------- */

/* Layout 0 and 1 are the same numbers in another order: compared through a double run of each. */
static void every_output_has_a_gradient(void **state) {
    (void)state;
    static const char *const specs[] = {
        "RNN 7 direction=bidirectional | f:4x2x3 f:2x5x3 f:2x5x5 f:2x10 i32:2=3,4 f:2x2x5",
        "RNN 14 layout=1 direction=reverse | f:2x4x3 f:1x5x3 f:1x5x5 f:1x10 i32:2=3,0 f:2x1x5",
        "GRU 7 direction=bidirectional | f:4x2x3 f:2x6x3 f:2x6x2 f:2x12 i32:2=2,4 f:2x2x2",
        "GRU 3 linear_before_reset=1 | f:3x2x3 f:1x6x3 f:1x6x2 f:1x12 - f:1x2x2",
        "GRU 14 layout=1 linear_before_reset=1 | f:2x3x3 f:1x6x3 f:1x6x2 f:1x12 i64:2=0,3 f:2x1x2",
        "LSTM 1 direction=bidirectional | f:4x2x3 f:2x8x3 f:2x8x2 f:2x16 i32:2=4,2 f:2x2x2 f:2x2x2 f:2x6",
        "LSTM 14 direction=reverse input_forget=1 clip=0.6 | f:4x2x3 f:1x8x3 f:1x8x2 f:1x16 - f:1x2x2 f:1x2x2 f:1x6",
        "LSTM 14 layout=1 | f:2x3x2 f:1x8x2 f:1x8x2 f:1x16 i32:2=3,2 f:2x1x2 f:2x1x2",
    };
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        driver f, d;
        (void)driver_open(&f, specs[i], 2, false, 7);
        (void)driver_open(&d, specs[i], 2, true, 7);
        if (add_outputs(&f) != STATUS_OK || add_outputs(&d) != STATUS_OK) {
            fail_msg("%s: %s", specs[i], f.err.text);
        }
        check_gradients(&f, &d, specs[i]);
    }
}

static const functions lists[] = {
    {"Sigmoid\0Relu\0Tanh", 3, {0}, {0}, 0, 0},
    {"HardSigmoid\0LeakyRelu\0Elu", 3, {0.3F, 0.1F, 1.5F}, {0.4F}, 3, 1},
    {"Softsign\0Softplus\0ScaledTanh", 3, {0.8F}, {1.5F}, 1, 1},
    {"Affine\0ThresholdedRelu\0tanh", 3, {0.5F, 0.05F}, {0.1F}, 2, 1},
    {"Affine\0Tanh\0Affine", 3, {0.5F, 9, 0.7F}, {0.1F, 9, 0.2F}, 3, 3}, /* one value for each function */
    {"Softplus\0Softsign\0Softsign", 3, {0}, {0}, 0, 0},
};
#define N_LISTS (sizeof lists / sizeof lists[0])

static void every_activation_has_a_gradient(void **state) {
    (void)state;
    static const char *const specs[] = {"LSTM 14 | f:3x2x3 f:1x8x3 f:1x8x2 f:1x16 - f:1x2x2 f:1x2x2 f:1x6",
                                        "GRU 14 | f:3x2x3 f:1x6x3 f:1x6x2 f:1x12 - f:1x2x2",
                                        "RNN 14 | f:3x2x3 f:1x2x3 f:1x2x2 f:1x4 - f:1x2x2"};
    for (size_t i = 0; i < N_LISTS * 3; i++) {
        driver f, d;
        functions list = lists[i / 3];
        list.n_alpha = i % 3 == 0 ? list.n_alpha : 0; /* else the defaults */
        list.n_beta = i % 3 == 0 ? list.n_beta : 0;
        (void)driver_open(&f, specs[i % 3], 2, false, 7);
        (void)driver_open(&d, specs[i % 3], 2, true, 7);
        if (add_functions(&f, &list) != STATUS_OK || add_functions(&d, &list) != STATUS_OK) {
            fail_msg("%s: %s", list.names, f.err.text);
        }
        assert_true(add_outputs(&f) == STATUS_OK && add_outputs(&d) == STATUS_OK);
        check_gradients(&f, &d, list.names);
    }
}

/* One unit, one step: y = act(x), dy/dx by mode; clip at 2. */
static void activations_by_hand(void **state) {
    (void)state;
    static const struct {
        functions f;
        float x, y, slope[3]; /* exact, leaky, straight-through */
    } rows[] = {
        {{"Relu", 1, {0}, {0}, 0, 0}, 1.5F, 1.5F, {1, 1, 1}},
        {{"Relu", 1, {0}, {0}, 0, 0}, -1.5F, 0, {0, 0.1F, 0}},
        {{"Relu", 1, {0}, {0}, 0, 0}, 3, 2, {0, 0.1F, 1}},
        {{"LeakyRelu", 1, {0}, {0}, 0, 0}, -1, -0.01F, {0.01F, 0.01F, 0.01F}},
        {{"ThresholdedRelu", 1, {0}, {0}, 0, 0}, 1.25F, 1.25F, {1, 1, 1}},
        {{"ThresholdedRelu", 1, {0}, {0}, 0, 0}, 0.5F, 0, {0, 0.1F, 0}},
        {{"HardSigmoid", 1, {0}, {0}, 0, 0}, 1, 0.7F, {0.2F, 0.2F, 0.2F}},
        {{"Elu", 1, {2}, {0}, 1, 0}, -1, -1.26424112F, {0.735758882F, 0.735758882F, 0.735758882F}},
        {{"ScaledTanh", 1, {3}, {0.5F}, 1, 1}, 1, 1.38635147F, {1.17967159F, 1.17967159F, 1.17967159F}},
        {{"Affine", 1, {3}, {0.5F}, 1, 1}, 1, 3.5F, {3, 3, 3}},
        {{"Softsign", 1, {0}, {0}, 0, 0}, -1, -0.5F, {0.25F, 0.25F, 0.25F}},
        {{"Softplus", 1, {0}, {0}, 0, 0}, 1, 1.31326169F, {0.731058579F, 0.731058579F, 0.731058579F}},
        {{"Sigmoid", 1, {0}, {0}, 0, 0}, 1, 0.731058579F, {0.196611933F, 0.196611933F, 0.196611933F}},
        {{"Tanh", 1, {0}, {0}, 0, 0}, -1, -0.761594156F, {0.419974342F, 0.419974342F, 0.419974342F}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] * 6; i++) {
        driver d;
        bool reference = i % 2 == 1;
        size_t r = i / 6, mode = i / 2 % 3;
        (void)driver_open(&d, "RNN 14 clip=2.0 | f:1x1x1 f:1x1x1c=1 f:1x1x1c=1", 1, false, 1);
        assert_int_equal(add_functions(&d, &rows[r].f), STATUS_OK);
        assert_int_equal(driver_prepare(&d, true), STATUS_OK);
        driver_put(d.in[0], 0, (double)rows[r].x);
        driver_gradients(&d, 1);
        d.grad_out[0][0] = 1;
        driver_forward(&d, reference);
        driver_vjp(&d, reference, (assay_vjp_mode)mode);
        if (fabs(driver_get(d.out[0], 0) - (double)rows[r].y) > 1e-6 ||
            fabsf(d.grad_in[0][0] - rows[r].slope[mode]) > 1e-6F) {
            fail_msg("%s(%g) is %.9g, slope %.9g in mode %zu", rows[r].f.names, (double)rows[r].x,
                     driver_get(d.out[0], 0), (double)d.grad_in[0][0], mode);
        }
        driver_close(&d);
    }
}

/* W = R = 1 and the identity: running sums, forwards and backwards, up to each example's length. */
static void lengths_and_directions(void **state) {
    (void)state;
    /* (t, d, n): n = 0 has three steps, n = 1 two, n = 2 none but a state of 10 */
    static const double want[24] = {1, 4, 0, 9, 9, 0, 3, 9, 0, 8, 5, 0, 6, 0, 0, 6};
    static const double last[6] = {6, 9, 10, 9, 9, 10};
    for (int reference = 0; reference < 2; reference++) {
        driver d;
        (void)driver_open(&d,
                          "RNN 14 direction=bidirectional | f:4x3x1 f:2x1x1c=1,1 f:2x1x1c=1,1 f:2x2c=0,0,0,0 "
                          "i32:3=3,2,0 f:2x3x1c=0,0,10,3,0,10",
                          1, false, 1);
        const functions f = {"Affine\0Affine", 2, {0}, {0}, 0, 0};
        assert_int_equal(add_functions(&d, &f), STATUS_OK);
        assert_int_equal(add_outputs(&d), STATUS_OK);
        assert_int_equal(driver_prepare(&d, true), STATUS_OK);
        static const double x[12] = {1, 4, 7, 2, 5, 7, 3, 7, 7, 7, 7, 7};
        for (size_t i = 0; i < 12; i++) {
            driver_put(d.in[0], i, x[i]);
        }
        driver_forward(&d, reference == 1);
        for (size_t i = 0; i < 24; i++) {
            assert_true(driver_get(d.out[0], i) == want[i]);
        }
        for (size_t i = 0; i < 6; i++) {
            assert_true(driver_get(d.out[1], i) == last[i]);
        }
        driver_close(&d);
    }
}

/* Lengths that the graph computes are cut to 0..T; constants of one example serve all. */
static void odd_lengths_and_shared_states(void **state) {
    (void)state;
    static const char *const specs[] = {"GRU 14 layout=1 | f:Nx3x2 f:1x6x2 f:1x6x2 f:1x12 i32:N f:1x1x2c",
                                        "GRU 14 layout=1 | f:Nx3x2 f:1x6x2 f:1x6x2 f:1x12 i32:1=3 f:Nx1x2"};
    driver d[2];
    for (size_t i = 0; i < 2; i++) {
        driver_ready(&d[i], specs[i], 3, false, 1);
    }
    for (size_t n = 0; n < 3; n++) {
        ((int32_t *)d[0].in[4]->data)[n] = INT32_MAX;
        memcpy((float *)d[1].in[5]->data + 2 * n, d[0].in[5]->data, 2 * sizeof(float));
    }
    driver_forward(&d[0], false);
    driver_forward(&d[1], false);
    assert_memory_equal(d[0].out[0]->data, d[1].out[0]->data, d[0].out[0]->n * sizeof(float));
    for (size_t n = 0; n < 3; n++) {
        ((int32_t *)d[0].in[4]->data)[n] = -5;
    }
    driver_forward(&d[0], false);
    for (size_t i = 0; i < d[0].out[0]->n; i++) {
        assert_true(driver_get(d[0].out[0], i) == 0);
    }
    driver_close(&d[0]);
    driver_close(&d[1]);
}

/* ---- einsum ------------------------------------------------------------------------------------- */

static const char *const equations[][2] = {
    {"bi,ij->bj", "f:Nx4 f:4x3"},
    {"bij,bjk->bik", "f:Nx2x3 f:Nx3x4"},
    {"bhqd,bhkd->bhqk", "f:Nx2x3x2 f:Nx2x4x2"},
    {"bqhd , bkhd -> bhqk", "f:Nx3x2x2 f:Nx4x2x2"},
    {"bhqk,bkhd->bqhd", "f:Nx2x3x4 f:Nx4x2x2"},
    {"...ij,...jk", "f:Nx2x2x3 f:1x3x2"},
    {"...ij,jk->...ki", "f:Nx2x3 f:3x2"},
    {"bi,bi->b", "f:Nx5 f:Nx5"},
    {"bi,bj->bij", "f:Nx3 f:Nx2"},
    {"bi,ij,jk->bk", "f:Nx3 f:3x2 f:2x2"},
    {"bii,i->bi", "f:Nx3x3 f:3"},
    {"bij,kl->bk", "f:Nx2x2 f:2x3"},
    {"bi,b...->b...", "f:Nx2 f:Nx3x2"},
    {"bi,ji->bj", "f:Nx1 f:2x3"}, /* 1 against 3 */
    {"bi,i", "f:Nx3 f:3"},
    {"zA,Ab", "f:Nx3 f:3x2"}, /* capitals sort first: the output is "bz" */
    {"nctw,vw->nctv", "f:Nx2x2x3 f:3x3"},
};
#define N_EQUATIONS (sizeof equations / sizeof equations[0])

static void einsum_gradients(void **state) {
    (void)state;
    for (size_t i = 0; i < N_EQUATIONS; i++) {
        driver f, d;
        if (open_einsum(&f, equations[i][0], equations[i][1], 2, false) != STATUS_OK ||
            open_einsum(&d, equations[i][0], equations[i][1], 2, true) != STATUS_OK) {
            fail_msg("%s: %s", equations[i][0], f.err.text);
        }
        check_gradients(&f, &d, equations[i][0]);
    }
}

/* The first examples' bits, forward and gradient, are the same in batches of 1, 3 and 8. */
static void einsum_invariance(void **state) {
    (void)state;
    for (size_t i = 0; i < N_EQUATIONS - 2; i++) {
        driver d[3];
        const size_t batch[3] = {8, 3, 1};
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(open_einsum(&d[k], equations[i][0], equations[i][1], batch[k], false), STATUS_OK);
            assert_int_equal(driver_prepare(&d[k], true), STATUS_OK);
            driver_gradients(&d[k], 1);
            for (size_t o = 0; o < d[k].n.n_in; o++) {
                memcpy(d[k].in[o]->data, d[0].in[o]->data, d[k].in[o]->n * sizeof(float));
            }
            memcpy(d[k].grad_out[0], d[0].grad_out[0], d[k].out[0]->n * sizeof(float));
            driver_forward(&d[k], false);
            driver_vjp(&d[k], false, ASSAY_VJP_EXACT);
            bool same = memcmp(d[k].out[0]->data, d[0].out[0]->data, d[k].out[0]->n * sizeof(float)) == 0 &&
                        memcmp(d[k].grad_in[0], d[0].grad_in[0], d[k].in[0]->n * sizeof(float)) == 0;
            if (!same) {
                fail_msg("%s: bits depend on the batch", equations[i][0]);
            }
        }
        for (size_t k = 0; k < 3; k++) {
            driver_close(&d[k]);
        }
    }
}

static void einsum_by_hand(void **state) {
    (void)state;
    driver d;
    assert_int_equal(open_einsum(&d, "ij,jk", "i64:2x2c=1,2,3,4 i64:2x2c=9007199254740993,0,0,1", 1, false), STATUS_OK);
    assert_int_equal(driver_prepare(&d, false), STATUS_OK);
    ((int64_t *)d.in[1]->data)[0] = INT64_C(9007199254740993);
    driver_forward(&d, false);
    const int64_t want[4] = {INT64_C(9007199254740993), 2, INT64_C(27021597764222979), 4};
    assert_memory_equal(d.out[0]->data, want, sizeof want);
    driver_close(&d);
    assert_int_equal(open_einsum(&d, "zA,Ab", "f:2x3 f:3x5", 1, false), STATUS_OK);
    assert_true(d.out[0]->n_dims == 2 && d.out[0]->shape[0] == 5 && d.out[0]->shape[1] == 2);
    driver_close(&d);
    assert_int_equal(open_einsum(&d, "->", "f:", 1, false), STATUS_OK);
    assert_int_equal(d.out[0]->n_dims, 0);
    driver_close(&d);
}

/* ---- hostile ------------------------------------------------------------------------------------ */

static void is_refused(driver *d, status s, const char *what) {
    if ((s != STATUS_MODEL && s != STATUS_UNSUPPORTED) || d->err.text[0] == '\0') {
        fail_msg("%s: status %d \"%s\"", what, (int)s, d->err.text);
    }
    driver_close(d);
}

static const char *const bad_specs[] = {
    "RNN 14 | f:3x2x4 f:1x5x4",
    "RNN 14 | f:3x2x4 f:1x5x3 f:1x5x5",
    "RNN 14 | f:3x2x4 f:1x5x4 f:1x5x4",
    "RNN 14 | f:3x2x4 f:2x5x4 f:2x5x5",
    "RNN 14 | f:3x2 f:1x5x4 f:1x5x5",
    "RNN 14 | f:3x2x4 f:1x5x4 f:5x5",
    "RNN 14 | f:3x2x0 f:1x5x0 f:1x5x5",
    "RNN 14 | f:3x2x4 f:1x0x4 f:1x0x0",
    "RNN 14 | i64:3x2x4 i64:1x5x4 i64:1x5x5",
    "RNN 14 | f:3x2x4 i8:1x5x4 f:1x5x5",
    "RNN 14 | - f:1x5x4 f:1x5x5",
    "RNN 14 | f:3x2x4 f:1x5x4 -",
    "RNN 14 hidden_size=4 | f:3x2x4 f:1x5x4 f:1x5x5",
    "RNN 14 hidden_size=-5 | f:3x2x4 f:1x5x4 f:1x5x5",
    "RNN 14 hidden_size=5.0 | f:3x2x4 f:1x5x4 f:1x5x5",
    "RNN 14 direction=sideways | f:3x2x4 f:1x5x4 f:1x5x5",
    "RNN 14 direction=1 | f:3x2x4 f:1x5x4 f:1x5x5",
    "RNN 14 layout=2 | f:3x2x4 f:1x5x4 f:1x5x5",
    "RNN 7 layout=0 | f:3x2x4 f:1x5x4 f:1x5x5",
    "RNN 14 clip=-1.0 | f:3x2x4 f:1x5x4 f:1x5x5",
    "RNN 14 clip=1 | f:3x2x4 f:1x5x4 f:1x5x5",
    "RNN 14 activations=Relu | f:3x2x4 f:1x5x4 f:1x5x5",
    "RNN 14 activation_alpha=1.0 | f:3x2x4 f:1x5x4 f:1x5x5",
    "RNN 14 | f:3x2x4 f:1x5x4 f:1x5x5 f:1x5",
    "RNN 14 | f:3x2x4 f:1x5x4 f:1x5x5 f:2x10",
    "RNN 14 | f:3x2x4 f:1x5x4 f:1x5x5 - i32:2=4,1",
    "RNN 14 | f:3x2x4 f:1x5x4 f:1x5x5 - i32:2=-1,1",
    "RNN 14 | f:3x2x4 f:1x5x4 f:1x5x5 - i32:3=1,1,1",
    "RNN 14 | f:3x2x4 f:1x5x4 f:1x5x5 - i32:1x2=1,1",
    "RNN 14 | f:3x2x4 f:1x5x4 f:1x5x5 - f:2",
    "RNN 14 | f:3x2x4 f:1x5x4 f:1x5x5 - - f:1x2x4",
    "RNN 14 | f:3x2x4 f:1x5x4 f:1x5x5 - - f:1x1x5",
    "RNN 14 | f:3x2x4 f:1x5x4 f:1x5x5 - - f:2x1x5c",
    "RNN 14 | f:Nx2x4 f:1x5x4 f:1x5x5", /* the steps are the batch */
    "RNN 14 layout=1 | f:Nx2x4 f:Nx5x4 f:1x5x5",
    "GRU 14 | f:3x2x4 f:1x5x4 f:1x5x5",
    "GRU 1 linear_before_reset=1 | f:3x2x4 f:1x15x4 f:1x15x5",
    "GRU 14 linear_before_reset=1.0 | f:3x2x4 f:1x15x4 f:1x15x5",
    "GRU 14 | f:3x2x4 f:1x15x4 f:1x15x5 - - - f:1x2x5",
    "LSTM 14 | f:3x2x4 f:1x20x4 f:1x20x5 - - - f:1x2x4",
    "LSTM 14 | f:3x2x4 f:1x20x4 f:1x20x5 - - - - f:1x20",
    "LSTM 14 input_forget=1.0 | f:3x2x4 f:1x20x4 f:1x20x5",
    "LSTM 14 | f:3x2x4 f:1x20x4 f:1x20x5 f:1x20",
    "Einsum 12 | f:Nx2",
    "Einsum 12 equation=1 | f:Nx2",
    "Einsum 12 equation=i->i | f:Nx2",
    "Einsum 12 equation=bi->bj | f:Nx2",
    "Einsum 12 equation=bi->bii | f:Nx2",
    "Einsum 12 equation=bi->i | f:Nx2",
    "Einsum 12 equation=bb->b | f:NxN",
    "Einsum 12 equation=bii->b | f:Nx2x3",
    "Einsum 12 equation=bi- | f:Nx2",
    "Einsum 12 equation=bi->b->b | f:Nx2",
    "Einsum 12 equation=b.i | f:Nx2",
    "Einsum 12 equation=b......i | f:Nx2",
    "Einsum 12 equation=b...ij->b | f:Nx2",
    "Einsum 12 equation=abcdefghi | f:Nx2",
    "Einsum 12 equation=bi | f:Nx2 f:2",
    "Einsum 12 equation=bi | bool:Nx2",
};

static const char *const bad_equations[][2] = {
    {"bi,ij,jk->bk", "f:Nx3 f:3x2"},       {"bi,ij->bj", "f:Nx3 f:2x2"},
    {"bi,ij->bj", "f:Nx3 i64:3x2"},        {"bi,,->b", "f:Nx3 f:3x2"},
    {"b...,...c->bc...", "f:Nx3x2 f:3x2"}, {"bi,ci->bc", "f:Nx3 f:3"},
    {"bi,bi->i", "f:Nx3 f:Nx3"},           {"ab...,cd...->abcd...", "f:1x1x1x1x1x1x1 f:1x1x1x1x1x1x1"},
};

static void hostile_specs(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad_specs / sizeof bad_specs[0]; i++) {
        driver d;
        status s = driver_open(&d, bad_specs[i], 3, false, 1);
        is_refused(&d, s, bad_specs[i]);
    }
    for (size_t i = 0; i < sizeof bad_equations / sizeof bad_equations[0]; i++) {
        driver d;
        status s = open_einsum(&d, bad_equations[i][0], bad_equations[i][1], 3, false);
        is_refused(&d, s, bad_equations[i][0]);
    }
}

static void hostile_functions(void **state) {
    (void)state;
    static const functions bad[] = {
        {"Sigmoid\0Tanh", 2, {0}, {0}, 0, 0},
        {"Sigmoid\0Tanh\0Cosine", 3, {0}, {0}, 0, 0},
        {NULL, 0, {0}, {0}, 0, 0},
        {"Sigmoid\0Tanh\0LeakyRelu", 3, {1, 2}, {0}, 2, 0},
        {"Sigmoid\0Tanh\0LeakyRelu", 3, {1}, {1}, 1, 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        driver d;
        (void)driver_open(&d, "LSTM 14 | f:3x2x4 f:1x20x4 f:1x20x5", 1, false, 1);
        status s = add_functions(&d, &bad[i]);
        is_refused(&d, s, bad[i].names == NULL ? "no names" : bad[i].names);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_output_has_a_gradient),
        cmocka_unit_test(every_activation_has_a_gradient),
        cmocka_unit_test(activations_by_hand),
        cmocka_unit_test(lengths_and_directions),
        cmocka_unit_test(odd_lengths_and_shared_states),
        cmocka_unit_test(einsum_gradients),
        cmocka_unit_test(einsum_invariance),
        cmocka_unit_test(einsum_by_hand),
        cmocka_unit_test(hostile_specs),
        cmocka_unit_test(hostile_functions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
