/* SPDX-License-Identifier: Apache-2.0
 * GridSample (opset 16 on; from 20 also over one and three spatial dimensions) as PyTorch's grid_sample: x (N, C,
 * in...), grid (N, out..., spatial) with the last dimension in the order x, y, z, y (N, C, out...). Either may have one
 * example for all of the other's. Linear and nearest move the coordinate into the image by padding_mode, cubic (Keys, a
 * = -0.75) each of its taps. A coordinate that is no number lies outside. The gradient of the grid is zero in mode
 * nearest and where padding_mode border holds the coordinate; at a whole coordinate it is that from above. */
#include <inttypes.h>
#include <math.h>

#include "kernels/common.h"

#define CUBIC_A (-0.75)
#define FAR 0x1p30 /* coordinates stay convertible */

typedef enum sampling { LINEAR, NEAREST, CUBIC } sampling;
typedef enum padding { ZEROS, BORDER, REFLECTION } padding;

typedef struct sampler {
    sampling mode;
    padding padding;
    bool align;
    unsigned n_spatial; /* the axes are those of x: the last is the grid's first coordinate */
    size_t batch, channels, x_step, grid_step, points, plane; /* steps from one example to the next, 0: one for all */
    size_t in[3];
} sampler;

static status read_choice(const ox_node *n, const char *attr, const char *const *names, unsigned *v, error *err) {
    TRY(ox_check_attr(n, attr, OX_STRING, err));
    const ox_attr *a = ox_attr_find(n, attr);
    *v = 0;
    for (unsigned i = 0; a != NULL && names[i] != NULL; i++) {
        if (strcmp(a->s, names[i]) == 0) {
            *v = i % 3;
            return STATUS_OK;
        }
    }
    return a == NULL ? STATUS_OK : error_set(err, STATUS_MODEL, "%s is \"%.40s\"", attr, a->s);
}

static status read_sampler(const ox_node *n, sampler *s, error *err) {
    static const char *const modes[] = {"bilinear", "nearest", "bicubic",        /* before 20 */
                                        "linear",   "nearest", "cubic",   NULL}; /* from 20 on */
    static const char *const paddings[] = {"zeros", "border", "reflection", NULL};
    unsigned m = 0, p = 0;
    TRY(ox_need_float(n, 0, err));
    TRY(ox_need_float(n, 1, err));
    TRY(read_choice(n, "padding_mode", paddings, &p, err));
    TRY(read_choice(n, "mode", modes, &m, err));
    TRY(ox_check_attr(n, "align_corners", OX_INT, err));
    const ox_tensor *x = n->in[0], *g = n->in[1];
    if (x->n_dims < 3 || x->n_dims > 5 || g->n_dims != x->n_dims || g->shape[g->n_dims - 1] != x->n_dims - 2) {
        return error_set(err, x->n_dims > 5 ? STATUS_UNSUPPORTED : STATUS_MODEL,
                         "an input of %u dimensions, a grid of %u", x->n_dims, g->n_dims);
    }
    bool one_x = x->shape[0] == 1 && g->has_batch, one_g = g->shape[0] == 1 && x->has_batch;
    if (x->shape[0] != g->shape[0] && !one_x && !one_g) {
        return error_set(err, STATUS_MODEL, "%" PRId64 " inputs for %" PRId64 " grids", x->shape[0], g->shape[0]);
    }
    *s = (sampler){.mode = (sampling)m,
                   .padding = (padding)p,
                   .align = ox_attr_int(n, "align_corners", 0) != 0,
                   .n_spatial = x->n_dims - 2,
                   .batch = (size_t)(x->shape[0] == 1 ? g->shape[0] : x->shape[0]),
                   .channels = (size_t)x->shape[1],
                   .plane = ox_count(x, 2, x->n_dims),
                   .points = ox_count(g, 1, g->n_dims - 1)};
    s->x_step = x->shape[0] == 1 ? 0 : s->channels * s->plane;
    s->grid_step = g->shape[0] == 1 ? 0 : s->points * s->n_spatial;
    for (unsigned d = 0; d < s->n_spatial; d++) {
        s->in[d] = (size_t)x->shape[2 + d];
        if (x->shape[2 + d] < 1 || x->shape[2 + d] > (int64_t)1 << 29) {
            return error_set(err, STATUS_MODEL, "dimension %u of the image is %" PRId64, d, x->shape[2 + d]);
        }
    }
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    sampler s = {0};
    TRY(read_sampler(n, &s, err));
    int64_t shape[5] = {(int64_t)s.batch, (int64_t)s.channels};
    for (unsigned d = 0; d < s.n_spatial; d++) {
        shape[2 + d] = n->in[1]->shape[1 + d];
    }
    return ox_set_shape(n->out[0], n->in[0]->dtype, shape, 2 + s.n_spatial, err);
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    n->state = mem_zalloc(sizeof(sampler));
    return read_sampler(n, n->state, err);
}

