/* SPDX-License-Identifier: Apache-2.0
 * EyeLike (opset 9 on): ones on diagonal k, of the input's shape. Computed while the plan is made. */
#include "kernels/moves.h"

/* onnx.TensorProto.DataType of the attribute, without it the input's. */
static uint32_t dtype_of(const ox_node *n) {
    static const uint32_t dtypes[] = {0,         ASSAY_F32, ASSAY_U8, ASSAY_I8,   0, 0,
                                      ASSAY_I32, ASSAY_I64, 0,        ASSAY_BOOL, 0, ASSAY_F64};
    const ox_attr *a = ox_attr_find(n, "dtype");
    if (a == NULL) {
        return n->in[0]->dtype;
    }
    return a->i >= 0 && a->i < (int64_t)(sizeof dtypes / sizeof dtypes[0]) ? dtypes[a->i] : 0;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    TRY(ox_check_attr(n, "dtype", OX_INT, err));
    TRY(ox_check_attr(n, "k", OX_INT, err));
    if (n->in[0]->n_dims != 2) {
        return error_set(err, STATUS_MODEL, "the input has %u dimensions, not 2", n->in[0]->n_dims);
    }
    if (dtype_of(n) == 0) {
        return error_set(err, STATUS_UNSUPPORTED, "ONNX data type %lld", (long long)ox_attr_int(n, "dtype", 0));
    }
    return ox_set_shape(n->out[0], dtype_of(n), n->in[0]->shape, 2, err);
}

static void put_one(ox_tensor *y, size_t i) {
    switch (y->dtype) {
    case ASSAY_F32:
    case ASSAY_F64: ox_put(y, i, 1); break;
    case ASSAY_I32: ((int32_t *)y->data)[i] = 1; break;
    case ASSAY_I64: ((int64_t *)y->data)[i] = 1; break;
    default: ((uint8_t *)y->data)[i] = 1;
    }
}

static status forward(ox_node *n, error *err) {
    (void)err;
    ox_tensor *y = n->out[0];
    int64_t k = ox_attr_int(n, "k", 0), rows = y->shape[0], columns = y->shape[1];
    if (y->n > 0) {
        memset(y->data, 0, y->n * ox_dtype_bytes(y->dtype));
    }
    for (int64_t r = k < 0 && k > -rows ? -k : 0; k > -rows && k < columns && r < rows && r + k < columns; r++) {
        put_one(y, (size_t)(r * columns + r + k));
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_eye_like = {.op = "EyeLike",
                                      .min_opset = 9,
                                      .max_opset = 9999,
                                      .flags = OX_NO_GRADIENT | OX_READS_SHAPE,
                                      .min_in = 1,
                                      .max_in = 1,
                                      .min_out = 1,
                                      .max_out = 1,
                                      .infer = infer,
                                      .forward = forward};
