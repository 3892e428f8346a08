/* SPDX-License-Identifier: Apache-2.0
 * Checks of predict: values, bounds, and that the same question always has the same answer. */
#include <math.h>
#include <string.h>

#include "model/validate_internal.h"

enum { N_EXAMPLES = 33 }; /* one more than the widest tile */

typedef struct data {
    size_t n, n_in, n_out;
    float *x, *z, *z2; /* (n, n_in), (n, n_out) twice */
    float *u, *g, *g2; /* cotangents and gradients */
} data;

static data make_data(check *c, size_t n, uint64_t stream) {
    const model_facts *f = model_get_facts(c->m);
    data d = {.n = n, .n_in = f->n_features, .n_out = f->n_outputs};
    d.x = check_floats(c, n, d.n_in);
    d.z = check_floats(c, n, d.n_out);
    d.z2 = check_floats(c, n, d.n_out);
    d.u = check_floats(c, n, d.n_out);
    d.g = check_floats(c, n, d.n_in);
    d.g2 = check_floats(c, n, d.n_in);
    check_inputs(c, n, stream, false, d.x);
    check_normals(n * d.n_out, 0, stream, d.u);
    return d;
}

static validate_outcome no_predict(check *c) {
    return check_skip(c, "the model lacks %s", ASSAY_PREDICT_1);
}

/* ---- values and bounds -------------------------------------------------------------------------- */

validate_outcome check_predicts(check *c) {
    if (!check_can_predict(c)) {
        return no_predict(c);
    }
    data d = make_data(c, N_EXAMPLES, 10);
    session *s = check_session(c, 8);
    bool ok = s != NULL && check_predict(c, s, d.x, d.n, d.z);
    session_close(s);
    if (!ok) {
        return VALIDATE_FAIL;
    }
    size_t unwritten = guard_count_poison(d.z, d.n * d.n_out);
    if (unwritten > 0) {
        return check_fail(c, "%zu of %zu output values were not written", unwritten, d.n * d.n_out);
    }
    size_t bad = 0;
    double worst_sum = 0;
    for (size_t i = 0; i < d.n; i++) {
        double sum = 0;
        for (size_t k = 0; k < d.n_out; k++) {
            bad += isfinite(d.z[i * d.n_out + k]) ? 0 : 1;
            sum += (double)d.z[i * d.n_out + k];
        }
        worst_sum = fmax(worst_sum, fabs(sum - 1));
    }
    if (bad > 0) {
        return check_fail(c, "%zu of %zu output values are not finite", bad, d.n * d.n_out);
    }
    if (model_get_facts(c->m)->probabilities && worst_sum > 1e-4) {
        return check_fail(c, "the port says PROBABILITIES, but a row is %g away from the sum 1", worst_sum);
    }
    return VALIDATE_PASS;
}

/* Runs several batch sizes and returns the breaches that the session saw; *failed: a call failed without one. */
static unsigned provoke(check *c, bool *failed) {
    static const size_t sizes[] = {1, 7, 8, 32, 33};
    data d = make_data(c, N_EXAMPLES, 11);
    error err = {0};
    unsigned seen = 0;
    *failed = false;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        session *s = check_session(c, 8);
        if (s == NULL) {
            *failed = true;
            return seen;
        }
        status p = check_can_predict(c) ? session_predict(s, d.x, sizes[i], d.z, &err) : STATUS_OK;
        status v = check_can_vjp(c) ? session_vjp(s, d.x, sizes[i], d.u, ASSAY_VJP_EXACT, d.z, d.g, &err) : STATUS_OK;
        *failed |= (p != STATUS_OK || v != STATUS_OK) && s->breaches == 0;
        seen |= s->breaches;
        session_close(s);
    }
    return seen;
}

validate_outcome check_output_bounds(check *c) {
    bool failed = false;
    if ((provoke(c, &failed) & SESSION_OVERRUN) != 0) {
        return check_fail(c, "wrote outside an output or gradient");
    }
    return failed ? check_skip(c, "calls fail for another reason") : VALIDATE_PASS;
}

validate_outcome check_input_kept(check *c) {
    bool failed = false;
    unsigned seen = provoke(c, &failed);
    if ((seen & SESSION_MUTATED) != 0) {
        return check_fail(c, "changed an input or cotangent");
    }
    if ((seen & SESSION_STRUCT) != 0) {
        return check_fail(c, "changed a tensor struct");
    }
    return failed ? check_skip(c, "calls fail for another reason") : VALIDATE_PASS;
}

/* ---- the same bits ------------------------------------------------------------------------------ */

static bool both(check *c, session *s, const data *d, float *z, float *g) {
    return check_predict(c, s, d->x, d->n, z) && (!check_can_vjp(c) || check_vjp(c, s, d->x, d->n, d->u, g));
}

