/* SPDX-License-Identifier: Apache-2.0
 * Range (opset 11 on): start, start + delta, ... below (or above) limit; three constants of one type. Integers are
 * exact; element i of floats is start + i * delta in double, rounded once. */
#include <math.h>

#include "kernels/common.h"

static status count_floats(const ox_node *n, int64_t *count, error *err) {
    double start = ox_at(n->in[0], 0), limit = ox_at(n->in[1], 0), delta = ox_at(n->in[2], 0);
    double k = ceil((limit - start) / delta);
    if (delta == 0 || k != k) {
        return error_set(err, STATUS_MODEL, "a range from %g to %g in steps of %g", start, limit, delta);
    }
    if (k > 0x1p40) {
        return error_set(err, STATUS_MODEL, "a range of %g values: too large", k);
    }
    *count = k > 0 ? (int64_t)k : 0;
    return STATUS_OK;
}

static int64_t integer(const ox_node *n, size_t i) {
    return n->in[i]->dtype == ASSAY_I64 ? *(const int64_t *)n->in[i]->data : *(const int32_t *)n->in[i]->data;
}

static status count_integers(const ox_node *n, int64_t *count, error *err) {
    int64_t start = integer(n, 0), limit = integer(n, 1), delta = integer(n, 2);
    if (delta == 0) {
        return error_set(err, STATUS_MODEL, "delta is 0");
    }
    bool up = delta > 0;
    uint64_t span = up ? (uint64_t)limit - (uint64_t)start : (uint64_t)start - (uint64_t)limit;
    uint64_t step = up ? (uint64_t)delta : 0 - (uint64_t)delta;
    uint64_t k = (up ? limit <= start : limit >= start) ? 0 : (span - 1) / step + 1;
    if (k > (uint64_t)1 << 40) {
        return error_set(err, STATUS_MODEL, "a range of %llu values: too large", (unsigned long long)k);
    }
    *count = (int64_t)k;
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    int64_t count[1] = {0};
    for (size_t i = 0; i < 3; i++) {
        TRY(ox_need_dtype_of_first(n, i, err));
        if (n->in[i]->n != 1 || n->in[i]->n_dims > 1) {
            return error_set(err, STATUS_MODEL, "input %zu is not one value", i);
        }
        if (!n->in[i]->is_const) {
            return error_set(err, STATUS_UNSUPPORTED, "input %zu is computed: the output's shape depends on it", i);
        }
    }
    uint32_t dtype = n->in[0]->dtype;
    bool integers = dtype == ASSAY_I64 || dtype == ASSAY_I32;
    if (n->out[0] == NULL || (!integers && !ox_is_float(dtype))) {
        return error_set(err, STATUS_MODEL, "a range of %s", ox_dtype_name(dtype));
    }
    TRY(integers ? count_integers(n, count, err) : count_floats(n, count, err));
    return ox_set_shape(n->out[0], dtype, count, 1, err);
}

static status forward(ox_node *n, error *err) {
    (void)err;
    ox_tensor *y = n->out[0];
    for (size_t i = 0; i < y->n; i++) {
        if (ox_is_float(y->dtype)) {
            ox_put(y, i, ox_at(n->in[0], 0) + (double)i * ox_at(n->in[2], 0));
            continue;
        }
        int64_t v = (int64_t)((uint64_t)integer(n, 0) + (uint64_t)i * (uint64_t)integer(n, 2));
        if (y->dtype == ASSAY_I64) {
            ((int64_t *)y->data)[i] = v;
        } else {
            ((int32_t *)y->data)[i] = (int32_t)v;
        }
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_range = {.op = "Range",
                                   .min_opset = 11,
                                   .max_opset = 9999,
                                   .flags = OX_NO_GRADIENT,
                                   .min_in = 3,
                                   .max_in = 3,
                                   .min_out = 1,
                                   .max_out = 1,
                                   .infer = infer,
                                   .forward = forward};
