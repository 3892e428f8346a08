/* SPDX-License-Identifier: Apache-2.0
 * CenterCropPad (opset 18 on), any dtype: each axis is cut or filled with zeros around its middle to the size that a
 * constant asks for; of an odd difference the smaller half is at the start. */
#include <inttypes.h>

#include "kernels/moves.h"

typedef struct crop {
    int64_t start[ASSAY_MAX_DIMS], dim[ASSAY_MAX_DIMS], stride[ASSAY_MAX_DIMS]; /* start: of the output, in the input */
} crop;

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    const ox_tensor *x = n->in[0];
    ox_list axes, target;
    TRY(ox_list_read(n, "axes", SIZE_MAX, &axes, err));
    TRY(ox_list_axes(&axes, x->n_dims, err));
    TRY(ox_list_read(n, NULL, 1, &target, err));
    size_t k = axes.present ? axes.n : x->n_dims;
    if (!target.present || target.n != k) {
        return error_set(err, STATUS_MODEL, "%zu sizes for %zu axes", target.n, k);
    }
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    memcpy(shape, x->shape, sizeof shape);
    for (size_t i = 0; i < k; i++) {
        size_t d = axes.present ? (size_t)axes.v[i] : i;
        shape[d] = d == 0 && x->has_batch && target.v[i] == 1 ? shape[0] : target.v[i]; /* an export at batch 1 */
    }
    if (x->has_batch && shape[0] != x->shape[0]) {
        return error_set(err, STATUS_UNSUPPORTED, "the axis is the batch's");
    }
    return ox_set_shape(n->out[0], x->dtype, shape, x->n_dims, err);
}

static int64_t source(const void *how, uint32_t d, size_t i) {
    const crop *c = how;
    int64_t at = c->start[d] + (int64_t)i;
    return at < 0 || at >= c->dim[d] ? OX_FILL : at * c->stride[d];
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    const ox_tensor *x = n->in[0], *y = n->out[0];
    crop c;
    for (uint32_t d = 0; d < x->n_dims; d++) {
        c.dim[d] = x->shape[d];
        c.stride[d] = (int64_t)ox_count(x, d + 1, x->n_dims);
        c.start[d] = (x->shape[d] - y->shape[d]) / 2; /* towards zero: both ways the smaller half */
    }
    return ox_moves_prepare(n, y->shape, y->n_dims, source, &c, err);
}

const ox_kernel ox_kernel_center_crop_pad = {.op = "CenterCropPad",
                                             .min_opset = 18,
                                             .max_opset = 9999,
                                             .flags = OX_KEEPS_BATCH | OX_TAKES_SHAPE,
                                             .min_in = 2,
                                             .max_in = 2,
                                             .min_out = 1,
                                             .max_out = 1,
                                             .infer = infer,
                                             .prepare = prepare,
                                             .release = ox_moves_release,
                                             .forward = ox_moves_forward,
                                             .vjp = ox_moves_vjp};
