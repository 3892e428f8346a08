/* SPDX-License-Identifier: Apache-2.0
 * Coordinates and coefficients as in the text of Resize (opset 19). Cubic: Keys, "Cubic convolution interpolation for
 * digital image processing", IEEE ASSP 29(6), 1981, equation 4. */
#include "kernels/resize_weights.h"

#include <math.h>

/* ---- coordinates -------------------------------------------------------------------------------- */

static double original(const ox_resampling *r, const ox_resize_geometry *g, size_t i) {
    double x = (double)i, in = (double)g->in;
    switch (r->transform) {
    case OX_ASYMMETRIC: return x * g->den / g->num;
    case OX_ALIGN_CORNERS: return g->width == 1 ? 0 : x * (in - 1) / (g->width - 1);
    case OX_TF_CROP_AND_RESIZE:
        return g->out > 1 ? (g->roi_lo + x * (g->roi_hi - g->roi_lo) / ((double)g->out - 1)) * (in - 1)
                          : 0.5 * (g->roi_lo + g->roi_hi) * (in - 1);
    case OX_PYTORCH_HALF_PIXEL: return g->out > 1 ? (x + 0.5) * g->den / g->num - 0.5 : 0;
    case OX_TF_HALF_PIXEL_FOR_NN: return (x + 0.5) * g->den / g->num;
    case OX_HALF_PIXEL_SYMMETRIC: return in / 2 * (1 - (double)g->out / g->width) + (x + 0.5) * g->den / g->num - 0.5;
    default: return (x + 0.5) * g->den / g->num - 0.5;
    }
}

/* Also of a NaN from a region without numbers. */
static bool outside(const ox_resampling *r, const ox_resize_geometry *g, double x) {
    return r->transform == OX_TF_CROP_AND_RESIZE && !(x >= 0 && x <= (double)g->in - 1);
}

bool ox_resize_is_identity(const ox_resampling *r, const ox_resize_geometry *g) {
    bool crops = r->transform == OX_TF_CROP_AND_RESIZE && (g->roi_lo != 0 || g->roi_hi != 1);
    bool shifts = r->transform == OX_TF_HALF_PIXEL_FOR_NN && r->mode != OX_RESIZE_NEAREST;
    bool ceils =
        r->transform == OX_TF_HALF_PIXEL_FOR_NN && r->nearest != OX_FLOOR && r->nearest != OX_ROUND_PREFER_FLOOR;
    return g->in == g->out && g->num == g->den && !crops && !shifts && !ceils;
}

static size_t clamped(int64_t i, size_t n) {
    return i < 0 ? 0 : ((size_t)i < n ? (size_t)i : n - 1);
}

/* A float32 scale such as 1/3 puts coordinates that should be whole or half beside it by its own rounding (2^-24 of
 * them): they are taken as whole or half. */
static double snapped(double x) {
    double half = rint(2 * x) / 2;
    return fabs(x - half) <= 0x1p-22 * (1 + fabs(x)) ? half : x;
}

int64_t ox_resize_nearest(const ox_resampling *r, const ox_resize_geometry *g, size_t i) {
    double x = original(r, g, i);
    if (outside(r, g, x)) {
        return -1;
    }
    x = snapped(x);
    switch (r->nearest) {
    case OX_FLOOR: x = floor(x); break;
    case OX_CEIL: x = ceil(x); break;
    case OX_ROUND_PREFER_CEIL: x = floor(x + 0.5); break;
    default: x = ceil(x - 0.5);
    }
    return (int64_t)clamped((int64_t)x, g->in);
}

/* ---- coefficients ------------------------------------------------------------------------------- */

