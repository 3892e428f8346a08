/* SPDX-License-Identifier: Apache-2.0
 * Resize (opset 10 on) and Upsample (to 10; attributes before 9). Nearest moves elements of any dtype
 * (moves.h). Linear and cubic are separable: one axis after the other, the one that leaves the least first, in float32;
 * the plain loop sums over the product of all axes' taps in double. An integer result is cut towards zero and held
 * inside its type; its exact gradient is zero, straight through it is that of the interpolation.
 *
 * Where a scale is given, align_corners and half_pixel_symmetric take the output's length before rounding (scale times
 * length), as the specification's reference has it; scale and rounded length are what else there is to choose from, and
 * they differ from it only where scale times length is no integer. The batch axis keeps its size; a size of 1 there is
 * that of an export at batch 1. */
#include <inttypes.h>
#include <math.h>

#include "kernels/map.h"
#include "kernels/moves.h"
#include "kernels/resize_weights.h"

typedef struct resize {
    ox_resampling r;
    float extrapolation;
    uint32_t n_dims;
    ox_resize_geometry g[ASSAY_MAX_DIMS];
} resize;

/* ---- attributes and inputs ---------------------------------------------------------------------- */

static status read_name(const ox_node *n, const char *attr, const char *const *names, unsigned count, unsigned def,
                        unsigned *v, error *err) {
    TRY(ox_check_attr(n, attr, OX_STRING, err));
    const ox_attr *a = ox_attr_find(n, attr);
    *v = def;
    if (a == NULL) {
        return STATUS_OK;
    }
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(a->s, names[i]) == 0) {
            *v = i;
            return STATUS_OK;
        }
    }
    return error_set(err, STATUS_MODEL, "%s is \"%.40s\"", attr, a->s);
}

