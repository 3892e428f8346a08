/* SPDX-License-Identifier: Apache-2.0
 * RoiAlign (opset 10 on): x (N, C, H, W), rois (R, 4) as x1, y1, x2, y2, batch_indices (R), y (R, C, oh, ow). Before
 * opset 16 coordinates are output_half_pixel. Mode max takes the largest of the WEIGHTED corner values of all sampling
 * points, not of the interpolated ones: so have it the specification's reference and ONNX Runtime. Gradient of x alone;
 * of equal values the first gets it. An example of y is a region, not an example of x: no batch is kept. */
#include <inttypes.h>
#include <math.h>

#include "kernels/moves.h"

#define MAX_SAMPLES 4096 /* of a bin, along one axis */

typedef struct align {
    bool max, half_pixel;
    double scale;
    size_t batch, channels, h, w, oh, ow, regions;
    int64_t samples; /* along one axis of a bin; 0: as many as the bin has pixels */
} align;

static status read_size(const ox_node *n, const char *name, int64_t least, int64_t def, int64_t *v, error *err) {
    TRY(ox_check_attr(n, name, OX_INT, err));
    *v = ox_attr_int(n, name, def);
    if (*v < least || *v > (int64_t)1 << 30) {
        return error_set(err, STATUS_MODEL, "%s is %" PRId64, name, *v);
    }
    return STATUS_OK;
}

static status read_flag(const ox_node *n, const char *name, const char *no, const char *yes, bool def, bool *v,
                        error *err) {
    TRY(ox_check_attr(n, name, OX_STRING, err));
    const ox_attr *a = ox_attr_find(n, name);
    *v = a == NULL ? def : strcmp(a->s, yes) == 0;
    if (a != NULL && !*v && strcmp(a->s, no) != 0) {
        return error_set(err, STATUS_MODEL, "%s is \"%.40s\"", name, a->s);
    }
    return STATUS_OK;
}

static status read_align(const ox_node *n, align *a, error *err) {
    int64_t oh = 0, ow = 0;
    *a = (align){0};
    TRY(ox_need_float(n, 0, err));
    TRY(ox_need_dtype_of_first(n, 1, err));
    const ox_tensor *x = n->in[0], *rois = n->in[1], *index = ox_input(n, 2);
    TRY(read_flag(n, "mode", "avg", "max", false, &a->max, err));
    if (n->opset >= 16) {
        TRY(read_flag(n, "coordinate_transformation_mode", "output_half_pixel", "half_pixel", true, &a->half_pixel,
                      err));
    }
    TRY(ox_check_attr(n, "spatial_scale", OX_FLOAT, err));
    TRY(read_size(n, "output_height", 1, 1, &oh, err));
    TRY(read_size(n, "output_width", 1, 1, &ow, err));
    TRY(read_size(n, "sampling_ratio", 0, 0, &a->samples, err));
    if (x->n_dims != 4 || rois->n_dims != 2 || rois->shape[1] != 4 || x->shape[2] < 1 || x->shape[3] < 1) {
        return error_set(err, STATUS_MODEL, "an input of %u dimensions, regions of %u", x->n_dims, rois->n_dims);
    }
    if (index == NULL || index->dtype != ASSAY_I64 || index->n_dims != 1 || index->shape[0] != rois->shape[0]) {
        return error_set(err, STATUS_MODEL, "input 2 is not one int64 for each of %" PRId64 " regions", rois->shape[0]);
    }
    if (a->samples > MAX_SAMPLES) {
        return error_set(err, STATUS_UNSUPPORTED, "a sampling_ratio of %" PRId64, a->samples);
    }
    a->scale = (double)ox_attr_float(n, "spatial_scale", 1);
    a->batch = (size_t)x->shape[0];
    a->channels = (size_t)x->shape[1];
    a->h = (size_t)x->shape[2];
    a->w = (size_t)x->shape[3];
    a->oh = (size_t)oh;
    a->ow = (size_t)ow;
    a->regions = (size_t)rois->shape[0];
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    align a;
    TRY(read_align(n, &a, err));
    int64_t shape[4] = {(int64_t)a.regions, (int64_t)a.channels, (int64_t)a.oh, (int64_t)a.ow};
    return ox_set_shape(n->out[0], n->in[0]->dtype, shape, 4, err);
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    n->state = mem_zalloc(sizeof(align));
    return read_align(n, n->state, err);
}

static void release(ox_node *n) {
    mem_free(n->state);
    n->state = NULL;
}

/* ---- sampling ----------------------------------------------------------------------------------- */

typedef struct region {
    size_t example;
    double x, y, bin_w, bin_h; /* of the first bin; size of a bin */
    size_t nx, ny;             /* samples of a bin */
} region;

/* False: more samples than we take, or numbers that are none. */
static bool samples_of(const align *a, double bin, size_t *n) {
    double wanted = a->samples > 0 ? (double)a->samples : ceil(bin);
    if (!(wanted <= MAX_SAMPLES)) {
        return false;
    }
    *n = wanted >= 1 ? (size_t)wanted : 0;
    return true;
}