static double coefficient(const ox_resampling *r, double x) {
    double d = fabs(x), a = r->cubic_a;
    if (r->mode == OX_RESIZE_LINEAR) {
        return d < 1 ? 1 - d : 0;
    }
    if (d <= 1) {
        return ((a + 2) * d - (a + 3)) * d * d + 1;
    }
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/* Taps first..first+n-1, counted from the input at or just before a coordinate. */
typedef struct reach {
    int64_t first;
    size_t n;
    double stretch; /* of the filter: the scale, where antialias widens it */
} reach;

static reach reach_of(const ox_resampling *r, const ox_resize_geometry *g) {
    double s = r->antialias && g->num < g->den ? g->num / g->den : 1, half = r->mode == OX_RESIZE_CUBIC ? 2 : 1;
    int64_t first = (int64_t)floor(-half / s) + 1;
    return (reach){first, (size_t)(2 - 2 * first), s};
}

/* One row: n entries, which sum to 1. */
static void fill_row(const ox_resampling *r, const ox_resize_geometry *g, reach f, double x, size_t *at, double *w) {
    double base = ceil(x) - 1, sum = 0, inside = 0;
    for (size_t t = 0; t < f.n; t++) {
        int64_t i = (int64_t)base + f.first + (int64_t)t;
        w[t] = coefficient(r, ((double)i - x) * f.stretch);
        at[t] = clamped(i, g->in);
        sum += w[t];
        inside += i >= 0 && i < (int64_t)g->in ? w[t] : 0;
    }
    bool excludes = r->exclude_outside && inside != 0;
    for (size_t t = 0; t < f.n; t++) {
        int64_t i = (int64_t)base + f.first + (int64_t)t;
        bool counts = !excludes || (i >= 0 && i < (int64_t)g->in);
        w[t] = counts ? w[t] / (excludes ? inside : (r->antialias ? sum : 1)) : 0;
    }
}

static status allocate(ox_resize_axis *a, size_t entries, error *err) {
    a->start = mem_try(a->out + 1, sizeof *a->start, "resize tables", err);
    a->at = mem_try(entries, sizeof *a->at, "resize tables", err);
    a->exact = mem_try(entries, sizeof *a->exact, "resize tables", err);
    a->weight = mem_try(entries, sizeof *a->weight, "resize tables", err);
    bool all = a->start != NULL && a->at != NULL && a->exact != NULL && a->weight != NULL;
    return all ? STATUS_OK : STATUS_MEMORY;
}

static void finish(ox_resize_axis *a) {
    a->taps = a->start[1];
    for (size_t i = 0; i < a->out; i++) {
        a->taps = a->start[i + 1] - a->start[i] == a->taps ? a->taps : 0;
    }
    for (size_t k = 0; k < a->start[a->out]; k++) {
        a->weight[k] = (float)a->exact[k];
    }
}

status ox_resize_axis_make(const ox_resampling *r, const ox_resize_geometry *g, ox_resize_axis *a, error *err) {
    reach f = reach_of(r, g);
    size_t entries = 0;
    a->in = g->in;
    a->out = g->out;
    if (!mem_mul(g->out, f.n, &entries)) {
        return error_set(err, STATUS_MEMORY, "the resize tables overflow");
    }
    TRY(allocate(a, entries, err));
    size_t k = 0;
    for (size_t i = 0; i < g->out; i++) {
        double x = original(r, g, i);
        a->start[i] = k;
        if (!outside(r, g, x)) {
            fill_row(r, g, f, x, a->at + k, a->exact + k);
            k += f.n;
        }
    }
    a->start[g->out] = k;
    finish(a);
    return STATUS_OK;
}

status ox_resize_axis_transpose(const ox_resize_axis *a, ox_resize_axis *t, error *err) {
    t->in = a->out;
    t->out = a->in;
    TRY(allocate(t, a->start[a->out], err));
    for (size_t k = 0; k < a->start[a->out]; k++) { /* counts, then starts */
        t->start[a->at[k] + 1] += a->exact[k] != 0;
    }
    for (size_t i = 0; i < t->out; i++) {
        t->start[i + 1] += t->start[i];
    }
    for (size_t i = 0; i < a->out; i++) {
        for (size_t k = a->start[i]; k < a->start[i + 1]; k++) {
            if (a->exact[k] != 0) {
                size_t to = t->start[a->at[k]]++;
                t->at[to] = i;
                t->exact[to] = a->exact[k];
            }
        }
    }
    for (size_t i = t->out; i > 0; i--) { /* each start has become the next one */
        t->start[i] = t->start[i - 1];
    }
    t->start[0] = 0;
    finish(t);
    return STATUS_OK;
}

void ox_resize_axis_free(ox_resize_axis *a) {
    mem_free(a->start);
    mem_free(a->at);
    mem_free(a->exact);
    mem_free(a->weight);
    *a = (ox_resize_axis){0};
}

/* ---- products ----------------------------------------------------------------------------------- */

/* y (inner) = the sum of n rows of x. */
static void blend_rows(const size_t *at, const float *w, size_t n, size_t inner, const float *x, float *y) {
    const float *a = x + at[0] * inner, *b = x + at[n > 1 ? 1 : 0] * inner;
    float wa = w[0], wb = n > 1 ? w[1] : 0;
    for (size_t i = 0; n == 1 && i < inner; i++) {
        y[i] = wa * a[i];
    }
    for (size_t i = 0; n > 1 && i < inner; i++) {
        y[i] = wa * a[i] + wb * b[i];
    }
    for (size_t t = 2; t + 1 < n; t += 2) {
        a = x + at[t] * inner;
        b = x + at[t + 1] * inner;
        wa = w[t];
        wb = w[t + 1];
        for (size_t i = 0; i < inner; i++) {
            y[i] += wa * a[i] + wb * b[i];
        }
    }
    if (n > 2 && n % 2 == 1) {
        a = x + at[n - 1] * inner;
        wa = w[n - 1];
        for (size_t i = 0; i < inner; i++) {
            y[i] += wa * a[i];
        }
    }
}

static void one_row(const ox_resize_axis *a, const float *x, float *y, float fill) {
    const size_t *at = a->at, *start = a->start;
    const float *w = a->weight;
    size_t out = a->out;
    switch (a->taps) {
    case 2:
        for (size_t i = 0; i < out; i++, at += 2, w += 2) {
            y[i] = w[0] * x[at[0]] + w[1] * x[at[1]];
        }
        return;
    case 4:
        for (size_t i = 0; i < out; i++, at += 4, w += 4) {
            y[i] = w[0] * x[at[0]] + w[1] * x[at[1]] + (w[2] * x[at[2]] + w[3] * x[at[3]]);
        }
        return;
    default: break;
    }
    for (size_t i = 0; i < out; i++) {
        float sum = start[i] == start[i + 1] ? fill : 0;
        for (size_t k = start[i]; k < start[i + 1]; k++) {
            sum += w[k] * x[at[k]];
        }
        y[i] = sum;
    }
}

void ox_resize_axis_apply(const ox_resize_axis *a, size_t outer, size_t inner, const float *x, float *y, float fill) {
    for (size_t o = 0; o < outer; o++, x += a->in * inner, y += a->out * inner) {
        if (inner == 1) {
            one_row(a, x, y, fill);
            continue;
        }
        for (size_t i = 0; i < a->out; i++) {
            size_t k = a->start[i], n = a->start[i + 1] - k;
            float *to = y + i * inner;
            for (size_t j = 0; n == 0 && j < inner; j++) {
                to[j] = fill;
            }
            if (n > 0) {
                blend_rows(a->at + k, a->weight + k, n, inner, x, to);
            }
        }
    }
}
