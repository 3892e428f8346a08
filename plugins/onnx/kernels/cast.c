/* SPDX-License-Identifier: Apache-2.0
 * Cast between float32, float64, int8, uint8, int32, int64, bool (opset 6 on). A float to an integer truncates
 * towards zero; where ONNX leaves the result undefined (beyond the range, NaN) it saturates, NaN to 0. Integers to
 * narrower integers wrap. To a float the gradient is the identity (from an integer too: gradients of integers are
 * per quantum, kernel.h). To an integer it is exactly zero, but in straight-through mode, which passes it where the
 * value lies inside the target's range. To bool it is zero. */
#include <math.h>

#include "kernels/common.h"

/* onnx.TensorProto.DataType */
static uint32_t dtype_of_onnx(int64_t v) {
    switch (v) {
    case 1: return ASSAY_F32;
    case 2: return ASSAY_U8;
    case 3: return ASSAY_I8;
    case 6: return ASSAY_I32;
    case 7: return ASSAY_I64;
    case 9: return ASSAY_BOOL;
    case 11: return ASSAY_F64;
    default: return 0;
    }
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_dtype_of_first(n, 0, err));
    const ox_attr *to = ox_attr_find(n, "to");
    if (to == NULL || to->kind != OX_INT) {
        return error_set(err, STATUS_MODEL, "attribute to is missing or no integer");
    }
    uint32_t dtype = dtype_of_onnx(to->i);
    if (dtype == 0 || n->out[0] == NULL) {
        return error_set(err, STATUS_UNSUPPORTED, "a cast to ONNX data type %lld", (long long)to->i);
    }
    return ox_set_shape(n->out[0], dtype, n->in[0]->shape, n->in[0]->n_dims, err);
}

/* Bounds of a dtype as doubles: lo <= x < hi truncates into the type. */
static void range_of(uint32_t dtype, double *lo, double *hi) {
    switch (dtype) {
    case ASSAY_U8: *lo = 0, *hi = 0x1p8; break;
    case ASSAY_I8: *lo = -0x1p7, *hi = 0x1p7; break;
    case ASSAY_I32: *lo = -0x1p31, *hi = 0x1p31; break;
    default: *lo = -0x1p63, *hi = 0x1p63;
    }
}

static int64_t to_integer(double x, uint32_t dtype) {
    double lo = 0, hi = 0;
    range_of(dtype, &lo, &hi);
    x = trunc(x);
    if (x != x) {
        return 0;
    }
    if (x < lo) {
        return (int64_t)lo;
    }
    if (x >= hi) {
        return dtype == ASSAY_I64 ? INT64_MAX : (int64_t)hi - 1;
    }
    return (int64_t)x;
}

static void put_integer(ox_tensor *t, size_t i, int64_t v) {
    switch (t->dtype) {
    case ASSAY_I8:
    case ASSAY_U8: ((uint8_t *)t->data)[i] = (uint8_t)(uint64_t)v; break;
    case ASSAY_BOOL: ((uint8_t *)t->data)[i] = v != 0; break;
    case ASSAY_I32: ((int32_t *)t->data)[i] = (int32_t)(uint32_t)(uint64_t)v; break;
    default: ((int64_t *)t->data)[i] = v;
    }
}

static status forward(ox_node *n, error *err) {
    (void)err;
    const ox_tensor *x = n->in[0];
    ox_tensor *y = n->out[0];
    for (size_t i = 0; i < y->n; i++) {
        if (ox_is_float(y->dtype)) {
            ox_put(y, i, ox_at(x, i));
        } else if (ox_is_float(x->dtype)) {
            double v = ox_at(x, i);
            put_integer(y, i, y->dtype == ASSAY_BOOL ? v != 0 : to_integer(v, y->dtype)); /* NaN is true */
        } else {
            put_integer(y, i, x->dtype == ASSAY_I64 ? ((const int64_t *)x->data)[i] : (int64_t)ox_at(x, i));
        }
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)err;
    const ox_tensor *x = n->in[0], *y = n->out[0];
    float *dx = ox_grad_in(n, 0);
    const float *g = ox_grad_out(n, 0);
    bool smooth = ox_is_float(y->dtype);
    if (dx == NULL || g == NULL || y->dtype == ASSAY_BOOL || (!smooth && mode != ASSAY_VJP_STRAIGHT_THROUGH)) {
        return STATUS_OK;
    }
    double lo = 0, hi = 0;
    range_of(y->dtype, &lo, &hi);
    for (size_t i = 0; i < y->n; i++) {
        double v = trunc(ox_at(x, i));
        if (smooth || (v >= lo && v < hi)) {
            dx[i] += g[i];
        }
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_cast = {.op = "Cast",
                                  .min_opset = 6,
                                  .max_opset = 9999,
                                  .flags = OX_KEEPS_BATCH,
                                  .min_in = 1,
                                  .max_in = 1,
                                  .min_out = 1,
                                  .max_out = 1,
                                  .infer = infer,
                                  .forward = forward,
                                  .vjp = vjp};