static status region_of(const ox_node *n, const align *a, size_t r, region *g, error *err) {
    const ox_tensor *rois = n->in[1];
    int64_t example = ((const int64_t *)n->in[2]->data)[r];
    double shift = a->half_pixel ? 0.5 : 0, v[4];
    if (example < 0 || (size_t)example >= a->batch) {
        return error_set(err, STATUS_MODEL, "batch_indices[%zu] is %" PRId64 " of %zu", r, example, a->batch);
    }
    for (size_t i = 0; i < 4; i++) {
        v[i] = ox_at(rois, 4 * r + i) * a->scale - shift;
    }
    double w = v[2] - v[0], h = v[3] - v[1];
    if (!a->half_pixel) { /* regions of less than a pixel are one */
        w = w > 1 ? w : 1;
        h = h > 1 ? h : 1;
    }
    *g = (region){(size_t)example, v[0], v[1], w / (double)a->ow, h / (double)a->oh, 0, 0};
    bool numbers = isfinite(v[0]) && isfinite(v[1]) && isfinite(v[2]) && isfinite(v[3]);
    if (!numbers || !samples_of(a, g->bin_w, &g->nx) || !samples_of(a, g->bin_h, &g->ny)) {
        return error_set(err, STATUS_UNSUPPORTED, "region %zu has bins of %g by %g pixels", r, g->bin_w, g->bin_h);
    }
    return STATUS_OK;
}

/* One axis of a sampling point: two neighbours and the weight of the second. False: outside the image. */
static bool neighbours(double v, size_t size, size_t at[2], double *second) {
    if (!(v >= -1 && v <= (double)size)) {
        return false;
    }
    v = v <= 0 ? 0 : v;
    at[0] = (size_t)v;
    if (at[0] >= size - 1) {
        at[0] = at[1] = size - 1;
        *second = 0;
        return true;
    }
    at[1] = at[0] + 1;
    *second = v - (double)at[0];
    return true;
}

/* Corners of sampling point s of a bin at (ph, pw): places in the plane and weights. False: outside. */
static bool corners_of(const align *a, const region *g, size_t ph, size_t pw, size_t s, size_t at[4], double w[4]) {
    size_t iy = s / g->nx, ix = s % g->nx, ys[2], xs[2];
    double y = g->y + ((double)ph + ((double)iy + 0.5) / (double)g->ny) * g->bin_h, dy = 0;
    double x = g->x + ((double)pw + ((double)ix + 0.5) / (double)g->nx) * g->bin_w, dx = 0;
    if (!neighbours(y, a->h, ys, &dy) || !neighbours(x, a->w, xs, &dx)) {
        return false;
    }
    for (unsigned i = 0; i < 4; i++) {
        at[i] = ys[i / 2] * a->w + xs[i % 2];
        w[i] = (i / 2 == 0 ? 1 - dy : dy) * (i % 2 == 0 ? 1 - dx : dx);
    }
    return true;
}

/* Value of one bin of plane `base`; with mode max *best is the place of the largest and *weight its weight. A point
 * outside the image is a zero, which belongs to no place (weight 0). */
static double bin_value(const align *a, const ox_tensor *x, const region *g, size_t base, size_t bin, size_t *best,
                        double *weight) {
    size_t at[4], count = g->nx * g->ny;
    double w[4], sum = 0, most = -INFINITY;
    *weight = 0;
    *best = 0;
    for (size_t s = 0; s < count; s++) {
        bool in = corners_of(a, g, bin / a->ow, bin % a->ow, s, at, w);
        for (unsigned i = 0; i < 4; i++) {
            double v = in ? w[i] * ox_at(x, base + at[i]) : 0;
            sum += v;
            if (v > most) {
                most = v;
                *best = in ? at[i] : 0;
                *weight = in ? w[i] : 0;
            }
        }
    }
    if (count == 0) {
        return 0;
    }
    return a->max ? most : sum / (double)count;
}

static status forward(ox_node *n, error *err) {
    const align *a = n->state;
    size_t bins = a->oh * a->ow, best = 0;
    double weight = 0;
    for (size_t r = 0; r < a->regions; r++) {
        region g = {0};
        TRY(region_of(n, a, r, &g, err));
        for (size_t i = 0; i < a->channels * bins; i++) {
            size_t base = (g.example * a->channels + i / bins) * a->h * a->w;
            ox_put(n->out[0], r * a->channels * bins + i, bin_value(a, n->in[0], &g, base, i % bins, &best, &weight));
        }
    }
    return STATUS_OK;
}

static void add_average(const align *a, const region *g, size_t bin, double share, float *dx) {
    size_t at[4];
    double w[4];
    for (size_t s = 0; s < g->nx * g->ny; s++) {
        if (corners_of(a, g, bin / a->ow, bin % a->ow, s, at, w)) {
            for (unsigned i = 0; i < 4; i++) {
                dx[at[i]] += (float)(w[i] * share);
            }
        }
    }
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    const align *a = n->state;
    const float *dy = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    size_t bins = a->oh * a->ow, best = 0;
    double weight = 0;
    for (size_t r = 0; dy != NULL && dx != NULL && r < a->regions; r++) {
        region g = {0};
        TRY(region_of(n, a, r, &g, err));
        for (size_t i = 0; i < a->channels * bins; i++) {
            size_t base = (g.example * a->channels + i / bins) * a->h * a->w;
            double v = (double)dy[r * a->channels * bins + i];
            if (!a->max) {
                add_average(a, &g, i % bins, v / (double)(g.nx * g.ny), dx + base);
                continue;
            }
            (void)bin_value(a, n->in[0], &g, base, i % bins, &best, &weight);
            dx[base + best] += (float)(weight * v);
        }
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_roi_align = {.op = "RoiAlign",
                                       .min_opset = 10,
                                       .max_opset = 9999,
                                       .min_in = 3,
                                       .max_in = 3,
                                       .min_out = 1,
                                       .max_out = 1,
                                       .infer = infer,
                                       .prepare = prepare,
                                       .release = release,
                                       .forward = forward,
                                       .vjp = vjp};
