/* SPDX-License-Identifier: Apache-2.0
 * The list of checks, and what they share. */
#include "model/validate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "model/validate_internal.h"

/* X(name, what it needs, function, summary), in the order in which they run. */
#define CHECKS(X)                                                                                                      \
    X("loads", CHECK_NOTHING, check_loads, "the library loads, its entry is well-formed, init and deinit work")        \
    X("entry", CHECK_PLUGIN, check_entry, "description and environment text are one clean line and stay the same")     \
    X("unknown-id", CHECK_PLUGIN, check_unknown_id, "an unknown API or capability id gives NULL")                      \
    X("fp-load", CHECK_NOTHING, check_fp_load, "loading keeps the floating-point environment")                         \
    X("opens", CHECK_PLUGIN, check_opens, "the model opens")                                                           \
    X("ports", CHECK_PLUGIN, check_ports, "assay.io/1: names, types, shapes and ranges make sense and stay the same")  \
    X("fp-open", CHECK_PLUGIN, check_fp_open, "opening a model keeps the floating-point environment")                  \
    X("fp-call", CHECK_MODEL, check_fp_call, "predict and vjp keep the floating-point environment")                    \
    X("locale", CHECK_NOTHING, check_locale, "no call changes the locale")                                             \
    X("signals", CHECK_NOTHING, check_signals, "no call changes signal handlers")                                      \
    X("stdout", CHECK_NOTHING, check_stdout, "nothing is printed to stdout")                                           \
    X("labels", CHECK_MODEL, check_labels, "assay.labels/1 agrees with the ports")                                     \
    X("cost", CHECK_MODEL, check_cost, "assay.cost/1 makes sense")                                                     \
    X("layers", CHECK_MODEL, check_layers, "assay.layers/1 adds up to assay.cost/1")                                   \
    X("memory", CHECK_MODEL, check_memory, "assay.memory/1 makes sense")                                               \
    X("embed", CHECK_MODEL, check_embed, "assay.embed/1: layers exist, unknown layers are refused")                    \
    X("predicts", CHECK_MODEL, check_predicts, "inputs in range give finite outputs, written in full")                 \
    X("output-bounds", CHECK_MODEL, check_output_bounds, "nothing is written outside the outputs")                     \
    X("input-kept", CHECK_MODEL, check_input_kept, "inputs and tensor structs are left alone")                         \
    X("deterministic", CHECK_MODEL, check_deterministic, "the same input gives the same bits")                         \
    X("batch-invariant", CHECK_MODEL, check_batch_invariant,                                                           \
      "an example's result depends neither on batch size, position nor neighbours")                                    \
    X("sessions", CHECK_MODEL, check_sessions, "sessions are independent and close in any order")                      \
    X("threads", CHECK_MODEL, check_threads,                                                                           \
      "sessions in parallel, or with more threads, give the bits of a serial run")                                     \
    X("unpadded", CHECK_MODEL, check_unpadded, "an unpadded session gives the same values within 1e-4")                \
    X("vjp", CHECK_MODEL, check_vjp_differences, "the vjp agrees with central differences")                            \
    X("vjp-linear", CHECK_MODEL, check_vjp_linear, "the vjp is linear in the cotangent")                               \
    X("vjp-modes", CHECK_MODEL, check_vjp_modes, "every declared mode runs, undeclared modes are refused")             \
    X("vjp-sets", CHECK_MODEL, check_vjp_sets, "assay.vjp/2 gives the bits of assay.vjp/1, set by set")                \
    X("bad-calls", CHECK_MODEL, check_bad_calls, "wrong tensors are errors, not crashes")                              \
    X("bad-open", CHECK_MODEL, check_bad_open, "wrong open and session arguments are errors, not crashes")             \
    X("unknown-option", CHECK_PLUGIN, check_unknown_option, "an unknown option is an error")                           \
    X("missing-file", CHECK_PLUGIN, check_missing_file, "a missing model file is an error")                            \
    X("truncated-file", CHECK_PLUGIN, check_truncated_file, "a truncated model file is an error")                      \
    X("leaks", CHECK_PLUGIN, check_leaks, "opening and closing 50 times keeps no memory")

#define CHECK_TEST(name, level, run, summary) {name, summary},
static const validate_test tests[] = {CHECKS(CHECK_TEST)};

#define CHECK_BODY(name, level, run, summary) {level, run},
static const struct {
    check_level level;
    check_fn *run;
} bodies[] = {CHECKS(CHECK_BODY)};

#define N_TESTS (sizeof tests / sizeof tests[0])

const validate_test *validate_tests(size_t *n) {
    *n = N_TESTS;
    return tests;
}

static void add(check *c, const char *fmt, va_list ap) {
    if (c->report.len > 0) {
        strbuf_add(&c->report, "; ");
    }
    strbuf_vaddf(&c->report, fmt, ap);
}

validate_outcome check_fail(check *c, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add(c, fmt, ap);
    va_end(ap);
    return VALIDATE_FAIL;
}

validate_outcome check_skip(check *c, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add(c, fmt, ap);
    va_end(ap);
    return VALIDATE_SKIP;
}

void check_note(check *c, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add(c, fmt, ap);
    va_end(ap);
}