static void release(ox_node *n) {
    mem_free(n->state);
    n->state = NULL;
}

/* ---- coordinates -------------------------------------------------------------------------------- */

/* Mirrors x at the borders of the image; *slope is multiplied by -1 for each mirror. */
static double reflected(const sampler *s, double x, size_t size, double *slope) {
    double low = s->align ? 0 : -0.5, span = s->align ? (double)size - 1 : (double)size;
    if (span == 0) {
        *slope = 0;
        return 0;
    }
    double from = fabs(x - low), turns = floor(from / span), rest = from - turns * span;
    *slope *= x < low ? -1 : 1;
    if (fmod(turns, 2) != 0) {
        rest = span - rest;
        *slope = -*slope;
    }
    return low + rest;
}

/* Into 0..size-1; outside the slope is zero. */
static double clipped(double x, size_t size, double *slope) {
    double last = (double)size - 1;
    if (x <= 0 || x >= last) {
        *slope = 0;
        return x <= 0 ? 0 : last;
    }
    return x;
}

static double padded(const sampler *s, double x, size_t size, double *slope) {
    if (s->padding == REFLECTION) {
        x = reflected(s, x, size, slope);
    }
    return s->padding == ZEROS ? x : clipped(x, size, slope);
}

/* Where grid value v lies in an axis, and the slope of that. */
static double coordinate(const sampler *s, double v, size_t size, double *slope) {
    double n = (double)size;
    *slope = s->align ? (n - 1) / 2 : n / 2;
    double x = s->align ? (v + 1) / 2 * (n - 1) : ((v + 1) * n - 1) / 2;
    if (s->mode != CUBIC && isfinite(x)) {
        x = padded(s, x, size, slope);
    } else if (s->mode != CUBIC && s->padding == BORDER && !isnan(x)) {
        x = clipped(x, size, slope);
    }
    if (!(fabs(x) < FAR)) {
        *slope = 0;
        x = -100;
    }
    return x;
}

/* Taps of one axis: index (-1: none), weight and its derivative by the grid's value. */
typedef struct axis_taps {
    unsigned n;
    int64_t at[4];
    double w[4], dw[4];
} axis_taps;

static double keys(double d) {
    d = fabs(d);
    return d <= 1 ? ((CUBIC_A + 2) * d - (CUBIC_A + 3)) * d * d + 1
                  : ((CUBIC_A * d - 5 * CUBIC_A) * d + 8 * CUBIC_A) * d - 4 * CUBIC_A;
}

static double keys_slope(double x) {
    double d = fabs(x), v = d <= 1 ? (3 * (CUBIC_A + 2) * d - 2 * (CUBIC_A + 3)) * d
                                   : (3 * CUBIC_A * d - 10 * CUBIC_A) * d + 8 * CUBIC_A;
    return x < 0 ? -v : v;
}

/* Index of the tap at whole coordinate i. */
static int64_t tap_index(const sampler *s, double i, size_t size) {
    double unused = 1;
    if (s->mode == CUBIC) {
        i = floor(padded(s, i, size, &unused) + 0.5);
    }
    return i >= 0 && i < (double)size ? (int64_t)i : -1;
}

static axis_taps taps_of(const sampler *s, double v, size_t size) {
    double slope = 0, x = coordinate(s, v, size, &slope), base = floor(x), ratio = x - base;
    axis_taps t = {.n = s->mode == CUBIC ? 4 : (s->mode == LINEAR ? 2 : 1)};
    switch (s->mode) {
    case NEAREST:
        t.at[0] = tap_index(s, nearbyint(x), size);
        t.w[0] = 1;
        break;
    case LINEAR:
        for (unsigned k = 0; k < 2; k++) {
            t.at[k] = tap_index(s, base + k, size);
            t.w[k] = k == 0 ? 1 - ratio : ratio;
            t.dw[k] = k == 0 ? -slope : slope;
        }
        break;
    default:
        for (unsigned k = 0; k < 4; k++) {
            t.at[k] = tap_index(s, base + k - 1, size);
            t.w[k] = keys(ratio + 1 - k);
            t.dw[k] = keys_slope(ratio + 1 - k) * slope;
        }
    }
    return t;
}

