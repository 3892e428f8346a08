/* SPDX-License-Identifier: Apache-2.0
 * Slice of any dtype, as numpy has it: starts, ends and axes are attributes before opset 10, inputs from then on, with
 * steps that may be negative. */
#include "kernels/moves.h"

typedef struct cut {
    int64_t start[ASSAY_MAX_DIMS], step[ASSAY_MAX_DIMS], count[ASSAY_MAX_DIMS], stride[ASSAY_MAX_DIMS];
} cut;

static int64_t clamp(int64_t v, int64_t lo, int64_t hi) {
    v = v < lo ? lo : v;
    return v > hi ? hi : v;
}

/* Sets dimension d of c to start:end:step. */
static void cut_axis(cut *c, uint32_t d, int64_t dim, int64_t start, int64_t end, int64_t step) {
    start += start < 0 ? dim : 0;
    end += end < 0 ? dim : 0;
    step = step < -INT64_MAX ? -INT64_MAX : step;
    bool up = step > 0;
    start = clamp(start, 0, up ? dim : dim - 1);
    end = clamp(end, up ? 0 : -1, up ? dim : dim - 1);
    int64_t span = up ? end - start : start - end;
    c->start[d] = start;
    c->step[d] = step;
    c->count[d] = span <= 0 ? 0 : (span - 1) / (up ? step : -step) + 1;
}

typedef struct bounds {
    ox_list starts, ends, axes, steps;
} bounds;

static status read_bounds(const ox_node *n, bounds *b, error *err) {
    bool attrs = n->opset < 10;
    TRY(ox_list_read(n, attrs ? "starts" : NULL, attrs ? SIZE_MAX : 1, &b->starts, err));
    TRY(ox_list_read(n, attrs ? "ends" : NULL, attrs ? SIZE_MAX : 2, &b->ends, err));
    TRY(ox_list_read(n, attrs ? "axes" : NULL, attrs ? SIZE_MAX : 3, &b->axes, err));
    TRY(ox_list_read(n, NULL, attrs ? SIZE_MAX : 4, &b->steps, err));
    size_t k = b->starts.n;
    if (!b->starts.present || !b->ends.present || b->ends.n != k || (b->axes.present && b->axes.n != k) ||
        (b->steps.present && b->steps.n != k) || k > n->in[0]->n_dims) {
        return error_set(err, STATUS_MODEL, "%zu starts, %zu ends, %zu axes and %zu steps for %u dimensions", k,
                         b->ends.n, b->axes.n, b->steps.n, n->in[0]->n_dims);
    }
    for (size_t i = 0; i < k && !b->axes.present; i++) {
        b->axes.v[i] = (int64_t)i;
    }
    b->axes.n = k;
    return ox_list_axes(&b->axes, n->in[0]->n_dims, err);
}

static status read_cut(const ox_node *n, cut *c, error *err) {
    const ox_tensor *x = n->in[0];
    bounds b;
    TRY(read_bounds(n, &b, err));
    *c = (cut){0};
    for (uint32_t d = 0; d < x->n_dims; d++) {
        c->start[d] = 0;
        c->step[d] = 1;
        c->count[d] = x->shape[d];
        c->stride[d] = (int64_t)ox_count(x, d + 1, x->n_dims);
    }
    for (size_t i = 0; i < b.starts.n; i++) {
        uint32_t d = (uint32_t)b.axes.v[i];
        int64_t step = b.steps.present ? b.steps.v[i] : 1;
        if (step == 0) {
            return error_set(err, STATUS_MODEL, "step %zu is 0", i);
        }
        cut_axis(c, d, x->shape[d], b.starts.v[i], b.ends.v[i], step);
    }
    if (x->has_batch && (c->count[0] != x->shape[0] || c->step[0] < 0)) {
        return error_set(err, STATUS_UNSUPPORTED, "the axis is the batch's");
    }
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    cut c;
    TRY(read_cut(n, &c, err));
    return ox_set_shape(n->out[0], n->in[0]->dtype, c.count, n->in[0]->n_dims, err);
}

static int64_t source(const void *how, uint32_t d, size_t i) {
    const cut *c = how;
    return (c->start[d] + (int64_t)i * c->step[d]) * c->stride[d];
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    cut c;
    TRY(read_cut(n, &c, err));
    return ox_moves_prepare(n, n->out[0]->shape, n->out[0]->n_dims, source, &c, err);
}

const ox_kernel ox_kernel_slice = {.op = "Slice",
                                   .min_opset = 1,
                                   .max_opset = 9999,
                                   .flags = 0,
                                   .min_in = 1,
                                   .max_in = 5,
                                   .min_out = 1,
                                   .max_out = 1,
                                   .infer = infer,
                                   .prepare = prepare,
                                   .release = ox_moves_release,
                                   .forward = ox_moves_forward,
                                   .vjp = ox_moves_vjp};
