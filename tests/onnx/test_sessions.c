/* SPDX-License-Identifier: Apache-2.0
 * labels: threads
 * Sessions in parallel give the bits of one session alone; the reference path agrees with the fast one; quantised
 * models have a zero exact gradient and a useful straight-through one; buffers with overlapping lives never overlap. */
#include "support.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "pool.h"
#include "session.h"

enum { N_THREADS = 3, N = 9, TILE = 4 };

static float *random_inputs(const rig *r, size_t n) {
    float *x = mem_zalloc(n * r->n_features * sizeof *x);
    rng g = rng_at(3, "onnx-sessions@1", 0, 0, 0);
    for (size_t i = 0; i < n * r->n_features; i++) {
        x[i] = (float)rng_unit(&g);
    }
    return x;
}

static void open_example(rig *r, const char *name) {
    char path[512];
    if (rig_open(r, source_path(path, name), NULL, 0) != ASSAY_OK) {
        fail_msg("%s", r->text);
    }
}

/* ---- parallel sessions -------------------------------------------------------------------------- */

typedef struct job {
    rig *r;
    const float *x, *c;
    float *out, *g;
    assay_status status;
    uint32_t n_threads; /* within the session */
} job;

/* cmocka's asserts belong to the main thread, so statuses are carried home. */
static void *run_job(void *arg) {
    job *j = arg;
    const assay_vjp *v = j->r->api->capability(j->r->model, ASSAY_VJP_1);
    assay_session *s = NULL;
    assay_session_args a = {.struct_size = sizeof a, .tile = TILE, .n_threads = j->n_threads};
    j->status = j->r->api->session_open(j->r->model, &a, &s, NULL);
    for (int repeat = 0; repeat < 2 && j->status == ASSAY_OK; repeat++) {
        assay_tensor in = rig_tensor(&j->r->in, j->x, N), g = rig_tensor(&j->r->in, j->g, N);
        assay_tensor c[2] = {rig_tensor(&j->r->out[0], j->c, N), rig_tensor(&j->r->out[1], NULL, N)};
        assay_tensor o[2] = {rig_tensor(&j->r->out[0], j->out, N), rig_tensor(&j->r->out[1], NULL, N)};
        j->status = v->vjp(s, &in, 1, c, j->r->n_ports, o, &g, ASSAY_VJP_EXACT, NULL);
    }
    j->r->api->session_close(s);
    return NULL;
}

static void parallel(const char *name) {
    rig r;
    open_example(&r, name);
    float *x = random_inputs(&r, N), *c = mem_zalloc(N * r.n_outputs * 4);
    for (size_t i = 0; i < N * r.n_outputs; i++) {
        c[i] = (float)(i % 3) - 1;
    }
    job jobs[N_THREADS + 1];
    pthread_t threads[N_THREADS];
    for (int t = 0; t <= N_THREADS; t++) {
        float *out = mem_zalloc(N * r.n_outputs * 4), *g = mem_zalloc(N * r.n_features * 4);
        jobs[t] = (job){&r, x, c, out, g, ASSAY_OK, t == N_THREADS ? 1 : 1 + (uint32_t)t % 3};
    }
    (void)run_job(&jobs[N_THREADS]);
    for (int t = 0; t < N_THREADS; t++) {
        assert_int_equal(pthread_create(&threads[t], NULL, run_job, &jobs[t]), 0);
    }
    for (int t = 0; t < N_THREADS; t++) {
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    }
    for (int t = 0; t <= N_THREADS; t++) {
        assert_int_equal(jobs[t].status, ASSAY_OK);
        assert_memory_equal(jobs[t].out, jobs[N_THREADS].out, N * r.n_outputs * 4);
        assert_memory_equal(jobs[t].g, jobs[N_THREADS].g, N * r.n_features * 4);
    }
    for (int t = 0; t <= N_THREADS; t++) {
        mem_free(jobs[t].out);
        mem_free(jobs[t].g);
    }
    mem_free(x);
    mem_free(c);
    rig_close(&r);
}

static void test_parallel(void **state) {
    (void)state;
    parallel("examples/models/fashion-cnn-fp32.onnx");
    parallel("examples/models/fashion-cnn-int8.onnx");
    parallel("examples/models/hmda-mlp.onnx");
}

/* ---- the reference path ------------------------------------------------------------------------- */

static void reference_agrees(const char *name) {
    rig fast, slow;
    const char *before = getenv("ASSAY_ONNX_REFERENCE");
    bool already = before != NULL && strcmp(before, "1") == 0;
    open_example(&fast, name);
    (void)setenv("ASSAY_ONNX_REFERENCE", "1", 1);
    open_example(&slow, name);
    if (!already) {
        (void)unsetenv("ASSAY_ONNX_REFERENCE");
    }
    assert_true(slow.model->reference);
    size_t n = 2, n_in = n * fast.n_features, n_out = n * fast.n_outputs;
    float *x = random_inputs(&fast, n), *c = mem_zalloc(n_out * 4), *a = mem_zalloc(n_out * 4);
    float *b = mem_zalloc(n_out * 4), *ga = mem_zalloc(n_in * 4), *gb = mem_zalloc(n_in * 4);
    for (size_t i = 0; i < n_out; i++) {
        c[i] = i % 2 == 0 ? 1 : -1;
    }
    assay_session *s = rig_session(&fast, 1, 0), *t = rig_session(&slow, 1, 0);
    rig_vjp(&fast, s, x, n, c, ASSAY_VJP_EXACT, a, ga);
    rig_vjp(&slow, t, x, n, c, ASSAY_VJP_EXACT, b, gb);
    for (size_t i = 0; i < n_out; i++) {
        assert_true(fabsf(a[i] - b[i]) <= 1e-4f * (1 + fabsf(b[i])));
    }
    for (size_t i = 0; i < n_in; i++) {
        assert_true(fabsf(ga[i] - gb[i]) <= 1e-4f * (1 + fabsf(gb[i])));
    }
    fast.api->session_close(s);
    slow.api->session_close(t);
    float *all[] = {x, c, a, b, ga, gb};
    for (size_t i = 0; i < 6; i++) {
        mem_free(all[i]);
    }
    rig_close(&fast);
    rig_close(&slow);
}