validate_outcome check_deterministic(check *c) {
    if (!check_can_predict(c)) {
        return no_predict(c);
    }
    data d = make_data(c, N_EXAMPLES, 12);
    session *s = check_session(c, 8);
    validate_outcome o = s != NULL && both(c, s, &d, d.z, d.g) ? VALIDATE_PASS : VALIDATE_FAIL;
    for (int round = 0; o == VALIDATE_PASS && round < 6; round++) {
        if (round == 3) { /* a new session must not differ either */
            session_close(s);
            s = check_session(c, 8);
        }
        if (s == NULL || !both(c, s, &d, d.z2, d.g2)) {
            o = VALIDATE_FAIL;
            break;
        }
        size_t i = check_differs(d.z, d.z2, d.n, d.n_out);
        size_t j = check_differs(d.g, d.g2, d.n, d.n_in);
        if (i < d.n || j < d.n) {
            o = check_fail(c, "%s: example %zu has other bits in round %d", i < d.n ? "predict" : "vjp",
                           i < d.n ? i : j, round + 2);
        }
    }
    session_close(s);
    return o;
}

/* Predicts in batches of `batch` and compares with d->z. */
static bool same_in_batches(check *c, session *s, const data *d, size_t batch, uint32_t tile) {
    for (size_t i = 0; i < d->n; i += batch) {
        size_t n = d->n - i < batch ? d->n - i : batch;
        if (!check_predict(c, s, d->x + i * d->n_in, n, d->z2 + i * d->n_out) ||
            (check_can_vjp(c) && !check_vjp(c, s, d->x + i * d->n_in, n, d->u + i * d->n_out, d->g2 + i * d->n_in))) {
            return false;
        }
    }
    size_t i = check_differs(d->z, d->z2, d->n, d->n_out);
    size_t j = check_can_vjp(c) ? check_differs(d->g, d->g2, d->n, d->n_in) : d->n;
    if (i < d->n || j < d->n) {
        (void)check_fail(c, "%s: tile %u: example %zu has other bits in batches of %zu than in one of %zu",
                         i < d->n ? "predict" : "vjp", tile, i < d->n ? i : j, batch, d->n);
        return false;
    }
    return true;
}

/* The examples in reverse order; then with every second one replaced by NaN. */
static bool same_among_others(check *c, session *s, const data *d, uint32_t tile) {
    float *x = check_floats(c, d->n, d->n_in);
    for (size_t i = 0; i < d->n; i++) {
        memcpy(x + i * d->n_in, d->x + (d->n - 1 - i) * d->n_in, d->n_in * sizeof *x);
    }
    if (!check_predict(c, s, x, d->n, d->z2)) {
        return false;
    }
    for (size_t i = 0; i < d->n; i++) {
        if (check_differs(d->z + i * d->n_out, d->z2 + (d->n - 1 - i) * d->n_out, 1, d->n_out) == 0) {
            (void)check_fail(c, "tile %u: example %zu has other bits at position %zu", tile, i, d->n - 1 - i);
            return false;
        }
    }
    memcpy(x, d->x, d->n * d->n_in * sizeof *x);
    for (size_t i = 1; i < d->n; i += 2) {
        for (size_t j = 0; j < d->n_in; j++) {
            x[i * d->n_in + j] = NAN;
        }
    }
    error err = {0};
    if (session_predict(s, x, d->n, d->z2, &err) != STATUS_OK) {
        return true; /* refusing NaN is allowed */
    }
    for (size_t i = 0; i < d->n; i += 2) {
        if (check_differs(d->z + i * d->n_out, d->z2 + i * d->n_out, 1, d->n_out) == 0) {
            (void)check_fail(c, "tile %u: example %zu has other bits beside NaN neighbours", tile, i);
            return false;
        }
    }
    return true;
}

validate_outcome check_batch_invariant(check *c) {
    static const uint32_t tiles[] = {1, 8, 32};
    static const size_t batches[] = {1, 7, 8, 32};
    if (!check_can_predict(c)) {
        return no_predict(c);
    }
    data d = make_data(c, N_EXAMPLES, 13);
    for (size_t t = 0; t < sizeof tiles / sizeof tiles[0]; t++) {
        session *s = check_session(c, tiles[t]);
        bool ok = s != NULL && both(c, s, &d, d.z, d.g);
        for (size_t b = 0; ok && b < sizeof batches / sizeof batches[0]; b++) {
            ok = same_in_batches(c, s, &d, batches[b], tiles[t]);
        }
        ok = ok && same_among_others(c, s, &d, tiles[t]);
        session_close(s);
        if (!ok) {
            return VALIDATE_FAIL;
        }
    }
    return VALIDATE_PASS;
}

/* ---- sessions ----------------------------------------------------------------------------------- */

