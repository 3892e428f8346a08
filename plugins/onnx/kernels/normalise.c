/* SPDX-License-Identifier: Apache-2.0
 * Moments are computed in double, in two passes: no cancellation. */
#include "kernels/normalise.h"

#include <math.h>

#include "kernels/map.h"
#include "kernels/vmath.h"

typedef struct moments {
    double mean, inv_sd;
} moments;

static moments moments_of(const ox_tensor *x, size_t at, size_t len, double epsilon, const ox_vmath *v) {
    double sum = 0, squares = 0;
    if (v != NULL) {
        sum = v->sum(ox_f32(x) + at, len);
        double mean = sum / (double)len;
        squares = v->sum_squares(ox_f32(x) + at, mean, len);
        return (moments){mean, 1 / sqrt(squares / (double)len + epsilon)};
    }
    for (size_t i = 0; i < len; i++) {
        sum += ox_at(x, at + i);
    }
    double mean = sum / (double)len;
    for (size_t i = 0; i < len; i++) {
        double d = ox_at(x, at + i) - mean;
        squares += d * d;
    }
    return (moments){mean, 1 / sqrt(squares / (double)len + epsilon)};
}

static double bias_at(const ox_node *n, size_t i) {
    const ox_tensor *b = ox_input(n, 2);
    return b == NULL ? 0 : ox_at(b, i);
}

static void row_reference(const ox_node *n, const ox_normalise *g, size_t r, moments m) {
    size_t first = r % g->period * g->parts, at = r * g->parts * g->part;
    for (size_t p = 0; p < g->parts; p++) {
        double scale = ox_at(n->in[1], first + p), bias = bias_at(n, first + p);
        for (size_t i = 0; i < g->part; i++, at++) {
            ox_put(n->out[0], at, (ox_at(n->in[0], at) - m.mean) * m.inv_sd * scale + bias);
        }
    }
}

/* x - mean in float first: it is exact or nearly so where it matters, for x near the mean. */
static void row_fast(const ox_node *n, const ox_normalise *g, size_t r, moments m, const ox_vmath *v) {
    size_t first = r % g->period * g->parts, at = r * g->parts * g->part;
    const float *x = ox_f32(n->in[0]) + at, *scale = ox_f32(n->in[1]) + first;
    const float *bias = ox_input(n, 2) == NULL ? NULL : ox_f32(n->in[2]) + first;
    float *y = (float *)n->out[0]->data + at, mean = (float)m.mean, inv_sd = (float)m.inv_sd;
    float lost = (float)(m.mean - (double)mean); /* what the float mean lacks */
    if (g->part == 1) {
        v->normalise(x, y, g->parts, &(ox_moments){mean, lost, inv_sd}, scale, bias);
    }
    for (size_t p = 0; p < g->parts && g->part != 1; p++, x += g->part, y += g->part) {
        float a = (float)(m.inv_sd * (double)scale[p]), b = bias != NULL ? bias[p] : 0;
        for (size_t i = 0; i < g->part; i++) {
            y[i] = (x[i] - mean - lost) * a + b;
        }
    }
}

void ox_normalise_forward(const ox_node *n, const ox_normalise *g, bool reference) {
    size_t len = g->parts * g->part;
    bool fast = !reference && n->in[0]->dtype == ASSAY_F32;
    const ox_vmath *v = fast ? ox_vmath_of(ox_isa_best()) : NULL;
    for (size_t r = 0; r < g->rows; r++) {
        moments m = moments_of(n->in[0], r * len, len, g->epsilon, v);
        if (fast) {
            row_fast(n, g, r, m, v);
        } else {
            row_reference(n, g, r, m);
        }
        if (g->mean != NULL) {
            ox_put(g->mean, r, m.mean);
        }
        if (g->inv_sd != NULL) {
            ox_put(g->inv_sd, r, m.inv_sd);
        }
    }
}

/* ---- gradient ----------------------------------------------------------------------------------- */

/* Sums over a row of h = g scale and of h times the normalised x. */
typedef struct sums {
    double h, hx;
} sums;

static sums row_sums(const ox_node *n, const ox_normalise *g, size_t r, moments m, const float *dy) {
    size_t first = r % g->period * g->parts, at = r * g->parts * g->part;
    sums s = {0, 0};
    for (size_t p = 0; p < g->parts; p++) {
        double scale = ox_at(n->in[1], first + p), sum = 0, sum_x = 0;
        for (size_t i = 0; i < g->part; i++, at++) {
            double d = (double)dy[at];
            sum += d;
            sum_x += d * ((ox_at(n->in[0], at) - m.mean) * m.inv_sd);
        }
        s.h += sum * scale;
        s.hx += sum_x * scale;
        if (ox_grad_in(n, 1) != NULL) {
            n->grad_in[1][first + p] += (float)sum_x;
        }
        if (ox_grad_in(n, 2) != NULL) {
            n->grad_in[2][first + p] += (float)sum;
        }
    }
    return s;
}