static void test_reference(void **state) {
    (void)state;
    reference_agrees("examples/models/fashion-cnn-fp32.onnx");
    reference_agrees("examples/models/fashion-mlp.onnx");
    reference_agrees("examples/models/hmda-mlp.onnx");
}

/* ---- quantised models --------------------------------------------------------------------------- */

static double cosine(const float *a, const float *b, size_t n) {
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

static void test_straight_through(void **state) {
    (void)state;
    rig q, f;
    open_example(&q, "examples/models/fashion-cnn-int8.onnx");
    open_example(&f, "examples/models/fashion-cnn-fp32.onnx");
    size_t n = 8, n_in = n * q.n_features;
    float *x = fashion_images(0, n), *c = mem_zalloc(n * q.n_outputs * 4);
    x = x != NULL ? x : random_inputs(&q, n);
    float *g = mem_zalloc(n_in * 4), *h = mem_zalloc(n_in * 4);
    for (size_t i = 0; i < n; i++) {
        c[i * q.n_outputs + i % q.n_outputs] = 1;
    }
    assay_session *s = rig_session(&q, 8, 0), *t = rig_session(&f, 8, 0);
    rig_vjp(&q, s, x, n, c, ASSAY_VJP_EXACT, NULL, g);
    for (size_t i = 0; i < n_in; i++) {
        assert_true(g[i] == 0);
    }
    rig_vjp(&q, s, x, n, c, ASSAY_VJP_STRAIGHT_THROUGH, NULL, g);
    rig_vjp(&f, t, x, n, c, ASSAY_VJP_EXACT, NULL, h);
    double cos = cosine(g, h, n_in);
    print_message("cosine of the straight-through gradient of int8 with the gradient of fp32: %.3f\n", cos);
    assert_true(cos > 0.8);
    q.api->session_close(s);
    f.api->session_close(t);
    float *all[] = {x, c, g, h};
    for (size_t i = 0; i < 4; i++) {
        mem_free(all[i]);
    }
    rig_close(&q);
    rig_close(&f);
}

/* ---- plans and memory --------------------------------------------------------------------------- */

/* Many batch sizes through one unpadded session: plans are dropped and made again, bits stay. */
static void test_plan_cache(void **state) {
    (void)state;
    enum { MANY = 21 }; /* more than OX_MAX_PLANS */
    rig r;
    open_example(&r, "examples/models/hmda-mlp.onnx");
    float *x = random_inputs(&r, MANY), *first = mem_zalloc(MANY * r.n_outputs * 4),
          *out = mem_zalloc(MANY * r.n_outputs * 4);
    assay_session *s = rig_session(&r, 8, ASSAY_SESSION_UNPADDED);
    rig_predict(&r, s, x, MANY, first);
    for (size_t n = 1; n <= MANY; n++) {
        rig_predict(&r, s, x, n, out);
    }
    rig_predict(&r, s, x, MANY, out);
    assert_memory_equal(first, out, MANY * r.n_outputs * 4);
    r.api->session_close(s);
    float *all[] = {x, first, out};
    for (size_t i = 0; i < 3; i++) {
        mem_free(all[i]);
    }
    rig_close(&r);
}

static void test_pool(void **state) {
    (void)state;
    enum { LIVE = 16, LIMIT = 1 << 16 };
    pool p = {.limit = LIMIT};
    size_t at[LIVE], n[LIVE] = {0};
    rng g = rng_at(1, "onnx-pool@1", 0, 0, 0);
    for (int step = 0; step < 20000; step++) {
        size_t i = (size_t)rng_below(&g, LIVE);
        if (n[i] > 0) {
            pool_give(&p, at[i], n[i]);
            n[i] = 0;
            continue;
        }
        size_t want = 1 + (size_t)rng_below(&g, 6000);
        if (!pool_take(&p, want, &at[i])) {
            continue;
        }
        n[i] = want;
        assert_true(at[i] % MEM_ALIGN == 0 && at[i] + n[i] <= LIMIT);
        for (size_t k = 0; k < LIVE; k++) {
            assert_true(k == i || n[k] == 0 || at[k] + n[k] <= at[i] || at[i] + n[i] <= at[k]);
        }
    }
    for (size_t i = 0; i < LIVE; i++) {
        if (n[i] > 0) {
            pool_give(&p, at[i], n[i]);
        }
    }
    assert_true(p.n_free == 1 && p.free[0].at == 0 && p.free[0].n == p.top); /* all joined again */
    size_t none = 0;
    assert_false(pool_take(&p, SIZE_MAX, &none));
    assert_false(pool_take(&p, LIMIT + 1, &none));
    pool_destroy(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parallel), cmocka_unit_test(test_reference),
                                       cmocka_unit_test(test_straight_through), cmocka_unit_test(test_plan_cache),
                                       cmocka_unit_test(test_pool)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