/* Names in the order of the enumerations. */
static status read_resampling(const ox_node *n, ox_resampling *r, error *err) {
    static const char *const modes[] = {"nearest", "linear", "cubic"}, *const first[] = {"nearest", "bilinear"};
    static const char *const nearest[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
    static const char *const transforms[] = {
        "half_pixel",         "pytorch_half_pixel",   "align_corners",        "asymmetric",
        "tf_crop_and_resize", "tf_half_pixel_for_nn", "half_pixel_symmetric",
    };
    static const char *const numbers[] = {"exclude_outside", "antialias"};
    bool old = n->opset < 11; /* and Upsample: asymmetric, floor */
    unsigned mode = 0, near = OX_FLOOR, transform = OX_ASYMMETRIC;
    TRY(read_name(n, "mode", n->opset < 7 ? first : modes, old ? 2 : 3, 0, &mode, err));
    if (!old) {
        TRY(read_name(n, "nearest_mode", nearest, 4, OX_ROUND_PREFER_FLOOR, &near, err));
        TRY(read_name(n, "coordinate_transformation_mode", transforms, 7, OX_HALF_PIXEL, &transform, err));
        TRY(ox_check_attr(n, "cubic_coeff_a", OX_FLOAT, err));
        TRY(ox_check_attr(n, "extrapolation_value", OX_FLOAT, err));
        TRY(ox_check_attr(n, numbers[0], OX_INT, err));
        TRY(ox_check_attr(n, numbers[1], OX_INT, err));
    }
    *r =
        (ox_resampling){.mode = (ox_interpolation)mode,
                        .nearest = (ox_nearest)near,
                        .transform = (ox_transform)transform,
                        .cubic_a = (double)ox_attr_float(n, "cubic_coeff_a", -0.75F),
                        .exclude_outside = !old && ox_attr_int(n, numbers[0], 0) != 0,
                        .antialias = n->opset >= 18 && mode != OX_RESIZE_NEAREST && ox_attr_int(n, numbers[1], 0) != 0};
    return STATUS_OK;
}

/* Input i, constant floats, one or two for each of `count` axes; NULL where it is absent or empty. */
static status read_floats(const ox_node *n, size_t i, size_t count, const ox_tensor **t, error *err) {
    *t = ox_input(n, i);
    if (*t == NULL || (*t)->n == 0) {
        *t = NULL;
        return STATUS_OK;
    }
    if (!ox_is_float((*t)->dtype) || (*t)->n_dims != 1 || (*t)->n != count) {
        return error_set(err, STATUS_MODEL, "input %zu is not a vector of %zu floats", i, count);
    }
    if (!(*t)->is_const) {
        return error_set(err, STATUS_UNSUPPORTED, "input %zu is computed from the graph's input", i);
    }
    return STATUS_OK;
}

static status by_scale(ox_resize_geometry *g, double scale, double region, error *err) {
    double exact = (double)((float)g->in * (float)scale); /* 0.7F * 10 is 7: in float32, as everyone has it */
    double size = floor(region == 1 ? exact : (double)g->in * region * scale);
    if (!(scale > 0) || !isfinite(scale) || !(size >= 0) || size > 0x1p40) {
        return error_set(err, STATUS_MODEL, "a scale of %g for %zu elements", scale, g->in);
    }
    g->num = scale;
    g->den = 1;
    g->width = (double)g->in * scale;
    g->out = (size_t)size;
    return STATUS_OK;
}

static status by_size(ox_resize_geometry *g, int64_t size, bool keeps, error *err) {
    int64_t out = keeps && size == 1 ? (int64_t)g->in : size;
    if (out < 0) {
        return error_set(err, STATUS_MODEL, "a size of %" PRId64, size);
    }
    g->out = (size_t)out;
    g->num = (double)out;
    g->den = (double)g->in;
    g->width = (double)out;
    return STATUS_OK;
}

/* keep_aspect_ratio_policy: one scale for all axes, the smallest or the largest of what sizes ask for. */
static status keep_ratio(const ox_node *n, resize *z, const ox_list *axes, error *err) {
    static const char *const policies[] = {"stretch", "not_larger", "not_smaller"};
    unsigned policy = 0;
    TRY(read_name(n, "keep_aspect_ratio_policy", policies, n->opset < 18 ? 1 : 3, 0, &policy, err));
    double scale = 0;
    for (size_t i = 0; policy != 0 && i < axes->n; i++) {
        const ox_resize_geometry *g = &z->g[axes->v[i]];
        double s = g->num / g->den;
        scale = i == 0 || (policy == 1 ? s < scale : s > scale) ? s : scale;
    }
    for (size_t i = 0; policy != 0 && i < axes->n; i++) {
        ox_resize_geometry *g = &z->g[axes->v[i]];
        if (!(scale * (double)g->in <= 0x1p40)) {
            return error_set(err, STATUS_MODEL, "a scale of %g for %zu elements", scale, g->in);
        }
        g->num = scale;
        g->den = 1;
        g->width = scale * (double)g->in;
        g->out = (size_t)floor(g->width + 0.5);
    }
    return STATUS_OK;
}

static status read_axes(const ox_node *n, uint32_t rank, ox_list *axes, error *err) {
    TRY(ox_list_read(n, n->opset < 18 ? NULL : "axes", SIZE_MAX, axes, err));
    if (!axes->present) {
        for (axes->n = 0; axes->n < rank; axes->n++) {
            axes->v[axes->n] = (int64_t)axes->n;
        }
    }
    return ox_list_axes(axes, rank, err);
}

/* Resize from opset 11 on: x, roi, scales, sizes. */
static status read_targets(const ox_node *n, resize *z, error *err) {
    const ox_tensor *roi = NULL, *scales = NULL;
    const ox_tensor *raw = ox_input(n, 3);
    ox_list axes, sizes = {0};
    TRY(read_axes(n, z->n_dims, &axes, err));
    if (z->r.transform == OX_TF_CROP_AND_RESIZE) {
        TRY(read_floats(n, 1, 2 * axes.n, &roi, err));
        if (roi == NULL) {
            return error_set(err, STATUS_MODEL, "tf_crop_and_resize without a region");
        }
    }
    TRY(read_floats(n, 2, axes.n, &scales, err));
    if (raw != NULL && raw->n > 0) {
        TRY(ox_list_read(n, NULL, 3, &sizes, err));
    }
    if ((scales != NULL) == sizes.present || (sizes.present && sizes.n != axes.n)) {
        return error_set(err, STATUS_MODEL, "scales or sizes are needed, one for each of %zu axes", axes.n);
    }
    for (size_t i = 0; i < axes.n; i++) {
        ox_resize_geometry *g = &z->g[axes.v[i]];
        g->roi_lo = roi == NULL ? 0 : ox_at(roi, i);
        g->roi_hi = roi == NULL ? 1 : ox_at(roi, axes.n + i);
        if (scales != NULL) {
            TRY(by_scale(g, ox_at(scales, i), g->roi_hi - g->roi_lo, err));
        } else {
            TRY(by_size(g, sizes.v[i], axes.v[i] == 0 && n->in[0]->has_batch, err));
        }
    }
    return sizes.present ? keep_ratio(n, z, &axes, err) : STATUS_OK;
}

/* Upsample 1: images (N, C, H, W), two attributes. */
static status read_image_scales(const ox_node *n, resize *z, error *err) {
    static const char *const names[] = {"height_scale", "width_scale"};
    if (z->n_dims != 4) {
        return error_set(err, STATUS_MODEL, "the input has %u dimensions; 4 are needed", z->n_dims);
    }
    for (uint32_t i = 0; i < 2; i++) {
        const ox_attr *a = ox_attr_find(n, names[i]);
        if (a == NULL || a->kind != OX_FLOAT) {
            return error_set(err, STATUS_MODEL, "attribute %s is missing or no float", names[i]);
        }
        TRY(by_scale(&z->g[2 + i], (double)a->f, 1, err));
    }
    return STATUS_OK;
}

/* Resize 10 and Upsample: scales alone, an attribute before opset 9. */
static status read_scales(const ox_node *n, resize *z, error *err) {
    if (n->opset < 7) {
        return read_image_scales(n, z, err);
    }
    const ox_attr *a = n->opset < 9 ? ox_attr_find(n, "scales") : NULL;
    const ox_tensor *t = NULL;
    if (n->opset < 9 && (a == NULL || a->kind != OX_FLOATS || a->n != z->n_dims)) {
        return error_set(err, STATUS_MODEL, "attribute scales is missing or not %u floats", z->n_dims);
    }
    if (a == NULL) {
        TRY(read_floats(n, 1, z->n_dims, &t, err));
        if (t == NULL) {
            return error_set(err, STATUS_MODEL, "scales are missing");
        }
    }
    for (uint32_t d = 0; d < z->n_dims; d++) {
        TRY(by_scale(&z->g[d], a != NULL ? (double)a->floats[d] : ox_at(t, d), 1, err));
    }
    return STATUS_OK;
}

static status read_resize(const ox_node *n, resize *z, error *err) {
    TRY(ox_need_in_out(n, err));
    const ox_tensor *x = n->in[0];
    *z = (resize){.n_dims = x->n_dims, .extrapolation = ox_attr_float(n, "extrapolation_value", 0)};
    TRY(read_resampling(n, &z->r, err));
    for (uint32_t d = 0; d < x->n_dims; d++) {
        size_t in = (size_t)x->shape[d];
        z->g[d] = (ox_resize_geometry){
            .in = in, .out = in, .num = 1, .den = 1, .width = (double)in, .roi_lo = 0, .roi_hi = 1};
    }
    TRY(n->opset < 11 ? read_scales(n, z, err) : read_targets(n, z, err));
    for (uint32_t d = 0; d < x->n_dims; d++) {
        if (z->g[d].in == 0 && z->g[d].out > 0) {
            return error_set(err, STATUS_MODEL, "dimension %u has no elements to make %zu of", d, z->g[d].out);
        }
    }
    if (x->has_batch && !ox_resize_is_identity(&z->r, &z->g[0])) {
        return error_set(err, STATUS_UNSUPPORTED, "the axis is the batch's");
    }
    bool moves = z->r.mode == OX_RESIZE_NEAREST;
    if (!moves && (x->dtype == ASSAY_I64 || x->dtype == ASSAY_BOOL)) {
        return error_set(err, STATUS_UNSUPPORTED, "interpolation of %s", ox_dtype_name(x->dtype));
    }
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    resize z;
    TRY(read_resize(n, &z, err));
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    for (uint32_t d = 0; d < z.n_dims; d++) {
        shape[d] = (int64_t)z.g[d].out;
    }
    return ox_set_shape(n->out[0], n->in[0]->dtype, shape, z.n_dims, err);
}

/* ---- plans -------------------------------------------------------------------------------------- */

/* A step makes `outer` slices of (axis, inner) out of as many. */
typedef struct step {
    uint32_t d;
    size_t outer, inner;
} step;

typedef struct plan {
    resize z;
    bool identity[ASSAY_MAX_DIMS];
    ox_resize_axis axis[ASSAY_MAX_DIMS], back[ASSAY_MAX_DIMS]; /* back: the transposes, with vjp only */
    uint32_t n_steps;
    step steps[ASSAY_MAX_DIMS];
    size_t slices, in_slice, out_slice; /* what lies outside the first axis that changes */
    float *between[2];
} plan;

/* The next step's axis: of those left the one with the smallest out / in, of equals the last. */
static uint32_t next_axis(const plan *p, const bool *done) {
    uint32_t best = ASSAY_MAX_DIMS;
    double least = 0;
    for (uint32_t i = 0; i < p->z.n_dims; i++) {
        uint32_t d = p->z.n_dims - 1 - i;
        double growth = (double)p->z.g[d].out / (double)p->z.g[d].in;
        if (!p->identity[d] && !done[d] && (best == ASSAY_MAX_DIMS || growth < least)) {
            best = d;
            least = growth;
        }
    }
    return best;
}

static status make_steps(plan *p, error *err) {
    bool done[ASSAY_MAX_DIMS] = {false};
    size_t size[ASSAY_MAX_DIMS] = {0}, most = 1;
    uint32_t first = p->z.n_dims;
    p->slices = p->in_slice = p->out_slice = 1;
    for (uint32_t d = 0; d < p->z.n_dims; d++) {
        size[d] = p->z.g[d].in;
        first = first == p->z.n_dims && !p->identity[d] ? d : first;
        if (first == p->z.n_dims) {
            p->slices *= p->z.g[d].in;
            continue;
        }
        p->in_slice *= p->z.g[d].in;
        p->out_slice *= p->z.g[d].out;
    }
    for (uint32_t d = next_axis(p, done); d < ASSAY_MAX_DIMS; d = next_axis(p, done)) {
        step *s = &p->steps[p->n_steps++];
        size_t all = p->z.g[d].out;
        *s = (step){d, 1, 1};
        for (uint32_t k = first; k < p->z.n_dims; k++) {
            size_t *of = k < d ? &s->outer : &s->inner;
            *of *= k == d ? 1 : size[k];
        }
        if (!mem_mul(all, s->outer, &all) || !mem_mul(all, s->inner, &all)) {
            return error_set(err, STATUS_MEMORY, "the resized tensor overflows");
        }
        most = all > most ? all : most;
        size[d] = p->z.g[d].out;
        done[d] = true;
    }
    most = p->in_slice > most ? p->in_slice : most;
    for (unsigned i = 0; i < 2; i++) {
        p->between[i] = mem_try(most, sizeof(float), "resized slices", err);
        if (p->between[i] == NULL) {
            return STATUS_MEMORY;
        }
    }
    return STATUS_OK;
}

static int64_t source(const void *how, uint32_t d, size_t i) {
    const resize *z = how;
    int64_t at = ox_resize_is_identity(&z->r, &z->g[d]) ? (int64_t)i : ox_resize_nearest(&z->r, &z->g[d], i);
    for (uint32_t k = d + 1; at >= 0 && k < z->n_dims; k++) {
        at *= (int64_t)z->g[k].in;
    }
    return at < 0 ? OX_FILL : at;
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    resize z;
    TRY(read_resize(n, &z, err));
    if (z.r.mode == OX_RESIZE_NEAREST) {
        return ox_moves_prepare(n, n->out[0]->shape, z.n_dims, source, &z, err);
    }
    plan *p = mem_zalloc(sizeof *p);
    n->state = p;
    p->z = z;
    if (n->out[0]->n == 0) {
        return STATUS_OK;
    }
    for (uint32_t d = 0; d < z.n_dims; d++) {
        p->identity[d] = ox_resize_is_identity(&z.r, &z.g[d]);
        if (!p->identity[d]) {
            TRY(ox_resize_axis_make(&z.r, &z.g[d], &p->axis[d], err));
            TRY(want_vjp ? ox_resize_axis_transpose(&p->axis[d], &p->back[d], err) : STATUS_OK);
        }
    }
    return make_steps(p, err);
}

static bool is_nearest(const ox_node *n) {
    const ox_attr *a = ox_attr_find(n, "mode");
    return a == NULL || strcmp(a->s, "nearest") == 0;
}

static void release(ox_node *n) {
    if (n->state == NULL || is_nearest(n)) {
        ox_moves_release(n);
        return;
    }
    plan *p = n->state;
    for (uint32_t d = 0; d < ASSAY_MAX_DIMS; d++) {
        ox_resize_axis_free(&p->axis[d]);
        ox_resize_axis_free(&p->back[d]);
    }
    mem_free(p->between[0]);
    mem_free(p->between[1]);
    mem_free(p);
    n->state = NULL;
}

/* ---- the plain loops ---------------------------------------------------------------------------- */

/* Sum over the taps of axes d and on; `at` counts elements of the axes before. True in *in: no axis is outside. */
static double interpolate(const plan *p, const ox_tensor *x, const size_t *index, uint32_t d, size_t at, bool *in) {
    if (d == p->z.n_dims) {
        return ox_at(x, at);
    }
    const ox_resize_axis *a = &p->axis[d];
    if (p->identity[d]) {
        return interpolate(p, x, index, d + 1, at * p->z.g[d].in + index[d], in);
    }
    double sum = 0;
    *in = *in && a->start[index[d]] < a->start[index[d] + 1];
    for (size_t k = a->start[index[d]]; k < a->start[index[d] + 1]; k++) {
        sum += a->exact[k] * interpolate(p, x, index, d + 1, at * a->in + a->at[k], in);
    }
    return sum;
}

static void scatter(const plan *p, const size_t *index, uint32_t d, size_t at, double g, float *dx) {
    if (d == p->z.n_dims) {
        dx[at] += (float)g;
        return;
    }
    const ox_resize_axis *a = &p->axis[d];
    if (p->identity[d]) {
        scatter(p, index, d + 1, at * p->z.g[d].in + index[d], g, dx);
        return;
    }
    for (size_t k = a->start[index[d]]; k < a->start[index[d] + 1]; k++) {
        scatter(p, index, d + 1, at * a->in + a->at[k], g * a->exact[k], dx);
    }
}

static void next_index(const resize *z, size_t *index) {
    for (uint32_t i = 0; i < z->n_dims; i++) {
        uint32_t d = z->n_dims - 1 - i;
        if (++index[d] < z->g[d].out) {
            return;
        }
        index[d] = 0;
    }
}

static void put(ox_tensor *t, size_t i, double v) {
    double low = t->dtype == ASSAY_I8 ? INT8_MIN : (t->dtype == ASSAY_I32 ? INT32_MIN : 0);
    double high = t->dtype == ASSAY_I8 ? INT8_MAX : (t->dtype == ASSAY_I32 ? INT32_MAX : UINT8_MAX);
    double held = v < low ? low : (v > high ? high : v);
    switch (t->dtype) {
    case ASSAY_I8: ((int8_t *)t->data)[i] = (int8_t)held; break;
    case ASSAY_U8: ((uint8_t *)t->data)[i] = (uint8_t)held; break;
    case ASSAY_I32: ((int32_t *)t->data)[i] = (int32_t)held; break;
    default: ox_put(t, i, v);
    }
}

static void move_nearest(const ox_node *n) {
    ox_tensor *y = n->out[0], item = {.dtype = y->dtype};
    union {
        int64_t i;
        double d;
    } fill = {0};
    item.data = &fill;
    double v = (double)ox_attr_float(n, "extrapolation_value", 0);
    if (y->dtype == ASSAY_I64) {
        fill.i = fabs(v) < 0x1p63 ? (int64_t)v : 0;
    } else if (y->dtype != ASSAY_BOOL) {
        put(&item, 0, v);
    }
    ox_moves_copy(n->state, n->in[0]->data, y->data, ox_dtype_bytes(y->dtype), &fill);
}

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    if (is_nearest(n)) {
        move_nearest(n);
        return STATUS_OK;
    }
    const plan *p = n->state;
    size_t index[ASSAY_MAX_DIMS] = {0};
    for (size_t i = 0; i < n->out[0]->n; i++, next_index(&p->z, index)) {
        bool in = true;
        double v = interpolate(p, n->in[0], index, 0, 0, &in);
        for (uint32_t d = 0; d < p->z.n_dims; d++) { /* also behind an axis without taps */
            in = in && (p->identity[d] || p->axis[d].start[index[d]] < p->axis[d].start[index[d] + 1]);
        }
        put(n->out[0], i, in ? v : (double)p->z.extrapolation);
    }
    return STATUS_OK;
}