/* One value within lo..hi. */
static double draw(rng *r, double lo, double hi, bool margin) {
    if (isfinite(lo) && isfinite(hi)) {
        double cut = margin ? 0.1 * (hi - lo) : 0;
        return lo + cut + (hi - lo - 2 * cut) * rng_unit(r);
    }
    double v = rng_normal(r);
    if (isfinite(lo)) {
        return lo + fabs(v);
    }
    return isfinite(hi) ? hi - fabs(v) : v;
}

void check_inputs(const check *c, size_t n, uint64_t stream, bool margin, float *x) {
    const model_facts *f = model_get_facts(c->m);
    for (size_t i = 0; i < n; i++) {
        rng r = rng_at(1, "validate-input@1", i, 0, stream);
        for (size_t j = 0; j < f->n_features; j++) {
            float v = (float)draw(&r, f->range_lo, f->range_hi, margin);
            /* rounding to float32 may step over the edge of the range */
            bool out = (double)v < f->range_lo || (double)v > f->range_hi;
            x[i * f->n_features + j] = out ? nextafterf(v, 0.0F) : v;
        }
    }
}

void check_normals(size_t n, uint64_t example, uint64_t stream, float *v) {
    rng r = rng_at(1, "validate-normal@1", example, 0, stream);
    for (size_t i = 0; i < n; i++) {
        v[i] = (float)rng_normal(&r);
    }
}

float *check_floats(check *c, size_t n, size_t per_example) {
    return arena_alloc(&c->a, n * per_example * sizeof(float));
}

session *check_session_with(check *c, const session_options *o) {
    error err = {0};
    session *s = NULL;
    if (session_open(c->m, o, &s, &err) != STATUS_OK) {
        (void)check_fail(c, "%s", err.text);
    }
    return s;
}

session *check_session(check *c, uint32_t tile) {
    return check_session_with(c, &(session_options){.tile = tile, .n_threads = 1});
}

double check_gap(const float *a, const float *b, size_t n) {
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        double d = isnan(a[i]) && isnan(b[i]) ? 0 : fabs((double)a[i] - (double)b[i]) / fmax(1, fabs((double)a[i]));
        worst = d > worst || isnan(d) ? (isnan(d) ? INFINITY : d) : worst;
    }
    return worst;
}

bool check_predict(check *c, session *s, const float *x, size_t n, float *out) {
    error err = {0};
    bool ok = session_predict(s, x, n, out, &err) == STATUS_OK;
    if (!ok) {
        (void)check_fail(c, "batch of %zu: %s", n, err.text);
    }
    return ok;
}

bool check_vjp(check *c, session *s, const float *x, size_t n, const float *ct, float *gradient) {
    error err = {0};
    bool ok = session_vjp(s, x, n, ct, ASSAY_VJP_EXACT, NULL, gradient, &err) == STATUS_OK;
    if (!ok) {
        (void)check_fail(c, "batch of %zu: %s", n, err.text);
    }
    return ok;
}

bool check_can_predict(const check *c) {
    return c->m->predict.predict != NULL;
}

bool check_can_vjp(const check *c) {
    return c->m->vjp.vjp != NULL && (c->m->vjp.modes & (1u << ASSAY_VJP_EXACT)) != 0;
}

size_t check_differs(const float *a, const float *b, size_t n, size_t per_example) {
    for (size_t i = 0; i < n; i++) {
        if (memcmp(a + i * per_example, b + i * per_example, per_example * sizeof *a) != 0) {
            return i;
        }
    }
    return n;
}

/* What a check needs before it can begin. If that fails, "loads", "opens" and "ports" are the checks that say so. */
static validate_outcome prepare_and_run(check *c, size_t i) {
    error err = {0};
    if (bodies[i].level >= CHECK_PLUGIN && plugin_load(c->plugin_path, &c->p, &err) != STATUS_OK) {
        return check_skip(c, "not reached: %s", err.text);
    }
    if (bodies[i].level >= CHECK_MODEL &&
        model_open(c->p, c->model_path, c->options, c->n_options, &c->m, &err) != STATUS_OK) {
        return check_skip(c, "not reached: %s", err.text);
    }
    return bodies[i].run(c);
}

status validate_run_test(const char *name, const char *plugin_path, const char *model_path, const assay_option *options,
                         size_t n_options, char *report, size_t cap, error *err) {
    size_t i = 0;
    while (i < N_TESTS && strcmp(tests[i].name, name) != 0) {
        i++;
    }
    if (i == N_TESTS) {
        return error_set(err, STATUS_USAGE, "there is no check \"%s\"", name);
    }
    check c = {.plugin_path = plugin_path, .model_path = model_path, .options = options, .n_options = n_options};
    validate_outcome o = prepare_and_run(&c, i);
    model_close(c.m);
    plugin_unload(c.p);
    (void)snprintf(report, cap, "%s", strbuf_str(&c.report));
    strbuf_free(&c.report);
    arena_free(&c.a);
    return o == VALIDATE_PASS ? STATUS_OK : o == VALIDATE_FAIL ? STATUS_MODEL : STATUS_UNSUPPORTED;
}

const char *validate_outcome_name(validate_outcome o) {
    return o == VALIDATE_PASS ? "pass" : o == VALIDATE_FAIL ? "FAIL" : "skip";
}
