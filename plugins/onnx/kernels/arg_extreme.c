/* SPDX-License-Identifier: Apache-2.0
 * ArgMax and ArgMin along one axis: the first of the equals, or the last where select_last_index says so. A NaN is
 * more extreme than any number, as in NumPy. */
#include "kernels/axis.h"
#include "kernels/integer.h"

static status read(const ox_node *n, uint32_t *axis, error *err) {
    TRY(ox_check_attr(n, "keepdims", OX_INT, err));
    TRY(ox_check_attr(n, "select_last_index", OX_INT, err));
    return ox_attr_axis(n, "axis", 0, n->in[0]->n_dims, false, axis, err);
}

static status infer(ox_node *n, error *err) {
    if (n->in[0] == NULL || n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "input 0 or output 0 is missing");
    }
    const ox_tensor *x = n->in[0];
    if (!ox_is_float(x->dtype) && !ox_is_integer(x->dtype)) {
        return error_set(err, STATUS_UNSUPPORTED, "input 0 is %s", ox_dtype_name(x->dtype));
    }
    uint32_t axis = 0, rank = 0;
    TRY(read(n, &axis, err));
    bool keep = ox_attr_int(n, "keepdims", 1) != 0;
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    for (uint32_t d = 0; d < x->n_dims; d++) {
        if (d != axis || keep) {
            shape[rank++] = d == axis ? 1 : x->shape[d];
        }
    }
    TRY(ox_set_shape(n->out[0], ASSAY_I64, shape, rank, err));
    if (x->shape[axis] == 0 && n->out[0]->n > 0) {
        return error_set(err, STATUS_MODEL, "no index among no elements");
    }
    return STATUS_OK;
}

/* v is to be preferred to best, before ties. */
static bool beyond(double v, double best, bool least) {
    return best == best && (v != v || (least ? v < best : v > best));
}

static size_t index_of(const ox_tensor *x, const ox_axis *a, size_t at, bool least, bool last) {
    size_t found = 0;
    if (ox_is_integer(x->dtype)) {
        int64_t best = ox_int_at(x, at);
        for (size_t k = 1; k < a->len; k++) {
            int64_t v = ox_int_at(x, at + k * a->inner);
            if ((least ? v < best : v > best) || (last && v == best)) {
                best = v;
                found = k;
            }
        }
        return found;
    }
    double best = ox_at(x, at);
    for (size_t k = 1; k < a->len; k++) {
        double v = ox_at(x, at + k * a->inner);
        if (beyond(v, best, least) || (last && (v == best || (v != v && best != best)))) {
            best = v;
            found = k;
        }
    }
    return found;
}

static status forward(ox_node *n, error *err) {
    uint32_t axis = 0;
    TRY(read(n, &axis, err));
    const ox_axis a = ox_axis_of(n->in[0], axis);
    bool least = strcmp(n->op, "ArgMin") == 0, last = ox_attr_int(n, "select_last_index", 0) != 0;
    int64_t *y = n->out[0]->data;
    for (size_t r = 0; r < ox_axis_rows(&a); r++) {
        y[r] = (int64_t)index_of(n->in[0], &a, ox_axis_row(&a, r), least, last);
    }
    return STATUS_OK;
}

#define ARG(symbol, name)                                                                                              \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = 1,                                                              \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH | OX_NO_GRADIENT,                                    \
                                          .min_in = 1,                                                                 \
                                          .max_in = 1,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = infer,                                                              \
                                          .forward = forward}
ARG(arg_max, "ArgMax");
ARG(arg_min, "ArgMin");