/* No gradient passes an integer result, unless straight through. */
static bool is_flat(const ox_node *n, assay_vjp_mode mode) {
    return !is_nearest(n) && !ox_is_float(n->in[0]->dtype) && mode != ASSAY_VJP_STRAIGHT_THROUGH;
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    if (is_nearest(n)) {
        return ox_moves_vjp(n, mode, err);
    }
    const plan *p = n->state;
    size_t index[ASSAY_MAX_DIMS] = {0};
    for (size_t i = 0; g != NULL && dx != NULL && !is_flat(n, mode) && i < n->out[0]->n; i++) {
        scatter(p, index, 0, 0, (double)g[i], dx);
        next_index(&p->z, index);
    }
    return STATUS_OK;
}

/* ---- one axis after the other ------------------------------------------------------------------- */

static status forward(ox_node *n, error *err) {
    if (is_nearest(n) || n->in[0]->dtype != ASSAY_F32) {
        return forward_reference(n, err);
    }
    const plan *p = n->state;
    const float *x = n->in[0]->data;
    float *y = n->out[0]->data;
    for (size_t s = 0; n->out[0]->n > 0 && s < p->slices; s++, x += p->in_slice, y += p->out_slice) {
        const float *from = x;
        if (p->n_steps == 0) {
            memcpy(y, x, p->in_slice * sizeof *y);
        }
        for (uint32_t k = 0; k < p->n_steps; k++) {
            const step *t = &p->steps[k];
            float *to = k + 1 == p->n_steps ? y : p->between[k % 2];
            ox_resize_axis_apply(&p->axis[t->d], t->outer, t->inner, from, to, p->z.extrapolation);
            from = to;
        }
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    if (is_nearest(n) || g == NULL || dx == NULL || is_flat(n, mode) || n->out[0]->n == 0) {
        return vjp_reference(n, mode, err);
    }
    const plan *p = n->state;
    for (size_t s = 0; s < p->slices; s++, dx += p->in_slice, g += p->out_slice) {
        const float *from = g;
        for (uint32_t k = p->n_steps; k-- > 0;) {
            const step *t = &p->steps[k];
            ox_resize_axis_apply(&p->back[t->d], t->outer, t->inner, from, p->between[k % 2], 0);
            from = p->between[k % 2];
        }
        for (size_t i = 0, len = p->in_slice; i < len; i++) {
            dx[i] += from[i];
        }
    }
    return STATUS_OK;
}

#define RESIZE(symbol, name, first, last, most_in)                                                                     \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = (first),                                                        \
                                          .max_opset = (last),                                                         \
                                          .flags = OX_KEEPS_BATCH | OX_TAKES_SHAPE,                                    \
                                          .min_in = 1,                                                                 \
                                          .max_in = (most_in),                                                         \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = infer,                                                              \
                                          .prepare = prepare,                                                          \
                                          .release = release,                                                          \
                                          .forward = forward,                                                          \
                                          .forward_reference = forward_reference,                                      \
                                          .vjp = vjp,                                                                  \
                                          .vjp_reference = vjp_reference}
RESIZE(resize, "Resize", 10, 9999, 4);
RESIZE(upsample, "Upsample", 1, 10, 2);
