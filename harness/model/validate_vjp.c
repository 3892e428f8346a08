/* SPDX-License-Identifier: Apache-2.0
 * Checks of the vjp: against central differences of predict, linear in the cotangent, modes.
 *
 * Differences of a float32 model are noisy and a rectifier's kink spoils them, so each pair of example and direction is
 * tried with several step lengths; a step decides only if the expected change stands well above the rounding of the
 * outputs. Expected is the sum of gradient times the step as float32 really took it. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "model/validate_internal.h"

enum { N = 8, N_DIRECTIONS = 5, N_STEPS = 9 };

typedef struct trial {
    size_t n_in, n_out;
    float *x, *u, *g, *plus, *minus, *zp, *zm;
    double *d;
} trial;

static double unit_range(const model_facts *f) {
    return isfinite(f->range_lo) && isfinite(f->range_hi) ? f->range_hi - f->range_lo : 1;
}

static trial make_trial(check *c) {
    const model_facts *f = model_get_facts(c->m);
    trial t = {.n_in = f->n_features, .n_out = f->n_outputs};
    t.x = check_floats(c, N, t.n_in);
    t.g = check_floats(c, N, t.n_in);
    t.plus = check_floats(c, N, t.n_in);
    t.minus = check_floats(c, N, t.n_in);
    t.u = check_floats(c, N, t.n_out);
    t.zp = check_floats(c, N, t.n_out);
    t.zm = check_floats(c, N, t.n_out);
    t.d = arena_alloc(&c->a, N * t.n_in * sizeof *t.d);
    check_inputs(c, N, 20, true, t.x);
    check_normals(N * t.n_out, 0, 21, t.u);
    return t;
}

/* Directions of length 1 per example. 0: the gradient; 1, 2: the gradient on a random third of the inputs (so that
 * entries in the wrong place show); 3, 4: random (so that missing entries show). */
static void make_directions(trial *t, int kind) {
    for (size_t i = 0; i < N; i++) {
        rng r = rng_at(1, "validate-direction@1", i, (uint64_t)kind, 0);
        double norm = 0;
        for (size_t j = 0; j < t->n_in; j++) {
            double g = (double)t->g[i * t->n_in + j];
            double v = kind == 0 ? g : kind <= 2 ? (rng_unit(&r) < 1.0 / 3 ? g : 0) : rng_normal(&r);
            t->d[i * t->n_in + j] = v;
            norm += v * v;
        }
        norm = sqrt(norm);
        for (size_t j = 0; j < t->n_in; j++) {
            t->d[i * t->n_in + j] = norm > 0 ? t->d[i * t->n_in + j] / norm : 0;
        }
    }
}

/* x +- length * d, no coordinate moved by more than a twentieth of the range. */
static void make_steps(trial *t, double range, double relative) {
    for (size_t i = 0; i < N; i++) {
        double top = 0;
        for (size_t j = 0; j < t->n_in; j++) {
            top = fmax(top, fabs(t->d[i * t->n_in + j]));
        }
        double length = relative * range * (top > 0 ? fmin(1, 0.05 / top) : 0);
        for (size_t j = 0; j < t->n_in; j++) {
            size_t k = i * t->n_in + j;
            t->plus[k] = (float)((double)t->x[k] + length * t->d[k]);
            t->minus[k] = (float)((double)t->x[k] - length * t->d[k]);
        }
    }
}

typedef enum verdict { UNDECIDED, AGREES, DIFFERS } verdict;

static verdict compare(const trial *t, size_t i, double *off) {
    double expected = 0;
    double measured = 0;
    double noise = 0;
    double gg = 0;
    double ss = 0;
    for (size_t k = i * t->n_in; k < (i + 1) * t->n_in; k++) {
        double step = (double)t->plus[k] - (double)t->minus[k];
        expected += (double)t->g[k] * step;
        gg += (double)t->g[k] * (double)t->g[k];
        ss += step * step;
    }
    for (size_t k = i * t->n_out; k < (i + 1) * t->n_out; k++) {
        measured += (double)t->u[k] * ((double)t->zp[k] - (double)t->zm[k]);
        noise += fabs((double)t->u[k]) * (fabs((double)t->zp[k]) + fabs((double)t->zm[k]));
    }
    noise *= 8 * (double)FLT_EPSILON;
    /* A random direction may happen to be level: errors are then measured by what such a step usually changes. */
    double size = fmax(fmax(fabs(expected), fabs(measured)), sqrt(gg * ss / (double)t->n_in));
    if (size == 0) {
        return AGREES;
    }
    if (noise > 0.02 * size) {
        return UNDECIDED;
    }
    *off = fabs(expected - measured) / size;
    return *off <= 0.03 ? AGREES : DIFFERS;
}

typedef struct tally {
    size_t agree, differ, undecided;
    double worst; /* of the pairs that differ: the least error over steps */
} tally;

