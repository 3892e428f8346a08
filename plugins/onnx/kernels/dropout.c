/* SPDX-License-Identifier: Apache-2.0
 * Dropout in inference is the identity; the optional mask is all true. Opset 1 and 6: the attribute is_test says that
 * it is inference; 7: it always is; 10: the mask is bool, before it has the data's dtype; 12: ratio and training_mode
 * are inputs, and training with a ratio of 0 drops nothing either. */
#include "kernels/common.h"

static bool constant_scalar(const ox_tensor *t) {
    return t->is_const && t->n == 1 && t->data != NULL;
}

/* Nothing is dropped: not in training, or with a ratio of 0. */
static status check_inputs(const ox_node *n, error *err) {
    const ox_tensor *ratio = ox_input(n, 1), *training = ox_input(n, 2);
    if (training == NULL) {
        return STATUS_OK;
    }
    if (!constant_scalar(training) || training->dtype != ASSAY_BOOL) {
        return error_set(err, STATUS_UNSUPPORTED, "training_mode is no constant truth");
    }
    if (*(const uint8_t *)training->data == 0) {
        return STATUS_OK;
    }
    bool floats = ratio != NULL && (ratio->dtype == ASSAY_F32 || ratio->dtype == ASSAY_F64);
    if (!floats || !constant_scalar(ratio) || ox_at(ratio, 0) != 0) {
        return error_set(err, STATUS_UNSUPPORTED, "training_mode is true: only inference is supported");
    }
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    if (n->opset < 12 && n->n_in > 1) {
        return error_set(err, STATUS_MODEL, "ratio and training_mode are inputs from opset 12 on, this is %d",
                         n->opset);
    }
    if (n->opset < 7 && ox_attr_int(n, "is_test", 0) == 0) {
        return error_set(err, STATUS_UNSUPPORTED, "is_test is 0: only inference is supported");
    }
    TRY(check_inputs(n, err));
    if (n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "output 0 is missing");
    }
    ox_tensor *mask = ox_output(n, 1);
    if (mask != NULL) {
        uint32_t dtype = n->opset < 10 ? n->in[0]->dtype : (uint32_t)ASSAY_BOOL;
        TRY(ox_set_shape(mask, dtype, n->in[0]->shape, n->in[0]->n_dims, err));
    }
    return ox_infer_same(n, err);
}

static status forward(ox_node *n, error *err) {
    (void)err;
    memcpy(n->out[0]->data, n->in[0]->data, n->out[0]->n * ox_dtype_bytes(n->out[0]->dtype));
    ox_tensor *mask = ox_output(n, 1);
    for (size_t i = 0; mask != NULL && i < mask->n; i++) {
        if (mask->dtype == ASSAY_BOOL) {
            ((uint8_t *)mask->data)[i] = 1;
        } else {
            ox_put(mask, i, 1);
        }
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    float *dx = ox_grad_in(n, 0);
    const float *g = ox_grad_out(n, 0);
    for (size_t i = 0; dx != NULL && g != NULL && i < n->out[0]->n; i++) {
        dx[i] += g[i];
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_dropout = {.op = "Dropout",
                                     .min_opset = 1,
                                     .max_opset = 9999,
                                     .flags = OX_KEEPS_BATCH,
                                     .min_in = 1,
                                     .max_in = 3,
                                     .min_out = 1,
                                     .max_out = 2,
                                     .infer = infer,
                                     .forward = forward,
                                     .vjp = vjp};