/* The same for float rows of one-element parts whose scale wants no gradient: eight chains, so that they overlap. */
static sums row_sums_fast(const ox_node *n, const ox_normalise *g, size_t r, moments m, const float *dy) {
    size_t at = r * g->parts, i = 0;
    const float *x = ox_f32(n->in[0]) + at, *scale = ox_f32(n->in[1]) + r % g->period * g->parts, *d = dy + at;
    double h[8] = {0}, hx[8] = {0};
    for (; i + 8 <= g->parts; i += 8) {
        for (size_t k = 0; k < 8; k++) {
            double v = (double)d[i + k] * (double)scale[i + k];
            h[k] += v;
            hx[k] += v * ((double)x[i + k] - m.mean);
        }
    }
    for (size_t k = 0; i + k < g->parts; k++) {
        double v = (double)d[i + k] * (double)scale[i + k];
        h[k] += v;
        hx[k] += v * ((double)x[i + k] - m.mean);
    }
    double sum = ((h[0] + h[1]) + (h[2] + h[3])) + ((h[4] + h[5]) + (h[6] + h[7]));
    double sum_x = ((hx[0] + hx[1]) + (hx[2] + hx[3])) + ((hx[4] + hx[5]) + (hx[6] + hx[7]));
    return (sums){sum, sum_x * m.inv_sd};
}

/* dx = inv_sd (h - a - z b) + c with z the normalised x, a and b the means of h and h z, and what comes through the
 * outputs mean (c = d/len) and inv_sd (-inv_sd^2 z d/len, which is b's form). */
static void row_vjp(const ox_node *n, const ox_normalise *g, size_t r, moments m, const ox_vmath *v) {
    const float *dy = ox_grad_out(n, 0);
    size_t len = g->parts * g->part, first = r % g->period * g->parts, at = r * len;
    bool flat = v != NULL && g->part == 1;
    bool parameters = ox_grad_in(n, 1) != NULL || ox_grad_in(n, 2) != NULL;
    sums s = {0, 0};
    if (dy != NULL) {
        s = flat && !parameters ? row_sums_fast(n, g, r, m, dy) : row_sums(n, g, r, m, dy);
    }
    const float *to_mean = g->mean != NULL ? ox_grad_out(n, g->i_mean) : NULL;
    const float *to_inv = g->inv_sd != NULL ? ox_grad_out(n, g->i_inv_sd) : NULL;
    double a = s.h / (double)len, b = (s.hx + (to_inv != NULL ? m.inv_sd * (double)to_inv[r] : 0)) / (double)len;
    double c = to_mean != NULL ? (double)to_mean[r] / (double)len : 0;
    float *dx = ox_grad_in(n, 0);
    if (dx == NULL) {
        return;
    }
    double slope = -m.inv_sd * m.inv_sd * b, shift = c - m.inv_sd * a - slope * m.mean; /* of x, and alone */
    for (size_t p = 0; p < g->parts && !(flat && dy != NULL); p++) {
        double scale = m.inv_sd * ox_at(n->in[1], first + p);
        for (size_t i = 0; i < g->part; i++, at++) {
            double d = dy != NULL ? (double)dy[at] * scale : 0;
            dx[at] += (float)(d + slope * ox_at(n->in[0], at) + shift);
        }
    }
    if (flat && dy != NULL) {
        const double by[3] = {m.inv_sd, slope, shift};
        v->normalise_vjp(ox_f32(n->in[0]) + at, dy + at, ox_f32(n->in[1]) + first, dx + at, len, by, ox_is_fresh(n, 0));
    }
}

void ox_normalise_vjp(const ox_node *n, const ox_normalise *g, bool reference) {
    size_t len = g->parts * g->part;
    const ox_vmath *v = !reference && n->in[0]->dtype == ASSAY_F32 ? ox_vmath_of(ox_isa_best()) : NULL;
    for (size_t i = 0; i < n->n_in && !reference; i++) {
        bool stores = i == 0 && v != NULL && g->part == 1 && ox_grad_out(n, 0) != NULL; /* row by row */
        if (ox_grad_in(n, i) != NULL && ox_is_fresh(n, i) && !stores) {
            memset(n->grad_in[i], 0, n->in[i]->n * sizeof(float));
        }
    }
    for (size_t r = 0; r < g->rows; r++) {
        row_vjp(n, g, r, moments_of(n->in[0], r * len, len, g->epsilon, v), v);
    }
}