/* All steps in one direction; false if a call fails. */
static bool try_direction(check *c, session *s, trial *t, tally *sum) {
    static const double steps[N_STEPS] = {1, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4};
    verdict best[N] = {UNDECIDED};
    double least[N];
    for (size_t i = 0; i < N; i++) {
        least[i] = INFINITY;
    }
    for (size_t h = 0; h < N_STEPS; h++) {
        make_steps(t, unit_range(model_get_facts(c->m)), steps[h]);
        if (!check_predict(c, s, t->plus, N, t->zp) || !check_predict(c, s, t->minus, N, t->zm)) {
            return false;
        }
        for (size_t i = 0; i < N; i++) {
            double e = INFINITY;
            verdict v = compare(t, i, &e);
            least[i] = fmin(least[i], e);
            best[i] = best[i] == AGREES || v == AGREES ? AGREES : v == DIFFERS ? DIFFERS : best[i];
        }
    }
    for (size_t i = 0; i < N; i++) {
        sum->agree += best[i] == AGREES;
        sum->differ += best[i] == DIFFERS;
        sum->undecided += best[i] == UNDECIDED;
        sum->worst = best[i] == DIFFERS ? fmax(sum->worst, least[i]) : sum->worst;
    }
    return true;
}

static bool all_zero(const float *v, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (v[i] != 0) {
            return false;
        }
    }
    return true;
}

/* A gradient of 0 everywhere is right for a staircase (quantised models): then steps far smaller than a stair change
 * nothing at all, but for the rare input that stands at an edge. */
static validate_outcome check_flat(check *c, session *s, trial *t) {
    make_directions(t, 3);
    make_steps(t, unit_range(model_get_facts(c->m)), 1e-5);
    if (!check_predict(c, s, t->plus, N, t->zp) || !check_predict(c, s, t->minus, N, t->zm)) {
        return VALIDATE_FAIL;
    }
    size_t same = 0;
    for (size_t i = 0; i < N; i++) {
        same += check_differs(t->zp + i * t->n_out, t->zm + i * t->n_out, 1, t->n_out) == 1;
    }
    if (same <= N / 2) {
        return check_fail(c, "the gradient is 0 everywhere, but the outputs of %zu in %d examples move", N - same, N);
    }
    check_note(c, "the function is flat, and so is the gradient");
    return VALIDATE_PASS;
}

static validate_outcome run_differences(check *c, session *s) {
    trial t = make_trial(c);
    tally sum = {0};
    if (!check_vjp(c, s, t.x, N, t.u, t.g)) {
        return VALIDATE_FAIL;
    }
    for (size_t i = 0; i < N * t.n_in; i++) {
        if (!isfinite(t.g[i])) {
            return check_fail(c, "a gradient is not finite");
        }
    }
    if (all_zero(t.g, N * t.n_in)) {
        return check_flat(c, s, &t);
    }
    for (int kind = 0; kind < N_DIRECTIONS; kind++) {
        make_directions(&t, kind);
        if (!try_direction(c, s, &t, &sum)) {
            return VALIDATE_FAIL;
        }
    }
    check_note(c, "%zu of %zu differences agree within 3 %%, %zu drown in rounding", sum.agree,
               sum.agree + sum.differ + sum.undecided, sum.undecided);
    if (sum.differ > 0) {
        check_note(c, "the others are up to %.0f %% away", 100 * sum.worst);
    }
    if (sum.differ * 5 > sum.agree + sum.differ) { /* a fifth may lie across a kink at every step length */
        return check_fail(c, "%zu differ: more than a fifth", sum.differ);
    }
    return sum.agree + sum.differ > 0 ? VALIDATE_PASS : VALIDATE_SKIP;
}

static validate_outcome no_vjp(check *c) {
    return check_skip(c, "the model lacks %s in exact mode", ASSAY_VJP_1);
}

validate_outcome check_vjp_differences(check *c) {
    if (!check_can_vjp(c) || !check_can_predict(c)) {
        return no_vjp(c);
    }
    session *s = check_session(c, 8);
    validate_outcome o = s == NULL ? VALIDATE_FAIL : run_differences(c, s);
    session_close(s);
    return o;
}

static validate_outcome run_linear(check *c, session *s) {
    trial t = make_trial(c);
    float *v = check_floats(c, N, t.n_out);
    float *gv = check_floats(c, N, t.n_in);
    float *gw = check_floats(c, N, t.n_in);
    check_normals(N * t.n_out, 1, 22, v);
    if (!check_vjp(c, s, t.x, N, t.u, t.g) || !check_vjp(c, s, t.x, N, v, gv)) {
        return VALIDATE_FAIL;
    }
    for (size_t i = 0; i < N * t.n_out; i++) {
        v[i] = 2 * t.u[i] - 3 * v[i];
    }
    if (!check_vjp(c, s, t.x, N, v, gw)) {
        return VALIDATE_FAIL;
    }
    for (size_t i = 0; i < N; i++) {
        double diff = 0;
        double size = 0;
        for (size_t k = i * t.n_in; k < (i + 1) * t.n_in; k++) {
            double want = 2 * (double)t.g[k] - 3 * (double)gv[k];
            diff = fmax(diff, fabs((double)gw[k] - want));
            size = fmax(size, 2 * fabs((double)t.g[k]) + 3 * fabs((double)gv[k]));
        }
        if (!(diff <= 1e-3 * size)) {
            return check_fail(c, "example %zu: vjp(2u - 3v) is %.2g away from 2 vjp(u) - 3 vjp(v), of size %.2g", i,
                              diff, size);
        }
    }
    memset(v, 0, N * t.n_out * sizeof *v);
    if (!check_vjp(c, s, t.x, N, v, gw)) {
        return VALIDATE_FAIL;
    }
    return all_zero(gw, N * t.n_in) ? VALIDATE_PASS : check_fail(c, "a cotangent of 0 gives a gradient that is not 0");
}