validate_outcome check_sessions(check *c) {
    enum { N = 6 };
    static const size_t order[N] = {2, 0, 5, 1, 4, 3};
    if (!check_can_predict(c)) {
        return no_predict(c);
    }
    data d = make_data(c, 8, 14);
    session *s[N] = {0};
    validate_outcome o = VALIDATE_PASS;
    for (size_t i = 0; i < N && o == VALIDATE_PASS; i++) {
        s[i] = check_session(c, 8);
        o = s[i] != NULL && check_predict(c, s[i], d.x, d.n, i == 0 ? d.z : d.z2) ? VALIDATE_PASS : VALIDATE_FAIL;
        if (i > 0 && o == VALIDATE_PASS && check_differs(d.z, d.z2, d.n, d.n_out) < d.n) {
            o = check_fail(c, "session %zu gives other bits than the first", i);
        }
    }
    for (size_t i = 0; i < N; i++) {
        session_close(s[order[i]]);
        s[order[i]] = NULL;
        session *last = s[order[N - 1]];
        if (o == VALIDATE_PASS && last != NULL &&
            (!check_predict(c, last, d.x, d.n, d.z2) || check_differs(d.z, d.z2, d.n, d.n_out) < d.n)) {
            o = check_fail(c, "closing one session changes another");
        }
    }
    c->p->api.session_close(NULL); /* allowed */
    return o;
}

enum { N_THREADS = 4, N_ROUNDS = 8 };

typedef struct worker {
    pthread_t thread;
    model *m;
    const data *d;
    float *z, *g;
    bool vjp, differs;
    error err;
    status st;
} worker;

static void *work(void *arg) {
    worker *w = arg;
    const data *d = w->d;
    session *s = NULL;
    w->st = session_open(w->m, &(session_options){.tile = 8, .n_threads = 1}, &s, &w->err);
    for (int r = 0; w->st == STATUS_OK && r < N_ROUNDS; r++) {
        w->st = session_predict(s, d->x, d->n, w->z, &w->err);
        if (w->st == STATUS_OK && w->vjp) {
            w->st = session_vjp(s, d->x, d->n, d->u, ASSAY_VJP_EXACT, NULL, w->g, &w->err);
        }
        w->differs |= w->st == STATUS_OK && (check_differs(d->z, w->z, d->n, d->n_out) < d->n ||
                                             (w->vjp && check_differs(d->g, w->g, d->n, d->n_in) < d->n));
    }
    session_close(s);
    return NULL;
}

/* `n_threads` of a session must not change a bit. */
static bool same_with_threads(check *c, const data *d) {
    session *s = check_session_with(c, &(session_options){.tile = 8, .n_threads = 3});
    bool ok = s != NULL && both(c, s, d, d->z2, d->g2);
    if (ok && (check_differs(d->z, d->z2, d->n, d->n_out) < d->n ||
               (check_can_vjp(c) && check_differs(d->g, d->g2, d->n, d->n_in) < d->n))) {
        (void)check_fail(c, "a session with three threads gives other bits than with one");
        ok = false;
    }
    session_close(s);
    return ok;
}

validate_outcome check_unpadded(check *c) {
    static const size_t sizes[] = {1, 3, N_EXAMPLES};
    if (!check_can_predict(c)) {
        return no_predict(c);
    }
    data d = make_data(c, N_EXAMPLES, 16);
    double worst = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        session *padded = check_session(c, 32);
        session *plain = check_session_with(c, &(session_options){.tile = 32, .n_threads = 1, .unpadded = true});
        bool ok = padded != NULL && plain != NULL && check_predict(c, padded, d.x, sizes[i], d.z) &&
                  check_predict(c, plain, d.x, sizes[i], d.z2);
        session_close(padded);
        session_close(plain);
        if (!ok) {
            return VALIDATE_FAIL;
        }
        worst = fmax(worst, check_gap(d.z, d.z2, sizes[i] * d.n_out));
    }
    return worst <= CHECK_GAP ? VALIDATE_PASS : check_fail(c, "values are up to %.2g away", worst);
}

validate_outcome check_threads(check *c) {
    if (!check_can_predict(c)) {
        return no_predict(c);
    }
    data d = make_data(c, N_EXAMPLES, 15);
    session *s = check_session(c, 8);
    bool ok = s != NULL && both(c, s, &d, d.z, d.g);
    session_close(s);
    if (!ok || !same_with_threads(c, &d)) {
        return VALIDATE_FAIL;
    }
    worker w[N_THREADS];
    size_t started = 0;
    for (; started < N_THREADS; started++) {
        w[started] = (worker){.m = c->m, .d = &d, .vjp = check_can_vjp(c)};
        w[started].z = check_floats(c, d.n, d.n_out);
        w[started].g = check_floats(c, d.n, d.n_in);
        if (pthread_create(&w[started].thread, NULL, work, &w[started]) != 0) {
            break;
        }
    }
    validate_outcome o = started == N_THREADS ? VALIDATE_PASS : check_skip(c, "no threads to be had");
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(w[i].thread, NULL);
        if (w[i].st != STATUS_OK) {
            o = check_fail(c, "thread %zu: %s", i, w[i].err.text);
        } else if (w[i].differs) {
            o = check_fail(c, "thread %zu: other bits than alone", i);
        }
    }
    return o;
}
