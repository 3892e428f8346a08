/* SPDX-License-Identifier: Apache-2.0
 * Forward and vjp against PyTorch: tests/golden/onnx/ops.bin, written by make_ops.py there (which describes it), and
 * spatial.bin, by make_spatial.py. */
#include "kernel_driver.h"

typedef struct golden {
    unsigned char *data;
    size_t n, at;
} golden;

static void read_golden(golden *g, const char *name) {
    const char *root = getenv("ASSAY_SOURCE_DIR");
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/tests/golden/onnx/%s", root != NULL ? root : ".", name);
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        fail_msg("%s is missing", path);
    }
    g->data = mem_zalloc(1 << 20);
    g->n = fread(g->data, 1, 1 << 20, f);
    (void)fclose(f);
    g->at = 0;
}

static void take(golden *g, void *to, size_t bytes) {
    assert_true(bytes <= g->n - g->at);
    memcpy(to, g->data + g->at, bytes);
    g->at += bytes;
}

static void compare(golden *g, const float *got, size_t n, const char *spec, const char *what) {
    double scale = 1;
    float *want = mem_zalloc(n * sizeof(float));
    take(g, want, n * sizeof(float));
    for (size_t i = 0; i < n; i++) {
        scale = fmax(scale, fabs((double)want[i]));
    }
    for (size_t i = 0; i < n; i++) {
        if (!(fabs((double)got[i] - (double)want[i]) <= 1e-5 * scale)) {
            fail_msg("%s: %s[%zu] is %.9g, torch has %.9g", spec, what, i, (double)got[i], (double)want[i]);
        }
    }
    mem_free(want);
}

static void one_case(golden *g, const char *spec, bool reference) {
    driver d;
    size_t n = 0;
    const size_t item[] = {[ASSAY_F32] = 4, [ASSAY_U8] = 1, [ASSAY_I8] = 1, [ASSAY_I64] = 8};
    assert_int_equal(driver_open(&d, spec, 3, false, 1), STATUS_OK);
    const char *inputs = strchr(spec, '|');
    for (const char *t = strchr(inputs, ':'); t != NULL; t = strchr(t + 1, ':'), n++) {
        size_t length = strcspn(t, " ");
        if (memchr(t, '=', length) == NULL) {
            take(g, d.in[n]->data, d.in[n]->n * item[d.in[n]->dtype]);
        }
    }
    assert_int_equal(driver_prepare(&d, true), STATUS_OK);
    driver_gradients(&d, 1);
    driver_forward(&d, reference);
    if (d.out[0]->dtype == ASSAY_F32) {
        compare(g, d.out[0]->data, d.out[0]->n, spec, "output");
    } else {
        assert_true(d.out[0]->n <= g->n - g->at);
        assert_memory_equal(d.out[0]->data, g->data + g->at, d.out[0]->n);
        g->at += d.out[0]->n;
    }
    take(g, d.grad_out[0], d.out[0]->n * sizeof(float));
    driver_vjp(&d, reference, ASSAY_VJP_STRAIGHT_THROUGH);
    for (size_t i = 0; i < d.n.n_in; i++) {
        if (d.grad_in[i] != NULL) {
            compare(g, d.grad_in[i], d.in[i]->n, spec, "gradient");
        }
    }
    driver_close(&d);
}

static size_t all_of(const char *name, bool reference) {
    golden g = {0};
    size_t n = 0;
    read_golden(&g, name);
    while (g.at < g.n) {
        char spec[256] = {0};
        unsigned char length[4];
        take(&g, length, 4);
        size_t bytes = length[0];
        assert_true(bytes < sizeof spec && length[1] == 0);
        take(&g, spec, bytes);
        one_case(&g, spec, reference);
        n++;
    }
    mem_free(g.data);
    return n;
}

static void all_cases(bool reference) {
    assert_true(all_of("ops.bin", reference) >= 50);
    assert_true(all_of("spatial.bin", reference) >= 28);
}

static void fast_equals_torch(void **state) {
    (void)state;
    all_cases(false);
}

static void reference_equals_torch(void **state) {
    (void)state;
    all_cases(true);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(fast_equals_torch), cmocka_unit_test(reference_equals_torch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