validate_outcome check_vjp_linear(check *c) {
    if (!check_can_vjp(c)) {
        return no_vjp(c);
    }
    session *s = check_session(c, 8);
    validate_outcome o = s == NULL ? VALIDATE_FAIL : run_linear(c, s);
    session_close(s);
    return o;
}

/* Modes that are declared give finite values and the outputs of predict; the next one is refused. */
static validate_outcome run_modes(check *c, session *s) {
    trial t = make_trial(c);
    error err = {0};
    if (check_can_predict(c) && !check_predict(c, s, t.x, N, t.zp)) {
        return VALIDATE_FAIL;
    }
    for (uint32_t mode = 0; mode <= ASSAY_VJP_STRAIGHT_THROUGH; mode++) {
        if ((c->m->vjp.modes & (1u << mode)) == 0) {
            continue;
        }
        if (session_vjp(s, t.x, N, t.u, mode, t.zm, t.g, &err) != STATUS_OK) {
            return check_fail(c, "mode %u: %s", mode, err.text);
        }
        if (guard_count_poison(t.g, N * t.n_in) > 0) {
            return check_fail(c, "mode %u: a part of the gradient was not written", mode);
        }
        double gap = check_can_predict(c) ? check_gap(t.zp, t.zm, N * t.n_out) : 0;
        if (!(gap <= CHECK_GAP)) { /* the same bits are not promised: backward passes keep other intermediates */
            return check_fail(c, "mode %u: the forward values are up to %.2g away from those of predict", mode, gap);
        }
    }
    uint32_t declared = c->m->vjp.modes;
    c->m->vjp.modes = UINT32_MAX; /* past the host's own check */
    status st = session_vjp(s, t.x, N, t.u, 31, NULL, t.g, &err);
    c->m->vjp.modes = declared;
    return st != STATUS_OK ? VALIDATE_PASS : check_fail(c, "mode 31 does not exist but is not refused");
}

validate_outcome check_vjp_modes(check *c) {
    if (c->m->vjp.vjp == NULL) {
        return check_skip(c, "the model lacks %s", ASSAY_VJP_1);
    }
    session *s = check_session(c, 8);
    validate_outcome o = s == NULL ? VALIDATE_FAIL : run_modes(c, s);
    session_close(s);
    return o;
}

/* Random cotangents, zeros and random ones again: nothing of one set may be left for the next. */
static validate_outcome run_sets(check *c, session *s) {
    enum { N_SETS = 4 };
    error err = {0};
    trial t = make_trial(c);
    size_t n_u = N * t.n_out, n_g = N * t.n_in;
    float *u = check_floats(c, N_SETS, n_u);
    float *g = check_floats(c, N_SETS, n_g);
    for (uint64_t k = 0; k < N_SETS; k++) {
        if (k != 1) {
            check_normals(n_u, k, 23, u + k * n_u);
        }
    }
    for (uint32_t mode = 0; mode <= ASSAY_VJP_STRAIGHT_THROUGH; mode++) {
        if ((c->m->vjp_sets.modes & (1u << mode)) == 0) {
            continue;
        }
        if (session_vjp_sets(s, t.x, N, u, N_SETS, mode, t.zp, g, &err) != STATUS_OK) {
            return check_fail(c, "mode %u: %s", mode, err.text);
        }
        for (size_t k = 0; k < N_SETS; k++) {
            if (session_vjp(s, t.x, N, u + k * n_u, mode, t.zm, t.g, &err) != STATUS_OK) {
                return check_fail(c, "mode %u: %s", mode, err.text);
            }
            if (check_differs(t.g, g + k * n_g, N, t.n_in) < N || check_differs(t.zp, t.zm, N, t.n_out) < N) {
                return check_fail(c, "mode %u: set %zu has other bits than a call of its own", mode, k);
            }
        }
    }
    return VALIDATE_PASS;
}

validate_outcome check_vjp_sets(check *c) {
    if (c->m->vjp_sets.vjp == NULL) {
        return check_skip(c, "the model lacks %s", ASSAY_VJP_2);
    }
    if ((c->m->vjp_sets.modes & ~c->m->vjp.modes) != 0) {
        return check_fail(c, "it declares modes that %s lacks", ASSAY_VJP_1);
    }
    session *s = check_session(c, 8);
    validate_outcome o = s == NULL ? VALIDATE_FAIL : run_sets(c, s);
    session_close(s);
    return o;
}