/* The taps of a point: places in the plane, weights, derivatives by each axis's grid value. */
typedef struct point {
    unsigned n;
    size_t at[64];
    double w[64], dw[64][3];
} point;

static void point_of(const sampler *s, const ox_tensor *grid, size_t at, point *p) {
    axis_taps t[3] = {{.n = 1, .w = {1}}, {.n = 1, .w = {1}}, {.n = 1, .w = {1}}};
    size_t in[3] = {1, 1, 1};
    unsigned first = 3 - s->n_spatial;
    for (unsigned d = 0; d < s->n_spatial; d++) {
        in[first + d] = s->in[d];
        t[first + d] = taps_of(s, ox_at(grid, at + s->n_spatial - 1 - d), s->in[d]);
    }
    p->n = 0;
    for (unsigned i = 0; i < t[0].n * t[1].n * t[2].n; i++) {
        unsigned a = i / (t[1].n * t[2].n), b = i / t[2].n % t[1].n, c = i % t[2].n;
        if (t[0].at[a] < 0 || t[1].at[b] < 0 || t[2].at[c] < 0) {
            continue;
        }
        p->at[p->n] = ((size_t)t[0].at[a] * in[1] + (size_t)t[1].at[b]) * in[2] + (size_t)t[2].at[c];
        p->w[p->n] = t[0].w[a] * t[1].w[b] * t[2].w[c];
        p->dw[p->n][0] = t[0].dw[a] * t[1].w[b] * t[2].w[c];
        p->dw[p->n][1] = t[0].w[a] * t[1].dw[b] * t[2].w[c];
        p->dw[p->n][2] = t[0].w[a] * t[1].w[b] * t[2].dw[c];
        p->n++;
    }
}

/* ---- values and gradients ----------------------------------------------------------------------- */

static status forward(ox_node *n, error *err) {
    (void)err;
    const sampler *s = n->state;
    const ox_tensor *x = n->in[0];
    point p;
    for (size_t i = 0; i < s->batch * s->points; i++) {
        size_t e = i / s->points, k = i % s->points;
        point_of(s, n->in[1], e * s->grid_step + k * s->n_spatial, &p);
        for (size_t c = 0; c < s->channels; c++) {
            size_t base = e * s->x_step + c * s->plane;
            double sum = 0;
            for (unsigned t = 0; t < p.n; t++) {
                sum += p.w[t] * ox_at(x, base + p.at[t]);
            }
            ox_put(n->out[0], (e * s->channels + c) * s->points + k, sum);
        }
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const sampler *s = n->state;
    const ox_tensor *x = n->in[0];
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0), *dgrid = ox_grad_in(n, 1);
    point p;
    for (size_t i = 0; g != NULL && (dx != NULL || dgrid != NULL) && i < s->batch * s->points; i++) {
        size_t e = i / s->points, k = i % s->points, at = e * s->grid_step + k * s->n_spatial;
        double slope[3] = {0};
        point_of(s, n->in[1], at, &p);
        for (size_t c = 0; c < s->channels; c++) {
            size_t base = e * s->x_step + c * s->plane;
            double gy = (double)g[(e * s->channels + c) * s->points + k];
            for (unsigned t = 0; dx != NULL && t < p.n; t++) {
                dx[base + p.at[t]] += (float)(gy * p.w[t]);
            }
            for (unsigned t = 0; dgrid != NULL && t < p.n; t++) {
                double v = gy * ox_at(x, base + p.at[t]);
                for (unsigned d = 0; d < 3; d++) {
                    slope[d] += v * p.dw[t][d];
                }
            }
        }
        for (unsigned d = 0; dgrid != NULL && d < s->n_spatial; d++) {
            dgrid[at + d] += (float)slope[2 - d];
        }
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_grid_sample = {.op = "GridSample",
                                         .min_opset = 16,
                                         .max_opset = 9999,
                                         .flags = OX_KEEPS_BATCH,
                                         .min_in = 2,
                                         .max_in = 2,
                                         .min_out = 1,
                                         .max_out = 1,
                                         .infer = infer,
                                         .prepare = prepare,
                                         .release = release,
                                         .forward = forward,
                                         .vjp = vjp};
